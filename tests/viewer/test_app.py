"""The server, as a browser and an attacker reach it: over a real socket."""

import http.client
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import tifffile
from PIL import Image

from monuseg_cli.viewer.app import TileCache
from monuseg_cli.viewer.session import ViewConfig, ViewSession
from support.viewed import COLS, ROWS, TOKEN, centre, get, nuclei, regions, serving, write_features, write_slide


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("viewed")
    config = ViewConfig(
        write_slide(folder / "slide.tif"), write_features(folder / "nuclei.geojson", [*nuclei(), *regions()])
    )
    with ViewSession(config) as session, serving(session) as address:
        session.wait()
        yield address


def ask(
    address: str, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    """Send a request with this very path, which no library tidies up."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port or 0, timeout=20)
    connection.putrequest(method, path, skip_host=bool(headers and "Host" in headers))
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content


def test_the_page_and_everything_it_names_is_served(address: str) -> None:
    status, headers, page = ask(address, f"/{TOKEN}/")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    for name in ("viewer.js", "panel.js", "drawing.js", "openseadragon.js", "viewer.css", "icon.svg"):
        assert get(address + name), name
    assert b"http://" not in page
    assert b"https://" not in page


@pytest.mark.parametrize("limits", ["", "1", "1,2,3", "a,b", "2,1", "1,1", "nan,1", "-inf,1", "-1e308,1e308"])
def test_limits_that_are_not_two_numbers_are_refused(address: str, limits: str) -> None:
    status, _, content = ask(address, f"/{TOKEN}/overlay/1/0/12/0/0?limits={limits}")
    assert (status, content) == (400, b"Limits are two numbers, the lower one first.")


def test_tiles_within_other_limits_are_other_tiles(address: str) -> None:
    state = json.loads(get(address + "state"))["nuclei"]
    (number,) = (choice["number"] for choice in state["colours"] if choice["name"] == "Area")
    tile = f"overlay/{number}/1/12/0/0"
    usual = get(address + tile)
    pictures = {usual, get(f"{address}{tile}?limits=10,42.5"), get(f"{address}{tile}?limits=-1e300,1e300")}
    assert len(pictures) == 3
    assert get(address + tile) == usual


def test_answers_forbid_what_a_page_of_ours_does_not_need(address: str) -> None:
    for path in ("", "state", "image/9/0/0", "nowhere"):
        _, headers, _ = ask(address, f"/{TOKEN}/{path}")
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; ")
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 403),
        ("/state", 403),
        (f"/{TOKEN[:-1]}/state", 403),
        (f"/{TOKEN}x/state", 403),
        (f"/x/{TOKEN}/state", 403),
        (f"/{TOKEN}/../{TOKEN}/state", 400),
        (f"/{TOKEN}/static/../state", 400),
        (f"/{TOKEN}/%2e%2e/state", 400),
        (f"/{TOKEN}/..%2fstate", 400),
        (f"/{TOKEN}/..\\state", 400),
        (f"/{TOKEN}//etc/passwd", 404),
        (f"/{TOKEN}/viewer.py", 404),
        (f"/{TOKEN}/image/9/0/-1", 404),
        (f"/{TOKEN}/image/9/0/1", 404),
        (f"/{TOKEN}/image/9/0/x", 404),
        (f"/{TOKEN}/overlay/99/0/9/0/0", 404),
        (f"/{TOKEN}/image/{'9' * 300}/0/0", 400),
    ],
)
def test_other_paths_are_refused(address: str, path: str, status: int) -> None:
    assert ask(address, path)[0] == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:9000"}, 200),  # through an ssh tunnel
        ({"Host": "127.0.0.1:9000", "Origin": "http://127.0.0.1:9000"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, 200),  # a link that was clicked
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "[::1"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_requests_of_other_sites_are_refused(address: str, headers: Mapping[str, str], status: int) -> None:
    assert ask(address, f"/{TOKEN}/state", headers)[0] == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(address: str, method: str) -> None:
    assert ask(address, f"/{TOKEN}/state", method=method)[0] == 405


def test_the_state_describes_slide_nuclei_and_regions(address: str) -> None:
    state = json.loads(get(address + "state"))
    assert state["slide"] | {"width": 4096, "height": 3072, "mpp": 0.25, "full": 12, "first": 9} == state["slide"]
    found = state["nuclei"]
    assert found["state"] == "ready"
    assert found["whole"]["nuclei"] == ROWS * COLS
    assert found["whole"]["density"] == pytest.approx(ROWS * COLS / (3072 * 4096 * 0.25**2 / 1e6))
    assert [(region["name"], region["nuclei"]) for region in found["regions"]] == [
        ("Left <b>half", ROWS * COLS // 2),
        ("Corner", 6),
    ]
    assert [choice["name"] for choice in found["colours"]] == ["Nothing", "Class", "Area", "Probability"]
    area = found["colours"][2]
    assert area["unit"] == "µm²"
    assert area["limits"] == pytest.approx(np.percentile(np.tile(10.0 + np.arange(COLS), ROWS), (2, 98)))


def test_a_nucleus_is_described_with_its_numbers(address: str) -> None:
    row, col = centre(3, 5)
    found = json.loads(get(f"{address}nucleus/{row + 6}/{col}"))
    assert found["name"] == str(3 * COLS + 6)
    assert found["className"] == "Tumor"
    assert found["values"][0] == {"name": "Area", "unit": "µm²", "value": 15.0}
    assert (found["row"], found["col"]) == pytest.approx((row, col), abs=0.1)
    assert json.loads(get(f"{address}nucleus/{row + 40}/{col}")) is None


def test_tiles_are_pictures(address: str) -> None:
    with Image.open(io.BytesIO(get(f"{address}image/9/0/0"))) as slide:
        assert slide.size == (512, 384)
    with Image.open(io.BytesIO(get(f"{address}overlay/2/0/12/0/0"))) as outlines:
        pixels = np.asarray(outlines.convert("RGBA"))
    row, col = (int(side) for side in centre(1, 1))
    assert pixels[row, col - 7 : col - 5, 3].max() == 255
    assert pixels[row, col, 3] == 0


def test_a_damaged_tile_is_an_error_that_says_where(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "slide.tif")
    with tifffile.TiffFile(path) as tiff:
        place, length = tiff.pages.first.dataoffsets[0], tiff.pages.first.databytecounts[0]
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes(length))
    with ViewSession(ViewConfig(path)) as session, serving(session) as address:
        status, _, said = ask(address, f"/{TOKEN}/image/12/0/0")
        assert (status, said.decode().split(":")[0]) == (500, f"{path}")
        assert b"damaged at row 0, column 0" in said
        assert ask(address, f"/{TOKEN}/image/12/3/3")[0] == 200
    with ViewSession(ViewConfig(path, skip_damaged=True)) as session, serving(session) as address:
        tile = Image.open(io.BytesIO(get(f"{address}image/12/0/0")))
        assert tile.getpixel((5, 5)) == (255, 255, 255)


def test_the_oldest_tiles_are_made_again() -> None:
    cache, made = TileCache(most_bytes=10), list[str]()

    def make(name: str) -> bytes:
        made.append(name)
        return bytes(4)

    for name in "aabacb":
        cache.get((name,), lambda name=name: make(name))  # type: ignore[misc] # a default binds it
    assert made == ["a", "b", "c", "b"]
    assert cache.get(("none",), lambda: None) is None
