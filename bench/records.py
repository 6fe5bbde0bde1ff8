# SPDX-License-Identifier: Apache-2.0
"""Examples per second from MRPC's TSV to its record file, on one core: ours against the way of the original script.

The original way is google-research/bert's own tokenizer, its lists filled token by token, and a `tf.train.Example` for
each record written by TensorFlow. Both sides run in turn in one process; medians of processor
time count, and the records must be equal.

    git clone https://github.com/google-research/bert
    BERT_REPO=bert python -m bench.records --mrpc=glue/MRPC --vocab=uncased_L-12_H-768_A-12/vocab.txt
"""

import argparse
import csv
import importlib.util
import os
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.side_by_side import write_results
from jaxbert.datasets.classification import Recipe, write_text_records
from jaxbert.examples.glue import find_task, glue_dataset
from jaxbert.text.tokenizer import Rules
from jaxbert.tfrecord.example import decode
from jaxbert.tfrecord.files import TFRecords
from jaxbert.tfrecord.schema import classification_schema

LENGTH = 128
LABELS = ("0", "1")


def original_tokenizer(repository: str, vocab: str) -> Any:
    """`FullTokenizer` of google-research/bert; of TensorFlow 1 its file uses only `tf.gfile.GFile`, which is `open`."""
    stand_in = types.ModuleType("tensorflow")
    stand_in.gfile = types.SimpleNamespace(GFile=open)  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location("tokenization", Path(repository) / "tokenization.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    real = sys.modules.get("tensorflow")
    sys.modules["tensorflow"] = stand_in
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["tensorflow"]
        if real is not None:
            sys.modules["tensorflow"] = real
    return module.FullTokenizer(vocab, do_lower_case=True)


def original_features(tokenizer: Any, text_a: str, text_b: str) -> tuple[list[int], list[int], list[int]]:
    """Ids, mask and segments [S], by lists that grow one token at a time."""
    first, second = tokenizer.tokenize(text_a), tokenizer.tokenize(text_b)
    while len(first) + len(second) > LENGTH - 3:
        (first if len(first) > len(second) else second).pop()
    tokens, segments = ["[CLS]"], [0]
    for number, text in enumerate((first, second)):
        for token in (*text, "[SEP]"):
            tokens.append(token)
            segments.append(number)
    ids = tokenizer.convert_tokens_to_ids(tokens)
    mask = [1] * len(ids)
    while len(ids) < LENGTH:
        for values in (ids, mask, segments):
            values.append(0)
    return ids, mask, segments


def write_original(tokenizer: Any, train_file: Path, path: str) -> int:
    """Read, convert and write one record after the other; returns how many."""
    import tensorflow as tf

    def integers(values: list[int]) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    with open(train_file, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    with tf.io.TFRecordWriter(path) as writer:
        for row in rows:
            ids, mask, segments = original_features(tokenizer, row[3], row[4])
            feature = {
                "input_ids": integers(ids),
                "input_mask": integers(mask),
                "segment_ids": integers(segments),
                "label_ids": integers([LABELS.index(row[0])]),
                "is_real_example": integers([1]),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return len(rows)


def write_ours(folder: Path, vocab: str, path: str) -> int:
    """The same with this program: vocabulary, tokenizer and its memory all new."""
    examples = glue_dataset(find_task("MRPC"), str(folder)).train
    assert examples is not None
    return write_text_records(path, examples(), Recipe(vocab, Rules(), LENGTH, LABELS), 1, lambda count: None)


def rate(work: Callable[[], int]) -> float:
    """Examples per second of processor time, so that other programs on the machine do not count."""
    start = time.process_time()
    count = work()
    return count / (time.process_time() - start)


def read_all(path: str) -> dict[str, np.ndarray]:
    """Every array of a record file."""
    records = TFRecords([path])
    return decode(records.read(np.arange(len(records))), classification_schema(LENGTH))


def decoding_rate(path: str, batch: int) -> float:
    """Records per second read in random order, checked and decoded in batches."""
    records, schema = TFRecords([path]), classification_schema(LENGTH)
    order = np.random.default_rng(0).permutation(len(records))

    def work() -> int:
        for start in range(0, len(order), batch):
            decode(records.read(order[start : start + batch]), schema)
        return len(order)

    return statistics.median(rate(work) for _ in range(5))


def measure(folder: Path, vocab: str, repository: str, rounds: int) -> dict[str, Any]:
    """Both sides in turn; rates in examples per second."""
    import tensorflow as tf  # before the clock starts

    tokenizer = original_tokenizer(repository, vocab)
    sides: dict[str, list[float]] = {"original": [], "ours": []}
    with tempfile.TemporaryDirectory() as scratch:
        original, ours = f"{scratch}/original", f"{scratch}/ours"
        for _ in range(rounds):
            sides["original"].append(rate(lambda: write_original(tokenizer, folder / "train.tsv", original)))
            sides["ours"].append(rate(lambda: write_ours(folder, vocab, ours)))
        expected, found = read_all(original), read_all(ours)
        assert all((expected[name] == found[name]).all() for name in expected), "the records differ"
        medians = {name: statistics.median(rates) for name, rates in sides.items()}
        return {
            "tensorflow": tf.__version__,
            "examples": len(found["label_ids"]),
            "max_seq_length": LENGTH,
            "examples_per_second": medians,
            "ratio": medians["ours"] / medians["original"],
            "all_runs": sides,
            "decoded_per_second": {str(batch): decoding_rate(ours, batch) for batch in (32, 256, 1024)},
        }


def main() -> None:
    """Measure, print a table, write `out/bench/records.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mrpc", type=Path, required=True, help="folder with MRPC's train.tsv")
    parser.add_argument("--vocab", required=True, help="vocab.txt of an uncased model")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    repository = os.environ.get("BERT_REPO", "")
    if not os.path.isfile(os.path.join(repository, "tokenization.py")):
        sys.exit("BERT_REPO must be a checkout of https://github.com/google-research/bert: there is no tokenization.py")
    result = measure(arguments.mrpc, arguments.vocab, repository, arguments.rounds)
    print(f"MRPC train, {result['examples']} pairs, {LENGTH} tokens; median of {arguments.rounds} rounds, one core")
    for name, value in result["examples_per_second"].items():
        print(f"  {name:10} {value:10,.0f} examples/s")
    print(f"  {'ratio':10} {result['ratio']:10.1f}")
    for batch, value in result["decoded_per_second"].items():
        print(f"  decoding in batches of {batch:>4} {value:10,.0f} records/s")
    write_results("records", result)


if __name__ == "__main__":
    main()
