"""Config files with tables, options and values that no command takes."""

from pathlib import Path

import pytest

from robustness.conftest import Says


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("mpp = 0.5", id="outside"),
        pytest.param("[predit]", id="command"),
        pytest.param("[predict]\n[evalute]", id="another"),
        pytest.param("[predict]\nthrehold = 0.5", id="option"),
        pytest.param('[predict]\nhome = "/tmp"', id="home"),
        pytest.param("[predict]\nno-tissue-mask = true", id="negative"),
        pytest.param('[predict]\nmpp = "0.5"', id="text"),
        pytest.param("[predict]\nmpp = nan", id="nan"),
        pytest.param("[predict]\nmpp = 1979-05-27", id="date"),
        pytest.param("[predict]\ntissue-mask = 1", id="switch"),
        pytest.param("[predict]\nregion = [1, 2]", id="region"),
        pytest.param('[predict]\nengine = "tpu"', id="choice"),
        pytest.param("[predict]\nmodel = {a = 1}", id="table"),
        pytest.param("[predict]\nmin-area-um2 = 1\nmin_area_um2 = 2", id="twice"),
        pytest.param("[predict", id="syntax"),
        pytest.param("a = " + "[" * 5000, id="nested"),
        pytest.param("a = " + "[" * 40 + "]" * 40, id="deep"),
        pytest.param("# " + chr(0xE9), id="bytes"),
        pytest.param("#" * (1 << 20) + " ", id="large"),
    ],
)
def test_config_files_that_are_refused(
    says: Says, picture: Path, tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "monuseg.toml").write_bytes(content.encode("latin-1"))
    says("predict", picture.name, "-o", "mask.png")


def test_a_config_file_that_does_not_exist(says: Says, picture: Path, tmp_path: Path) -> None:
    says("predict", picture, "-o", tmp_path / "mask.png", "--config", tmp_path / "mine.toml")
