"""Annotations and masks of somebody's own that mean something other than nuclei, and images that are there twice."""

import gzip
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from monuseg_cli.dataset.folder import scan_folder
from monuseg_cli.models.card import Card
from monuseg_cli.models.weights import load_model, save_weights
from robustness.conftest import QUICK, Says
from support.own import feature, region, write_folder, write_geojson
from support.tissue import Polygon, draw_tissue, ellipse

NUCLEI = [ellipse(20, 20, 6, 8), ellipse(60, 30, 7, 7), ellipse(40, 60, 8, 6)]
AROUND = ellipse(40, 40, 39, 39)
POINT: dict[str, object] = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [3, 4]}}
NOTHING: dict[str, object] = {"type": "Feature", "geometry": None, "properties": {}}
LABELS = np.kron(np.arange(1, 26).reshape(5, 5), np.pad(np.ones((16, 16), dtype=np.int32), 12))
MASK = LABELS > 0
BORDER = MASK & ~ndimage.binary_erosion(MASK, iterations=2)


def outlined(polygons: Sequence[Polygon] = NUCLEI) -> list[dict[str, object]]:
    return [feature(polygon) for polygon in polygons]


def write_xml(path: Path, **layers: Sequence[Polygon]) -> None:
    def region_of(polygon: Polygon) -> str:
        vertices = "".join(f'<Vertex X="{col}" Y="{row}"/>' for row, col in polygon)
        return f"<Region><Vertices>{vertices}</Vertices></Region>"

    body = "".join(
        f'<Annotation Name="{name}"><Regions>{"".join(map(region_of, polygons))}</Regions></Annotation>'
        for name, polygons in layers.items()
    )
    path.write_text(f"<Annotations>{body}</Annotations>")


def jpeg(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=75)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize(
    "features",
    [
        pytest.param([feature(AROUND, classification="Ignore*"), POINT], id="nothing"),
        pytest.param([feature(AROUND, classification="Tissue"), *outlined()], id="tissue"),
        pytest.param([feature(AROUND), *outlined()], id="a parent"),
        pytest.param([NOTHING, POINT, *outlined()], id="no area"),
        pytest.param([feature(AROUND, objectType="tile"), *outlined()], id="tiles"),
        pytest.param([region("", 0, 0, 50, 80), *outlined()], id="a region"),
        pytest.param([feature(AROUND, classification={"name": "Region*"}), *outlined()], id="a round region"),
    ],
)
def test_objects_that_are_no_nuclei(
    says: Says, picture: Path, tmp_path: Path, features: list[dict[str, object]]
) -> None:
    write_geojson(tmp_path / "a.geojson", features)
    says("show", picture, "--labels", tmp_path / "a.geojson", "-o", tmp_path / "shown.png")


def test_a_layer_of_tissue_is_left_out(says: Says, picture: Path, tmp_path: Path) -> None:
    write_xml(tmp_path / "a.xml", nuclei=NUCLEI, Tissue=[AROUND])
    says("show", picture, "--labels", tmp_path / "a.xml", "-o", tmp_path / "shown.png")


def test_an_outline_as_large_as_tissue(says: Says, tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(imagecodecs.png_encode(draw_tissue(300, seed=1)[0]))
    write_geojson(tmp_path / "a.geojson", [feature(ellipse(150, 150, 120, 120))])
    says("show", tmp_path / "large.png", "--labels", tmp_path / "a.geojson", "-o", tmp_path / "shown.png")


@pytest.mark.parametrize("kind", ["two in a zip", "half a gzip", "another JSON", "far corners"])
def test_files_without_geojson_are_refused(says: Says, picture: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / {"two in a zip": "a.zip", "half a gzip": "a.geojson.gz"}.get(kind, "a.json")
    text = json.dumps({"type": "FeatureCollection", "features": outlined()})
    if kind == "two in a zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.geojson", text)
            archive.writestr("b.geojson", text)
    elif kind == "half a gzip":
        path.write_bytes(gzip.compress(text.encode())[:80])
    elif kind == "far corners":
        write_geojson(path, outlined([*NUCLEI, AROUND * 1e300]))
    else:
        path.write_text('{"images": [], "annotations": []}')
    says("show", picture, "--labels", path, "-o", tmp_path / "shown.png")


def test_coordinates_in_micrometres(says: Says, tmp_path: Path) -> None:
    (polygons,) = write_folder(tmp_path / "own", ["a"]).values()
    write_geojson(tmp_path / "own" / "annotations" / "a.geojson", outlined([polygon / 4 for polygon in polygons]))
    says("masks", "--data", tmp_path / "own")


def test_a_slide_without_a_region(says: Says, tmp_path: Path) -> None:
    write_folder(tmp_path / "own", ["a"])
    (tmp_path / "own" / "images" / "a.png").unlink()
    glass = np.full((2048, 2048, 3), 230, dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "own" / "images" / "a.tif") as tiff:
        tiff.write(glass, tile=(256, 256), subifds=1, photometric="rgb", compression="zlib")
        tiff.write(glass[::4, ::4], tile=(256, 256), subfiletype=1, photometric="rgb", compression="zlib")
    says("masks", "--data", tmp_path / "own")


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param((MASK + 1).astype(np.uint8), id="1 and 2"),
        pytest.param((LABELS + 1).astype(np.uint8), id="background 1"),
        pytest.param((LABELS % 3 + MASK).astype(np.uint8), id="classes"),
        pytest.param((MASK + BORDER * 1).astype(np.uint8), id="borders"),
        pytest.param(np.dstack([LABELS, LABELS * 3, LABELS]).astype(np.uint8), id="colours"),
        pytest.param(ndimage.zoom(LABELS, 1.5, order=1).astype(np.uint8), id="interpolated"),
        pytest.param(jpeg(MASK.astype(np.uint8) * 255), id="JPEG"),
        pytest.param((LABELS == 0).astype(np.uint8), id="inverted"),
        pytest.param(np.where(np.indices(MASK.shape)[1] < 60, 99, LABELS).astype(np.uint8), id="over 5 %"),
        pytest.param(
            np.kron(np.arange(1, 26).reshape(5, 5), np.pad(np.ones((4, 4)), 18)).astype(np.uint8), id="specks"
        ),
    ],
)
def test_values_other_than_labels_are_refused(says: Says, tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    for folder in ("predictions", "references"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "predictions" / "a.npy", np.zeros(pixels.shape[:2], dtype=np.int32))
    (tmp_path / "references" / "a.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))
    says("evaluate", "--predictions", tmp_path / "predictions", "--reference", tmp_path / "references")


def test_a_probability_map_is_refused_as_labels(says: Says, picture: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ndimage.gaussian_filter(MASK[:80, :80] * 1.0, 6))
    says("show", picture, "--labels", tmp_path / "a.npy", "-o", tmp_path / "shown.png")


def test_more_labels_than_8_bits_hold(says: Says, tmp_path: Path) -> None:
    write_folder(tmp_path / "own", ["a"], size=160)
    (tmp_path / "own" / "annotations" / "a.geojson").unlink()
    labels = np.kron(np.arange(400).reshape(20, 20) % 255 + 1, np.pad(np.ones((6, 6), dtype=np.uint8), 1))
    (tmp_path / "own" / "annotations" / "a.png").write_bytes(imagecodecs.png_encode(labels.astype(np.uint8)))
    says("masks", "--data", tmp_path / "own")


def resave(path: Path, stem: str) -> None:
    """Save an image's pixels in a file of another format and name."""
    tifffile.imwrite(path.with_name(f"{stem}.tif"), imagecodecs.png_decode(path.read_bytes()), compression="zlib")


def twice(folder: Path) -> None:
    """Write a folder in which a.png and c.tif hold the same pixels."""
    write_folder(folder, ["a", "b", "c"])
    (folder / "images" / "c.png").unlink()
    resave(folder / "images" / "a.png", "c")


@pytest.mark.parametrize("splits", ["train,train,val", "train,val,train"])
def test_one_image_in_two_files_is_found_by_its_pixels(says: Says, tmp_path: Path, splits: str) -> None:
    twice(tmp_path / "own")
    lines = [f"{image},{split}\n" for image, split in zip("abc", splits.split(","), strict=True)]
    (tmp_path / "own" / "split.csv").write_text("".join(["image,split\n", *lines]))
    says("masks", "--data", tmp_path / "own")


def test_one_image_in_two_folds_is_refused(says: Says, tmp_path: Path) -> None:
    twice(tmp_path / "own")
    says("train", "--train", tmp_path / "own", *QUICK)


def test_one_image_in_two_folders_is_refused(says: Says, tmp_path: Path) -> None:
    write_folder(tmp_path / "own", ["a", "b"])
    write_folder(tmp_path / "other", ["c"], first_seed=900)
    resave(tmp_path / "own" / "images" / "a.png", "c")
    (tmp_path / "own" / "images" / "c.tif").rename(tmp_path / "other" / "images" / "c.tif")
    (tmp_path / "other" / "images" / "c.png").unlink()
    says("train", "--train", tmp_path / "own", "--val", tmp_path / "other", *QUICK)


def test_overlapping_regions_of_two_splits_are_refused(says: Says, tmp_path: Path) -> None:
    (polygons,) = write_folder(tmp_path / "own", ["a"]).values()
    regions = [region("train", 0, 0, 80, 80), region("val", 20, 20, 30, 30)]
    write_geojson(tmp_path / "own" / "annotations" / "a.geojson", [*regions, *outlined(polygons)])
    says("masks", "--data", tmp_path / "own")


def test_an_image_that_the_model_has_seen(says: Says, weights: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "own", ["a"])
    (case,) = scan_folder(tmp_path / "own", tmp_path / "unused").cases
    model, card = load_model(weights)
    content = {**json.loads(card.to_json()), "train_pixels": [case.pixels]}
    save_weights(weights, model.state_dict(), Card.from_json(json.dumps(content)))
    resave(tmp_path / "own" / "images" / "a.png", "a")
    (tmp_path / "own" / "images" / "a.png").unlink()
    says("evaluate", weights, "--data", tmp_path / "own")
