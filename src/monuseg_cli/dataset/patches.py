"""Images and label images -> the patch store, which records the case of each patch."""

import hashlib
import tokenize
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from monuseg_cli.core.atomic import write_json, writing_folder
from monuseg_cli.core.errors import InputError, MissingError, first_line
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.core.schema import FROM_0, FROM_1, parse_json, read_as, require_mapping
from monuseg_cli.dataset.catalog import MPP
from monuseg_cli.dataset.config import PatchesConfig, PatchFormat
from monuseg_cli.dataset.manifest import Case, CaseSplit, Dataset
from monuseg_cli.dataset.masks import labels_path, read_labels, require_masks
from monuseg_cli.dataset.pixels import read_case
from monuseg_cli.imaging.resample import resize_image, resize_labels, scaled
from monuseg_cli.imaging.tiling import Edge, grid

SCHEMA = 1
_RENAMED: Mapping[str, str] = {"size_px": "patch_px"}
"""Names of settings in manifests of an earlier version, and their present names."""


@dataclass(frozen=True, slots=True)
class _Patch:
    """A patch in the manifest: its case, and the position of its first pixel there."""

    case_id: str
    row: Annotated[int, FROM_0]
    col: Annotated[int, FROM_0]


@dataclass(frozen=True, slots=True)
class _Manifest:
    """The content of a store's ``manifest.json``: the settings of `PatchesConfig`, hashes and patches."""

    schema: Literal[1]
    patch_px: Annotated[int, FROM_1]
    stride_px: Annotated[int, FROM_1]
    edge: Edge
    rescale: bool
    split: CaseSplit
    sources: dict[str, tuple[str, str] | tuple[str, str, float]]
    patches: tuple[_Patch, ...]
    format: PatchFormat = "npy"


@dataclass(frozen=True, slots=True)
class PatchStore:
    """Patches on disk: memory-mapped arrays; `read` reads single patches from the files.

    Parameters
    ----------
    folder : Path
        Folder of the store.
    images : ndarray of shape (N, P, P, 3), uint8
    labels : ndarray of shape (N, P, P), int32
        Label images. A nucleus has the same label as in its case; mirrored copies have new labels.
    case_ids : tuple of str
        Case of each patch; N ids.
    origins : ndarray of shape (N, 2), intp
        Row and column of the first pixel of each patch in its image.
    """

    folder: Path
    images: NDArray[np.uint8]
    labels: NDArray[np.int32]
    case_ids: tuple[str, ...]
    origins: NDArray[np.intp]

    @classmethod
    def load(cls, folder: Path) -> "PatchStore":
        """Open the store in `folder`.

        Raises
        ------
        MissingError
            If there is none.
        InputError
            If it is damaged or incomplete.
        """
        try:
            manifest = _read_manifest(folder)
            images = np.lib.format.open_memmap(folder / "images.npy", mode="r")
            labels = np.lib.format.open_memmap(folder / "labels.npy", mode="r")
            patches, size = manifest.patches, manifest.patch_px
            for name, array, dtype, shape in (
                ("images.npy", images, np.uint8, (len(patches), size, size, 3)),
                ("labels.npy", labels, np.int32, (len(patches), size, size)),
            ):
                if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
                    message = f"{name} must be {shape} of {np.dtype(dtype)}, not {array.shape} of {array.dtype}"
                    raise ValueError(message)
        except FileNotFoundError as error:
            message = f"no patches in {folder}; cut them with: monuseg patches"
            raise MissingError(message) from error
        except (OSError, EOFError, ValueError, TypeError, SyntaxError, ArithmeticError, tokenize.TokenError) as error:
            reason = first_line(error)
            message = f"the patches in {folder} are damaged ({reason}); remove the folder and run: monuseg patches"
            raise InputError(message) from error
        origins = np.array([(patch.row, patch.col) for patch in patches], dtype=np.intp)
        return cls(folder, images, labels, tuple(patch.case_id for patch in patches), origins.reshape(-1, 2))

    def __reduce__(self) -> tuple[Callable[[Path], "PatchStore"], tuple[Path]]:
        """Pickle only the folder, not the arrays, for worker processes."""
        return PatchStore.load, (self.folder,)

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Read one patch: image (P, P, 3) and labels (P, P).

        It is read from the file, not through the memory map, whose pages would count as memory of this process.
        """
        image, labels = (
            self._read(name, array, index) for name, array in (("images", self.images), ("labels", self.labels))
        )
        return image, labels

    def _read(self, name: str, array: NDArray[Any], index: int) -> NDArray[Any]:
        assert isinstance(array, np.memmap)
        patch = array[index]  # may raise IndexError; does not read pixels
        offset = array.offset + index * patch.nbytes
        pixels = np.fromfile(self.folder / f"{name}.npy", array.dtype, patch.size, offset=offset)
        return pixels.reshape(patch.shape)

    def of_cases(self, case_ids: Iterable[str]) -> NDArray[np.intp]:
        """Return the indices of all patches of these cases, ascending.

        Raises
        ------
        MissingError
            If a case has no patch in the store.
        """
        wanted = set(case_ids)
        if absent := sorted(wanted - set(self.case_ids)):
            message = f"{len(absent)} cases have no patch in {self.folder} (the first: {absent[0]})"
            raise MissingError(message)
        return np.flatnonzero([case_id in wanted for case_id in self.case_ids])


@dataclass(frozen=True, slots=True)
class PatchesResult:
    """The folder and content of the store; `made` is False if it existed already."""

    folder: Path
    patches: int
    cases: int
    patch_px: int
    stride_px: int
    edge: Edge
    made: bool


def pictures_folder(store: Path) -> Path:
    """Return the folder of a store that holds each patch and its mask as PNG."""
    return store / "png"


def build_patches(config: PatchesConfig, progress: Progress = SILENT) -> PatchesResult:
    """Cut the images and label images of a split into patches.

    Images that are smaller than a patch are extended by mirroring.

    A store with the same settings, from the same images and label images, is not built again.

    Raises
    ------
    MissingError
        If the data set, the split or a mask does not exist.
    InputError
        If an image cannot be read, or does not fit its mask.
    OutputError
        If the store cannot be written.
    """
    if config.patch_px < 1 or config.stride_px < 1:
        message = f"`patch_px` and `stride_px` must be at least 1, not {config.patch_px} and {config.stride_px}"
        raise InputError(message)
    dataset = Dataset.load(config.dataset)
    cases = dataset.of_split(config.split)
    require_masks(config.dataset, [case.case_id for case in cases])
    settings = _settings(config, dataset, cases)
    made = not _is_current(config.folder, settings, progress)
    progress.detail(f"{config.folder} {'is built' if made else 'exists, with the same settings'}")
    if made:
        with writing_folder(config.folder) as folder:
            patches = _cut(config, dataset, cases, folder, progress)
            write_json(folder / "manifest.json", {**settings, "patches": patches})
    store = PatchStore.load(config.folder)
    return PatchesResult(
        folder=config.folder,
        patches=len(store.case_ids),
        cases=len(cases),
        patch_px=config.patch_px,
        stride_px=config.stride_px,
        edge=config.edge,
        made=made,
    )


def _settings(config: PatchesConfig, dataset: Dataset, cases: Sequence[Case]) -> dict[str, object]:
    """Return all that patches depend on, as written to the manifest of the store."""
    sources = {}
    for case in cases:
        labels = labels_path(dataset.root, case.case_id).read_bytes()
        resampled = [case.mpp] if config.rescale and case.mpp and case.mpp != MPP else []
        sources[case.case_id] = [case.image_sha256, hashlib.sha256(labels).hexdigest(), *resampled]
    wanted = asdict(config)
    del wanted["dataset"]
    return {"schema": SCHEMA, **wanted, "sources": sources}


def _is_current(folder: Path, settings: dict[str, object], progress: Progress) -> bool:
    """Return whether the store was built with these settings; report the differences if not."""
    try:
        PatchStore.load(folder)
        settled = _settings_of(_read_manifest(folder))
    except (OSError, ValueError):  # a MonusegError is one of these
        return False
    # Additional PNG files do not matter if they were not requested.
    if settled.get("format") == "png":
        settings = {**settings, "format": "png"}
    differences = [
        "from other images, masks or scales" if name == "sources" else f"with {name} {settled.get(name)}, not {wanted}"
        for name, wanted in settings.items()
        if settled.get(name) != wanted
    ]
    if differences:
        progress.info(f"the patches in {folder} were made {', '.join(differences)}: they are cut again")
    return not differences


def _read_manifest(folder: Path) -> _Manifest:
    content = require_mapping(parse_json((folder / "manifest.json").read_bytes()))
    return read_as(_Manifest, {_RENAMED.get(name, name): value for name, value in content.items()})


def _settings_of(manifest: _Manifest) -> dict[str, object]:
    """Return what the patches of a store depend on, in the form of `_settings`."""
    content = {part.name: getattr(manifest, part.name) for part in fields(manifest) if part.name != "patches"}
    return {**content, "sources": {case_id: list(hashes) for case_id, hashes in manifest.sources.items()}}


def _cut(
    config: PatchesConfig, dataset: Dataset, cases: Sequence[Case], folder: Path, progress: Progress
) -> list[dict[str, str | int]]:
    """Write the arrays in `folder`, case by case; return case, row and column of each patch."""
    size = config.patch_px
    patches: list[dict[str, str | int]] = []
    shapes = [_shape(config, case) for case in cases]
    grids = [grid((max(tall, size), max(wide, size)), size, config.stride_px, config.edge) for tall, wide in shapes]
    if smaller := [case.case_id for case, shape in zip(cases, shapes, strict=True) if min(shape) < size]:
        progress.info(
            f"{len(smaller)} of {len(cases)} cases are smaller than a patch of {size} px (the first: {smaller[0]}): "
            "they are extended by mirroring"
        )
    total = sum(len(corners) for corners in grids)
    # Written sequentially: a full disk is an error here, but would kill a process that writes through a memory map.
    with (folder / "images.npy").open("wb") as images, (folder / "labels.npy").open("wb") as labels:
        _write_header(images, np.dtype(np.uint8), (total, size, size, 3))
        _write_header(labels, np.dtype(np.int32), (total, size, size))
        with progress.task("patches", len(cases), "cases") as task:
            for case, corners in zip(cases, grids, strict=True):
                progress.detail(f"cuts {len(corners)} patches from {dataset.image_path(case)}")
                pixels, label_image = _read_case(config, dataset, case)
                for row, col in corners:
                    window = np.s_[row : row + size, col : col + size]
                    images.write(pixels[window].tobytes())
                    labels.write(label_image[window].tobytes())
                    patches.append({"case_id": case.case_id, "row": row, "col": col})
                    if config.format == "png":
                        _write_pair(pictures_folder(folder), patches[-1], pixels[window], label_image[window])
                task.advance()
    return patches


def _write_header(file: BinaryIO, dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _read_case(config: PatchesConfig, dataset: Dataset, case: Case) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Read image and label image at the scale of the patches."""
    pixels = read_case(dataset, case)
    label_image = read_labels(labels_path(config.dataset, case.case_id))
    if pixels.shape[:2] != label_image.shape:
        message = f"the mask of {case.case_id} is {label_image.shape}, its image {pixels.shape[:2]}; run: monuseg masks"
        raise InputError(message)
    shape = _shape(config, case)
    return _mirrored(resize_image(pixels, shape), resize_labels(label_image, shape), config.patch_px)


def _mirrored(
    pixels: NDArray[np.uint8], labels: NDArray[np.int32], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Extend image and label image to `size` by mirroring at the end; copies of nuclei get new labels."""
    missing = [(0, max(size - side, 0)) for side in labels.shape]
    if not any(after for _, after in missing):
        return pixels, labels
    pixels = np.pad(pixels, (*missing, (0, 0)), mode="symmetric")
    mirrored = np.pad(labels, missing, mode="symmetric")
    parts = _number_parts(mirrored)
    of_part = np.arange(parts.max() + 1, dtype=np.int32) + labels.max()
    of_part[parts[: labels.shape[0], : labels.shape[1]]] = labels
    return pixels, np.where(parts, of_part[parts], np.int32(0))


def _number_parts(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the number of the 8-connected part of equal label of each pixel, in order of first pixels; 0 stays 0."""
    from scipy import ndimage  # slow to import

    parts = np.zeros(labels.shape, dtype=np.int32)
    count = 0
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box:
            found, more = ndimage.label(labels[box] == label, structure=np.ones((3, 3)))
            parts[box][found > 0] = found[found > 0] + count
            count += more
    _, first = np.unique(parts[parts > 0], return_index=True)
    number = np.zeros(count + 1, dtype=np.int32)
    number[1 + np.argsort(first)] = np.arange(1, count + 1)
    return number[parts]


def _write_pair(folder: Path, patch: dict[str, str | int], image: NDArray[np.uint8], labels: NDArray[np.int32]) -> None:
    """Write a patch and its mask as PNG, for viewing."""
    folder.mkdir(exist_ok=True)
    stem = f"{patch['case_id']}_r{patch['row']:04d}_c{patch['col']:04d}"
    mask = (labels > 0).astype(np.uint8) * 255
    (folder / f"{stem}_image.png").write_bytes(imagecodecs.png_encode(image))
    (folder / f"{stem}_mask.png").write_bytes(imagecodecs.png_encode(mask))


def _shape(config: PatchesConfig, case: Case) -> tuple[int, int]:
    """Return height and width of a case at the scale of the patches."""
    height, width = read_labels(labels_path(config.dataset, case.case_id)).shape
    if config.rescale and case.mpp:
        height, width = scaled((height, width), case.mpp / MPP)
    return height, width
