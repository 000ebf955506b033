"""Checks of the versions of monuseg, Python and packages, and of the image codecs."""

import importlib
import platform
import re
import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np

import monuseg_cli
from monuseg_cli.core.telemetry import block_telemetry
from monuseg_cli.doctor.check import Check, State

DISTRIBUTION = "monuseg-cli"
_NOT_FOR_USERS = ("dev", "docs")
_MODULES = {"pillow": "PIL", "openslide-python": "openslide", "scikit-image": "skimage", "scikit-learn": "sklearn"}
"""Packages whose module name differs from the package name by more than dashes."""

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)\s*(?:>=(?P<least>[\d.]+))?[^;]*(?:;.*extra == ['\"](?P<extra>\w+)['\"])?")
_CODECS = {"LZW": "lzw", "Deflate": "zlib", "JPEG": "jpeg", "JPEG 2000": "jpeg2k", "zstd": "zstd", "WebP": "webp"}
_OF_BYTES = ("lzw", "zlib", "zstd")


def check_versions() -> list[Check]:
    """Report the versions of monuseg and Python, the package's folder, the system, and the use of the network."""
    folder = Path(monuseg_cli.__file__).parent
    system = f"{platform.system()} {platform.machine()}"
    return [
        Check("monuseg", f"{monuseg_cli.__version__}, {folder}"),
        Check("python", f"{platform.python_version()}, {system}"),
        Check("network", "only download uses it, to fetch MoNuSeg; nothing is sent, and no library reports its use"),
    ]


def check_packages(distribution: str = DISTRIBUTION) -> list[Check]:
    """Import every package that the metadata of a distribution require, and check its version."""
    try:
        requirements = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return [Check("packages", "monuseg is not installed, it runs from its sources", "note", "pip install .")]
    block_telemetry()
    return list(dict.fromkeys(_check_each(distribution, requirements)))  # a package may belong to several extras


def _check_each(distribution: str, requirements: list[str]) -> Iterator[Check]:
    for requirement in requirements:
        found = _REQUIREMENT.match(requirement)
        if found and found["extra"] not in _NOT_FOR_USERS:
            yield _check_package(distribution, found["name"], found["least"] or "0", found["extra"])


def _check_package(distribution: str, name: str, least: str, extra: str | None) -> Check:
    fix = f"pip install '{distribution}[{extra}]'" if extra else f"pip install '{name}>={least}'"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, f"not installed, for [{extra}]" if extra else "not installed", _state(extra), fix)
    if _numbers(version) < _numbers(least):
        return Check(name, f"{version}, older than {least}", _state(extra), fix)
    module = _MODULES.get(name, name.replace("-", "_"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(module)
    except Exception as error:  # for example, a package built for another numpy may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Check(name, f"{version} cannot be loaded ({reason})", "broken", f"pip install --force-reinstall {name}")
    return Check(name, version)


def _state(extra: str | None) -> State:
    return "note" if extra else "broken"


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: (2, 4, 1) for 2.4.1+cpu."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def check_codecs() -> list[Check]:
    """Encode and decode a small image with each codec used in slides."""
    fix = "pip install --force-reinstall imagecodecs"
    try:
        import imagecodecs
    except Exception as error:  # as above
        return [Check("codecs", f"imagecodecs cannot be loaded ({error})", "broken", fix)]
    picture = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint8)[..., None].repeat(3, axis=2)
    failed = {}
    for title, codec in _CODECS.items():
        encode, decode = (getattr(imagecodecs, f"{codec}_{way}") for way in ("encode", "decode"))
        content = picture.tobytes() if codec in _OF_BYTES else picture
        try:
            size = len(decode(encode(content)))
            if size != len(content):
                failed[title] = f"gave back {size} of {len(content)}"
        except Exception as error:  # each codec has its own error class, and a missing one raises yet another
            failed[title] = str(error)
    if failed:
        reasons = "; ".join(f"{title} ({reason})" for title, reason in failed.items())
        return [Check("codecs", f"not working: {reasons}", "broken", fix)]
    return [Check("codecs", ", ".join(_CODECS))]
