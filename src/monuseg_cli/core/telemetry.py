"""Blocking of the telemetry of libraries."""

import sys


def block_telemetry() -> None:
    """Block OpenVINO's telemetry, whatever the user's settings are; call this before OpenVINO is imported.

    On import, OpenVINO imports the package openvino_telemetry if it is installed, which creates an id in the home
    folder and looks up an analytics host. With None in place of the module, Python raises ImportError, and OpenVINO
    falls back to its own stub, which does nothing.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # what the import system documents
