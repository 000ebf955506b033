"""Run the notebooks of docs/, and store their outputs: python tools/notebooks.py.

Needs ``pip install nbclient ipykernel``. They run in a folder of their own, with a home of their own. What they write
to standard error is not stored, since it names folders of the machine; of pictures, only the JPEG is.
"""

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "docs" / "notebooks"


def main() -> None:
    """Run every notebook, and write it back."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MONUSEG_HOME"] = f"{folder}/home"
            NotebookClient(
                notebook, timeout=3600, coalesce_streams=True, resources={"metadata": {"path": folder}}
            ).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times
            if cell.cell_type == "code":
                cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.get("outputs", ()):
                if "image/jpeg" in output.get("data", {}):
                    output.data.pop("image/png", None)
        nbformat.write(notebook, path)
        print(path)


if __name__ == "__main__":
    main()
