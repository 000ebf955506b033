"""The report of a slide, as a person meets it: in a browser."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.nuclei.rois import Roi
from monuseg_cli.reports.slide_report import read_data, slide_report
from support.browser import opened
from support.squares import squares
from support.tissue import draw_tissue

SIDE = 480
MPP = 0.25
NAME = "x<script>alert(1)<!--.png"
BOX = np.array([(0, 0), (0, 200), (300, 200), (300, 0)], dtype=np.float64)
ROIS = (Roi("a<b>&\"'", ((BOX,),)), Roi("empty", ((BOX,),)))


def centres() -> np.ndarray:
    """Lay 3 x 4 parts of 40 px with 0 to 11 nuclei over the image, from left to right."""
    random = np.random.default_rng(0)
    places = [
        (row * 160 + random.uniform(20, 140, number), col * 120 + random.uniform(20, 100, number))
        for number, (row, col) in enumerate((row, col) for row in range(3) for col in range(4))
    ]
    return np.concatenate([np.column_stack(place) for place in places])


def about(nuclei: int, **found: Any) -> dict[str, Any]:
    facts = {
        "height": SIDE,
        "width": SIDE,
        "mpp": MPP,
        "tissue_mm2": 0.0144,
        "nuclei": nuclei,
        "rois": [],
        "damaged": (),
        "stain": {"haematoxylin": (0.1, 0.2)},
        "warnings": (),
        "medians": {"area_um2": 6.25, "eccentricity": 0.5, "solidity": 1.0, "haematoxylin_mean": 0.3} if nuclei else {},
    }
    return {
        "software": "monuseg 1.2.3",
        "licence": "CC BY 4.0",
        "engine": "torch",
        "layout": {"region": [0, 0, SIDE, SIDE], "map_shape": [SIDE, SIDE], "mpp": MPP, "map_mpp": MPP},
        "record": {
            "image": {"name": NAME, "bytes": 12345},
            "model": {"architecture": "unet<&>", "sha256": "f00d"},
            "postprocess": {"threshold": 0.5},
            "settings": {"mpp": None, "tissue_only": True, "rois": []},
        },
        "found": {**facts, **found},
    }


def write(
    folder: Path,
    places: np.ndarray,
    mpp: float | None = MPP,
    drawn: tuple[Roi, ...] = (),
    more: Mapping[str, Any] = MappingProxyType({}),
    names: Sequence[str] = (),
    **found: Any,
) -> Path:
    """Write the report of drawn tissue with square nuclei at these places."""
    Image.fromarray(draw_tissue(SIDE, seed=2)[0]).save(folder / NAME, format="png")
    layout = Layout((0, 0, SIDE, SIDE), (SIDE, SIDE), mpp, MPP)
    tissue = np.ones((60, 60), dtype=bool)
    page = folder / "report.html"
    with (
        Slide(folder / NAME) as slide,
        slide_report(page, slide, layout, MPP, tissue, drawn, {**about(len(places), **found), **more}) as add,
    ):
        batches = np.array_split(np.arange(len(places)), 4)
        for first, batch in enumerate(batches):
            classes = [names[index] for index in batch] if names else None
            add(squares(places[batch], first=1 + 1000 * first, classes=classes))
    return page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose names would break out of the page if they could."""
    rois = [{"name": ROIS[0].name, "mm2": 0.00375, "nuclei": 30}, {"name": "empty", "mm2": 0.0, "nuclei": 0}]
    warnings = ("odd <i>warning</i>",)
    folder = tmp_path_factory.mktemp("report")
    return write(folder, centres(), drawn=ROIS, rois=rois, warnings=warnings, damaged=("level 0, row 1, column 2",))


@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (390, "dark")])
def test_the_page_shows_what_was_found(page: Path, width: int, scheme: Literal["light", "dark"]) -> None:
    with opened(page, width, scheme) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.title() == f"{NAME}: nuclei"
        numbers = dict(
            zip(tab.locator(".numbers dt").all_inner_texts(), tab.locator(".numbers dd").all_inner_texts(), strict=True)
        )
        assert numbers["nuclei"].strip() == "66"
        assert numbers["density"] == "4,583 per mm²"
        assert "odd <i>warning</i>" in tab.locator(".warnings").inner_text()
        assert tab.locator(".plots figure svg").count() == 3
        assert tab.locator("#fields figure").count() == 4
        assert "unet<&>" in tab.locator("dl.facts").inner_text()
        pictures = tab.locator("svg[role=img], div[role=img]")
        assert pictures.count() == 1 + 3 + 4
        assert all(picture.get_attribute("aria-label") for picture in pictures.all())
        ink, paper = (tab.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
        is_dark = [sum(map(int, re.findall(r"\d+", colour)[:3])) < 384 for colour in (ink, paper)]
        assert is_dark == ([False, True] if scheme == "dark" else [True, False])


def test_the_regions_have_their_counts(page: Path) -> None:
    with opened(page) as tab:
        rows = [row.locator("td").all_inner_texts() for row in tab.locator("table tbody tr").all()]
        assert rows == [[ROIS[0].name, "0.0037", "30", "8,000"], ["empty", "0.0000", "0", "-"]]
        assert tab.locator("#drawn > path title").all_text_contents() == [ROIS[0].name, "empty"]
        assert "1 damaged tiles were treated as glass" in tab.locator(".warnings").inner_text()


def test_fields_show_the_outlines_at_the_place_of_the_nuclei(page: Path) -> None:
    with opened(page) as tab:
        nuclei = [int(text.split()[1]) for text in tab.locator("#fields figcaption").all_inner_texts()]
        assert nuclei == sorted(nuclei)
        assert nuclei[-1] > nuclei[0]
        for figure in tab.locator("#fields figure").all():
            left, top, width, height = map(float, (figure.locator("svg").get_attribute("viewBox") or "").split())
            drawn = re.findall(r"M([\d.]+) ([\d.]+)", figure.locator(".outline").get_attribute("d") or "")
            rows, cols = centres().T
            inside = (abs(rows - top - height / 2) < height / 2 + 5) & (abs(cols - left - width / 2) < width / 2 + 5)
            assert len(drawn) == inside.sum()


def test_opacity_marks_and_outlines_can_be_changed(page: Path) -> None:
    with opened(page) as tab:
        density = tab.locator("#density")
        assert density.evaluate("node => getComputedStyle(node).opacity") == "0.6"
        tab.locator("#opacity").fill("0")
        assert density.evaluate("node => getComputedStyle(node).opacity") == "0"
        for switch, shown in (("#outlines", "#fields .outline"), ("#marks", "#drawn rect")):
            assert tab.locator(shown).first.is_visible()
            tab.locator(switch).uncheck()
            assert not tab.locator(shown).first.is_visible()


def test_a_mark_on_the_map_leads_to_its_field(page: Path) -> None:
    with opened(page) as tab:
        tab.locator("#drawn a").nth(2).click()
        assert tab.evaluate("location.hash") == "#field-3"
        assert tab.locator("#field-3").is_visible()


def test_the_page_prints_light_and_without_switches(page: Path) -> None:
    with opened(page, scheme="dark") as tab:
        tab.emulate_media(media="print")
        assert not tab.locator("#opacity").is_visible()
        assert tab.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        assert len(tab.pdf(format="A4")) > 10_000


def test_classes_are_counted_with_their_colours_and_score(tmp_path: Path) -> None:
    counts, score = {"a<b>": 3, "Long": 1}, {"value": 0.9, "low": 0.8, "high": 0.95}
    stated = {"file": "x.classes", "sha256": "f00d", "model": "logistic regression", "accuracy": score}
    colours = {"a<b>": (250, 10, 20), "Long": (1, 2, 3)}
    names = ["Long" if row < 160 else "a<b>" for row, _ in centres()]
    page = write(tmp_path, centres(), more={"classes": {**stated, "colours": colours}}, names=names, classes=counts)
    with opened(page) as tab:
        rows = tab.locator("section", has_text="Classes").locator("tbody tr").all_inner_texts()
        assert [row.split() for row in rows] == [["a<b>", "3", "75.0%"], ["Long", "1", "25.0%"]]
        assert tab.locator("tbody rect").first.get_attribute("fill") == "rgb(250, 10, 20)"
        assert "accuracy 0.900 (0.800 to 0.950)" in tab.locator("main").inner_text()
        assert "x.classes, logistic regression, SHA-256 f00d" in tab.locator(".facts").inner_text()
        drawn = tab.locator("#fields .outline").evaluate_all(
            "all => all.map((one) => [one.getAttribute('stroke'), one.getBBox().y, one.getAttribute('d').length > 0])"
        )
    outlined = {
        stroke: [y < 160 for colour, y, is_drawn in drawn if colour == stroke and is_drawn] for stroke, *_ in drawn
    }
    assert set(outlined) == {"rgb(250, 10, 20)", "rgb(1, 2, 3)"}
    assert set(outlined["rgb(1, 2, 3)"]) == {True}
    assert set(outlined["rgb(250, 10, 20)"]) == {False}


def test_a_slide_without_nuclei_has_a_report(tmp_path: Path) -> None:
    with opened(write(tmp_path, np.empty((0, 2)))) as tab:
        assert "No nuclei were found." in tab.locator(".plots").inner_text()
        assert tab.locator("#fields figure").count() == 4
        assert tab.locator(".warnings").count() == 0


def test_an_assumed_scale_is_warned_of(tmp_path: Path) -> None:
    with opened(write(tmp_path, centres(), mpp=None)) as tab:
        assert "the image states no scale; 0.25 um/px" in tab.locator(".warnings").inner_text()


def test_equal_nuclei_make_an_equal_page(page: Path, tmp_path: Path) -> None:
    first, second = (write(tmp_path, centres()).read_bytes() for _ in range(2))
    assert first == second


def test_the_thumbnail_is_read_back(page: Path, tmp_path: Path) -> None:
    assert read_data(page)["thumbnail"].startswith("data:image/jpeg;base64,")
    (tmp_path / "other.html").write_text("<p>", encoding="utf-8")
    assert read_data(tmp_path / "other.html") == read_data(tmp_path / "missing.html") == {}
