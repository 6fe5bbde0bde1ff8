# SPDX-License-Identifier: Apache-2.0
"""The peer of bench/serving.py: a minimal FastAPI app that batches with padding, up to 32 texts or 5 ms."""

import asyncio
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import torch
import uvicorn
from fastapi import FastAPI, Request, Response
from transformers import AutoModel, AutoTokenizer

TEXTS, SECONDS, LENGTH = 32, 0.005, 256


def main() -> None:
    """Serve `POST /embed` of the model in a folder: mean pooling, length 1."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    tokenizer, model = AutoTokenizer.from_pretrained(sys.argv[1]), AutoModel.from_pretrained(sys.argv[1]).eval()
    waiting: asyncio.Queue[tuple[str, asyncio.Future[Any]]] = asyncio.Queue()
    thread = ThreadPoolExecutor(1)

    def vectors(texts: list[str]) -> Any:
        with torch.inference_mode():
            inputs = tokenizer(texts, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt")
            mask = inputs["attention_mask"][..., None]
            pooled = (model(**inputs).last_hidden_state * mask).sum(1) / mask.sum(1)
            return torch.nn.functional.normalize(pooled).numpy()

    async def batches() -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [await waiting.get()]
            end = loop.time() + SECONDS
            while len(batch) < TEXTS and loop.time() < end:
                try:
                    batch.append(await asyncio.wait_for(waiting.get(), end - loop.time()))
                except TimeoutError:
                    break
            found = await loop.run_in_executor(thread, vectors, [text for text, _ in batch])
            for (_, answer), vector in zip(batch, found, strict=True):
                answer.set_result(vector)

    app = FastAPI()
    tasks: list[asyncio.Task[None]] = []

    @app.post("/embed")
    async def embed(request: Request) -> Response:
        if not tasks:
            tasks.append(asyncio.create_task(batches()))
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await waiting.put((orjson.loads(await request.body())["inputs"], answer))
        return Response(orjson.dumps([await answer], option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")

    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


if __name__ == "__main__":
    main()
