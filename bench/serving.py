# SPDX-License-Identifier: Apache-2.0
"""`jaxbert serve` beside a minimal FastAPI app on transformers that batches with padding, on this CPU.

    python -m bench.serving --model=minilm --texts=snippets.txt

64 clients on loopback, each of which sends a text (one a line) as soon as it has the answer to the one before. Both
sides in every round, each idle while the other works: requests/s, and the 50th and 99th percentile of the seconds from
request to answer. Then one client alone, beside a direct call of the library.
"""

import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import jaxbert
from bench.http_clients import Connection, Server, parser_of_clients, read_lines
from bench.side_by_side import median_and_spread, write_results

SIDES = ("ours", "peer")


async def load(port: int, texts: Sequence[str], clients: int, seconds: float) -> list[float]:
    """Seconds of each request that was answered within the time."""
    bodies = itertools.cycle([json.dumps({"inputs": text}).encode() for text in texts])
    taken: list[float] = []
    end = time.perf_counter() + seconds

    async def client() -> None:
        connection = Connection(port)
        while (start := time.perf_counter()) < end:
            status, _ = await connection.post("/embed", next(bodies))
            assert status == 200
            taken.append(time.perf_counter() - start)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return taken


def vectors(port: int, texts: Sequence[str]) -> np.ndarray:
    """The vectors of some texts [n, H]."""

    async def ask() -> list[Any]:
        connection = Connection(port)
        answers = [await connection.post("/embed", json.dumps({"inputs": text}).encode()) for text in texts]
        connection.close()
        return [json.loads(body)[0] for _, body in answers]

    return np.array(asyncio.run(ask()))


def measure(model: str, texts: Sequence[str], clients: int, seconds: float, rounds: int) -> dict[str, Any]:
    """Figures of both sides in every round."""
    found: dict[str, Any] = {side: {"requests_per_second": [], "p50": [], "p99": []} for side in SIDES}
    found |= {"alone": [], "direct": []}
    loaded = jaxbert.load(model)
    ours = Server("jaxbert", "serve", f"--model={model}", "--port=0")
    with ours, Server("bench.serving_peer", model) as peer:
        ports = {"ours": ours.port, "peer": peer.port}
        both = [vectors(port, texts[:100]) for port in ports.values()]
        found["largest_cosine_distance"] = float(1 - np.sum(both[0] * both[1], axis=1).min())
        for port in ports.values():
            asyncio.run(load(port, texts, clients, 2 * seconds))  # programs are compiled, memory is taken
        direct(loaded, texts, 2 * seconds)
        for number in range(rounds):
            for side in SIDES[:: 1 if number % 2 else -1]:
                taken = np.array(asyncio.run(load(ports[side], texts, clients, seconds)))
                found[side]["requests_per_second"].append(len(taken) / seconds)
                found[side]["p50"].append(float(np.quantile(taken, 0.5)))
                found[side]["p99"].append(float(np.quantile(taken, 0.99)))
            found["alone"].append(statistics.median(asyncio.run(load(ports["ours"], texts, 1, seconds))))
            found["direct"].append(direct(loaded, texts, seconds))
    return found


def direct(model: jaxbert.Model, texts: Sequence[str], seconds: float) -> float:
    """The median of the seconds that the library takes for one text."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    for text in itertools.cycle(texts):
        start = time.perf_counter()
        if start > end:
            break
        model.embed([text], normalize=True)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = parser_of_clients(__doc__, 64)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each side in each round")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    texts = read_lines(arguments.texts)
    found = measure(arguments.model, texts, arguments.clients, arguments.seconds, arguments.rounds)
    for side in SIDES:
        print(side, {name: median_and_spread(values) for name, values in found[side].items()})
    rates = (found[side]["requests_per_second"] for side in SIDES)
    print("ours over the peer:", median_and_spread([ours / peer for ours, peer in zip(*rates, strict=True)]))
    alone = [alone / call for alone, call in zip(found["alone"], found["direct"], strict=True)]
    print("one client over a direct call:", median_and_spread(alone))
    print("largest cosine distance:", found["largest_cosine_distance"])
    print(f"written to {write_results('serving', found)}")


if __name__ == "__main__":
    main()
