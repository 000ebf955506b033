"""A state is loaded only if everything in it could have been written by this training."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from monuseg_cli.core.errors import InputError
from monuseg_cli.training.checkpoint import STATE_FILE, Checkpoint, restore
from monuseg_cli.training.ema import make_ema

STEPS, RATE = 3, 0.01
Change = Callable[[dict[str, Any]], object]


@dataclass
class Parts:
    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    averaged: AveragedModel

    def restore(self, run: Path) -> None:
        restore(Checkpoint.load(run), run, self.model, self.optimizer, self.scaler, self.averaged, STEPS, RATE)

    def values(self) -> list[Any]:
        return deepcopy([part.state_dict() for part in (self.model, self.optimizer, self.scaler, self.averaged)])


def make_parts(fp16: bool = False) -> Parts:
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.1, fused=True)
    return Parts(model, optimizer, torch.amp.GradScaler("cpu", enabled=fp16), make_ema(model, 0.5))


def train(parts: Parts, steps: int) -> None:
    for _ in range(steps):
        parts.optimizer.zero_grad()
        parts.scaler.scale(parts.model(torch.rand(2, 3, 4, 4)).square().sum()).backward()
        parts.scaler.step(parts.optimizer)
        parts.scaler.update()
        parts.averaged.update_parameters(parts.model)


def save(parts: Parts, run: Path) -> dict[str, Any]:
    model, optimizer, scaler, averaged = parts.values()
    Checkpoint(1, model, optimizer, scaler, averaged, 1, "00").save(run)
    content: dict[str, Any] = torch.load(run / STATE_FILE, weights_only=True)
    return content


def assert_equal(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("fp16", [False, True])
def test_a_state_comes_back_and_the_next_step_is_the_same(tmp_path: Path, fp16: bool) -> None:
    torch.manual_seed(0)
    parts, others = make_parts(fp16), make_parts(fp16)
    train(parts, STEPS)
    save(parts, tmp_path)
    others.restore(tmp_path)
    for resumed in (parts, others):
        torch.manual_seed(1)
        train(resumed, 1)
    assert_equal(parts.model.state_dict(), others.model.state_dict())
    assert_equal(parts.averaged.state_dict(), others.averaged.state_dict())
    assert_equal(parts.optimizer.state_dict()["state"], others.optimizer.state_dict()["state"])


def test_settings_of_the_computation_are_those_of_this_machine(tmp_path: Path) -> None:
    parts = make_parts()
    train(parts, STEPS)
    content = save(parts, tmp_path)
    content["optimizer"]["param_groups"][0].update(fused=False, foreach=True, capturable=True, more=1)
    torch.save(content, tmp_path / STATE_FILE)
    parts.restore(tmp_path)
    (group,) = parts.optimizer.param_groups
    assert (group["fused"], group["foreach"], group["capturable"]) == (True, None, False)
    assert "more" not in group


def group(**settings: Any) -> Change:
    return lambda content: content["optimizer"]["param_groups"][0].update(settings)


def moments(**values: Any) -> Change:
    return lambda content: content["optimizer"]["state"][1].update(values)


def weights(part: str, name: str, value: Any) -> Change:
    return lambda content: content[part].update({name: value})


BIAS = "optimizer.state[1]"
TAMPERED: dict[str, tuple[Change, str]] = {
    "a part missing": (lambda content: content.pop("averaged"), "its content lacks the field 'averaged'"),
    "no epoch": (lambda content: content.update(epoch=0), "epoch must be at least 1 and finite, not 0"),
    "epoch a truth value": (lambda content: content.update(epoch=True), "epoch must be a whole number, not True"),
    "processes": (lambda content: content.update(world_size=-1), "world_size must be at least 1"),
    "hash": (lambda content: content.update(data_sha256=3), "data_sha256 must be text, not 3"),
    "names that are numbers": (lambda content: content.update(model={3: 4}), "a name in model must be text, not 3"),
    "not a mapping": (lambda content: content.update(optimizer=[1]), "optimizer must be a mapping of names to values"),
    "weight missing": (lambda content: content["model"].pop("0.bias"), "model lacks '0.bias'"),
    "weight more": (weights("model", "2.bias", torch.zeros(2)), "model has '2.bias', which is not of this training"),
    "weight a list": (weights("model", "0.bias", [0.0, 0.0]), "model.0.bias must be a tensor, not a list"),
    "weight sparse": (weights("model", "0.bias", torch.zeros(2).to_sparse()), "model.0.bias must be a tensor, not of"),
    "weight of float64": (
        weights("model", "0.bias", torch.zeros(2, dtype=torch.float64)),
        "model.0.bias must be [2] of float32, not [2] of float64",
    ),
    "weight of another shape": (weights("model", "0.bias", torch.zeros(3)), "must be [2] of float32, not [3] of"),
    "weight infinite": (weights("model", "0.bias", torch.tensor([0, torch.inf])), "0.bias has values that are not"),
    "variance negative": (weights("model", "1.running_var", -torch.ones(2)), "model.1.running_var has values below 0"),
    "average of nan": (weights("averaged", "module.0.bias", torch.full((2,), torch.nan)), "averaged.module.0.bias has"),
    "averages counted": (weights("averaged", "n_averaged", torch.tensor(9)), "averaged.n_averaged must be 3, not 9"),
    "no groups": (lambda content: content["optimizer"].update(param_groups=[]), "optimizer must have 1 group"),
    "a group more": (
        lambda content: content["optimizer"]["param_groups"].append(content["optimizer"]["param_groups"][0]),
        "optimizer must have 1 group",
    ),
    "group a word": (lambda content: content["optimizer"].update(param_groups=["a"]), "groups[0] must be a mapping"),
    "betas of words": (group(betas=("high", "low")), "betas must be (0.9, 0.999), not a list"),
    "betas out of range": (group(betas=(0.9, 1.5)), "betas must be (0.9, 0.999), not a list"),
    "betas of three": (group(betas=(0.9, 0.999, 0.9)), "betas must be (0.9, 0.999), not a list"),
    "rate nan": (group(lr=float("nan")), "lr must be 0.01, not nan"),
    "rate infinite": (group(lr=float("inf")), "lr must be 0.01, not inf"),
    "rate negative": (group(lr=-0.01), "lr must be 0.01, not -0.01"),
    "rate a tensor": (group(lr=torch.tensor([0.01, 0.01])), "lr must be 0.01, not a Tensor"),
    "eps": (group(eps=0.0), "eps must be 1e-08, not 0.0"),
    "decay": (group(weight_decay=1e9), "weight_decay must be 0.1, not 1000000000.0"),
    "amsgrad": (group(amsgrad=True), "amsgrad must be False, not True"),
    "uphill": (group(maximize=True), "maximize must be False, not True"),
    "parameters": (group(params=[0, 1, 3, 2]), "params must be [0, 1, 2, 3], not a list"),
    "moments missing": (lambda content: content["optimizer"]["state"].pop(1), "optimizer.state lacks 1"),
    "all moments missing": (lambda content: content["optimizer"].update(state={}), "optimizer.state lacks 0"),
    "moments more": (lambda content: content["optimizer"]["state"].update({9: {}}), "optimizer.state has 9, which"),
    "moments a number": (lambda content: content["optimizer"]["state"].update({1: 3}), f"{BIAS} must be a mapping"),
    "a moment more": (moments(max_exp_avg_sq=torch.zeros(2)), f"{BIAS} has 'max_exp_avg_sq', which is not"),
    "moment of another shape": (moments(exp_avg=torch.zeros(1)), f"{BIAS}.exp_avg must be [2] of float32, not [1]"),
    "moment of float16": (moments(exp_avg=torch.zeros(2).half()), f"{BIAS}.exp_avg must be [2] of float32, not [2]"),
    "moment nan": (moments(exp_avg=torch.full((2,), torch.nan)), f"{BIAS}.exp_avg has values that are not finite"),
    "moment negative": (moments(exp_avg_sq=-torch.ones(2)), f"{BIAS}.exp_avg_sq has values below 0"),
    "steps negative": (moments(step=torch.tensor(-3.0)), f"{BIAS}.step has values below 1"),
    "steps in parts": (moments(step=torch.tensor(2.5)), f"{BIAS}.step must be 3, not 2.5"),
    "steps of others": (moments(step=torch.tensor(4.0)), f"{BIAS}.step must be 3, not 4"),
    "steps a number": (moments(step=3), f"{BIAS}.step must be a tensor, not 3"),
    "scaler": (lambda content: content.update(scaler={"scale": 2.0}), "scaler has 'scale', which is not of this"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_state_is_one_error_and_changes_nothing(tmp_path: Path, what: str) -> None:
    change, reason = TAMPERED[what]
    parts = make_parts()
    train(parts, STEPS)
    content = save(parts, tmp_path)
    change(content)
    torch.save(content, tmp_path / STATE_FILE)
    others = make_parts()
    before = others.values()
    with pytest.raises(InputError) as caught:
        others.restore(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / STATE_FILE} is damaged, or is not of this run: ")
    assert reason in message
    assert message.endswith(
        f"; bring it back from a copy, or start from the weights of the run with `init={tmp_path.name}`"
    )
    assert "\n" not in message
    assert_equal(others.values(), before)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scale": float("nan")}, "scaler.scale must be a finite number, not nan"),
        ({"scale": 0.0}, "scaler.scale must be above 0"),
        ({"growth_factor": 1e9}, "scaler.growth_factor must be 2.0, not"),
        ({"_growth_tracker": -1}, "scaler._growth_tracker must be at least 0"),
        ({"_growth_tracker": "a"}, "scaler._growth_tracker must be a whole number"),
    ],
)
def test_a_tampered_scaler(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    parts = make_parts(fp16=True)
    train(parts, STEPS)
    content = save(parts, tmp_path)
    content["scaler"].update(changes)
    torch.save(content, tmp_path / STATE_FILE)
    with pytest.raises(InputError) as caught:
        make_parts(fp16=True).restore(tmp_path)
    assert reason in str(caught.value)


def test_fp16_may_have_skipped_steps_but_not_taken_more(tmp_path: Path) -> None:
    parts = make_parts(fp16=True)
    train(parts, STEPS)
    content = save(parts, tmp_path)
    for taken, fits in ((1.0, True), (float(STEPS), True), (STEPS + 1.0, False)):
        for values in content["optimizer"]["state"].values():
            values["step"] = torch.tensor(taken)
        torch.save(content, tmp_path / STATE_FILE)
        if fits:
            make_parts(fp16=True).restore(tmp_path)
            continue
        with pytest.raises(InputError, match="step must be 3, not 4"):
            make_parts(fp16=True).restore(tmp_path)
