"""What is seen of progress, on a terminal of 80 columns and in a log, and tables that fit."""

import io
import re
import time

import pytest
from rich.console import Console

from conftest import Monuseg
from monuseg_cli.cli.bars import ConsoleProgress, QuietProgress
from monuseg_cli.core.home import Home

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def lines_of(text: str) -> list[str]:
    return [line for line in re.split(r"[\r\n]+", _ESCAPES.sub("", text)) if line.strip()]


def test_a_bar_is_one_line_with_rate_and_time_left() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    with ConsoleProgress(console, False).task("a name that is much too long for its place", 1200, "patches") as task:
        for _ in range(60):
            time.sleep(0.001)
            task.advance(20)
        task.status("epoch 1/2  loss 0.1234  val Dice 0.5678")
    lines = lines_of(out.getvalue())
    assert all(len(line.rstrip()) <= 80 for line in lines)
    assert re.match(r"a name that is much .*… [━╸╺]+ 1,200/1,200 [\d,.]+ patches/s 0:00:00 ", lines[-1])


def test_a_log_has_a_line_every_half_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    out, now = io.StringIO(), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = ConsoleProgress(Console(file=out, width=200), False)
    with progress.task("masks", 80, "cases") as task, progress.task("a.zip", 80_000_000, "bytes") as more:
        for _ in range(50):
            now[0] += 1
            task.advance()
            more.advance(1_000_000)
            task.status("not for a log")
    assert (
        out.getvalue() == "masks: 31 of 80 cases, 1.0 cases/s, 49 s left\na.zip: 31.0 of 80.0 MB, 1.0 MB/s, 49 s left\n"
    )


def test_quiet_leaves_warnings() -> None:
    out = io.StringIO()
    progress = QuietProgress(Console(file=out, force_terminal=True, width=80))
    with progress.task("masks", 1, "cases") as task:
        task.advance()
    progress.info("told")
    progress.detail("told in detail")
    progress.warn("look")
    assert lines_of(out.getvalue()) == ["warning: look"]


def test_tables_fit_into_80_columns(monuseg: Monuseg, trained_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    home = ("--quiet", "--home", trained_home.root)
    scores = lines_of(monuseg("evaluate", "unet-se", "--device", "cpu", *home).stdout)
    assert scores[0].split() == ["organ", "F1", "IoU", "AJI", "PQ"]
    assert re.fullmatch(r"TCGA-50-5931-01Z-00-DX1  liver +( +0\.\d{4}){4} *", scores[1])
    assert "A wider terminal also shows loss, accuracy, soft Dice, precision, recall, AJI+, DQ, SQ, AP" in scores
    runs = lines_of(monuseg("runs", *home).stdout)
    assert runs[0].split() == ["run", "architecture", "recipe", "epochs", "best", "val", "F1", "begun"]
    models = lines_of(monuseg("models", *home).stdout)
    assert any(re.match(r"default  unet-efficientnet  .* CC BY-NC-SA 4\.0$", line) for line in models)
