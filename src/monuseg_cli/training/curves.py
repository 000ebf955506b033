"""Learning curves of one or more trainings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monuseg_cli.training.history import EpochRecord

CURVES_FILE = "curves.png"
CURVES_SUFFIXES = (".png", ".svg", ".pdf")

_SCORES = {"accuracy": "accuracy (share of pixels)", "dice": "soft Dice", "f1": "F1"}
"""The plotted scores, with the names of their axes."""

_LINES = ("-", "--", ":")


@dataclass(frozen=True, slots=True)
class Training:
    """What is plotted of a training: its name, the terms of its loss, and its finished epochs."""

    name: str
    loss: str
    records: Sequence[EpochRecord]


@dataclass(frozen=True, slots=True)
class _Curve:
    label: str
    training: Training
    prefix: str


def draw_curves(picture: Path, trainings: Sequence[Training]) -> None:
    """Plot loss, accuracy, Dice and F1 over the epochs, each in a panel, as PNG, SVG or PDF by the suffix.

    One training is plotted with its train and validation values, several with the validation values of each. Losses of
    different terms cannot be compared, so each kind of loss has a panel of its own.

    Raises
    ------
    OutputError
        If the picture cannot be written.
    """
    # matplotlib takes half a second to import; without pyplot, no display is needed
    from matplotlib.ticker import MaxNLocator

    from monuseg_cli.outputs.figures import COLOURS, add_legend, begin_panels, write_figure

    curves = [_Curve(training.name, training, "val_") for training in trainings]
    if len(trainings) == 1:
        curves = [_Curve("train", trainings[0], ""), _Curve("validation", trainings[0], "val_")]
    panels = [
        (f"loss ({loss})", "loss", [curve for curve in curves if curve.training.loss == loss])
        for loss in dict.fromkeys(training.loss for training in trainings)
    ]
    panels += [(axis, score, curves) for score, axis in _SCORES.items()]
    last = max(len(training.records) for training in trainings)
    height = 3.5 * -(-len(panels) // 2)
    # Fixed margins, which hold the labels of all scores: to fit them takes as long as to draw, after every epoch.
    margins = {"left": 0.075, "right": 0.985, "bottom": 0.5 / height, "top": 1 - 0.1 / height}
    margins |= {"wspace": 0.2, "hspace": 0.2}
    figure, all_axes = begin_panels([""] * len(panels), (10, height), 2, margins)
    for axes, (axis, score, shown) in zip(all_axes, panels, strict=True):
        drawn = []
        for curve in shown:
            index, records = curves.index(curve), curve.training.records
            line = axes.plot(
                [record.epoch for record in records],
                [getattr(record, curve.prefix + score) for record in records],
                marker=".",
                color=COLOURS[index % len(COLOURS)],
                linestyle=_LINES[index // len(COLOURS) % len(_LINES)],
            )
            drawn.append((curve.label, line[0]))
        axes.set(xlabel="epoch", ylabel=axis if len(trainings) == 1 else f"validation {axis}")
        axes.set_xlim(0, last + 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        add_legend(axes, drawn)
    write_figure(picture, figure)
