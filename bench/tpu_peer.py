# SPDX-License-Identifier: Apache-2.0
"""Pretraining steps of ours and of transformers' FlaxBertForPreTraining by libtpu's compiler, without a TPU.

    python3 -m venv out/tpu-peer
    out/tpu-peer/bin/pip install -e '.[tpu]' 'transformers==4.57.*' flax optax
    out/tpu-peer/bin/python -m bench.tpu_peer [--model base] [--lengths mlperf] [--records 8 32] [--peer-records 8 16]
                                              [--ways numbers one-hot recomputed] [--layers 2]

The chips are v5e:2x4 in one mesh `data`. Both sides compute in bfloat16 with float32 weights, drop out and update by
LAMB. The peer, which 4.57 is the last to have, pads each record to 512 and scores the words of all positions, as that
model does; ours packs records of the same lengths. Counts and peaks are those of bench/tpu_check.py.

"+ kernels" adds to ours what attention's kernels take longer than the bytes they declare, by the schedule of
docs/scaling.md. A ratio is to the best row of the peer that fits the chip, by the same count. A process beside another
one that compiles by libtpu needs ALLOW_MULTIPLE_LIBTPU_LOAD=1.
"""

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # before jax is imported, see bench/tpu_check.py
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from transformers import BertConfig as PeerConfig
from transformers import FlaxBertForPreTraining

from bench.programs import pretraining
from bench.tpu_check import CHIPS, Measured, measure, released_config, topology_mesh
from bench.workload import real_lengths, uniform
from jaxbert.batches.devices import replicated, row_sharding
from jaxbert.config.bert_config import BertConfig

CHIP, TOPOLOGY = CHIPS["v5e"], "v5e:2x4"
ROW, LANES = 512, 128

# Token lengths of the 16,279,552 records of 512 that MLPerf's Wikipedia comes to, as 33 quantiles of the histogram that
# accompanies arXiv 2107.02027.
MLPERF = (5, 31, 39, 46, 53, 60, 67, 75, 84, 94, 105, 117, 131, 147, 164, 183, 204, 227, 253, 282, 314, 350, 390, 434,
          484, *[512] * 8)  # fmt: skip

# Bundles that libtpu schedules for 128 lanes of a row of 512, forward and backward, one a cycle of 1.5 GHz; and how
# many arrays like the queries' the two kernels declare.
KERNEL_SECONDS = (4157 + 459 + 5693 + 824) / 1.5e9
KERNEL_ARRAYS = 4 + 8


def _mlperf(size: int) -> np.ndarray:
    shares = (np.arange(size) + 0.5) / size
    lengths = np.interp(shares, np.linspace(0, 1, len(MLPERF)), MLPERF).round().astype(np.int64)
    mixed: np.ndarray = np.random.default_rng(0).permutation(lengths)
    return mixed


LENGTHS: dict[str, Callable[[int], np.ndarray]] = {
    "mlperf": _mlperf,
    "wikipedia": lambda size: real_lengths("run_pretraining", size),
    "near-512": lambda size: uniform(size, 480, ROW),
}


@dataclasses.dataclass(frozen=True)
class Way:
    """How the peer trains.

    Attributes:
        one_hot: labels are one-hot vectors, as in its examples, not numbers.
        recomputes: activations are made again in the backward pass (`gradient_checkpointing`).
    """

    one_hot: bool = False
    recomputes: bool = False


WAYS = {"numbers": Way(), "one-hot": Way(one_hot=True), "recomputed": Way(recomputes=True)}


_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def peer_step(config: BertConfig, mesh: Mesh, batch_size: int, way: Way) -> jax.stages.Traced:
    """The peer's training step: (weights and moments, batch, key) -> the first after it, loss."""
    model = _peer_model(config, way)
    optimizer = optax.lamb(optax.linear_schedule(1e-4, 0.0, 1000), weight_decay=0.01, mask=_decays)

    def step(state: Any, batch: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        weights, moments = state
        value, gradients = jax.value_and_grad(_peer_loss)(weights, model, batch, key, way)
        updates, moments = optimizer.update(gradients, moments, weights)
        return (optax.apply_updates(weights, updates), moments), value

    def first(weights: Any) -> Any:
        return weights, optimizer.init(weights)

    whole, rows = replicated(mesh), row_sharding(mesh, 0)
    state = _placed(jax.eval_shape(first, model.params_shape_tree), whole)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys((*_INPUTS, "labels"), (batch_size, ROW))
    shapes["next_sentence_label"] = (batch_size,)
    batch = {name: jax.ShapeDtypeStruct(shape, jnp.int32, sharding=rows) for name, shape in shapes.items()}
    key = _placed(jax.eval_shape(lambda: jax.random.key(0)), whole)
    return jax.jit(step, donate_argnums=0, out_shardings=whole).trace(state, batch, key)


def _peer_model(config: BertConfig, way: Way) -> Any:
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    sizes = {name: getattr(config, name) for name in names}
    of_peer = PeerConfig(**sizes, hidden_act="gelu_new")  # its name of what `gelu` is in the official releases
    return FlaxBertForPreTraining(of_peer, dtype=jnp.bfloat16, _do_init=False, gradient_checkpointing=way.recomputes)


def _peer_loss(weights: Any, model: Any, batch: Any, key: jax.Array, way: Way) -> jax.Array:
    found = model(*(batch[name] for name in _INPUTS), params=weights, dropout_rng=key, train=True)
    labels, logits = batch["labels"], found.prediction_logits
    if way.one_hot:
        losses = optax.softmax_cross_entropy(logits, jax.nn.one_hot(labels, logits.shape[-1]))
    else:
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(labels, 0))
    is_predicted = labels >= 0  # the others are -100
    of_next = optax.softmax_cross_entropy_with_integer_labels(
        found.seq_relationship_logits, batch["next_sentence_label"]
    )
    loss: jax.Array = jnp.sum(losses * is_predicted) / is_predicted.sum() + of_next.mean()
    return loss


def _decays(weights: Any) -> Any:
    """Which weights decay: no biases, and nothing of LayerNorm."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path[-1].key != "bias" and path[-2].key != "LayerNorm", weights
    )


def _placed(tree: Any, sharding: jax.sharding.Sharding) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)


@dataclasses.dataclass(frozen=True)
class Row:
    """One compiled step, or what became of it.

    Attributes:
        who: whose it is, and how.
        records: of a chip.
        rows: of a chip, of 512 positions.
        measured: the step.
        slower: seconds to add to its times.
    """

    who: str
    records: int
    rows: int
    measured: Measured
    slower: float = 0.0

    @property
    def seconds(self) -> tuple[float, float]:
        """Of a step, by count at the chip's peaks and by the compiler."""
        return max(self.measured.seconds(CHIP)) + self.slower, self.measured.estimate + self.slower

    @property
    def fits(self) -> bool:
        """Whether the chip has the memory."""
        return self.measured.memory <= CHIP.memory


def peer_rows(config: BertConfig, mesh: Mesh, records: Sequence[int], ways: Sequence[str]) -> list[Row]:
    """What the compiler says of the peer."""
    rows = []
    for way in ways:
        for count in records:
            print(f"compiling the peer: {way}, {count} records a chip", file=sys.stderr, flush=True)
            try:
                measured = measure(peer_step(config, mesh, count * mesh.size, WAYS[way]))
            except jax.errors.JaxRuntimeError as error:  # too large for the chip
                print(" ".join(str(error).split())[:200], file=sys.stderr, flush=True)
                continue
            rows.append(Row(f"peer, {way}", count, count, measured))
    return rows


def our_rows(config: BertConfig, mesh: Mesh, count: int, lengths: np.ndarray) -> tuple[list[Row], float]:
    """What the compiler says of ours, without and with the kernels' own time, and the real tokens of a chip."""
    programs = pretraining(config, mesh, count * mesh.size, "bf16", lengths)
    *_, rows, row_length = programs.batch["input_ids"].shape
    assert row_length == ROW
    of_chip = rows // mesh.size
    measured = measure(programs.train)
    kernels = (config.num_hidden_layers - 1) * of_chip * config.hidden_size // LANES  # the last layer's is another
    declared = KERNEL_ARRAYS * ROW * LANES * 2 / CHIP.bandwidth
    slower = kernels * (KERNEL_SECONDS - declared)
    found = [Row("ours", count, of_chip, measured), Row("ours + kernels", count, of_chip, measured, slower)]
    return found, programs.tokens / mesh.size


HEAD = (
    "model", "lengths", "step", "records a chip", "rows a chip", "GB", "GB touched", "TFLOP", "GB sent", "ms by count",
    "ms compiler", "real tokens/s a chip by count", "by compiler", "ratio by count", "by compiler",
)  # fmt: skip


def compare(size: str, config: BertConfig, mesh: Mesh, peers: Sequence[Row], what: str, records: Sequence[int]) -> None:
    """Print the rows of a model and a kind of lengths."""
    make = LENGTHS[what]
    rows = [(row, float(make(2 * row.records * mesh.size).mean()) * row.records) for row in peers]
    best = [max((tokens / row.seconds[by] for row, tokens in rows if row.fits), default=np.nan) for by in (0, 1)]
    for row, tokens in rows:
        _print([size, what, *_cells(row, tokens, best)])
    for count in records:
        ours, tokens = our_rows(config, mesh, count, make(2 * count * mesh.size))
        for row in ours:
            _print([size, what, *_cells(row, tokens, best)])


def _cells(row: Row, tokens: float, best: Sequence[float]) -> list[str]:
    found = row.measured
    rates = [tokens / seconds for seconds in row.seconds]
    numbers = [found.memory / 1e9, found.touched / 1e9, found.flops / 1e12]
    return [
        row.who + ("" if row.fits else ", does not fit"), str(row.records), str(row.rows),
        *(f"{number:.2f}" for number in numbers), f"{found.sent / 1e9:.3f}",
        *(f"{1e3 * seconds:.1f}" for seconds in row.seconds), *(f"{rate:,.0f}" for rate in rates),
        *(f"{rate / other:.2f}" for rate, other in zip(rates, best, strict=True)),
    ]  # fmt: skip


def _print(cells: Sequence[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """See the module's text."""
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--model", nargs="*", default=["base", "large"])
    flags.add_argument("--lengths", nargs="*", default=list(LENGTHS), choices=list(LENGTHS))
    flags.add_argument("--records", nargs="*", type=int, default=[8], help="of a chip, ours")
    flags.add_argument("--peer-records", nargs="*", type=int, default=[8], help="of a chip, the peer's")
    flags.add_argument("--ways", nargs="*", default=["numbers"], choices=list(WAYS))
    flags.add_argument("--layers", type=int, help="fewer than the models have, to try")
    options = flags.parse_args()
    mesh = topology_mesh(TOPOLOGY, "")
    _print(HEAD)
    _print(["---"] * len(HEAD))
    for size in options.model:
        config = released_config(size)
        if options.layers:
            config = dataclasses.replace(config, num_hidden_layers=options.layers)
        peers = peer_rows(config, mesh, options.peer_records, options.ways)
        for what in options.lengths:
            compare(size, config, mesh, peers, what, options.records)


if __name__ == "__main__":
    main()
