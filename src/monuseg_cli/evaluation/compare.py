"""Two systems on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass

from monuseg_cli.core.errors import InputError
from monuseg_cli.evaluation.scores import SCORE_NAMES, ImageScores, Scores, bootstrap, mean


@dataclass(frozen=True, slots=True)
class Difference:
    """How a system differs from another one, image by image.

    Parameters
    ----------
    name : str
        The system.
    mean : Scores
        Mean over images of its score less the other's.
    low, high : Scores
        Ends of the 95 % interval of that mean, by a bootstrap over cases; where 0 is outside, the difference is more
        than the choice of these cases.
    """

    name: str
    mean: Scores
    low: Scores
    high: Scores


def compare(name: str, images: Sequence[ImageScores], others: Sequence[ImageScores]) -> Difference:
    """Compare the scores `images` of the system `name` with those of another one on the same images.

    Raises
    ------
    InputError
        If they are not of the same images.
    """
    if [image.case_id for image in images] != [other.case_id for other in others]:
        message = f"{name} was not evaluated on the same images, so there is nothing to compare"
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
