# SPDX-License-Identifier: Apache-2.0
"""HTTP clients for measurements, which do as little work as can be, and servers as processes of their own."""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType


class Server:
    """A server in a process of its own, which says `http://127.0.0.1:PORT` on standard error when it is ready."""

    def __init__(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break
        else:
            raise RuntimeError("the server did not start:\n" + "".join(said))
        threading.Thread(target=self._process.stderr.read, daemon=True).start()

    @property
    def memory_mib(self) -> float:
        """Resident memory now."""
        with open(f"/proc/{self._process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self.code = self._process.wait(120)


class Connection:
    """A connection that is kept open; opened again after the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes, pieces: Sequence[float] = ()) -> tuple[int, bytes]:
        """Status and body of an answer; `pieces` are the seconds to wait before each part of the body."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        step = len(body) // (len(pieces) + 1)
        for number, seconds in enumerate(pieces):
            writer.write(body[number * step : (number + 1) * step])
            await asyncio.sleep(seconds)
        writer.write(body[len(pieces) * step :])
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = re.search(rb"content-length: (\d+)", head)
        content = await reader.readexactly(int(size[1])) if size else b""
        if b"connection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1]), content

    async def abort(self, path: str, body: bytes, seconds: float) -> None:
        """Send a request, whole or in part, and go away."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body) + 1}\r\n\r\n".encode())
        writer.write(body + b" " * (seconds > 0))
        await asyncio.sleep(seconds)
        writer.transport.abort()

    def close(self) -> None:
        """Close it, if it is open."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def parser_of_clients(description: str | None, clients: int) -> argparse.ArgumentParser:
    """A command line with the model to serve, what is sent to it, and by how many clients, by default so many."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a sentence-transformers model, such as MiniLM")
    parser.add_argument("--texts", required=True, help="file with a text a line")
    parser.add_argument("--clients", type=int, default=clients)
    return parser


def read_lines(path: str) -> list[str]:
    """The lines of a file that are not blank."""
    return [line.strip() for line in Path(path).read_text().splitlines() if line.strip()]
