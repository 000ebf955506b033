"""The site, built and opened from a folder, and the form of its sources."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.browser import launched

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCE = ROOT / "src" / "monuseg_cli"
LINE = 120


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    return folder


def loaded_from_elsewhere(page: str) -> list[str]:
    """Find what a page loads from other sites: scripts, styles, images and fonts."""
    return re.findall(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"?(https?://[^\" >]+)", page)


def test_pages_load_nothing_from_other_sites(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    assert loaded_from_elsewhere('<script defer src="https://a.org/b.js">') == ["https://a.org/b.js"]
    for page in pages:
        assert loaded_from_elsewhere(page.read_text(encoding="utf-8")) == [], page


@pytest.mark.parametrize("page", ["index.html", "reference/commands.html"])
def test_search_works_when_a_page_is_opened_from_a_folder(site: Path, page: str) -> None:
    with launched() as browser:
        tab = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True).new_page()
        errors: list[str] = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto((site / page).as_uri())
        tab.locator("input[name=query]").click()
        tab.keyboard.type("haematoxylin_mean")
        tab.locator(".md-search-result__link").first.click(timeout=20_000)
        tab.wait_for_url(re.compile(r"measurements\.html"))
        assert errors == []


def long_lines(text: str) -> Iterator[str]:
    """Find lines of prose and of commands that are too long; tables and printed output are left as they are."""
    block = ""
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            block = "" if block else line.strip() + " "
        elif len(line) > LINE and not line.startswith("|") and (not block or block.startswith(("```sh", "```python"))):
            yield line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_are_wrapped(page: Path) -> None:
    assert list(long_lines(page.read_text(encoding="utf-8"))) == []


def test_long_lines_are_found_in_prose_and_commands_only() -> None:
    long = "x" * (LINE + 1)
    assert list(long_lines(f"{long}\n```sh\n{long}\n```\n")) == [long, long]
    assert list(long_lines(f"| {long} |\n```\n{long}\n```\n```console\n{long}\n```\n{long[1:]}")) == []


def listed_modules(page: str) -> set[str]:
    """Read the tree of docs/architecture.md: paths of modules, relative to the package."""
    tree = page.split("```")[1]
    modules, package, subpackage = set(), "", ""
    for line in tree.splitlines():
        indent = len(line) - len(line.lstrip())
        head = re.match(r" +(\w+)/", line)
        if head and indent == 2:
            package, subpackage = f"{head[1]}/", ""
        elif head:
            subpackage = f"{head[1]}/"
        elif indent >= 2:
            inside = package if indent > 2 else ""
            names = re.match(r" *((?:\w+\.py\s*)+)", line)
            modules |= {
                f"{inside}{subpackage if indent > 4 else ''}{name}" for name in (names[1].split() if names else ())
            }
    return modules


def test_the_architecture_lists_every_module() -> None:
    there = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py")}
    there = {name for name in there if not name.endswith(("__init__.py", "__main__.py"))}
    assert listed_modules((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")) == there
