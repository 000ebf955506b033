"""Every column of the tables of nuclei: name, unit, definition and source, for all formats and the documentation."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

Group = Literal["texture", "neighbours", "network"]
"""Measurements that are made only where they are asked for."""

NETWORK_FEATURES = 64
"""Columns of the group "network"."""

NEIGHBOUR_RADII_UM = (20, 50)
DENSITY_RADIUS_UM = 100

_RUIFROK = "stain vectors of Ruifrok and Johnston (2001)"
_HARALICK = "Haralick, Shanmugam and Dinstein (1973)"


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Parameters
    ----------
    name : str
        Its name in CSV, GeoParquet and Python, with the unit at its end.
    label : str or None
        Its name among the measurements of GeoJSON, as QuPath names its own; None: it is no measurement there.
    unit : str
        Its unit; empty: none.
    decimals : int
        Digits after the decimal point that are written; 0: whole numbers.
    definition : str
        What it is.
    source : str
        Where the definition comes from; empty: it needs none.
    group : {"texture", "neighbours", "network", "classes"}, optional
        What it belongs to; None: it is always measured.
    """

    name: str
    label: str | None
    unit: str
    decimals: int
    definition: str
    source: str = ""
    group: Group | Literal["classes"] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers, without missing ones."""
        return self.decimals == 0


PROBABILITY = "probability"
"""Column that nuclei of other tools do not have."""

CLASS_PROBABILITY = "class_probability"

_ELLIPSE = "of the ellipse with the same second moments, with pixels as squares"

ALL_COLUMNS = (
    Column("id", None, "", 0, "number of the nucleus; its value in label images"),
    Column("row_px", None, "px", 2, "centre of mass, from the top of the image; pixel (r, c) covers r..r+1 and c..c+1"),
    Column("col_px", None, "px", 2, "centre of mass, from the left of the image"),
    Column("area_um2", "Area µm^2", "µm²", 3, "area of the pixels"),
    Column(
        "perimeter_um",
        "Perimeter µm",
        "µm",
        3,
        "length of the lines that join the midpoints of neighbouring pixel edges along the contours, holes included",
    ),
    Column("major_axis_um", "Major axis µm", "µm", 3, f"major axis {_ELLIPSE}", "as regionprops of MATLAB"),
    Column("minor_axis_um", "Minor axis µm", "µm", 3, f"minor axis {_ELLIPSE}", "as regionprops of MATLAB"),
    Column(
        "orientation_deg",
        "Orientation °",
        "°",
        1,
        "angle of the major axis, from 0 (horizontal) anticlockwise to 180; missing where both axes are equal",
        "as ImageJ",
    ),
    Column(
        "circularity",
        "Circularity",
        "",
        4,
        "4π area / perimeter², at most 1; 0.90 for a large disc, whose pixels make its edge longer",
        "Cox (1927); limited to 1 as in ImageJ",
    ),
    Column("eccentricity", "Eccentricity", "", 4, f"eccentricity {_ELLIPSE}: 0 for a circle, near 1 for a line"),
    Column("solidity", "Solidity", "", 4, "area divided by the area of the convex hull of the pixels"),
    Column(
        "haematoxylin_mean", "Hematoxylin: Mean", "OD", 4, "mean optical density (base 10) of haematoxylin", _RUIFROK
    ),
    Column(
        "haematoxylin_std",
        "Hematoxylin: Std.Dev.",
        "OD",
        4,
        "standard deviation of the optical density of haematoxylin over the pixels",
        _RUIFROK,
    ),
    Column(PROBABILITY, "Probability", "", 4, "mean probability over the nucleus, where a network found it"),
    Column("haralick_asm", "Haralick: ASM", "", 5, "angular second moment", f"{_HARALICK}, f1", "texture"),
    Column("haralick_contrast", "Haralick: Contrast", "", 4, "contrast", f"{_HARALICK}, f2", "texture"),
    Column(
        "haralick_correlation",
        "Haralick: Correlation",
        "",
        4,
        "correlation; 1 where all pixels have the same grey level",
        f"{_HARALICK}, f3",
        "texture",
    ),
    Column(
        "haralick_homogeneity",
        "Haralick: Homogeneity",
        "",
        4,
        "inverse difference moment",
        f"{_HARALICK}, f5",
        "texture",
    ),
    Column(
        "haralick_entropy", "Haralick: Entropy", "nat", 4, "entropy (natural logarithm)", f"{_HARALICK}, f9", "texture"
    ),
    Column(
        "nearest_um",
        "Nearest neighbour µm",
        "µm",
        3,
        "distance to the nearest other centre; missing for a single nucleus",
        group="neighbours",
    ),
    *(
        Column(
            f"neighbours_{radius}um",
            f"Neighbours in {radius} µm radius",
            "",
            0,
            f"number of other centres within {radius} µm",
            group="neighbours",
        )
        for radius in NEIGHBOUR_RADII_UM
    ),
    Column(
        "density_per_mm2",
        "Local density per mm^2",
        "1/mm²",
        1,
        f"centres within {DENSITY_RADIUS_UM} µm, its own included, divided by the area of that circle",
        group="neighbours",
    ),
    Column(
        "border_um",
        "Distance to border µm",
        "µm",
        3,
        "distance of the centre to the nearest border of the image, of the part that was asked for, or of a region of "
        "interest",
        group="neighbours",
    ),
    *(
        Column(
            f"network_{number}",
            f"Network {number}",
            "",
            3,
            f"channel {number} of the network's encoder, mean over the pixels of the nucleus; missing where the "
            "encoder has fewer channels",
            group="network",
        )
        for number in range(1, NETWORK_FEATURES + 1)
    ),
    Column(
        CLASS_PROBABILITY,
        "Class probability",
        "",
        4,
        "probability of the nucleus' class, which is the most probable one",
        group="classes",
    ),
)


NETWORK_COLUMNS = tuple(column.name for column in ALL_COLUMNS if column.group == "network")


def columns_of(
    groups: Collection[Group] = (), has_probability: bool = True, has_classes: bool = False
) -> tuple[Column, ...]:
    """Return the columns of a table, in order.

    Parameters
    ----------
    groups : collection of {"texture", "neighbours", "network"}
        Further measurements.
    has_probability : bool
        Whether the nuclei were found by a network, with probabilities.
    has_classes : bool
        Whether the nuclei have classes, with probabilities.
    """
    return tuple(
        column
        for column in ALL_COLUMNS
        if (column.group is None or column.group in groups or (column.group == "classes" and has_classes))
        and (has_probability or column.name != PROBABILITY)
    )
