"""Which image of a file and which focal plane is read, and what is said of it."""

from collections.abc import Sequence

from monuseg_cli.imaging.readers.base import ImageInfo
from monuseg_cli.imaging.to_rgb import ImageError


def choose_image(images: Sequence[ImageInfo], series: int | None) -> int:
    """Choose an image: the one asked for, else the largest scan, the first of equal ones.

    Images that cannot be read as H&E are taken where there is no other, so that what is wrong with them is said.

    Returns
    -------
    int
        Its index.

    Raises
    ------
    ImageError
        If there is none of this index, or there are several images, and none of them is a scan.
    """
    if series is not None:
        if not 0 <= series < len(images):
            message = f"it has no image {series}, only 0 to {len(images) - 1}; give another `series`"
            raise ImageError(message)
        return series
    scans = [index for index, image in enumerate(images) if image.role == "scan"]
    if not scans and len(images) > 1:
        roles = ", ".join(f"{index} {image.role}" for index, image in enumerate(images))
        message = f"it holds no scan, only what lies beside one ({roles}); `series` takes one of them all the same"
        raise ImageError(message)
    clear = [index for index in scans if images[index].problem is None]
    return max(clear or scans or [0], key=lambda index: images[index].shape[0] * images[index].shape[1])


def note_image(images: Sequence[ImageInfo], taken: int) -> str | None:
    """Say which image was taken, where another could have been."""
    scans = [index for index, image in enumerate(images) if image.role == "scan"]
    if len(scans) < 2 or taken not in scans:
        return None
    sizes = [images[index].shape[0] * images[index].shape[1] for index in scans]
    is_largest = images[taken].shape[0] * images[taken].shape[1] == max(sizes)
    which = "the first" if len(set(sizes)) == 1 and taken == scans[0] else "the largest" if is_largest else "one"
    name = f" {images[taken].name!r}" if images[taken].name else ""
    return f"{which} of several images taken (number {taken}{name}); `series` takes another"


def require_plane(plane: int, count: int) -> int:
    """Return the index of a focal plane, checked.

    Raises
    ------
    ImageError
        If there is none of this index.
    """
    if not 0 <= plane < count:
        message = f"it has no focal plane {plane}, only 0 to {count - 1}; give another `plane`"
        raise ImageError(message)
    return plane


def note_plane(plane: int, count: int, reason: str) -> str | None:
    """Say which focal plane was taken, where there are several."""
    if count < 2:
        return None
    return f"focal plane {plane} of {count} taken ({reason}); `plane` takes another"
