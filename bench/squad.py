# SPDX-License-Identifier: Apache-2.0
"""Training and prediction on windows of dev-v1.1 with a BERT-base: ours beside transformers on PyTorch, on this CPU.

    python -m bench.squad --squad=dev-v1.1.json --vocab=uncased_L-12_H-768_A-12/vocab.txt

Float32, windows of at most 384 tokens 128 apart, batch 8. The peer runs padded to 384, and in its best setting: batches
of similar length, each padded to its longest window. After it comes how long the answers to all questions take from
candidates to files, on random candidates around one place in each window.
"""

import argparse
import collections
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.classifier import BASE, Comparison, measure, report
from jaxbert.examples.squad import read_squad
from jaxbert.features.squad import QuestionFile, WindowedQuestion, WindowSettings, label_arrays, teach, window_arrays
from jaxbert.predictions.squad import AnswerSettings, AnswerTexts, Found, in_question_order, predict
from jaxbert.predictions.squad_files import write_answers
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.text.vocab import read_vocab

SETTINGS = WindowSettings(max_seq_length=384, doc_stride=128, max_query_length=64)
MODULES = ("bench.squad_jaxbert", "bench.squad_transformers")
SIZES = {
    "base": BASE,
    "tiny": {**BASE, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 256},
}
KEPT = 20  # candidates of a window


def read_windows(path: str, tokenizer: Tokenizer) -> dict[str, np.ndarray]:
    """Ids and types [n, S], first and last position of the answers and lengths [n] of all windows."""
    taught = (one for paragraph in read_squad(path) for one in teach(paragraph, tokenizer, SETTINGS))
    asked = [one for one in taught if isinstance(one, WindowedQuestion)]
    arrays = window_arrays(asked, tokenizer, SETTINGS.max_seq_length) | label_arrays(asked)
    names = {"ids": "input_ids", "types": "segment_ids", "starts": "start_positions", "ends": "end_positions"}
    lengths = np.count_nonzero(arrays["input_mask"], axis=1)
    return {short: arrays[name] for short, name in names.items()} | {"lengths": lengths}


def seconds_to_files(questions: QuestionFile) -> float:
    """From candidates of all windows to the files of answers."""
    generator = np.random.default_rng(0)
    batches = [made_up(first, generator, questions.lengths) for first in range(0, len(questions.lengths), 64)]
    asked = list(questions)
    texts, settings = AnswerTexts(questions.tokenizer), AnswerSettings()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        answers = in_question_order(
            collections.deque(asked), batches, lambda one, best: predict(one, best, settings, texts)
        )
        write_answers(folder, answers, version_2_with_negative=False)
        return time.perf_counter() - started


def made_up(first: int, generator: np.random.Generator, lengths: np.ndarray) -> Found:
    """Candidates of up to 64 windows from number `first` on, around one place in each."""
    numbers = np.arange(first, min(first + 64, len(lengths)))
    centres = generator.integers(15, np.maximum(lengths[numbers], 16))[:, None]
    values: Mapping[str, Any] = {"null_logits": generator.normal(size=(len(numbers), 2))}
    for name in ("start", "end"):
        places = np.clip(centres + generator.integers(-15, 15, (len(numbers), KEPT)), 1, lengths[numbers][:, None] - 1)
        logits = -np.sort(-generator.normal(size=(len(numbers), KEPT)), axis=1)
        values = {**values, f"{name}s": places, f"{name}_logits": logits.astype(np.float32)}
    return numbers, values


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", required=True, help="dev-v1.1.json")
    parser.add_argument("--vocab", required=True, help="vocab.txt of the uncased models")
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--window", type=int, default=64, help="windows predicted together")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="batches a round")
    arguments = parser.parse_args()
    tokenizer = Tokenizer(read_vocab(arguments.vocab))
    times = [seconds_to_files(QuestionFile(arguments.squad, tokenizer, SETTINGS, False)) for _ in range(3)]
    print(f"candidates to files: {sorted(times)[1]:.2f} s ({min(times):.2f} to {max(times):.2f})")
    sizes = (SETTINGS.max_seq_length, arguments.batch_size, arguments.window)
    comparison = Comparison(MODULES, SIZES[arguments.size], *sizes, arguments.dtype)
    results = measure(read_windows(arguments.squad, tokenizer), comparison, arguments.rounds, arguments.steps)
    report("squad", {**results, "seconds_to_files": times})


if __name__ == "__main__":
    main()
