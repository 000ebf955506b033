"""The runs whose histories the docs keep."""

from pathlib import Path

from monuseg_cli.core.home import SHIPPED, Home
from monuseg_cli.models.weights import read_card
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.runs import list_runs

DOCS = Home(Path(__file__).parents[2] / "docs" / "training")


def test_all_of_them_can_be_listed_and_are_finished() -> None:
    runs = list_runs(DOCS)
    assert {summary.run for summary in runs} == set(DOCS.runs.iterdir())
    assert all(DOCS.find_run(summary.run.name) == summary.run for summary in runs)  # NAME-2 would be the newer NAME
    assert {summary.run.name: summary.epochs for summary in runs} == {
        summary.run.name: summary.recipe.epochs for summary in runs
    }


def test_the_default_is_what_came_of_its_run() -> None:
    (run,) = (summary for summary in list_runs(DOCS) if summary.run.name == "distilled-2")
    card = read_card(SHIPPED)
    assert Recipe.from_dict(card.recipe) == run.recipe  # in whatever words the version of its time used
    assert run.best_epoch == card.epoch
