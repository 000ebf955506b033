"""Begin a smaller `unet-efficientnet` with the weights of a larger one, as initial weights of a training.

usage: python tools/shrink.py OUT WEIGHTS HOME --width 12

The encoder of OUT is that of WEIGHTS. Its decoder has the given width, and ends at half of the resolution. Of each of
its layers, the channels are kept that batch norm scales and shifts most (after Liu et al., "Learning Efficient
Convolutional Networks through Network Slimming", ICCV 2017). The last layer is fitted by least squares to the logits of
WEIGHTS, on crops of the train cases in HOME, a folder that `monuseg download --home HOME` filled.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from monuseg_cli.core.home import Home
from monuseg_cli.models import registry
from monuseg_cli.models.card import Card
from monuseg_cli.models.weights import load_model, save_weights
from ship import crops

EVERY = 7  # pixels of the crops that the last layer is fitted to
LARGEST_LOGIT = 6.0
RIDGE = 1e-3

State = Mapping[str, Tensor]


def most_used(state: State, norm: str, count: int) -> Tensor:
    """Return the channels that a batch norm scales and shifts most, ascending."""
    strength = state[f"{norm}.weight"].abs() + state[f"{norm}.bias"].clamp(min=0)
    return strength.topk(count).indices.sort().values


def prune(state: State, smaller: State) -> dict[str, Tensor]:
    """Return the weights of the smaller network, but for its last layer."""
    pruned = {name: state.get(name, values) for name, values in smaller.items() if not name.startswith("head")}

    def keep(convolution: str, norm: str, inputs: Tensor | slice) -> Tensor:
        """Prune a convolution and the batch norm after it; return the channels that are kept."""
        kept = most_used(state, norm, len(smaller[f"{norm}.weight"]))
        pruned[f"{convolution}.weight"] = state[f"{convolution}.weight"][kept][:, inputs]
        for name in (f"{convolution}.bias", *(f"{norm}.{part}" for part in ("weight", "bias"))):
            if name in state:
                pruned[name] = state[name][kept]
        for part in ("running_mean", "running_var"):
            pruned[f"{norm}.{part}"] = state[f"{norm}.{part}"][kept]
        return kept

    below, channels = keep("narrow.0", "narrow.1", slice(None)), len(state["narrow.1.weight"])
    for level in range(len({name.split(".")[1] for name in smaller if name.startswith("decoder.")})):
        first = f"decoder.{level}.0"
        skip = torch.arange(channels, state[f"{first}.weight"].shape[1])
        kept = keep(first, f"decoder.{level}.1", torch.cat([below, skip]))
        below = keep(f"decoder.{level}.3", f"decoder.{level}.4", kept)
        channels = len(state[f"decoder.{level}.4.weight"])
    return pruned


@torch.inference_mode()
def fit_last_layer(network: Any, larger: nn.Module, card: Card, home: Home) -> None:
    """Fit the last layer to the logits of the larger network, which are limited, since only their sign matters."""
    last: nn.Conv2d = network.head[0]
    features: list[Tensor] = []
    handle = last.register_forward_pre_hook(lambda _, given: features.append(_every(given[0])))
    wanted = []
    for crop in crops(card, home):
        network(crop)
        logits = larger(crop).clamp(-LARGEST_LOGIT, LARGEST_LOGIT)
        wanted.append(_every(functional.pixel_unshuffle(logits, 2)))
    handle.remove()
    given, target = functional.pad(torch.cat(features), (0, 1), value=1.0), torch.cat(wanted)
    ridge = RIDGE * len(given) * torch.eye(given.shape[1])
    fitted = torch.linalg.solve(given.T @ given + ridge, given.T @ target)
    last.weight.copy_(fitted[:-1].T[:, :, None, None])
    assert last.bias is not None
    last.bias.copy_(fitted[-1])
    explained = 1 - (given @ fitted - target).var(0) / target.var(0)
    print(f"the last layer explains {explained.min():.2f} to {explained.max():.2f} of the variance of the logits")


def _every(maps: Tensor) -> Tensor:
    """Return some of the pixels of maps (1, C, H, W); (N, C)."""
    return maps[0].flatten(1).T[::EVERY]


def main() -> None:
    """Read the weights, and write those of the smaller network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("home", type=Path)
    parser.add_argument("--width", type=int, default=12)
    options = parser.parse_args()
    larger, card = load_model(options.weights)
    changed = {**card.options, "width": options.width, "output_stride": 2}
    network = registry.create(card.architecture, out_channels=card.out_channels, **changed).eval()
    network.load_state_dict(prune(larger.state_dict(), network.state_dict()), strict=False)
    fit_last_layer(network, larger, card, Home(options.home))
    save_weights(options.out, network.state_dict(), replace(card, options=changed, ranges={}, results={}))


if __name__ == "__main__":
    main()
