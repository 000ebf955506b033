import zipfile
from pathlib import Path

import numpy as np
import pytest

from conftest import Monuseg
from monuseg_cli.core.errors import InputError, MissingError
from monuseg_cli.core.home import Home
from monuseg_cli.dataset.config import MasksConfig
from monuseg_cli.dataset.manifest import Dataset
from monuseg_cli.dataset.masks import build_masks, labels_path, read_labels
from monuseg_cli.dataset.nuinsseg import read_nuinsseg
from monuseg_cli.dataset.pixels import read_case
from support.nuinsseg import published, write_packed, write_published, write_zip


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_both_layouts_from_folder_and_zip_are_the_same_data_set(tmp_path: Path) -> None:
    sources = {
        "folder": write_published(tmp_path / "published"),
        "zip": write_zip(tmp_path / "published.zip"),
        "packed": write_packed(tmp_path / "packed"),
    }
    masks = []
    for name, source in sources.items():
        dataset = read_nuinsseg(source, tmp_path / name)
        assert dataset == Dataset.load(tmp_path / name)
        assert {case.organ for case in dataset.of_split("train")} == {"brain", "liver", "muscle"}
        assert [case.case_id for case in dataset.of_split("test")] == ["human_tongue_01", "human_tongue_02"]
        assert {case.mpp for case in dataset.cases} == {0.19}
        build_masks(MasksConfig(dataset.root))
        masks.append([read_labels(labels_path(dataset.root, case.case_id)) for case in dataset.cases])
        assert read_case(dataset, dataset.cases[0]).shape == (96, 96, 3)
    assert all(labels.max() > 3 for labels in masks[0])
    for others in masks[1:]:
        np.testing.assert_array_equal(others, masks[0])


def test_organs_are_named_alike_whatever_the_folder_is_called(tmp_path: Path) -> None:
    files = {
        name.replace("human brain", "human salivory gland").replace("human liver", "mouse tonsile"): content
        for name, content in published().items()
    }
    dataset = read_nuinsseg(pack(tmp_path / "a.zip", files), tmp_path / "a")
    assert {case.organ for case in dataset.cases} == {"salivary gland", "tonsil", "muscle", "tongue"}


def test_what_is_not_the_data_set_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no folder or zip"):
        read_nuinsseg(tmp_path / "gone", tmp_path / "to")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="does not contain NuInsSeg"):
        read_nuinsseg(tmp_path / "empty", tmp_path / "to")
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(InputError, match="damaged, or not a zip archive"):
        read_nuinsseg(tmp_path / "text.zip", tmp_path / "to")
    lacking = {name: content for name, content in published().items() if "modify/human_liver_02" not in name}
    with pytest.raises(InputError, match=r"1 images have no label image, the first: .*human_liver_02.png"):
        read_nuinsseg(pack(tmp_path / "lacking.zip", lacking), tmp_path / "to")
    outside = pack(tmp_path / "outside.zip", {**published(), "../evil.png": b""})
    with pytest.raises(InputError, match="would land outside the folder"):
        read_nuinsseg(outside, tmp_path / "to")
    packed = write_packed(tmp_path / "packed")
    (packed / "index.csv").write_text("file,organ\nhuman_brain_09,brain\n")
    with pytest.raises(InputError, match=r"'human_brain_09' names no organ, or no image"):
        read_nuinsseg(packed, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_second_reading_replaces_the_first(tmp_path: Path) -> None:
    read_nuinsseg(write_packed(tmp_path / "packed"), tmp_path / "to")
    read_nuinsseg(write_published(tmp_path / "published"), tmp_path / "to")
    assert {path.suffix for path in (tmp_path / "to" / "train" / "images").iterdir()} == {".png"}


def test_the_command_line_reads_it_and_scores_on_what_is_held_out(
    monuseg: Monuseg, trained_home: Home, tmp_path: Path
) -> None:
    source, home = write_published(tmp_path / "published"), trained_home.root
    lacking = monuseg("evaluate", "unet-se", "--data", "nuinsseg", "--home", home)
    assert "get it with: monuseg download --dataset nuinsseg --archive FILE" in lacking.stderr
    read = monuseg("download", "--dataset", "nuinsseg", "--archive", source, "--home", home)
    assert read.exit_code == 0, read.stderr
    assert "masks --data nuinsseg" in read.stdout
    scored = monuseg("evaluate", "unet-se", "--data", "nuinsseg", "--split", "test", "--home", home)
    assert scored.exit_code == 0, scored.stderr
    assert "mean over 2 images" in scored.stdout
    network = monuseg("download", "--dataset", "nuinsseg", "--home", home)
    assert network.exit_code != 0
    assert "10.5281/zenodo.10518968" in network.stderr
