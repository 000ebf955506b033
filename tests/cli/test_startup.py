import subprocess
import sys

import pytest


def modules_after(*words: str) -> set[str]:
    """Run the command line in a process of its own, and list the modules that it loaded."""
    code = (
        "import sys\n"
        "from monuseg_cli.cli.app import app\n"
        "try:\n"
        f"    app({list(words)!r})\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(printed.splitlines()[-1].split())


@pytest.mark.parametrize("words", ["", "download", "masks", "patches", "train", "runs", "evaluate", "predict", "view"])
def test_help_waits_for_neither_torch_nor_numpy(words: str) -> None:
    loaded = modules_after(*words.split(), "--help")
    assert "typer" in loaded
    assert not loaded & {
        "torch",
        "numpy",
        "torchvision",
        "tifffile",
        "PIL",
        "scipy",
        "matplotlib",
        "requests",
        "shapely",
    }


def test_models_waits_for_no_torch() -> None:
    assert "torch" not in modules_after("models")


def test_the_list_of_commands_loads_none_of_them() -> None:
    loaded = modules_after("--help")
    assert not loaded & {"monuseg_cli.cli.console", "monuseg_cli.training.recipe", "monuseg_cli.models.registry"}


def test_the_package_runs_as_a_module() -> None:
    run = subprocess.run([sys.executable, "-m", "monuseg_cli", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("monuseg 0.")
