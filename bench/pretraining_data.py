# SPDX-License-Identifier: Apache-2.0
"""Megabytes of text a second turned into pretraining records: ours beside google-research's script, on one core each.

    git clone https://github.com/google-research/bert
    BERT_REPO=bert python -m bench.pretraining_data --text=novels --vocab=uncased_L-12_H-768_A-12/vocab.txt

The text is every file of `--text` (running text, a book a file), one sentence a line, `--mb` megabytes of it, with its
seed, length 128, 20 predictions and 5 passes on both sides; ours includes the vocabulary and a cold memory of words.
Both write record files; the original through TensorFlow (its API of version 1). Each round times both in turn;
processor time counts, so that other programs on the machine do not. Then: two workers against one (wall time), and the
peak memory for 10 and for 100 MB.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.side_by_side import Worker, median_and_spread, write_results
from jaxbert.examples.corpus import read_documents, shards, text_files

FLAGS = ["--max_seq_length=128", "--max_predictions_per_seq=20", "--dupe_factor=5", "--random_seed=12345"]


def prepare(folder: Path, megabytes: float, path: Path) -> float:
    """One sentence a line, books of about 100 kB so that there are documents to draw from; returns the megabytes."""
    size, limit = 0, megabytes * 1e6
    files = sorted(str(file) for file in folder.iterdir())
    with path.open("w") as target:
        while size < limit:
            for shard in shards(text_files(files, "documents"), 100_000):
                for document in read_documents(shard)[0]:
                    size += target.write("\n".join(document) + "\n\n")
                if size >= limit:
                    break
    return path.stat().st_size / 1e6


def command(text: Path, vocab: str, output: Path, *more: str) -> list[str]:
    """Our command line."""
    base = [sys.executable, "-m", "jaxbert", "create_pretraining_data"]
    return [*base, f"--input_file={text}", f"--vocab_file={vocab}", f"--output_file={output}", *FLAGS, *more]


def wall(arguments: list[str]) -> float:
    """Seconds that a command takes."""
    start = time.perf_counter()
    subprocess.run(arguments, check=True, capture_output=True)
    return time.perf_counter() - start


def peak_memory(arguments: list[str]) -> float:
    """MiB that the largest process of a command held at most."""
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True);"
    code += " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    return float(subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True).stdout)


def side_by_side(text: Path, vocab: str, scratch: Path, rounds: int) -> dict[str, list[float]]:
    """Megabytes a second of processor time, of each side in each round."""
    settings = {"text": str(text), "vocab": vocab, "output": str(scratch / "records"), "flags": FLAGS}
    rates: dict[str, list[float]] = {"original": [], "ours": []}
    workers = {name: Worker(f"bench.pretraining_data_{name}", settings) for name in rates}
    for _ in range(rounds):
        for name, worker in workers.items():
            rates[name].append(text.stat().st_size / 1e6 / worker.ask()["seconds"])
    for worker in workers.values():
        worker.close()
    return rates


def measure(folder: Path, vocab: str, megabytes: float, rounds: int) -> dict[str, Any]:
    """All figures."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        text, output = scratch / "text", scratch / "out"
        size = prepare(folder, megabytes, text)
        rates = side_by_side(text, vocab, scratch, rounds)
        medians = {name: statistics.median(values) for name, values in rates.items()}
        prepare(folder, 100, scratch / "larger")
        seconds: dict[str, list[float]] = {"1": [], "2": []}
        for _ in range(rounds):
            for workers, times in seconds.items():
                times.append(wall(command(scratch / "larger", vocab, output, f"--num_workers={workers}")))
        memory = {}
        for megabytes_of_text in (10, 100):
            prepare(folder, megabytes_of_text, scratch / "memory")
            once = command(scratch / "memory", vocab, output, "--dupe_factor=1", "--num_workers=1")
            memory[str(megabytes_of_text)] = peak_memory(once)
    return {
        "text_mb": size,
        "mb_per_second": rates,
        "ratio": medians["ours"] / medians["original"],
        "seconds_by_workers": seconds,
        "speedup_of_two": statistics.median(seconds["1"]) / statistics.median(seconds["2"]),
        "peak_mib_by_mb": memory,
    }


def main() -> None:
    """Measure, print a table, write `out/bench/pretraining_data.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True, help="folder of text files, a book each")
    parser.add_argument("--vocab", required=True, help="vocab.txt of an uncased model")
    parser.add_argument("--mb", type=float, default=4, help="megabytes of text for the comparison")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if not (Path(os.environ.get("BERT_REPO", "")) / "create_pretraining_data.py").is_file():
        sys.exit("BERT_REPO must be a checkout of https://github.com/google-research/bert")
    result = measure(arguments.text, arguments.vocab, arguments.mb, arguments.rounds)
    print(f"{result['text_mb']:.1f} MB of text, length 128, 5 passes, one core; median of {arguments.rounds}")
    for name, values in result["mb_per_second"].items():
        print(f"  {name:18} {median_and_spread(values)} MB/s")
    print(f"  {'ratio':18} {result['ratio']:.1f}")
    print(f"  {'two workers':18} {result['speedup_of_two']:.2f} times one")
    for megabytes, peak in result["peak_mib_by_mb"].items():
        print(f"  {'peak memory':18} {peak:.0f} MiB for {megabytes} MB")
    write_results("pretraining_data", result)


if __name__ == "__main__":
    main()
