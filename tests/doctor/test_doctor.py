"""What is wrong with a machine is told with its fix, and by the exit code."""

import json
import os
import shutil
import sys
from importlib import metadata
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


def test_a_machine_on_which_all_is_well(monuseg: Monuseg, trained_home: Home) -> None:
    result = monuseg("doctor", "--json", "--home", trained_home.root)
    assert result.exit_code == 0, result.stdout
    content = json.loads(result.stdout)
    assert content["well"] is True
    found = {check["name"]: check["found"] for check in content["checks"]}
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


def test_what_is_not_there_yet_is_a_note_and_what_is_broken_has_a_fix(monuseg: Monuseg, tmp_path: Path) -> None:
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


def install(folder: Path, name: str, version: str, code: str) -> None:
    (folder / f"{name}.py").write_text(code)
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


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
    monkeypatch.setattr(metadata, "requires", lambda name: wanted)
    assert software.check_packages() == [
        Check("straight", "2.10+cpu"),
        Check("straight", "2.10+cpu, older than 3", "broken", "pip install 'straight>=3'"),
        Check(
            "crooked",
            "1.2 cannot be loaded (RuntimeError: built for another numpy)",
            "broken",
            "pip install --force-reinstall crooked",
        ),
        Check("absent", "not installed", "broken", "pip install 'absent>=1'"),
        Check("absent", "not installed, for [fast]", "note", "pip install 'monuseg-cli[fast]'"),
        Check("straight", "2.10+cpu, older than 3", "note", "pip install 'monuseg-cli[fast]'"),
    ]
    sys.modules.pop("straight", None)


def test_a_source_tree_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "_DISTRIBUTION", "monuseg-that-nobody-installed")
    (check,) = software.check_packages()
    assert (check.state, check.fix) == ("note", "pip install .")


def test_a_codec_that_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: object) -> bytes:
        message = "no JPEG 2000 in this build"
        raise RuntimeError(message)

    monkeypatch.setattr(imagecodecs, "jpeg2k_decode", fail)
    monkeypatch.setattr(imagecodecs, "lzw_decode", lambda data: b"short")
    (check,) = software.check_codecs()
    assert check.state == "broken"
    assert check.found == "not working: LZW (gave back 5 of 3072); JPEG 2000 (no JPEG 2000 in this build)"


def test_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_read", {hardware._CGROUP / "cpu.max": "100000 100000"}.get)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    (check,) = hardware.check_threads()
    assert check.state == "note"
    assert check.found.startswith(f"1 of {os.cpu_count()} cores may be used, PyTorch takes 64 threads")
    assert check.fix.endswith("OMP_NUM_THREADS=1")


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="memory is told where the system has sysconf")
@pytest.mark.parametrize(
    ("limit", "used", "found", "state"),
    [
        ("4294967296", "1073741824", "4.0 GiB, 3.0 GiB free", "ok"),
        ("4294967296", "3221225472", "4.0 GiB, 1.0 GiB free", "note"),
        ("max", "3221225472", "16.0 GiB, 9.5 GiB free", "ok"),
    ],
)
def test_memory_of_a_container(monkeypatch: pytest.MonkeyPatch, limit: str, used: str, found: str, state: str) -> None:
    files = {
        Path("/proc/meminfo"): "MemTotal: 1 kB\nMemAvailable: 9961472 kB",
        hardware._CGROUP / "memory.max": limit,
        hardware._CGROUP / "memory.current": used,
    }
    monkeypatch.setattr(hardware, "_read", files.get)
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 4 << 20}.get)
    (check,) = hardware.check_memory()
    assert (check.found, check.state) == (found, state)


def test_a_data_set_that_is_damaged_or_has_lost_files(data_home: Home) -> None:
    dataset = Dataset.load(data_home.dataset)
    dataset.image_path(dataset.cases[3]).unlink()
    (check,) = places.check_dataset(data_home)
    assert check.state == "broken"
    assert check.found == f"1 files are missing, the first: {dataset.image_path(dataset.cases[3])}"
    Dataset.manifest_path(data_home.dataset).write_text("{")
    (check,) = places.check_dataset(data_home)
    assert (check.state, check.fix) == ("broken", "monuseg download")


def test_a_default_model_that_is_damaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cut = tmp_path / "default.safetensors"
    cut.write_bytes(SHIPPED.read_bytes()[:-100])
    monkeypatch.setattr(places, "SHIPPED", cut)
    home = Home(tmp_path / "home")
    weights = places.check_weights(home)[0]
    (prediction,) = places.check_prediction(home)
    assert (weights.state, prediction.state) == ("broken", "broken")
    assert "pip install --force-reinstall monuseg-cli" in weights.fix
    assert str(cut) in weights.found


def test_little_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for free, state in ((10**10, "ok"), (10**9, "note"), (10**6, "broken")):
        usage = type("usage", (), {"free": free})
        monkeypatch.setattr(shutil, "disk_usage", lambda path, usage=usage: usage)
        (check,) = places.check_home(Home(tmp_path / "home"))
        assert check.state == state
        assert bool(check.fix) == (state != "ok")
