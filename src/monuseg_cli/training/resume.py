"""Which settings may change when a run is resumed, and whether its state fits the data."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import BEST_WEIGHTS, RECIPE_FILE, Home
from monuseg_cli.dataset.catalog import OTHER_DATASETS
from monuseg_cli.training.checkpoint import STATE_FILE, Checkpoint
from monuseg_cli.training.history import EpochRecord, read_history
from monuseg_cli.training.mixture import MoreData, parse_more
from monuseg_cli.training.provenance import combined_sha256, hash_of_cases
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.splits import TrainValSplit

_FREE = ("workers",)
"""Settings that only change the speed."""


def with_whole_folders(recipe: Recipe) -> Recipe:
    """Return the recipe with absolute folders, so that the run can be resumed from any working folder."""

    def whole(folder: str) -> str:
        return str(Path(folder).expanduser().absolute()) if _is_folder(folder) else folder

    extra = tuple(str(replace(more, name=whole(more.name))) for more in recipe.more_data())
    return replace(recipe, train=whole(recipe.train), val=whole(recipe.val), extra_data=extra)


def with_whole_paths(recipe: Recipe, home: Home) -> Recipe:
    """Return the recipe with absolute folders, and the paths of its initial weights and its teacher."""

    def whole(weights: str) -> str:
        return str(home.find_weights(weights).absolute()) if weights else ""

    return replace(with_whole_folders(recipe), init=whole(recipe.init), teacher=whole(recipe.teacher))


def recipe_to_resume(run: Path, recipe: Recipe, home: Home) -> Recipe:
    """Return the recipe that a run continues with.

    The number of workers may change. After the first epoch, folders may have another path; `state_to_resume` compares
    their content with the original.

    Raises
    ------
    InputError
        If another setting differs from the run's own recipe.
    MissingError
        If a folder of the recipe does not exist.
    """
    begun = Recipe.load(run / RECIPE_FILE)
    if (recipe.init, recipe.teacher) != (begun.init, begun.teacher):
        recipe = with_whole_paths(recipe, home)
    recipe = with_whole_folders(recipe)
    has_state = (run / STATE_FILE).exists()
    first, now = _comparable(begun, has_state), _comparable(recipe, has_state)
    if differing := [name for name in first if first[name] != now[name]]:
        given = recipe.to_dict()
        differences = "; ".join(f"{name} {begun.to_dict()[name]!r}, not {given[name]!r}" for name in differing)
        remedy = _new_run(run, recipe, home, differing)
        message = f"{run} was started with {differences}; resume it with its own settings, or {remedy}"
        raise InputError(message)
    _require_folders(run, recipe)
    return recipe


def state_to_resume(run: Path, shares: TrainValSplit, world_size: int, home: Home) -> Checkpoint | None:
    """Read the state of a run; None if it was killed in its first epoch, so that it restarts from its recipe.

    Raises
    ------
    InputError
        If it is missing or damaged, or of other data or another number of processes.
    """
    if not (run / STATE_FILE).exists():
        if len(read_history(run)) > 1:
            message = f"{run} has finished epochs but no {STATE_FILE}; train again with `init={run.name}`"
            raise InputError(message)
        return None
    state = Checkpoint.load(run)
    data_sha256, cases_sha256 = combined_sha256(shares.trained), hash_of_cases(shares)
    new_run = f"start a new run from its weights with `init={home.name_of(run)}`"
    if state.data_sha256 != data_sha256:
        message = (
            f"{run} was started on other data (hash {state.data_sha256[:12]}, here {data_sha256[:12]}); restore the "
            f"original images and annotations, or {new_run}"
        )
        raise InputError(message)
    if state.cases_sha256 not in ("", cases_sha256):
        message = (
            f"{run} was started on other validation cases, splits or scales; restore the original images, "
            f"annotations and split.csv, or {new_run}"
        )
        raise InputError(message)
    if state.world_size != world_size:
        restart = f"start {state.world_size} processes with torchrun" if state.world_size > 1 else "leave out torchrun"
        message = (
            f"{run} was started with {_processes(state.world_size)}, not {world_size}, so its steps would differ; "
            f"{restart}, or {new_run}"
        )
        raise InputError(message)
    return state


def finished_epochs(run: Path, state: Checkpoint) -> list[EpochRecord]:
    """Read the history up to the epoch of the state, which is written last; an epoch beyond it is run again.

    Raises
    ------
    InputError
        If the history ends before the state.
    """
    records = read_history(run)[: state.epoch]
    if len(records) < state.epoch:
        message = f"{run} has a history of {len(records)} epochs and a state after {state.epoch}; train again"
        raise InputError(message)
    return records


def _is_folder(name: str) -> bool:
    return bool(name) and name not in OTHER_DATASETS


def _comparable(recipe: Recipe, has_state: bool) -> Mapping[str, Any]:
    """Return the settings that must not change; of folders with a state, only their number and weights."""
    settings = {name: value for name, value in recipe.to_dict().items() if name not in _FREE}
    if has_state:
        del settings["train"], settings["val"]
        settings["extra_data"] = [more.weight for more in recipe.more_data()]
    return settings


def _new_run(run: Path, recipe: Recipe, home: Home, differing: list[str]) -> str:
    """Return the remedy for settings that differ: how to train a new run with them."""
    if "arch" in differing or "options" in differing or not (run / BEST_WEIGHTS).is_file():
        return "train a new run"
    settings = [f"`init={home.name_of(run)}`", f"`recipe={run / RECIPE_FILE}`"]
    settings += ["`pretrained=False`"] if recipe.pretrained else []
    given = {name: getattr(recipe, name) for name in differing}
    settings += [f"`{name}={value}`" if value not in ("", ()) else f"`{name}`" for name, value in given.items()]
    return f"start a new run from its weights with {', '.join(settings[:-1])} and {settings[-1]}"


def _require_folders(run: Path, recipe: Recipe) -> None:
    named = [("train", MoreData(recipe.train)), ("val", MoreData(recipe.val))]
    named += [("extra_data", more) for more in parse_more(recipe.extra_data)]
    for setting, data in named:
        if _is_folder(data.name) and not Path(data.name).is_dir():
            weight = f":{data.weight:g}" if data.weight != 1 else ""
            message = (
                f"no folder {data.name}, which {run} was started with; if it was moved, give its new path with "
                f"`{setting}=FOLDER{weight}`"
            )
            raise MissingError(message)


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"
