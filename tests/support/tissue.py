"""Generated tissue: pictures with drawn nuclei, their outlines in Aperio's XML, packed like the official archives.

``python tests/support/tissue.py FOLDER`` writes both archives to FOLDER. They bear the names and the case ids of
MoNuSeg and nothing else of it, so `monuseg download` takes them with ``--allow-unverified`` only.
"""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from monuseg_cli.dataset.catalog import ARCHIVES, CATALOG, Split

Polygon = NDArray[np.float64]

_BACKGROUND = np.array([225.0, 170.0, 200.0])
_NUCLEUS = np.array([95.0, 60.0, 140.0])


def ellipse(row: float, col: float, height: float, width: float, turn: float = 0.0, vertices: int = 24) -> Polygon:
    """Outline an ellipse with these half axes: (V, 2), row and column."""
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    down, right = height * np.sin(angle), width * np.cos(angle)
    return np.column_stack(
        [row + down * np.cos(turn) - right * np.sin(turn), col + down * np.sin(turn) + right * np.cos(turn)]
    )


def draw_tissue(size: int, seed: int) -> tuple[NDArray[np.uint8], list[Polygon]]:
    """Draw a square picture of tissue, (size, size, 3), and give the outlines of its nuclei."""
    random = np.random.default_rng(seed)
    stain = ndimage.gaussian_filter(random.normal(size=(size, size)), 8)[..., None] * 250
    picture = _BACKGROUND + stain * np.array([0.4, 1.0, 0.5])
    polygons: list[Polygon] = []
    grid = np.mgrid[:size, :size] + 0.5
    tries = size * size // 700
    centres = np.empty((tries, 2))
    for _ in range(tries):
        row, col = random.uniform(0, size, 2)
        height, width = random.uniform(5, 10, 2)
        turn = random.uniform(0, np.pi)
        if (np.hypot(*(centres[: len(polygons)] - (row, col)).T) < 17).any():
            continue
        centres[len(polygons)] = row, col
        polygons.append(ellipse(row, col, height, width, turn))
        around = tuple(slice(max(0, int(middle) - 11), int(middle) + 12) for middle in (row, col))
        rows, cols = grid[:, *around]
        down = (rows - row) * np.cos(turn) + (cols - col) * np.sin(turn)
        right = (cols - col) * np.cos(turn) - (rows - row) * np.sin(turn)
        inside = (down / height) ** 2 + (right / width) ** 2 < 1
        picture[around][inside] = _NUCLEUS + random.normal(0, 12, 3)
    picture = ndimage.gaussian_filter(picture, (0.8, 0.8, 0)) + random.normal(0, 6, picture.shape)
    return picture.clip(0, 255).astype(np.uint8), polygons


def area(polygon: Polygon) -> float:
    """Give the area of a polygon that does not cross itself, by the shoelace formula."""
    row, col = polygon.T.clip(-1e100, 1e100)
    return float(abs(row @ np.roll(col, 1) - col @ np.roll(row, 1)) / 2)


def aperio_xml(polygons: list[Polygon], mpp: float | None = 0.25, more: str = "") -> str:
    """Write outlines as Aperio's ImageScope does; `more` is put behind the last region."""
    regions = []
    for number, polygon in enumerate(polygons, start=1):
        vertices = "".join(f'<Vertex X="{col:.3f}" Y="{row:.3f}" Z="0"/>' for row, col in polygon)
        regions.append(f'<Region Id="{number}" Area="{area(polygon):.1f}"><Vertices>{vertices}</Vertices></Region>')
    scale = f' MicronsPerPixel="{mpp}"' if mpp else ""
    body = "".join(regions) + more
    return f'<Annotations{scale}><Annotation Id="1"><Regions>{body}</Regions></Annotation></Annotations>'


def tiff_bytes(picture: NDArray[np.uint8], split: Split) -> bytes:
    """Encode a picture as MoNuSeg's: LZW with a predictor in the train split, PackBits in the test split."""
    file = io.BytesIO()
    if split == "train":
        tifffile.imwrite(file, picture, compression="lzw", predictor=True, metadata=None)
    else:
        tifffile.imwrite(
            file, picture, compression="packbits", metadata=None, resolution=(72, 72), resolutionunit="INCH"
        )
    return file.getvalue()


def write_archive(folder: Path, split: Split, size: int, most: int | None = None) -> Path:
    """Write an archive with the cases of a split, all or at most so many, in the official layout, with its litter."""
    path = folder / ARCHIVES[split].name
    cases = [entry.case_id for entry in CATALOG.values() if entry.split == split][:most]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, case_id in enumerate(cases):
            picture, polygons = draw_tissue(size, seed=1000 * (split == "test") + number)
            top = path.stem
            images, annotations = (f"{top}/Tissue Images", f"{top}/Annotations") if split == "train" else (top, top)
            archive.writestr(f"{images}/{case_id}.tif", tiff_bytes(picture, split))
            archive.writestr(f"{annotations}/{case_id}.xml", aperio_xml(polygons))
        archive.writestr(f"__MACOSX/{top}/._{cases[0]}.tif", b"\x00\x05\x16\x07litter")
        archive.writestr(f"{top}/._{cases[0]}.xml", b"\x00\x05\x16\x07litter")
        archive.writestr(f"{top}/.DS_Store", b"\x00\x00\x00\x01Bud1")
    return path


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for which in ARCHIVES:
        sys.stdout.write(f"{write_archive(target, which, size=256)}\n")
