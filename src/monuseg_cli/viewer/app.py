"""The web application of the viewer: its page, tiles, and what a click finds."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from monuseg_cli.core.errors import MonusegError
from monuseg_cli.viewer.colours import read_limits
from monuseg_cli.viewer.describe import describe, describe_nucleus
from monuseg_cli.viewer.guard import App, Guard, Receive, Scope, Send
from monuseg_cli.viewer.session import ViewSession

_STATIC = Path(__file__).parent / "static"
_FILES = {
    "": ("index.html", "text/html"),
    "viewer.css": ("viewer.css", "text/css"),
    "viewer.js": ("viewer.js", "text/javascript"),
    "panel.js": ("panel.js", "text/javascript"),
    "drawing.js": ("drawing.js", "text/javascript"),
    "openseadragon.js": ("openseadragon.min.js", "text/javascript"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
_CACHED_BYTES = 64 << 20
_KEEP = {"cache-control": "private, max-age=3600"}
_ASK_AGAIN = {"cache-control": "no-store"}


class TileCache:
    """The tiles that were used last.

    Parameters
    ----------
    most_bytes : int
        Size of all tiles that are kept.
    """

    def __init__(self, most_bytes: int = _CACHED_BYTES) -> None:
        self._tiles: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._free = most_bytes
        self._lock = threading.Lock()

    def get(self, key: tuple[object, ...], make: Callable[[], bytes | None]) -> bytes | None:
        """Return a tile, which is made if it is not kept."""
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
                return self._tiles[key]
        tile = make()
        if tile is None:
            return None
        with self._lock:
            if key not in self._tiles:
                self._tiles[key] = tile
                self._free -= len(tile)
            while self._free < 0:
                self._free += len(self._tiles.popitem(last=False)[1])
        return tile


def build_app(session: ViewSession, token: str, wording: Callable[[str], str] = str) -> App:
    """Build the application that shows a session.

    Parameters
    ----------
    session : ViewSession
        What is shown.
    token : str
        First part of all addresses.
    wording : callable
        Rewrites messages, which name settings as Python does.
    """
    cache = TileCache()

    def tile(key: tuple[object, ...], make: Callable[[], bytes | None], kind: str) -> Response:
        try:
            content = cache.get(key, make)
        except MonusegError as error:
            return Response(wording(str(error)), 500, media_type="text/plain")
        if content is None:
            return Response("No such tile.", 404, media_type="text/plain")
        return Response(content, media_type=kind, headers=_KEEP)

    def image(request: Request) -> Response:
        at = request.path_params["level"], request.path_params["row"], request.path_params["col"]
        return tile(("image", *at), lambda: session.image_tile(*at), "image/jpeg")

    def overlay(request: Request) -> Response:
        names = ("colour", "filled", "level", "row", "col")
        colour, filled, level, row, col = (int(request.path_params[name]) for name in names)
        try:
            limits = read_limits(request.query_params.get("limits"))
        except ValueError:
            return Response("Limits are two numbers, the lower one first.", 400, media_type="text/plain")
        return tile(
            ("overlay", colour, filled, level, row, col, limits),
            lambda: session.overlay_tile(colour, bool(filled), level, row, col, limits),
            "image/webp",
        )

    def state(request: Request) -> Response:
        if "again" in request.query_params:
            session.look_again()
        return JSONResponse(describe(session, wording), headers=_ASK_AGAIN)

    def nucleus(request: Request) -> Response:
        row, col = request.path_params["row"], request.path_params["col"]
        return JSONResponse(describe_nucleus(session, row, col), headers=_ASK_AGAIN)

    def static(request: Request) -> Response:
        name, kind = _FILES[request.url.path.rpartition("/")[2]]
        return Response((_STATIC / name).read_bytes(), media_type=kind, headers=_ASK_AGAIN)

    routes = [
        *(Route(f"/{name}", static) for name in _FILES),
        Route("/state", state),
        Route("/image/{level:int}/{row:int}/{col:int}", image),
        Route("/overlay/{colour:int}/{filled:int}/{level:int}/{row:int}/{col:int}", overlay),
        Route("/nucleus/{row:float}/{col:float}", nucleus),
    ]
    inner = Starlette(routes=routes)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with session.answering():
            await inner(scope, receive, send)

    return Guard(app, token)
