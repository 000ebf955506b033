"""The meaning of annotated objects, by type and class: a nucleus, an annotated region, or neither."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Meaning = Literal["nucleus", "outline", "region", "other"]
"""An "outline" is an object of unclear class: a nucleus, unless it is as large as tissue, or around other objects."""

_NUCLEUS = re.compile(r"nucle", re.IGNORECASE)
_NO_NUCLEUS = re.compile(r"\b(non?|not|without)[\s_-]*nucle|nucleol", re.IGNORECASE)
_NEVER = re.compile(
    r"\b(tissues?|regions?|ignored?|background|glass|white ?spaces?|art[ei]facts?|rois?|slides?|exclu\w+|annotated|"
    r"subcellular)\b",
    re.IGNORECASE,
)
_AREA = re.compile(r"\b(necrosis|area)\b", re.IGNORECASE)
"""Words in classes of areas. In QuPath, detections inside an area may have its class, too."""

_IGNORED = re.compile(
    r"\b(ignored?|background|glass|white ?spaces?|art[ei]facts?|exclu\w+|subcellular)\b", re.IGNORECASE
)
"""Words in classes of areas that are not analysed."""

_NO_REGIONS = {"detection": "detections", "cell": "cells", "tile": "tiles", "root": "root objects"}
"""Types of objects that are never regions of interest; a TMA core is one."""

_NO_NUCLEI = {"tile": "tiles", "tma_core": "TMA cores", "root": "root objects"}
FOUND = ("detection", "cell")
"""Types of objects that QuPath found itself."""


@dataclass(frozen=True, slots=True)
class ObjectMeaning:
    """What an object is. If `kind` is "other", `reason` names it, in the plural."""

    kind: Meaning
    reason: str = ""


@lru_cache(maxsize=256)  # files name few classes, of very many objects
def meaning_of(class_name: str, object_type: str = "") -> ObjectMeaning:
    """Return what an object is.

    Parameters
    ----------
    class_name : str
        Its class in QuPath (several as in "Tumor: Positive"), or the name of its layer in ImageScope; case is ignored.
        QuPath ignores classes that end with a star. "Region", with or without a star, marks annotated regions.
    object_type : str
        As in `monuseg_cli.annotations.geojson.Feature`.
    """
    if object_type in _NO_NUCLEI:
        return ObjectMeaning("other", _NO_NUCLEI[object_type])
    parts = [part.strip() for part in class_name.split(":")]
    found = object_type in FOUND
    if not found and parts[0].rstrip("* ").lower() == "region":
        return ObjectMeaning("region")
    is_other = bool(_NO_NUCLEUS.search(class_name))
    is_nucleus = bool(_NUCLEUS.search(class_name)) and not is_other
    is_area = bool(_NEVER.search(class_name)) or (not found and bool(_AREA.search(class_name)))
    if any(part.endswith("*") for part in parts) or is_other or (is_area and not is_nucleus):
        return ObjectMeaning("other", f"class {class_name[:60]}")
    return ObjectMeaning("nucleus" if found or is_nucleus else "outline")


def why_not_roi(class_name: str, object_type: str = "") -> str:
    """Return what an object is instead of a region of interest, in the plural; empty if it is a region of interest.

    Annotations of any class, or of none, are regions of interest, and so are TMA cores. Not regions are detections,
    cells and tiles, and annotations whose class is that of nuclei or of ignored areas. Classes that end with a star are
    ignored in QuPath; "Region*" is an exception.

    Parameters
    ----------
    class_name, object_type : str
        As for `meaning_of`.
    """
    if object_type in _NO_REGIONS:
        return _NO_REGIONS[object_type]
    parts = [part.strip() for part in class_name.split(":")]
    if parts[0].rstrip("* ").lower() == "region":
        return ""
    if any(part.endswith("*") for part in parts) or _IGNORED.search(class_name) or _NUCLEUS.search(class_name):
        return f"class {class_name[:60]}"
    return ""


def describe_left_out(left_out: Mapping[str, int]) -> str:
    """Return the kinds of objects that were left out, with their numbers, in one line."""
    return ", ".join(f"{reason} ({count})" for reason, count in sorted(left_out.items()) if count)
