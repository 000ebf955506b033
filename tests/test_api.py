"""The Python interface finds what the command line writes, and refuses bad input with one clear error."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas
import pytest
import tifffile
import torch
from PIL import Image
from scipy import ndimage

import monuseg_cli as api
from conftest import PATCHES, Monuseg, Told
from monuseg_cli.core.home import Home
from monuseg_cli.core.progress import SILENT
from monuseg_cli.nuclei.rasterise import rasterise
from monuseg_cli.prediction.engines.select import EngineName
from monuseg_cli.training.recipe import Recipe
from support.own import write_folder
from support.tissue import draw_tissue

PICTURE, POLYGONS = draw_tissue(150, seed=4)
TRUTH = rasterise(POLYGONS, (150, 150)).labels


@pytest.fixture(scope="module")
def home(_trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with the run ``unet-se``, and what engines made of it."""
    root = tmp_path_factory.mktemp("home")
    return Home(Path(shutil.copytree(_trained, root, dirs_exist_ok=True)))


@pytest.fixture(scope="module")
def model(home: Home) -> api.Model:
    return api.load("unet-se", home=home.root, progress=SILENT)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """A TIFF that states 0.5 um/px."""
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, PICTURE, resolution=(20000, 20000), resolutionunit="CENTIMETER")
    return path


def rows_of(path: Path) -> list[dict[str, float]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_importing_the_package_loads_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import monuseg_cli; print(*set(sys.modules) - before)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["monuseg_cli"]


def test_every_public_name_is_there_and_listed() -> None:
    assert all(getattr(api, name) is not None for name in api.__all__)
    assert set(dir(api)) >= set(api.__all__)
    with pytest.raises(AttributeError, match="module 'monuseg_cli' has no attribute 'lod'"):
        _ = api.lod  # type: ignore[attr-defined] # that is what is tried
    assert {name for name in api.__all__ if name.endswith("Error")} == {
        "MonusegError",
        *(kind.__name__ for kind in api.MonusegError.__subclasses__()),
    }


@pytest.mark.parametrize("engine", ["auto", "torch"])
@pytest.mark.parametrize("mpp", [0.25, 0.4])
def test_predict_finds_what_the_command_line_writes(
    home: Home, slide: Path, tmp_path: Path, monuseg: Monuseg, engine: EngineName, mpp: float
) -> None:
    labels, table, shapes, probability = (tmp_path / name for name in ("l.tif", "n.csv", "n.geojson", "p.tif"))
    outputs = ("-o", labels, "-o", table, "-o", shapes, "--probability", probability, "--labels")
    said = monuseg(
        "predict", slide, *outputs, "--mpp", mpp, "--model", "unet-se", "--engine", engine, "--home", home.root
    )
    assert said.exit_code == 0, said.stderr
    found = api.load("unet-se", engine=engine, home=home.root, progress=SILENT).predict(PICTURE, mpp)
    assert found.labels.dtype == np.int32
    np.testing.assert_array_equal(found.labels, tifffile.imread(labels))
    assert len(found.nuclei) == found.labels.max() > 3
    assert list(found.nuclei) == rows_of(table)
    features = json.loads(shapes.read_text(encoding="utf-8"))["features"]
    assert json.loads(json.dumps(found.nuclei.geometries())) == [feature["geometry"] for feature in features]
    assert found.probability.shape == PICTURE.shape[:2]
    assert found.probability.dtype == np.float32
    if mpp == 0.25:  # the model's, so that nothing is resampled
        np.testing.assert_array_equal(np.rint(found.probability * 255), tifffile.imread(probability))
    assert found.mpp == mpp
    assert 0 < found.tissue_mm2 <= PICTURE[..., 0].size * (mpp / 1000) ** 2


def test_auto_takes_openvino_on_a_cpu(home: Home) -> None:
    code = (
        "import sys, monuseg_cli as monuseg\n"
        f"monuseg.load('unet-se', home={str(home.root)!r}, device='cpu')\n"
        "print('openvino' in sys.modules, 'torch' in sys.modules)"
    )
    api.load("unet-se", home=home.root, device="cpu", progress=SILENT)  # makes what the next one finds
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.split() == ["True", "False"]
    assert printed.stderr == ""


def test_an_array_a_pil_image_and_a_file_are_the_same(model: api.Model, slide: Path) -> None:
    asked = [model.predict(PICTURE, 0.5), model.predict(Image.fromarray(PICTURE), 0.5), model.predict(str(slide))]
    asked += [model.predict(slide), model.predict(np.asfortranarray(PICTURE), np.float64(0.5))]
    asked += [model.predict(PICTURE[..., ::-1].copy()[..., ::-1], 0.5)]
    assert [found.mpp for found in asked] == [0.5] * 6
    assert asked[0].labels.any()
    for found in asked[1:]:
        np.testing.assert_array_equal(found.labels, asked[0].labels)
        assert list(found.nuclei) == list(asked[0].nuclei)


def test_pil_images_are_converted_as_files_are(
    home: Home, slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = api.load("unet-se", home=home.root, engine="torch")
    for mode, note in (("L", "grey taken as equal red, green and blue"), ("RGBA", "transparency laid over white")):
        image = Image.fromarray(PICTURE).convert(mode)
        image.save(tmp_path / "a.png")
        np.testing.assert_array_equal(model.predict(image, 0.25).labels, model.predict(tmp_path / "a.png", 0.25).labels)
        assert capsys.readouterr().err == f"the image: {note}\na.png: {note}\n"
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned by a right angle
    Image.fromarray(PICTURE[:100]).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        upright = model.predict(turned, 0.25).labels
    assert upright.shape == (150, 100)
    np.testing.assert_array_equal(upright, model.predict(tmp_path / "turned.png", 0.25).labels)
    with pytest.raises(api.InputError, match=r"its mode is HSV; convert it: image.convert\('RGB'\)"):
        model.predict(Image.fromarray(PICTURE).convert("HSV"), 0.25)


def test_a_region_is_in_the_coordinates_of_the_whole_image(
    model: api.Model, home: Home, slide: Path, tmp_path: Path, monuseg: Monuseg
) -> None:
    found = model.predict(slide, region=(30, 20, 100, 80))
    table = tmp_path / "n.csv"
    monuseg("predict", slide, "-o", table, "--region", 30, 20, 100, 80, "--model", "unet-se", "--home", home.root)
    assert found.labels.shape == found.probability.shape == (80, 100)
    assert list(found.nuclei) == rows_of(table)
    assert len(found.nuclei) > 3
    assert found.nuclei["row_px"].min() >= 20
    assert found.nuclei["col_px"].min() >= 30


def test_threshold_and_smallest_area_are_those_of_one_call(model: api.Model) -> None:
    def covered(**settings: float) -> int:
        return int((model.predict(PICTURE, 0.25, **settings).labels > 0).sum())  # type: ignore[arg-type] # only floats

    usual = covered()
    assert covered(threshold=0.2) > usual > covered(threshold=0.8)
    assert covered(min_area_um2=100_000.0) == 0
    assert covered() == usual


def test_an_implausible_result_causes_a_warning(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    model = api.load("unet-se", home=home.root, engine="torch")
    picture = draw_tissue(400, seed=5)[0]
    (warning,) = model.predict(picture, 1.0).warnings
    assert "try `mpp=0.5`" in warning
    assert capsys.readouterr().err == f"warning: the image: {warning}\n"
    assert model.predict(picture, 0.25).warnings == ()
    (warning,) = model.predict(np.ascontiguousarray(picture[..., ::-1]), 0.25).warnings
    assert "are red and blue swapped (BGR)" in warning


def test_glass_holds_nothing_and_a_table_may_be_empty(model: api.Model) -> None:
    found = model.predict(np.full((120, 90, 3), 243, dtype=np.uint8), 0.25)
    assert not found.labels.any()
    assert found.tissue_mm2 == 0
    assert (len(found.nuclei), list(found.nuclei), found.nuclei.geometries()) == (0, [], [])
    assert found.nuclei.to_pandas().shape == (0, len(found.nuclei.columns))
    all_of_it = model.predict(np.full((120, 90, 3), 243, dtype=np.uint8), 0.25, tissue_mask=False)
    assert all_of_it.tissue_mm2 == pytest.approx(120 * 90 * 0.00025**2)


def test_the_table_is_a_data_frame_where_pandas_is(model: api.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    nuclei = model.predict(PICTURE, 0.25).nuclei
    frame = nuclei.to_pandas()
    pandas.testing.assert_frame_equal(frame, pandas.DataFrame(list(nuclei)))
    assert frame["id"].tolist() == nuclei["id"].tolist() == list(range(1, len(nuclei) + 1))
    with pytest.raises(KeyError, match="no column 'areaum2'; did you mean area_um2"):
        nuclei["areaum2"]
    with pytest.raises(TypeError):
        nuclei.columns["id"] = nuclei["row_px"]  # type: ignore[index] # that is what is tried
    assert repr(nuclei).startswith(f"<NucleusTable of {len(nuclei)} nuclei: id, row_px")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(api.MissingError, match="pip install pandas"):
        nuclei.to_pandas()


GREY = PICTURE[..., 0]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (GREY, r"it is grey; .* numpy.stack\(\[image\] \* 3, axis=-1\)"),
        (np.dstack([PICTURE, GREY]), r"drop the fourth channel: image\[..., :3\]"),
        (np.moveaxis(PICTURE, -1, 0), r"channels to the end: numpy.moveaxis\(image\[:3\], 0, -1\)"),
        (PICTURE[None], "one image at a time"),
        (PICTURE[..., :2], "pass red, green and blue"),
        (PICTURE[0, 0], "rows, columns and three channels"),
        (PICTURE[:0], "it has no pixels"),
        (PICTURE / 255, r"convert it: \(image \* 255\).round\(\).astype\('uint8'\)"),
        (PICTURE.astype(float), r"convert it: image.round\(\).astype\('uint8'\)"),
        (PICTURE.astype(np.int64), r"convert it: image.round\(\).astype\('uint8'\)"),
        (PICTURE.astype(np.uint16) * 257, "scale its values to 0..255"),
        (np.full((9, 9, 3), np.nan), "not finite"),
        (PICTURE > 100, "it is a mask"),
        (PICTURE.astype(object), "pass numbers"),
        (PICTURE.tolist(), "not list"),
        (None, "not NoneType"),
    ],
)
def test_arrays_that_are_no_rgb_image_are_refused_with_the_remedy(model: api.Model, image: Any, reason: str) -> None:
    with pytest.raises(api.InputError, match=reason):
        model.predict(image, 0.25)


def test_the_remedies_in_error_messages_work(model: api.Model) -> None:
    for image in (
        np.dstack([PICTURE, GREY])[..., :3],
        np.moveaxis(np.moveaxis(PICTURE, -1, 0)[:3], 0, -1),
        (PICTURE / 255 * 255).round().astype("uint8"),
        PICTURE.astype(float).round().astype("uint8"),
    ):
        np.testing.assert_array_equal(model.predict(image, 0.25).labels, model.predict(PICTURE, 0.25).labels)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "the scale of the image is not stated; set `mpp`"),
        ({"mpp": 40}, "`mpp` must be between 0.05 and 5.0, not 40.0"),
        ({"mpp": float("nan")}, "`mpp` must be between"),
        ({"mpp": np.float32(40)}, "`mpp` must be between"),
        ({"mpp": "0.25"}, "`mpp` must be a number or 'estimate', not '0.25'"),
        ({"mpp": True}, "`mpp` must be a number, not True"),
        ({"mpp": 0.25, "threshold": 1.5}, "`threshold` must be above 0 and below 1"),
        ({"mpp": 0.25, "threshold": "high"}, "`threshold` must be a number"),
        ({"mpp": 0.25, "min_area_um2": -1}, "`min_area_um2` must be a finite number"),
        ({"mpp": 0.25, "adapt": "on"}, "`adapt` takes auto or off, not 'on'"),
        ({"mpp": 0.25, "series": 1}, "an image in memory has no `series` or `plane`"),
        ({"mpp": 0.25, "region": (0, 0, 10)}, "`region` must be four whole numbers"),
        ({"mpp": 0.25, "region": (0, 0, 10, 2.5)}, "`region` must be four whole numbers"),
        ({"mpp": 0.25, "region": (0, 0, 900, 10)}, "`region` 0 0 900 10 is not within the image"),
    ],
)
def test_settings_out_of_range_are_refused(model: api.Model, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(api.InputError, match=reason):
        model.predict(PICTURE, **settings)


def test_a_file_that_states_no_scale_needs_one(model: api.Model, tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    for predict in (model.predict, lambda path: model.predict_slide(path, [tmp_path / "m.png"])):
        with pytest.raises(api.InputError, match=r"the scale of .*a\.png is not stated; set `mpp`"):
            predict(tmp_path / "a.png")
    assert model.predict(tmp_path / "a.png", 0.25).labels.any()


def test_a_slide_that_is_too_large_for_memory_is_written_to_files(model: api.Model, tmp_path: Path) -> None:
    path, glass = tmp_path / "large.tif", np.full((2048, 2048, 3), 243, dtype=np.uint8)
    tiles = iter([bytes(imagecodecs.zlib_encode(glass.tobytes()))] * 64)
    tifffile.imwrite(
        path, tiles, shape=(16384, 16384, 3), dtype="uint8", tile=(2048, 2048), compression="zlib", photometric="rgb"
    )
    with pytest.raises(api.InputError, match=r"16384 x 16384 pixels are too many .* use predict_slide"):
        model.predict(path, 0.25)
    assert not model.predict(path, 0.25, region=(0, 0, 64, 64)).labels.any()


def test_predict_slide_writes_what_the_command_line_does(
    model: api.Model, home: Home, slide: Path, tmp_path: Path, monuseg: Monuseg
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    found = model.predict_slide(
        slide,
        [ours / "m.png", str(ours / "l.tif"), ours / "n.csv"],
        labels=True,
        overlay=ours / "o.png",
        probability=ours / "p.tif",
    )
    outputs = ("-o", theirs / "m.png", "-o", theirs / "l.tif", "-o", theirs / "n.csv", "--labels")
    more = ("--overlay", theirs / "o.png", "--probability", theirs / "p.tif")
    assert monuseg("predict", slide, *outputs, *more, "--model", "unet-se", "--home", home.root).exit_code == 0
    names = sorted(path.name for path in theirs.iterdir())
    assert names == ["l.tif", "m.png", "m.png.monuseg.json", "n.csv", "o.png", "p.tif"]
    assert sorted(path.name for path in ours.iterdir()) == names
    records = [json.loads((folder / "m.png.monuseg.json").read_text(encoding="utf-8")) for folder in (ours, theirs)]
    for record in records:
        assert record["found"].pop("seconds") > 0
    assert records[0] == records[1]
    for name in names:
        if not name.endswith(".json"):
            assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    assert found.nuclei == len(model.predict(slide).nuclei)


def test_predict_slide_returns_what_was_found_before(model: api.Model, slide: Path, tmp_path: Path) -> None:
    mask = tmp_path / "m.png"
    first = model.predict_slide(slide, [mask])
    made = mask.stat().st_mtime_ns
    assert model.predict_slide(slide, [mask]) == first
    assert mask.stat().st_mtime_ns == made
    other = model.predict_slide(slide, [mask], threshold=0.8)
    assert other.nuclei != first.nuclei or mask.stat().st_mtime_ns != made
    again = model.predict_slide(slide, [mask], threshold=0.8, overwrite=True)
    assert (again.nuclei, again.seconds != other.seconds) == (other.nuclei, True)
    record = tmp_path / "m.png.monuseg.json"
    content = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({**content, "found": {"nuclei": 7}}), encoding="utf-8")
    assert model.predict_slide(slide, [mask], threshold=0.8).nuclei == other.nuclei


@pytest.mark.parametrize(
    ("outputs", "more", "reason"),
    [
        ("mask.png", {}, r"`outputs` must be a list of files, not the string 'mask.png'"),
        (Path("mask.png"), {}, r"`outputs` must be a list of files, not the string 'mask.png'"),
        ([], {}, "no output is requested"),
        ([None], {}, "None is not a valid output name"),
        (["m.png"], {"overlay": True}, "True is not a valid output name"),
        (["m.bmp"], {}, r"must end in \.png or"),
        (["m.png"], {"mpp": 40}, "`mpp` must be between"),
    ],
)
def test_unusable_outputs_are_refused(
    model: api.Model, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    outputs: Any, more: dict[str, Any], reason: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(api.InputError, match=reason):
        model.predict_slide(slide, outputs, **more)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["slide.tif"]


def test_an_image_that_fails_raises_its_error(model: api.Model, slide: Path, tmp_path: Path) -> None:
    with pytest.raises(api.MissingError, match="no image"):
        model.predict_slide(tmp_path / "gone.tif", [tmp_path / "m.png"])
    with pytest.raises(api.InputError, match="`region` 0 0 900 10 is not within"):
        model.predict_slide(slide, [tmp_path / "m.png"], region=(0, 0, 900, 10))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(api.OutputError):
        model.predict_slide(slide, [tmp_path / "file" / "m.png"])


def test_models_are_found_by_name_folder_and_file(home: Home) -> None:
    weights = home.find_weights("unet-se")
    for named in ("unet-se", weights.parent, weights, str(weights)):
        assert api.load(named, home=str(home.root), engine="torch", progress=SILENT).card.architecture == "unet-se"
    with pytest.raises(api.MissingError, match="did you mean unet-se"):
        api.load("unet-s", home=home.root)
    with pytest.raises(api.InputError, match="`engine` takes"):
        api.load("unet-se", home=home.root, engine="onnx")  # type: ignore[arg-type] # that is what is tried
    with pytest.raises(api.InputError, match="unknown device 'gpu'"):
        api.load("unet-se", home=home.root, device="gpu")  # type: ignore[arg-type] # that is what is tried


def test_threads_are_limited_and_stated_in_the_record(home: Home, slide: Path, tmp_path: Path) -> None:
    before, told = torch.get_num_threads(), Told()
    try:
        model = api.load("unet-se", home=home.root, engine="torch", threads=3, progress=told)
        assert torch.get_num_threads() == 3
        model.predict(slide)
        model.predict_slide(slide, [tmp_path / "a.png"])
        assert json.loads((tmp_path / "a.png.monuseg.json").read_text(encoding="utf-8"))["threads"] == 3
        assert sum("; 3 cores busy for" in line for line in told.details) == 2  # of finding nuclei, in both ways
    finally:
        torch.set_num_threads(before)
    with pytest.raises(api.InputError, match="`threads` takes a whole number from 1 to"):
        api.load("unet-se", home=home.root, threads=0)


def test_slides_are_opened_by_path(slide: Path) -> None:
    with api.open_slide(str(slide)) as opened:
        assert (opened.shape, opened.mpp) == ((150, 150), 0.5)
        np.testing.assert_array_equal(opened.read_region(0, 10, 20, 30, 40), PICTURE[10:40, 20:60])
    with pytest.raises(api.InputError, match="it has no image 3"):
        api.open_slide(slide, series=3)
    with pytest.raises(api.MissingError):
        api.open_slide(slide.with_name("gone.tif"))


def test_scores_are_those_of_the_command_line(model: api.Model, tmp_path: Path, monuseg: Monuseg) -> None:
    found = model.predict(PICTURE, 0.25)
    for folder, labels in (("theirs", found.labels), ("truth", TRUTH)):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "a.npy", labels)
    said = monuseg("evaluate", "--predictions", tmp_path / "theirs", "--reference", tmp_path / "truth", "--json")
    (evaluation,) = json.loads(said.stdout)["evaluations"]
    scores = api.evaluate(found.labels, TRUTH)
    assert evaluation["images"][0]["scores"] == {name: getattr(scores, name) for name in scores.__slots__}
    assert 0 < scores.aji < 1
    soft = api.evaluate(found.labels, TRUTH, found.probability)
    assert 0 < soft.soft_dice < 1  # type: ignore[operator] # there is one where there is a probability
    perfect = api.evaluate(TRUTH, TRUTH.astype(np.uint16))
    assert (perfect.aji, perfect.pq, perfect.loss) == (1, 1, None)


def test_a_mask_is_scored_by_its_connected_parts(capsys: pytest.CaptureFixture[str]) -> None:
    mask = np.zeros((9, 9), dtype=np.uint8)
    mask[1:4, 1:4] = mask[5:8, 5:8] = 255
    numbered = np.zeros((9, 9), dtype=np.int64)
    numbered[1:4, 1:4], numbered[5:8, 5:8] = 1, 2
    for one in (mask, mask > 0):
        assert api.evaluate(one, numbered).pq == 1
    soft = ndimage.gaussian_filter(np.kron(mask, np.full((9, 9), 1.0)), 1).astype(np.uint8)
    assert api.evaluate(soft, np.kron(numbered, np.full((9, 9), 1))).dq == 1
    assert capsys.readouterr().err.startswith("warning: the labels: ")


@pytest.mark.parametrize(
    ("labels", "probability", "reason"),
    [
        (TRUTH[:50], None, r"the labels of shape \(50, 150\) and the reference"),
        (TRUTH - 1, None, "the labels: it holds -1 to"),
        (TRUTH / 2, None, "the labels: it contains fractions"),
        (TRUTH.tolist(), None, "the labels must be an array, not list"),
        (TRUTH, np.zeros((50, 150)), r"the probability of shape \(50, 150\)"),
        (TRUTH, np.full((150, 150), np.nan), "the probability must be between 0 and 1"),
        (TRUTH, np.full((150, 150), 255), "the probability must be between 0 and 1"),
        (TRUTH, np.full((150, 150), "a"), "the probability must be an array of numbers"),
    ],
)
def test_invalid_labels_and_probabilities_are_refused(labels: Any, probability: Any, reason: str) -> None:
    with pytest.raises(api.InputError, match=reason):
        api.evaluate(labels, TRUTH, probability)


def test_outlines_are_drawn_on_an_image_of_the_same_size() -> None:
    drawn = api.draw_outlines(PICTURE, TRUTH)
    changed = (drawn != PICTURE).any(axis=-1)
    assert changed.any()
    assert not changed[TRUTH == 0].any()
    with pytest.raises(api.InputError, match=r"an image of shape \(150, 150, 3\) and labels of shape \(50, 150\)"):
        api.draw_outlines(PICTURE, TRUTH[:50])


def quick(words: tuple[str, ...]) -> dict[str, Any]:
    """Take options of the command line for settings."""
    return {
        name.removeprefix("--").replace("-", "_"): int(value)
        for name, value in zip(words[::2], words[1::2], strict=True)
    }


def test_training_goes_on_from_a_model_and_its_run_is_loaded(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path / "mine", [f"case-{number}" for number in range(5)], kinds=(".npy",))
    result = api.train(
        tmp_path / "mine", recipe="fine-tune", init="unet-se", name="tuned", device="cpu", home=home.root, epochs=1,
        **quick(PATCHES),
    )  # fmt: skip
    assert "epoch 1/1" in capsys.readouterr().err
    assert (result.epochs, result.run) == (1, home.runs / "tuned")
    tuned = api.load(result.run, engine="torch", progress=SILENT)
    assert tuned.card.options["width"] == 8  # that of the weights, not the architecture's
    assert Recipe.from_dict(tuned.card.recipe).learning_rate == 3e-4
    assert tuned.predict(PICTURE, 0.25).labels.any()
    with pytest.raises(api.InputError, match="no such setting epoch; did you mean epochs"):
        api.train(tmp_path / "mine", home=home.root, epoch=1)


def test_no_note_is_made_without_an_assumption(model: api.Model, capfd: pytest.CaptureFixture[str]) -> None:
    model.predict(PICTURE, 0.25)
    assert capfd.readouterr() == ("", "")
