# SPDX-License-Identifier: Apache-2.0
"""Our side of bench/pretraining.py: the functions that `run_pretraining` runs, on packed rows and on padded ones."""

import functools
import json
import sys
import time
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from bench.side_by_side import peak_memory_mib, serve
from jaxbert.batches.devices import device_mesh
from jaxbert.batches.loader import TrainingBatches
from jaxbert.batches.packing import RowShape, choose_shape
from jaxbert.config.bert_config import BertConfig
from jaxbert.model.encoder import Compute
from jaxbert.model.heads import pretrain
from jaxbert.model.weights import Tree, initialize, pretraining_table
from jaxbert.tasks.pretraining import pretraining_targets
from jaxbert.train import devices
from jaxbert.train.losses import pretraining_loss
from jaxbert.train.optimizers import AdamW, LinearSchedule, decay_mask
from jaxbert.train.step import Batch, initial_state, train_step

DTYPES = {"fp32": jnp.float32, "bf16": jnp.bfloat16}


def main() -> None:
    """Answer requests for timed steps."""
    settings = json.loads(sys.argv[1])
    devices.prepare()
    config = BertConfig(**settings["config"])
    compute = Compute(DTYPES[settings["dtype"]], remat=settings["remat"])
    features = dict(np.load(settings["data"]))
    batches = {way: _batches(features, settings, way) for way in ("packed", "padded")}
    table, optimizer = pretraining_table(config, next_sentence=True), AdamW()

    def loss(weights: Tree, batch: Batch, dropout_bits: jax.Array | None) -> jax.Array:
        return pretraining_loss(
            *pretrain(weights, config, batch, next_sentence=True, dropout_bits=dropout_bits, compute=compute), batch
        )

    steps = train_step(loss, optimizer, LinearSchedule(1e-4, 0.0, 10, 10**6), decay_mask(table), seed=0)
    state = initial_state(initialize(table, 0, 0.02))
    programs: dict[tuple[str, tuple[int, ...]], jax.stages.Compiled] = {}

    def answer(mode: str, number: int = 0) -> dict[str, float]:
        nonlocal state
        if mode == "products":
            return {"flops": _products(config, compute.dtype)}
        batch = batches[mode].at(number)
        shape = (mode, batch["input_ids"].shape)
        if shape not in programs:  # compiled before the clock starts, as in a long run
            options = devices.compiler_options(config, device_mesh(jax.local_devices()), compute.dtype)
            programs[shape] = jax.jit(steps, donate_argnums=0, compiler_options=options).lower(state, batch).compile()
        start = time.perf_counter()
        batch = batches[mode].at(number)
        state, metrics = programs[shape](state, batch)
        float(metrics["loss"][0])
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "positions": batch["input_ids"].size, "peak_mib": peak_memory_mib()}

    serve(answer)


def _batches(features: Mapping[str, np.ndarray], settings: Mapping[str, int], way: str) -> TrainingBatches:
    """Several records in a row, or one in each."""
    size, longest = features["input_ids"].shape
    batch_size, parts = settings["batch_size"], settings["parts"]
    predicted = np.count_nonzero(features["masked_lm_weights"], axis=1)
    if way == "packed":
        lengths = np.count_nonzero(features["input_mask"], axis=1)
        multiple = 8 if jax.default_backend() == "cpu" else 128
        shape = choose_shape(lengths, batch_size // parts, multiple, predicted=predicted)
    else:
        shape = RowShape(longest, (batch_size // parts,), 1, features["masked_lm_ids"].shape[1])

    def read(numbers: np.ndarray) -> dict[str, np.ndarray]:
        return {name: array[numbers] for name, array in features.items()}

    targets = functools.partial(pretraining_targets, predictions=shape.predictions)
    return TrainingBatches(read, size, batch_size, parts, shape, seed=0, targets=targets)


def _products(config: BertConfig, dtype: jax.typing.DTypeLike) -> float:
    """Floating point operations a second of the largest product of a layer, alone: the best of ten."""
    rows, H, F = 4096, config.hidden_size, config.intermediate_size
    x, kernel = jnp.ones((rows, H), dtype), jnp.ones((H, F), dtype)
    product = jax.jit(jnp.matmul)
    product(x, kernel).block_until_ready()
    best = np.inf
    for _ in range(10):
        start = time.perf_counter()
        product(x, kernel).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2.0 * rows * H * F / best


if __name__ == "__main__":
    main()
