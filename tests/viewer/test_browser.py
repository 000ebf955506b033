"""The viewer as a person meets it: in a browser, by what changes on the screen."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page

from monuseg_cli.imaging.slide import Slide
from monuseg_cli.viewer.session import ViewConfig, ViewSession
from support.browser import launched
from support.viewed import COLS, MPP, ROWS, centre, nuclei, regions, serving, write_features, write_slide

DESK, PHONE = (1100, 700), (390, 800)
on_desk_and_phone = pytest.mark.parametrize("context", [DESK, PHONE], indirect=True, ids=["desk", "phone"])
pytestmark = pytest.mark.slow

SETTLED = '#stage[data-settled="true"]'
READY = '#stage[data-nuclei="ready"][data-settled="true"]'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("viewed") / "slide é.tif")


@pytest.fixture(scope="module")
def address(slide: Path) -> Iterator[str]:
    found = write_features(slide.with_name("nuclei.geojson"), [*nuclei(), *regions()])
    with ViewSession(ViewConfig(slide, found)) as session, serving(session) as address:
        session.wait()
        yield address


@pytest.fixture
def context(request: pytest.FixtureRequest, browser: Browser) -> Iterator[BrowserContext]:
    """A person's browser, in which no page may report an error, or ask any other site for anything."""
    width, height = getattr(request, "param", DESK)
    context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
    errors: list[str] = []
    context.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    context.on("request", lambda asked: errors.append(asked.url) if "//127.0.0.1:" not in asked.url else None)
    yield context
    context.close()
    assert [error for error in errors if not error.startswith(("blob:", "data:"))] == []


@pytest.fixture
def tab(context: BrowserContext, address: str) -> Page:
    tab = context.new_page()
    tab.goto(address)
    tab.wait_for_selector(READY)
    return tab


def settle(tab: Page) -> None:
    """Wait until what was done shows on the screen: after the next frames, once all tiles are there."""
    tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    tab.wait_for_selector(SETTLED)


def shot(tab: Page) -> bytes:
    settle(tab)
    return tab.locator("#stage").screenshot()


def pixels(picture: bytes) -> NDArray[np.int_]:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def alike(one: bytes, other: bytes) -> bool:
    """Whether two pictures show the same, but for rounding in single pixels."""
    return bool(np.abs(pixels(one) - pixels(other)).mean() < 0.1)


def text(tab: Page, name: str) -> str:
    settle(tab)
    return tab.locator(f"#{name}").inner_text()


def shows(tab: Page) -> str | None:
    settle(tab)
    return tab.locator("#stage").get_attribute("data-shows")


def click_at_middle(tab: Page, down: float = 0, right: float = 0) -> None:
    box = tab.locator("#slide").bounding_box()
    assert box is not None
    position = {"x": box["width"] / 2 + right, "y": box["height"] / 2 + down}
    tab.locator("#slide").click(position=position)  # type: ignore[arg-type] # a mapping with both keys


@pytest.fixture
def close_up(context: BrowserContext, address: str) -> Page:
    """The view with a nucleus in its middle, at twice full resolution."""
    row, col = centre(10, 12)
    tab = context.new_page()
    width = tab.viewport_size["width"]  # type: ignore[index] # it is set
    width -= 320 if width > 760 else 0  # of the panel
    tab.goto(f"{address}#x={col / 4096}&y={row / 4096}&z={2 * 4096 / width}&c=0")
    tab.wait_for_selector(READY)
    return tab


@on_desk_and_phone
def test_it_opens_with_the_whole_slide_a_density_map_and_all_counts(tab: Page) -> None:
    assert text(tab, "slide-name") == "slide é.tif"
    assert text(tab, "count") == f"{ROWS * COLS} nuclei"
    assert shows(tab) == "density"
    assert "Density" in text(tab, "legend")
    assert "per mm²" in text(tab, "high")
    assert [item.inner_text().split("\n")[:2] for item in tab.locator("#regions button").all()] == [
        ["Left <b>half", str(ROWS * COLS // 2)],
        ["Corner", "6"],
    ]
    assert tab.evaluate("document.documentElement.scrollWidth") <= tab.viewport_size["width"]  # type: ignore[index] # set
    with_map = shot(tab)
    tab.keyboard.press("n")
    assert shows(tab) == "nothing"
    assert shot(tab) != with_map
    tab.keyboard.press("n")
    assert alike(shot(tab), with_map)


def test_outlines_appear_where_they_fit_and_lie_on_the_nuclei(close_up: Page) -> None:
    assert shows(close_up) == "outlines"
    close_up.keyboard.press("n")
    off = pixels(shot(close_up))
    close_up.keyboard.press("n")
    on = pixels(shot(close_up))
    changed = np.abs(on - off).max(axis=-1) > 40
    middle_row, middle_col = (side // 2 for side in changed.shape)
    around = changed[middle_row - 40 : middle_row + 40, middle_col - 40 : middle_col + 40]
    rows, cols = np.nonzero(around)
    assert not around[38:42, 38:42].any()  # the inside
    assert abs(rows.max() - rows.min() - 2 * 20) <= 6  # 10 pixels up and down, at twice full resolution
    assert abs(cols.max() - cols.min() - 2 * 14) <= 6
    assert abs((rows.max() + rows.min()) / 2 - 40) <= 3
    assert abs((cols.max() + cols.min()) / 2 - 40) <= 3


@on_desk_and_phone
def test_a_click_shows_the_numbers_of_a_nucleus(close_up: Page) -> None:
    before = shot(close_up)
    click_at_middle(close_up)
    close_up.wait_for_selector("#values dd")
    assert text(close_up, "nucleus-name") == f"Nucleus {10 * COLS + 13}"
    values = close_up.locator("#values dd").all_inner_texts()
    assert values[:3] == ["Tumor", "22 µm²", "0.5"]
    assert shot(close_up) != before
    close_up.locator("#colour").select_option(label="Area (µm²)")
    assert close_up.locator("#mark").is_visible()
    click_at_middle(close_up, down=100, right=100)
    close_up.wait_for_selector("#nucleus-hint:not([hidden])")
    assert text(close_up, "nucleus-hint") == "No nucleus here."
    assert close_up.locator("#mark").is_hidden()


def test_colours_show_a_measurement_with_a_legend(close_up: Page) -> None:
    plain = shot(close_up)
    assert text(close_up, "classes") == "Nucleus"
    close_up.locator("#colour").select_option(label="Area (µm²)")
    by_area = shot(close_up)
    assert by_area != plain
    assert text(close_up, "legend-title") == "Area (µm²)"
    assert (text(close_up, "low"), text(close_up, "high")) == ("≤ 10", "≥ 41 µm²")
    close_up.locator("#colour").select_option(label="Class")
    assert text(close_up, "classes").split() == ["Stroma", "Tumor"]
    assert shot(close_up) not in (plain, by_area)
    close_up.locator("#slide").focus()
    for _ in range(3):
        close_up.keyboard.press("c")  # over the other two back to none
    assert alike(shot(close_up), plain)


def within(tab: Page, **limits: str) -> bytes:
    """Type values of the lowest and highest colour; return the screen."""
    for name, value in limits.items():
        tab.locator(f"#{name}").fill(value)
        tab.locator(f"#{name}").press("Enter")
    return shot(tab)


@on_desk_and_phone
def test_the_range_of_the_colours_can_be_changed(close_up: Page) -> None:
    assert close_up.locator("#range").is_hidden()
    close_up.locator("#colour").select_option(label="Area (µm²)")
    usual = shot(close_up)
    assert [close_up.locator(f"#{name}").input_value() for name in ("lowest", "highest")] == ["10", "41"]
    narrow = within(close_up, highest="20.5")
    assert not alike(narrow, usual)
    assert (text(close_up, "low"), text(close_up, "high")) == ("≤ 10", "≥ 20.5 µm²")
    assert text(close_up, "legend-note") == ""
    within(close_up, lowest="30")
    close_up.wait_for_selector("#message:not([hidden])")
    assert text(close_up, "message") == "The lowest value must be below the highest."
    close_up.wait_for_selector("#message", state="hidden")
    assert alike(shot(close_up), narrow)
    click_at_middle(close_up)  # a nucleus of 22 µm², beyond the highest colour
    close_up.wait_for_selector("#values dd")
    assert "100%" in (close_up.locator("#mark").get_attribute("style") or "")
    close_up.locator("#slide").focus()
    close_up.keyboard.press("Escape")
    close_up.click("#reset")
    assert (text(close_up, "low"), text(close_up, "high")) == ("≤ 10", "≥ 41 µm²")
    assert alike(shot(close_up), usual)
    within(close_up, lowest="-5")
    with close_up.expect_request(lambda request: request.url.endswith("?limits=-5,41")):
        close_up.reload()  # the address keeps the range
    close_up.wait_for_selector(READY)
    assert text(close_up, "low") == "≤ -5"


def test_the_range_also_holds_for_the_map(tab: Page) -> None:
    usual = shot(tab)
    assert text(tab, "legend-title") == "Density"
    changed = within(tab, highest="100000")
    assert text(tab, "high") == "100,000 per mm²"
    assert not alike(changed, usual)
    tab.locator("#colour").select_option(label="Area (µm²)")
    assert "100,000" not in text(tab, "high")  # each choice has a range of its own
    tab.locator("#colour").select_option(label="Nothing")
    assert alike(shot(tab), changed)


def test_nuclei_are_filled_and_faded(close_up: Page) -> None:
    outlines = shot(close_up)
    close_up.click("#filled")
    filled = shot(close_up)
    assert filled != outlines
    close_up.locator("#nuclei-opacity").fill("30")
    faded = shot(close_up)
    assert faded != filled
    close_up.locator("#slide-opacity").fill("40")
    assert shot(close_up) != faded
    close_up.locator("#slide").focus()
    close_up.keyboard.press("f")
    assert close_up.locator("#outlines").get_attribute("aria-pressed") == "true"


def test_keys_and_buttons_zoom_and_the_scale_bar_follows(tab: Page) -> None:
    tab.locator("#slide").focus()
    whole = shot(tab)
    # The whole slide, 4096 px at 0.25 um, is as wide as the stage, so that 100 um are 76.2 px.
    assert text(tab, "scale-label") == "100 µm"
    bar = tab.locator("#scale-bar").bounding_box()
    assert bar is not None
    assert abs(bar["width"] - 100 / MPP * 780 / 4096) < 3
    assert text(tab, "zoom") == "7.6\N{MULTIPLICATION SIGN}, 1.3 µm/px"
    for _ in range(4):
        tab.keyboard.press("+")
    closer = shot(tab)
    assert closer != whole
    assert text(tab, "scale-label") == "20 µm"
    tab.keyboard.press("ArrowRight")
    assert shot(tab) != closer
    tab.keyboard.press("0")
    assert alike(shot(tab), whole)
    tab.click("#zoom-in")
    tab.click("#zoom-in")
    assert text(tab, "scale-label") == "50 µm"
    tab.click("#fit")
    assert text(tab, "scale-label") == "100 µm"


def test_a_region_is_one_click_away(tab: Page) -> None:
    whole = shot(tab)
    tab.locator("#regions button").nth(1).click()
    corner = shot(tab)
    assert corner != whole
    assert shows(tab) == "outlines"
    tab.locator("#slide").focus()
    tab.keyboard.press("r")
    assert shows(tab) == "density"
    assert shot(tab) != corner


def test_a_view_is_saved_with_scale_bar_and_legend(close_up: Page, tmp_path: Path) -> None:
    with close_up.expect_download() as waiting:
        close_up.click("#save")
    assert waiting.value.suggested_filename == "slide é-x1600-y1344.png"
    waiting.value.save_as(tmp_path / "saved.png")
    saved, shown = pixels((tmp_path / "saved.png").read_bytes()), pixels(shot(close_up))
    assert saved.shape == shown.shape
    rows, cols = (slice(side // 4, side // 2) for side in saved.shape[:2])
    assert np.abs(saved - shown)[rows, cols].mean() < 1  # the same slide and outlines
    dark = np.asarray(saved.max(axis=-1) < 60)
    assert dark[-54:-14, 14:60].mean() > 0.5  # the scale bar's plate
    assert dark[-60:-14, -60:-14].mean() > 0.5  # the legend's


def test_the_keys_are_listed_and_the_panel_can_be_put_away(tab: Page) -> None:
    tab.locator("#slide").focus()
    tab.keyboard.press("?")
    assert tab.locator("#keys").is_visible()
    tab.keyboard.press("Escape")
    assert tab.locator("#keys").is_hidden()
    tab.keyboard.press("p")
    assert tab.locator("#panel").is_hidden()
    tab.keyboard.press("p")
    assert tab.locator("#panel").is_visible()


def test_two_people_look_at_once_each_at_a_view_of_their_own(browser: Browser, address: str) -> None:
    contexts = [browser.new_context(viewport={"width": 1000, "height": 700}) for _ in range(2)]
    tabs = [context.new_page() for context in contexts]
    for tab in tabs:
        tab.goto(address)
    for tab in tabs:
        tab.wait_for_selector(READY)
    same = [shot(tab) for tab in tabs]
    assert alike(*same)
    tabs[0].locator("#colour").select_option(label="Area (µm²)")
    tabs[1].locator("#regions button").nth(1).click()
    tabs[1].wait_for_timeout(700)  # it moves there
    moved = [shot(tab) for tab in tabs]
    assert len({*same, *moved}) == 3
    assert [shows(tab) for tab in tabs] == ["density", "outlines"]
    for context in contexts:
        context.close()


def test_without_nuclei_the_command_that_finds_them_is_shown(browser: Browser, slide: Path, tmp_path: Path) -> None:
    copied = tmp_path / "a slide.tif"
    shutil.copy(slide, copied)
    with ViewSession(ViewConfig(copied)) as session, serving(session) as address:
        tab = browser.new_page()
        tab.goto(address)
        tab.wait_for_selector('#stage[data-nuclei="none"][data-settled="true"]')
        assert text(tab, "count") == "No nuclei yet"
        assert text(tab, "command") == f"monuseg predict '{copied}' -o 'a slide.parquet'"
        assert tab.locator("#appearance").is_hidden()
        tab.click("#again")
        tab.wait_for_selector("#message:not([hidden])")
        assert text(tab, "message") == "No prediction on this slide was found."
        tab.close()


def test_a_label_image_alone_is_outlined_and_measured(browser: Browser, slide: Path, tmp_path: Path) -> None:
    with Slide(slide) as opened:
        labels = np.zeros(opened.shape, dtype=np.int32)
    row, col = (int(place) for place in centre(10, 12))
    labels[row - 10 : row + 10, col - 20 : col + 20] = 77
    labels[:20, :20] = 78
    tifffile.imwrite(tmp_path / "labels.tif", labels, compression="zlib")
    with ViewSession(ViewConfig(slide, tmp_path / "labels.tif")) as session, serving(session) as address:
        tab = browser.new_page(viewport={"width": DESK[0], "height": DESK[1]})
        tab.goto(f"{address}#x={col / 4096}&y={row / 4096}&z={2 * 4096 / (DESK[0] - 320)}&c=0")
        tab.wait_for_selector(READY)
        assert text(tab, "count") == "2 nuclei"
        tab.keyboard.press("n")
        off = pixels(shot(tab))
        tab.keyboard.press("n")
        changed = np.abs(pixels(shot(tab)) - off).max(axis=-1) > 40
        middle_row, middle_col = (side // 2 for side in changed.shape)
        rows, cols = np.nonzero(changed[middle_row - 90 : middle_row + 90, middle_col - 90 : middle_col + 90])
        assert abs(rows.max() - rows.min() - 2 * 20) <= 6  # at twice full resolution
        assert abs(cols.max() - cols.min() - 2 * 40) <= 6
        click_at_middle(tab)
        tab.wait_for_selector("#values dd")
        assert text(tab, "nucleus-name") == "Nucleus 77"
        assert text(tab, "values").split("\n")[:2] == ["Area", "50 µm²"]
        tab.close()
