"""The choice of an image and a focal plane of a file, and the note about it."""

from collections.abc import Sequence

from monuseg_cli.imaging.readers.base import ImageInfo
from monuseg_cli.imaging.to_rgb import ImageError


def choose_image(images: Sequence[ImageInfo], series: int | None) -> int:
    """Return the index of the image to read: the requested one, else the largest scan (the first of equal ones).

    An image that cannot be read as H&E is chosen only if there is no other; opening it then raises the reason.

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
    return max(clear or scans or [0], key=lambda index: images[index].shape[0] * images[index].shape[1])


def note_image(images: Sequence[ImageInfo], taken: int) -> str | None:
    """Return which image was chosen; None if there is only one scan."""
    scans = [index for index, image in enumerate(images) if image.role == "scan"]
    if len(scans) < 2 or taken not in scans:
        return None
    sizes = [images[index].shape[0] * images[index].shape[1] for index in scans]
    is_largest = images[taken].shape[0] * images[taken].shape[1] == max(sizes)
    which = "the first" if len(set(sizes)) == 1 and taken == scans[0] else "the largest" if is_largest else "one"
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
