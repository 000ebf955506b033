import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from monuseg_cli.core.atomic import require_writable, write_bytes, write_json, write_text, writing, writing_folder
from monuseg_cli.core.errors import OutputError


def test_a_file_appears_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"path": tmp_path / "b"})
    assert (tmp_path / "new" / "a.json").read_text() == f'{{\n  "path": "{tmp_path / "b"}"\n}}\n'
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


def test_a_failure_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with writing(path) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_the_old_one_only_when_it_is_filled(tmp_path: Path) -> None:
    target = tmp_path / "store"
    with writing_folder(target) as part:
        (part / "one").touch()

    def fail() -> None:
        with writing_folder(target) as part:
            (part / "two").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in target.iterdir()] == ["one"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*a\.png: the disk is full"), writing(tmp_path / "a.png"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_further_up_that_cannot_be_written(tmp_path: Path) -> None:
    closed = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "a"))
    with pytest.raises(OutputError, match="permission denied"), writing(tmp_path / "a" / "b" / "c.png"):
        raise closed
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "a" / "b.png", tmp_path / "file" / "b.png"):
        with pytest.raises(OutputError, match="it is not a folder"):
            require_writable(path)
    require_writable(tmp_path / "new" / "b.png")
    assert not (tmp_path / "new").exists()


def test_an_error_about_another_file_passes_unchanged(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), writing(tmp_path / "out" / "a.png"):
        raise PermissionError(errno.EACCES, "denied", str(tmp_path / "in" / "source.tif"))


@pytest.mark.parametrize("name", ["folder", "/dev/null"])
def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="not a regular file"):
        write_bytes(tmp_path / name, b"content")


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        write_bytes(tmp_path / "file" / "a.png", b"content")


def test_what_a_killed_process_left_is_removed_by_the_next_that_writes(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom monuseg_cli.core.atomic import writing\n"
        "with writing(Path(sys.argv[1])) as part:\n"
        "    part.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for name in ("a.txt", "b.txt"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    with writing(tmp_path / "a.txt") as part:
        other = part.with_name(part.name.replace(str(os.getpid()), str(os.getppid())))
        other.write_text("a living process is writing it, too")
        part.write_text("whole")
    write_text(tmp_path / "a.txt", "again")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == 3
    assert left[0] == other.name
    assert left[1].startswith(".b.")
    assert left[2] == "a.txt"


def test_many_files_in_a_folder_do_not_slow_down_the_next(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom monuseg_cli.core.atomic import write_text\n"
        "folder, listed = Path(sys.argv[1]), []\n"
        "sys.addaudithook(lambda event, words: listed.append(words) if event == 'os.scandir' else None)\n"
        "for number in range(200):\n    write_text(folder / f'{number}.txt', '')\nprint(len(listed))\n"
    )
    for number in range(2000):
        (tmp_path / f"before-{number}").touch()
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True)
    assert 1 <= int(done.stdout) <= 50
