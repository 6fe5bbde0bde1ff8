# SPDX-License-Identifier: Apache-2.0
"""The peer of bench/embedding.py: sentence-transformers on PyTorch."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer, models

from bench.side_by_side import peak_memory_mib, serve


def main() -> None:
    """Answer requests for vectors of the first texts."""
    settings = json.loads(sys.argv[1])
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    transformer = models.Transformer(settings["model"], max_seq_length=settings["length"])
    modules = [transformer, models.Pooling(transformer.get_embedding_dimension(), "mean"), models.Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu")
    if settings["dtype"] == "bf16":
        model = model.bfloat16()
    texts = Path(settings["texts"]).read_text().split("\n")

    def answer(batch: int, size: int, output: str) -> dict[str, float]:
        start = time.perf_counter()
        vectors = model.encode(texts[:size], batch_size=batch, show_progress_bar=False, convert_to_tensor=True)
        array = vectors.float().numpy()
        seconds = time.perf_counter() - start
        if output:
            np.save(output, array)
        return {"seconds": seconds, "peak_mib": peak_memory_mib()}

    serve(answer)


if __name__ == "__main__":
    main()
