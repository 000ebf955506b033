"""Average the weights of a fine-tuned model and of its initial model, which preserves the abilities of the latter.

usage: python tools/average.py OUT TUNED FIRST SHARE [--name default-1]

After Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022: OUT holds SHARE of TUNED and the rest of
FIRST, running statistics of the norms among them, and TUNED's card, which says so. --name is what the card calls FIRST.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from monuseg_cli.core.home import weights_stem
from monuseg_cli.models.weights import load_model, save_weights


def average(tuned: dict[str, Tensor], first: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Average all floating-point tensors; counters are those of the tuned model."""
    return {
        name: share * values.float() + (1 - share) * first[name].float() if values.is_floating_point() else values
        for name, values in tuned.items()
    }


def main() -> None:
    """Read both, and write their average."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("tuned", type=Path)
    parser.add_argument("first", type=Path)
    parser.add_argument("share", type=float)
    parser.add_argument("--name")
    options = parser.parse_args()
    if not 0 < options.share < 1:
        parser.error(f"SHARE must be above 0 and below 1, not {options.share}")
    (tuned, card), (first, other) = load_model(options.tuned), load_model(options.first)
    alike = ("architecture", "options", "classes", "mean", "std", "mpp")
    if differences := [name for name in alike if getattr(card, name) != getattr(other, name)]:
        parser.error(f"{options.tuned} and {options.first} differ in {', '.join(differences)}")
    if contaminated := sorted({*card.val_cases} & {*other.train_cases}):
        parser.error(f"{options.first} was trained on {contaminated[0]}, which {options.tuned} is validated on")
    shares = {
        weights_stem(options.tuned): options.share,
        options.name or weights_stem(options.first): round(1 - options.share, 6),
    }
    train_cases = tuple(sorted({*card.train_cases, *other.train_cases}))
    card = replace(card, averaged=shares, train_cases=train_cases)
    save_weights(options.out, average(tuned.state_dict(), first.state_dict(), options.share), card)


if __name__ == "__main__":
    main()
