"""What the site says of commands, Python API and model is what they are."""

import pkgutil
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import monuseg_cli
from conftest import Monuseg
from monuseg_cli.cli.app import COMMANDS
from monuseg_cli.training.recipe import Recipe
from reference import api_page, card_page, commands_page, on_config, place_links

ROOT = Path(__file__).parents[2]
OPTION = re.compile(r"--[a-z][a-z0-9-]+")


def sections(page: str) -> dict[str, str]:
    """Give a page's parts by their headings of the second level."""
    parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


PAGE = sections(commands_page())
COMMON = set(OPTION.findall(PAGE["Options of every command"]))


@pytest.mark.parametrize("name", [name for name in PAGE if name.startswith("monuseg ")])
def test_a_command_has_the_options_of_its_help(name: str, monuseg: Monuseg) -> None:
    told = set(OPTION.findall(monuseg(*name.split()[1:], "--help").stdout))
    assert told >= COMMON
    assert told - COMMON <= set(OPTION.findall(PAGE[name])) <= told | {"--nproc-per-node"}


def test_every_command_is_there_with_examples_defaults_and_panels() -> None:
    assert PAGE.keys() >= {f"monuseg {name}" for name in COMMANDS} | {"monuseg models card"}
    train = PAGE["monuseg train"]
    assert "```sh\n# on MoNuSeg\nmonuseg train --arch unet-se --epochs 40\n# " in train
    assert f"| `--learning-rate NUMBER` | Peak learning rate of AdamW. | {Recipe().learning_rate} |" in train
    assert "| `--flips, --no-flips` | Flip, and rotate by multiples of 90 degrees. | on |" in train
    assert "\n**Augmentation**\n" in train
    predict = PAGE["monuseg predict"]
    assert "| `IMAGE...` | Images, slides, or folders of them. | required |" in predict
    assert "| `--output, -o FILE` |" in predict
    scale = "Scale of the image in micrometres per pixel; estimate: from the image, roughly."
    assert f"| `--mpp NUMBER` | {scale} | as stated in the image |" in predict
    assert "One of `auto`, `torch`, `openvino`. | auto |" in predict
    assert "| `--part N` | Predict on this part, from 1. | 1 |" in predict
    assert "| `--version` |" in PAGE["monuseg"]
    assert PAGE["Options of every command"].count("`--help, -h`") == 1


def test_the_api_has_the_names_of_the_package_and_of_the_page() -> None:
    named = api_page((ROOT / "docs" / "python.md").read_text(encoding="utf-8"))
    names = re.findall(r"^::: (.+)$", named, re.MULTILINE)
    assert {"monuseg_cli.api.load", "monuseg_cli.api.Model", "monuseg_cli.prediction.batch.predict"} <= set(names)
    assert len(names) == len(set(names)) > len(monuseg_cli.__all__)
    for name in names:
        assert callable(pkgutil.resolve_name(name)), name


def test_the_card_is_the_one_that_the_command_prints(monuseg: Monuseg) -> None:
    assert monuseg("models", "card", "default").stdout == f"{card_page()}\n"


@pytest.mark.parametrize(
    ("source", "link", "placed", "outside"),
    [
        ("CONTRIBUTING.md", "docs/data.md#splits-and-folds", "data.md#splits-and-folds", set()),
        ("CONTRIBUTING.md", "LICENSE", "repository/LICENSE", {"LICENSE"}),
        ("CHANGELOG.md", "https://example.org/docs/", "https://example.org/docs/", set()),
        ("CONTRIBUTING.md", "#tests", "#tests", set()),
        ("docs/data.md", "images/a.jpg", "images/a.jpg", set()),
        ("docs/data.md", "../CONTRIBUTING.md#tests", "contributing.md#tests", set()),
        ("docs/data.md", "../tools/ship.py", "repository/tools/ship.py", {"tools/ship.py"}),
    ],
)
def test_links_lead_to_the_same_place_in_the_site(source: str, link: str, placed: str, outside: set[str]) -> None:
    assert place_links(f"see [it]({link}).", source) == (f"see [it]({placed}).", outside)
    assert place_links(f'<img src="{link}">', source) == (f'<img src="{placed}">', outside)


def test_a_page_that_the_navigation_does_not_name_is_put_at_its_end(tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).touch()
    nav: list[Any] = [{"A": "a.md"}]
    config: Any = SimpleNamespace(nav=nav, docs_dir=str(tmp_path))
    assert on_config(config).nav == [{"A": "a.md"}, {"More": ["b.md"]}]
    assert on_config(config).nav == [{"A": "a.md"}, {"More": ["b.md"]}]
