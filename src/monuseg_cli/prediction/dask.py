"""Images handed to the workers of a Dask cluster that is running already, a whole image at a time."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from monuseg_cli.core.errors import InputError, MissingError, MonusegError
from monuseg_cli.core.progress import Progress
from monuseg_cli.prediction.outputs import Outputs

if TYPE_CHECKING:
    from monuseg_cli.prediction.job import Job, Outcome

SECONDS_TO_CONNECT = 20.0


def run_on_cluster(
    address: str, job: "Job", plans: Sequence[Outputs], progress: Progress, timeout_s: float = SECONDS_TO_CONNECT
) -> "Iterator[Outcome]":
    """Predict on images on a cluster.

    Dask gives an image whose worker dies to another one. What the first had written is not under its name, or, where it
    died between the last file and its answer, is found to be done.

    Parameters
    ----------
    address : str
        Of the scheduler, such as ``tcp://10.0.0.1:8786``.
    job : Job
        What to do.
    plans : sequence of Outputs
        The images.
    progress : Progress
        Counts them.
    timeout_s : float
        How long to wait for the scheduler's answer, in seconds.

    Yields
    ------
    Outcome
        Of each image, as they come.

    Raises
    ------
    MissingError
        If Dask is not installed.
    InputError
        If there is no scheduler at that address.
    """
    from monuseg_cli.prediction.job import Outcome

    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError as error:
        message = "Dask is not installed: pip install 'monuseg-cli[cluster]'"
        raise MissingError(message) from error
    try:
        client = Client(address, timeout=timeout_s)  # type: ignore[no-untyped-call] # Dask's
    except (OSError, ValueError) as error:
        message = f"no Dask scheduler answers at {address} ({type(error).__name__})"
        raise InputError(message) from error
    with client, progress.task("slides", len(plans), "slides") as task:
        futures = {client.submit(job.run, outputs, pure=False): outputs for outputs in plans}
        for future in as_completed(futures):  # type: ignore[no-untyped-call] # Dask's
            try:
                outcome = future.result()
            except KilledWorker:
                died = MonusegError(f"{futures[future].image}: every worker that was given it died")
                outcome = Outcome(futures[future], error=died)
            task.advance()
            yield outcome
