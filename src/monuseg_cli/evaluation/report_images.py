"""The images of a report: pictures, outlines and nuclei, in the form in which the page reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.evaluation.error_analysis import KINDS, Side
from monuseg_cli.metrics.error_types import Faults
from monuseg_cli.metrics.instance import number_labels
from monuseg_cli.nuclei.draw_outlines import outline_pixels
from monuseg_cli.reports.template import jpeg_uri, palette_uri, png_uri

_WORST = 20


def picture_of(picture: NDArray[np.uint8] | None, shape: tuple[int, int]) -> str:
    """Encode the pixels (H, W, 3) of an image; None shows white."""
    return jpeg_uri(np.full((*shape, 3), 255, dtype=np.uint8) if picture is None else picture)


@dataclass(frozen=True, slots=True)
class NumberedNuclei:
    """The nuclei of a label image, numbered from 1 in order of label."""

    numbers: NDArray[np.int64]
    areas: NDArray[np.int64]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, labels: NDArray[np.int32]) -> "NumberedNuclei":
        """Build them from a label image (H, W)."""
        numbers, areas = number_labels(labels)
        names = np.zeros(len(areas) + 1, dtype=np.int64)
        names[numbers] = labels
        return cls(numbers, areas, names[1:])

    def describe(self) -> dict[str, Any]:
        """Return label, area and centre of each nucleus, and an image with the number of the nucleus at each pixel.

        Red, green and blue of that image are the three bytes of the number.
        """
        rows, cols = np.indices(self.numbers.shape)
        flat = self.numbers.reshape(-1)
        count = len(self.areas) + 1
        row, col = (np.bincount(flat, axis.reshape(-1), count)[1:] / self.areas + 0.5 for axis in (rows, cols))
        parts = [(self.numbers >> shift) & 255 for shift in (16, 8, 0)]
        return {
            "label": self.labels.tolist(),
            "area": self.areas.tolist(),
            "row": row.round(1).tolist(),
            "col": col.round(1).tolist(),
            "numbers": png_uri(np.stack(parts, axis=-1).astype(np.uint8)),
        }

    def judge(self, side: Side, kinds: Sequence[str], ious: NDArray[np.float64]) -> dict[str, Any]:
        """Return kind and best IoU of each nucleus, and the outlines in the colours of the kinds."""
        names = list(KINDS[side])
        colours = [_rgb(colour) for colour, _ in KINDS[side].values()]
        of_nucleus = np.array([0, *(names.index(kind) + 1 for kind in kinds)], dtype=np.uint8)
        painted = np.where(outline_pixels(self.numbers), of_nucleus[self.numbers], np.uint8(0))
        return {
            "kind": [names.index(kind) for kind in kinds],
            "iou": ious.round(3).tolist(),
            "outlines": palette_uri(painted, [(0, 0, 0), *colours]),
        }


def list_worst(truth: NumberedNuclei, prediction: NumberedNuclei, faults: Faults) -> list[tuple[Side, int]]:
    """List the nuclei with the most missed or false-positive pixels, as side and number."""
    lost = truth.areas * (1 - faults.reference_ious)
    made_up = prediction.areas * (np.asarray(faults.prediction, dtype=object) == "false")
    ranked: list[tuple[Side, int, float]] = []
    ranked += [("truth", index + 1, loss) for index, loss in enumerate(lost.tolist())]
    ranked += [("prediction", index + 1, loss) for index, loss in enumerate(made_up.tolist())]
    ranked.sort(key=lambda entry: -entry[2])
    return [(side, number) for side, number, loss in ranked[:_WORST] if loss]


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
