"""Folders of images and annotations as people bring them, of generated tissue."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import imagecodecs
import numpy as np
import tifffile

from monuseg_cli.nuclei.rasterise import rasterise
from support.tissue import Polygon, aperio_xml, draw_tissue

Kind = Literal[".geojson", ".xml", ".png", ".npy", ".tif"]
KINDS: tuple[Kind, ...] = (".geojson", ".xml", ".png", ".npy", ".tif")


def feature(polygon: Sequence[Sequence[float]] | Polygon, **properties: object) -> dict[str, object]:
    """Write an outline, (V, 2) of row and column, as QuPath does: x, y, closed."""
    ring = [[float(col), float(row)] for row, col in polygon]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "properties": {"objectType": "annotation", **properties},
    }


def region(name: str, row: int, col: int, height: int, width: int) -> dict[str, object]:
    """Draw a rectangle of class "Region*"."""
    corners = [(row, col), (row, col + width), (row + height, col + width), (row + height, col)]
    return feature(corners, name=name, classification={"name": "Region*"})


def write_geojson(path: Path, features: Sequence[dict[str, object]]) -> None:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")


def write_folder(
    folder: Path,
    stems: Sequence[str],
    kinds: Sequence[Kind] = (".geojson",),
    size: int = 96,
    first_seed: int = 500,
) -> dict[str, list[Polygon]]:
    """Write an image and an annotation for each stem, the kinds in turn; give the outlines drawn."""
    images, annotations = folder / "images", folder / "annotations"
    images.mkdir(parents=True)
    annotations.mkdir()
    drawn = {}
    for number, stem in enumerate(stems):
        picture, polygons = draw_tissue(size, seed=first_seed + number)
        (images / f"{stem}.png").write_bytes(imagecodecs.png_encode(picture))
        kind = kinds[number % len(kinds)]
        labels = rasterise(polygons, (size, size)).labels
        path = annotations / f"{stem}{kind}"
        if kind == ".geojson":
            write_geojson(path, [feature(polygon) for polygon in polygons])
        elif kind == ".xml":
            path.write_text(aperio_xml(polygons, mpp=0.5), encoding="utf-8")
        elif kind == ".png":
            path.write_bytes(imagecodecs.png_encode(labels.astype(np.uint16)))
        elif kind == ".npy":
            np.save(path, labels)
        else:
            tifffile.imwrite(path, (labels > 0).astype(np.uint8) * 255)
        drawn[stem] = polygons
    return drawn
