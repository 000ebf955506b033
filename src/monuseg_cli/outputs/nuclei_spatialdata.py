"""Nuclei as a SpatialData store: outlines, a table of measurements, and a reference to the image.

The store holds the shapes `SHAPES`, in pixels of level 0, and the table `TABLE` (AnnData), whose rows annotate them.
Pixels of the image are not copied: its path, size, scale and series are attributes of the store.

spatialdata holds all nuclei in memory. It is imported only here, and only when a store is written.
"""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monuseg_cli.core.atomic import writing_folder
from monuseg_cli.core.errors import OutputError
from monuseg_cli.core.extras import require_extra
from monuseg_cli.imaging.coordinates import Layout
from monuseg_cli.imaging.readers.multifile import is_spatialdata, zarr_attributes
from monuseg_cli.imaging.slide import Slide
from monuseg_cli.nuclei.columns import Column
from monuseg_cli.nuclei.detections import CLASS, REGION, Detections
from monuseg_cli.outputs.target import NucleiWriter

if TYPE_CHECKING:
    from monuseg_cli.classes.card import Colour

SUFFIX = ".zarr"
SHAPES, TABLE = "nuclei", "table"
PIXELS, MICROMETRES = "global", "micrometres"
"""Coordinate systems: pixels of level 0, the default of spatialdata, and micrometres where the scale is known."""

ABOUT = "monuseg"
"""Attribute of the store that states what it was made of."""

ROI = "roi"
"""Column with the regions of interest of each nucleus; `REGION` is spatialdata's name for the element of a row."""

_ID, _ROW, _COL = "id", "row_px", "col_px"
_OWN_ELEMENTS = {("shapes", SHAPES), ("tables", TABLE)}


def require_spatialdata() -> None:
    """Check that spatialdata is installed.

    Raises
    ------
    MissingError
        If it is not.
    """
    require_extra("spatial", "a .zarr", spatialdata="spatialdata", anndata="anndata")


def require_replaceable(path: Path, overwrite: bool | None = None) -> None:
    """Check that a store can be written at `path` without deleting what is not an output.

    A store with nothing but the nuclei of an earlier output is replaced, as files are.

    Parameters
    ----------
    path : Path
        Destination.
    overwrite : bool, optional
        Whether any SpatialData store may be replaced; None if that cannot be asked for.

    Raises
    ------
    OutputError
        If something else is there.
    """
    if not (path.exists() or path.is_symlink()):
        return
    if path.is_symlink() or not is_spatialdata(path):
        message = f"cannot write {path}: it exists and is not a SpatialData store; write elsewhere"
        raise OutputError(message)
    elements = {(part.parent.name, part.name) for part in path.glob("*/*") if part.is_dir()}
    is_own = ABOUT in zarr_attributes(path) and elements <= _OWN_ELEMENTS
    if not is_own and not overwrite:
        remedy = "write elsewhere" if overwrite is None else "write elsewhere, or replace it with `overwrite`"
        message = f"cannot write {path}: it is a SpatialData store with more than the nuclei of monuseg; {remedy}"
        raise OutputError(message)


@contextmanager
def nuclei_spatialdata(
    path: Path,
    columns: Sequence[Column],
    slide: Slide,
    layout: Layout,
    about: Mapping[str, Any],
    colours: "Mapping[str, Colour]",
) -> Iterator[NucleiWriter]:
    """Write a store with all nuclei, when the context ends; without nuclei, it has neither shapes nor a table.

    Parameters
    ----------
    path : Path
        Destination; what is there is replaced, see `require_replaceable`.
    columns : sequence of Column
        The measurements; those that are not ids and centres become the variables of the table.
    slide : Slide
        The open image.
    layout : Layout
        Scale of the image.
    about : mapping
        What the nuclei were made of; read when the context ends, so that it can be completed until then.
    colours : mapping of str to tuple of int
        Colour of each class.
    """
    with warnings.catch_warnings(action="ignore"):
        from spatialdata import SpatialData  # here, so that a broken installation is noticed before the network runs

    parts: list[Detections] = []
    image = describe_image(slide, layout)
    with writing_folder(path) as part:
        yield parts.append
        attributes = json.loads(json.dumps({**about, "image": image}))
        with warnings.catch_warnings(action="ignore"):
            elements = _build_elements([found for found in parts if len(found)], columns, layout.mpp, colours)
            part.rmdir()  # spatialdata creates it
            SpatialData.init_from_elements(elements, attrs={ABOUT: attributes}).write(part)


def describe_image(slide: Slide, layout: Layout) -> dict[str, Any]:
    """Describe an image that a store refers to: path, size in pixels, scale that was used, series and focal plane."""
    height, width = slide.shape
    place = {"path": str(slide.path.absolute()), "series": slide.series, "plane": slide.plane}
    return {**place, "height": height, "width": width, "mpp": layout.mpp}


def _build_elements(
    parts: Sequence[Detections], columns: Sequence[Column], mpp: float | None, colours: "Mapping[str, Colour]"
) -> dict[str, Any]:
    """Build the shapes and the table of nuclei; none without nuclei, since spatialdata has no empty shapes."""
    import geopandas
    from spatialdata.models import ShapesModel, TableModel
    from spatialdata.transformations import Identity, Scale

    if not parts:
        return {}
    known = {column.name: np.concatenate([part.columns[column.name] for part in parts]) for column in columns}
    systems = {PIXELS: Identity()}
    if mpp:
        systems[MICROMETRES] = Scale([mpp, mpp], axes=("x", "y"))
    outlines = geopandas.GeoDataFrame(geometry=np.concatenate([part.shapes for part in parts]), index=known[_ID])
    table = _build_table(parts, known, columns, colours)
    return {
        SHAPES: ShapesModel.parse(outlines, transformations=systems),
        TABLE: TableModel.parse(table, region=SHAPES, region_key=REGION, instance_key=_ID),
    }


def _build_table(
    parts: Sequence[Detections],
    known: Mapping[str, Any],
    columns: Sequence[Column],
    colours: "Mapping[str, Colour]",
) -> Any:
    """Build the table: ids, classes and regions of interest, measurements with units, and centres (x, y) in pixels."""
    import anndata
    import pandas

    measured = [column for column in columns if column.name not in (_ID, _ROW, _COL)]
    texts = {name: [text for part in parts for text in part.texts[name]] for name in parts[0].texts}
    rows = pandas.DataFrame({_ID: known[_ID]}, index=known[_ID].astype(str))
    rows[REGION] = pandas.Categorical([SHAPES] * len(rows))
    if CLASS in texts:
        rows[CLASS] = pandas.Categorical(texts[CLASS], categories=list(colours))
    if REGION in texts:
        rows[ROI] = pandas.Categorical(texts[REGION])
    variables = {"unit": [column.unit for column in measured], "definition": [column.definition for column in measured]}
    table = anndata.AnnData(
        np.stack([known[column.name] for column in measured], axis=1).astype(np.float64),
        obs=rows,
        var=pandas.DataFrame(variables, index=[column.name for column in measured]),
        obsm={"spatial": np.stack([known[_COL], known[_ROW]], axis=1)},
    )
    if CLASS in texts:
        table.uns[f"{CLASS}_colors"] = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in colours.values()]
    return table
