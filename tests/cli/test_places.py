"""Every command prints the path of each file that it writes, or of a folder with nothing else in it."""

import json
from pathlib import Path

import pytest
from PIL import Image

from conftest import Monuseg
from monuseg_cli.core.home import Home
from support.classes import write_two_kinds
from support.tissue import draw_tissue

RUN = "{home}/runs/unet-se"
SCORES = ("scores.csv", "scores.md", "scores.json")


def scores(folder: str) -> list[str]:
    return [f"{folder}/{name}" for name in SCORES]


COMMANDS: dict[str, tuple[str, list[str]]] = {
    "download": ("download --archive {archive} --allow-unverified", ["{home}/data/monuseg"]),
    "masks": ("masks", ["{home}/data/monuseg/masks"]),
    "masks with pictures": ("masks --preview", ["{home}/data/monuseg/masks", "{home}/data/monuseg/masks/preview"]),
    "patches with pictures": (
        "patches --patch-px 64 --stride-px 64 --format png",
        ["{home}/data/monuseg/patches/train-64-64-shift", "{home}/data/monuseg/patches/train-64-64-shift/png"],
    ),
    "a run": (
        "train --resume unet-se --device cpu",
        [f"{RUN}/{name}" for name in ("best.safetensors", "last.safetensors", "history.csv", "curves.png")],
    ),
    "curves": ("runs --curves {out}/c.png", ["{out}/c.png"]),
    "scores of a model": ("evaluate unet-se --device cpu", scores(f"{RUN}/evaluation/best-val")),
    "scores with pictures and a report": (
        "evaluate unet-se --device cpu --overlays --report {out}/r.html -o {out}/s",
        [*scores("{out}/s"), "{out}/s/overlays", "{out}/r.html"],
    ),
    "scores of two models": (
        f"evaluate unet-se {RUN}/last.safetensors --device cpu -o {{out}}/s",
        [
            *scores("{out}/s/unet-se-best"),
            *scores("{out}/s/unet-se-last"),
            "{out}/s/comparison.csv",
            "{out}/s/comparison.md",
            "{out}/s/comparison.tex",
        ],
    ),
    "scores of masks": (
        "evaluate --predictions {masks} --reference {masks} -o {out}/s --report {out}/r.html",
        [*scores("{out}/s"), "{out}/r.html"],
    ),
    "masks of an image": (
        "predict {image} -o {out}/m.png -o {out}/n.csv -o {out}/h.pdf -o {out}/n.zarr --overlay {out}/o.png "
        "--save-tissue-mask {out}/t.png --overwrite --model unet-se --engine torch",
        ["{out}/m.png", "{out}/n.csv", "{out}/h.pdf", "{out}/n.zarr", "{out}/o.png", "{out}/t.png"],
    ),
    "measurements": (
        "measure {image} --nuclei {mask} --mpp 0.25 -o {out}/n.csv -o {out}/n.xlsx --summary {out}/s.csv "
        "--roi-summary {out}/r.csv",
        ["{out}/n.csv", "{out}/n.xlsx", "{out}/s.csv", "{out}/r.csv"],
    ),
    "classes of nuclei": (
        "classify {kinds} --nuclei {kinds_labels} --annotations {kinds_classes} --mpp 0.25 -o {out}/a.classes",
        ["{out}/a.classes"],
    ),
    "outlines": ("show {image} --labels {mask} -o {out}/o.png", ["{out}/o.png"]),
    "a model for other programs": ("export unet-se -o {out}/m.onnx", ["{out}/m.onnx"]),
    "a package of bioimage.io": ("export default --format bioimageio -o {out}/m.zip", ["{out}/m.zip"]),
    "a first look": (
        "demo -o {out}/demo --model unet-se",
        [
            f"{{out}}/demo/{name}"
            for name in ("mask.png", "overlay.png", "nuclei.geojson", "nuclei.csv", "report.html", "tissue.jpg")
        ],
    ),
}


@pytest.mark.parametrize("kind", COMMANDS)
def test_paths_of_outputs_are_printed_and_listed(
    monuseg: Monuseg, trained_home: Home, archives: tuple[Path, Path], tmp_path: Path, kind: str
) -> None:
    pixels = draw_tissue(64, seed=2)[0]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray((pixels[..., 0] < 150).astype("uint8") * 255).save(tmp_path / "masks" / "a.png")
    places = {
        "home": trained_home.root,
        "out": tmp_path / "out",
        "archive": archives[0],
        "image": tmp_path / "a.png",
        "masks": tmp_path / "masks",
        "mask": tmp_path / "masks" / "a.png",
    }
    if kind.startswith("classes"):
        kinds = write_two_kinds(tmp_path)
        places |= dict(zip(("kinds", "kinds_labels", "kinds_classes"), kinds, strict=True))
    words, expected = COMMANDS[kind]
    command = [word.format(**places) for word in (*words.split(), "--home", "{home}")]
    listed = monuseg(*command, "--json")
    assert listed.exit_code == 0, listed.stderr
    written = json.loads(listed.stdout)["written"]
    assert written == [place.format(**places) for place in expected]
    printed = monuseg(*command)
    assert printed.exit_code == 0, printed.stderr
    for place in written:
        assert Path(place).exists()
        assert place in printed.stdout
    new = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and ".monuseg." not in path.name]
    for path in new:
        assert any(path.is_relative_to(place) for place in written), path


def test_paths_of_several_images(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    """The folder is printed; with --json, all files are listed."""
    (tmp_path / "images").mkdir()
    for name in "ab":
        Image.fromarray(draw_tissue(64, seed=2)[0]).save(tmp_path / "images" / f"{name}.png")
    words = ("predict", tmp_path / "images", "-o", tmp_path / "out", "--model", "unet-se", "--engine", "torch")
    printed = monuseg(*words, "--home", trained_home.root)
    assert f"Written: 2 files in {tmp_path / 'out'}/" in printed.stdout
    listed = monuseg(*words, "--overwrite", "--json", "--home", trained_home.root)
    assert json.loads(listed.stdout)["written"] == [str(tmp_path / "out" / f"{name}.png") for name in "ab"]


def test_paths_of_plots(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    """The folder is printed; with --json, all files are listed."""
    masks = trained_home.dataset / "masks" / "labels"
    words = ("evaluate", "--predictions", masks, "--reference", masks, "--plots", tmp_path / "plots")
    printed = monuseg(*words)
    written = json.loads(monuseg(*words, "--json").stdout)["written"]
    assert f"Plots: {len(written)} files in {tmp_path / 'plots'}/" in printed.stdout
    assert sorted(written) == sorted(map(str, (tmp_path / "plots").iterdir()))
    assert f"{tmp_path / 'plots' / 'images.pdf'}" in written


def test_nothing_is_listed_if_nothing_was_written(monuseg: Monuseg, trained_home: Home) -> None:
    for words in (("runs",), ("evaluate", "--predictions", "{masks}", "--reference", "{masks}")):
        masks = trained_home.dataset / "masks" / "labels"
        command = [word.format(masks=masks) for word in words]
        assert json.loads(monuseg(*command, "--json", "--home", trained_home.root).stdout)["written"] == []
