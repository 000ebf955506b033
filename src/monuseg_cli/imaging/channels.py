"""Which of the separately stored channels of an image are red, green and blue."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NAMES = ({"red", "r"}, {"green", "g"}, {"blue", "b"})
_BESIDE_COLOURS = {"channel", "ch", "c", "component", "colour", "color", "rgb", "sample", "brightfield"}
_PURE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
_WHITE = (255, 255, 255)
_UNNAMED = re.compile(r"(channel|ch|c|sample)?[\s:_#-]*[\d:/\s]*", re.IGNORECASE)

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel as described in a file.

    Parameters
    ----------
    name : str
        Empty if it has none.
    colour : tuple of int or None
        Its display colour: red, green and blue, 0..255; None if not stated.
    samples : int
        Samples per pixel; 3 for an RGB channel.
    """

    name: str = ""
    colour: Rgb | None = None
    samples: int = 1


@dataclass(frozen=True, slots=True)
class ChannelOrder:
    """Which channels are red, green and blue.

    Parameters
    ----------
    order : tuple of int or None
        Their indices; None if the channels are not colours.
    reason : str
        How this is known.
    """

    order: tuple[int, int, int] | None
    reason: str


def order_channels(channels: Sequence[Channel], count: int, bits: int) -> ChannelOrder:
    """Return which channels of an image are red, green and blue: by their names, else by their display colours.

    Three 8-bit channels that have neither are assumed to be in this order.

    Parameters
    ----------
    channels : sequence of Channel
        As described; may be fewer than the image has.
    count, bits : int
        Number of channels, and bits per sample.
    """
    names = [channel.name.strip() for channel in channels]
    named = [name for name in names if not _UNNAMED.fullmatch(name)]
    if count != 3:
        return ChannelOrder(None, f"{count} channels{_listed(named)}")
    if named:
        order = _match(_colours_named(names))
        return ChannelOrder(order, f"channels named {', '.join(names)}")
    colours = [channel.colour for channel in channels]
    if any(colour not in (None, _WHITE) for colour in colours):
        order = _match([_PURE.index(colour) if colour in _PURE else None for colour in colours])
        return ChannelOrder(order, "channels coloured red, green and blue" if order else "channels of other colours")
    if bits <= 8:
        return ChannelOrder((0, 1, 2), "three 8-bit channels without names taken as red, green and blue")
    return ChannelOrder(None, "three channels without names")


def _colours_named(names: Sequence[str]) -> list[int | None]:
    """Return which colour each channel is named after; words that all names contain do not count."""
    words = [set(re.findall(r"[a-z]+", name.lower())) - _BESIDE_COLOURS for name in names]
    common = set.intersection(*words)
    own = [named - common for named in words]
    return [
        next((number for number, known in enumerate(_NAMES) if len(named) == 1 and named <= known), None)
        for named in own
    ]


def _match(colours: Sequence[int | None]) -> tuple[int, int, int] | None:
    if sorted(-1 if colour is None else colour for colour in colours) != [0, 1, 2]:
        return None
    return colours.index(0), colours.index(1), colours.index(2)


def _listed(names: Sequence[str]) -> str:
    return f" ({', '.join(names)})" if names else ""
