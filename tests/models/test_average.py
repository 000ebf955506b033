import dataclasses
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from average import main
from monuseg_cli.models import registry
from monuseg_cli.models.card import Card
from monuseg_cli.models.weights import load_model, save_weights
from support.made import CARD


def save(path: Path, seed: int, card: Card = CARD) -> Path:
    torch.manual_seed(seed)
    save_weights(path, registry.create(card.architecture, out_channels=1, **card.options).state_dict(), card)
    return path


def average(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["average.py", *map(str, words)])
    main()


def test_a_mean_lies_between_both_and_its_card_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = save(tmp_path / "first.safetensors", 1, dataclasses.replace(CARD, train_cases=("z",)))
    tuned = save(tmp_path / "tuned.safetensors", 2)
    average(monkeypatch, tmp_path / "mean.safetensors", tuned, first, 0.75, "--name", "default-1")
    one, other, mean = (load_file(tmp_path / f"{name}.safetensors") for name in ("tuned", "first", "mean"))
    for name, values in mean.items():
        expected = 0.75 * one[name] + 0.25 * other[name] if values.is_floating_point() else one[name]
        torch.testing.assert_close(values, expected)
    _, card = load_model(tmp_path / "mean.safetensors")
    assert card.averaged == {"tuned": 0.75, "default-1": 0.25}
    assert card.train_cases == ("a", "b", "z")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"mpp": 0.5}, "differ in mpp"), ({"train_cases": CARD.val_cases}, "was trained on c")],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
    reason: str,
) -> None:
    first = save(tmp_path / "first.safetensors", 1, dataclasses.replace(CARD, **changes))  # type: ignore[arg-type] # checked there
    tuned = save(tmp_path / "tuned.safetensors", 2)
    with pytest.raises(SystemExit):
        average(monkeypatch, tmp_path / "mean.safetensors", tuned, first, 0.5)
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "mean.safetensors").exists()
