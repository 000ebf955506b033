"""Prediction on a running Dask cluster, one image per worker at a time."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from monuseg_cli.core.errors import InputError, MonusegError
from monuseg_cli.core.extras import require_extra
from monuseg_cli.core.progress import Progress
from monuseg_cli.outputs.plan import Outputs

if TYPE_CHECKING:
    from monuseg_cli.prediction.image_job import Job, Outcome

SECONDS_TO_CONNECT = 20.0


def run_on_cluster(
    address: str, job: "Job", plans: Sequence[Outputs], progress: Progress, timeout_s: float = SECONDS_TO_CONNECT
) -> "Iterator[Outcome]":
    """Predict on images on a cluster.

    If a worker dies, Dask hands its image to another worker. Writes are atomic, so the dead worker leaves no partial
    output; if it died after its last file was written, the image counts as done.

    Parameters
    ----------
    address : str
        Address of the scheduler, such as ``tcp://10.0.0.1:8786``.
    job : Job
        The job, which the workers run for each image.
    plans : sequence of Outputs
        Outputs of the images.
    progress : Progress
        Reports finished images.
    timeout_s : float
        How long to wait for the scheduler's answer, in seconds.

    Yields
    ------
    Outcome
        Outcome of each image, in order of completion.

    Raises
    ------
    MissingError
        If Dask is not installed.
    InputError
        If no scheduler answers at that address.
    """
    from monuseg_cli.prediction.image_job import Outcome

    require_extra("cluster", "a Dask scheduler", distributed="dask")
    from distributed import Client, KilledWorker, as_completed

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
                died = MonusegError(f"{futures[future].image}: every worker that processed it died")
                outcome = Outcome(futures[future], error=died)
            task.advance()
            yield outcome
