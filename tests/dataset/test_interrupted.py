"""A data set whose download is killed before any change that it makes to files."""

import hashlib
from pathlib import Path

import pytest

from monuseg_cli.dataset.manifest import Dataset, sha256_of
from support.nuinsseg import write_published
from support.processes import kill_at_every_change, start
from support.tissue import write_archive


def visible_files(folder: Path) -> dict[str, str]:
    """Hash every file below a folder that is not hidden, nor in a hidden folder."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            found[name.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def require_truth(root: Path) -> None:
    """Check that every file that the manifest lists is there, and is the one that it describes."""
    if not Dataset.manifest_path(root).is_file():
        return
    dataset = Dataset.load(root)
    for case in dataset.cases:
        assert sha256_of(dataset.image_path(case)) == case.image_sha256
        assert sha256_of(dataset.annotation_path(case)) == case.annotation_sha256


def words_of(kind: str, folder: Path, size: int) -> tuple[object, ...]:
    """Write a small source, other for every size, and give the command that reads it."""
    folder.mkdir()
    if kind == "nuinsseg":
        source = write_published(folder / "source", size, organs=("brain", "tongue"))
        return ("download", "--dataset", "nuinsseg", "--archive", source)
    train, test = (write_archive(folder, split, size, most=2) for split in ("train", "test"))
    return ("download", "--archive", train, "--archive", test, "--allow-unverified")


@pytest.mark.parametrize("replaces", [False, True], ids=["new", "replaced"])
@pytest.mark.parametrize("kind", ["monuseg", "nuinsseg"])
def test_what_is_visible_after_a_kill_is_whole_and_true(tmp_path: Path, kind: str, replaces: bool) -> None:
    """Killed before every single change: what is visible is as before or as after it; a second run completes it."""
    words = words_of(kind, tmp_path / "source", size=24)
    begun = tmp_path / "begun"
    begun.mkdir()
    if replaces:
        earlier = words_of(kind, tmp_path / "earlier", size=25)
        assert start(tmp_path, (*earlier, "--home", begun)).wait() == 0
    kills = kill_at_every_change(words, begun, tmp_path)
    before, after = visible_files(begun), visible_files(tmp_path / "undisturbed")
    assert before != after
    for number in range(1, kills + 1):
        left = visible_files(tmp_path / f"killed {number}")
        require_truth(tmp_path / f"killed {number}" / "data" / kind)
        for name in left if not replaces else left.keys() - {f"data/{kind}/manifest.json"}:
            assert left[name] in (before.get(name), after[name]), (number, name)
        again = tmp_path / f"again {number}"
        assert visible_files(again) == after, number
        assert [path.name for path in again.rglob(".*")] == [], number
    assert kills > 20
