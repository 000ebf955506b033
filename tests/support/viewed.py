"""A slide with nuclei in a regular grid, and regions, for the viewer."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from monuseg_cli.viewer.app import build_app
from monuseg_cli.viewer.serve import HOST, build_server, listen
from monuseg_cli.viewer.session import ViewSession
from support.tissue import draw_tissue, ellipse

SHAPE = (3072, 4096)
MPP = 0.25
SPACING_PX = 128
TALL_PX, WIDE_PX = 10.0, 7.0
ROWS, COLS = SHAPE[0] // SPACING_PX, SHAPE[1] // SPACING_PX
TOKEN = "a-token-of-the-tests"
REGIONS = {"Left <b>half": (0, 0, 3072, 2048), "Corner": (0, 0, 256, 384)}
"""Names of regions, with first row, first column, height and width."""

Feature = dict[str, Any]


def centre(row: int, col: int) -> tuple[float, float]:
    """Return the centre of a nucleus of the grid, in pixels."""
    return (row + 0.5) * SPACING_PX, (col + 0.5) * SPACING_PX


def write_slide(path: Path, levels: int = 3) -> Path:
    """Write a pyramid of generated tissue, each level a quarter of the one before along both sides."""
    piece, _ = draw_tissue(512, seed=5)
    whole = np.tile(piece, (SHAPE[0] // 512, SHAPE[1] // 512, 1))
    with tifffile.TiffWriter(path) as tiff:
        for level in range(levels):
            step = 4**level
            tiff.write(
                whole[step // 2 :: step, step // 2 :: step],
                tile=(256, 256),
                photometric="rgb",
                compression="jpeg",
                resolution=(1e4 / MPP / step, 1e4 / MPP / step),
                resolutionunit="CENTIMETER",
                subifds=levels - 1 if level == 0 else None,
                subfiletype=0 if level == 0 else 1,
                metadata=None,
            )
    return path


def polygon(points: NDArray[np.float64]) -> dict[str, Any]:
    """Return a ring (V, 2), row and column, as a GeoJSON geometry."""
    ring = points[:, ::-1].tolist()
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def nuclei() -> list[Feature]:
    """Build the nuclei of the grid as monuseg writes them; the area grows with the column, to the right."""
    return [
        {
            "type": "Feature",
            "geometry": polygon(ellipse(*centre(row, col), TALL_PX, WIDE_PX).round()),
            "properties": {
                "objectType": "detection",
                "name": str(row * COLS + col + 1),
                "classification": {"name": "Tumor" if col < COLS // 2 else "Stroma"},
                "measurements": {"Area µm^2": 10.0 + col, "Probability": 0.5},
            },
        }
        for row in range(ROWS)
        for col in range(COLS)
    ]


def regions() -> list[Feature]:
    """Build the regions as annotations of QuPath."""
    found = []
    for name, (row, col, height, width) in REGIONS.items():
        bottom, right = row + height, col + width
        corners = np.array([(row, col), (row, right), (bottom, right), (bottom, col)], dtype=float)
        found.append(
            {
                "type": "Feature",
                "geometry": polygon(corners),
                "properties": {"objectType": "annotation", "name": name},
            }
        )
    return found


def write_features(path: Path, features: list[Feature]) -> Path:
    """Write a collection of features as GeoJSON."""
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


@contextmanager
def serving(session: ViewSession) -> Iterator[str]:
    """Serve a session, and yield the address of its page."""
    with listen(0) as listening:
        server = build_server(build_app(session, TOKEN))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://{HOST}:{listening.getsockname()[1]}/{TOKEN}/"
        finally:
            server.should_exit = True
            thread.join()


def get(address: str) -> bytes:
    """Return what an address answers."""
    with urllib.request.urlopen(address) as answer:
        content: bytes = answer.read()
    return content
