# SPDX-License-Identifier: Apache-2.0
"""A server under requests of all kinds, each answer of which is checked, and its memory.

    python -m bench.soak --model=minilm --texts=snippets.txt --seconds=600

Clients send right requests (of one text or several, in three forms; some slowly), oversized and malformed ones, and
requests that they give up, at random. A right request must be answered, with its own vectors; a wrong one with its
status; at the end a signal must leave nothing unanswered. Memory is that of the server after the first tenth of the
time, and at the end.
"""

import asyncio
import collections
import contextlib
import json
import random
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import jaxbert
from bench.http_clients import Connection, Server, parser_of_clients, read_lines
from bench.side_by_side import write_results

MOST_TEXTS, MOST_BYTES = 32, 100_000
WRONG: tuple[tuple[str, bytes, int], ...] = (
    ("/embed", b'{"inputs": ', 400),
    ("/embed", b'{"inputs": [1]}', 400),
    ("/embed", b'{"inputs": "a", "unknown": 1}', 400),
    ("/embed", b'{"inputs": "' + b"a " * 300 + b'"}', 413),
    ("/embed", json.dumps({"inputs": ["a"] * (MOST_TEXTS + 1)}).encode(), 413),
    ("/embed", b'{"inputs": "' + b"a" * MOST_BYTES + b'"}', 413),
    ("/predict", b'{"inputs": "a"}', 400),
    ("/answer", b'{"question": "a", "context": "b"}', 400),
    ("/v1/models/nothing:predict", b'{"instances": ["a"]}', 404),
    ("/v1/embeddings", b'{"input": "a", "model": "nothing"}', 404),
    ("/nothing", b"{}", 404),
)


class Soak:
    """The clients, what they know, and what happened to them."""

    def __init__(self, port: int, name: str, texts: Sequence[str], expected: np.ndarray, end: float) -> None:
        self.port, self.name, self.texts, self.expected, self.end = port, name, texts, expected, end
        self.counts: collections.Counter[str] = collections.Counter()
        self.faults: list[str] = []

    async def client(self, seed: int) -> None:
        """Requests of all kinds until the end."""
        chance, connection = random.Random(seed), Connection(self.port)
        while time.monotonic() < self.end:
            kind = chance.choices(("right", "slow", "wrong", "aborted"), (75, 5, 15, 5))[0]
            try:
                if kind == "aborted":
                    await self._abort(chance, connection)
                elif kind == "wrong":
                    await self._wrong(chance, connection)
                else:
                    await self._right(chance, connection, [chance.random() / 5 for _ in range(5 * (kind == "slow"))])
                self.counts[kind] += 1
            except (OSError, asyncio.IncompleteReadError) as error:
                self.faults.append(f"{kind}: no answer: {error!r}")
                connection.close()
        connection.close()

    async def _right(self, chance: random.Random, connection: Connection, pieces: Sequence[float]) -> None:
        numbers = [chance.randrange(len(self.texts)) for _ in range(chance.choice((1, 1, 1, 2, 5, MOST_TEXTS)))]
        texts = [self.texts[number] for number in numbers]
        path, body = chance.choice(
            [
                ("/embed", {"inputs": texts}),
                ("/v1/embeddings", {"input": texts, "model": self.name}),
                (f"/models/{self.name}/embed", {"inputs": texts, "truncate": True}),
            ]
        )
        status, content = await connection.post(path, json.dumps(body).encode(), pieces)
        if status == 429:
            self.counts["come back later"] += 1
        elif status != 200:
            self.faults.append(f"right, and answered with {status}: {content[:200]!r}")
        else:
            found: Any = json.loads(content)
            rows = [row["embedding"] for row in found["data"]] if path == "/v1/embeddings" else found
            far = float(np.abs(np.array(rows) - self.expected[numbers]).max())
            if not far < 1e-5:
                self.faults.append(f"another's answer, or a wrong one: {far}")

    async def _wrong(self, chance: random.Random, connection: Connection) -> None:
        path, body, expected = chance.choice(WRONG)
        status, content = await connection.post(path, body)
        if status != expected or b"hint: " not in content:
            self.faults.append(f"{path} was answered with {status} instead of {expected}")

    async def _abort(self, chance: random.Random, connection: Connection) -> None:
        body = json.dumps({"inputs": chance.choices(self.texts, k=MOST_TEXTS)}).encode()
        part = body if chance.random() < 0.5 else body[: chance.randrange(len(body))]
        await connection.abort("/embed", part, chance.random() / 20)


async def run(soak: Soak, clients: int, server: Server, seconds: float) -> list[float]:
    """Let the clients run; the server's memory in MiB, ten times."""
    memory: list[float] = []

    async def look() -> None:
        for _ in range(10):
            await asyncio.sleep(seconds / 10)
            memory.append(server.memory_mib)

    await asyncio.gather(look(), *(soak.client(seed) for seed in range(clients)))
    return memory


def main() -> int:
    """Run; the code is 1 where anything was not as it must be."""
    parser = parser_of_clients(__doc__, 32)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--settle", type=float, default=60.0, help="seconds before, in which the server compiles")
    arguments = parser.parse_args()
    lines = read_lines(arguments.texts)
    texts = random.Random(0).sample(lines, min(len(lines), 1000))
    model = jaxbert.load(arguments.model)
    texts = [text for text, size in zip(texts, model.lengths(texts), strict=True) if size <= model.max_seq_length]
    expected = np.asarray(model.embed(texts, normalize=True))
    limits = (f"--max_texts={MOST_TEXTS}", f"--max_body_bytes={MOST_BYTES}")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            Server("jaxbert", "serve", f"--model=soaked={arguments.model}", "--port=0", *limits)
        )
        time.sleep(arguments.settle)
        soak = Soak(server.port, "soaked", texts, expected, time.monotonic() + arguments.seconds)
        memory = asyncio.run(run(soak, arguments.clients, server, arguments.seconds))
    growth = memory[-1] / memory[0] - 1
    print(dict(soak.counts), f"{len(soak.faults)} faults", *soak.faults[:10], sep="\n  ")
    print(f"memory {[round(one) for one in memory]} MiB, {growth:+.1%} since the first tenth; ended with {server.code}")
    write_results("soak", {"counts": soak.counts, "faults": soak.faults, "memory_mib": memory})
    return int(bool(soak.faults) or growth > 0.05 or server.code != 128 + 15)


if __name__ == "__main__":
    raise SystemExit(main())
