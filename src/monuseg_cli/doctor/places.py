"""Checks of the home, the data set, the weights, and a prediction."""

import hashlib
import os
import shutil
import time
from pathlib import Path

import numpy as np

from monuseg_cli.core.atomic import require_writable
from monuseg_cli.core.errors import MissingError, MonusegError
from monuseg_cli.core.home import DEFAULT_MODEL, HOME_VARIABLE, SHIPPED, Home
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import load_case_masks
from monuseg_cli.doctor.check import Check
from monuseg_cli.models.weights import find_all_weights, load_model, read_card
from monuseg_cli.prediction.engines.select import open_engine

_GB = 1_000_000_000
SMALLEST_HOME_BYTES = 2 * _GB
"""Space for the data set with its archives, masks and patches."""

SMALLEST_OUTPUT_BYTES = _GB // 20
"""With less free space, nothing useful can be written."""

_TILE_PX = 256
_REINSTALL = "the package is damaged: pip install --force-reinstall monuseg-cli"


def check_home(
    home: Home, enough_bytes: int = SMALLEST_HOME_BYTES, least_bytes: int = SMALLEST_OUTPUT_BYTES
) -> list[Check]:
    """Check where the home is, whether it is writable, and whether its disk has enough free space."""
    named = f" ({HOME_VARIABLE})" if os.environ.get(HOME_VARIABLE) and home == Home.resolve() else ""
    other = f"choose another folder: `home`, or the variable {HOME_VARIABLE}"
    try:
        require_writable(home.runs)
    except MonusegError as error:
        return [Check("home", str(error), "broken", other)]
    existing = next(folder for folder in (home.root, *home.root.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    new = "" if existing == home.root else ", created when it is needed"
    found = f"{home.root}{named}{new}, writable, {free / _GB:.1f} GB free"
    if free < enough_bytes:
        return [Check("home", found, "broken" if free < least_bytes else "note", f"make space, or {other}")]
    return [Check("home", found)]


def check_dataset(home: Home) -> list[Check]:
    """Check whether the data set exists and is complete."""
    download = "monuseg download (only training and evaluation need it)"
    try:
        dataset = Dataset.load(home.dataset)
    except MissingError:
        return [Check("data set", f"none in {home.dataset}", "note", download)]
    except (MonusegError, OSError) as error:
        return [Check("data set", str(error), "broken", "monuseg download")]
    files = [path_of(case) for case in dataset.cases for path_of in (dataset.image_path, dataset.annotation_path)]
    if missing := [path for path in files if not path.is_file()]:
        return [Check("data set", f"{len(missing)} files are missing, the first: {missing[0]}", "broken", download)]
    splits = ", ".join(f"{len(dataset.of_split(source.split))} {source.split}" for source in dataset.archives)
    masks = len(load_case_masks(home.dataset))
    return [Check("data set", f"{len(dataset.cases)} cases ({splits}), masks of {masks}, {dataset.root}")]


def check_weights(home: Home, shipped: Path = SHIPPED) -> list[Check]:
    """Check the weights that ship with the package in full, and the cards of all others."""
    checks = []
    try:
        _, card = load_model(shipped)
        checks.append(Check("weights", f"{DEFAULT_MODEL}: {card.architecture}, {card.licence}"))
    except (MonusegError, ImportError) as error:
        checks.append(Check("weights", str(error), "broken", _REINSTALL))
    others = {name: path for name, path in find_all_weights(home).items() if path != SHIPPED}
    whole = []
    for name, path in others.items():
        try:
            read_card(path)
            whole.append(name)
        except MonusegError as error:
            checks.append(Check(f"weights {name}", str(error), "note", f"remove or replace {path}"))
    if whole:
        checks.append(Check("other weights", ", ".join(whole)))
    return checks


def check_prediction(home: Home, shipped: Path = SHIPPED) -> list[Check]:
    """Predict on a grey tile with the default model and the automatically chosen engine."""
    try:
        sha256 = hashlib.sha256(shipped.read_bytes()).hexdigest()
        engine = open_engine(shipped, read_card(shipped), "auto", "auto", home.cache, sha256)
        tile = np.full((_TILE_PX, _TILE_PX, 3), 200, dtype=np.uint8)
        list(engine.run([tile]))  # warm-up: the first run allocates memory and selects kernels
        began = time.perf_counter()
        (maps,) = engine.run([tile])
        seconds = time.perf_counter() - began
    except (MonusegError, ImportError, OSError, RuntimeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return [
            Check("prediction", f"it fails ({reason})", "broken", "see what is broken above, or try `engine=torch`")
        ]
    name = type(engine).__name__.removesuffix("Engine").lower()
    if not np.isfinite(maps).all():
        return [Check("prediction", f"{name} returns values that are not finite", "broken", "use `engine=torch`")]
    return [Check("prediction", f"{name}, {_TILE_PX} x {_TILE_PX} pixels in {1000 * seconds:.0f} ms")]
