"""Which requests are answered: with the token, to this machine, from the viewer's own page, and read-only."""

import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_TOKEN_BYTES = 24
_OWN_HOSTS = ("127.0.0.1", "localhost", "::1")
_LONGEST_PATH = 200
_SAFE_PATH = re.compile(rb"/[A-Za-z0-9_./-]*")
_SAME_SITE = (b"same-origin", b"none")

# The hash is that of a style that OpenSeadragon adds for touch screens.
_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self' "
        b"'sha256-9xTiqzfwFaL2SGb1rmr8gysEwVVjIvqWAgmZgqFqpEE='; img-src 'self' blob: data:; connect-src 'self'; "
        b"worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),  # the address holds the token
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


def new_token() -> str:
    """Return a random token for an address."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


class Guard:
    """Passes on what may be answered, without the token in the path; refuses everything else.

    A request is refused if its host is not this machine (a web site could let its own name point here), if another site
    sent it, if its path lacks the token or contains anything but plain names, or if it would change anything.

    Parameters
    ----------
    app : ASGI application
        Answers the requests.
    token : str
        First part of the path.
    """

    def __init__(self, app: App, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            message = f"only HTTP is answered, not {scope['type']}"
            raise ValueError(message)

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        refusal = self._refusal(scope)
        if refusal:
            status, reason = refusal
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send_with_headers({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": f"{reason}\n".encode()})
            return
        path = scope["path"].removeprefix(f"/{self._token.decode()}") or "/"
        await self._app({**scope, "path": path, "raw_path": path.encode()}, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and reason if a request is refused."""
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if _hostname(f"//{host}") not in _OWN_HOSTS:
            return 403, "The viewer answers requests to this machine only."
        if not _is_own_origin(headers, host):
            return 403, "The viewer answers its own page only."
        path = scope.get("raw_path") or scope["path"].encode()
        if len(path) > _LONGEST_PATH or not _SAFE_PATH.fullmatch(path) or b".." in path:
            return 400, "No such address."
        if not secrets.compare_digest(path[1:].partition(b"/")[0], self._token):
            return 403, "Open the whole address that the command printed, with the token."
        if scope["method"] not in ("GET", "HEAD"):
            return 405, "The viewer is read-only."
        return None


def _is_own_origin(headers: dict[bytes, bytes], host: str) -> bool:
    """Whether a request comes from the viewer's own page, or opens this page by a link or from the address bar."""
    origin = headers.get(b"origin")
    if origin is not None and origin.decode("latin-1") != f"http://{host}":
        return False
    site = headers.get(b"sec-fetch-site", b"none")
    return site in _SAME_SITE or headers.get(b"sec-fetch-dest") == b"document"


def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
