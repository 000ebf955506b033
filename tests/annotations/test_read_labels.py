from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from monuseg_cli.annotations.read_labels import list_annotations, read_label_image, stem_of, suffix_of
from monuseg_cli.core.errors import InputError

LABELS = np.zeros((40, 50), dtype=np.uint8)
LABELS[2:10, 2:10], LABELS[2:10, 10:18], LABELS[20:30, 30:45] = 1, 2, 3
COLOURS = [(37 * index % 256, 91 * index % 256, 53 * index % 256) for index in range(256)]


def palette_png(path: Path) -> None:
    image = Image.fromarray(LABELS)
    image.putpalette([value for colour in COLOURS for value in colour])
    image.save(path)


def palette_tiff(path: Path) -> None:
    colours = (np.array(COLOURS, dtype=np.uint16) * 257).T
    tifffile.imwrite(path, LABELS, photometric="palette", colormap=colours)


def grey_in_colour(path: Path) -> None:
    Image.fromarray(LABELS).convert("RGBA").save(path)


def floats(path: Path) -> None:
    tifffile.imwrite(path, LABELS.astype(np.float32), compression="zlib")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.png", palette_png),
        ("a.tif", palette_tiff),
        ("a.png", grey_in_colour),
        ("a.tif", grey_in_colour),
        ("a.tif", floats),
        ("a.npy", lambda path: np.save(path, LABELS.astype(np.float64))),
    ],
)
def test_label_images_of_any_format_are_read(tmp_path: Path, name: str, write: Callable[[Path], object]) -> None:
    write(tmp_path / name)
    read = read_label_image(tmp_path / name)
    np.testing.assert_array_equal(read.labels, LABELS)
    assert read.note is None


@pytest.mark.parametrize("mode", ["1", "P", "L", "RGB", "LA"])
def test_masks_of_any_mode_are_read(tmp_path: Path, mode: str) -> None:
    Image.fromarray(LABELS > 0).convert(mode).save(tmp_path / "a.png")
    labels = read_label_image(tmp_path / "a.png").labels
    assert labels.max() == 2  # two of the nuclei touch
    np.testing.assert_array_equal(labels > 0, LABELS > 0)


@pytest.mark.parametrize("name", ["a.jpg", "a.bmp"])
def test_masks_saved_as_rgb_are_read(tmp_path: Path, name: str) -> None:
    Image.fromarray((LABELS > 0).astype(np.uint8) * 255).convert("RGB").save(tmp_path / name)
    labels = read_label_image(tmp_path / name).labels
    assert labels.max() == 2
    assert ((labels > 0) != (LABELS > 0)).sum() <= 2


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_labels_stored_turned_are_read_upright_as_images_are(tmp_path: Path, name: str) -> None:
    turned = np.ascontiguousarray(np.rot90(LABELS))  # orientation 6: to be turned to the right
    if name == "a.tif":
        tifffile.imwrite(tmp_path / name, turned, metadata=None, extratags=[(274, 3, 1, 6, True)])
    else:
        exif = Image.Exif()
        exif[274] = 6
        Image.fromarray(turned).save(tmp_path / name, exif=exif)
    np.testing.assert_array_equal(read_label_image(tmp_path / name).labels, LABELS)


def test_of_masks_the_stored_values_count_however_they_are_shown(tmp_path: Path) -> None:
    """Programs in Python and ImageJ store 1 or 255 in nuclei, also where they say that 0 is white."""
    for number, stored in enumerate((LABELS > 0, (LABELS > 0).astype(np.uint8) * 255)):
        tifffile.imwrite(tmp_path / f"{number}.tif", stored, photometric="miniswhite")
        np.testing.assert_array_equal(read_label_image(tmp_path / f"{number}.tif").labels > 0, LABELS > 0)


def test_errors_about_values_name_the_file(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([LABELS, LABELS * 9, LABELS])).save(tmp_path / "overlay.png")
    with pytest.raises(InputError, match=r"overlay.png: its channels differ, as in a colour image; save a"):
        read_label_image(tmp_path / "overlay.png")


def test_a_name_ends_in_the_longest_suffix() -> None:
    suffixes = (".geojson", ".geojson.gz", ".zip", ".geojson.zip")
    for name, suffix in (
        ("a.b.geojson.gz", ".geojson.gz"),
        ("a.GeoJSON", ".geojson"),
        ("a.geojson.zip", ".geojson.zip"),
    ):
        assert suffix_of(Path(name), suffixes) == suffix
        assert stem_of(Path(name), suffixes) == name[: -len(suffix)]
    for name in ("a.csv", "._a.geojson", "a.geojson.monuseg.json"):
        assert not suffix_of(Path(name), (*suffixes, ".json"))


def test_json_and_zip_files_count_where_an_image_has_their_name_and_no_other_annotation(tmp_path: Path) -> None:
    for name in ("a.geojson", "a.json", "a.jpg", "b.json", "c.zip", "classes.json"):
        (tmp_path / name).touch()
    found = list_annotations(tmp_path, (".geojson", ".json", ".zip"), {"a", "b", "c"})
    assert {stem: [path.name for path in paths] for stem, paths in found.items()} == {
        "a": ["a.geojson"],
        "b": ["b.json"],
        "c": ["c.zip"],
    }
    assert list(list_annotations(tmp_path, (".geojson", ".json", ".zip"), None)) == ["a", "b", "c", "classes"]
