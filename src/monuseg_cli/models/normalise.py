"""Pixels within 0..1 -> what a network was trained to see."""

from torch import Tensor

from monuseg_cli.models.card import Card


def normalise(images: Tensor, card: Card) -> Tensor:
    """Shift and scale each channel as the card says: (image - mean) / std.

    Parameters
    ----------
    images : Tensor of shape (N, C, H, W), float32
        Pixels divided by 255.
    card : Card
        Of the weights that the images go to.

    Returns
    -------
    Tensor of shape (N, C, H, W), float32
        `images` itself where the card asks for no change.
    """
    if not any(card.mean) and set(card.std) == {1.0}:
        return images
    mean, std = (images.new_tensor(values)[:, None, None] for values in (card.mean, card.std))
    return (images - mean) / std
