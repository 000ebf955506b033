"""Nothing is sent anywhere, and nothing is written outside of the folders that a command names."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from conftest import QUICK
from monuseg_cli.cli.app import COMMANDS
from monuseg_cli.core.home import Home
from support.classes import write_two_kinds
from support.tissue import draw_tissue

# Every way to a network from Python passes an audit hook, which is installed before anything else runs.
WATCH = """
import os, sys

INTERNET = (2, 10, 23, 30)  # AF_INET, and AF_INET6 on Linux, Windows and macOS

def watch(event, args):
    if not event.startswith("socket."):
        return
    where = None
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
        where = args[1][0] if isinstance(args[1], tuple) and args[0].family in INTERNET else args[1]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        where = args[0]
    if where not in (None, "", "localhost", "127.0.0.1", "::1"):
        with open(os.environ["WATCHED"], "a") as log:
            log.write(f"{event} {where}\\n")
        raise OSError("refused")

sys.addaudithook(watch)
"""

RUN = """
import os, signal, socket, sys, threading, time
from monuseg_cli.cli.app import app

def visit_and_interrupt(port):
    answer = b""
    while not answer:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as visitor:
                visitor.sendall(b"GET / HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n")
                answer = visitor.recv(1)
        except OSError:
            time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)

for words in {commands!r}:
    if words[0] == "view":
        threading.Thread(target=visit_and_interrupt, args=[int(words[words.index("--port") + 1])], daemon=True).start()
    try:
        app(words)
    except SystemExit as end:
        assert not end.code, (words, end.code)
time.sleep(0.2)  # for what a thread might still look up
"""


HOMELESS = ("measure", "view")
"""Commands that use no home."""


def run_watched(code: str, tmp_path: Path, *before: str) -> tuple[list[str], list[Path]]:
    """Run Python code with an empty home folder; list the attempts to reach a network, and the files in that folder."""
    folder, log, home = (tmp_path / name for name in ("watch", "attempts", "user"))
    folder.mkdir()
    home.mkdir()
    log.touch()
    (folder / "sitecustomize.py").write_text(WATCH)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
        "HOME": str(home),
        "LOCALAPPDATA": str(home),
        "WATCHED": str(log),
        "OMP_NUM_THREADS": "1",
    }  # and no variable by which libraries tell that they are tested
    words = [*before, sys.executable, "-c", code]
    result = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return log.read_text().splitlines(), list(home.rglob("*"))


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no sockets of Unix")
def test_the_watcher_sees_network_calls(tmp_path: Path) -> None:
    code = (
        "import socket, pathlib\n"
        "host = 'example.org'\n"
        "local = socket.socket(socket.AF_UNIX)\n"
        "calls = [lambda: socket.getaddrinfo(host, 80), lambda: socket.socket().connect(('192.0.2.1', 80))]\n"
        "for call in [*calls, lambda: local.connect('/run/daemon')]:\n"
        "    try:\n"
        "        call()\n"
        "    except OSError:\n"
        "        pass\n"
        "(pathlib.Path.home() / 'id').touch()\n"
    )
    attempts, files = run_watched(code, tmp_path)
    assert attempts == ["socket.getaddrinfo example.org", "socket.connect 192.0.2.1", "socket.connect /run/daemon"]
    assert files == [tmp_path / "user" / "id"]


@pytest.fixture
def commands(trained_home: Home, tmp_path: Path) -> list[list[str]]:
    """Commands that predict with OpenVINO, which makes its graph for the first of them, and has it for the others."""
    Image.fromarray(draw_tissue(80, 1)[0]).save(tmp_path / "a.png")
    outputs = [word for name in ("m.png", "l.tif", "n.geojson", "n.csv", "n.zarr") for word in ("-o", name)]
    words = [
        f"predict a.png --model unet-se --engine openvino --overlay o.png {' '.join(outputs)}",
        f"predict a.png --model unet-se --engine openvino --overwrite {' '.join(outputs)}",
    ]
    return [[*line.split(), "--home", str(trained_home.root)] for line in words]


def test_a_prediction_reaches_for_no_network_and_writes_where_it_is_told(
    commands: list[list[str]], tmp_path: Path
) -> None:
    assert run_watched(RUN.format(commands=commands), tmp_path) == ([], [])


def test_no_other_command_uses_the_network(trained_home: Home, archives: tuple[Path, Path], tmp_path: Path) -> None:
    Image.fromarray(draw_tissue(80, 1)[0]).save(tmp_path / "a.png")
    write_two_kinds(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = [
        f"download --archive {shlex.quote(str(archives[0]))} --allow-unverified --home {tmp_path / 'other'}",
        "masks",
        "patches",
        "runs",
        "models",
        "measure a.png --nuclei l.tif -o n.csv --measurements all --mpp 0.25",
        "classify slide.png --nuclei labels.tif --annotations classes.geojson -o k.classes --mpp 0.25",
        f"view a.png --port {port} --no-browser",
        "slide-info a.png",
        "show a.png --labels l.tif -o s.png",
        "export unet-se -o e.onnx",
        "demo --model unet-se",
        "evaluate unet-se",
        f"train {' '.join(QUICK)}",
        "doctor",
    ]
    words = [f"predict a.png --labels -o l.tif --model unet-se --home {trained_home.root}", *lines]
    commands = [shlex.split(line) for line in words]
    assert {command[0] for command in commands} == set(COMMANDS)
    for command in commands:
        command += [] if command[0] in HOMELESS or "--home" in command else ["--home", str(trained_home.root)]
    assert run_watched(RUN.format(commands=commands), tmp_path) == ([], [])


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_no_library_makes_network_calls(commands: list[list[str]], tmp_path: Path) -> None:
    log = tmp_path / "calls"
    strace = ("strace", "-f", "-qq", "-e", "trace=network", "-o", str(log))
    run_watched(RUN.format(commands=commands), tmp_path, *strace)
    calls = [line for line in log.read_text().splitlines() if "AF_INET" in line]
    # urllib3, which spatialdata imports, opens a socket on the loopback address to learn whether there is IPv6.
    assert [line for line in calls if " socket(" not in line and '"::1"' not in line] == []
