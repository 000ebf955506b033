"""A stand-in for Google Drive on the loopback address, which serves generated archives as the published ones."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qs, urlparse

import pytest

from monuseg_cli.dataset import download as module
from monuseg_cli.dataset.catalog import ARCHIVES, Archive, Split

VIRUS_PAGE = b"<!DOCTYPE html><title>Google Drive - Virus scan warning</title>"

Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def drive(answer: Callable[[dict[str, list[str]]], Answer]) -> Iterator[tuple[str, list[str]]]:
    """Serve on the loopback address what `answer` gives for a query; lists the ids that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlparse(self.path).query)
            asked.append(query["id"][0])
            status, headers, body = answer(query)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/download", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def publish(archives: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Take these archives, of the train and the test split, for the published ones; gives the bytes by Drive id."""
    splits: tuple[Split, Split] = ("train", "test")
    official = {
        split: Archive(path.name, ARCHIVES[split].drive_id, hashlib.sha256(path.read_bytes()).hexdigest())
        for split, path in zip(splits, archives, strict=True)
    }
    monkeypatch.setattr(module, "ARCHIVES", MappingProxyType(official))
    return {official[split].drive_id: path.read_bytes() for split, path in zip(splits, archives, strict=True)}


def like_drive(files: dict[str, bytes]) -> Callable[[dict[str, list[str]]], Answer]:
    """Answer as Drive does: the file when the virus scan is confirmed to be missing, else a page with status 200."""

    def answer(query: dict[str, list[str]]) -> Answer:
        if query.get("confirm") != ["t"] or query.get("export") != ["download"]:
            return 200, {"Content-Type": "text/html; charset=utf-8"}, VIRUS_PAGE
        body = files[query["id"][0]]
        return 200, {"Content-Type": "application/octet-stream", "Content-Length": str(len(body))}, body

    return answer
