"""Output files of a prediction, resolved and checked before anything is computed."""

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import require_text_name, resolve_links
from monuseg_cli.core.progress import SILENT, Progress
from monuseg_cli.imaging.decoding import decoding
from monuseg_cli.imaging.folder import list_images, stem_of
from monuseg_cli.outputs import nuclei_parquet, nuclei_spatialdata, spreadsheet

_LONGEST_NAME = 255  # bytes, on the file systems in use
TIFF_SUFFIXES = (".tif", ".tiff")
GEOJSON_SUFFIXES = (".geojson", ".geojson.gz")
TABLE_SUFFIXES = (*GEOJSON_SUFFIXES, ".csv", nuclei_parquet.SUFFIX, spreadsheet.SUFFIX, nuclei_spatialdata.SUFFIX)
PLOT_SUFFIXES = (".svg", ".pdf")
RESULT_SUFFIXES = (".png", *TIFF_SUFFIXES, *TABLE_SUFFIXES, *PLOT_SUFFIXES)
"""Suffixes of the results: a mask (or labels, for TIFF), tables of nuclei, and histograms of measurements."""

STANDARD_OUTPUT = "-"
Format = Literal["png", "tif", "geojson", "geojson.gz", "csv", "parquet", "xlsx", "zarr", "svg", "pdf"]
_FORMATS_OF_TEXT = ("geojson", "csv")

REPORT_SUFFIXES = (".html",)
SUMMARY_SUFFIXES = (".csv", spreadsheet.SUFFIX)
ROI_SUMMARY_SUFFIXES = (".csv",)
_REPORT_OF_ALL = "index.html"


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """The outputs requested for every image.

    A pattern may contain ``{stem}``, the name of the image without its suffix. A folder stands for a file in it.

    Parameters
    ----------
    results : tuple of str
        Files, folders or patterns; the suffix selects the format. ``-`` alone is the standard output.
    labels : bool
        Whether a TIFF contains a label image, one integer per nucleus, instead of a mask.
    overlay, probability, tissue : str, optional
        The image with outlines (PNG), the probability of nuclei (TIFF), and the mask of detected tissue (PNG).
    format : str, optional
        Format of results whose name does not state it: folders, and the standard output.
    simplify : float, optional
        Simplify the outlines of GeoJSON results by at most this distance, in pixels of level 0.
    report : str, optional
        The report, as HTML: of the image, or of each and of all together; see `plan_batch`.
    summary : str, optional
        Table with a row per image (CSV; an .xlsx has a sheet of the regions, too).
    roi_summary : str, optional
        Table with a row per region of interest of each image (CSV).

    Raises
    ------
    InputError
        If `results` is a string instead of a tuple, no output is requested, a name is not a string, or `format` or
        `simplify` cannot be used.
    """

    results: tuple[str, ...]
    labels: bool = False
    overlay: str | None = None
    probability: str | None = None
    tissue: str | None = None
    format: Format | None = None
    simplify: float | None = None
    report: str | None = None
    summary: str | None = None
    roi_summary: str | None = None

    def __post_init__(self) -> None:
        """Check that at least one output is requested, all names are strings, and the settings have valid values."""
        if isinstance(self.results, str):
            message = f"`outputs` must be a list of files, not the string {self.results!r}: [{self.results!r}]"
            raise InputError(message)
        others = (self.overlay, self.probability, self.tissue, self.report, self.summary, self.roi_summary)
        names = (*self.results, *(other for other in others if other is not None))
        if not names:
            message = "no output is requested; name a file in `outputs`"
            raise InputError(message)
        for name in names:
            if not isinstance(name, str):
                message = f"{name!r} is not a valid output name; give a string or a path"
                raise InputError(message)
        if self.format is not None and self.format not in get_args(Format):
            message = f"`format` takes {' or '.join(get_args(Format))}, not {self.format!r}"
            raise InputError(message)
        if self.simplify is not None and not (math.isfinite(self.simplify) and self.simplify > 0):
            message = f"`simplify` must be a distance in pixels above 0, not {self.simplify}"
            raise InputError(message)
        if STANDARD_OUTPUT in self.results:
            if len(names) > 1:
                message = f"{STANDARD_OUTPUT}, the standard output, must be the only output"
                raise InputError(message)
            if self.format not in _FORMATS_OF_TEXT:
                choice = " or ".join(f"`format={name}`" for name in _FORMATS_OF_TEXT)
                message = f"the standard output needs {choice}"
                raise InputError(message)


@dataclass(frozen=True, slots=True)
class Outputs:
    """The output files of one image, or the format of the standard output, and how they are written."""

    image: Path
    results: tuple[Path, ...]
    labels: bool
    overlay: Path | None
    probability: Path | None
    tissue: Path | None
    stream: Format | None = None
    simplify: float | None = None
    report: Path | None = None

    @property
    def has_table(self) -> bool:
        """Whether any output is a table of nuclei."""
        return bool(self.stream) or any(suffix_of(path) in TABLE_SUFFIXES for path in self.results)

    @property
    def stores(self) -> tuple[Path, ...]:
        """The outputs that are folders: SpatialData stores."""
        return tuple(path for path in self.results if suffix_of(path) == nuclei_spatialdata.SUFFIX)

    @property
    def suit_threads(self) -> bool:
        """Whether several images can be written at a time, each in a thread: without matplotlib and spatialdata."""
        has_plots = any(suffix_of(path) in PLOT_SUFFIXES for path in self.results)
        return not (has_plots or self.stores or self.report)

    @property
    def exist(self) -> bool:
        """Whether all outputs exist."""
        stores = self.stores
        return all(path.is_dir() if path in stores else path.is_file() for path in self.files)

    @property
    def files(self) -> tuple[Path, ...]:
        """All output files, and stores."""
        others = (self.overlay, self.probability, self.tissue, self.report)
        return self.results + tuple(path for path in others if path is not None)


def find_images(paths: Sequence[Path], progress: Progress = SILENT) -> list[Path]:
    """List the given images, and those in the given folders in order of name; report what is not read there.

    Raises
    ------
    MissingError
        If a path does not exist.
    InputError
        If a folder contains no image, or a path is neither a file nor a folder.
    """
    images: list[Path] = []
    for path in paths:
        if path.is_dir():
            with decoding(path):
                inside = list_images(path)
            unread = inside.describe_unread()
            if not inside.images:
                message = f"no image in the folder {path}{f': {unread}' if unread else ''}; name another one"
                raise InputError(message)
            if unread:
                progress.warn(f"left out of {path}: {unread}")
            images += inside.images
        elif path.is_file():
            images.append(path)
        elif path.exists():
            message = f"{path} is neither a file nor a folder; name an image"
            raise InputError(message)
        else:
            message = f"no image {path}; check its name"
            raise MissingError(message)
    return images


def plan_outputs(images: Sequence[Path], spec: OutputSpec) -> list[Outputs]:
    """Resolve the output files of every image.

    Raises
    ------
    InputError
        If two outputs would be the same file, one would replace an image, a suffix is unknown, or a name is not text.
    MissingError
        If a package that a format needs is not installed.
    """
    if STANDARD_OUTPUT in spec.results and len(images) > 1:
        message = f"the standard output takes one image, not {len(images)}; give a folder in `outputs`"
        raise InputError(message)
    is_one = len(images) == 1
    plans = [_outputs_of(image, spec, is_one) for image in images]
    planned = [path for plan in plans for path in plan.files] + plan_batch(spec, is_one).files
    for path in (*images, *planned):
        require_text_name(path)
    _require_use(spec, plans)
    for suffix in {suffix_of(path) for path in planned}:
        require_package(suffix)
    twice = [path for path, count in Counter(planned).items() if count > 1]
    if twice:
        message = f"{twice[0]} would be written more than once; give a folder, or a pattern such as out/{{stem}}.png"
        raise InputError(message)
    sources = {resolve_links(image) for image in images}
    for path in planned:
        if resolve_links(path) in sources:
            message = f"{path} is an image to predict on, and would be replaced by its result; give other `outputs`"
            raise InputError(message)
    for store in (store for plan in plans for store in plan.stores):
        inside = [path for path in (*images, *planned) if resolve_links(store) in resolve_links(path).parents]
        if inside:
            message = f"{inside[0]} lies in {store}, which would be replaced as a whole; give other `outputs`"
            raise InputError(message)
    return plans


def require_package(suffix: str) -> None:
    """Check that the package that writes a format is installed.

    Raises
    ------
    MissingError
        If it is not.
    """
    if suffix == nuclei_parquet.SUFFIX:
        nuclei_parquet.require_pyarrow()
    elif suffix == spreadsheet.SUFFIX:
        spreadsheet.require_xlsxwriter()
    elif suffix == nuclei_spatialdata.SUFFIX:
        nuclei_spatialdata.require_spatialdata()


def _require_use(spec: OutputSpec, plans: Sequence[Outputs]) -> None:
    """Refuse settings that none of the outputs depends on."""
    results = [path for plan in plans for path in plan.results]
    suffixes = {suffix_of(path) for path in results} | {f".{plan.stream}" for plan in plans if plan.stream}
    if not plans:
        return
    if spec.labels and not suffixes & set(TIFF_SUFFIXES):
        first = results[0] if results else STANDARD_OUTPUT
        message = f"cannot write labels to {first}: one integer per nucleus needs a name that ends in .tif"
        raise InputError(message)
    if spec.simplify is not None and not suffixes & set(GEOJSON_SUFFIXES):
        message = "`simplify` changes the outlines in GeoJSON, and no output is a .geojson"
        raise InputError(message)
    if spec.format and not any(_names_no_format(pattern) for pattern in spec.results):
        of = f"; the format of {results[0]} follows from its name" if results else ""
        message = f"`format` is for a folder or {STANDARD_OUTPUT}{of}"
        raise InputError(message)


@dataclass(frozen=True, slots=True)
class BatchOutputs:
    """The files on all images together: the report, and the tables of images and of regions."""

    report: Path | None
    summary: Path | None
    roi_summary: Path | None

    @property
    def files(self) -> list[Path]:
        """All of them that are requested."""
        return [path for path in (self.report, self.summary, self.roi_summary) if path is not None]


def plan_batch(spec: OutputSpec, is_one: bool) -> BatchOutputs:
    """Resolve the files on all images together.

    The report of one image is the file that is named. Of several, a folder or pattern names the reports of each; that
    of all is ``index.html`` beside them. A plain name is that of the report of all; those of each are in a folder of
    the same name without the suffix.

    Parameters
    ----------
    spec : OutputSpec
        What is requested.
    is_one : bool
        Whether there is only one image.

    Raises
    ------
    InputError
        If a name is invalid, or its suffix is unknown.
    """

    def table(name: str | None, suffixes: tuple[str, ...]) -> Path | None:
        if name is None:
            return None
        path = Path(name)
        if _names_no_format(name) or "{" in name or path.suffix.lower() not in suffixes:
            message = f"cannot write {name}: a table of all images needs a name that ends in {' or '.join(suffixes)}"
            raise InputError(message)
        return path

    report = None
    if spec.report is not None and not is_one:
        report = Path(spec.report)
        if _names_no_format(spec.report):
            report /= _REPORT_OF_ALL
        elif "{" in spec.report:
            folder = report.parent
            while "{" in str(folder):
                folder = folder.parent
            report = folder / _REPORT_OF_ALL
    return BatchOutputs(report, table(spec.summary, SUMMARY_SUFFIXES), table(spec.roi_summary, ROI_SUMMARY_SUFFIXES))


def _report_of(image: Path, pattern: str, is_one: bool) -> Path:
    """Resolve the report of one image; see `plan_batch`."""
    path = resolve_output(pattern, image, REPORT_SUFFIXES)
    if is_one or _names_no_format(pattern) or "{stem}" in pattern:
        return path
    return resolve_output(str(path.with_suffix("") / "{stem}.html"), image, REPORT_SUFFIXES)


def _outputs_of(image: Path, spec: OutputSpec, is_one: bool) -> Outputs:
    first = f".{spec.format}" if spec.format else ".tif" if spec.labels else RESULT_SUFFIXES[0]
    suffixes = (first, *RESULT_SUFFIXES)
    is_stream = STANDARD_OUTPUT in spec.results

    def other(pattern: str | None, suffixes: tuple[str, ...]) -> Path | None:
        return resolve_output(pattern, image, suffixes) if pattern is not None else None

    return Outputs(
        image=image,
        results=() if is_stream else tuple(resolve_output(pattern, image, suffixes) for pattern in spec.results),
        labels=spec.labels,
        overlay=other(spec.overlay, (".png",)),
        probability=other(spec.probability, TIFF_SUFFIXES),
        tissue=other(spec.tissue, (".png",)),
        stream=spec.format if is_stream else None,
        simplify=spec.simplify,
        report=_report_of(image, spec.report, is_one) if spec.report is not None else None,
    )


def suffix_of(path: Path) -> str:
    """Return the suffix that selects the format, in lower case; ".geojson.gz" for compressed GeoJSON."""
    packed = GEOJSON_SUFFIXES[1]
    return packed if path.name.lower().endswith(packed) else path.suffix.lower()


def _names_no_format(pattern: str) -> bool:
    path = Path(pattern)
    if suffix_of(path) == nuclei_spatialdata.SUFFIX:  # a folder itself
        return False
    return path.is_dir() or pattern.endswith(("/", "\\")) or not path.suffix


def resolve_output(pattern: str, image: Path, suffixes: tuple[str, ...]) -> Path:
    """Resolve a pattern to a file; in a folder, the file has the image's name and the first suffix."""
    if not pattern or set(pattern.replace("{stem}", "")) & set("{}"):
        message = f"{pattern!r} is not a valid output name; the only placeholder is {{stem}}, as in out/{{stem}}.png"
        raise InputError(message)
    path = Path(pattern)
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        message = f"cannot write {path}: the name is too long; give a shorter one"
        raise InputError(message)
    if _names_no_format(pattern):
        return path / f"{stem_of(image)}{suffixes[0]}"
    if suffix_of(path) not in suffixes:
        message = f"cannot write {path}: the name must end in {' or '.join(dict.fromkeys(suffixes))}"
        raise InputError(message)
    return Path(pattern.replace("{stem}", stem_of(image)))
