"""Groovy, where it is installed."""

import os
import shutil
from pathlib import Path

import pytest

_JAVA = shutil.which("java")
needs_groovy = pytest.mark.skipif(not (_JAVA and shutil.which("groovy")), reason="Groovy or Java is not installed")


def groovy_environment() -> dict[str, str]:
    """Return the environment in which Groovy finds Java; else Debian's looks for one of another package only."""
    assert _JAVA
    return {"JAVA_HOME": str(Path(_JAVA).resolve().parents[1]), **os.environ}
