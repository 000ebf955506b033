"""Where data, runs and models live when no path is given."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from monuseg_cli.core.atomic import make_new_folder
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.suggest import did_you_mean

HOME_VARIABLE = "MONUSEG_HOME"
BEST_WEIGHTS = "best.safetensors"
RECORD_SUFFIX = ".monuseg.json"
"""Suffix of the record next to the first output of a slide, which states how it was made; it is written last."""

LAST_WEIGHTS = "last.safetensors"
WEIGHTS_SUFFIX = ".safetensors"
RECIPE_FILE = "recipe.toml"
DEFAULT_MODEL = "default"
"""Name of the model that ships with the package; reserved, so no run can have it."""

SHIPPED = Path(__file__).parents[1] / "models" / "shipped" / f"{DEFAULT_MODEL}{WEIGHTS_SUFFIX}"
"""Weights file of the default model."""

_NAME = re.compile(r"[\w][\w.-]*")


@dataclass(frozen=True, slots=True)
class Home:
    """The folder in which the toolkit keeps data, runs and models.

    Parameters
    ----------
    root : Path
        Contains ``data/monuseg`` (images, annotations, masks, patches), ``runs`` and ``models``.
    """

    root: Path

    @classmethod
    def resolve(cls, explicit: Path | None = None) -> "Home":
        """Choose the root: `explicit`, else the variable MONUSEG_HOME, else the platform's folder for user data."""
        if explicit is not None:
            return cls(explicit.expanduser())
        if named := os.environ.get(HOME_VARIABLE):
            return cls(Path(named).expanduser())
        import platformdirs

        return cls(platformdirs.user_data_path("monuseg", appauthor=False))

    @property
    def dataset(self) -> Path:
        """The folder of the MoNuSeg data set."""
        return self.root / "data" / "monuseg"

    def other_dataset(self, name: str) -> Path:
        """Return the folder of another public data set."""
        return self.root / "data" / name

    def own_data(self, folder: Path) -> Path:
        """Return the folder of the data set built from the images and annotations in `folder`."""
        source = str(folder.expanduser().absolute())
        return self.root / "data" / f"{Path(source).name}-{hashlib.sha256(source.encode()).hexdigest()[:8]}"

    @property
    def runs(self) -> Path:
        """The folder that holds one folder per training run."""
        return self.root / "runs"

    @property
    def cache(self) -> Path:
        """The folder of files that can be rebuilt."""
        return self.root / "cache"

    @property
    def models(self) -> Path:
        """The folder for weights from other sources, each ``NAME.safetensors``."""
        return self.root / "models"

    def run_names(self) -> tuple[str, ...]:
        """List the names of all runs, in order of name."""
        folders = self.runs.iterdir() if self.runs.is_dir() else ()
        return tuple(sorted(folder.name for folder in folders if folder.is_dir()))

    def weights_names(self) -> tuple[str, ...]:
        """List the names that `find_weights` accepts: the default model, other models, all runs."""
        models = sorted(path.stem for path in self.models.glob(f"*{WEIGHTS_SUFFIX}"))
        return tuple(dict.fromkeys((DEFAULT_MODEL, *models, *self.run_names())))

    def numbered_runs(self, name: str) -> list[Path]:
        """List the runs ``name``, ``name-2``, ``name-3`` ... that exist, oldest first."""
        numbered = re.compile(rf"{re.escape(name)}(?:-(\d+))?")
        found = []
        for folder in self.runs.iterdir() if self.runs.is_dir() else ():
            if folder.is_dir() and (match := numbered.fullmatch(folder.name)):
                found.append((int(match[1] or 1), folder))
        return [folder for _, folder in sorted(found)]

    def make_run(self, name: str) -> Path:
        """Create the folder of the next run of that name: ``name``, then ``name-2``, ``name-3`` ...

        Raises
        ------
        InputError
            If `name` is not a plain name of letters, digits, dots, dashes and underscores.
        OutputError
            If the folder cannot be created.
        """
        require_run_name(name)
        taken = self.numbered_runs(name)
        number = int(taken[-1].name.removeprefix(name)[1:] or 1) + 1 if taken else 1
        while True:
            run = self.runs / (name if number == 1 else f"{name}-{number}")
            if make_new_folder(run):
                return run
            number += 1  # another process was faster

    def name_of(self, run: Path) -> str:
        """Return the shortest name that `find_run` accepts for `run`: the folder's name, or its path."""
        newest = self.numbered_runs(run.name)[-1:]
        return run.name if newest == [run] else str(run)

    def name_of_weights(self, weights: Path) -> str:
        """Return the shortest name that `find_weights` accepts for `weights`: of a run, of a model, or its path."""
        if weights.name == BEST_WEIGHTS and weights.parent.parent == self.runs:
            return self.name_of(weights.parent)
        if weights == SHIPPED:
            return DEFAULT_MODEL
        return weights.stem if weights.parent == self.models else str(weights)

    def find_run(self, name: str) -> Path:
        """Find the run that `name` refers to: a run's folder, or the newest run of a bare name.

        Raises
        ------
        MissingError
            If there is none; the message lists the runs that exist.
        """
        if _is_path(name) and (Path(name).expanduser() / RECIPE_FILE).is_file():
            return Path(name).expanduser()
        if found := self.numbered_runs(name):
            return found[-1]
        raise self._no_run(name, self.run_names())

    def _no_run(self, name: str, choices: tuple[str, ...]) -> MissingError:
        known = f"existing runs: {', '.join(self.run_names()) or 'none'}"
        return MissingError(f"no run named {name!r} in {self.runs}; {known}{did_you_mean(name, choices)}")

    def find_weights(self, name: str) -> Path:
        """Find the weights file that `name` refers to: a file, a run (its best weights), or a file among the models.

        ``"default"`` is the model that ships with the package. Any other bare name is looked up among the runs first,
        where the newest run of that name is taken.

        Raises
        ------
        MissingError
            If nothing of that name exists, or a run has no weights yet.
        """
        if name == DEFAULT_MODEL:
            return SHIPPED
        path = Path(name).expanduser()
        if _is_path(name) and path.is_file():
            return path
        if path.suffix == WEIGHTS_SUFFIX:
            message = f"no weights file {path}; those at hand are listed by: monuseg models"
            raise MissingError(message)
        model = self.models / f"{name}{WEIGHTS_SUFFIX}"
        if model.is_file() and not self.numbered_runs(name):
            return model
        if not _is_path(name) and not self.numbered_runs(name):
            raise self._no_run(name, self.weights_names())
        weights = self.find_run(name) / BEST_WEIGHTS
        if not weights.is_file():
            message = f"run {weights.parent} has no weights yet; train it further with `resume={name}`"
            raise MissingError(message)
        return weights


def weights_stem(weights: Path) -> str:
    """Return a name for weights that does not depend on their folder: their run's name, or the file's stem."""
    return weights.parent.name if weights.name in (BEST_WEIGHTS, LAST_WEIGHTS) else weights.stem


def resolve_links(path: Path) -> Path:
    """Resolve symbolic links; circular links raise no error."""
    return Path(os.path.realpath(path))


def require_text_name(path: Path) -> None:
    """Check that a path can be written in UTF-8, as in manifests and records.

    Raises
    ------
    InputError
        If it has bytes that are not text.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        message = f"the name of {str(path)!a} is not text in UTF-8; rename it"
        raise InputError(message) from error


def is_special_file(path: Path) -> bool:
    """Whether a path is a pipe, a device or a socket, so that reading it might never end."""
    return path.exists() and not (path.is_file() or path.is_dir())


def require_run_name(name: str) -> None:
    """Check that `name` is a valid name for a run.

    Raises
    ------
    InputError
        If it is not a plain name of letters, digits, dots, dashes and underscores, or is the default model's.
    """
    if name == DEFAULT_MODEL:
        message = f"{name!r} is the name of the model that comes with the package; choose another for a run"
        raise InputError(message)
    if not _NAME.fullmatch(name):
        message = f"{name!r} is not a valid run name: use letters, digits, dots, dashes and underscores"
        raise InputError(message)


def _is_path(name: str) -> bool:
    """Whether `name` is a path rather than a bare name, which means the same in every working folder."""
    return len(Path(name).parts) > 1 or Path(name).suffix == WEIGHTS_SUFFIX or not _NAME.fullmatch(name)
