"""Checks of everything that monuseg needs of a machine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from monuseg_cli.core.home import Home
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.doctor.check import Check
from monuseg_cli.doctor.hardware import check_devices, check_memory, check_threads
from monuseg_cli.doctor.places import check_dataset, check_home, check_prediction, check_weights
from monuseg_cli.doctor.software import check_codecs, check_packages, check_versions


@dataclass(frozen=True, slots=True)
class DoctorConfig:
    """Settings of `examine`: the home of data, runs and models."""

    home: Home


@dataclass(frozen=True, slots=True)
class DoctorResult:
    """The results of all checks, and whether none of them is ``"broken"``."""

    checks: tuple[Check, ...]
    well: bool


def examine(config: DoctorConfig, progress: Progress = SILENT) -> DoctorResult:
    """Check versions, devices, threads, memory, codecs, folders, data and weights; problems are reported, not raised.

    Like any first prediction, it may write the default model, converted for an engine, to the home's cache.
    """
    home = config.home
    steps: Mapping[str, Callable[[], list[Check]]] = {
        "versions": check_versions,
        "packages": check_packages,
        "codecs": check_codecs,
        "threads": check_threads,
        "memory": check_memory,
        "devices": check_devices,
        "home": lambda: check_home(home),
        "data set": lambda: check_dataset(home),
        "weights": lambda: check_weights(home),
        "prediction": lambda: check_prediction(home),
    }
    checks: list[Check] = []
    with progress.task("examine", len(steps), "steps") as task:
        for name, look in steps.items():
            task.status(name)
            progress.detail(f"checks {name}")
            checks += look()
            task.advance()
    return DoctorResult(tuple(checks), all(check.state != "broken" for check in checks))
