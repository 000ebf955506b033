"""Names of measurements as people read them, with their units."""

import re

_UNITS = {"um2": "µm²", "µm^2": "µm²", "um^2": "µm²", "um": "µm", "µm": "µm", "px^2": "px²", "px": "px"}
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
    match = _WITH_UNIT.fullmatch(name)
    words, unit = (match["name"], _UNITS[match["unit"]]) if match else (name, "")
    if words.islower():
        words = words.replace("_", " ")
    return words[:1].upper() + words[1:], unit
