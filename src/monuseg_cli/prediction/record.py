"""The record beside the outputs of an image: what they were made of, so that finished images are skipped."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from monuseg_cli.core.atomic import remove, write_json
from monuseg_cli.core.home import RECORD_SUFFIX
from monuseg_cli.core.schema import parse_json, require_mapping, require_shallow
from monuseg_cli.nuclei.postprocess_params import upgrade_params
from monuseg_cli.outputs.plan import Outputs
from monuseg_cli.outputs.result import Prediction


def describe_outputs(outputs: Outputs) -> dict[str, Any]:
    """Describe what the content of the files depends on, apart from the nuclei."""
    return {
        "outputs": [path.name for path in outputs.files],
        "labels": outputs.labels,
        "simplify": outputs.simplify,
    }


def _records(outputs: Outputs) -> dict[Path, list[str]]:
    """Return the path of the record in each output folder, next to the first output, and the outputs in that folder.

    With these, a later prediction can ignore outputs in a folder of images. The first record is written last, and marks
    the outputs as complete.
    """
    folders: dict[Path, list[str]] = {}
    for path in outputs.files:
        folders.setdefault(path.parent, []).append(path.name)
    return {folder / (names[0] + RECORD_SUFFIX): names for folder, names in folders.items()}


def first_record(outputs: Outputs) -> Path | None:
    """Return the path of the record that marks the outputs as complete; None for the standard output."""
    return next(iter(_records(outputs)), None)


def read_record(outputs: Outputs, provenance: dict[str, Any]) -> Prediction | None:
    """Read an earlier prediction if it was made with the same settings and all its files still exist."""
    try:
        path = first_record(outputs)
        if path is None:  # the standard output is not kept
            return None
        record = require_mapping(parse_json(path.read_bytes()))
        require_shallow(record)
        if not outputs.exist:
            return None
        record = _upgrade_record(record)
        if any(record.get(name) != value for name, value in json.loads(json.dumps(provenance)).items()):
            return None
        return Prediction.from_facts(outputs, record["found"])
    except (OSError, ValueError, LookupError):
        return None


def _upgrade_record(record: dict[str, Any]) -> dict[str, Any]:
    """Convert a record of an earlier version, which had no stain adaptation and no warnings, to the present format."""
    if "separation" not in record:
        return record
    return {
        **record,
        "postprocess": upgrade_params(record["separation"]),
        "settings": {**require_mapping(record["settings"]), "adapt": "off"},
        "found": {"stain": {}, "warnings": [], **require_mapping(record["found"])},
    }


def remove_records(outputs: Outputs) -> None:
    """Remove the records of outputs that are about to be written again."""
    for record in _records(outputs):
        if record.exists():
            remove(record)


def write_records(outputs: Outputs, provenance: Mapping[str, Any], prediction: Prediction) -> None:
    """Write the record of finished outputs to each of their folders.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    for record, beside in reversed(_records(outputs).items()):
        write_json(record, {**provenance, "beside": beside, "found": _without_outputs(prediction)})


def _without_outputs(prediction: Prediction) -> dict[str, Any]:
    return {name: value for name, value in asdict(prediction).items() if name != "outputs"}
