# SPDX-License-Identifier: Apache-2.0
"""Our side of bench/gpu_check.py: one part of it in a process of its own, each result a JSON line as it is there."""

import contextlib
import dataclasses
import functools
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.programs import TRAINERS, Programs
from bench.side_by_side import replies, seconds_of_passes
from bench.workload import LONGEST, MadeUp, config_of, predictions, rates, real_lengths
from jaxbert import cli
from jaxbert.batches.devices import device_mesh, row_units, shard_rows, shard_whole
from jaxbert.batches.loader import Prefetched, evaluation_batches
from jaxbert.batches.packing import evaluation_shape
from jaxbert.config.bert_config import BertConfig, from_dict
from jaxbert.model.dropout import Site, attention_dropout, dropout, site_bits, token_bits
from jaxbert.model.encoder import Compute, encode
from jaxbert.model.weights import Tree, encoder_table, flatten, initialize
from jaxbert.train import run
from jaxbert.train.evaluate import streamed_outputs
from jaxbert.train.step import State, initial_state

Settings = Mapping[str, Any]
Result = dict[str, Any]

SEED = 3
# What is compared: the dtype of the trainer, precision of products, and to what share its products round.
CASES = {
    "float32": ("fp32", "highest", 0.0),
    "float32 as trained": ("fp32", "default", 2.0**-11),  # GPUs may multiply in TF32
    "bfloat16": ("bf16", "default", 2.0**-8),
}


def main() -> None:
    """Do the part that the first argument describes."""
    settings, reply = json.loads(sys.argv[1]), replies()
    for result in {"numbers": numbers, "command": command, "speed": speed}[settings["part"]](settings):
        reply(result)


def config(shape: str) -> BertConfig:
    """A BERT of this size."""
    return from_dict(config_of(shape, 512))


# The same numbers as the plain form on the CPU.


def numbers(settings: Settings) -> Iterator[Result]:
    """Outputs, gradients and dropped units of the encoder on the device, compared with the CPU's in float32."""
    yield about_device()
    sizes = dataclasses.replace(config(settings["shape"]), num_hidden_layers=settings["layers"])
    there, here = jax.devices()[0], jax.devices("cpu")[0]
    made = _pretraining(sizes, there, "fp32").batch
    batch = {name: made[name][0, 0] for name in ("input_ids", "type_ids", "positions", "sequences")}
    bits = {device: _bits(batch, device) for device in (there, here)}
    for what in ("units", "probabilities"):
        differ = int(np.count_nonzero(_dropped(what, bits[there], there) != _dropped(what, bits[here], here)))
        yield check(f"dropped {what}", "how many differ", differ, 0, None)
    encoder = _Encoder(sizes, batch)
    for drops in (False, True):
        plain = encoder.on(here, *CASES["float32"][:2], bits[here] if drops else None)
        other = encoder.on(there, *CASES["float32"][:2], _bits(batch, there, step=8)) if drops else None
        for case, (dtype, precision, rounding) in CASES.items():
            found = encoder.on(there, dtype, precision, bits[there] if drops else None)
            limits = tolerances(rounding, sizes)
            for what, ours, theirs, limit in zip(("outputs", "gradients"), found, plain, limits, strict=True):
                wrong = None if other is None else distance(other[what == "gradients"], theirs)
                yield check(what, f"{case}{', dropout' if drops else ''}", distance(ours, theirs), limit, wrong)


def check(what: str, case: str, error: float, limit: float, wrong: float | None) -> Result:
    """One comparison; `wrong` is the error that the masks of another step give, which has to be above the limit."""
    good = error <= limit and (wrong is None or wrong > limit)
    return {"kind": "check", "what": what, "case": case, "error": error, "limit": limit, "wrong": wrong, "good": good}


def tolerances(rounding: float, sizes: BertConfig) -> tuple[float, float]:
    """Limits of the relative error of outputs and gradients, as a random walk of roundings.

    What goes in and out of the products of a layer, about 12 arrays, is rounded by at most `rounding`, 1 / sqrt(3) of
    it on average; each of 6 products sums up to F terms in float32, 2^-24 each. Gradients pass through layers twice.
    """
    layers = sizes.num_hidden_layers
    squares = layers * (12 / 3 * rounding**2 + 6 * sizes.intermediate_size * 2.0**-48)
    return squares**0.5, (2 * squares) ** 0.5


def distance(found: Any, wanted: Any) -> float:
    """The norm of the difference of two trees of arrays, relative to that of the second."""
    wide = [(np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in zip(
        jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True)]  # fmt: skip
    return float((sum(np.sum((a - b) ** 2) for a, b in wide) / sum(np.sum(b**2) for _, b in wide)) ** 0.5)


def _pretraining(sizes: BertConfig, device: jax.Device, dtype: str) -> Programs:
    """What run_pretraining computes on this device, of 8 records."""
    lengths = real_lengths("run_pretraining", 16)
    programs: Programs = TRAINERS["run_pretraining"](sizes, device_mesh([device]), 8, dtype, lengths)
    return programs


def _bits(batch: Mapping[str, np.ndarray], device: jax.Device, step: int = 7) -> jax.Array:
    """The dropout bits [B, S] of the tokens, made on this device."""
    with jax.default_device(device):
        made: jax.Array = jax.jit(token_bits, static_argnums=0)(
            SEED, jnp.int32(step), batch["sequences"], batch["positions"]
        )
        return made


def _dropped(what: str, bits: jax.Array, device: jax.Device) -> np.ndarray:
    """Which of 64 units of each token, or of its probabilities in 4 heads, are dropped in layer 1."""

    def units(bits: jax.Array) -> jax.Array:
        return dropout(jnp.ones((*bits.shape, 64)), site_bits(bits, 1, Site.OUTPUT), 0.1)

    def probabilities(bits: jax.Array) -> jax.Array:
        own = site_bits(bits, 1, Site.PROBABILITIES)
        return attention_dropout(jnp.ones((len(bits), 4, bits.shape[1], bits.shape[1])), own, own, 0.1)

    with jax.default_device(device):
        return np.asarray(jax.jit({"units": units, "probabilities": probabilities}[what])(bits) == 0.0)


class _Encoder:
    """An encoder with random weights, large enough that attention is uneven, and a random direction of its outputs."""

    def __init__(self, sizes: BertConfig, batch: Mapping[str, np.ndarray]) -> None:
        table = {path: weight for path, weight in encoder_table(sizes).items() if "/pooler/" not in path}
        with jax.default_device(jax.devices("cpu")[0]):
            self._weights = jax.tree.map(np.asarray, initialize(table, SEED, 0.05)["bert"])
        self._sizes, self._batch = sizes, batch
        self._is_real = (batch["sequences"] > 0)[..., None]
        direction = np.random.default_rng(SEED).normal(size=(*self._is_real.shape[:2], sizes.hidden_size))
        self._direction = np.where(self._is_real, direction, 0.0).astype(np.float32)

    def on(self, device: jax.Device, dtype: str, precision: str, bits: jax.Array | None) -> tuple[Any, Any]:
        """Outputs of the real tokens, and gradients of their sum along the direction, computed as trainers do there."""
        compute = _pretraining(self._sizes, device, dtype).compute
        with jax.default_device(device), jax.default_matmul_precision(precision):
            found, outputs = self._gradient(self._weights, self._batch, bits, self._direction, compute)
        return np.where(self._is_real, outputs, 0.0), jax.tree.map(np.asarray, found)

    @functools.cached_property
    def _gradient(self) -> "jax.stages.Wrapped":
        """Compiled: (weights, batch, bits, direction, compute) -> gradients, outputs."""

        def along(
            weights: Tree, batch: Any, bits: jax.Array | None, direction: jax.Array, compute: Compute
        ) -> tuple[jax.Array, jax.Array]:
            outputs = encode(weights, self._sizes, batch, dropout_bits=bits, compute=compute).astype(jnp.float32)
            return jnp.sum(outputs * direction), outputs

        return jax.jit(jax.grad(along, has_aux=True), static_argnums=4)


# A command, as users give it.


def command(settings: Settings) -> Iterator[Result]:
    """`run_classifier` trains, evaluates and writes in float32, with the settings of the process that commands make."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film"]
        Path(folder, "vocab.txt").write_text("\n".join(words))
        Path(folder, "train.csv").write_text("text,label\n" + "good film,1\nbad film,0\n" * 32)
        flags = {
            "train_file": f"{folder}/train.csv", "eval_file": f"{folder}/train.csv", "text_a_column": "text",
            "label_column": "label", "vocab_file": f"{folder}/vocab.txt", "bert_config_file": "recipe:bert_tiny",
            "model_dir": f"{folder}/out", "num_train_epochs": 1, "compile_cache": f"{folder}/programs", "dtype": "fp32",
        }  # fmt: skip
        code = cli.main(["run_classifier", *(f"--{name}={value}" for name, value in flags.items())])
        yield check("exit code of run_classifier", "float32", code, 0, None)
        yield about_device()


# Speed of what the trainers run.


def speed(settings: Settings) -> Iterator[Result]:
    """Training steps, and prediction but for pretraining, each with one batch size after the other."""
    yield about_device()
    ends = settings["started"] + settings["seconds"]
    state: State | None = None
    for batch_size in within(settings["batch_sizes"], ends):
        state = None  # frees the memory
        programs = _programs(settings, batch_size)
        try:
            state, result = _trained(programs, settings, batch_size)
        except jax.errors.JaxRuntimeError as error:  # a batch that does not fit is a result
            result = {"kind": "too large", "batch_size": batch_size, "why": " ".join(str(error).split())[:200]}
        yield result
    if state is None or settings["trainer"] == "run_pretraining":
        return
    for batch_size in within(settings["predict_batch_sizes"], ends):
        yield _predicted(programs, state["weights"], settings, batch_size)


def within(sizes: list[int], ends: float) -> Iterator[int]:
    """The first size, and others as long as one may be done in time: in half as much again as the last one took."""
    took = 0.0
    for size in sizes:
        started = time.time()
        if took and started + 1.5 * took > ends:
            return
        yield size
        took = time.time() - started


def about_device() -> Result:
    """What is computed on."""
    device = jax.devices()[0]
    versions = f"jax {jax.__version__}, Python {sys.version.split()[0]}"
    return {"kind": "machine", "device": device.device_kind, "platform": device.platform, "versions": versions}


def _programs(settings: Settings, batch_size: int) -> Programs:
    lengths = real_lengths(settings["trainer"], 2 * settings["window"] * batch_size)
    mesh = device_mesh(jax.devices()[:1])
    programs: Programs = TRAINERS[settings["trainer"]](config(settings["shape"]), mesh, batch_size, "bf16", lengths)
    return programs


def _trained(programs: Programs, settings: Settings, batch_size: int) -> tuple[State, Result]:
    """The state after some training, and its speed."""
    training, mesh = programs.training, programs.mesh
    lowered, lowering = timed(lambda: programs.train.lower())
    compiled, compiling = timed(lowered.compile)
    own, shape = programs.steps.own, programs.batch["input_ids"].shape
    # Batches of other shapes are few, and each would have to be compiled.
    made = {step: training.batches.at(step) for step in range(2 * settings["window"])}
    steps = [step for step, batch in made.items() if batch["input_ids"].shape == shape][: settings["window"]]
    state, metrics = compiled(_first_state(programs), shard_rows(made[steps[0]], mesh, 2), own)
    first_loss, first_step = float(metrics["loss"][0]), time.time() - settings["started"]

    def run_steps(passes: int) -> None:
        nonlocal state, metrics
        for batch in itertools.islice(loaded, passes * len(steps)):
            state, metrics = compiled(state, batch, own)
        jax.block_until_ready(metrics)

    placed = (shard_rows(training.batches.at(step), mesh, 2) for step in itertools.cycle(steps))
    with contextlib.closing(Prefetched(placed)) as ahead:
        loaded = iter(ahead)
        seconds = seconds_of_passes(run_steps, settings["group_seconds"])
    lengths = _lengths(settings, [made[step] for step in steps], 2 * settings["window"] * batch_size)
    result = {
        "kind": "speed", "program": "train", "batch_size": batch_size, "way": f"packed in {shape[2]} x {shape[3]}",
        **rates(seconds, lengths, _predictions(settings, lengths), settings["shape"], jax.devices()[0].device_kind),
        "memory_gb": _memory(compiled) / 1e9,
        "compile_seconds": lowering + compiling, "first_step_seconds": first_step,
        "losses": [first_loss, float(metrics["loss"][0])],
    }  # fmt: skip
    return state, result


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and how long it took."""
    start = time.perf_counter()
    returned = call()
    return returned, time.perf_counter() - start


def _first_state(programs: Programs) -> State:
    training, flags = programs.training, programs.flags
    like = run.state_like(flags, programs.mesh, training.table)
    shardings = jax.tree.map(lambda leaf: leaf.sharding, like)

    weights = initialize(training.table, SEED, 0.02, flatten(shardings["weights"]))

    def first(weights: Tree) -> State:
        return initial_state(weights, run.loss_scale(flags))

    state: State = jax.jit(first, out_shardings=shardings)(weights)
    return state


def _lengths(settings: Settings, batches: list[dict[str, np.ndarray]], size: int) -> np.ndarray:
    """Tokens of each record in these batches."""
    numbers = np.concatenate([batch["examples"].ravel() for batch in batches])
    lengths: np.ndarray = real_lengths(settings["trainer"], size)[numbers[numbers >= 0]]
    return lengths


def _predictions(settings: Settings, lengths: np.ndarray) -> np.ndarray:
    return predictions(lengths) if settings["trainer"] == "run_pretraining" else np.zeros_like(lengths)


def _memory(compiled: jax.stages.Compiled) -> float:
    """Bytes: the most that the device held so far (batches grow), or by the compiler where the device does not say."""
    if counts := jax.devices()[0].memory_stats():
        return float(counts["peak_bytes_in_use"])
    memory = compiled.memory_analysis()
    assert memory is not None
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return float(held + memory.temp_size_in_bytes)


def _predicted(programs: Programs, weights: Tree, settings: Settings, batch_size: int) -> Result:
    """The speed of prediction of all records, results on the host."""
    lengths = real_lengths(settings["trainer"], settings["predicted"])
    read = MadeUp(lengths, LONGEST[settings["trainer"]], config(settings["shape"]).vocab_size).read
    shape, mesh = evaluation_shape(lengths, batch_size, *row_units(programs.mesh)), programs.mesh

    def run_all(passes: int) -> None:
        for _ in range(passes):
            parts = evaluation_batches(read, len(lengths), shape, 16 * batch_size, programs.evaluated)
            with contextlib.closing(Prefetched(shard_whole(part, mesh) for part in parts)) as loaded:
                for _ in streamed_outputs(programs.evaluation, weights, loaded):
                    pass

    seconds = seconds_of_passes(run_all, settings["group_seconds"])
    found = rates(
        seconds, lengths, _predictions(settings, lengths), settings["shape"], jax.devices()[0].device_kind, False
    )
    way = f"packed in {shape.rows[0]} x {shape.row_length}"
    return {"kind": "speed", "program": "predict", "batch_size": batch_size, "way": way, **found}


if __name__ == "__main__":
    main()
