# SPDX-License-Identifier: Apache-2.0
"""Emulators of S3 and Google Cloud Storage on this machine, behind a proxy that makes requests fail as told."""

import contextlib
import dataclasses
import http.client
import http.server
import itertools
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

import fsspec
import pytest

BUCKET = "bucket"
Fault = Literal["unavailable", "forbidden", "dropped", "silent"]
_TIMEOUTS = itertools.count(60)
_STATUS = {"unavailable": 503, "forbidden": 403}
_OF_A_CONNECTION = {"connection", "transfer-encoding", "keep-alive"}


@dataclasses.dataclass
class Storage:
    """A storage on this machine.

    Attributes:
        root: what paths in its bucket begin with.
        choose: (method, path and range, how often that was asked for before) -> what goes wrong with the request.
        requests: all that came, as methods and paths.
        closed: set at the end, when nobody waits for an answer any more.
    """

    root: str
    choose: Callable[[str, str, int], Fault | None] = lambda method, place, before: None
    requests: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    closed: threading.Event = dataclasses.field(default_factory=threading.Event)


@contextlib.contextmanager
def running(scheme: str, patch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """While entered, the clients of this storage come to an emulator, through a proxy."""
    patch.setattr("jaxbert.io.storage.TIMEOUT_SECONDS", next(_TIMEOUTS))  # fsspec keeps clients by their settings
    storage = Storage(f"{scheme}://{BUCKET}")
    with _s3() if scheme == "s3" else _gs() as port, _proxy(storage, port) as address:
        if scheme == "gs":
            patch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
        for name, value in _settings(scheme, address).items():
            patch.setenv(name, value)
        pytest.importorskip({"s3": "s3fs", "gs": "gcsfs"}[scheme])  # which read some of them when imported
        yield storage


def _settings(scheme: str, address: str) -> dict[str, str]:
    """The variables by which clients find the storage, and ask for nothing outside of this machine."""
    if scheme == "gs":
        offline = {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
        return {**offline, "STORAGE_EMULATOR_HOST": address, "NO_PROXY": "127.0.0.1"}
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    return {**keys, "AWS_ENDPOINT_URL": address, "NO_PROXY": "127.0.0.1"}


@contextlib.contextmanager
def _s3() -> Iterator[int]:
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("PUT", f"/{BUCKET}")
    assert connection.getresponse().status == 200
    connection.close()
    yield port
    server.stop()


@contextlib.contextmanager
def _gs() -> Iterator[int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the emulator imports
        emulator = pytest.importorskip("gcp_storage_emulator.server")
    server = emulator.create_server("127.0.0.1", 0, in_memory=True, default_bucket=BUCKET)
    server.start()
    yield server._api._httpd.server_port
    server.stop()


@contextlib.contextmanager
def _proxy(storage: Storage, port: int) -> Iterator[str]:
    class Handler(_Handler):
        pass

    Handler.storage, Handler.port, Handler.asked = storage, port, {}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    storage.closed.set()
    server.shutdown()
    thread.join()
    server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Passes one request on, unless it is to fail."""

    protocol_version = "HTTP/1.1"
    storage: Storage
    port: int
    asked: dict[tuple[str, str], int]

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def pass_on(self) -> None:
        """Answer as the emulator does, or wrongly."""
        body = self._body()
        place = f"{self.path} {self.headers.get('Range', '')}".strip()
        self.storage.requests.append((self.command, place))
        before = self.asked.get((self.command, place), 0)
        self.asked[self.command, place] = before + 1
        fault = self.storage.choose(self.command, place, before)
        if fault in _STATUS:
            self._answer(_STATUS[fault], [("Content-Type", "text/plain")], b"")
            return
        if fault == "silent":
            self.storage.closed.wait()
        if fault == "silent" or (fault == "dropped" and self.command != "GET"):
            self.close_connection = True  # before anything was done
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_A_CONNECTION}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        with contextlib.suppress(ConnectionError):
            self._answer(answer.status, answer.getheaders(), content, cut=fault == "dropped")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on  # noqa: N815 (names that the server looks for)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _OF_A_CONNECTION and (name.lower() != "content-length" or self.command == "HEAD"):
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True
