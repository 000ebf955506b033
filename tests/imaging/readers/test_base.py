import pytest

from monuseg_cli.imaging.readers.base import role_of_name


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("label", "label"),
        ("Label Image", "label"),
        ("label 387x463", "label"),
        ("slide 7 label", "label"),
        ("slide_label.tif", "label"),
        ("macro image", "macro"),
        ("Macro", "macro"),
        ("a.svs macro", "macro"),
        ("Overview", "overview"),
        ("overview_2", "overview"),
        ("thumbnail", "thumbnail"),
        ("Thumbnail (1024 x 768)", "thumbnail"),
        ("map", "map"),
        ("", "scan"),
        ("Image0", "scan"),
        ("region 1", "scan"),
        ("case_map_12.svs #1", "scan"),
        ("unlabelled", "scan"),
        ("label-free H&E", "scan"),
        ("macrophages", "scan"),
    ],
)
def test_names_tell_what_an_image_shows(name: str, role: str) -> None:
    assert role_of_name(name) == role
