import numpy as np
import pytest

from monuseg_cli.prediction.plausibility import Finding, ScaleSource, find_doubt


def finding(count: int, area_um2: float, mm2: float = 1.0, mpp: float = 0.25, scale: ScaleSource = "stated") -> Finding:
    return Finding(np.full(count, area_um2), mm2, mpp, scale)


def test_tissue_as_it_usually_is_raises_no_doubt() -> None:
    for area in (14.0, 28.0, 51.0):
        assert find_doubt(finding(5000, area)) is None


@pytest.mark.parametrize(
    ("area", "mpp", "likely"), [(7.0, 0.25, "0.5"), (120.0, 0.5, "0.25"), (2.0, 0.25, "1"), (110.0, 0.25, "0.125")]
)
def test_nuclei_of_an_unlikely_size_name_the_scale_to_try(area: float, mpp: float, likely: str) -> None:
    doubt = find_doubt(finding(500, area, mpp=mpp))
    assert doubt is not None
    assert f"{area:.0f} um2" in doubt
    assert doubt.endswith(f"try `mpp={likely}`")


def test_few_nuclei_on_much_tissue_raise_a_doubt() -> None:
    assumed = find_doubt(finding(13, 30.0, mm2=0.77, scale="assumed"))
    assert assumed == (
        "13 nuclei on 0.77 mm2 of tissue, 17 per mm2, at 0.25 um/px, which was assumed; state the true scale with "
        "`mpp`, or `mpp=estimate`"
    )
    stated = find_doubt(finding(13, 30.0, mm2=0.77))
    assert stated is not None
    assert stated.endswith("is it H&E, in focus, and 0.25 um/px its scale?")


def test_a_small_piece_of_tissue_may_have_none() -> None:
    assert find_doubt(finding(0, 0.0, mm2=0.04)) is None
    assert find_doubt(finding(0, 0.0, mm2=0.0)) is None


def test_bounds_are_narrower_where_the_scale_was_assumed() -> None:
    assert find_doubt(finding(800, 12.0)) is None
    assert "12 um2, which is small at 0.25 um/px, which was assumed; try `mpp=0.5`, or `mpp=estimate`" in str(
        find_doubt(finding(800, 12.0, scale="assumed"))
    )
    assert find_doubt(finding(300, 30.0)) is None
    assert "300 per mm2, at 0.25 um/px, which was assumed" in str(find_doubt(finding(300, 30.0, scale="assumed")))


def test_an_estimated_scale_is_called_so_and_not_estimated_again() -> None:
    doubt = str(find_doubt(finding(500, 7.0, scale="estimated")))
    assert "at 0.25 um/px, which was estimated; try `mpp=0.5`" in doubt
    assert "mpp=estimate" not in doubt
