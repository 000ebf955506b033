"""The images of a batch in their order: whole slides one by one, small images several at a time."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby

from monuseg_cli.core.prefetch import in_threads
from monuseg_cli.core.progress import Held, Progress
from monuseg_cli.core.stages import usable_cores
from monuseg_cli.imaging.decoding import is_one_image
from monuseg_cli.outputs.plan import Outputs
from monuseg_cli.prediction.files_of_nuclei import FilesOfNuclei
from monuseg_cli.prediction.image_job import Job, Outcome

_LARGEST_PX = 1024 * 1024
"""Of a small image: a tile of the network."""

_MOST_AT_ONCE = 4


def run_images(job: Job, plans: Sequence[Outputs], progress: Progress) -> Iterator[Outcome]:
    """Predict on images, and yield the outcome of each, in order.

    The stages of a slide run at the same time, on different parts of it. Those of a small image follow each other,
    since it has one part. So small images are processed several at a time, each in a thread: while the network runs on
    one, others are read, or their nuclei are found and written. The messages of an image are held until its turn comes.

    When the iterator is closed, as by an interrupt, images that are being processed are finished, and no others begun.
    """
    files = FilesOfNuclei()
    at_once = min((job.config.threads or usable_cores()) + 1, _MOST_AT_ONCE)

    def run(outputs: Outputs) -> tuple[Outcome, Held]:
        held = Held()
        return job.run(outputs, held, files=files), held

    for in_turn, group in groupby(plans, lambda outputs: not _suits_threads(job, outputs)):
        if in_turn:
            for outputs in group:
                yield job.run(outputs, progress, files=files)
        else:
            with closing(in_threads(run, group, at_once)) as outcomes:
                for outcome, held in outcomes:
                    held.show(progress)
                    yield outcome


def _suits_threads(job: Job, outputs: Outputs) -> bool:
    """Return whether an image can be processed while others are.

    It must be small. The image that opens the engine is processed alone: this may take long, and has messages of its
    own. So are images with regions of interest or certain outputs, whose libraries are not safe in threads.
    """
    is_safe = job.has_engine and outputs.suit_threads and not job.config.settings.rois
    return is_safe and is_one_image(outputs.image, _LARGEST_PX)
