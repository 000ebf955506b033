import numpy as np

from monuseg_cli.nuclei.draw_outlines import draw_outlines, outline_pixels


def test_nuclei_that_touch_show_a_line_each() -> None:
    labels = np.zeros((7, 12), dtype=np.int32)
    labels[1:6, 1:6], labels[1:6, 6:11] = 1, 2
    line = outline_pixels(labels)
    assert line[3].tolist() == [False, True, False, False, False, True, True, False, False, False, True, False]


def test_the_border_of_the_image_is_an_outline_too() -> None:
    assert outline_pixels(np.ones((3, 3), dtype=np.int32)).sum() == 8


def test_the_image_is_not_changed_and_a_wider_line_grows() -> None:
    image = np.zeros((9, 9, 3), dtype=np.uint8)
    labels = np.zeros((9, 9), dtype=np.int32)
    labels[3:6, 3:6] = 5
    thin = draw_outlines(image, labels, (1, 2, 3))
    wide = draw_outlines(image, labels, (1, 2, 3), width_px=2)
    assert not image.any()
    assert thin[3, 3].tolist() == [1, 2, 3]
    assert not thin[4, 4].any()
    assert (wide[..., 0] > 0).sum() > (thin[..., 0] > 0).sum() == 8
