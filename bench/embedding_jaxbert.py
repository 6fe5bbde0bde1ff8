# SPDX-License-Identifier: Apache-2.0
"""Our side of bench/embedding.py."""

import json
import sys
import time
from pathlib import Path

import numpy as np

import jaxbert
from bench.side_by_side import peak_memory_mib, serve


def main() -> None:
    """Answer requests for vectors of all texts."""
    settings = json.loads(sys.argv[1])
    model = jaxbert.load(settings["model"], max_seq_length=settings["length"], dtype=settings["dtype"])
    texts = Path(settings["texts"]).read_text().split("\n")

    def answer(output: str) -> dict[str, float]:
        start = time.perf_counter()
        vectors = model.embed(texts, normalize=True)
        seconds = time.perf_counter() - start
        np.save(output, vectors)
        return {"seconds": seconds, "peak_mib": peak_memory_mib()}

    serve(answer)


if __name__ == "__main__":
    main()
