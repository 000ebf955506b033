"""The report and the plots of several systems."""

import dataclasses
import io
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page as Tab
from pypdf import PdfReader

from conftest import Monuseg
from monuseg_cli.core.errors import InputError, OutputError
from monuseg_cli.core.home import Home
from monuseg_cli.evaluation.evaluate import EvaluateConfig, evaluate
from monuseg_cli.evaluation.folders import FoldersConfig, evaluate_folders
from monuseg_cli.evaluation.report import short_names
from support.browser import opened
from support.own import feature, write_geojson
from support.systems import PLACES, SIDE, write_folders

pytestmark = pytest.mark.slow

READY = "labels.truth && labels.systems.every((one) => one) && document.getElementById('base').complete"
SYSTEMS = ("_faulty $1$", "perfect", "like the first")  # names that a plot must show as they are
FOUND, MISSED, RIGHT = (0, 114, 178), (213, 94, 0), (86, 180, 233)  # colours of outlines


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> FoldersConfig:
    folder = tmp_path_factory.mktemp("systems")
    config = dataclasses.replace(write_folders(folder, *SYSTEMS), plots=folder / "plots")
    evaluate_folders(config)
    return config


@pytest.fixture(params=[1100, 390], ids=["desk", "phone"])
def tab(request: pytest.FixtureRequest, config: FoldersConfig) -> Iterator[Tab]:
    assert config.report
    with opened(config.report, request.param) as tab:
        tab.wait_for_function(READY)
        assert tab.evaluate("document.documentElement.scrollWidth") <= request.param
        yield tab


def shown(tab: Tab) -> NDArray[np.uint8]:
    """Return what is seen of the image, one pixel per pixel of the image."""
    tab.wait_for_function("[...document.images].every((image) => image.complete)")
    picture = Image.open(io.BytesIO(tab.locator("#stage").screenshot())).convert("RGB")
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.NEAREST))


def has(pixels: NDArray[np.uint8], number: int, colour: tuple[int, int, int]) -> bool:
    """Whether the place of a true nucleus has a line in a colour."""
    row, col = PLACES[number - 1]
    near = np.abs(pixels[row : row + 20, col : col + 20].astype(int) - colour).max(axis=-1) < 12
    return bool(near.sum() > 20)


def cells(tab: Tab, table: int) -> list[list[str]]:
    rows = tab.locator("table").nth(table).locator("tr").all_inner_texts()
    return [[cell.strip() for cell in row.split("\t")] for row in rows]


def test_one_table_has_means_with_intervals_and_paired_differences(tab: Tab) -> None:
    heading, *rows = cells(tab, 0)
    assert heading == [
        "mean over images",
        *SYSTEMS,
        f"perfect\nminus {SYSTEMS[0]}",
        f"like the first\nminus {SYSTEMS[0]}",
    ]
    recall = next(row for row in rows if row[0] == "recall")
    assert recall[2] == "1.0000\n1.0000-1.0000"
    assert recall[1] == recall[3] != recall[2]
    assert recall[4].startswith("+0.")
    assert recall[5] == "+0.0000\n+0.0000 to +0.0000"
    bold = tab.locator("table").nth(0).locator("tr", has_text="recall").locator("b").all_inner_texts()
    assert bold == [recall[2].split("\n")[0], recall[4].split("\n")[0]]


def test_images_and_types_of_error_are_side_by_side(tab: Tab) -> None:
    _, heading, first, second = cells(tab, 1)
    assert heading == ["case", "organ", *SYSTEMS * 3]
    assert first[0] == "first"
    assert first[3] == "1.0000"
    assert second[0] == "x<script>alert(1)<!--"
    rows = {row[0]: row[1:] for row in cells(tab, 2)}
    assert rows["true nucleus, not matched"] == ["2 (12.5%)", "0 (0.0%)", "2 (12.5%)"]
    assert rows["true nucleus, merged with another"] == ["4 (25.0%)", "0 (0.0%)", "4 (25.0%)"]
    assert rows["all predicted nuclei"] == ["16", "16", "16"]


def test_a_switch_shows_the_outlines_of_each_system_and_of_the_reference(tab: Tab) -> None:
    assert has(shown(tab), 2, MISSED)
    assert "not matched" in tab.locator("#worst li").first.inner_text()
    tab.get_by_role("button", name="perfect", exact=True).click()
    assert tab.locator("#systems button[aria-pressed=true]").all_inner_texts() == ["perfect"]
    assert tab.locator("#worst li").count() == 0
    assert not has(shown(tab), 2, MISSED)
    assert has(shown(tab), 2, RIGHT)
    tab.click("#truth")
    assert has(shown(tab), 2, RIGHT)
    tab.keyboard.press("1")
    assert not has(shown(tab), 2, RIGHT)  # the first system has no nucleus there
    assert not has(shown(tab), 2, MISSED)  # the reference is hidden
    assert has(shown(tab), 1, RIGHT)
    tab.keyboard.press("p")
    assert not has(shown(tab), 1, RIGHT)
    assert tab.locator("#systems button[aria-pressed=true]").count() == 0
    tab.keyboard.press("t")
    assert has(shown(tab), 1, FOUND)


def test_the_slider_compares_two_systems(tab: Tab) -> None:
    tab.keyboard.press("2")
    tab.keyboard.press("s")
    assert tab.locator("#right").inner_text() == "perfect"
    tab.locator("#slider").fill("100")
    assert has(shown(tab), 2, FOUND)  # the reference, all of which the system found
    tab.locator("#left").select_option(label=SYSTEMS[0])
    assert not has(shown(tab), 2, FOUND)
    assert not has(shown(tab), 2, RIGHT)
    tab.locator("#slider").fill("0")
    assert has(shown(tab), 2, RIGHT)


def test_a_click_says_what_each_system_made_of_a_nucleus(tab: Tab) -> None:
    said = tab.locator("#chosen p")
    assert said.all_inner_texts()[0] == "first"
    assert said.all_inner_texts()[2].startswith("perfect: F1 1.0000, AJI 1.0000")
    box = tab.locator("#stage").bounding_box()
    assert box is not None
    row, col = PLACES[1]
    scale = box["width"] / SIDE
    tab.locator("#stage").click(position={"x": (col + 5) * scale, "y": (row + 5) * scale})
    missed = "Reference 2: true nucleus, not matched; best IoU 0.00, 400 px"
    assert said.all_inner_texts() == [
        f"{SYSTEMS[0]}: {missed}",
        "perfect: Reference 2: true nucleus, found; best IoU 1.00, 400 px. "
        "Prediction 2: predicted, right; best IoU 1.00, 400 px",
        f"like the first: {missed}",
    ]


def svg_texts(path: Path) -> list[str]:
    return ["".join(text.itertext()) for text in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize(
    ("plot", "axes"),
    [
        ("images-aji", ["AJI", "image"]),
        ("images-f1", ["F1", "image"]),
        ("images-pq", ["PQ", "image"]),
        ("size-iou", ["area of the true nucleus, pixels", "best IoU (median, quartiles)"]),
        ("size-missed", ["area of the true nucleus, pixels", "share not matched at IoU > 0.5"]),
        ("error-types", ["share of true nuclei (in the bars: their number)", "system"]),
    ],
)
def test_plots_name_their_axes_and_systems_in_svg_and_pdf(config: FoldersConfig, plot: str, axes: list[str]) -> None:
    assert config.plots
    texts = svg_texts(config.plots / f"{plot}.svg")
    (page,) = PdfReader(config.plots / f"{plot}.pdf").pages
    for text in (*axes, *SYSTEMS):
        assert text in texts
        assert text in page.extract_text()
    assert page.mediabox.width == pytest.approx(5.6 * 72)


def test_plots_of_models_are_written_without_a_report(monuseg: Monuseg, trained_home: Home, tmp_path: Path) -> None:
    last = trained_home.find_run("unet-se") / "last.safetensors"
    words = ("evaluate", "unet-se", last, "--device", "cpu", "--home", trained_home.root, "-o", tmp_path / "scores")
    done = monuseg(*words, "--plots", tmp_path / "plots")
    assert done.exit_code == 0, done.stderr
    assert f" files in {tmp_path / 'plots'}/" in done.stdout
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert {"precision-recall.pdf", "precision-recall.svg", "organs-f1.pdf"} <= names
    assert {"recall of pixels", "precision of pixels"} <= {*svg_texts(tmp_path / "plots" / "precision-recall.svg")}
    assert not list(tmp_path.glob("*.html"))


def test_equal_scores_give_equal_plots(config: FoldersConfig, tmp_path: Path) -> None:
    again = evaluate_folders(dataclasses.replace(config, report=None, plots=tmp_path))
    assert config.plots
    assert {path.parent for path in again.plots} == {tmp_path}
    assert len(again.plots) == 12
    for path in again.plots:
        assert path.read_bytes() == (config.plots / path.name).read_bytes()


def test_what_cannot_be_shown_side_by_side_is_refused(
    config: FoldersConfig, trained_home: Home, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"the name must end in .html"):
        evaluate_folders(dataclasses.replace(config, report=tmp_path / "report.pdf"))
    with pytest.raises(OutputError, match="it is not a folder"):
        evaluate_folders(dataclasses.replace(config, plots=config.report))
    weights = (trained_home.find_weights("unet-se"),)
    with pytest.raises(OutputError):
        evaluate(EvaluateConfig(trained_home, weights, plots=config.report, device="cpu"))


def test_systems_of_two_sizes_are_scored_but_have_no_common_report(tmp_path: Path) -> None:
    """Outlines of a reference are rasterised at the size of each prediction."""
    for folder in ("truth", "small", "large"):
        (tmp_path / folder).mkdir()
    write_geojson(tmp_path / "truth" / "a.geojson", [feature([(10, 10), (10, 40), (40, 40), (40, 10)])])
    for folder, side in (("small", 64), ("large", 80)):
        labels = np.zeros((side, side), dtype=np.int32)
        labels[10:40, 10:40] = 1
        np.save(tmp_path / folder / "a.npy", labels)
    config = FoldersConfig((tmp_path / "small", tmp_path / "large"), tmp_path / "truth", plots=tmp_path / "plots")
    assert [one.summary.mean.f1 for one in evaluate_folders(config).evaluations] == [1, 1]
    with pytest.raises(InputError, match="a has 80x80 pixels in one system, 64x64 in another"):
        evaluate_folders(dataclasses.replace(config, report=tmp_path / "report.html"))
    assert not (tmp_path / "report.html").exists()


def test_names_are_as_short_as_they_stay_unique() -> None:
    assert short_names(["a/masks", "b/tta"]) == ["masks", "tta"]
    assert short_names(["a/masks", "b/masks"]) == ["a/masks", "b/masks"]
    assert short_names(["unet", "unet", "."]) == ["unet", "unet (2)", "."]
