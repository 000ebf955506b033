"""The report, as a person meets it: in a browser."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Page as Tab

from monuseg_cli.core.errors import InputError, OutputError
from monuseg_cli.core.home import Home
from monuseg_cli.evaluation.evaluate import EvaluateConfig, evaluate
from monuseg_cli.evaluation.folders import evaluate_folders
from support.systems import PLACES, SIDE, write_folders

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
READY = "labels.truth && labels.systems.every((one) => one) && document.getElementById('base').complete"


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two images."""
    folder = tmp_path_factory.mktemp("report")
    evaluate_folders(write_folders(folder, "found"))
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or another one."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[(1100, 900), (390, 800)], ids=["desk", "phone"])
def tab(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Tab]:
    """The report in a browser without a network, which must not report any error."""
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, offline=True)
    tab = context.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.goto(report.as_uri())
    tab.wait_for_function(READY)
    yield tab
    assert errors == []
    context.close()


def shot(tab: Tab) -> bytes:
    return tab.locator("#stage").screenshot()


def said(tab: Tab) -> str:
    return tab.locator("#chosen").inner_text()


def click_nucleus(tab: Tab, row: int, col: int) -> None:
    box = tab.locator("#stage").bounding_box()
    assert box is not None
    scale = box["width"] / SIDE
    tab.locator("#stage").click(position={"x": (col + 0.5) * scale, "y": (row + 0.5) * scale})


def test_it_opens_with_everything_in_place_and_nothing_wider_than_the_screen(tab: Tab) -> None:
    assert tab.locator("h1").inner_text().endswith("found")
    assert tab.locator("table").nth(0).locator("tbody tr").count() == 2 + 4
    counts = tab.locator("table").nth(1).locator("tbody tr").all_inner_texts()
    assert counts[1].split("\t") == ["true nucleus, not matched", "2 (12.5%)"]
    assert counts[-1].split("\t") == ["all predicted nuclei", "16"]
    assert tab.locator("svg").count() == 4
    assert tab.locator("#legend li").count() == 8
    assert "first: F1 0." in said(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= tab.viewport_size["width"]  # type: ignore[index] # set


def test_outlines_are_switched_by_button_and_by_key(tab: Tab) -> None:
    both = shot(tab)
    tab.click("#truth")
    prediction_only = shot(tab)
    assert prediction_only != both
    tab.keyboard.press("p")
    neither = shot(tab)
    assert neither not in (both, prediction_only)
    assert tab.locator("#systems button").get_attribute("aria-pressed") == "false"
    tab.keyboard.press("t")
    tab.keyboard.press("p")
    assert shot(tab) == both


def test_the_slider_uncovers_the_other_side(tab: Tab) -> None:
    both = shot(tab)
    tab.keyboard.press("s")
    middle = shot(tab)
    assert middle != both
    tab.locator("#slider").fill("100")
    truth_only = shot(tab)
    tab.locator("#slider").fill("0")
    assert len({both, middle, truth_only, shot(tab)}) == 4


def test_zooming_and_moving_change_what_is_seen(tab: Tab) -> None:
    whole = shot(tab)
    tab.locator("#stage").focus()
    tab.keyboard.press("+")
    tab.keyboard.press("+")
    closer = shot(tab)
    tab.keyboard.press("ArrowRight")
    moved = shot(tab)
    assert len({whole, closer, moved}) == 3
    tab.keyboard.press("0")
    assert shot(tab) == whole
    box = tab.locator("#stage").bounding_box()
    assert box is not None
    tab.mouse.move(box["x"] + 50, box["y"] + 50)
    tab.mouse.wheel(0, -300)
    wheeled = shot(tab)
    assert wheeled != whole
    tab.mouse.down()
    tab.mouse.move(box["x"] + 20, box["y"] + 30, steps=4)
    tab.mouse.up()
    assert shot(tab) not in (whole, wheeled)
    assert "first" in said(tab)  # a drag is no click


@pytest.mark.parametrize(
    ("number", "verdict"),
    [
        (1, "Reference 1: true nucleus, found; best IoU 0.90, 400 px\nPrediction 10: predicted, right; best IoU 0.90"),
        (2, "Reference 2: true nucleus, not matched; best IoU 0.00, 400 px"),
        (3, "Reference 3: true nucleus, merged with another; best IoU 0.40, 400 px\nPrediction 34: predicted over"),
        (5, "Reference 5: true nucleus, split; best IoU 0.50, 400 px\nPrediction 51: predicted part of a nucleus"),
    ],
)
def test_a_click_says_what_became_of_a_nucleus(tab: Tab, number: int, verdict: str) -> None:
    assert tab.locator("#ring").is_hidden()
    row, col = PLACES[number - 1]
    click_nucleus(tab, row + 5, col + 5)
    assert said(tab).replace("\n\n", "\n").startswith(verdict)
    assert tab.locator("#ring").is_visible()
    click_nucleus(tab, 3, 3)
    assert said(tab) == "No nucleus here."


def test_the_worst_nuclei_are_one_click_away(tab: Tab) -> None:
    whole = shot(tab)
    first = tab.locator("#worst button").first
    assert first.inner_text().startswith("Reference 2: true nucleus, not matched")
    first.click()
    assert said(tab).startswith("Reference 2: true nucleus, not matched")
    assert shot(tab) != whole
    tab.keyboard.press("0")
    tab.keyboard.press("w")
    assert said(tab).startswith("Reference 2:")
    tab.keyboard.press("w")
    assert not said(tab).startswith("Reference 2:")


def test_images_are_changed_by_key_by_list_and_from_the_table(tab: Tab) -> None:
    tab.keyboard.press("n")
    assert said(tab).startswith("x<script>alert(1)<!--: F1")
    tab.keyboard.press("b")
    assert said(tab).startswith("first: F1")
    tab.locator("#image").select_option("1")
    assert said(tab).startswith("x<script>")
    tab.locator("tbody button").first.click()
    assert said(tab).startswith("first: F1")


def test_a_model_s_report_has_its_curves_and_its_size_is_modest(trained_home: Home, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    config = EvaluateConfig(trained_home, (trained_home.find_weights("unet-se"),), report=path, device="cpu")
    (evaluation,) = evaluate(config).evaluations
    page = path.read_text()
    assert page.count("<svg") == 6
    assert ">threshold of the probability</text>" in page
    assert all(image.case_id in page for image in evaluation.images)
    assert "__" not in page.replace("__proto__", "")
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert evaluation.seconds["report"] > 0
    with pytest.raises(InputError, match=r"the name must end in .html"):
        evaluate(dataclasses.replace(config, report=tmp_path / "report.pdf"))
    with pytest.raises(OutputError):
        evaluate(dataclasses.replace(config, report=path / "inside a file.html"))
