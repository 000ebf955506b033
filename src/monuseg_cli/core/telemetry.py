"""What libraries would send home, kept from it: this program sends nothing."""

import sys


def block_telemetry() -> None:
    """Keep OpenVINO from reporting its use, whatever the user's settings are; call it before OpenVINO is imported.

    OpenVINO imports the package openvino_telemetry where it can, which makes an id in the home folder and looks up an
    analytics host as soon as OpenVINO is imported. With None in the place of the module Python raises ImportError, and
    OpenVINO takes a stub of its own that does nothing.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # what the import system documents
