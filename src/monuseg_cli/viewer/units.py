"""Names of measurements as people read them, with their units."""

import re

from monuseg_cli.nuclei.columns import ALL_COLUMNS

_OWN_UNITS = {name: column.unit for column in ALL_COLUMNS for name in (column.name, column.label) if name}
_ENDS = {"µm²": ("_um2", " µm^2"), "µm": ("_um", " µm"), "°": ("_deg", " °"), "1/mm²": ("_per_mm2", " per mm^2")}
"""How the names of columns end, in tables and in GeoJSON, where their unit is part of them."""

_UNITS = {"um2": "µm²", "µm^2": "µm²", "um^2": "µm²", "um": "µm", "µm": "µm", "px^2": "px²", "px": "px"}
"""Units in the names of other tools."""

_WITH_UNIT = re.compile(rf"(?P<name>.+?)[_ :]+\(?(?P<unit>{'|'.join(map(re.escape, _UNITS))})\)?")


def split_unit(name: str) -> tuple[str, str]:
    """Split the name of a measurement into words and a unit: "area_um2" and "Area µm^2" are "Area" and "µm²".

    Parameters
    ----------
    name : str
        A column of monuseg, or the name of a measurement in QuPath.

    Returns
    -------
    words, unit : str
        The unit is empty if the name states none.
    """
    words, unit = name, _OWN_UNITS.get(name, "")
    for end in _ENDS.get(unit, ()):
        words = words.removesuffix(end)
    match = None if name in _OWN_UNITS else _WITH_UNIT.fullmatch(name)
    if match:
        words, unit = match["name"], _UNITS[match["unit"]]
    if words.islower():
        words = words.replace("_", " ")
    return words[:1].upper() + words[1:], unit
