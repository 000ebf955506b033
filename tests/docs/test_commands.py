"""Every command line in README.md, CONTRIBUTING.md and the pages of docs/ runs, in order, page by page, on small data.

In the blocks marked sh and console, each line is a command of ``monuseg`` that is run, or one of another program that
`OTHER_PROGRAMS` names with the reason why it is not. Blocks marked python are run, too. What would take long or needs
what is not here is changed by `STAND_INS` first; none of them may be without use.
"""

import re
import shlex
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from conftest import Monuseg
from monuseg_cli.core.home import Home
from monuseg_cli.training.recipe import Recipe
from support.classes import box, classified, write_features
from support.drive import drive, like_drive, publish
from support.made import make_home
from support.nuinsseg import write_zip
from support.own import feature, region, write_geojson
from support.scanners import write_scn
from support.tissue import draw_tissue, write_archive
from support.visium import check_counts, write_bins

ROOT = Path(__file__).parents[2]
SIZE_PX = 256
"""Side of the generated images: a window of the notebooks' protocol."""

SLIDE_SEED = 1

REPORTS = {"benchmarks.md", "results.md", "robustness.md", "training-the-default.md"}
"""Pages that tell how figures were made, in hours, on real data."""

BEGIN_WITH_NOTHING = {"README.md", "tutorial.md"}
"""Pages that fetch the data and train; where others begin, that is done."""

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name not in REPORTS),
]


@dataclass(frozen=True)
class StandIn:
    """What is run in place of what a page says, and why."""

    pattern: str
    replacement: str
    reason: str


STAND_INS = (
    StandIn(
        r"^torchrun .* -m monuseg_cli",
        "monuseg",
        "one process in place of several, which tests/training/test_distributed.py starts",
    ),
    StandIn(r"^monuseg view .*$", r"\g<0> --help", "a server until Ctrl-C; tests/cli/test_view.py starts one"),
    StandIn(r" --scheduler \S+", "", "no cluster; tests/prediction/test_dask.py starts one"),
    StandIn(
        r"^(monuseg train)(?!.* --resume)(.*)$",
        r"\1\2 --epochs 1 --crops-per-case 1 --crop-px 64 --patch-px 64 --stride-px 192 --device cpu",
        "one epoch of a small crop of each case, in place of minutes to hours",
    ),
    StandIn(
        r"^monuseg patches$", "monuseg patches --patch-px 64 --stride-px 192", "the images are of 256 px, not of 1000"
    ),
    StandIn(
        r"^(monuseg (?:predict|classify) .*)$",
        r"\1 --engine torch",
        "OpenVINO's form of a model takes seconds to make; tests/prediction/engines/test_select.py makes it",
    ),
    StandIn(r" --region( \d+){4}", " --region 20 30 100 90", "a part of a slide of 256 px"),
    StandIn(r"\$MONUSEG_HOME", "nuclei", "a variable of the shell"),
    StandIn(r"\$SLURM_ARRAY_TASK_ID", "1", "what Slurm tells a job"),
    StandIn(r"\$HEAD_NODE", "localhost", "set by whoever starts the job"),
)

OTHER_PROGRAMS = {
    "bioimageio": "tests a package, as tests/bioimageio/test_package.py does through its library",
    "bash": "examples/quickstart.sh installs packages, .ci/run runs these tests",
    "conda": "makes an environment; tests/test_container.py checks its file",
    "dask": "starts the cluster that tests/prediction/test_dask.py starts",
    "docker": "tests/test_container.py checks the recipe, and .ci/run builds it where docker runs",
    "export": "the tests' home is set by the tests",
    "nextflow": "is not to be had by pip; tests/docs/test_workflows.py runs the command of the process",
    "pip": "installs packages; tests/test_wheel.py does so",
    "python": "runs these tests, or makes an environment",
    "snakemake": "tests/docs/test_workflows.py runs the rule",
    "ssh": "reaches another machine",
    "source": "enters the environment",
}


RUN_AS_TYPED = {"cp", "mkdir"}


def annotate(slide: Path) -> None:
    """Draw as a person does in QuPath: every nucleus, and two regions, one to train and one to validate on."""
    _, polygons = draw_tissue(SIZE_PX, SLIDE_SEED)
    regions = (region("", 0, 0, 128, SIZE_PX), region("val", 128, 0, 128, SIZE_PX))
    write_geojson(slide.with_suffix(".geojson"), [*regions, *map(feature, polygons)])


def draw_classes(*paths: str) -> None:
    """Draw two regions of each of two classes, as squares of a chessboard."""
    half = SIZE_PX / 2
    squares = [(0, 0, "Dermis"), (half, half, "Dermis"), (0, half, "Epidermis"), (half, 0, "Epidermis")]
    for path in map(Path, paths):
        path.parent.mkdir(exist_ok=True)
        write_features(path, [classified(box(top, left, half, half), name) for top, left, name in squares])


BY_HAND = {
    "monuseg predict tissue.tif -o nuclei.zarr --mpp 0.2738 --overlay look.png": (
        lambda: write_bins(Path("bins.zarr"), SIZE_PX, 0.2738)
    ),
    "monuseg masks --data my-data --preview": lambda: annotate(Path("my-data/CMU-1.svs")),
    "monuseg classify CMU-1-Small-Region.svs --annotations classes.geojson -o skin.classes": (
        lambda: draw_classes("classes.geojson")
    ),
    "monuseg classify slides/slide.tif slides/tissue.tif --annotations annotations/ -o study.classes": (
        lambda: draw_classes("annotations/slide.geojson", "annotations/tissue.geojson")
    ),
}
"""What people have done on a page before they come to a line."""

AFTERWARDS = {"spatial-omics.md": lambda: check_counts(Path("bins.zarr"), Path("nuclei.zarr"))}
"""What a page has led to is compared with what it should be."""


def lines_of(block: str, kind: str) -> Iterator[str]:
    """Give a block's command lines, without comments; in a console those behind a dollar sign."""
    for line in re.sub(r"\\\n\s*", "", block).splitlines():
        typed = line.removeprefix("$ ") if line.startswith("$ ") else "" if kind == "console" else line
        command = re.sub(r"(^|\s)#.*", "", typed).strip()
        if command:
            yield command


def steps_of(page: Path) -> Iterator[tuple[str, str]]:
    """Give what a page has to run, in order: ("python", code) or ("sh", command line)."""
    blocks = re.findall(r"^ *```(\w+)\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for kind, block in blocks:
        if kind == "python":
            yield kind, block
        elif kind in ("sh", "bash", "console"):
            for line in lines_of(block, kind):
                yield "sh", line


def all_lines() -> list[str]:
    return [line for page in PAGES for kind, line in steps_of(page) if kind == "sh"]


def stand_in(line: str) -> str:
    for one in STAND_INS:
        line = re.sub(one.pattern, one.replacement, line)
    return line


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("archives")
    return write_archive(folder, "train", SIZE_PX), write_archive(folder, "test", SIZE_PX)


@pytest.fixture(scope="module")
def used_home(tmp_path_factory: pytest.TempPathFactory, archives: tuple[Path, Path]) -> Home:
    """The home of somebody who has the data and three runs; copied before use."""
    quick = Recipe(epochs=1, crops_per_case=1, crop_px=64, patch_px=64, stride_px=192)
    home = make_home(tmp_path_factory.mktemp("used home"), archives, quick)
    for name in ("unet", "segnet"):
        shutil.copytree(home.runs / "unet-se", home.runs / name)
    return home


@pytest.fixture
def world(
    tmp_path: Path, archives: tuple[Path, Path], used_home: Home, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder with every file that the pages speak of, to run their commands in."""
    for archive in archives:
        shutil.copy(archive, tmp_path)
    write_zip(tmp_path / "NuInsSeg.zip", SIZE_PX)
    for folder in ("slides", "theirs", "truth"):
        (tmp_path / folder).mkdir()
    for name, seed in {"tissue": 0, "slide": SLIDE_SEED}.items():
        picture, _ = draw_tissue(SIZE_PX, seed)
        labels, _ = ndimage.label(picture[..., 0] < 150)
        for path in (f"{name}.tif", f"{name}.svs", f"slides/{name}.tif"):
            tifffile.imwrite(tmp_path / path, picture)
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        for folder in ("theirs", "truth"):
            Image.fromarray(labels.astype("uint16")).save(tmp_path / folder / f"{name}.png")
    shutil.copy(tmp_path / "slide.svs", tmp_path / "CMU-1-Small-Region.svs")
    write_scn(tmp_path / "slide.scn", [(picture, (6_575_000, 32_800_000))], picture[:40])
    (tmp_path / "annotations.geojson").write_text(
        '{"type": "Polygon", "coordinates": [[[20, 20], [200, 20], [200, 200], [20, 20]]]}', encoding="utf-8"
    )
    shutil.copy(used_home.find_weights("unet-se"), tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONUSEG_HOME", str(tmp_path / "nuclei"))
    with drive(like_drive(publish(archives, monkeypatch))) as (url, _):
        monkeypatch.setenv("MONUSEG_DRIVE_URL", url)
        yield tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_runs(page: Path, world: Path, used_home: Home, monuseg: Monuseg) -> None:
    if page.name not in BEGIN_WITH_NOTHING:
        shutil.copytree(used_home.root, world / "nuclei")
    for kind, step in steps_of(page):
        if kind == "python":
            with warnings.catch_warnings():
                if "import spatialdata" in step:  # packages that it uses announce changes
                    warnings.simplefilter("ignore")
                exec(compile(step, page.name, "exec"), {})
            continue
        if step in BY_HAND:
            BY_HAND[step]()
        program, *words = shlex.split(stand_in(step))
        if program in RUN_AS_TYPED:
            subprocess.run([program, *words], check=True)
        elif program == "monuseg":
            result = monuseg(*words)
            assert result.exit_code == 0, f"{page.name}: {step}\n{result.output}"
        else:
            assert program in OTHER_PROGRAMS, f"{page.name}: {step}: neither run nor named with a reason"
    if page.name in AFTERWARDS:
        AFTERWARDS[page.name]()


def test_every_stand_in_replaces_a_command() -> None:
    lines = all_lines()
    for one in STAND_INS:
        assert any(re.search(one.pattern, line) for line in lines), one
    programs = {shlex.split(stand_in(line))[0] for line in lines}
    assert programs >= OTHER_PROGRAMS.keys() | RUN_AS_TYPED
    assert set(lines) >= BY_HAND.keys()


def test_pages_with_commands_are_found_and_read() -> None:
    found = {page.name: [line for kind, line in steps_of(page) if kind == "sh"] for page in PAGES}
    assert "monuseg demo" in found["README.md"]
    for name in ("tutorial.md", "slides-to-qupath.md", "cluster.md", "compare-with-a-paper.md", "export.md"):
        assert any(line.startswith("monuseg ") for line in found[name]), name
    assert list(lines_of("$ monuseg a \\\n  --b  # why\noutput\n", "console")) == ["monuseg a --b"]
    assert list(lines_of("# why\nmonuseg 'a#b'\n", "sh")) == ["monuseg 'a#b'"]
