import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

from conftest import Told
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import Home
from monuseg_cli.viewer.describe import describe
from monuseg_cli.viewer.session import ViewConfig, ViewSession
from support.tissue import draw_tissue, ellipse
from support.viewed import COLS, ROWS, nuclei, polygon, regions, write_features, write_slide


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("viewed") / "slide.tif")


def test_regions_that_are_given_replace_those_of_the_nuclei(slide: Path, tmp_path: Path) -> None:
    found = write_features(tmp_path / "nuclei.geojson", [*nuclei(), *regions()])
    given = write_features(tmp_path / "regions.geojson", regions()[1:])
    told = Told()
    with ViewSession(ViewConfig(slide, found, given), told) as session:
        session.wait()
        assert session.shown is not None
        assert [(region.name, region.nuclei) for region in session.shown.regions] == [("Corner", 6)]
        assert session.shown.whole.nuclei == ROWS * COLS
    assert told.lines == [f"{ROWS * COLS} nuclei of {found}"]


def test_without_a_scale_densities_are_per_megapixel(slide: Path, tmp_path: Path) -> None:
    found = write_features(tmp_path / "nuclei.geojson", nuclei())
    with ViewSession(ViewConfig(slide, found)) as session:
        session.wait()
        session.mpp = None
        state = describe(session)["nuclei"]
    assert (state["densityUnit"], state["areaUnit"]) == ("per megapixel", "megapixels")


def test_objects_that_are_not_shown_are_named(slide: Path, tmp_path: Path) -> None:
    point = {"geometry": {"type": "Point", "coordinates": [1, 2]}}
    far = nuclei()[0] | {"geometry": polygon(ellipse(-50, 20, 9, 9))}
    told = Told()
    with ViewSession(
        ViewConfig(slide, write_features(tmp_path / "a.geojson", [*nuclei(), point, far])), told
    ) as session:
        session.wait()
    assert told.lines[1] == f"not shown of {tmp_path / 'a.geojson'}: nuclei outside of the slide (1), points (1)"


def test_nuclei_that_cannot_be_read_are_an_error(slide: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "a.geojson"
    damaged.write_text("{")
    with pytest.raises(InputError, match="not GeoJSON"), ViewSession(ViewConfig(slide, damaged)):
        pass


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"nuclei": Path("no.geojson")}, MissingError, r"no nuclei no\.geojson"),
        ({"nuclei": Path("a.docx")}, InputError, r"cannot read nuclei from a\.docx"),
        ({"mpp": 0.0}, InputError, "`mpp` must be a positive number"),
        ({"mpp": float("nan")}, InputError, "`mpp` must be a positive number"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ViewConfig(Path("slide.tif"), **settings)  # type: ignore[arg-type] # of several types


def test_a_prediction_that_was_made_since_is_found_by_looking_again(
    trained_home: Home, monuseg: Callable[..., Result], tmp_path: Path
) -> None:
    image = tmp_path / "a.png"
    Image.fromarray(draw_tissue(90, seed=2)[0]).save(image)
    with ViewSession(ViewConfig(image)) as session:
        assert describe(session)["nuclei"] == {
            "state": "none",
            "command": f"monuseg predict {image} -o a.parquet",
        }
        words = ("-o", tmp_path / "a.geojson", "--mpp", 0.25, "--model", "unet-se", "--engine", "torch")
        assert monuseg("predict", image, *words, "--home", trained_home.root).exit_code == 0
        session.look_again()
        session.wait()
        state = describe(session)
    assert state["slide"]["mpp"] == 0.25
    assert state["nuclei"]["state"] == "ready"
    assert state["nuclei"]["whole"]["name"] == "Tissue"


def test_regions_that_a_prediction_was_limited_to_have_no_density_of_the_whole(
    trained_home: Home, monuseg: Callable[..., Result], tmp_path: Path
) -> None:
    image, rois = tmp_path / "a.png", tmp_path / "rois.json"
    Image.fromarray(draw_tissue(90, seed=2)[0]).save(image)
    geometry = polygon(ellipse(45, 45, 40, 40))
    write_features(rois, [{"type": "Feature", "geometry": geometry, "properties": {"name": "round"}}])
    words = ("-o", tmp_path / "a.geojson", "--mpp", 0.25, "--model", "unet-se", "--engine", "torch", "--roi", rois)
    result = monuseg("predict", image, *words, "--json", "--home", trained_home.root)
    (counted,) = json.loads(result.stdout)["predictions"][0]["rois"]
    with ViewSession(ViewConfig(image)) as session:
        session.wait()
        nuclei = describe(session)["nuclei"]
    assert nuclei["whole"]["area"] == 0
    assert [(region["name"], region["nuclei"]) for region in nuclei["regions"]] == [("round", counted["nuclei"])]
    assert nuclei["regions"][0]["area"] == pytest.approx(counted["mm2"])
