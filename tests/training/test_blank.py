import numpy as np

from monuseg_cli.training.blank import draw_blank


def test_blanks_are_of_many_kinds_and_the_same_for_the_same_numbers() -> None:
    pictures = [draw_blank(64, np.random.default_rng(seed)) for seed in range(40)]
    assert {(picture.shape, str(picture.dtype)) for picture in pictures} == {((64, 64, 3), "uint8")}
    np.testing.assert_array_equal(pictures[7], draw_blank(64, np.random.default_rng(7)))
    spread = np.array([picture.std() for picture in pictures])
    assert (spread < 6).sum() >= 5  # glass and plain colours
    assert (spread > 30).sum() >= 10  # ink and flakes
    stained = [
        picture for picture in pictures if np.percentile(picture[..., 0] - picture[..., 1].astype(float), 90) > 40
    ]
    assert stained  # flakes take up eosin and haematoxylin, both of which dim green most
