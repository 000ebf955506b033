"""What mkdocs builds the site from besides docs/: pages that are written by what they are about.

The commands come from the Typer app, the Python API from the package's own names and the functions that docs/python.md
names, and the model card from the weights in the package. Links of pages go to files as they lie in the repository, so
that they work on a forge. Those that leave docs/ lead to a page of the site (`PAGES_OUTSIDE`), or to a copy of the file
in the site.
"""

import inspect
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

import monuseg_cli
from monuseg_cli.cli.app import COMMANDS, app, load
from monuseg_cli.cli.help import GENERAL, Entry, list_entries, list_examples

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
COMMANDS_PAGE, API_PAGE, CARD_PAGE = "reference/commands.md", "reference/python.md", "reference/default-model.md"
PAGES_OUTSIDE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files outside of docs/ that are pages of the site."""

COPIES = "repository"
"""Where the site keeps what its pages link to outside of docs/."""

_LINK = re.compile(r"""(\]\(|\b(?:src|href)=")(?![a-z]+:|[#/])([^)"\s#]+)""")
_API_NAME = re.compile(r"`(monuseg_cli(?:\.\w+)+)`")


def commands_page() -> str:
    """Describe every command, in Markdown: what it does, examples, its options with their defaults."""
    commands = list(_commands())
    common = {entry: None for _, _, entries in commands[1:] for entry in entries if entry.panel == GENERAL}
    parts = ["# Commands", "## Options of every command", _table(common)]
    for name, command, entries in commands:
        examples = "\n".join(f"# {what}\n{line}" for what, line in list_examples(command).items())
        parts += [f"## {name}", inspect.cleandoc(command.help or ""), f"```sh\n{examples}\n```" if examples else ""]
        own = [entry for entry in entries if entry not in common]
        for panel in dict.fromkeys(entry.panel for entry in own):
            parts += [f"**{panel}**", _table(entry for entry in own if entry.panel == panel)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _commands() -> Iterator[tuple[str, Any, list[Entry]]]:
    """Return every command with its name and entries, a group before its subcommands."""
    top = typer.main.get_command(app)
    at_top = top.make_context("monuseg", [], resilient_parsing=True)
    yield "monuseg", top, list_entries(top, at_top)
    for name in COMMANDS:
        command = load(name)
        context = command.make_context(name, [], parent=at_top, resilient_parsing=True)
        yield context.command_path, command, list_entries(command, context)
        for below in command.list_commands(context) if hasattr(command, "list_commands") else ():
            inner = command.get_command(context, below)
            at_inner = inner.make_context(below, [], parent=context, resilient_parsing=True)
            yield at_inner.command_path, inner, list_entries(inner, at_inner)


def _table(entries: Iterable[Entry]) -> str:
    def cell(text: str) -> str:
        return text.replace("|", "\\|")

    def meaning(entry: Entry) -> str:
        choices = ", ".join(f"`{choice}`" for choice in entry.choices)
        return f"{entry.meaning} One of {choices}." if choices else entry.meaning

    rows = [f"| `{cell(one.typed)}` | {cell(meaning(one))} | {cell(one.default)} |" for one in entries]
    return "\n".join(["| | | default |", "|---|---|---|", *rows])


def api_page(page: str) -> str:
    """List the package's own names, and the functions and configs that a page names, for mkdocstrings to describe."""
    own = [getattr(monuseg_cli, name) for name in monuseg_cli.__all__ if name != "__version__"]
    names = [*(f"{one.__module__}.{one.__qualname__}" for one in own), *_API_NAME.findall(page)]
    return "\n\n".join(["# Python API", *(f"::: {name}" for name in dict.fromkeys(names))]) + "\n"


def card_page() -> str:
    """Write the card of the model in the package, as ``monuseg models card default`` prints it."""
    from monuseg_cli.core.home import DEFAULT_MODEL, SHIPPED
    from monuseg_cli.models.card import describe
    from monuseg_cli.models.weights import read_card

    return describe(read_card(SHIPPED), DEFAULT_MODEL)


def place_links(markdown: str, source: str) -> tuple[str, set[str]]:
    """Turn a page's links, which are relative to `source` in the repository, into links between pages of the site.

    Returns
    -------
    markdown : str
        With the links turned.
    outside : set of str
        The files outside of docs/ that are linked to, relative to the repository.
    """
    outside = set()

    def place(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        if target in PAGES_OUTSIDE:
            target = PAGES_OUTSIDE[target]
        elif target.startswith("docs/"):
            target = target.removeprefix("docs/")
        else:
            outside.add(target)
            target = f"{COPIES}/{target}"
        place_of_page = posixpath.dirname(_page_of(source))
        return f"{match[1]}{posixpath.relpath(target, place_of_page or '.')}"

    return _LINK.sub(place, markdown), outside


def _page_of(source: str) -> str:
    return PAGES_OUTSIDE.get(source) or source.removeprefix("docs/")


def on_config(config: "MkDocsConfig") -> "MkDocsConfig":
    """Put pages that the navigation does not name at its end, so that none is out of reach."""
    navigation: list[Any] = config.nav or []
    named = str(navigation)
    docs = Path(config.docs_dir)
    others = sorted(path.name for path in docs.glob("*.md") if f"'{path.name}'" not in named)
    if others:
        navigation.append({"More": others})
    return config


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the pages that are written here, and copies of what the pages link to outside of docs/."""
    from mkdocs.structure.files import File

    docs = Path(config.docs_dir)
    pages = {
        **{page: (ROOT / source).read_text(encoding="utf-8") for source, page in PAGES_OUTSIDE.items()},
        COMMANDS_PAGE: commands_page(),
        API_PAGE: api_page((docs / "python.md").read_text(encoding="utf-8")),
        CARD_PAGE: card_page(),
    }
    sources = [*(ROOT / source for source in PAGES_OUTSIDE), *docs.glob("*.md")]
    outside = set()
    for path in sources:
        outside |= place_links(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())[1]
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    for name in sorted(outside):
        files.append(File.generated(config, f"{COPIES}/{name}", abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Turn the links of the pages in docs/ and of those outside."""
    for source, name in PAGES_OUTSIDE.items():
        if page.file.src_uri == name:
            return place_links(markdown, source)[0]
    return markdown if page.file.generated_by else place_links(markdown, f"docs/{page.file.src_uri}")[0]
