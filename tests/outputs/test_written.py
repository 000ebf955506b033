"""What leaves the house: GeoJSON as others read it, and nothing of the patient."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import tifffile

from conftest import Monuseg
from support.tissue import draw_tissue

SCHEMA = json.loads(Path(__file__).with_name("geojson.schema.json").read_text(encoding="utf-8"))
SECRETS = (b"Mustermann", b"4711-0815", b"2019:08:07", b"ScanScope")


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """A slide as scanners write them: with a label and a macro image, and the patient in its tags."""
    path = tmp_path / "slide.svs"
    label = np.full((60, 40, 3), 77, dtype=np.uint8)
    about = "Aperio Image Library v11\r\n200x200|AppMag = 40|MPP = 0.2500|PatientID = 4711-0815|User = Mustermann"
    with tifffile.TiffWriter(path) as tiff:
        options: dict[str, Any] = {"software": "ScanScope", "datetime": "2019:08:07 12:00:00", "metadata": None}
        tiff.write(draw_tissue(200, seed=3)[0], description=about, tile=(64, 64), **options)
        for name in ("label", "macro"):
            tiff.write(label, description=f"Aperio Image Library v11\r\n{name} 40x60", subfiletype=1, **options)
    return path


def test_the_geojson_is_what_qupath_reads(monuseg: Monuseg, slide: Path, tmp_path: Path) -> None:
    result = monuseg("predict", slide, "-o", tmp_path / "n.geojson", "--home", tmp_path / "home", "--engine", "torch")
    assert result.exit_code == 0, result.stderr
    content = json.loads((tmp_path / "n.geojson").read_text(encoding="utf-8"))
    jsonschema.validate(content, SCHEMA)
    features = content["features"]
    assert len({feature["id"] for feature in features}) == len(features) > 3
    for feature in features:
        coordinates = feature["geometry"]["coordinates"]
        for polygon in [coordinates] if feature["geometry"]["type"] == "Polygon" else coordinates:
            for ring in polygon:
                assert ring[0] == ring[-1]
                assert np.max(ring) <= 200
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "features": [{**features[0], "id": "1"}]}, SCHEMA)


def test_nothing_of_the_patient_and_no_label_is_copied(monuseg: Monuseg, slide: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = ("m.png", "l.tif", "l.ome.tif", "n.geojson", "n.csv", "n.parquet")
    words = [word for name in names for word in ("-o", out / name)]
    pictures = ("--overlay", out / "o.png", "--probability", out / "p.tif", "--save-tissue-mask", out / "t.png")
    result = monuseg("predict", slide, *words, *pictures, "--labels", "--home", tmp_path / "home", "--engine", "torch")
    assert result.exit_code == 0, result.stderr
    assert all(secret in slide.read_bytes() for secret in SECRETS)
    written = list(out.iterdir())
    assert len(written) == len(names) + 4
    for path in written:
        content = path.read_bytes()
        assert not [secret for secret in SECRETS if secret in content], path.name
        if path.suffix == ".tif":
            with tifffile.TiffFile(path) as tiff:
                assert [series.shape for series in tiff.series] == [(200, 200)]
