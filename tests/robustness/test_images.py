"""Images and masks that are damaged, hostile or of odd shape."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from monuseg_cli.outputs.plan import OutputSpec, plan_outputs
from robustness.conftest import Says
from support.processes import measure
from support.table import Row, hold
from support.tissue import draw_tissue

PICTURE, _ = draw_tissue(80, seed=6)
TWO_TILES: dict[str, Any] = {"shape": (128, 64, 3), "dtype": np.uint8, "tile": (64, 64), "metadata": None}
Make = Callable[[Path], object]


def png_chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def blank_png(width: int, height: int, *chunks: bytes) -> Make:
    """Write a grey PNG of zeros, which packs a thousandfold."""

    def make(path: Path) -> None:
        packer = zlib.compressobj(9)
        lines = b"".join(packer.compress(bytes(1 + width)) for _ in range(height)) + packer.flush()
        head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + png_chunk(b"IDAT", lines) + png_chunk(b"IEND", b"")
        )

    return make


def text_bomb(path: Path) -> None:
    blank_png(8, 8, png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 << 20), 9)))(path)


def plain(kind: str, pixels: NDArray[np.uint8] = PICTURE, *, keep: float = 1) -> Make:
    """Write a picture, or the first part of the file."""

    def make(path: Path) -> None:
        Image.fromarray(pixels).save(path, kind)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])

    return make


def tiff(pixels: NDArray[np.generic], *, keep: float = 1, **options: Any) -> Make:
    def make(path: Path) -> None:
        tifffile.imwrite(path, pixels, metadata=None, **options)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])

    return make


def claiming(**tags: int) -> Make:
    """Write a TIFF of one tile whose tags state something else."""

    def make(path: Path) -> None:
        tifffile.imwrite(path, PICTURE[:64, :64], tile=(64, 64), photometric="rgb", metadata=None)
        with tifffile.TiffFile(path, mode="r+") as file:
            for name, value in tags.items():
                file.pages.first.tags[name].overwrite(value)

    return make


def huge_inside(path: Path) -> None:
    """Write a TIFF one of whose tiles is a JPEG that states 60,000 pixels a side."""
    tile = bytes(imagecodecs.jpeg_encode(PICTURE[:64, :64]))
    at = tile.index(b"\xff\xc0") + 5
    tiles = [tile[:at] + struct.pack(">HH", 60_000, 60_000) + tile[at + 4 :], tile]
    tifffile.imwrite(path, iter(tiles), compression="jpeg", photometric="ycbcr", **TWO_TILES)


def huge_webp_inside(path: Path) -> None:
    """Write a TIFF one of whose tiles is a WebP that states 16,383 pixels a side, the most that WebP can."""
    tile = bytes(imagecodecs.webp_encode(PICTURE[:64, :64], lossless=False))
    at = tile.index(b"\x9d\x01\x2a") + 3
    tiles = [tile[:at] + struct.pack("<HH", 16_383, 16_383) + tile[at + 4 :], tile]
    tifffile.imwrite(path, iter(tiles), compression="webp", photometric="rgb", **TWO_TILES)


def one_strip(path: Path) -> None:
    """Write a TIFF of one strip that unpacks to more than a GiB, out of a megabyte."""
    packer = zlib.compressobj(9)
    strip = b"".join(packer.compress(bytes(1 << 22)) for _ in range(20)) + packer.flush()
    options: dict[str, Any] = {"shape": (64, 64, 3), "dtype": np.uint8, "rowsperstrip": 64, "photometric": "rgb"}
    tifffile.imwrite(path, iter([strip]), compression="zlib", metadata=None, **options)
    with tifffile.TiffFile(path, mode="r+") as file:
        for name in ("ImageLength", "ImageWidth", "RowsPerStrip"):
            file.pages.first.tags[name].overwrite(20_000)


def inflating(path: Path) -> None:
    """Write a TIFF with a tile that unpacks to a hundred times its size."""
    options: dict[str, Any] = {"shape": (64, 64, 3), "dtype": np.uint8, "tile": (64, 64), "photometric": "rgb"}
    tifffile.imwrite(path, iter([zlib.compress(bytes(2 << 20), 9)]), compression="zlib", metadata=None, **options)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        pytest.param("a.tif", tiff(PICTURE, tile=(16, 16), compression="zlib", keep=0.5), id="cut TIFF"),
        pytest.param("a.png", plain("PNG", keep=0.5), id="cut PNG"),
        pytest.param("a.jpg", plain("JPEG", keep=0.5), id="cut JPEG"),
        pytest.param("a.bmp", plain("BMP", keep=0.5), id="cut BMP"),
        pytest.param("a.webp", plain("WEBP", keep=0.5), id="cut WebP"),
        pytest.param("a.svs", lambda path: path.write_text("just text"), id="text"),
        pytest.param("a.jpg", lambda path: path.touch(), id="empty"),
        pytest.param("a.tif", lambda path: path.write_bytes(b"II*\0" + bytes(4)), id="TIFF without pages"),
        pytest.param("a.tif", claiming(ImageLength=0), id="TIFF of no rows"),
        pytest.param("a.png", blank_png(0, 0), id="PNG of no pixels"),
        pytest.param("a.tif", tiff(PICTURE.astype(np.float32), photometric="rgb"), id="floats"),
        pytest.param("a.tif", tiff(np.full((8, 8, 3), np.nan, np.float32), photometric="rgb"), id="nan"),
        pytest.param("a.tif", tiff(PICTURE[..., 0] > 128), id="one bit"),
        pytest.param("a.tif", tiff(PICTURE.astype(np.int16), photometric="rgb"), id="signed"),
        pytest.param("a.tif", tiff(np.zeros((5, 64, 64), np.uint8), planarconfig="separate"), id="five channels"),
        pytest.param("a.png", text_bomb, id="text that unpacks"),
        pytest.param("a.png", blank_png(20_000, 20_000), id="400 megapixels"),
        pytest.param("a.tif", claiming(ImageLength=10**6, ImageWidth=10**6), id="tiles that are not there"),
        pytest.param("a.tif", claiming(TileLength=2**17, TileWidth=2**17), id="a huge tile"),
        pytest.param("a.tif", inflating, id="a tile that unpacks"),
    ],
)
def test_images_that_are_refused(says: Says, weights: Path, tmp_path: Path, name: str, make: Make) -> None:
    make(tmp_path / name)
    says("predict", tmp_path / name, "-o", tmp_path / "out" / "m.png", "--model", weights, "--engine", "torch")


@pytest.mark.parametrize(
    ("words", "make"),
    [
        pytest.param("slide-info a.tif", one_strip, id="one strip"),
        pytest.param("show a.tif -o s.png", one_strip, id="one strip shown"),
        pytest.param(
            "predict a.tif -o m.png --engine torch --model w.safetensors", huge_inside, id="huge inside a tile"
        ),
        pytest.param(
            "predict a.tif -o m.png --engine torch --model w.safetensors",
            huge_webp_inside,
            id="huge WebP inside",
        ),
        pytest.param("show p.png --labels a.tif -o s.png", blank_png(20_000, 20_000), id="labels"),
    ],
)
def test_decompression_bombs_stay_within_memory(
    row: Row, weights: Path, picture: Path, tmp_path: Path, words: str, make: Make
) -> None:
    """In memory that is measured."""
    make(tmp_path / "a.tif")
    files = {"a.tif": tmp_path / "a.tif", "w.safetensors": weights, "p.png": picture}
    given = [files.get(word, tmp_path / word if word.endswith(".png") else word) for word in words.split()]
    result, gib = measure(*given)
    hold(row, result.returncode, result.stdout, result.stderr, tmp_path)
    assert gib < 2
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("suffix", [".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"])
def test_images_of_one_pixel_are_predicted(says: Says, weights: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix.startswith(".tif"):
        tifffile.imwrite(path, PICTURE[:1, :1], photometric="rgb")
    else:
        Image.fromarray(PICTURE[:1, :1]).save(path)
    says("predict", path, "-o", tmp_path / "m.png", "--model", weights, "--engine", "torch")
    with Image.open(tmp_path / "m.png") as mask:
        assert mask.size == (1, 1)


@pytest.mark.parametrize("shape", [(2, 30_000), (30_000, 2)], ids=["wide", "tall"])
def test_strips_of_30_000_px(says: Says, weights: Path, tmp_path: Path, shape: tuple[int, int]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.resize(PICTURE, (*shape, 3)), photometric="rgb")
    says("predict", tmp_path / "a.tif", "-o", tmp_path / "m.png", "--model", weights, "--engine", "torch")
    with Image.open(tmp_path / "m.png") as mask:
        assert mask.size == shape[::-1]


@pytest.mark.parametrize(("kind", "name"), [("PNG", "a.tif"), ("JPEG", "a.png"), ("TIFF", "a.jpg")])
def test_images_with_a_wrong_suffix_are_read_by_content(
    says: Says, weights: Path, tmp_path: Path, kind: str, name: str
) -> None:
    Image.fromarray(PICTURE[..., 0]).save(tmp_path / name, kind)
    says("predict", tmp_path / name, "-o", tmp_path / "m.png", "--model", weights, "--engine", "torch")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: path.write_text("just text"), id="text"),
        pytest.param(Path.mkdir, id="folder"),
        pytest.param(lambda path: None, id="gone"),
        pytest.param(claiming(TileWidth=0), id="tiles of no width"),
    ],
)
def test_slides_that_are_refused(says: Says, tmp_path: Path, make: Make) -> None:
    make(tmp_path / "a.svs")
    says("slide-info", tmp_path / "a.svs")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="only POSIX has named pipes")
@pytest.mark.parametrize("command", ["slide-info", "predict"])
def test_a_named_pipe_is_refused_as_an_image(says: Says, weights: Path, tmp_path: Path, command: str) -> None:
    os.mkfifo(tmp_path / "a.tif")
    rest = ("-o", tmp_path / "m.png", "--model", weights) if command == "predict" else ()
    says(command, tmp_path / "a.tif", *rest)


def test_an_image_that_disappears_is_one_error(
    says: Says, monkeypatch: pytest.MonkeyPatch, weights: Path, picture: Path, tmp_path: Path
) -> None:
    """Between the listing of the images and its turn."""
    plans = plan_outputs([tmp_path / "gone.png"], OutputSpec((str(tmp_path / "m.png"),)))
    monkeypatch.setattr("monuseg_cli.prediction.batch.plan_outputs", lambda *_: plans)
    says("predict", picture, "-o", tmp_path / "m.png", "--model", weights, "--engine", "torch")


def npy(content: NDArray[np.generic]) -> Make:
    return lambda path: np.save(path, content, allow_pickle=True)


def npy_that_claims(path: Path) -> None:
    """State a size that no disk holds."""
    np.save(path, np.zeros((800, 800), dtype=np.int8))
    path.write_bytes(path.read_bytes().replace(b"(800, 800), }    ", b"(99999, 99999), }"))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(npy(np.full((8, 8), np.nan)), id="nan"),
        pytest.param(npy(np.full((8, 8), -1)), id="negative"),
        pytest.param(npy(np.array([{}], dtype=object)), id="pickle"),
        pytest.param(npy_that_claims, id="claims"),
        pytest.param(npy(np.zeros((9, 9), np.int32)), id="other size"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
    ],
)
def test_label_images_that_are_refused(says: Says, tmp_path: Path, make: Make) -> None:
    for folder in ("predictions", "references"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "a.npy", np.zeros((8, 8), dtype=np.int32))
    make(tmp_path / "predictions" / "a.npy")
    says("evaluate", "--predictions", tmp_path / "predictions", "--reference", tmp_path / "references")


def test_labels_of_another_size_are_refused(says: Says, picture: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 9), dtype=np.uint8)).save(tmp_path / "l.png")
    says("show", picture, "--labels", tmp_path / "l.png", "-o", tmp_path / "s.png")


def test_a_scale_that_cannot_be_estimated(says: Says, tmp_path: Path) -> None:
    Image.new("RGB", (100, 100), (245, 244, 246)).save(tmp_path / "glass.png")
    output = ("-o", tmp_path / "mask.png", "--engine", "torch", "--device", "cpu")
    says("predict", tmp_path / "glass.png", *output, "--mpp", "estimate")
