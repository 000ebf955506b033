"""Everything that monuseg needs of a machine, looked at one after the other."""

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
    """Where `examine` looks: the home of data, runs and models."""

    home: Home


@dataclass(frozen=True, slots=True)
class DoctorResult:
    """Everything that was looked at, and whether nothing of it is broken."""

    checks: tuple[Check, ...]
    well: bool


def examine(config: DoctorConfig, progress: Progress = SILENT) -> DoctorResult:
    """Look at versions, devices, threads, memory, codecs, places, data and weights; nothing that is wrong is raised.

    As any first prediction does, it may leave the default model in the home's cache in the form that an engine takes.
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
            progress.detail(f"looks at {name}")
            checks += look()
            task.advance()
    return DoctorResult(tuple(checks), all(check.state != "broken" for check in checks))
