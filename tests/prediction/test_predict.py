import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image

from monuseg_cli.errors import InputError, MissingError
from monuseg_cli.models.weights import load_model
from monuseg_cli.paths import Home
from monuseg_cli.prediction import engine
from monuseg_cli.prediction.engine import blending_window, count_tiles, predict_probability
from monuseg_cli.prediction.predict import PredictConfig, find_images, plan_outputs, predict
from tissue import draw_tissue

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


def config(*images: Path, output: object, weights: Path = Path("w"), **knobs: Any) -> PredictConfig:
    return PredictConfig(images, str(output), weights, **knobs)


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
    def covered(**knobs: Any) -> int:
        predict(config(picture, output=tmp_path / "m.png", weights=weights, **knobs))
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
def test_any_size(weights: Path, tmp_path: Path, size: tuple[int, int]) -> None:
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
    result = predict(config(folder, output=tmp_path / "out", weights=weights))
    assert [one.output.name for one in result.predictions] == ["b.png"]
    assert [(path.name, type(error)) for path, error in result.failures] == [("a.png", InputError)]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]


def test_names_of_outputs(tmp_path: Path) -> None:
    def names(output: str, *images: str, **knobs: Any) -> list[str]:
        paths = [Path(image) for image in images]
        return [place.as_posix() for place, _ in plan_outputs(paths, config(*paths, output=output, **knobs))]

    assert names("mask.png", "a.tif") == ["mask.png"]
    assert names("out/{stem}_mask.tif", "in/a.tif", "in/b.svs") == ["out/a_mask.tif", "out/b_mask.tif"]
    assert names("out", "a.tif", "b.tif") == ["out/a.png", "out/b.png"]
    assert names("out/", "a.tif", labels=True) == ["out/a.tif"]
    assert names(str(tmp_path), "a.tif") == [f"{tmp_path}/a.png"]


@pytest.mark.parametrize(
    ("images", "output", "knobs", "reason"),
    [
        (["a.tif", "b.tif"], "m.png", {}, "m.png would be written more than once; give a folder, or a pattern"),
        (["x/a.tif", "y/a.tif"], "out", {}, "out/a.png would be written more than once"),
        (["a.png"], "a.png", {}, "would be replaced by its result"),
        (["a.png"], "", {}, "is no name to write to"),
        (["a.png"], "m_{foo}.png", {}, "the one pattern is {stem}"),
        (["a.png"], "m_{stem.png", {}, "the one pattern is {stem}"),
        (["a.png"], "m.bmp", {}, r"must end in \.png or \.tif or \.tiff"),
        (["a.png"], "m.png", {"labels": True}, r"needs a name that ends in \.tif"),
        (["a.png"], "m.tif", {"overlay": "o.tif"}, "cannot write"),
        (["a.png"], "m.png", {"overlay": "m.png"}, "more than once"),
    ],
)
def test_outputs_that_cannot_be(images: list[str], output: str, knobs: dict[str, Any], reason: str) -> None:
    paths = [Path(image) for image in images]
    with pytest.raises(InputError, match=reason):
        plan_outputs(paths, config(*paths, output=output, **knobs))


def test_numbers_that_cannot_be(weights: Path, picture: Path, tmp_path: Path) -> None:
    for knobs, option in (
        ({"mpp": 40.0}, "--mpp"),
        ({"threshold": 1.5}, "--threshold"),
        ({"min_area_um2": -1.0}, "--min-area"),
    ):
        with pytest.raises(InputError, match=option):
            predict(config(picture, output=tmp_path / "m.png", weights=weights, **knobs))
    assert not (tmp_path / "m.png").exists()


def test_images_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no image .*gone.tif"):
        find_images([tmp_path / "gone.tif"])
    with pytest.raises(InputError, match="no image in the folder"):
        find_images([tmp_path])


def test_an_image_too_large_for_memory_is_refused(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "large.tif"
    tile = np.zeros((1024, 1024, 3), dtype=np.uint8)
    tifffile.imwrite(
        path,
        (tile for _ in range(400)),
        shape=(20000, 20000, 3),
        dtype=np.uint8,
        tile=(1024, 1024),
        photometric="rgb",
        compression="zlib",
        compressionargs={"level": 1},
    )
    result = predict(config(path, output=tmp_path / "m.png", weights=weights))
    assert "20000x20000 pixels, 400 megapixels as the model sees them, would take about 22 GiB" in str(
        result.failures[0][1]
    )
    Image.fromarray(np.zeros((1, 10**6, 3), dtype=np.uint8)).save(tmp_path / "long.png")
    result = predict(config(tmp_path / "long.png", output=tmp_path / "m.png", weights=weights))
    assert "1000000x1 pixels, 256 megapixels" in str(result.failures[0][1])
    assert not (tmp_path / "m.png").exists()


def test_tiles_stitched_give_back_a_network_that_sees_one_pixel(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    class Brightness(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.logit(x.mean(dim=1, keepdim=True).clamp(0.01, 0.99))

    _, card = load_model(weights)
    monkeypatch.setattr(engine, "TILE_PX", 64)
    monkeypatch.setattr(engine, "OVERLAP_PX", 16)
    probability = predict_probability(PICTURE, Brightness(), card, CPU)
    np.testing.assert_allclose(probability[0], PICTURE.mean(axis=-1) / 255, atol=1e-5)
    assert count_tiles((150, 150)) == 9


def test_the_cards_normalisation_reaches_the_network(weights: Path) -> None:
    model, card = load_model(weights)
    plain = predict_probability(PICTURE, model, card, CPU)
    other = predict_probability(PICTURE, model, dataclasses.replace(card, mean=(0.5, 0.5, 0.5)), CPU)
    assert np.abs(plain - other).max() > 0.01


def test_blending_weights_are_positive_symmetric_and_one_inside() -> None:
    window = blending_window(8, 3)
    assert window.min() > 0
    assert window[3:5, 3:5].min() == 1
    np.testing.assert_array_equal(window, window[::-1, ::-1])
