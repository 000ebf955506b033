from collections.abc import Sequence

import pytest

from monuseg_cli.imaging.channels import Channel, Rgb, order_channels


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["Red", "Green", "Blue"], (0, 1, 2)),
        (["BLUE", "GREEN", "RED"], (2, 1, 0)),
        (["R", "G", "B"], (0, 1, 2)),
        (["Channel red", "green channel", "C: blue"], (0, 1, 2)),
        (["TL Brightfield_R", "TL Brightfield_G", "TL Brightfield_B"], (0, 1, 2)),
        (["Alexa red", "Alexa green", "Alexa 405"], None),
        (["Red", "Green", "Green"], None),
        (["Red", "Green", ""], None),
        (["DAPI", "FITC", "TRITC"], None),
        (["Texas Red", "Green", "Blue"], None),
        (["Infrared", "Green", "Blue"], None),
    ],
)
def test_channels_named_as_colours_are_rgb(names: Sequence[str], order: tuple[int, int, int] | None) -> None:
    assert order_channels([Channel(name) for name in names], 3, 8).order == order


RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.mark.parametrize(
    ("colours", "order"),
    [
        ([RED, GREEN, BLUE], (0, 1, 2)),
        ([BLUE, RED, GREEN], (1, 2, 0)),
        ([RED, GREEN, None], None),
        ([RED, GREEN, (255, 0, 255)], None),
        ([WHITE, WHITE, WHITE], (0, 1, 2)),  # which is what OME takes for no colour
    ],
)
def test_channels_without_names_are_identified_by_their_colours(
    colours: Sequence[Rgb | None], order: tuple[int, int, int] | None
) -> None:
    assert order_channels([Channel("", colour) for colour in colours], 3, 8).order == order


def test_names_count_more_than_colours() -> None:
    stains = [Channel(name, colour) for name, colour in zip(("DAPI", "FITC", "Cy5"), (BLUE, GREEN, RED), strict=True)]
    found = order_channels(stains, 3, 8)
    assert (found.order, found.reason) == (None, "channels named DAPI, FITC, Cy5")


@pytest.mark.parametrize("name", ["", "Channel 0", "C1", "Channel:0:1", "2"])
def test_numbered_channels_count_as_unnamed(name: str) -> None:
    assert order_channels([Channel(name)] * 3, 3, 8).order == (0, 1, 2)
    assert order_channels([Channel(name)] * 3, 3, 16).order is None


@pytest.mark.parametrize("count", [2, 4, 5])
def test_other_numbers_of_channels_are_no_colours(count: int) -> None:
    assert order_channels([Channel("Red"), Channel("Green"), Channel("Blue")], count, 8).order is None
