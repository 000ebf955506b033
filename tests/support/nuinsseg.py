"""Small copies of NuInsSeg in both of its layouts, of generated tissue."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

from monuseg_cli.nuclei.rasterise import rasterise
from support.tissue import draw_tissue

ORGANS = ("brain", "liver", "muscle", "tongue")
"""Three that are trained on, and one that is held out."""


def published(size: int = 96, organs: Sequence[str] = ORGANS) -> dict[str, bytes]:
    """Make the files of the published layout by their paths: two fields of every organ, with what lies beside them."""
    files = {"NuInsSeg/readme.txt": b"", "__MACOSX/human brain/tissue images/._human_brain_01.png": b"litter"}
    for seed, organ in enumerate(organs):
        for number in (1, 2):
            picture, polygons = draw_tissue(size, seed=700 + 10 * seed + number)
            labels = io.BytesIO()
            tifffile.imwrite(labels, rasterise(polygons, (size, size)).labels.astype(np.uint16))
            name, top = f"human_{organ}_{number:02d}", f"NuInsSeg/human {organ}"
            files[f"{top}/tissue images/{name}.png"] = bytes(imagecodecs.png_encode(picture))
            files[f"{top}/label masks modify/{name}.tif"] = labels.getvalue()
            files[f"{top}/mask binary/{name}.png"] = b"not read"
    return files


def write_published(folder: Path, size: int = 96, organs: Sequence[str] = ORGANS) -> Path:
    """Write the published layout below a folder."""
    for name, content in published(size, organs).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_zip(path: Path, size: int = 96) -> Path:
    """Write the published layout into a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in published(size).items():
            archive.writestr(name, content)
    return path


def write_packed(folder: Path, size: int = 96) -> Path:
    """Write the packed layout: JPEG images, PNG label images and a table."""
    lines = ["file,organ,nuclei"]
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for name, content in published(size).items():
        path = Path(name)
        if path.suffix == ".tif":
            labels = tifffile.imread(io.BytesIO(content))
            (folder / "labels" / f"{path.stem}.png").write_bytes(imagecodecs.png_encode(labels))
            lines.append(f"{path.stem},{path.stem.split('_')[1]},{labels.max()}")
        elif path.parent.name == "tissue images" and not path.name.startswith("."):
            picture = imagecodecs.png_decode(content)
            (folder / "images" / f"{path.stem}.jpg").write_bytes(imagecodecs.jpeg8_encode(picture, level=95))
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    return folder
