"""Help pages: what stands in them, and how they look on a terminal of 80 columns."""

import dataclasses
import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from conftest import Monuseg
from monuseg_cli.cli import console
from monuseg_cli.cli.app import COMMANDS, app, load
from monuseg_cli.cli.command import Command
from monuseg_cli.cli.help import GENERAL, list_entries, list_examples
from monuseg_cli.dataset.config import PatchesConfig
from monuseg_cli.training.recipe import Recipe

NAMES = ["", *COMMANDS, "models card"]
FRAME = re.compile(r"^│ (.*) │$")


def find(name: str) -> tuple[Any, Any]:
    """Give a command and a context of it, as the parser makes them."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("monuseg", [], resilient_parsing=True)
    for word in name.split():
        command = load(word) if word in COMMANDS else command.get_command(context, word)
        context = command.make_context(word, [], parent=context, resilient_parsing=True)
    return command, context


@pytest.mark.parametrize("name", NAMES)
def test_help_fits_80_columns_with_whole_names_and_wide_descriptions(
    monuseg: Monuseg, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    page = monuseg(*name.split(), "--help").stdout.splitlines()
    assert max(map(len, page)) <= 80
    assert page == [line.rstrip() for line in page]
    rows = [match[1] for line in page if (match := FRAME.match(line))]
    entries = list_entries(*find(name))
    starts = set()
    for entry in entries:
        (row,) = [row for row in rows if row.startswith(f"{entry.typed}  ")]
        starts.add(row.index(f"{entry.meaning} [".split()[0], len(entry.typed)))
    assert len(starts) == 1  # one column in all panels
    assert 76 - starts.pop() >= 40
    titles = re.findall(r"^╭─ (.+?) ─", "\n".join(page), re.MULTILINE)
    assert titles == list(dict.fromkeys(entry.panel for entry in entries))
    assert titles[-1] == GENERAL


@pytest.mark.parametrize("name", NAMES)
def test_descriptions_are_sentences(name: str) -> None:
    for entry in list_entries(*find(name)):
        assert re.fullmatch(r"(\S+: )?\S.*\.", entry.meaning), entry


@pytest.mark.parametrize("name", NAMES[1:])
def test_examples_fit_80_columns_and_can_be_typed(name: str) -> None:
    examples = list_examples(find(name)[0])
    assert examples
    for what, line in examples.items():
        assert len(f"  # {what}") <= 80
        assert len(f"  {line}") <= 80
        words = shlex.split(re.split(r"\bmonuseg(?:_cli)? ", line, maxsplit=1)[1])
        depth = 2 if words[:2] == ["models", "card"] else 1
        assert " ".join(words).startswith(name)
        command, _ = find(" ".join(words[:depth]))
        command.make_context(words[0], words[depth:])  # or ends with an error of usage


def test_help_pages_have_examples_for_every_use(monuseg: Monuseg) -> None:
    page = monuseg("predict", "--help").stdout
    for part in ("\n  # every image in a folder\n  monuseg predict slides/ -o masks/\n\n", ".geojson", "--region 0 0 "):
        assert part in page


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_their_own_help_begins_with(name: str) -> None:
    assert load(name).help.splitlines()[0] == COMMANDS[name]


def test_every_file_that_makes_a_command_is_in_the_list() -> None:
    files = [path for path in Path(console.__file__).parent.glob("*.py") if "\n@command(" in path.read_text("utf-8")]
    assert {path.stem.replace("_", "-") for path in files} == set(COMMANDS)


def test_help_shows_the_defaults_of_the_dataclasses(monuseg: Monuseg) -> None:
    def flat(name: str) -> str:
        return re.sub(r"[\s│╭╮╰╯─]+", " ", monuseg(name, "--help").stdout)

    for value in (Recipe().arch, Recipe().epochs, Recipe().learning_rate):
        assert f"[default: {value}]" in flat("train")
    assert f"[none, boundary, distance, hv; default: {Recipe().aux_target}]" in flat("train")
    assert f"[default: {PatchesConfig(Path()).stride_px}]" in flat("patches")


def test_what_a_recipe_switches_on_can_be_switched_off() -> None:
    switches = [setting.name for setting in dataclasses.fields(Recipe) if setting.type in (bool, "bool")]
    assert switches == ["pretrained", "rescale", "flips"]
    typed = [entry.typed for entry in list_entries(*find("train"))]
    for switch in switches:
        assert f"--{switch}, --no-{switch}" in typed


def small(
    image: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Images.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="File to write.")],
    mpp: Annotated[float | None, typer.Option(help="Micrometres per pixel.", show_default="as stated")] = None,
    tiles: Annotated[int, typer.Option(help="Number of tiles that are read before the first of them is used.")] = 8,
    loss: Annotated[Literal["bce", "dice"], typer.Option(help="What is minimised.", rich_help_panel="Method")] = "bce",
    flips: Annotated[bool, typer.Option(help="Flip.", rich_help_panel="Method")] = True,
    quick: Annotated[bool, typer.Option("--quick", help="Skip checks.", rich_help_panel="Method")] = False,
) -> None:
    """Do something small.

    And say more about it.
    """


PAGE = """\
Usage: small [OPTIONS] IMAGE...

Do something small.

And say more about it.

  # one image
  small a.png -o b.png

╭─ Arguments ──────────────────────────────────────────────╮
│ IMAGE...             Images. [required]                  │
╰──────────────────────────────────────────────────────────╯
╭─ Options ────────────────────────────────────────────────╮
│ --output, -o FILE    File to write. [required]           │
│ --mpp NUMBER         Micrometres per pixel.              │
│                      [default: as stated]                │
│ --tiles N            Number of tiles that are read       │
│                      before the first of them is used.   │
│                      [default: 8]                        │
╰──────────────────────────────────────────────────────────╯
╭─ Method ─────────────────────────────────────────────────╮
│ --loss NAME          What is minimised. [bce, dice;      │
│                      default: bce]                       │
│ --flips, --no-flips  Flip. [default: on]                 │
│ --quick              Skip checks.                        │
╰──────────────────────────────────────────────────────────╯
╭─ General ────────────────────────────────────────────────╮
│ --help               Show this message and exit.         │
╰──────────────────────────────────────────────────────────╯

"""


def test_a_help_page_is_rendered_as_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(small, "examples", {"one image": "small a.png -o b.png"}, raising=False)
    own = typer.Typer(add_completion=False)
    own.command("small", cls=Command)(small)
    assert CliRunner().invoke(own, ["--help"], prog_name="small").stdout == PAGE
