"""Problems of a machine are reported with a remedy, and by the exit code."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import torch

from conftest import Monuseg
from monuseg_cli.core.home import SHIPPED, Home
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.doctor import hardware, places, software
from monuseg_cli.doctor.check import Check


def test_a_working_installation_passes_all_checks(monuseg: Monuseg, trained_home: Home) -> None:
    result = monuseg("doctor", "--json", "--home", trained_home.root)
    assert result.exit_code == 0, result.stdout
    content = json.loads(result.stdout)
    assert content["well"] is True
    found = {check["name"]: check["found"] for check in content["checks"]}
    assert len(found) == len(content["checks"]), "each is checked once"
    assert found["numpy"] == np.__version__
    assert found["torch"] == torch.__version__.split("+")[0] or found["torch"] == torch.__version__
    assert found["codecs"] == "LZW, Deflate, JPEG, JPEG 2000, zstd, WebP"
    assert "cpu" in found["devices"]
    assert "threads" in found["threads"]
    assert str(trained_home.root) in found["home"]
    assert found["data set"].startswith("51 cases (37 train, 14 test), masks of 37,")
    assert found["weights"].startswith("default: ")
    assert found["other weights"] == "unet-se"
    assert "256 x 256 pixels in" in found["prediction"]


def test_missing_parts_are_notes_and_broken_ones_have_a_remedy(monuseg: Monuseg, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "models").mkdir(parents=True)
    (home / "models" / "junk.safetensors").write_bytes(b"junk")
    fresh = monuseg("doctor", "--home", home)
    assert fresh.exit_code == 0
    lines = fresh.stdout.splitlines()
    assert lines[-1] == "All is well."
    notes = [line for line in lines if line.startswith("note: ")]
    assert [note.split(": ")[1] for note in notes] == ["data set", "weights junk"]
    assert "monuseg download" in notes[0]
    assert "remove or replace" in notes[1]
    (tmp_path / "file").write_text("mine")
    broken = monuseg("doctor", "--home", tmp_path / "file")
    assert broken.exit_code == 1
    lines = broken.stdout.splitlines()
    assert lines[-1] == "Broken: home, data set, prediction"
    (line,) = (line for line in lines if line.startswith("broken: home: "))
    assert "it is not a folder; write elsewhere; choose another folder: --home, or the variable MONUSEG_HOME" in line


def install(folder: Path, name: str, version: str, code: str, requires: Sequence[str] = ()) -> None:
    (folder / f"{name}.py").write_text(code)
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir()
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {r}" for r in requires),
    ]
    (about / "METADATA").write_text("\n".join(lines) + "\n")


def test_packages_that_are_missing_too_old_or_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(tmp_path, "crooked", "1.2", "raise RuntimeError('built for\\nanother numpy')")
    install(tmp_path, "straight", "2.10+cpu", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    wanted = [
        "straight>=2.9",
        "straight>=3",
        "crooked",
        "absent>=1",
        'absent>=1; extra == "fast"',
        'straight>=3; extra == "fast"',
        'absent>=1; extra == "dev"',
    ]
    install(tmp_path, "sample", "1.0", "", wanted)
    assert software.check_packages("sample") == [
        Check("straight", "2.10+cpu"),
        Check("straight", "2.10+cpu, older than 3", "broken", "pip install 'straight>=3'"),
        Check(
            "crooked",
            "1.2 cannot be loaded (RuntimeError: built for another numpy)",
            "broken",
            "pip install --force-reinstall crooked",
        ),
        Check("absent", "not installed", "broken", "pip install 'absent>=1'"),
        Check("absent", "not installed, for [fast]", "note", "pip install 'sample[fast]'"),
        Check("straight", "2.10+cpu, older than 3", "note", "pip install 'sample[fast]'"),
    ]
    sys.modules.pop("straight", None)


def test_a_source_tree_that_is_not_installed_is_noted() -> None:
    (check,) = software.check_packages("a-distribution-that-is-not-installed")
    assert (check.state, check.fix) == ("note", "pip install .")


def test_a_codec_that_does_not_work_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: object) -> bytes:
        message = "no JPEG 2000 in this build"
        raise RuntimeError(message)

    monkeypatch.setattr(imagecodecs, "jpeg2k_decode", fail)
    monkeypatch.setattr(imagecodecs, "lzw_decode", lambda data: b"short")
    (check,) = software.check_codecs()
    assert check.state == "broken"
    assert check.found == "not working: LZW (gave back 5 of 3072); JPEG 2000 (no JPEG 2000 in this build)"


def write_root(root: Path, **content: str) -> Path:
    """Write files below ``sys/fs/cgroup`` and ``proc``, where Linux states limits and memory."""
    for name, text in content.items():
        path = root / ("proc" if name == "meminfo" else "sys/fs/cgroup") / name.replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def threads() -> Iterator[int]:
    """Let PyTorch use more threads than there are cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(64)
    yield 64
    torch.set_num_threads(before)


def test_more_threads_than_cores_are_noted(threads: int, tmp_path: Path) -> None:
    (check,) = hardware.check_threads(write_root(tmp_path, cpu_max="100000 100000"))
    assert check.state == "note"
    assert check.found.startswith(f"1 of {os.cpu_count()} cores may be used, PyTorch takes {threads} threads")
    assert check.fix.endswith("OMP_NUM_THREADS=1")


@pytest.mark.parametrize(
    ("limit", "used", "found", "state"),
    [
        ("4294967296", "1073741824", "4.0 GiB, 3.0 GiB free", "ok"),
        ("4294967296", "3221225472", "4.0 GiB, 1.0 GiB free", "note"),
        ("max", "3221225472", "16.0 GiB, 9.5 GiB free", "ok"),
    ],
)
def test_the_memory_limit_of_a_container_counts(tmp_path: Path, limit: str, used: str, found: str, state: str) -> None:
    stated = "MemTotal: 16777216 kB\nMemAvailable: 9961472 kB"
    (check,) = hardware.check_memory(write_root(tmp_path, meminfo=stated, memory_max=limit, memory_current=used))
    assert (check.found, check.state) == (found, state)


def test_a_data_set_that_is_damaged_or_incomplete_is_broken(data_home: Home) -> None:
    dataset = Dataset.load(data_home.dataset)
    dataset.image_path(dataset.cases[3]).unlink()
    (check,) = places.check_dataset(data_home)
    assert check.state == "broken"
    assert check.found == f"1 files are missing, the first: {dataset.image_path(dataset.cases[3])}"
    Dataset.manifest_path(data_home.dataset).write_text("{")
    (check,) = places.check_dataset(data_home)
    assert (check.state, check.fix) == ("broken", "monuseg download")


def test_a_damaged_default_model_is_broken(tmp_path: Path) -> None:
    cut = tmp_path / "default.safetensors"
    cut.write_bytes(SHIPPED.read_bytes()[:-100])
    home = Home(tmp_path / "home")
    weights = places.check_weights(home, cut)[0]
    (prediction,) = places.check_prediction(home, cut)
    assert (weights.state, prediction.state) == ("broken", "broken")
    assert "pip install --force-reinstall monuseg-cli" in weights.fix
    assert str(cut) in weights.found


def test_little_free_space_is_noted_and_none_is_broken(tmp_path: Path) -> None:
    for enough, least, state in ((1, 1, "ok"), (1 << 60, 1, "note"), (1 << 60, 1 << 60, "broken")):
        (check,) = places.check_home(Home(tmp_path / "home"), enough, least)
        assert check.state == state
        assert bool(check.fix) == (state != "ok")
