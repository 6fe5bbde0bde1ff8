# SPDX-License-Identifier: Apache-2.0
"""Texts classified per second, and how many of them right, by each way a trained classifier can be run on this CPU.

    python -m bench.prediction --model=out/best --table=test.csv [--text_b=sentence2]

By `jaxbert.load(...).predict` in float32 and bfloat16; and as ONNX that `jaxbert export` wrote, plain, optimized and
of 8 bits, by onnxruntime, the plain one by OpenVINO too. These get the same tokens, sorted by length, in padded batches
of the size of a few that is fastest for them. From texts to probabilities; medians over the rounds, all sides in turn.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from bench.side_by_side import Worker, median_and_spread, write_results
from jaxbert.examples.table import ColumnNames, table_dataset

BATCHES = (1, 8, 32, 128)
OURS = ("fp32", "bf16")
EXPORTS: dict[str, list[str]] = {"plain": [], "optimized": ["--optimize"], "int8": ["--optimize", "--quantize=int8"]}
RUNTIMES = (("onnxruntime", "plain"), ("onnxruntime", "optimized"), ("onnxruntime", "int8"), ("openvino", "plain"))


def measure(model: str, table: str, names: ColumnNames, rounds: int, folder: str) -> dict[str, Any]:
    """Texts per second in every round, accuracy and batch size, by side."""
    labels = [example.text_a for example in _rows(table, ColumnNames(names.label))]
    workers: dict[str, Worker] = {}
    batches: dict[str, int] = {}
    settings = {"model": model, "table": table, "text_a": names.text_a, "text_b": names.text_b}
    for dtype in OURS:
        workers[f"jaxbert {dtype}"] = Worker("bench.prediction_jaxbert", {**settings, "dtype": dtype})
        batches[f"jaxbert {dtype}"] = 0
        workers[f"jaxbert {dtype}"].ask(batch=0)  # compiles
    for name, more in EXPORTS.items():
        to = f"--output_dir={os.path.join(folder, name)}"
        command = ["export", "--format=onnx", f"--init_checkpoint={model}", to, *more]
        subprocess.run([sys.executable, "-m", "jaxbert", *command], check=True, stderr=subprocess.DEVNULL)
    for runtime, export in RUNTIMES:
        side, path = f"{runtime} {export}", os.path.join(folder, export, "model.onnx")
        workers[side] = Worker("bench.prediction_runtime", {**settings, "runtime": runtime, "path": path})
        seconds = {batch: workers[side].ask(batch=batch)["seconds"] for batch in BATCHES}
        batches[side] = min(BATCHES, key=lambda batch: seconds[batch])
    found: dict[str, dict[str, Any]] = {side: {"batch": batches[side], "texts_per_second": []} for side in workers}
    for number in range(rounds):
        for side, worker in [*workers.items()][:: 1 if number % 2 else -1]:
            answer = worker.ask(batch=batches[side])
            right = sum(one == other for one, other in zip(answer["labels"], labels, strict=True))
            found[side]["texts_per_second"].append(len(labels) / answer["seconds"])
            found[side]["accuracy"] = right / len(labels)
    for worker in workers.values():
        worker.close()
    return {"texts": len(labels), "sides": found}


def texts(table: str, text_a: str, text_b: str | None) -> list[Any]:
    """The texts of a table, or pairs of them."""
    rows = _rows(table, ColumnNames(text_a, text_b or ""))
    return [row.text_a if text_b is None else (row.text_a, row.text_b) for row in rows]


def _rows(table: str, names: ColumnNames) -> Sequence[Any]:
    return [*table_dataset("", "", table, names, labels=("any",)).test[""]()]


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a trained classifier")
    parser.add_argument("--table", required=True, help="CSV or TSV with texts and labels that it has not seen")
    parser.add_argument("--text_a", default="text", help="column of the text")
    parser.add_argument("--text_b", help="column of the second text of a pair")
    parser.add_argument("--label", default="label", help="column of the label")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    names = ColumnNames(arguments.text_a, arguments.text_b, arguments.label)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(os.path.abspath(arguments.model), arguments.table, names, arguments.rounds, folder)
    first = found["sides"]["jaxbert fp32"]["texts_per_second"]
    for side, one in found["sides"].items():
        rates = one["texts_per_second"]
        ratios = [rate / ours for rate, ours in zip(rates, first, strict=True)]
        batch = f", batches of {one['batch']}" if one["batch"] else ""
        print(
            f"{side:22} {median_and_spread(rates):28} texts/s, {median_and_spread(ratios)} of jaxbert fp32,"
            f" accuracy {one['accuracy']:.4f}{batch}"
        )
    print(f"written to {write_results('prediction', found)}")


if __name__ == "__main__":
    main()
