"""Comparison of two systems on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass

from monuseg_cli.core.errors import InputError
from monuseg_cli.evaluation.scores import SCORE_NAMES, ImageScores, Scores, bootstrap, mean


@dataclass(frozen=True, slots=True)
class Difference:
    """The paired difference between a system and a reference system.

    Parameters
    ----------
    name : str
        Name of the system.
    mean : Scores
        Mean over images of the system's score minus that of the reference system.
    low, high : Scores
        Ends of the 95 % confidence interval of that mean, by a bootstrap over cases. An interval that excludes 0 means
        that the choice of cases alone does not explain the difference.
    """

    name: str
    mean: Scores
    low: Scores
    high: Scores


def compare(name: str, images: Sequence[ImageScores], others: Sequence[ImageScores]) -> Difference:
    """Compare the scores `images` of the system `name` with the scores `others` of another on the same images.

    Raises
    ------
    InputError
        If the images differ.
    """
    if [image.case_id for image in images] != [other.case_id for other in others]:
        message = f"{name} was not evaluated on the same images, so it cannot be compared"
        raise InputError(message)
    differences = {
        score: [
            None if one is None or other is None else one - other
            for one, other in (
                (getattr(image.scores, score), getattr(reference.scores, score))
                for image, reference in zip(images, others, strict=True)
            )
        ]
        for score in SCORE_NAMES
    }
    ends = {score: bootstrap(values) for score, values in differences.items()}
    return Difference(
        name=name,
        mean=Scores.of(lambda score: mean(differences[score])),
        low=Scores.of(lambda score: ends[score][0]),
        high=Scores.of(lambda score: ends[score][1]),
    )
