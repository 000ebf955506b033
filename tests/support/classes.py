"""A picture with two kinds of nuclei, as a person would annotate it in QuPath, and a file of its classes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from support.tissue import ellipse

MPP = 0.25
SIDE = 800
COLOURS = {"Round": [200, 40, 10], "Long": [10, 90, 200]}
_STEP = 40
_BACKGROUND, _NUCLEUS = np.array([225.0, 170.0, 200.0]), np.array([95.0, 60.0, 140.0])

Feature = dict[str, Any]


def draw_two_kinds(seed: int = 0) -> tuple[NDArray[np.uint8], list[NDArray[np.float64]], list[str]]:
    """Draw round nuclei on the left and long ones on the right; return the picture, outlines and classes."""
    random = np.random.default_rng(seed)
    outlines, names = [], []
    picture = np.broadcast_to(_BACKGROUND, (SIDE, SIDE, 3)).copy()
    rows, cols = np.mgrid[:SIDE, :SIDE] + 0.5
    for row in range(_STEP // 2, SIDE, _STEP):
        for col in range(_STEP // 2, SIDE, _STEP):
            name = "Round" if col < SIDE / 2 else "Long"
            tall, wide = random.uniform(7, 10, 2) if name == "Round" else (random.uniform(13, 16), random.uniform(4, 6))
            place = np.array([row, col]) + random.uniform(-2, 2, 2)
            outlines.append(ellipse(float(place[0]), float(place[1]), tall, wide))
            names.append(name)
            inside = ((rows - place[0]) / tall) ** 2 + ((cols - place[1]) / wide) ** 2 < 1
            picture[inside] = _NUCLEUS + random.normal(0, 10, 3)
    picture = ndimage.gaussian_filter(picture, (0.8, 0.8, 0)) + random.normal(0, 4, picture.shape)
    return picture.clip(0, 255).astype(np.uint8), outlines, names


def ring(points: NDArray[np.float64]) -> Feature:
    """Return points (V, 2), row and column, as a GeoJSON polygon."""
    return {"type": "Polygon", "coordinates": [[*points[:, ::-1].tolist(), points[0, ::-1].tolist()]]}


def box(top: float, left: float, height: float, width: float) -> NDArray[np.float64]:
    """Return the corners of a box (4, 2)."""
    bottom, right = top + height, left + width
    return np.array([(top, left), (top, right), (bottom, right), (bottom, left)], dtype=np.float64)


def classified(points: NDArray[np.float64], name: str, kind: str = "annotation", **more: Any) -> Feature:
    """Return an object with a class, as QuPath 0.5 exports it; without one if the name is empty."""
    properties: Feature = {"objectType": kind, **more}
    if name:
        properties["classification"] = {"name": name, "color": COLOURS.get(name, [0, 0, 0])}
    return {"type": "Feature", "geometry": ring(points), "properties": properties}


def regions(number: int = 4) -> list[Feature]:
    """Return regions of both classes, one below the other."""
    height = SIDE / number
    return [
        classified(box(place * height, left, height - 20, 360), name)
        for name, left in (("Round", 20), ("Long", 420))
        for place in range(number)
    ]


def write_features(path: Path, features: list[Feature]) -> Path:
    """Write a collection of features."""
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def write_two_kinds(folder: Path) -> tuple[Path, Path, Path]:
    """Write the picture, its nuclei as a label image, and regions with classes."""
    from monuseg_cli.nuclei.rasterise import rasterise

    picture, outlines, _ = draw_two_kinds()
    Image.fromarray(picture).save(folder / "slide.png")
    tifffile.imwrite(folder / "labels.tif", rasterise(outlines, (SIDE, SIDE)).labels)
    return folder / "slide.png", folder / "labels.tif", write_features(folder / "classes.geojson", regions())


def made_classes(path: Path, kind: str) -> Path:
    """Write a file of the classes Long and Round, trained on random features, of which the area tells them apart."""
    from monuseg_cli.classes.card import ClassesCard, ClassScores, Score, Validation, units_of
    from monuseg_cli.classes.classes_file import save_classes
    from monuseg_cli.classes.features import RADIUS_UM, feature_names
    from monuseg_cli.classification.cross_validation import median_of
    from monuseg_cli.classification.examples import build_examples, describe_classes
    from monuseg_cli.classification.fit import CANDIDATES

    names = ["Long", "Round"] * 60
    features = np.random.default_rng(0).normal(size=(120, len(feature_names())))
    features[::2, 0] += 4
    examples = build_examples(features, names, [place // 20 for place in range(120)])
    model, score = CANDIDATES[kind](features, examples.classes), Score(0.9, 0.8, 1.0)
    card = ClassesCard(
        model=model.kind,
        classes=describe_classes(examples, {"Long": (10, 90, 200)}),
        features=feature_names(),
        units=units_of(feature_names()),
        measurements=(),
        radius_um=float(RADIUS_UM),
        images=("slide.png",),
        mpp=(MPP,),
        found_by=None,
        validation=Validation(
            2,
            score,
            score,
            {name: ClassScores(score, None, score) for name in examples.names},
            ((50, 10), (5, 55)),
            {kind: 0.9},
        ),
        versions={"monuseg": "1"},
    )
    save_classes(path, card, model, median_of(features))
    return path
