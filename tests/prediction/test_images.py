"""The choice of images in folders and files, and the notes about it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from conftest import Told
from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import Home
from monuseg_cli.outputs.plan import OutputSpec, find_images, plan_outputs
from monuseg_cli.prediction.batch import PredictResult, predict
from monuseg_cli.prediction.config import PredictConfig, SlideSettings
from support.scanners import write_dicom, write_mrxs
from support.tissue import draw_tissue

SMALL, _ = draw_tissue(96, seed=4)
LARGE, _ = draw_tissue(128, seed=5)


@pytest.fixture
def weights(trained_home: Home) -> Path:
    return trained_home.find_weights("unet-se")


def run(weights: Path, *images: Path, output: str | tuple[str, ...], **settings: Any) -> tuple[PredictResult, Told]:
    """Predict; what goes to `OutputSpec` is given by its own name."""
    named = {name: settings.pop(name) for name in ("overlay", "probability", "tissue") if name in settings}
    outputs = OutputSpec(output if isinstance(output, tuple) else (output,), **named)
    told = Told()
    config = PredictConfig(
        images, outputs, weights, weights.parent / "cache", SlideSettings(**settings), engine="torch"
    )
    return predict(config, told), told


def two_scans(path: Path) -> Path:
    """Write an OME-TIFF of two scans, the smaller of which has two focal planes."""
    with tifffile.TiffWriter(path, ome=True) as tiff:
        stack = np.stack([SMALL, np.full_like(SMALL, 245)])
        for pixels, axes in ((stack, "ZYXS"), (LARGE, "YXS")):
            metadata = {"axes": axes, "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
            tiff.write(pixels, photometric="rgb", metadata=metadata)
    return path


def test_another_image_and_focal_plane_can_be_asked_for(weights: Path, tmp_path: Path) -> None:
    path, output = two_scans(tmp_path / "a.ome.tif"), str(tmp_path / "m.csv")
    largest, told = run(weights, path, output=output)
    assert (largest.predictions[0].height, largest.predictions[0].width) == (128, 128)
    said = "a.ome.tif: the largest of several images used (number 1 'Image1'); choose another with `series`"
    assert said in told.lines
    first, told = run(weights, path, output=output, series=0)
    assert (first.predictions[0].height, first.predictions[0].nuclei > 0) == (96, True)
    assert "a.ome.tif: focal plane 0 of 2 used (the middle one); choose another with `plane`" in told.lines
    glass, _ = run(weights, path, output=output, series=0, plane=1)
    assert glass.predictions[0].nuclei == 0


def test_results_of_another_image_are_not_reused(weights: Path, tmp_path: Path) -> None:
    path, output = two_scans(tmp_path / "a.ome.tif"), str(tmp_path / "m.csv")
    done = [len(run(weights, path, output=output, **chosen)[0].skipped) for chosen in ({}, {}, {"series": 0})]
    assert done == [0, 1, 0]


def test_test_time_augmentation_changes_the_result_and_is_recorded(weights: Path, tmp_path: Path) -> None:
    Image.fromarray(LARGE).save(tmp_path / "a.png")
    outputs = (str(tmp_path / "m.csv"),)
    tables = []
    for settings in ({}, {"tta": True}):
        result, _ = run(weights, tmp_path / "a.png", output=outputs, **settings)
        assert not result.skipped
        tables.append((tmp_path / "m.csv").read_text())
    assert tables[0] != tables[1]
    assert json.loads((tmp_path / "m.csv.monuseg.json").read_text())["settings"]["tta"] is True


def test_a_record_of_before_there_was_a_choice_still_counts(weights: Path, tmp_path: Path) -> None:
    Image.fromarray(SMALL).save(tmp_path / "a.png")
    run(weights, tmp_path / "a.png", output=str(tmp_path / "m.csv"))
    record = json.loads((tmp_path / "m.csv.monuseg.json").read_text())
    assert not {"series", "plane", "tta"} & record["settings"].keys()


def test_a_change_in_any_of_a_slides_files_is_noticed(weights: Path, tmp_path: Path) -> None:
    path = write_mrxs(tmp_path / "a.mrxs", np.tile(LARGE, (6, 6, 1)))
    region = (0, 0, 96, 96)
    assert not run(weights, path, output=str(tmp_path / "m.csv"), region=region)[0].skipped
    assert run(weights, path, output=str(tmp_path / "m.csv"), region=region)[0].skipped
    data = tmp_path / "a" / "Data0000.dat"
    data.write_bytes(data.read_bytes() + b"more")
    assert not run(weights, path, output=str(tmp_path / "m.csv"), region=region)[0].skipped


def test_pixels_that_are_not_square_need_a_scale(weights: Path, tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", SMALL, photometric="rgb", resolution=(40000, 20000), resolutionunit="CENTIMETER"
    )
    result, _ = run(weights, tmp_path / "a.tif", output=str(tmp_path / "m.png"))
    ((_, error),) = result.failures
    assert str(error) == (
        f"{tmp_path / 'a.tif'} states pixels that are not square: 0.25 x 0.5 um/px by resolution tags; resample it, or "
        "set `mpp` if that is wrong"
    )
    assert not (tmp_path / "m.png").exists()
    result, _ = run(weights, tmp_path / "a.tif", output=str(tmp_path / "m.png"), mpp=0.25)
    assert result.predictions[0].mpp == 0.25


@pytest.mark.parametrize(("value", "said"), [(12, "comes out nearly black"), (250, "comes out nearly white")])
def test_an_image_without_contrast_causes_a_warning(weights: Path, tmp_path: Path, value: int, said: str) -> None:
    Image.fromarray(np.full_like(SMALL, value)).save(tmp_path / "a.png")
    _, told = run(weights, tmp_path / "a.png", output=str(tmp_path / "m.csv"))
    assert [line for line in told.lines if line.startswith(f"a.png {said}")]


def test_unread_files_of_a_folder_are_reported(tmp_path: Path) -> None:
    Image.fromarray(SMALL).save(tmp_path / "a.png")
    (tmp_path / "b.txt").touch()
    told = Told()
    assert find_images([tmp_path], told) == [tmp_path / "a.png"]
    assert told.lines == [f"left out of {tmp_path}: 1 file of no known format: b.txt"]


def test_a_folder_without_an_image_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"no image in the folder {tmp_path}; name another one"):
        find_images([tmp_path])
    (tmp_path / "b.txt").touch()
    with pytest.raises(
        InputError, match=rf"no image in the folder {tmp_path}: 1 file of no known format: b\.txt; name another"
    ):
        find_images([tmp_path])


def test_outputs_are_never_inputs_of_the_next_prediction(weights: Path, tmp_path: Path) -> None:
    """Also those that lie in another folder than the first output, as an overlay may."""
    slides, out = tmp_path / "slides", tmp_path / "out"
    for folder in (slides, out):
        folder.mkdir()
    for name in ("a", "b"):
        Image.fromarray(SMALL).save(slides / f"{name}.png")
    patterns: dict[str, Any] = {
        "output": (f"{slides}/{{stem}}_mask.tif", f"{out}/{{stem}}.csv"),
        "overlay": f"{out}/{{stem}}.png",
    }
    for _ in range(2):
        result, _ = run(weights, slides, **patterns)
        assert len(result.predictions) + len(result.skipped) == 2
    assert find_images([slides]) == [slides / "a.png", slides / "b.png"]
    with pytest.raises(InputError, match="no image in the folder"):
        find_images([out])
    beside = json.loads((out / "a.csv.monuseg.json").read_text())["beside"]
    assert beside == ["a.csv", "a.png"]


def test_a_name_among_the_outputs_elsewhere_is_an_image_here(weights: Path, tmp_path: Path) -> None:
    """`slides/a.png` is an image, though `out/a.png` is an output whose record lies beside it."""
    for folder in ("slides", "out"):
        (tmp_path / folder).mkdir()
    Image.fromarray(SMALL).save(tmp_path / "slides" / "a.png")
    run(
        weights,
        tmp_path / "slides" / "a.png",
        output=str(tmp_path / "out" / "a.png"),
        probability=str(tmp_path / "slides" / "p.tif"),
    )
    assert find_images([tmp_path / "slides"]) == [tmp_path / "slides" / "a.png"]


def test_outputs_are_named_after_slides_of_any_kind(tmp_path: Path) -> None:
    picture = np.tile(LARGE, (2, 2, 1))
    write_dicom(tmp_path / "1.2.3", picture, SMALL)
    images = [tmp_path / "1.2.3", tmp_path / "a.ome.zarr", tmp_path / "b.mrxs", tmp_path / "1.2.3.4.0"]
    plans = plan_outputs(images, OutputSpec((f"{tmp_path}/out/",)))
    assert [plan.results[0].name for plan in plans] == ["1.2.3.png", "a.png", "b.png", "1.2.3.4.0.png"]
