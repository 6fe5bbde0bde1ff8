# SPDX-License-Identifier: Apache-2.0
"""Vectors of real texts by `jaxbert.load(...).embed` beside sentence-transformers' `encode`, on this CPU.

    python -m bench.embedding --model=minilm --texts=snippets.txt --texts=paragraphs.txt

Texts one a line, at most 256 tokens of each; mean pooling, length 1, float32 and bfloat16. The peer sorts by length and
runs in the batch size of a few that is fastest for it. Medians over the rounds, ratios, and the largest cosine distance
between the two sides' vectors.
"""

import argparse
import itertools
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.side_by_side import Worker, median_and_spread, write_results

LENGTH = 256
PEER_BATCHES = (8, 32, 128)
TRIED = 512  # texts with which the peer's batch size is chosen
DTYPES = ("fp32", "bf16")


def measure(model: str, path: str, dtype: str, size: int, rounds: int) -> dict[str, Any]:
    """Texts per second of both sides in every round, and how far apart their vectors are."""
    texts = [line.strip() for line in Path(path).read_text().splitlines() if line.strip()][:size]
    rates: dict[str, list[float]] = {"ours": [], "peer": []}
    with tempfile.TemporaryDirectory() as folder:
        files = {side: os.path.join(folder, f"{side}.npy") for side in rates}
        inputs = os.path.join(folder, "texts.txt")
        Path(inputs).write_text("\n".join(texts))
        settings = {"model": os.path.abspath(model), "texts": inputs, "length": LENGTH, "dtype": dtype}
        ours, peer = (Worker(f"bench.embedding_{side}", settings) for side in ("jaxbert", "peer"))
        ours.ask(output=files["ours"])
        tried = {batch: peer.ask(batch=batch, size=TRIED, output="")["seconds"] for batch in PEER_BATCHES}
        best = min(tried, key=lambda batch: tried[batch])
        for number in range(rounds):
            asked: list[tuple[str, Worker, dict[str, Any]]] = [
                ("ours", ours, {"output": files["ours"]}),
                ("peer", peer, {"output": files["peer"], "batch": best, "size": size}),
            ]
            for side, worker, request in asked[:: 1 if number % 2 else -1]:
                rates[side].append(len(texts) / worker.ask(**request)["seconds"])
        vectors = [np.load(file) for file in files.values()]
        for worker in (ours, peer):
            worker.close()
    distance = float(1 - np.sum(vectors[0] * vectors[1], axis=1).min())
    return {"texts": len(texts), "texts_per_second": rates, "largest_cosine_distance": distance}


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a sentence-transformers model, such as MiniLM")
    parser.add_argument("--texts", required=True, action="append", help="file with a text a line; may be given again")
    parser.add_argument("--size", type=int, default=5000, help="texts of each file")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    results = {}
    for path, dtype in itertools.product(arguments.texts, DTYPES):
        found = measure(arguments.model, path, dtype, arguments.size, arguments.rounds)
        results[f"{path} {dtype}"] = found
        print(
            f"{path}, {dtype}: {found['texts']} texts, largest cosine distance {found['largest_cosine_distance']:.1e}"
        )
        rates = found["texts_per_second"]
        for side, values in rates.items():
            print(f"  {side} {median_and_spread(values)} texts/s")
        ratios = [ours / peer for ours, peer in zip(rates["ours"], rates["peer"], strict=True)]
        print(f"  ours over the peer: {median_and_spread(ratios)}", flush=True)
    print(f"written to {write_results('embedding', results)}")


if __name__ == "__main__":
    main()
