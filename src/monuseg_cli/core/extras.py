"""Packages that a plain installation lacks, and the extras that install them."""

import importlib.util

from monuseg_cli.core.errors import MissingError


def is_installed(module: str) -> bool:
    """Return whether a module can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def require_extra(extra: str, purpose: str, **packages: str) -> None:
    """Check that the packages of an extra are installed.

    Parameters
    ----------
    extra : str
        Name of the extra of monuseg-cli.
    purpose : str
        What needs it, such as "an .xlsx".
    **packages : str
        Modules, and the names of their packages on PyPI.

    Raises
    ------
    MissingError
        If one is not.
    """
    missing = [package for module, package in packages.items() if not is_installed(module)]
    if missing:
        message = f"{purpose} needs {missing[0]}, which is not installed: pip install 'monuseg-cli[{extra}]'"
        raise MissingError(message)
