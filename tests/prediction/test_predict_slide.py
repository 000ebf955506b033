import csv
import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image

from conftest import Told
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import Home
from monuseg_cli.imaging.scaled_source import ArraySource
from monuseg_cli.imaging.stains import density_from_8_bits, haematoxylin_density
from monuseg_cli.imaging.write import write_picture
from monuseg_cli.models.weights import load_model, save_weights
from monuseg_cli.nuclei.rasterise import rasterise
from monuseg_cli.nuclei.rois import Roi
from monuseg_cli.outputs.plan import OutputSpec, find_images, plan_outputs
from monuseg_cli.outputs.result import Prediction
from monuseg_cli.prediction.batch import predict
from monuseg_cli.prediction.blend import TileGrid, blended_rows, ramp
from monuseg_cli.prediction.config import PredictConfig, SlideSettings
from monuseg_cli.prediction.engines.torch import TorchEngine
from monuseg_cli.prediction.predict_array import predict_array
from monuseg_cli.prediction.stain_adaptation import sample_stain
from support.tissue import draw_tissue

PICTURE, _ = draw_tissue(150, seed=4)
CPU = torch.device("cpu")


@pytest.fixture
def weights(trained_home: Home) -> Path:
    return trained_home.find_weights("unet-se")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(PICTURE).save(path)
    return path


def config(*images: Path, output: object, weights: Path = Path("w"), **overrides: Any) -> PredictConfig:
    outputs = output if isinstance(output, tuple) else (output,)
    asked = {name: overrides.pop(name) for name in ("labels", "overlay", "probability", "tissue") if name in overrides}
    settings = {name: overrides.pop(name) for name in ("mpp", "region") if name in overrides}
    overrides = {"engine": "torch", **overrides}
    return PredictConfig(
        images,
        OutputSpec(tuple(map(str, outputs)), **asked),
        weights,
        weights.parent / "cache",
        SlideSettings(**settings, tissue_only=False),
        **overrides,
    )


def read(path: Path) -> NDArray[np.int64]:
    if path.suffix == ".png":
        with Image.open(path) as image:
            return np.asarray(image, dtype=np.int64)
    return np.asarray(tifffile.imread(path), dtype=np.int64)


def test_mask_labels_and_overlay_agree(weights: Path, picture: Path, tmp_path: Path) -> None:
    mask = predict(
        config(picture, output=tmp_path / "m.png", weights=weights, overlay=str(tmp_path / "o.png"))
    ).predictions[0]
    predict(config(picture, output=tmp_path / "m.tif", weights=weights))
    labels = predict(config(picture, output=tmp_path / "l.tif", weights=weights, labels=True)).predictions[0]
    as_labels = read(tmp_path / "l.tif")
    assert tifffile.imread(tmp_path / "l.tif").dtype == np.int32
    assert as_labels.max() == labels.nuclei == mask.nuclei > 3
    np.testing.assert_array_equal(read(tmp_path / "m.png"), np.where(as_labels, 255, 0))
    np.testing.assert_array_equal(read(tmp_path / "m.tif"), np.where(as_labels, 255, 0))
    changed = (read(tmp_path / "o.png") != PICTURE).any(axis=-1)
    assert changed.any()
    assert not changed[as_labels == 0].any()


def test_what_was_learnt_is_where_the_nuclei_are(weights: Path, picture: Path, tmp_path: Path) -> None:
    predict(config(picture, output=tmp_path / "m.png", weights=weights))
    found = read(tmp_path / "m.png") > 0
    assert PICTURE[found].mean() < PICTURE[~found].mean() - 30


def test_threshold_and_area_change_the_result(weights: Path, picture: Path, tmp_path: Path) -> None:
    def covered(**overrides: Any) -> int:
        predict(config(picture, output=tmp_path / "m.png", weights=weights, **overrides))
        return int((read(tmp_path / "m.png") > 0).sum())

    assert covered(threshold=0.2) > covered(threshold=0.8)
    assert covered(min_area_um2=100_000.0) == 0


def test_another_scale_is_resampled_and_brought_back(weights: Path, tmp_path: Path) -> None:
    small = Image.fromarray(PICTURE).resize((75, 75), Image.Resampling.BOX)
    tifffile.imwrite(tmp_path / "half.tif", np.asarray(small), resolution=(20000, 20000), resolutionunit="CENTIMETER")
    full = predict(config(_save(tmp_path / "full.png"), output=tmp_path / "f.tif", weights=weights, labels=True))
    half = predict(config(tmp_path / "half.tif", output=tmp_path / "h.tif", weights=weights, labels=True))
    told = predict(config(tmp_path / "half.tif", output=tmp_path / "t.tif", weights=weights, labels=True, mpp=0.25))
    assert read(tmp_path / "h.tif").shape == (75, 75)
    assert (full.predictions[0].mpp, half.predictions[0].mpp, told.predictions[0].mpp) == (None, 0.5, 0.25)
    small_truth = read(tmp_path / "f.tif")[::2, ::2] > 0
    resampled, taken_as_it_is = read(tmp_path / "h.tif") > 0, read(tmp_path / "t.tif") > 0
    assert (resampled != small_truth).mean() < min(0.1, (taken_as_it_is != small_truth).mean())
    with tifffile.TiffFile(tmp_path / "h.tif") as tiff:
        assert tiff.pages.first.get_resolution(unit="CENTIMETER")[0] == pytest.approx(20000)


def _save(path: Path) -> Path:
    Image.fromarray(PICTURE).save(path)
    return path


@pytest.mark.parametrize("size", [(1, 1), (255, 257), (3, 300)])
def test_outputs_have_the_size_of_the_image(weights: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    Image.fromarray(np.resize(PICTURE, (*size, 3))).save(tmp_path / "a.png")
    result = predict(config(tmp_path / "a.png", output=tmp_path / "m.png", weights=weights))
    assert read(tmp_path / "m.png").shape == size
    assert (result.predictions[0].height, result.predictions[0].width) == size


def test_one_failure_does_not_stop_the_others(weights: Path, picture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "b.png").write_bytes(picture.read_bytes())
    (folder / "a.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("not taken")
    (folder / "._b.png").write_bytes(b"litter of another system")
    told = Told()
    result = predict(config(folder, output=tmp_path / "out", weights=weights), told)
    counted = [line for line in told.lines if " of 2: " in line]
    assert counted[0] == "1 of 2: a.png, failed"
    assert re.fullmatch(r"2 of 2: b\.png, \d+ nuclei, \d+\.\d s", counted[1])
    assert [one.outputs.results[0].name for one in result.predictions] == ["b.png"]
    assert [(path.name, type(error)) for path, error in result.failures] == [("a.png", InputError)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b.png", "b.png.monuseg.json"]


def test_names_of_outputs_follow_pattern_folder_or_image(tmp_path: Path) -> None:
    def names(output: str, *images: str, **overrides: Any) -> list[str]:
        paths = [Path(image) for image in images]
        return [plan.results[0].as_posix() for plan in plan_outputs(paths, OutputSpec((output,), **overrides))]

    assert names("mask.png", "a.tif") == ["mask.png"]
    assert names("out/{stem}_mask.tif", "in/a.tif", "in/b.svs") == ["out/a_mask.tif", "out/b_mask.tif"]
    assert names("out", "a.tif", "b.tif") == ["out/a.png", "out/b.png"]
    assert names("out/{stem}.geojson", "in/a.b.ome.tif") == ["out/a.b.geojson"]
    assert names("out/", "a.tif", labels=True) == ["out/a.tif"]
    assert names(str(tmp_path), "a.tif") == [f"{tmp_path}/a.png"]


@pytest.mark.parametrize(
    ("images", "output", "overrides", "reason"),
    [
        (["a.tif", "b.tif"], "m.png", {}, "m.png would be written more than once; give a folder, or a pattern"),
        (["x/a.tif", "y/a.tif"], "out", {}, "out/a.png would be written more than once"),
        (["a.png"], "a.png", {}, "would be replaced by its result"),
        (["a.png"], "", {}, "is not a valid output name"),
        (["a.png"], "m_{foo}.png", {}, "the only placeholder is {stem}"),
        (["a.png"], "m_{stem.png", {}, "the only placeholder is {stem}"),
        (
            ["a.png"],
            "m.bmp",
            {},
            r"must end in \.png or .* or \.geojson\.gz or \.csv or \.parquet",
        ),
        (["a.png"], "m.png", {"labels": True}, r"needs a name that ends in \.tif"),
        (["a.png"], "m.tif", {"overlay": "o.tif"}, "cannot write"),
        (["a.png"], "m.png", {"overlay": "m.png"}, "more than once"),
    ],
)
def test_ambiguous_outputs_are_refused(images: list[str], output: str, overrides: dict[str, Any], reason: str) -> None:
    paths = [Path(image) for image in images]
    with pytest.raises(InputError, match=reason):
        plan_outputs(paths, OutputSpec((output,), **overrides))


def test_settings_out_of_range_are_refused_by_name(weights: Path, picture: Path, tmp_path: Path) -> None:
    for overrides, option in (
        ({"mpp": 40.0}, "`mpp`"),
        ({"threshold": 1.5}, "`threshold`"),
        ({"min_area_um2": -1.0}, "`min_area_um2`"),
    ):
        with pytest.raises(InputError, match=option):
            predict(config(picture, output=tmp_path / "m.png", weights=weights, **overrides))
    assert not (tmp_path / "m.png").exists()


def test_images_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no image .*gone.tif"):
        find_images([tmp_path / "gone.tif"])
    with pytest.raises(InputError, match="no image in the folder"):
        find_images([tmp_path])


def test_tiles_stitched_give_back_a_network_that_sees_one_pixel(weights: Path) -> None:
    class Brightness(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.logit(x.mean(dim=1, keepdim=True).clamp(0.01, 0.99)).expand(-1, 2, -1, -1)

    _, card = load_model(weights)
    grid = TileGrid((150, 150), largest_px=64, overlap_px=16)
    assert len(list(grid)) == 9
    rows = blended_rows(ArraySource(PICTURE), grid, TorchEngine(Brightness(), card, CPU), lambda *_: True, np.float32)
    maps, haematoxylin = (np.concatenate(parts, axis=-2) for parts in zip(*rows, strict=True))
    np.testing.assert_allclose(maps[0], PICTURE.mean(axis=-1) / 255, atol=1e-3)
    np.testing.assert_allclose(density_from_8_bits(haematoxylin), haematoxylin_density(PICTURE), atol=0.0065)


def test_the_cards_normalisation_reaches_the_network(weights: Path) -> None:
    model, card = load_model(weights)
    plain, _ = predict_array(PICTURE, 0.25, TorchEngine(model, card, CPU))
    shifted = dataclasses.replace(card, mean=(0.5, 0.5, 0.5))
    other, _ = predict_array(PICTURE, 0.25, TorchEngine(model, shifted, CPU))
    assert np.abs(plain - other).max() > 0.01


def test_overlapping_weights_add_up_to_one() -> None:
    first, inner, last = (ramp(400, 192, *ends) for ends in ((True, False), (False, False), (False, True)))
    assert first[0] == last[-1] == 1
    for before, after in ((first, inner), (inner, inner), (inner, last)):
        np.testing.assert_allclose(before[-192:] + after[:192], 1, rtol=1e-6)
    assert (ramp(64, 192, True, True) == 1).all()


def test_all_outputs_contain_the_same_nuclei(weights: Path, picture: Path, tmp_path: Path) -> None:
    names = ("m.png", "l.tif", "l.ome.tif", "n.geojson", "n.csv")
    asked = {"probability": str(tmp_path / "p.tif"), "overlay": str(tmp_path / "o.png"), "labels": True}
    outputs = tuple(tmp_path / name for name in names)
    (one,) = predict(config(picture, output=outputs, weights=weights, mpp=0.5, **asked)).predictions
    labels = read(tmp_path / "l.tif")
    np.testing.assert_array_equal(read(tmp_path / "l.ome.tif"), labels)
    np.testing.assert_array_equal(read(tmp_path / "m.png") > 0, labels > 0)
    with (tmp_path / "n.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["id"]) for row in rows] == list(range(1, one.nuclei + 1))
    features = json.loads((tmp_path / "n.geojson").read_text(encoding="utf-8"))["features"]
    assert [feature["properties"]["name"] for feature in features] == [row["id"] for row in rows]
    np.testing.assert_array_equal(raster_of(features, labels.shape), labels)
    areas = np.bincount(labels.reshape(-1))[1:] * 0.25
    np.testing.assert_allclose([float(row["area_um2"]) for row in rows], areas, rtol=0.2)
    assert sum(areas) == pytest.approx(sum(float(row["area_um2"]) for row in rows), rel=0.06)
    assert read(tmp_path / "p.tif").shape == (300, 300)  # at the model's 0.25 um/px


def raster_of(features: list[dict[str, Any]], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Fill polygons by the pixel-centre rule."""
    labels = np.zeros(shape, dtype=np.int64)
    for feature in features:
        geometry = feature["geometry"]
        polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        for outer, *holes in polygons:
            inside, *outside = (
                rasterise([np.array(ring)[:-1, ::-1]], (shape[0], shape[1])).labels > 0 for ring in (outer, *holes)
            )
            for hole in outside:
                inside &= ~hole
            labels[inside] = int(feature["properties"]["name"])
    return labels


def test_a_region_is_what_the_whole_slide_has_there(weights: Path, picture: Path, tmp_path: Path) -> None:
    (one,) = predict(config(picture, output=tmp_path / "r.csv", weights=weights, region=(30, 20, 100, 80))).predictions
    assert (one.height, one.width) == (80, 100)
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert all(20 <= float(row["row_px"]) <= 100 and 30 <= float(row["col_px"]) <= 130 for row in rows)
    failed = predict(config(picture, output=tmp_path / "q.csv", weights=weights, region=(100, 0, 100, 80)))
    assert "`region` 100 0 100 80 is not within" in str(failed.failures[0][1])


def test_glass_is_not_searched_for_nuclei(weights: Path, tmp_path: Path) -> None:
    slide = np.full((1500, 1500, 3), 243, dtype=np.uint8)
    slide[100:250, 100:250] = PICTURE
    Image.fromarray(slide).save(tmp_path / "s.png")
    everything = config(tmp_path / "s.png", output=tmp_path / "all.tif", weights=weights, labels=True)
    tissue = dataclasses.replace(
        everything,
        outputs=OutputSpec((str(tmp_path / "tissue.tif"),), labels=True, tissue=str(tmp_path / "t.png")),
        settings=SlideSettings(),
    )
    whole, part = predict(everything).predictions[0], predict(tissue).predictions[0]
    assert whole.tissue_mm2 == pytest.approx(0.375**2)
    assert 0.0375**2 < part.tissue_mm2 < 4 * 0.0375**2
    near = np.s_[50:300, 50:300]
    np.testing.assert_array_equal(read(tmp_path / "tissue.tif")[near] > 0, read(tmp_path / "all.tif")[near] > 0)
    assert 0 < (read(tmp_path / "t.png") > 0).mean() < 0.1


def test_what_is_done_is_not_done_again(weights: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in "abc":
        _save(folder / f"{name}.png")
    asked = config(folder, output=out, weights=weights)
    parts = [predict(dataclasses.replace(asked, part=part, num_parts=2)) for part in (1, 2)]
    assert [[one.outputs.image.name for one in part.predictions] for part in parts] == [["a.png", "c.png"], ["b.png"]]
    made = (out / "a.png").stat().st_mtime_ns
    (out / "b.png").unlink()
    os.utime(folder / "c.png", ns=(1, 1))
    again = predict(asked)
    assert [one.outputs.image.name for one in again.predictions] == ["b.png", "c.png"]
    assert [outputs.image.name for outputs in again.skipped] == ["a.png"]
    assert (out / "a.png").stat().st_mtime_ns == made
    assert len(predict(dataclasses.replace(asked, threshold=0.4)).predictions) == 3
    last = predict(dataclasses.replace(asked, threshold=0.4, overwrite=True)).predictions
    assert len(last) == 3
    with pytest.raises(InputError, match="`part=3` of `num_parts=2`"):
        predict(dataclasses.replace(asked, part=3, num_parts=2))
    found = json.loads((out / "a.png.monuseg.json").read_text(encoding="utf-8"))["found"]
    assert found["nuclei"] == last[0].nuclei > 0


def test_regions_of_interest_keep_what_has_its_centre_in_them(weights: Path, picture: Path, tmp_path: Path) -> None:
    def rois(*names: str) -> tuple[Roi, ...]:
        halves = {"top": (0, 0, 75, 150), "bottom": (75, 0, 150, 150), "glass": (400, 400, 500, 500)}
        corners = {
            name: np.array([(r, c), (r, d), (s, d), (s, c)], dtype=float) for name, (r, c, s, d) in halves.items()
        }
        return tuple(Roi(name, ((corners[name],),)) for name in names)

    def found(*names: str) -> tuple[Prediction, NDArray[np.int64]]:
        asked = config(picture, output=tmp_path / "l.tif", weights=weights, labels=True)
        settings = dataclasses.replace(asked.settings, rois=rois(*names))
        (one,) = predict(dataclasses.replace(asked, settings=settings)).predictions
        return one, read(tmp_path / "l.tif")

    whole, labels = found()
    both, of_both = found("top", "bottom")
    assert whole.rois == ()
    np.testing.assert_array_equal(of_both, labels)
    assert [roi.name for roi in both.rois] == ["top", "bottom"]
    assert sum(roi.nuclei for roi in both.rois) == whole.nuclei
    assert both.rois[0].mm2 == pytest.approx(75 * 150 * (0.25 / 1000) ** 2)
    top, of_top = found("top")
    assert 0 < top.nuclei == both.rois[0].nuclei < whole.nuclei
    assert not of_top[100:].any()
    nothing, of_nothing = found("glass")
    assert nothing.nuclei == 0
    assert not of_nothing.any()


def test_a_pale_image_is_matched_and_its_record_says_so(weights: Path, tmp_path: Path) -> None:
    model, card = load_model(weights)
    levels = sample_stain(ArraySource(PICTURE)).levels
    stronger = {name: (5 * low, 5 * high) for name, (low, high) in levels.items()}
    save_weights(tmp_path / "matching.safetensors", model.state_dict(), dataclasses.replace(card, stain=stronger))
    write_picture(tmp_path / "pale.png", PICTURE)
    found = {}
    for adapt in ("auto", "off"):
        asked = config(
            tmp_path / "pale.png", output=tmp_path / f"{adapt}.png", weights=tmp_path / "matching.safetensors", mpp=0.25
        )
        settings = dataclasses.replace(asked.settings, adapt=adapt)
        predict(dataclasses.replace(asked, settings=settings))
        record = json.loads((tmp_path / f"{adapt}.png.monuseg.json").read_text(encoding="utf-8"))
        assert record["settings"]["adapt"] == adapt
        found[adapt] = record["found"]["stain"]
    assert found == {"auto": {name: list(pair) for name, pair in levels.items()}, "off": {}}
    assert (tmp_path / "auto.png").read_bytes() != (tmp_path / "off.png").read_bytes()


def test_the_share_of_each_stage_is_told(picture: Path, weights: Path, tmp_path: Path) -> None:
    told = Told()
    predict(config(picture, output=tmp_path / "t.csv", weights=weights, threads=1), told)
    (line,) = [line for line in told.details if "busy" in line]
    stages = re.findall(r"([a-z ]+) (\d+) %", line.split(": ", 2)[2].split(";")[0])
    names = ["reading", "stain", "blending", "nuclei", "writing", "network and other work"]
    assert sorted(name.strip() for name, _ in stages) == sorted(names)
    assert sum(int(share) for _, share in stages) == pytest.approx(100, abs=3)
    assert "1 cores busy for" in line
