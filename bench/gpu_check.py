# SPDX-License-Identifier: Apache-2.0
"""What jaxbert does on this machine's GPU, in 8 minutes: the CPU's numbers? how fast, beside transformers on PyTorch?

    python -m bench.gpu_check [--only 'run_classifier base'] [--tiny] | tee gpu.log
    python -m bench.gpu_check --report gpu.log

Parts run one after the other, the most important first, each in a process and with a time limit of its own; one that
fails does not end the others. Each result is printed at once, as a JSON line and as one to read; tables end the
run, and `--report` makes them again from what was printed. `--tiny` tries everything on a CPU, with a tiny model. Exit
code 1 when numbers differ by more than rounding explains, or a part fails or has not enough time.

A token is real if it is no padding. MFU is the arithmetic that real tokens need (bench/workload.py) a second, as a
share of the peak of bfloat16 products. Ours updates by LAMB in pretraining and AdamW elsewhere, the peer by AdamW.
"""

import argparse
import contextlib
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

Result = dict[str, Any]

SECONDS = 470.0  # of all parts together
_TINY_SECONDS = 240.0  # of any part, where machines are slow and nobody pays for them


@dataclasses.dataclass(frozen=True)
class Part:
    """A process that measures.

    Attributes:
        name: what it measures.
        side: who is measured, the module `bench.gpu_<side>`.
        seconds: after which it is ended.
        settings: what the module is told.
    """

    name: str
    side: str
    seconds: float
    settings: dict[str, Any]


def parts(is_tiny: bool) -> list[Part]:
    """All parts, the most important first."""
    shape, layers = ("tiny", 2) if is_tiny else ("base", 4)
    found = [
        Part("numbers", "ours", 90, {"part": "numbers", "shape": shape, "layers": layers}),
        Part("a command", "ours", 60, {"part": "command"}),
    ]
    speeds: list[tuple[Any, ...]] = [
        # trainer, size, seconds of either side, batch sizes, those of prediction, how the peer is compiled to train
        ("run_pretraining", "large", 150, 100, [128, 256], [32, 64, 128], [], "default"),
        ("run_classifier", "base", 60, 75, [32], [32], [512], "reduce-overhead"),
        ("run_pretraining", "base", 60, 50, [128], [64], [], "default"),
        ("run_squad", "base", 60, 75, [32], [32], [256], "reduce-overhead"),
    ]
    if is_tiny:
        speeds = [(trainer, "tiny", 0, 0, [2], [2], [4] * len(predict_sizes), mode)
                  for trainer, *_, predict_sizes, mode in (speeds[0], speeds[1], speeds[3])]  # fmt: skip
    for trainer, size, ours, peer, sizes, peer_sizes, predict_sizes, mode in speeds:
        settings = {
            "part": "speed", "trainer": trainer, "shape": size, "predict_batch_sizes": predict_sizes,
            "predicted": 16 if is_tiny else 4096, "window": 1 if is_tiny else 8 if predict_sizes else 4,
            "group_seconds": 1.0,
        }  # fmt: skip
        found.append(Part(f"{trainer} {size}", "ours", ours, settings | {"batch_sizes": sizes}))
        found.append(Part(f"{trainer} {size}", "peer", peer, settings | {"batch_sizes": peer_sizes, "compile": mode}))
    return found


def run(part: Part, seconds: float) -> Iterator[Result]:
    """Its results as they come, within this time; the last one says if it failed, and how long it took."""
    started = time.time()
    settings = part.settings | {"started": started, "seconds": seconds}
    command = [sys.executable, "-m", f"bench.gpu_{part.side}", json.dumps(settings)]
    named = {"part": part.name, "side": part.side}
    is_late = threading.Event()
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True) as process,
    ):
        assert process.stdout is not None

        def end_late() -> None:
            is_late.set()
            _end(process)

        timer = threading.Timer(seconds, end_late)
        timer.start()
        try:
            for text in process.stdout:
                if text.endswith("\n"):  # else it was ended in writing
                    yield named | json.loads(text)
            code = process.wait()
        finally:
            timer.cancel()
            _end(process)
        errors.seek(0)
        told = [line for line in errors.read().splitlines() if line.strip()]
    took = time.time() - started
    if is_late.is_set():
        yield named | {"kind": "ended", "seconds": took, "why": f"ended after its {seconds:.0f} s"}
    elif code:
        print("\n".join(told[-20:]), file=sys.stderr)
        yield named | {"kind": "failed", "seconds": took, "why": f"code {code}: {''.join(told[-1:])[:300]}"}
    else:
        yield named | {"kind": "done", "seconds": took}


def _end(process: subprocess.Popen[str]) -> None:
    """End it, with what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def line(result: Result) -> str:
    """A result to read."""
    kind, place = result["kind"], f"{result['part']}, {result['side']}"
    if kind == "check":
        wrong = "" if result["wrong"] is None else f", with other masks {result['wrong']:.1e}"
        verdict = "ok" if result["good"] else "WRONG"
        error = f"{result['error']:.1e}, at most {result['limit']:.1e}"
        return f"{verdict}: {result['what']} ({result['case']}): {error}{wrong}"
    if kind == "speed":
        losses = "".join(f", loss {value:.3f}" for value in result.get("losses", ()))
        return (
            f"{place}, {result['program']}, {result['batch_size']} {result['way']}:"
            f" {result['sequences_per_second']:,.1f} sequences/s, {result['tokens_per_second']:,.0f} real tokens/s"
            f" ({' to '.join(f'{value:,.0f}' for value in result['range'])}), MFU {share(result['mfu'])},"
            f" {number(result.get('memory_gb'))} GB{losses}"
        )
    if kind == "machine":
        return f"{place}: {result['device']}, {result['versions']}"
    if kind == "too large":
        return f"{place}: {result['batch_size']} do not fit: {result['why']}"
    return f"{place}: {kind} in {result['seconds']:.0f} s{': ' + result['why'] if 'why' in result else ''}"


def share(value: float | None) -> str:
    """In per cent."""
    return "-" if value is None else f"{value:.1%}"


def number(value: float | None) -> str:
    """With one digit behind the point."""
    return "-" if value is None else f"{value:,.1f}"


def read_log(text: str) -> list[Result]:
    """The results in what a run printed; other lines are for people."""
    return [json.loads(line) for line in text.splitlines() if line.startswith('{"part"')]


def report(results: Sequence[Result]) -> str:
    """Tables of the best of either side, and what is wrong."""
    checks = [result for result in results if result["kind"] == "check"]
    bad = [result for result in checks if not result["good"]]
    lines = [f"checks: {len(checks) - len(bad)} of {len(checks)} are right", *map(line, bad), "", *_TABLE]
    for part, program in dict.fromkeys((r["part"], r["program"]) for r in results if r["kind"] == "speed"):
        best = {side: _best(results, part, program, side) for side in ("ours", "peer")}
        lines.append(_row(f"{part}, {program}", best["ours"], best["peer"]))
    broken = [result for result in results if result["kind"] in (*_NOT_DONE, "too large")]
    return "\n".join([*lines, "", *map(line, broken)])


_NOT_DONE = ("failed", "ended", "left out")
_COLUMNS = (
    "what", "ours, real tokens/s", "peer", "ratio", "ours, sequences/s", "peer", "MFU", "peer", "GB", "peer",
    "s compiling", "peer", "s to the first step", "peer", "ours, batch", "peer",
)  # fmt: skip
_TABLE = (f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|")


def _best(results: Iterable[Result], part: str, program: str, side: str) -> Result:
    """The fastest way of a side, nothing where there is none."""
    speeds = [result for result in results if result["kind"] == "speed"]
    found = [r for r in speeds if (r["part"], r["program"], r["side"]) == (part, program, side)]
    return max(found, key=lambda result: result["tokens_per_second"], default={})


def _row(name: str, ours: Result, peer: Result) -> str:
    speeds = [side.get("tokens_per_second", 0.0) for side in (ours, peer)]
    ratio = f"{speeds[0] / speeds[1]:.2f}" if all(speeds) else "-"
    cells = [name, *(f"{speed:,.0f}" if speed else "-" for speed in speeds), ratio]
    for key in ("sequences_per_second", "mfu", "memory_gb", "compile_seconds", "first_step_seconds"):
        cells += [(share if key == "mfu" else number)(side.get(key)) for side in (ours, peer)]
    cells += [f"{side['batch_size']} {side['way']}" if side else "-" for side in (ours, peer)]
    return f"| {' | '.join(cells)} |"


def is_good(results: Iterable[Result]) -> bool:
    """Whether no number is wrong, no loss is infinite, and all parts were done."""
    return all(
        result.get("good", True)
        and all(map(math.isfinite, result.get("losses", ())))
        and result["kind"] not in _NOT_DONE
        for result in results
    )


def main() -> int:
    """See the module's text."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--report", help="a log of an earlier run, whose tables are printed")
    flags.add_argument("--only", nargs="*", help="parts, like 'run_squad base' or 'run_squad base, ours'; default: all")
    flags.add_argument("--tiny", action="store_true", help="a tiny model on the CPU")
    options = flags.parse_args()
    if options.report:
        results = read_log(Path(options.report).read_text())
        print(report(results))
        return 0 if is_good(results) else 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the part that runs, too
    os.environ["JAX_PLATFORMS"] = "cpu" if options.tiny else "cuda,cpu"  # without a GPU nothing is measured
    results, ends = [], time.time() + (_TINY_SECONDS * 10 if options.tiny else SECONDS)
    for part in parts(options.tiny):
        if options.only and not {part.name, f"{part.name}, {part.side}"} & {*options.only}:
            continue
        seconds = min(_TINY_SECONDS if options.tiny else part.seconds, ends - time.time())
        found = run(part, seconds) if seconds > 15 else [_left_out(part)]
        for result in found:
            results.append(result)
            print(f"{json.dumps(result)}\n# {line(result)}", flush=True)
    print(report(results))
    return 0 if is_good(results) else 1


def _left_out(part: Part) -> Result:
    return {"part": part.name, "side": part.side, "kind": "left out", "seconds": 0.0, "why": "no time is left"}


if __name__ == "__main__":
    sys.exit(main())
