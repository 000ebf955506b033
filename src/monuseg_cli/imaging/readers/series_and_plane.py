"""The choice of an image and a focal plane of a file, and the note about it."""

from collections.abc import Sequence

from monuseg_cli.imaging.readers.base import ImageInfo
from monuseg_cli.imaging.to_rgb import ImageError

_SAME_ASPECT = 1.02


def choose_image(images: Sequence[ImageInfo], series: int | None) -> int:
    """Return the index of the image to read: the requested one, else the largest scan (the first of equal ones).

    If the largest has one level only, and not the shape of the largest pyramid, it is an overview without a name, and
    the pyramid is read. An image that cannot be read as H&E is chosen only if there is no other; opening it then raises
    the reason.

    Raises
    ------
    ImageError
        If the index does not exist, or there are several images, but no scan.
    """
    if series is not None:
        if not 0 <= series < len(images):
            message = f"it has no image {series}, only 0 to {len(images) - 1}; give another `series`"
            raise ImageError(message)
        return series
    scans = [index for index, image in enumerate(images) if image.role == "scan"]
    if not scans and len(images) > 1:
        roles = ", ".join(f"{index} {image.role}" for index, image in enumerate(images))
        message = f"it contains no scan, only associated images ({roles}); choose one of them with `series`"
        raise ImageError(message)
    clear = [index for index in scans if images[index].problem is None]
    candidates = clear or scans or [0]
    largest = _largest(images, candidates)
    pyramids = [index for index in candidates if images[index].levels > 1]
    if images[largest].levels == 1 and pyramids:
        pyramid = _largest(images, pyramids)
        return largest if _is_alike(images[largest].shape, images[pyramid].shape) else pyramid
    return largest


def _largest(images: Sequence[ImageInfo], candidates: Sequence[int]) -> int:
    return max(candidates, key=lambda index: images[index].shape[0] * images[index].shape[1])


def _is_alike(shape: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether two images have about the same ratio of height to width, so that they may show the same."""
    aspect, other_aspect = shape[0] / shape[1], other[0] / other[1]
    return max(aspect, other_aspect) <= _SAME_ASPECT * min(aspect, other_aspect)


def note_image(images: Sequence[ImageInfo], taken: int) -> str | None:
    """Return which image was chosen; None if there is only one scan."""
    scans = [index for index, image in enumerate(images) if image.role == "scan"]
    if len(scans) < 2 or taken not in scans:
        return None
    sizes = [images[index].shape[0] * images[index].shape[1] for index in scans]
    is_largest = images[taken].shape[0] * images[taken].shape[1] == max(sizes)
    is_pyramid = images[taken].levels > 1 == images[_largest(images, scans)].levels
    other = "the largest pyramid" if is_pyramid else "one"
    which = "the first" if len(set(sizes)) == 1 and taken == scans[0] else "the largest" if is_largest else other
    name = f" {images[taken].name!r}" if images[taken].name else ""
    return f"{which} of several images used (number {taken}{name}); choose another with `series`"


def require_plane(plane: int, count: int) -> int:
    """Return the index of a focal plane, after checking it.

    Raises
    ------
    ImageError
        If it does not exist.
    """
    if not 0 <= plane < count:
        message = f"it has no focal plane {plane}, only 0 to {count - 1}; give another `plane`"
        raise ImageError(message)
    return plane


def note_plane(plane: int, count: int, reason: str) -> str | None:
    """Return which focal plane was chosen; None if there is only one."""
    if count < 2:
        return None
    return f"focal plane {plane} of {count} used ({reason}); choose another with `plane`"
