"""The Snakemake rule and the Nextflow process of docs/pipelines.md."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import tifffile

from conftest import Monuseg
from support.groovy import groovy_environment, needs_groovy
from support.tissue import draw_tissue

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "pipelines.md"
SLIDES = ("one", "two words")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two slides, and a config file that keeps the network small in time."""
    (tmp_path / "slides").mkdir()
    for seed, name in enumerate(SLIDES):
        tifffile.imwrite(tmp_path / "slides" / f"{name}.svs", draw_tissue(96, seed)[0])
    (tmp_path / "monuseg.toml").write_text('[predict]\nengine = "torch"\ndevice = "cpu"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_rule_of_snakemake_runs(folder: Path) -> None:
    (folder / "Snakefile").write_text(block("snakemake"), encoding="utf-8")
    programs = folder / "bin"
    programs.mkdir()
    (programs / "monuseg").write_text(f'#!/bin/sh\nexec {sys.executable} -m monuseg_cli "$@"\n', encoding="utf-8")
    (programs / "monuseg").chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "XDG_CACHE_HOME": str(folder)}

    def snakemake(*words: str) -> str:
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *words]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout + run.stderr

    planned = snakemake("--dry-run", "--printshellcmds")
    assert "monuseg predict slides/one.svs -o out/one.geojson -o out/one.csv --threads 2 --quiet" in planned
    assert not (folder / "out").exists()
    snakemake()
    for name in SLIDES:
        content = json.loads((folder / "out" / f"{name}.geojson").read_bytes())
        assert content["features"]
        record = json.loads((folder / "out" / f"{name}.geojson.monuseg.json").read_bytes())
        assert record["threads"] == 2
    assert "Nothing to be done" in snakemake("--dry-run")


@needs_groovy
def test_groovy_parses_the_workflow_of_nextflow(folder: Path) -> None:
    """Nextflow's language is Groovy with functions of its own; the text of the command is compiled, too."""

    def parse(text: str) -> subprocess.CompletedProcess[str]:
        (folder / "main.nf").write_text(text, encoding="utf-8")
        words = ["groovy", "-e", "new GroovyShell().parse(new File('main.nf'))"]
        return subprocess.run(words, cwd=folder, env=groovy_environment(), capture_output=True, text=True, check=False)

    done = parse(block("nextflow"))
    assert done.returncode == 0, done.stderr
    assert parse(block("nextflow").replace('"""', '"', 1)).returncode != 0


def test_the_command_of_the_nextflow_process_runs(folder: Path, monuseg: Monuseg) -> None:
    process = block("nextflow")
    (script,) = re.findall(r'"""\n(.*?)"""', process, re.DOTALL)
    name = SLIDES[1]
    (folder / f"{name}.svs").symlink_to(folder / "slides" / f"{name}.svs")  # as Nextflow stages inputs
    values = {"slide": f"{name}.svs", "slide.baseName": name, "task.cpus": "1"}
    command = re.sub(r"\$\{([\w.]+)\}", lambda found: values[found[1]], script)
    program, *words = shlex.split(command)
    assert program == "monuseg"
    result = monuseg(*words)
    assert result.exit_code == 0, result.stderr
    outputs = re.findall(r'path "\$\{slide\.baseName\}(\.\w+)"', process)
    assert outputs == [".geojson", ".csv"]
    assert all((folder / f"{name}{suffix}").is_file() for suffix in outputs)
