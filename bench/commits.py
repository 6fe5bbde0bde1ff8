# SPDX-License-Identifier: Apache-2.0
"""Two commits of our own side: training and prediction with a BERT-base on this CPU, in turn.

    git worktree add /tmp/before COMMIT
    python -m bench.commits --before=/tmp/before --mrpc=glue/MRPC --vocab=vocab.txt

Each commit runs its own `bench/classifier_jaxbert.py`, or `squad_jaxbert.py` with `--squad`, in a process of its own
that idles while the other works; which of them goes first alternates. Medians over the rounds of real tokens a second.
"""

import argparse
import dataclasses
import os
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import classifier, squad
from bench.classifier import Comparison, even_sample
from bench.side_by_side import Worker, arrays_file, median_and_spread, write_results
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.text.vocab import read_vocab


def measure(
    data: Mapping[str, np.ndarray], comparison: Comparison, before: str, rounds: int, steps: int
) -> dict[str, Any]:
    """Tokens a second of both commits in every round, and the memory of each."""
    rates: dict[str, dict[str, list[float]]] = {mode: {"before": [], "after": []} for mode in ("train", "predict")}
    peaks: dict[str, float] = {}
    with arrays_file(data) as file:
        sample = even_sample(data["lengths"], comparison.window)
        sizes = {"config": dict(comparison.config), "batch_size": comparison.batch_size, "dtype": comparison.dtype}
        settings = {"data": file, "window": sample, **sizes}
        workers = {name: _worker(folder, comparison.modules[0], settings) for name, folder in _folders(before).items()}
        for number in range(-1, rounds):  # round -1 warms both up and is dropped
            order = list(workers)[:: 1 if number % 2 else -1]
            for mode in rates:
                for name in order:
                    asked = [{"number": (number + 1) * steps + k} for k in range(steps)] if mode == "train" else [{}]
                    answers = [workers[name].ask(mode=mode, **one) for one in asked]
                    seconds, tokens = (sum(answer[key] for answer in answers) for key in ("seconds", "tokens"))
                    peaks[name] = answers[-1]["peak_mib"]
                    if number >= 0:
                        rates[mode][name].append(tokens / seconds)
        for worker in workers.values():
            worker.close()
    return {"tokens_per_second": rates, "peak_mib": peaks}


def _folders(before: str) -> dict[str, str]:
    return {"before": before, "after": str(Path.cwd())}


def _worker(folder: str, module: str, settings: Mapping[str, Any]) -> Worker:
    """The module of the checkout in `folder`."""
    here = Path.cwd()
    os.environ["PYTHONPATH"] = folder  # before an installed jaxbert
    os.chdir(folder)
    try:
        return Worker(module, settings)
    finally:
        os.chdir(here)


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, help="folder with a checkout of the other commit")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--mrpc", help="folder with MRPC's train.tsv")
    data.add_argument("--squad", help="dev-v1.1.json")
    parser.add_argument("--vocab", required=True, help="vocab.txt of the uncased models")
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=3, help="batches a round")
    arguments = parser.parse_args()
    if arguments.mrpc:
        arrays = classifier.arrays_of(classifier.read_mrpc(arguments.mrpc), arguments.vocab)
        comparison = classifier.MRPC
    else:
        arrays = squad.read_windows(arguments.squad, Tokenizer(read_vocab(arguments.vocab)))
        comparison = Comparison(squad.MODULES, squad.SIZES["base"], squad.SETTINGS.max_seq_length, 8, 64)
    comparison = dataclasses.replace(comparison, dtype=arguments.dtype)
    results = measure(arrays, comparison, arguments.before, arguments.rounds, arguments.steps)
    for mode, sides in results["tokens_per_second"].items():
        for name, values in sides.items():
            print(f"{mode:8} {name:7} {median_and_spread(values)} tokens/s")
        before, after = (statistics.median(sides[name]) for name in ("before", "after"))
        print(f"{mode:8} after over before: {after / before:.3f}")
    print(f"peak MiB: {results['peak_mib']}")
    print(f"written to {write_results('commits', results)}")


if __name__ == "__main__":
    main()
