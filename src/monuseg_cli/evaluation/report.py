"""Scores -> tables."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from monuseg_cli.evaluation.scores import ImageScores, Scores


def scores_csv(images: Iterable[ImageScores], organs: Mapping[str, tuple[int, Scores]], mean: Scores) -> str:
    """Write scores as a table in CSV: a line per image, then a mean per organ, then the mean over images.

    The column ``aggregation`` says which a line is; ``images`` how many images it is the mean of.
    """
    text = io.StringIO()
    heading = ["aggregation", "case_id", "organ", "images", "trained_on", *Scores.__slots__]
    table = csv.DictWriter(text, heading, lineterminator="\n")
    table.writeheader()
    count = 0
    for image in images:
        count += 1
        row = {"case_id": image.case_id, "organ": image.organ, "images": 1, "trained_on": image.trained_on}
        table.writerow({"aggregation": "image", **row, **asdict(image.scores)})
    for organ, (size, scores) in organs.items():
        table.writerow({"aggregation": "mean over organ", "organ": organ, "images": size, **asdict(scores)})
    table.writerow({"aggregation": "mean over images", "images": count, **asdict(mean)})
    return text.getvalue()
