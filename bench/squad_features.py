# SPDX-License-Identifier: Apache-2.0
"""Questions per second from a SQuAD file to its windows, on one core: ours against google-research's `run_squad.py`.

The original's own reading and conversion run unchanged. They build features and throw them away; our side also writes
the record file, so the ratio is on the low side. Both run in turn in one process; medians of processor time count, and
the windows must be equal. The original takes one answer a question, so it gets the file with the first answers only.

    git clone https://github.com/google-research/bert
    BERT_REPO=bert python -m bench.squad_features --squad=dev-v1.1.json --vocab=uncased_L-12_H-768_A-12/vocab.txt
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxbert.datasets.squad import SquadRecipe, write_squad_records
from jaxbert.examples.squad import read_squad
from jaxbert.features.squad import WindowSettings
from jaxbert.text.tokenizer import Rules
from jaxbert.tfrecord.example import decode
from jaxbert.tfrecord.files import TFRecords
from jaxbert.tfrecord.schema import squad_schema

SETTINGS = WindowSettings(max_seq_length=384, doc_stride=128, max_query_length=64)


def ignore(*_: Any, **__: Any) -> None:
    """Log lines and flag declarations of the original, which go nowhere."""


@contextlib.contextmanager
def stand_ins(repository: str) -> Iterator[None]:
    """What the original imports and its conversion does not need: TensorFlow 1, six, the model and the optimizer."""
    flags = types.SimpleNamespace(FLAGS=types.SimpleNamespace(version_2_with_negative=False))
    flags.__dict__.update({f"DEFINE_{kind}": ignore for kind in ("string", "bool", "integer", "float")})
    tensorflow = types.ModuleType("tensorflow")
    tensorflow.__dict__.update(
        flags=flags,
        gfile=types.SimpleNamespace(GFile=open, Open=open),
        logging=types.SimpleNamespace(info=ignore, warning=ignore),
    )
    six = types.ModuleType("six")
    six.__dict__.update(PY2=False, PY3=True, iteritems=dict.items)
    modules = {"tensorflow": tensorflow, "six": six}
    modules |= {name: types.ModuleType(name) for name in ("modeling", "optimization")}
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    sys.path.insert(0, repository)
    try:
        yield
    finally:
        sys.path.remove(repository)
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def original_modules(repository: str) -> tuple[Any, Any]:
    """`tokenization` and `run_squad` of google-research/bert."""
    with stand_ins(repository):
        import run_squad
        import tokenization
    return tokenization, run_squad


def first_answers(source: Path, target: str) -> None:
    """The same file with one answer a question, which is all the original takes for training."""
    content = json.loads(source.read_text())
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                del question["answers"][1:]
    Path(target).write_text(json.dumps(content))


def convert_original(modules: tuple[Any, Any], vocab: str, path: str, keep: Callable[[Any], None]) -> int:
    """Read and convert; `keep` gets every feature. Returns the number of questions."""
    tokenization, run_squad = modules
    tokenizer = tokenization.FullTokenizer(vocab, do_lower_case=True)
    examples = run_squad.read_squad_examples(path, True)
    run_squad.convert_examples_to_features(
        examples,
        tokenizer,
        SETTINGS.max_seq_length,
        SETTINGS.doc_stride,
        SETTINGS.max_query_length,
        True,
        keep,
    )
    return len(examples)


def convert_ours(vocab: str, path: str, target: str) -> int:
    """The same with this program, to a record file: vocabulary, tokenizer and its memory all new."""
    recipe = SquadRecipe(vocab, Rules(), SETTINGS)
    written = write_squad_records(target, read_squad(path), recipe, 1, ignore)
    return written.questions - len(written.skipped)


def check_equal(modules: tuple[Any, Any], vocab: str, path: str, target: str) -> int:
    """Convert with both, compare the windows feature by feature, and return how many there are."""
    features: list[Any] = []
    convert_original(modules, vocab, path, features.append)
    convert_ours(vocab, path, target)
    records = TFRecords([target])
    arrays = decode(records.read(np.arange(len(records))), squad_schema(SETTINGS.max_seq_length))
    names = ("unique_id", "input_ids", "input_mask", "segment_ids", "start_position", "end_position")
    for name, array in zip(names, arrays.values(), strict=False):
        assert (np.array([getattr(feature, name) for feature in features]) == array).all(), f"{name} differs"
    return len(features)


def rate(work: Callable[[], int]) -> float:
    """Questions per second of processor time, so that other programs on the machine do not count."""
    start = time.process_time()
    count = work()
    return count / (time.process_time() - start)


def measure(source: Path, vocab: str, repository: str, rounds: int) -> dict[str, Any]:
    """Both sides in turn."""
    modules = original_modules(repository)
    sides: dict[str, list[float]] = {"original": [], "ours": []}
    with tempfile.TemporaryDirectory() as scratch:
        path, target = f"{scratch}/squad.json", f"{scratch}/records"
        first_answers(source, path)
        windows = check_equal(modules, vocab, path, target)
        for _ in range(rounds):
            sides["original"].append(rate(lambda: convert_original(modules, vocab, path, ignore)))
            sides["ours"].append(rate(lambda: convert_ours(vocab, path, target)))
    medians = {name: statistics.median(rates) for name, rates in sides.items()}
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "windows": windows,
        "settings": vars(SETTINGS),
        "questions_per_second": medians,
        "ratio": medians["ours"] / medians["original"],
        "seconds_for_87599_questions": 87_599 / medians["ours"],
        "all_runs": sides,
    }


def main() -> None:
    """Measure, print a table, write `out/bench/squad_features.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", type=Path, required=True, help="a SQuAD 1.1 file")
    parser.add_argument("--vocab", required=True, help="vocab.txt of an uncased model")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    repository = os.environ.get("BERT_REPO", "")
    if not os.path.isfile(os.path.join(repository, "run_squad.py")):
        sys.exit("BERT_REPO must be a checkout of https://github.com/google-research/bert: there is no run_squad.py")
    result = measure(arguments.squad, arguments.vocab, repository, arguments.rounds)
    print(f"{arguments.squad.name}, {result['windows']} windows; {result['machine']}; median of {arguments.rounds}")
    for name, value in result["questions_per_second"].items():
        print(f"  {name:10} {value:10,.0f} questions/s")
    print(f"  {'ratio':10} {result['ratio']:10.1f}")
    print(f"  87,599 questions (SQuAD 1.1 train) take ours {result['seconds_for_87599_questions']:.1f} s at this rate")
    path = Path("out/bench/squad_features.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
