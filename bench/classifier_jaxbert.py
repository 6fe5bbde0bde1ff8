# SPDX-License-Identifier: Apache-2.0
"""Our side of bench/classifier.py: the functions that `run_classifier` runs, on record files."""

import json
import sys
import time

import jax
import numpy as np

from bench.side_by_side import peak_memory_mib, serve
from jaxbert.batches.loader import TrainingBatches, evaluation_batches
from jaxbert.batches.packing import choose_shape
from jaxbert.batches.rows import label_targets
from jaxbert.config.bert_config import BertConfig
from jaxbert.model.heads import classify
from jaxbert.model.weights import classifier_table, initialize
from jaxbert.train import runtime
from jaxbert.train.losses import classification_loss
from jaxbert.train.optimizers import AdamW, decay_mask
from jaxbert.train.schedules import LinearSchedule
from jaxbert.train.step import initial_state, train_step


def main() -> None:
    """Answer requests for timed steps."""
    started = time.perf_counter()
    settings = json.loads(sys.argv[1])
    runtime.prepare(compile_cache="")
    config = BertConfig(**settings["config"])
    data = np.load(settings["data"])
    features = {
        "input_ids": data["ids"],
        "segment_ids": data["types"],
        "label_ids": data["labels"],
        "input_mask": (np.arange(data["ids"].shape[1])[None] < data["lengths"][:, None]).astype(np.int64),
    }

    def read(numbers: np.ndarray) -> dict[str, np.ndarray]:
        return {name: array[numbers] for name, array in features.items()}

    batch_size, size = settings["batch_size"], len(data["lengths"])
    shape = choose_shape(data["lengths"], batch_size, seed=0, multiple=8, even=True)
    batches = TrainingBatches(read, size, batch_size, 1, shape, seed=0, targets=label_targets, lengths=data["lengths"])
    table = classifier_table(config, 2)
    optimizer = AdamW()

    def loss(weights, batch, noise):  # type: ignore[no-untyped-def]
        return classification_loss(
            classify(weights, config, batch, noise=noise), batch["label_ids"], batch["label_weights"]
        )

    step = train_step(loss, optimizer, LinearSchedule(2e-5, 0.0, 10, 10**6), decay_mask(table), seed=0)
    state = initial_state(initialize(table, 0, 0.02), optimizer)
    compiling = time.perf_counter()
    compiled = {
        rows: jax.jit(step, donate_argnums=0).lower(state, resized(batches.at(0), rows)).compile()
        for rows in shape.rows[:1]
    }
    compile_seconds = time.perf_counter() - compiling
    predict = jax.jit(lambda weights, batch: jax.nn.softmax(classify(weights, config, batch)))
    first_step = None

    def train(number: int) -> tuple[float, int]:
        nonlocal state, first_step
        start = time.perf_counter()
        batch = batches.at(number)
        rows = batch["input_ids"].shape[2]
        if rows not in compiled:  # compiled before the clock starts, as in a long run
            compiled[rows] = jax.jit(step, donate_argnums=0).lower(state, batch).compile()
            start = time.perf_counter()
            batch = batches.at(number)
        state, metrics = compiled[rows](state, batch)
        float(metrics["loss"][0])
        first_step = first_step or time.perf_counter() - started
        return time.perf_counter() - start, batch["input_ids"].size

    def answer(mode: str, number: int) -> dict[str, float]:
        if mode == "train":
            seconds, positions = train(number)
        else:
            start = time.perf_counter()
            window = np.arange(settings["window"]) + number * settings["window"]
            parts = evaluation_batches(
                lambda numbers: read(window[numbers]), len(window), shape, len(window), label_targets
            )
            outputs = [(predict(state["weights"], part), part["input_ids"].size) for part in parts]
            np.asarray(outputs[-1][0])
            seconds, positions = time.perf_counter() - start, sum(size for _, size in outputs)
        return {
            "seconds": seconds,
            "positions": positions,
            "peak_mib": peak_memory_mib(),
            "compile_seconds": compile_seconds,
            "first_step_seconds": first_step or 0.0,
        }

    serve(answer)


def resized(batch: dict[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    """The batch with this many rows, empty ones added or rows dropped: its shapes are what counts."""
    return {name: np.resize(array, (1, 1, rows, array.shape[3])) for name, array in batch.items()}


if __name__ == "__main__":
    main()
