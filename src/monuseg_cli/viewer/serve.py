"""A local web server for the viewer."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from monuseg_cli.core.errors import InputError
from monuseg_cli.viewer.guard import App

if TYPE_CHECKING:
    from uvicorn import Server

HOST = "127.0.0.1"
_LAST_REQUESTS_S = 1
_SWITCH_S = 0.0005
"""Seconds after which a request interrupts the reading of nuclei; by default, Python takes ten times as many."""


@contextmanager
def listen(port: int) -> Iterator[socket.socket]:
    """Open a socket on this machine's loopback address; port 0 takes a free one.

    Raises
    ------
    InputError
        If the port is in use, or not allowed.
    """
    with socket.socket() as listening:
        if os.name == "posix":  # elsewhere, it would let two programs share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
            listening.listen()  # so that requests wait until the server has started
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            message = f"cannot listen on `port={port}` ({reason}); choose another, or leave it out for a free one"
            raise InputError(message) from error
        yield listening


def build_server(app: App) -> "Server":
    """Build a server that is not started yet."""
    from uvicorn import Config, Server

    config = Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_LAST_REQUESTS_S,
    )
    return Server(config)


def serve(app: App, listening: socket.socket) -> None:
    """Answer requests until Ctrl-C."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        with suppress(KeyboardInterrupt):
            build_server(app).run(sockets=[listening])
    finally:
        sys.setswitchinterval(interval)
