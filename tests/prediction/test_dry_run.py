"""Dry runs."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from conftest import Monuseg
from monuseg_cli.core.home import HOME_VARIABLE, Home
from support.tissue import draw_tissue

ENGINE = ("--engine", "torch", "--device", "cpu")


@pytest.fixture(autouse=True)
def slides(tmp_path: Path, trained_home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three images, one of them damaged."""
    folder = tmp_path / "work" / "slides"
    folder.mkdir(parents=True)
    for seed, name in enumerate("ab"):
        Image.fromarray(draw_tissue(96, seed)[0]).save(folder / f"{name}.png", dpi=(50800, 50800))  # 0.5 um/px
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes()[:500])
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv(HOME_VARIABLE, str(trained_home.root))
    return folder


def all_files(*roots: Path) -> dict[Path, tuple[int, int]]:
    found = [path for root in roots for path in root.rglob("*")]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def test_a_dry_run_lists_everything_and_writes_nothing(monuseg: Monuseg, trained_home: Home, slides: Path) -> None:
    before = all_files(slides.parent, trained_home.root)
    words = ("predict", "slides", "-o", "out/", "--summary", "out/all.csv", "--model", "unet-se", "--dry-run")
    result = monuseg(*words)
    assert all_files(slides.parent, trained_home.root) == before
    assert result.exit_code == 3
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line}
    assert "96 x 96  0.5000       by 2  predicted  out/a.png" in rows["a.png"]
    assert "refused" in rows["c.png"]
    assert "On all images: out/all.csv" in result.stdout
    assert "Dry run: nothing was computed or written" in result.stdout
    assert "slides/c.png" in result.stderr
    said = json.loads(monuseg(*words, "--json", "--engine", "torch", "--threads", "3").stdout)
    assert (said["dry_run"], said["engine"], said["threads"], said["written"]) == (True, "torch", 3, [])
    assert [one["action"] for one in said["images"]] == ["predict", "predict", "refuse"]


def test_what_was_done_is_skipped_and_what_was_kept_is_remade(monuseg: Monuseg, slides: Path) -> None:
    (slides / "c.png").unlink()
    assert monuseg("predict", "slides/a.png", "-o", "out/a.parquet", *ENGINE).exit_code == 0
    assert monuseg("predict", "slides/b.png", "-o", "out/b.png", *ENGINE).exit_code == 0

    def actions(*words: str) -> list[str]:
        result = monuseg("predict", "slides", "-o", "out/", "--dry-run", "--json", *ENGINE, *words)
        assert result.exit_code == 0
        return [one["action"] for one in json.loads(result.stdout)["images"]]

    assert actions() == ["remake", "skip"]
    assert actions("--threads", "1") == ["remake", "skip"]
    assert actions("--overwrite") == ["predict", "predict"]
    assert actions("--mpp", "0.4") == ["predict", "predict"]
    assert actions("--num-parts", "2", "--part", "2") == ["skip"]


@pytest.mark.parametrize(
    "words",
    [
        "predict none.png -o m.png",
        "predict slides -o m.png",
        "predict slides/a.png -o m.bmp",
        "predict slides/a.png -o slides/a.png",
        "predict slides/a.png -o m.png --model none",
        "predict slides/a.png -o m.png --mpp 0",
        "predict slides/a.png -o m.png --threads 0",
        "predict slides/a.png -o m.png --measurements neighbours",
        "predict slides/a.png -o m.png --roi-summary r.csv",
        "predict slides/a.png -o m.png --region 0 0 500 500",
        "predict slides/a.png -o m.png --device mps --engine openvino",
        "predict slides/a.png -o slides/a.png/m.png",
        "predict slides/a.png -o m.png --series 3",
        "predict slides -o out/ --num-parts 2 --part 3",
        "predict slides/c.png slides/a.png -o out/",
        "predict slides/a.png",
    ],
)
def test_a_dry_run_refuses_what_the_run_refuses_with_its_exit_code(monuseg: Monuseg, words: str) -> None:
    plan = monuseg(*words.split(), "--dry-run")
    assert not Path("out").exists()
    run = monuseg(*words.split())
    assert run.exit_code != 0
    assert (plan.exit_code, plan.stderr.splitlines()[-1:]) == (run.exit_code, run.stderr.splitlines()[-1:])
    shutil.rmtree("out", ignore_errors=True)
