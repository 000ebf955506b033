"""Nuclei of other tools that cannot be measured, or not all of them."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from robustness.conftest import SMALL_DISK, Says
from robustness.test_annotations import LABELS, NUCLEI, POINT, outlined
from support.own import write_geojson
from support.tissue import draw_tissue

SIDE = LABELS.shape[0]
SCALE = ("--mpp", "0.25")


@pytest.fixture
def tissue(tmp_path: Path) -> Path:
    """An image that states no scale, and `labels.npy` of its nuclei."""
    Image.fromarray(draw_tissue(SIDE, seed=6)[0]).save(tmp_path / "tissue.png")
    np.save(tmp_path / "labels.npy", LABELS)
    return tmp_path / "tissue.png"


def test_an_unknown_scale(says: Says, tissue: Path, tmp_path: Path) -> None:
    says("measure", tissue, "--nuclei", tmp_path / "labels.npy", "-o", tmp_path / "n.csv")


@pytest.mark.parametrize("kind", ["tall pixels", "half an image", "no image"])
def test_images_that_are_refused(says: Says, tissue: Path, tmp_path: Path, kind: str) -> None:
    image = tmp_path / "image.tif"
    if kind == "tall pixels":
        pixels = draw_tissue(SIDE, seed=6)[0]
        tifffile.imwrite(image, pixels, photometric="rgb", resolution=(40000, 20000), resolutionunit="CENTIMETER")
    elif kind == "half an image":
        image.write_bytes(tissue.read_bytes()[:2000])
    scale = () if kind == "tall pixels" else SCALE
    says("measure", image, "--nuclei", tmp_path / "labels.npy", "-o", tmp_path / "n.csv", *scale)


@pytest.mark.parametrize("kind", ["another size", "1 and 2", "a photo", "half a file", "none"])
def test_label_images_that_are_refused(says: Says, tissue: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "nuclei.tif"
    if kind == "a photo":
        tifffile.imwrite(path, draw_tissue(SIDE, seed=7)[0], photometric="rgb")
    elif kind == "half a file":
        tifffile.imwrite(path, LABELS, compression="zlib")
        path.write_bytes(path.read_bytes()[:900])
    elif kind != "none":
        tifffile.imwrite(path, LABELS[:-5] if kind == "another size" else (LABELS > 0).astype(np.uint8) + 1)
    says("measure", tissue, "--nuclei", path, "-o", tmp_path / "n.csv", *SCALE)


@pytest.mark.parametrize("kind", ["points", "micrometres", "another image"])
def test_outlines_that_are_refused(says: Says, tissue: Path, tmp_path: Path, kind: str) -> None:
    features = {
        "points": [POINT],
        "micrometres": outlined([polygon / 4 + 0.1 for polygon in NUCLEI]),
        "another image": outlined([polygon + 4 * SIDE for polygon in NUCLEI]),
    }
    write_geojson(tmp_path / "a.geojson", features[kind])
    says("measure", tissue, "--nuclei", tmp_path / "a.geojson", "-o", tmp_path / "n.csv", *SCALE)


@pytest.mark.parametrize("output", ["n.txt", "labels.npy/n.csv"])
def test_tables_that_are_refused(says: Says, tissue: Path, tmp_path: Path, output: str) -> None:
    says("measure", tissue, "--nuclei", tmp_path / "labels.npy", "-o", tmp_path / output, *SCALE)


def test_a_table_that_would_replace_the_outlines(says: Says, tissue: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    write_geojson(path, outlined())
    says("measure", tissue, "--nuclei", path, "-o", path, *SCALE)


def test_a_measurement_of_no_known_name(says: Says, tissue: Path, tmp_path: Path) -> None:
    words = ("--measurements", "textures")
    says("measure", tissue, "--nuclei", tmp_path / "labels.npy", "-o", tmp_path / "n.csv", *SCALE, *words)


def test_a_full_disk(says: Says, tissue: Path, small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "filled").write_bytes(bytes(SMALL_DISK))
    says("measure", tissue, "--nuclei", tmp_path / "labels.npy", "-o", small_disk / "n.csv", *SCALE)


@pytest.mark.parametrize("kind", ["left out", "covered", "nothing"])
def test_nuclei_that_are_not_measured(says: Says, tissue: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.geojson"
    if kind == "nothing":
        path = tmp_path / "none.npy"
        np.save(path, np.zeros_like(LABELS))
    else:
        write_geojson(path, outlined([*NUCLEI, NUCLEI[0]]) if kind == "covered" else [POINT, *outlined()])
    says("measure", tissue, "--nuclei", path, "-o", tmp_path / "n.csv", *SCALE)
