"""Measure prediction: memory, seams, speed against others and against the machine's limit, growth.

usage: python benchmarks/prediction.py memory|further|seams|bits|peers|networks|limit|growth|small|stages HOME FOLDER

HOME is a folder that `monuseg download --home HOME` filled; FOLDER keeps the slides that are made of its train images
(benchmarks/make_slide.py), and what is predicted. Nothing else should run on the machine meanwhile.

memory
    Peak resident memory of `monuseg predict` with every output, 10,000 and 20,000 pixels wide and high.
further
    The 20,000 slide: seconds of a GeoParquet of its nuclei, and of further outputs that are made from it, as shares.
seams
    3,000 x 3,000 px of tissue, in tiles and blocks against in one: pixels of the mask that are equal, PQ of the label
    images. And whether filling the GeoJSON's polygons by the pixel-centre rule restores the label image.
bits
    The default model's validation cases by OpenVINO, in 8 bits, against PyTorch, in 32: means over the images.
peers
    4,000 x 4,000 px of tissue, and a PNG of 1,000 x 1,000 px, from start to written mask, in turns: this tool, MONAI's
    sliding_window_inference and TIAToolbox's SemanticSegmentor with the same weights (benchmarks/peers). Their
    environments are FOLDER/monai and FOLDER/tiatoolbox, each `python -m venv`, then `pip install monai monuseg-cli` or
    `pip install tiatoolbox monuseg-cli`.
networks
    The network alone, on one core, in turns: this tool's, StarDist's and InstanSeg's for H&E, from their own packages
    and with random weights (benchmarks/peers): seconds per mm2 at the scale of each. Environments: FOLDER/stardist
    (`pip install stardist tensorflow`) and FOLDER/instanseg (`pip install instanseg-torch`).
limit
    The 20,000 slide: operations of the network over the pixels of tissue, once, over the machine's float32 rate in a
    matrix product of 2048 cubed, as a share of the time of `monuseg predict SLIDE -o mask.png` from its start.
growth
    Seconds per megapixel of tissue at 5,000, 10,000 and 20,000 pixels, without start-up; the mask alone, and with
    labels, GeoJSON, CSV and GeoParquet.
small
    8,192 x 8,192 px of tissue as one slide, and cut into 1,024 PNG of 256 px, in turns: seconds and CPU seconds per
    megapixel from start to end, and their ratios (medians of those of each turn); the mask alone, and with labels,
    GeoJSON, CSV and GeoParquet.
stages
    Seconds of each stage by itself, one after the other, for the images of `peers`; and of the process, in which they
    overlap.
"""

import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import machine
import numpy as np
import tifffile
import torch
from make_slide import main as make_slide
from numpy.typing import NDArray
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from monuseg_cli.core.home import SHIPPED, Home
from monuseg_cli.dataset.manifest import Dataset, sha256_of
from monuseg_cli.dataset.masks import labels_path, read_labels
from monuseg_cli.evaluation.scores import count_image
from monuseg_cli.imaging.read_image import read_image
from monuseg_cli.imaging.scaled_source import ArraySource, SlideSource
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.metrics.instance import find_overlaps, panoptic_quality
from monuseg_cli.models.weights import load_model, read_card
from monuseg_cli.nuclei.postprocess import postprocess
from monuseg_cli.nuclei.rasterise import rasterise
from monuseg_cli.outputs.rasters import mask_png
from monuseg_cli.prediction.blend import TileGrid, blended_rows
from monuseg_cli.prediction.engines.base import Engine
from monuseg_cli.prediction.engines.encoder import Encoder
from monuseg_cli.prediction.engines.select import open_engine
from monuseg_cli.prediction.engines.torch import TorchEngine
from monuseg_cli.prediction.predict_array import predict_array
from monuseg_cli.prediction.stitch import LabelRows, Stitcher

ALL = (".png", ".tif", ".ome.tif", ".geojson", ".geojson.gz", ".csv", ".xlsx", ".parquet", ".svg", ".pdf")
NUCLEI = (".tif", ".geojson", ".csv", ".parquet")
PEERS = ("monai", "tiatoolbox")
ROUNDS = 3
MPX = 1e6
NETWORK_PX = 1024
SMALL_PX = 256
SMALL_SIDE = 8192
MPX_PER_MM2 = {0.25: 16, 0.5: 4}


def slide(home: Home, folder: Path, side: int, *, full: bool = False) -> Path:
    """Return a slide, which is built if it does not exist."""
    path = folder / f"{'full' if full else 'slide'}-{side}.tif"
    if not path.is_file():
        make_slide(home, side, path, full=full)
    return path


def predict(
    home: Home, image: Path, suffixes: tuple[str, ...], *more: str | Path, overwrite: bool = True
) -> tuple[float, int]:
    """Run `monuseg predict`; return its seconds and its peak memory."""
    outputs = [word for suffix in suffixes for word in ("-o", image.with_name(f"of-{image.stem}{suffix}"))]
    command = [sys.executable, "-m", "monuseg_cli", "predict", image, *outputs, *more, "--home", home.root]
    return machine.run([*map(str, command), *(["--overwrite"] if overwrite else [])])


def result_of(image: Path, suffix: str) -> dict[str, float]:
    """Read the record next to an output."""
    record = json.loads(image.with_name(f"of-{image.stem}{suffix}.monuseg.json").read_text(encoding="utf-8"))
    found: dict[str, float] = record["found"]
    return found


def pictures_in(folder: Path) -> tuple[str | Path, ...]:
    """Return the options of every picture beside the results."""
    return ("--overlay", folder / "o.png", "--probability", folder / "p.tif", "--save-tissue-mask", folder / "t.png")


def memory(home: Home, folder: Path) -> None:
    """Print the peaks."""
    peaks = []
    for side in (10_000, 20_000):
        image = slide(home, folder, side)
        report = ("--report", folder / "r.html", "--summary", folder / "s.xlsx", "--measurements", "all")
        seconds, peak = predict(home, image, ALL, "--labels", *pictures_in(folder), *report)
        peaks.append(peak)
        print(f"{side} px: {peak / 2**30:.2f} GiB, {seconds:.1f} s", flush=True)
    print(f"larger over smaller {peaks[1] / peaks[0]:.3f}")


def further(home: Home, folder: Path) -> None:
    """Print the seconds of the first output of a slide, and of each further one."""
    image = slide(home, folder, 20_000)
    first, peak = predict(home, image, (".parquet",))
    print(f".parquet: {first:.1f} s; {peak / 2**30:.2f} GiB", flush=True)
    pictures = ("--overlay", folder / "o.png", "--save-tissue-mask", folder / "t.png")
    report = ("--report", folder / "r.html")
    wanted: list[tuple[tuple[str, ...], tuple[str | Path, ...]]] = [
        *(((suffix,), ()) for suffix in (".png", ".geojson", ".csv", ".xlsx", ".svg")),
        *(((), more) for more in (pictures[:2], pictures[2:], report)),
        ((".png",), pictures),
    ]
    for suffixes, more in wanted:
        seconds, peak = predict(home, image, suffixes, *more, overwrite=False)
        names = " ".join([*suffixes, *(str(word) for word in more if str(word).startswith("--"))])
        print(f"{names}: {seconds:.1f} s, {seconds / first:.3f} of the first; {peak / 2**30:.2f} GiB", flush=True)
        for path in (*folder.glob("of-*"), *folder.glob("[ort].*")):
            if ".parquet" not in path.name:  # --overwrite would run the network again
                path.unlink()


def seams(home: Home, folder: Path) -> None:
    """Print how much tiles and blocks change."""
    image = slide(home, folder, 3000, full=True)
    pixels = tifffile.imread(image)
    engine = TorchEngine(*load_model(SHIPPED), torch.device("cpu"))
    tiled = predict_array(pixels, 0.25, engine)[1]
    source = ArraySource(pixels)
    ((maps, _),) = blended_rows(source, TileGrid(source.shape, 4096), engine, lambda *_: True, np.float32)
    whole = postprocess(maps, engine.card.classes, 0.25, engine.card.postprocess)
    equal = ((tiled > 0) == (whole > 0)).mean()
    quality = panoptic_quality(find_overlaps(whole, tiled))
    print(
        f"{whole.max()} nuclei whole, {tiled.max()} tiled: {equal:.4%} of the mask equal, PQ {quality.pq:.4f}",
        flush=True,
    )
    predict(home, image, NUCLEI, "--labels")
    labels = tifffile.imread(image.with_name(f"of-{image.stem}.tif"))
    drawn = np.zeros_like(labels)
    features = json.loads(image.with_name(f"of-{image.stem}.geojson").read_text(encoding="utf-8"))["features"]
    for feature in features:
        geometry = feature["geometry"]
        for rings in [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]:
            points = [np.array(ring)[:-1, ::-1] for ring in rings]
            corner = points[0].min(axis=0).astype(int)
            size = tuple(points[0].max(axis=0).astype(int) - corner)
            inside, *holes = (rasterise([ring - corner], size).labels > 0 for ring in points)
            for hole in holes:
                inside &= ~hole
            drawn[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]][inside] = int(
                feature["properties"]["name"]
            )
    print(f"{len(features)} polygons filled: {int((drawn != labels).sum())} pixels differ from the label image")


def bits(home: Home, folder: Path) -> None:
    """Print the scores of both engines."""
    dataset, card = Dataset.load(home.dataset), read_card(SHIPPED)
    for name in ("torch", "openvino"):
        engine = open_engine(SHIPPED, card, name, "cpu", folder / "cache", sha256_of(SHIPPED))
        scores = []
        for case in dataset.select(card.val_cases):
            image, _ = read_image(dataset.image_path(case))
            maps, labels = predict_array(image, case.mpp or card.mpp, engine)
            scores.append(count_image(read_labels(labels_path(dataset.root, case.case_id)), labels, maps[0]).scores())
        means = {part: statistics.fmean(getattr(score, part) for score in scores) for part in ("f1", "aji", "pq")}
        print(f"{name:10s} F1 (Dice) {means['f1']:.4f}  AJI {means['aji']:.4f}  PQ {means['pq']:.4f}", flush=True)


def two_images(home: Home, folder: Path) -> tuple[Path, Path]:
    """Return a slide of 4,000 x 4,000 px, and its corner as a PNG of 1,000 x 1,000 px."""
    large, small = slide(home, folder, 4000, full=True), folder / "small.png"
    Image.fromarray(tifffile.imread(large)[:1000, :1000]).save(small)
    return large, small


def start_of(home: Home, folder: Path) -> float:
    """Measure the seconds of a process that has nothing to predict on."""
    tiny = folder / "tiny.png"
    Image.new("RGB", (64, 64), "white").save(tiny)
    predict(home, tiny, (".png",))  # makes the graph, once
    return min(predict(home, tiny, (".png",))[0] for _ in range(ROUNDS))


def peers(home: Home, folder: Path) -> None:
    """Print the seconds of every tool, and ratios."""
    large, small = two_images(home, folder)
    mask = folder / "peer.png"
    for image, others in ((large, PEERS), (small, PEERS[:1])):
        commands = {"monuseg": [sys.executable, "-m", "monuseg_cli", "predict", image, "-o", mask, "--overwrite"]}
        for peer in others:
            script = Path(__file__).parent / "peers" / f"{peer}_predict.py"
            commands[peer] = [folder / peer / "bin" / "python", script, SHIPPED, image, folder / f"{peer}.png"]
        commands["monuseg"] += ["--home", home.root]
        predict(home, image, (".png",))  # makes the graph, once
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                seconds[name].append(machine.run([str(word) for word in command])[0])
        ours = statistics.median(seconds["monuseg"])
        for name, of_name in seconds.items():
            middle = statistics.median(of_name)
            print(f"{image.name:16s} {name:12s} {middle:7.1f} s, {middle / ours:5.1f} times ours", flush=True)


def networks(home: Home, folder: Path) -> None:
    """Print the seconds per mm2 of each network, and ratios."""
    engine = open_engine(SHIPPED, read_card(SHIPPED), "openvino", "cpu", home.cache, sha256_of(SHIPPED), threads=1)
    tiles = list(np.random.default_rng(0).integers(0, 256, (4, NETWORK_PX, NETWORK_PX, 3), dtype=np.uint8))

    def ours() -> float:
        began = time.perf_counter()
        list(engine.run(tiles))
        return (time.perf_counter() - began) / len(tiles) / NETWORK_PX**2 * MPX

    def theirs(peer: str) -> float:
        script = Path(__file__).parent / "peers" / f"{peer}_network.py"
        command = [folder / peer / "bin" / "python", script, str(NETWORK_PX)]
        return float(
            subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout.split()[-1]
        )

    ours()  # compiles
    rounds = [(ours(), theirs("stardist"), theirs("instanseg")) for _ in range(ROUNDS)]
    own, stardist, instanseg = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
    first = own * MPX_PER_MM2[0.25]
    for name, per_mpx, mpp in (
        ("monuseg", own, 0.25),
        ("stardist", stardist, 0.5),
        ("stardist", stardist, 0.25),
        ("instanseg", instanseg, 0.5),
    ):
        per_mm2 = per_mpx * MPX_PER_MM2[mpp]
        print(f"{name:10s} at {mpp:4} um/px  {per_mm2:6.2f} s per mm2, {per_mm2 / first:5.1f} times ours", flush=True)


def limit(home: Home, folder: Path) -> None:
    """Print the share of the machine's rate that arrives at the network's operations."""
    image = slide(home, folder, 20_000)
    model, _ = load_model(SHIPPED)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 256, 256))
    per_px = counter.get_total_flops() / 256**2
    predict(home, slide(home, folder, 5_000), (".png",))  # makes the graph, once
    rates = [machine.matmul_rate() for _ in range(5)]
    seconds, peak = predict(home, image, (".png",))
    rates += [machine.matmul_rate() for _ in range(5)]
    rate = statistics.median(rates)
    tissue_mm2 = result_of(image, ".png")["tissue_mm2"]
    tissue_px = tissue_mm2 * 1e6 / 0.25**2
    print(
        f"{per_px / 1e3:.1f} kFLOP per pixel, {tissue_px / MPX:.0f} megapixels of tissue, {rate / 1e9:.0f} GFLOP/s: "
        f"{per_px * tissue_px / rate:.1f} s at the limit, {seconds:.1f} s taken: "
        f"{per_px * tissue_px / rate / seconds:.2f}; "
        f"{seconds / tissue_mm2:.2f} s per mm2, {peak / 2**30:.2f} GiB"
    )


def growth(home: Home, folder: Path) -> None:
    """Print seconds per megapixel of tissue."""
    start = start_of(home, folder)
    print(f"start {start:.2f} s")
    for name, suffixes in (("mask", (".png",)), ("and nuclei", (".png", *NUCLEI))):
        for side in (5_000, 10_000, 20_000):
            image = slide(home, folder, side)
            began = time.perf_counter()
            predict(home, image, suffixes, *(["--labels"] if suffixes[1:] else []))
            seconds = time.perf_counter() - began - start
            tissue = result_of(image, ".png")["tissue_mm2"] / 0.25**2
            print(
                f"{name:12s} {side:6d} px: {seconds / tissue:.4f} s a megapixel of tissue ({tissue:.0f} of them); "
                f"{seconds * MPX / side**2:.4f} s a megapixel of the slide",
                flush=True,
            )


def small_images(large: Path) -> Path:
    """Return a folder of the small images that a slide is cut into."""
    folder = large.with_suffix("")
    folder.mkdir(exist_ok=True)
    pixels = tifffile.imread(large)
    for row in range(0, len(pixels), SMALL_PX):
        for col in range(0, pixels.shape[1], SMALL_PX):
            Image.fromarray(pixels[row : row + SMALL_PX, col : col + SMALL_PX]).save(folder / f"{row}-{col}.png")
    return folder


def small(home: Home, folder: Path) -> None:
    """Print the cost of a megapixel in one slide and in small images."""
    large = slide(home, folder, SMALL_SIDE, full=True)
    images = {"one slide": large, "small images": small_images(large)}
    for image in (large, images["small images"] / "0-0.png"):
        predict(home, image, (".png",))  # makes the graph of both sizes of tiles, once
    for name, suffixes in (("mask", (".png",)), ("and nuclei", (".png", *NUCLEI))):
        costs: dict[str, list[NDArray[np.float64]]] = {of: [] for of in images}
        for _ in range(ROUNDS):
            for of, image in images.items():
                out = folder / "small-out"
                outputs = [word for suffix in suffixes for word in ("-o", f"{out}/{{stem}}{suffix}")]
                labels = ["--labels"] if suffixes[1:] else []
                before = machine.cpu_seconds()
                words = ["predict", image, *outputs, *labels, "--home", home.root]
                seconds, _ = machine.run([sys.executable, "-m", "monuseg_cli", *map(str, words)])
                costs[of].append(np.array([seconds, machine.cpu_seconds() - before]) / (SMALL_SIDE**2 / MPX))
                shutil.rmtree(out)
        for of, of_images in costs.items():
            wall, cpu = np.median(of_images, axis=0)
            print(f"{name:12s} {of:12s} {wall:.3f} s, {cpu:.3f} s of CPU a megapixel", flush=True)
        wall, cpu = np.median(np.divide(costs["small images"], costs["one slide"]), axis=0)
        print(f"{name:12s} ratio {wall:.2f}, of CPU {cpu:.2f}", flush=True)


class _Given:
    """An engine whose maps were computed before."""

    name = "precomputed"

    def __init__(self, engine: Engine, maps: list[NDArray[np.float32]]) -> None:
        self.card, self._engine, self._maps = engine.card, engine, maps

    def prepare(self, height: int, width: int) -> None:
        """Do nothing."""

    def open_encoder(self) -> Encoder:
        """Return the encoder of the engine that computed the maps."""
        return self._engine.open_encoder()

    def run(self, tiles: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        for _, maps in zip(tiles, self._maps, strict=True):
            yield maps


def stages(home: Home, folder: Path) -> None:
    """Print the seconds of each stage."""
    card = read_card(SHIPPED)
    engine = open_engine(SHIPPED, card, "openvino", "cpu", home.cache, sha256_of(SHIPPED))
    for image in two_images(home, folder):
        seconds = {"start": start_of(home, folder)}

        @contextlib.contextmanager
        def timed(stage: str, seconds: dict[str, float] = seconds) -> Iterator[None]:
            began = time.perf_counter()
            yield
            seconds[stage] = time.perf_counter() - began

        with Slide(image) as opened:
            source = SlideSource(opened, 1.0, (0, 0, *opened.shape))
            with timed("read"):
                tiles = [source.read(*window) for window in TileGrid(source.shape)]
        list(engine.run(tiles[:1]))  # compiles
        with timed("network"):
            maps = list(engine.run(tiles))
        whole = ArraySource(tifffile.imread(image) if image.suffix == ".tif" else np.asarray(Image.open(image)))
        with timed("blending"):
            rows = list(blended_rows(whole, TileGrid(whole.shape), _Given(engine, maps), lambda *_: True, np.uint8))
        stitcher = Stitcher(source.shape, card.classes, card.mpp, card.postprocess)
        with timed("nuclei"):
            found = [part for row in rows for part in stitcher.add(*row)]
        with timed("write"), mask_png(folder / "stages.png", source.shape) as add:
            for part in found:
                if isinstance(part, LabelRows):
                    add(part.labels)
        alone = "  ".join(f"{stage} {taken:.2f}" for stage, taken in seconds.items())
        process = statistics.median(predict(home, image, (".png",))[0] for _ in range(ROUNDS))
        print(f"{image.name}: {alone}  sum {sum(seconds.values()):.2f}; the process {process:.2f} s", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(2)
    what, home_folder, slides = sys.argv[1:]
    Path(slides).mkdir(parents=True, exist_ok=True)
    every = (memory, further, seams, bits, peers, networks, limit, growth, small, stages)
    parts = {part.__name__: part for part in every}
    parts[what](Home.resolve(Path(home_folder)), Path(slides).resolve())
