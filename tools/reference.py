"""What mkdocs builds the site from besides docs/: pages that are written by what they are about.

The commands come from the Typer app, the Python API from the functions that docs/architecture.md names, and the model
card from the weights in the package. Links of pages go to files as they lie in the repository, so that they work on a
forge. Those that leave docs/ lead to a page of the site (`PAGES_OUTSIDE`), or to a copy of the file in the site.
"""

import inspect
import posixpath
import re
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from typer.models import ArgumentInfo, ParameterInfo
from typer.utils import get_params_from_function

from monuseg_cli.cli.app import COMMANDS, app, app_of

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

_EVERYWHERE = "Everywhere"
_FIRST_PANEL = "Options"
_LINK = re.compile(r"""(\]\(|\b(?:src|href)=")(?![a-z]+:|[#/])([^)"\s#]+)""")
_API_NAME = re.compile(r"`(monuseg_cli(?:\.\w+)+)`")


@dataclass(frozen=True, slots=True)
class Knob:
    """An argument or option of a command, as it is typed and explained."""

    panel: str
    typed: str
    help: str
    default: str


def commands_page() -> str:
    """Describe every command, in Markdown: what it does, its example, its options with their defaults."""
    commands = list(_commands())
    common = {knob: None for _, command in commands for knob in _knobs(command) if knob.panel == _EVERYWHERE}
    parts = ["# Commands", "## Options of every command", _table(common)]
    for name, command in commands:
        text, _, example = inspect.cleandoc(command.__doc__ or "").partition("\n\nExample: ")
        parts += [f"## {name}", text, f"```sh\n{example}\n```" if example else ""]
        own = [knob for knob in _knobs(command) if knob.panel != _EVERYWHERE]
        for panel in dict.fromkeys(knob.panel for knob in own):
            parts += [f"**{panel}**", _table(knob for knob in own if knob.panel == panel)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _commands() -> Iterator[tuple[str, Any]]:
    assert app.registered_callback
    yield "monuseg", app.registered_callback.callback
    for name in COMMANDS:
        own = app_of(name)
        if own.registered_callback:
            yield f"monuseg {name}", own.registered_callback.callback
        for command in own.registered_commands:
            assert command.callback
            group = f"monuseg {name} " if own.registered_callback else "monuseg "
            yield group + (command.name or command.callback.__name__), command.callback


def _knobs(command: Any) -> Iterator[Knob]:
    for parameter in get_params_from_function(command).values():
        info = parameter.default
        if isinstance(info, ParameterInfo) and not info.hidden:
            yield _knob(parameter.name, parameter.annotation, info)


def _knob(name: str, kind: Any, info: ParameterInfo) -> Knob:
    value = "" if kind is bool else info.metavar or _values(kind)
    option = f"--{name.replace('_', '-')}"
    names = [option, option.replace("--", "--no-", 1)] if kind is bool else [option]
    names = sorted(getattr(info, "param_decls", None) or names, key=len)
    typed = info.metavar or name.upper() if isinstance(info, ArgumentInfo) else f"{', '.join(names)} {value}".strip()
    default = info.show_default if isinstance(info.show_default, str) else _shown(info.default)
    panel = info.rich_help_panel if isinstance(info.rich_help_panel, str) else _FIRST_PANEL
    return Knob(panel, typed, info.help or "", default)


def _values(kind: Any) -> str:
    """Name what an option takes: the choices, or the type."""
    origin, inside = get_origin(kind), [part for part in get_args(kind) if part is not types.NoneType]
    if origin is Literal:
        return "|".join(map(str, inside))
    if origin in (Union, types.UnionType, list):
        return _values(inside[0])
    return {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}[kind]


def _shown(default: object) -> str:
    if default is ... or default is inspect.Parameter.empty:
        return "required"
    if isinstance(default, bool):
        return "yes" if default else "no"
    return "" if default is None else str(default)


def _table(knobs: Iterable[Knob]) -> str:
    def cell(text: str) -> str:
        return text.replace("|", "\\|")

    rows = [f"| `{knob.typed}` | {cell(knob.help)} | {cell(knob.default)} |" for knob in knobs]
    return "\n".join(["| | | default |", "|---|---|---|", *rows])


def api_page(architecture: str) -> str:
    """List the functions and configs that the table of docs/architecture.md names, for mkdocstrings to describe."""
    names = dict.fromkeys(_API_NAME.findall(architecture))
    return "\n\n".join(["# Python API", *(f"::: {name}" for name in names)]) + "\n"


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
        API_PAGE: api_page((docs / "architecture.md").read_text(encoding="utf-8")),
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
