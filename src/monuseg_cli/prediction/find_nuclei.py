"""A prepared slide -> its nuclei, passed on from top to bottom as they are found."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.prefetch import in_threads, prefetch
from monuseg_cli.core.progress import Progress, Task
from monuseg_cli.core.stages import StageClock, usable_cores
from monuseg_cli.imaging.resample import RowsResized
from monuseg_cli.nuclei.columns import Group
from monuseg_cli.nuclei.detections import measure_columns
from monuseg_cli.nuclei.distributions import Distributions
from monuseg_cli.nuclei.labelled_nuclei import Nuclei
from monuseg_cli.nuclei.rois import Roi, RoiCount, RoiCounter, warn_outside
from monuseg_cli.prediction.blend import blended_rows
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.network_features import NetworkFeatures
from monuseg_cli.prediction.plausibility import Finding, ScaleSource, find_doubt
from monuseg_cli.prediction.prepared_slide import PreparedSlide
from monuseg_cli.prediction.scale_estimate import ScaleEstimate
from monuseg_cli.prediction.stitch import LabelRows, Stitcher

_MOST_THREADS = 4  # that find nuclei: each takes memory for a block, and the network takes longer than four of them


class Sink(Protocol):
    """Receives the results of a slide, from top to bottom."""

    def add_probability(self, rows: NDArray[np.uint8]) -> None:
        """Add the next rows (R, W) of the probability of nuclei, at the network's scale."""

    def add_labels(self, rows: NDArray[np.int32]) -> None:
        """Add the next rows (R, W) of the label image, at the scale of level 0."""

    def add_nuclei(self, nuclei: Nuclei, regions: Sequence[str] | None) -> None:
        """Add further nuclei, with the names of the regions of interest of each."""


@dataclass(frozen=True, slots=True)
class FoundNuclei:
    """Summary of the nuclei in a prepared slide.

    Parameters
    ----------
    areas_um2 : ndarray of shape (N,), float64
        Area of every nucleus in square micrometres.
    rois : tuple of RoiCount
        Nuclei in each region of interest.
    medians : mapping of str to float
        Median of each measurement; empty without nuclei.
    """

    areas_um2: NDArray[np.float64]
    rois: tuple[RoiCount, ...]
    medians: Mapping[str, float]


def find_nuclei(
    prepared: PreparedSlide,
    rois: tuple[Roi, ...],
    engine: Engine,
    sink: Sink,
    progress: Progress,
    threads: int | None = None,
    groups: Collection[Group] = (),
) -> FoundNuclei:
    """Predict from top to bottom, and pass results to `sink` as they are computed.

    Parameters
    ----------
    prepared : PreparedSlide
        The slide or region to predict on.
    rois : tuple of Roi
        Keep only nuclei whose centre lies in one of these regions; empty: keep all.
    engine : Engine
        Runs the network.
    sink : Sink
        Receives probabilities, labels and nuclei.
    progress : Progress
        Shows a bar, and receives the share of each stage.
    threads : int, optional
        Number of cores to use for the nuclei; by default, all. The result does not depend on it.
    groups : collection of {"texture", "neighbours", "network"}
        Further measurements that will be made; features of the network are measured only then.
    """
    cores = threads or usable_cores()
    warn_outside(prepared.slide, rois, progress)
    clock = StageClock("network and other work")
    counter = RoiCounter(rois, prepared.layout.frame)
    features = None
    if "network" in groups:
        features = NetworkFeatures(prepared.source, prepared.match, engine.open_encoder())
    areas_px, measured = [np.empty(0, dtype=np.int64)], Distributions()
    with progress.task(prepared.slide.path.name, len(prepared.tissue.tiles()), "tiles") as task:
        at_once = min(cores, _MOST_THREADS)
        for nuclei in _find_blocks(prepared, engine, counter, sink, task, clock, at_once, features):
            areas_px.append(nuclei.measurements.area_px)
            measured.add(measure_columns(nuclei, prepared.layout.frame))
    progress.detail(f"{prepared.slide.path.name}: {clock.summary(cores)}")
    areas_um2 = np.concatenate(areas_px) * np.float64(prepared.layout.map_mpp**2)
    return FoundNuclei(areas_um2, counter.counts(prepared.mpp or engine.card.mpp), measured.medians())


def report_doubts(
    prepared: PreparedSlide,
    found: FoundNuclei,
    engine: Engine,
    progress: Progress,
    estimate: ScaleEstimate | None = None,
) -> tuple[str, ...]:
    """Warn of damaged tiles and of an implausible result; return the warnings on the result.

    An estimated scale is one of those, but was reported before.
    """
    name = prepared.slide.path.name
    if prepared.damaged:
        progress.warn(f"{name}: {len(prepared.damaged)} damaged tiles were treated as glass")
    mpp = prepared.mpp or engine.card.mpp
    source: ScaleSource = "estimated" if estimate else "stated" if prepared.mpp else "assumed"
    finding = Finding(found.areas_um2, prepared.tissue.mm2, mpp, source)
    doubts = tuple(doubt for doubt in (prepared.colour_doubt, find_doubt(finding)) if doubt)
    for doubt in doubts:
        progress.warn(f"{name}: {doubt}")
    return (f"the scale was estimated from the image: {estimate}", *doubts) if estimate else doubts


def _find_blocks(
    prepared: PreparedSlide,
    engine: Engine,
    rois: RoiCounter,
    sink: Sink,
    task: Task,
    clock: StageClock,
    threads: int,
    features: NetworkFeatures | None,
) -> Iterator[Nuclei]:
    """Predict from top to bottom, pass results to `sink` as they are computed, and yield the nuclei block by block.

    Tiles are read in one thread, and pass through the network and are blended in another. Blocks of nuclei are found
    and measured in several. This one writes, always in the same order. An image of one tile and block needs no other.
    """
    card = engine.card
    inside = rois.contains if rois else None
    stitcher = Stitcher(
        prepared.source.shape,
        card.classes,
        prepared.layout.map_mpp,
        card.postprocess,
        inside,
        threads=threads,
        clock=clock,
    )
    resized = RowsResized(prepared.source.shape, prepared.shape)
    blended = blended_rows(
        prepared.source, prepared.tissue.grid, engine, prepared.tissue.is_in, np.uint8, task, prepared.match, clock
    )
    measure = partial(_measure, clock=clock, features=features)
    at_once = threads if stitcher.has_several_blocks else 1  # starting threads takes longer than measuring one block
    with closing(prefetch(blended, most=1 if prepared.tissue.grid.has_several else 0)) as rows:
        for maps, haematoxylin in rows:
            with clock.stage("writing"):
                sink.add_probability(maps[0])
            with closing(in_threads(measure, stitcher.add(maps, haematoxylin), at_once)) as measured:
                for found in measured:
                    with clock.stage("writing"):
                        if isinstance(found, LabelRows):
                            sink.add_labels(resized.add(found.labels))
                        else:
                            sink.add_nuclei(found, rois.add(found.centres))
                    if not isinstance(found, LabelRows):
                        yield found


def _measure(found: Nuclei | LabelRows, clock: StageClock, features: NetworkFeatures | None) -> Nuclei | LabelRows:
    """Measure nuclei, which are written and counted later."""
    if isinstance(found, LabelRows):
        return found
    if features:
        with clock.stage("features of the network"):
            found = replace(found, network=features.measure(found))
    with clock.stage("nuclei"):
        assert found.measurements is not None
    return found
