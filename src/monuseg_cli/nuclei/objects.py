"""What a drawn object is, by its type and class: a nucleus, a region that is annotated, or neither."""

import re
from dataclasses import dataclass
from typing import Literal

Meaning = Literal["nucleus", "outline", "region", "other"]
"""An outline is a nucleus, unless it is as large as tissue or lies around others; nothing else says what it is."""

_NUCLEUS = re.compile(r"nucle", re.IGNORECASE)
_NEVER = re.compile(
    r"\b(tissues?|regions?|ignored?|background|glass|white ?spaces?|art[ei]facts?|rois?|slides?|exclu\w+|annotated|"
    r"subcellular)\b",
    re.IGNORECASE,
)
_AREA = re.compile(r"\b(necrosis|area)\b", re.IGNORECASE)
"""Words of the classes of areas, which QuPath gives to detections inside of them, too."""

_NO_NUCLEI = {"tile": "tiles", "tma_core": "TMA cores", "root": "root objects"}
_FOUND = ("detection", "cell")


@dataclass(frozen=True, slots=True)
class ObjectMeaning:
    """What an object is; of `kind` "other", `reason` says in the plural what it is instead of a nucleus."""

    kind: Meaning
    reason: str = ""


def meaning_of(class_name: str, object_type: str = "") -> ObjectMeaning:
    """Tell what an object is.

    Parameters
    ----------
    class_name : str
        Its class in QuPath, "Tumor: Positive" where it has several, or the name of its layer in ImageScope; any case.
        One that ends with a star is ignored by QuPath itself; "Region", with or without a star, marks what is
        annotated.
    object_type : str
        As in `monuseg_cli.nuclei.geojson.Feature`.
    """
    if object_type in _NO_NUCLEI:
        return ObjectMeaning("other", _NO_NUCLEI[object_type])
    parts = [part.strip() for part in class_name.split(":")]
    found = object_type in _FOUND
    if not found and parts[0].rstrip("* ").lower() == "region":
        return ObjectMeaning("region")
    is_nucleus = bool(_NUCLEUS.search(class_name))
    is_area = bool(_NEVER.search(class_name)) or (not found and bool(_AREA.search(class_name)))
    if any(part.endswith("*") for part in parts) or (is_area and not is_nucleus):
        return ObjectMeaning("other", f"class {class_name[:60]}")
    return ObjectMeaning("nucleus" if found or is_nucleus else "outline")
