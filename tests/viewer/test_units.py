import pytest

from monuseg_cli.viewer.units import split_unit


@pytest.mark.parametrize(
    ("name", "words", "unit"),
    [
        ("area_um2", "Area", "µm²"),
        ("Area µm^2", "Area", "µm²"),
        ("perimeter_um", "Perimeter", "µm"),
        ("Nucleus: Length µm", "Nucleus: Length", "µm"),
        ("haematoxylin_mean", "Haematoxylin mean", "OD"),
        ("Hematoxylin: Mean", "Hematoxylin: Mean", "OD"),
        ("orientation_deg", "Orientation", "°"),
        ("Orientation °", "Orientation", "°"),
        ("density_per_mm2", "Density", "1/mm²"),
        ("Local density per mm^2", "Local density", "1/mm²"),
        ("neighbours_20um", "Neighbours 20um", ""),
        ("Eosin: Mean", "Eosin: Mean", ""),
        ("Area (px^2)", "Area", "px²"),
        ("um", "Um", ""),
        ("", "", ""),
    ],
)
def test_the_unit_of_a_measurement_is_split_off(name: str, words: str, unit: str) -> None:
    assert split_unit(name) == (words, unit)
