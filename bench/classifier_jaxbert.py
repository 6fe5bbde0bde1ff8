# SPDX-License-Identifier: Apache-2.0
"""Our side of bench/classifier.py: the functions that `run_classifier` runs, on record files."""

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from bench.side_by_side import peak_memory_mib, serve
from jaxbert.batches.devices import device_mesh, replicated, shard_rows
from jaxbert.batches.loader import TrainingBatches, evaluation_batches
from jaxbert.batches.packing import choose_shape, evaluation_shape
from jaxbert.batches.rows import Targets
from jaxbert.config.bert_config import BertConfig
from jaxbert.model.encoder import Compute
from jaxbert.model.heads import classify
from jaxbert.model.weights import Table, Tree, classifier_table, initialize
from jaxbert.tasks.classification import label_targets
from jaxbert.train import devices
from jaxbert.train.evaluate import computed
from jaxbert.train.losses import classification_loss
from jaxbert.train.optimizers import AdamW, LinearSchedule, decay_mask
from jaxbert.train.run import DTYPES
from jaxbert.train.step import Batch, CompiledSteps, Loss, initial_state, train_step


@dataclasses.dataclass(frozen=True)
class Task:
    """What differs from task to task.

    Attributes:
        config: sizes of the model.
        table: the weights.
        targets: what the loss compares with.
        labels: features that targets are made of, besides ids, mask and types: names in the record and in the data.
        loss: see `train_step`.
        predict: what is computed of a batch to predict.
    """

    config: BertConfig
    table: Table
    targets: Targets
    labels: Mapping[str, str]
    loss: Loss
    predict: Callable[[Tree, Batch], Any]


def main() -> None:
    """The classifier."""
    settings = json.loads(sys.argv[1])
    config = BertConfig(**settings["config"])
    compute = Compute(DTYPES[settings["dtype"]])

    def loss(weights: Tree, batch: Batch, dropout_bits: jax.Array | None) -> jax.Array:
        logits = classify(weights, config, batch, dropout_bits=dropout_bits, compute=compute)
        return classification_loss(logits, batch["label_ids"], batch["label_weights"])

    def predict(weights: Tree, batch: Batch) -> jax.Array:
        return jax.nn.softmax(classify(weights, config, batch, compute=compute))

    work(settings, Task(config, classifier_table(config, 2), label_targets, {"label_ids": "labels"}, loss, predict))


def work(settings: Mapping[str, Any], task: Task) -> None:
    """Answer requests for timed steps."""
    started = time.perf_counter()
    devices.prepare()
    data = np.load(settings["data"])
    features = {
        "input_ids": data["ids"],
        "segment_ids": data["types"],
        "input_mask": (np.arange(data["ids"].shape[1])[None] < data["lengths"][:, None]).astype(np.int64),
        **{name: data[short] for name, short in task.labels.items()},
    }

    def read(numbers: np.ndarray) -> dict[str, np.ndarray]:
        return {name: array[numbers] for name, array in features.items()}

    batch_size, size = settings["batch_size"], len(data["lengths"])
    shape = choose_shape(data["lengths"], batch_size, multiple=8)
    batches = TrainingBatches(read, size, batch_size, 1, shape, seed=0, targets=task.targets, lengths=data["lengths"])
    optimizer, mesh = AdamW(), device_mesh(jax.local_devices())
    options = devices.compiler_options(task.config, mesh, DTYPES[settings["dtype"]])
    schedule = LinearSchedule(2e-5, 0.0, 10, 10**6)
    one_step = train_step(task.loss, optimizer, schedule, decay_mask(task.table), seed=0)
    steps = CompiledSteps(one_step, lambda text: None, options)
    first = jax.jit(initial_state, donate_argnums=0, out_shardings=replicated(mesh))  # as the trainers do
    state = first(initialize(task.table, 0, 0.02))
    window = np.array(settings["window"])
    evaluated = evaluation_shape(data["lengths"][window], batch_size, multiple=8)
    predict = jax.jit(task.predict, compiler_options=options)
    seen: set[int] = set()
    first_step = None

    def read_window(numbers: np.ndarray) -> dict[str, np.ndarray]:
        return read(window[numbers])

    def train(number: int) -> tuple[float, int, int]:
        nonlocal state, first_step
        start = time.perf_counter()
        batch = shard_rows(batches.at(number), mesh, 2)
        rows = batch["input_ids"].shape[2]
        if rows not in seen:  # compiled, and its memory taken, before the clock starts, as in a long run
            seen.add(rows)
            state, _ = steps(state, batch)
            first_step = first_step or time.perf_counter() - started
            start = time.perf_counter()
            batch = shard_rows(batches.at(number), mesh, 2)
        state, metrics = steps(state, batch)
        float(metrics["loss"][0])
        return time.perf_counter() - start, batch["input_ids"].size, int(np.count_nonzero(batch["input_ids"]))

    def answer(mode: str, number: int = 0) -> dict[str, float]:
        if mode == "train":
            seconds, positions, tokens = train(number)
        else:
            start = time.perf_counter()
            parts = evaluation_batches(read_window, len(window), evaluated, len(window), task.targets)
            sized: Iterator[tuple[int, Any]] = ((part["input_ids"].size, part) for part in parts)
            outputs = [(size, jax.device_get(found)) for size, found in computed(predict, state["weights"], sized)]
            seconds, positions = time.perf_counter() - start, sum(size for size, _ in outputs)
            tokens = int(data["lengths"][window].sum())
        return {
            "seconds": seconds,
            "positions": positions,
            "tokens": tokens,
            "peak_mib": peak_memory_mib(),
            "first_step_seconds": first_step or 0.0,
        }

    serve(answer)


if __name__ == "__main__":
    main()
