"""Knowledge distillation: a trained network, the teacher, whose predictions another one learns to repeat."""

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from monuseg_cli.core.errors import InputError
from monuseg_cli.models.card import Card
from monuseg_cli.models.weights import load_model
from monuseg_cli.training.recipe import Recipe
from monuseg_cli.training.targets import CLASSES


def load_teacher(recipe: Recipe) -> tuple[nn.Module, Card]:
    """Load the teacher of a recipe, in evaluation mode, and its card; its weights need no gradients.

    Raises
    ------
    MissingError
        If the file does not exist.
    InputError
        If the weights are unusable, or their classes are not those of the recipe.
    """
    model, card = load_model(Path(recipe.teacher))
    classes = CLASSES[recipe.aux_target]
    if card.classes != classes:
        message = (
            f"{recipe.teacher} predicts {', '.join(card.classes)}, and `aux_target={recipe.aux_target}` learns "
            f"{', '.join(classes)}; choose another `teacher`, or its `aux_target`"
        )
        raise InputError(message)
    return model.requires_grad_(requires_grad=False), card


def distillation_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """Compute the mean binary cross-entropy with the teacher's probabilities, summed over the channels.

    After Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, at temperature 1.

    Parameters
    ----------
    logits, teacher : Tensor of shape (N, C, H, W)
        Logits of the trained network and of the teacher.

    Returns
    -------
    Tensor
        A scalar.
    """
    return logits.shape[1] * functional.binary_cross_entropy_with_logits(logits, teacher.sigmoid())
