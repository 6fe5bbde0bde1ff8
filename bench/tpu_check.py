# SPDX-License-Identifier: Apache-2.0
"""Compile what the trainers run for TPUs, without a TPU: does it compile, does it fit, how long should it take?

    python -m bench.tpu_check [--only v5e:2x4] [--model base] [--trainer run_squad] [--mesh data:4,fsdp:2]
                              [--against REVISION]

The compiler is libtpu's (`make tpu-check` installs it), told to be quick: with all its effort it takes five times as
long. Of attention's kernels it counts what they declare: operations and bytes where no block is left out. Prints a
table, with `--against` another one that compares it with the same programs of another revision; exit code 1 when a
program does not compile or does not fit the chip.
"""

import argparse
import dataclasses
import itertools
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # the devices of this machine; a topology needs none
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # there is no TPU machine to ask about

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh

from bench.programs import TRAINERS, Programs
from jaxbert.batches.devices import device_mesh
from jaxbert.config.bert_config import BertConfig


@dataclasses.dataclass(frozen=True)
class Chip:
    """Peaks of one chip, from cloud.google.com/tpu/docs/{v5e,v5p,v6e,tpu7x} as of November 2026.

    Attributes:
        flops: bfloat16 operations a second.
        memory: bytes of HBM.
        bandwidth: of HBM, bytes a second.
        links: bytes a second out of the chip over all links to its neighbours, one direction.
    """

    flops: float
    memory: float
    bandwidth: float
    links: float


CHIPS = {
    "v5e": Chip(197e12, 16e9, 819e9, 200e9),
    "v5p": Chip(459e12, 95e9, 2765e9, 600e9),
    "v6e": Chip(918e12, 32e9, 1638e9, 400e9),
    "tpu7x": Chip(1153.5e12, 96e9, 3690e9, 300e9),  # half a chip, which is what a device is there
}
TOPOLOGIES = ("v5e:2x4", "v5e:16x16", "v5p:2x2x2", "v6e:2x4", "tpu7x:2x2x1")
# (layers, width, heads)
SIZES = {"base": (12, 768, 12), "large": (24, 1024, 16)}
PER_CHIP = {"run_classifier": 32, "run_squad": 8, "run_pretraining": 8}  # sequences of a step


@dataclasses.dataclass(frozen=True)
class Measured:
    """One compiled program.

    Attributes:
        memory: bytes a chip needs at most.
        flops: operations of one chip.
        touched: bytes of HBM that it reads and writes.
        sent: bytes that it sends to other chips.
        estimate: the compiler's own estimate in seconds, 0 where it gives none.
        compile_seconds: how long compiling took here.
    """

    memory: float
    flops: float
    touched: float
    sent: float
    estimate: float
    compile_seconds: float

    def seconds(self, chip: Chip) -> tuple[float, float]:
        """Time at peak rates: of arithmetic or memory, whichever is longer, and of sending."""
        return max(self.flops / chip.flops, self.touched / chip.bandwidth), self.sent / chip.links


def measure(traced: jax.stages.Traced) -> Measured:
    """Compile for the devices in the arguments' shardings."""
    started = time.perf_counter()
    compiled = traced.lower().compile(compiler_options={"exec_time_optimization_effort": -1.0})
    seconds = time.perf_counter() - started
    memory, costs = compiled.memory_analysis(), compiled.cost_analysis() or {}
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return Measured(
        held + memory.temp_size_in_bytes + memory.generated_code_size_in_bytes,
        costs.get("flops", 0.0),
        costs.get("bytes accessed", 0.0),
        sum(_sent(compiled.as_text())),
        costs.get("optimal_seconds", 0.0),
        seconds,
    )


_COLLECTIVE = re.compile(
    r"= (?P<result>.*?) (?P<kind>all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(-start)?\("
)
_ARRAY = re.compile(r"\b(pred|[usf]\d+|bf16)\[([\d,]*)\]")
_BYTES = {"pred": 1, "bf16": 2}


def _sent(text: str) -> Iterator[float]:
    """Bytes that each collective operation of a program makes a chip send, by the ring algorithms, for many chips."""
    is_scattered = False  # in a computation that sums and keeps a part, which TPUs do as one reduce-scatter
    for line in text.splitlines():
        if line.startswith(("%", "ENTRY")):
            is_scattered = line.startswith("%all-reduce-scatter")
        if found := _COLLECTIVE.search(line):
            sizes = [_size(*array) for array in _ARRAY.findall(found["result"])]
            kind = found["kind"]
            if kind == "all-reduce":
                yield (1 if is_scattered else 2) * sum(sizes)
            elif kind == "reduce-scatter":
                yield sum(sizes) * _group_size(line)
            else:
                yield max(sizes, default=0)


def _size(dtype: str, shape: str) -> int:
    count = int(np.prod([int(size) for size in shape.split(",") if size], dtype=np.int64))
    return count * (_BYTES.get(dtype) or int(dtype.strip("usf")) // 8)


def _group_size(line: str) -> int:
    """Chips in a group, from `replica_groups=mesh['a'=4,'b'=2] {'b'}`, `=[4,2]<=[8]` or `={{0,1},{2,3}}`."""
    if found := re.search(r"replica_groups=mesh\[(.*?)\] \{(.*?)\}", line):
        sizes = dict(part.split("=") for part in found[1].split(","))
        return math.prod(int(sizes[axis.strip()]) for axis in found[2].split(","))
    if found := re.search(r"replica_groups=\[\d+,(\d+)\]", line):
        return int(found[1])
    found = re.search(r"replica_groups=\{\{([\d,]+)\}", line)
    return len(found[1].split(",")) if found else 1


def topology_mesh(name: str, axes: str) -> Mesh:
    """The chips of a topology as a mesh like `data:4,fsdp:2`."""
    devices = topologies.get_topology_desc(platform="tpu", topology_name=name).devices
    sizes = dict(part.split(":") for part in axes.split(",") if part)
    return device_mesh(devices, int(sizes.get("fsdp", 1)), int(sizes.get("tensor", 1)))


def released_config(size: str) -> BertConfig:
    """BERT-base or large, uncased."""
    layers, width, heads = SIZES[size]
    return BertConfig(
        vocab_size=30522,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        type_vocab_size=2,
    )


HEAD = (
    "chips", "model", "mesh", "trainer", "program", "GB", "TFLOP", "GB sent", "ms arithmetic", "ms memory",
    "ms sending", "ms compiler", "tokens/s a chip at most", "s compiling",
)  # fmt: skip
NAMED_BY = 5  # cells at the start of a row


def check(topology: str, size: str, trainers: Sequence[str], axes: str, dtype: str) -> Iterator[tuple[list[str], bool]]:
    """A row for each program, and whether it compiles and fits."""
    chip, mesh = CHIPS[topology.split(":")[0]], topology_mesh(topology, axes)
    for name in trainers:
        programs = TRAINERS[name](released_config(size), mesh, PER_CHIP[name] * mesh.size, dtype)
        for what in ("train", "evaluate"):
            place = [topology, size, axes or "data", programs.name, what]
            yield _row(place, programs, chip, mesh.size)


def _row(place: list[str], programs: Programs, chip: Chip, chips: int) -> tuple[list[str], bool]:
    try:
        found = measure(getattr(programs, place[-1]))
    except Exception as error:  # whatever the compiler raises is the result of the check
        return [*place, f"does not compile: {' '.join(str(error).split())[:200]}"], False
    compute, sending = found.seconds(chip)
    cells = [
        f"{found.memory / 1e9:.2f}",
        f"{found.flops / 1e12:.2f}",
        f"{found.sent / 1e9:.3f}",
        f"{1e3 * found.flops / chip.flops:.1f}",
        f"{1e3 * found.touched / chip.bandwidth:.1f}",
        f"{1e3 * sending:.1f}",
        f"{1e3 * found.estimate:.1f}",
        f"{programs.tokens / chips / max(compute, sending):,.0f}",
        f"{found.compile_seconds:.0f}",
    ]
    fits = found.memory <= chip.memory
    return [*place, *cells] + ([] if fits else ["does not fit"]), fits


def _print(cells: Sequence[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


Table = Mapping[tuple[str, ...], Mapping[str, str]]
"""What names a row -> its other cells by the names of their columns."""


def _table(rows: Sequence[Sequence[str]]) -> Table:
    head = rows[0]
    return {tuple(row[:NAMED_BY]): dict(zip(head, row, strict=True)) for row in rows[1:] if len(row) == len(head)}


def _table_of(revision: str, arguments: Sequence[str]) -> Table:
    """What the check of another revision prints, run in a work tree of it."""
    root = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        tree = os.path.join(folder, "tree")
        subprocess.run(
            ["git", "worktree", "add", "--detach", tree, revision], cwd=root, check=True, capture_output=True
        )
        try:
            command = [sys.executable, "-m", "bench.tpu_check", *arguments]
            environment = os.environ | {"PYTHONPATH": tree}
            printed = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True).stdout
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=root, check=True)
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("| ")]
    return _table(rows)


def _compare(before: Table, now: Table) -> None:
    """Print the times of memory traffic, which stand for its bytes, and the compiler's estimates, side by side."""
    columns = ("ms memory", "ms compiler")
    _print([*HEAD[:NAMED_BY], *(f"{name}{what}" for name in columns for what in (" before", "", ", ratio"))])
    _print(["---"] * (NAMED_BY + 3 * len(columns)))
    for place in (place for place in now if place in before):
        pairs = [(before[place][name], now[place][name]) for name in columns]
        _print([*place, *(cell for old, new in pairs for cell in (old, new, f"{float(new) / float(old):.2f}"))])


def main() -> int:
    """See the module's text."""
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--only", nargs="*", default=TOPOLOGIES)
    flags.add_argument("--model", nargs="*", default=list(SIZES))
    flags.add_argument("--trainer", nargs="*", default=list(TRAINERS))
    flags.add_argument("--mesh", default="")
    flags.add_argument("--dtype", default="bf16")
    flags.add_argument("--against", help="a revision to compare with")
    options = flags.parse_args()
    before: Table = {}
    if options.against:  # first: libtpu is for one process at a time
        lists = {"--only": options.only, "--model": options.model, "--trainer": options.trainer}
        arguments = [word for flag, values in lists.items() for word in (flag, *values)]
        before = _table_of(options.against, [*arguments, "--mesh", options.mesh, "--dtype", options.dtype])
    _print(HEAD)
    _print(["---"] * len(HEAD))
    rows, is_good = [list(HEAD)], True
    for name, size in itertools.product(options.only, options.model):
        for row, fits in check(name, size, options.trainer, options.mesh, options.dtype):
            _print(row)
            rows.append(row)
            is_good &= fits
    if options.against:
        print()
        _compare(before, _table(rows))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
