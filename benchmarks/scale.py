"""Measure how well `monuseg predict --mpp estimate` finds the scale of an image, or fit its regression.

usage: python benchmarks/scale.py HOME [--slide FILE ...] [--fit]

HOME is a folder that `monuseg download --home HOME` and `monuseg download --home HOME --dataset nuinsseg` filled.
Images are resampled to several scales, and their scale is estimated. Checked are the default model's validation cases
(MoNuSeg, whose scale is stated), and the slides, at the scale that they state. Printed are each estimate, and the
quantiles of the errors, as factors.

--fit prints coefficients for `monuseg_cli.prediction.scale_estimate` instead: by ridge regression over every second
train case of MoNuSeg and two fields of each train organ of NuInsSeg, whose scale is assumed; and the errors in
cross-validation, in which all scales of a case, and all fields of an organ, are left out together.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.errors import InputError
from monuseg_cli.core.home import SHIPPED, Home
from monuseg_cli.dataset.catalog import NUINSSEG
from monuseg_cli.dataset.manifest import Dataset, sha256_of
from monuseg_cli.dataset.pixels import read_case
from monuseg_cli.imaging.array_slide import ArraySlide
from monuseg_cli.imaging.resample import resize_image
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.models.weights import read_card
from monuseg_cli.prediction.config import SlideSettings
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.engines.select import open_engine
from monuseg_cli.prediction.scale_estimate import ASSUMED_MPP, FEWEST_NUCLEI, combine, estimate_scale, look_at

CHECKED_MPP = (0.18, 0.25, 0.35, 0.5, 0.71, 1.0)
FITTED_MPP = (0.25, 0.42, 0.71)
OFF = 1.4
FOLDS, RIDGE, NEAR = 7, 0.01, 1.2

Sample = tuple[str, str, float, Slide]
"""Name, group that is left out together, scale, and image."""

Seen = tuple[str, float, NDArray[np.float64], NDArray[np.float64], list[float]]
"""Group, scale, assumed scales, and the terms and the uncertainty of each; scales in octaves."""


def resampled(name: str, group: str, image: NDArray[np.uint8], mpp: float, wanted: Iterable[float]) -> Iterator[Sample]:
    """Yield an image at several scales, none of which enlarges it by more than half."""
    for new in wanted:
        if new > mpp / 1.5:
            shape = (round(image.shape[0] * mpp / new), round(image.shape[1] * mpp / new))
            yield name, group, new, ArraySlide(resize_image(image, shape), name)


def cases(home: Home, names: Sequence[str], wanted: Iterable[float]) -> Iterator[Sample]:
    """Yield cases of MoNuSeg at several scales."""
    dataset = Dataset.load(home.dataset)
    for case in dataset.select(names):
        if case.mpp:
            yield from resampled(case.case_id, case.case_id, read_case(dataset, case), case.mpp, tuple(wanted))


def fields(home: Home, wanted: Iterable[float]) -> Iterator[Sample]:
    """Yield two fields of each organ of NuInsSeg that models are trained on, at several scales."""
    dataset = Dataset.load(home.other_dataset(NUINSSEG.name))
    train = dataset.of_split("train")
    for organ in sorted({case.organ for case in train}):
        of_organ = [case for case in train if case.organ == organ]
        for case in (of_organ[0], of_organ[len(of_organ) // 2]):
            yield from resampled(case.case_id, organ, read_case(dataset, case), NUINSSEG.mpp, tuple(wanted))


def print_errors(title: str, octaves: Iterable[float]) -> None:
    """Print the quantiles of errors, as factors."""
    errors = np.abs(list(octaves))
    half, most = (2 ** np.quantile(errors, share) for share in (0.5, 0.9))
    off = (errors > np.log2(OFF)).mean()
    quantiles = f"half within x{half:.2f}, nine in ten within x{most:.2f}"
    print(f"{title}: {len(errors)} images, {quantiles}, {off:.0%} off by more than x{OFF}")


def check(samples: Iterable[Sample], engine: Engine) -> None:
    """Print the estimate of every image, then the errors and the refusals."""
    errors, refused = [], 0
    for name, _, mpp, slide in samples:
        try:
            found = estimate_scale(slide, SlideSettings(mpp="estimate"), engine)
        except InputError as error:
            refused += 1
            print(f"{name} {mpp:.3f}: {error}", flush=True)
            continue
        errors.append(float(np.log2(found.mpp / mpp)))
        print(f"{name} {mpp:.3f}: {found}, x{found.mpp / mpp:.2f}", flush=True)
    print_errors(f"all ({refused} more refused)", errors)


def fit(samples: Iterable[Sample], engine: Engine) -> None:
    """Print the coefficients, and the errors in cross-validation."""
    images: list[Seen] = []
    for name, group, mpp, slide in samples:
        seen = look_at(slide, SlideSettings(), engine)
        print(json.dumps([name, mpp, [(one.nuclei, one.area_um2, one.uncertain) for one in seen]]), flush=True)
        kept = [(s, one) for s, one in zip(ASSUMED_MPP, seen, strict=True) if one.nuclei >= FEWEST_NUCLEI]
        if kept:
            assumed, terms = np.log2([s for s, _ in kept]), np.array([one.terms() for _, one in kept])
            images.append((group, float(np.log2(mpp)), assumed, terms, [one.uncertain for _, one in kept]))
    groups = sorted({group for group, *_ in images})
    errors = []
    for fold in range(FOLDS):
        held = set(groups[fold::FOLDS])
        coefficients = solve([one for one in images if one[0] not in held])
        tested = [one[1:] for one in images if one[0] in held]
        errors += [combine(s, terms @ coefficients, unsure)[0] - mpp for mpp, s, terms, unsure in tested]
    print_errors("cross-validation", errors)
    print("(" + ", ".join(f"{value:.4f}" for value in solve(images)) + ")")


def solve(images: list[Seen]) -> NDArray[np.float64]:
    """Solve the ridge regression of the offsets, with most weight on small ones."""
    terms = np.concatenate([terms for *_, terms, _ in images])
    offsets = np.concatenate([s - mpp for _, mpp, s, _, _ in images])
    weights = np.exp(-0.5 * (offsets / NEAR) ** 2)
    penalty = RIDGE * np.diag([0.0, *(weights @ terms[:, 1:] ** 2)])
    weighted = terms * weights[:, None]
    return np.linalg.solve(weighted.T @ terms + penalty, weighted.T @ offsets)


def main() -> None:
    """Check, or fit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--slide", type=Path, nargs="*", default=[])
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    home, card = Home.resolve(options.home), read_card(SHIPPED)
    engine = open_engine(SHIPPED, card, "auto", "cpu", home.cache, sha256_of(SHIPPED))
    if options.fit:
        train = [name for name in card.train_cases if name.startswith("TCGA")][::2]
        fit((*cases(home, train, FITTED_MPP), *fields(home, FITTED_MPP)), engine)
        return
    slides = [Slide(path) for path in options.slide]
    stated = [(slide.path.name, "", slide.mpp, slide) for slide in slides if slide.mpp]
    check((*stated, *cases(home, card.val_cases, CHECKED_MPP)), engine)


if __name__ == "__main__":
    main()
