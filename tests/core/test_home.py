from pathlib import Path

import platformdirs
import pytest

from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import Home


def make_run(home: Home, name: str, weights: bool = True) -> Path:
    run = home.runs / name
    run.mkdir(parents=True, exist_ok=True)
    (run / "recipe.toml").touch()
    if weights:
        (run / "best.safetensors").touch()
    return run


def test_the_option_wins_over_the_variable_and_the_variable_over_the_platform(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MONUSEG_HOME", str(tmp_path / "variable"))
    assert Home.resolve(tmp_path / "option").root == tmp_path / "option"
    assert Home.resolve().root == tmp_path / "variable"
    monkeypatch.delenv("MONUSEG_HOME")
    assert Home.resolve().root == platformdirs.user_data_path("monuseg", appauthor=False)


def test_runs_of_one_name_are_numbered_and_the_newest_counts(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for expected in ("unet-se", "unet-se-2", "unet-se-3"):
        assert home.make_run("unet-se").name == expected
        make_run(home, expected)
    for number in range(4, 12):
        make_run(home, f"unet-se-{number}")
    make_run(home, "unet-se-large")
    assert home.name_of(home.runs / "unet-se-11") == "unet-se-11"
    assert home.name_of(home.runs / "unet-se") == str(home.runs / "unet-se")  # the bare name means the newest
    assert home.find_run("unet-se").name == "unet-se-11"
    assert home.find_run("unet-se-2").name == "unet-se-2"
    assert home.make_run("unet-se").name == "unet-se-12"
    assert home.find_weights("unet-se-3") == home.runs / "unet-se-3" / "best.safetensors"
    assert home.find_run(str(home.runs / "unet-se")).name == "unet-se"


def test_a_folder_here_that_happens_to_have_the_name_is_no_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    make_run(home, "unet")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unet").mkdir()
    assert home.find_run("unet") == home.runs / "unet"
    monkeypatch.chdir(home.runs)
    make_run(home, "unet-2")
    assert home.find_run("unet") == home.runs / "unet-2"


def test_weights_are_found_as_file_and_among_the_models(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.models.mkdir()
    theirs = home.models / "theirs.safetensors"
    theirs.touch()
    assert home.find_weights("theirs") == theirs
    assert home.find_weights(str(theirs)) == theirs


def test_errors_about_missing_names_list_the_existing_ones(tmp_path: Path) -> None:
    home = Home(tmp_path)
    make_run(home, "segnet", weights=False)
    with pytest.raises(MissingError, match=r"no run named 'unet' .*existing runs: segnet"):
        home.find_weights("unet")
    with pytest.raises(MissingError, match=r"has no weights yet; .*`resume=segnet`"):
        home.find_weights("segnet")
    with pytest.raises(MissingError, match=r"no weights file gone.safetensors"):
        home.find_weights("gone.safetensors")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "with space"])
def test_a_name_that_is_no_plain_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is not a valid run name"):
        Home(tmp_path).make_run(name)
