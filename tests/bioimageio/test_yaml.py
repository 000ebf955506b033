from typing import Any

import pytest
import yaml

from monuseg_cli.bioimageio.yaml import to_yaml


@pytest.mark.parametrize(
    "content",
    [
        {"a": 1, "b": -0.5, "c": 1e-9, "large": 1e300, "d": None, "e": True},
        {"text": 'no: "yes" # not a comment\n- é \\ {x}', "date": "2026-01-01", "number": "1.0", "no": "no"},
        {"empty": [], "nothing": {}, "list": [[1, 2], [{"x": 1, "y": [3]}, {"z": {}}]], "tuple": [1]},
        {"a name: odd": {"1": {"b": [{"c": {"d": "e"}, "f": 0}]}}},
    ],
)
def test_a_library_reads_what_is_written(content: dict[str, Any]) -> None:
    assert yaml.safe_load(to_yaml(content)) == content
