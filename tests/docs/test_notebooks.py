"""The notebooks run from top to bottom, in a folder of their own."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def run(cell: dict[str, Any], namespace: dict[str, Any]) -> str | None:
    """Run a cell as Jupyter does, and return what it shows of its last expression."""
    body = ast.parse("".join(cell["source"])).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), cell["id"], "exec"), namespace)
    if not isinstance(last, ast.Expr):
        return None
    return repr(eval(compile(ast.Expression(last.value), cell["id"], "eval"), namespace))


def test_all_notebooks_are_found() -> None:
    assert [path.name for path in NOTEBOOKS] == ["from-array-to-table.ipynb"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs_are_those_of_one_run_from_top_to_bottom(notebook: Path) -> None:
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert cell["outputs"], cell["id"]
        assert {output["output_type"] for output in cell["outputs"]} <= {"stream", "execute_result"}


def test_an_array_becomes_a_picture_and_a_table_and_a_tuned_model_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    (notebook,) = NOTEBOOKS
    shown = {cell["id"]: run(cell, namespace) for cell in code_cells(notebook)}
    assert str(shown["predict"]).startswith("<Segmentation of 256 x 256 pixels at 0.25 um/px: ")
    assert "area_um2" in namespace["table"]
    assert "probability" in str(shown["table"])
    assert namespace["scores"].aji > 0.6
    assert {path.name for path in tmp_path.glob("*.*")} >= {"tissue.png", "nuclei.geojson", "nuclei.csv", "look.png"}
    score, files, default, mine = capsys.readouterr().out.splitlines()
    assert score.startswith("F1 0.")
    assert files.endswith("nuclei in nuclei.geojson nuclei.csv look.png")
    assert mine.split("AJI")[1] > default.split("AJI")[1]
