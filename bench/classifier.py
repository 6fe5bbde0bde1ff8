# SPDX-License-Identifier: Apache-2.0
"""Training and prediction with a classifier on real texts: ours beside transformers on PyTorch, on this CPU.

    python -m bench.classifier --mrpc=glue/MRPC --vocab=uncased_L-12_H-768_A-12/vocab.txt
    python -m bench.classifier --texts=snippets.txt --vocab=uncased_L-12_H-768_A-12/vocab.txt

Pairs with BERT-base, or texts with the sizes of MiniLM (6 layers of 384). Float32 or bfloat16, batch 32, at most 128
tokens. The peer runs padded to 128, and in its best setting: batches of similar length, each padded to its longest
example (the batches measured are spread evenly over its epoch from short to long).
Each round times both sides one after the other; medians over the rounds, and ratios. What is not padded counts by its
tokens, as examples of the mean length, since a few batches are not exactly as long as all.
"""

import argparse
import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.side_by_side import Worker, arrays_file, median_and_spread, write_results
from jaxbert.examples.glue import find_task, glue_dataset
from jaxbert.examples.text_examples import TextExample
from jaxbert.features.classification import convert, label_ids
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.text.vocab import read_vocab

LENGTH, BATCH = 128, 32
PREDICT_WINDOW = 512
BASE = {"vocab_size": 30522, "type_vocab_size": 2}
MINILM = BASE | {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}


def read_mrpc(folder: str) -> list[TextExample]:
    """The training set."""
    examples = glue_dataset(find_task("MRPC"), folder).train
    assert examples is not None
    return list(examples())


def read_texts(path: str) -> list[TextExample]:
    """A text a line; their labels take turns, since time does not depend on them."""
    texts = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    return [TextExample(text, label=str(number % 2)) for number, text in enumerate(texts)]


def arrays_of(examples: Sequence[TextExample], vocab: str) -> dict[str, np.ndarray]:
    """Ids and types [n, S], labels and lengths [n]."""
    tokenizer = Tokenizer(read_vocab(vocab))
    features, _ = convert(examples, tokenizer, LENGTH, label_ids(("0", "1")))
    names = {"ids": "input_ids", "types": "segment_ids", "labels": "label_ids"}
    arrays = {short: features[name] for short, name in names.items()}
    return arrays | {"lengths": np.count_nonzero(features["input_mask"], axis=1)}


def sorted_batches(lengths: np.ndarray, count: int, batch_size: int) -> list[list[int]]:
    """`count` batches of similar length, spread evenly over all from the shortest to the longest."""
    order = np.argsort(lengths, kind="stable")
    return _spread(order[: len(order) // batch_size * batch_size].reshape(-1, batch_size), count)


def even_sample(lengths: np.ndarray, count: int) -> list[int]:
    """`count` examples, spread evenly over all from the shortest to the longest, in the order of the data."""
    return sorted(_spread(np.argsort(lengths, kind="stable"), count))


def _spread(ordered: np.ndarray, count: int) -> list[Any]:
    picked: list[Any] = ordered[((np.arange(count) + 0.5) / count * len(ordered)).astype(int)].tolist()
    return picked


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is measured: the modules of both sides, and how much at a time.

    Attributes:
        modules: ours and the peer's.
        config: sizes of the model.
        length: S, what the peer pads to.
        batch_size: examples in a step.
        window: examples predicted together.
        dtype: of products, on both sides: fp32 or bf16 (the peer's by autocast).
    """

    modules: tuple[str, str]
    config: Mapping[str, int]
    length: int
    batch_size: int
    window: int
    dtype: str = "fp32"


MRPC = Comparison(("bench.classifier_jaxbert", "bench.classifier_transformers"), BASE, LENGTH, BATCH, PREDICT_WINDOW)


def measure(data: Mapping[str, np.ndarray], comparison: Comparison, rounds: int, steps: int) -> dict[str, Any]:
    """Examples per second of every setting in every round, and what else is reported."""
    length, batch_size, window_size = comparison.length, comparison.batch_size, comparison.window
    lengths = data["lengths"]
    groups = sorted_batches(lengths, steps, batch_size)
    sample = even_sample(lengths, window_size)
    mean_length = lengths.mean()
    generator = np.random.default_rng(0)
    with arrays_file(data) as file:
        sizes = {"config": dict(comparison.config), "batch_size": batch_size, "dtype": comparison.dtype}
        settings = {"data": file, "window": sample, **sizes}
        ours, peer = (Worker(module, settings) for module in comparison.modules)
        rates: dict[str, list[float]] = {}
        last: dict[str, Any] = {}

        def record(name: str, answers: list[dict[str, Any]], examples: float) -> None:
            rates.setdefault(name, []).append(examples / sum(answer["seconds"] for answer in answers))
            last[name] = answers[-1]

        positions = real = 0
        for round_number in range(-1, rounds):  # round -1 warms both sides up and is dropped
            if round_number == 0:
                rates.clear()
                positions = real = 0
            answers = [ours.ask(mode="train", number=round_number * steps + k + steps) for k in range(steps)]
            positions += sum(answer["positions"] for answer in answers)
            real += sum(answer["tokens"] for answer in answers)
            record("train ours", answers, sum(answer["tokens"] for answer in answers) / mean_length)
            by_length = lengths[groups].sum() / mean_length
            record("train sorted", [peer.ask(mode="train", numbers=g, width=None) for g in groups], by_length)
            some = generator.choice(len(lengths), (2, batch_size)).tolist()
            record("train padded", [peer.ask(mode="train", numbers=n, width=length) for n in some], 2 * batch_size)
            record("predict ours", [ours.ask(mode="predict")], lengths[sample].sum() / mean_length)
            record("predict sorted", [peer.ask(mode="predict", numbers=g, width=None) for g in groups], by_length)
            record("predict padded", [peer.ask(mode="predict", numbers=n, width=length) for n in some], 2 * batch_size)
        ours.close()
        peer.close()
    return {
        "examples_per_second": rates,
        "ratios": {
            f"{mode} over {setting}": [
                o / p for o, p in zip(rates[f"{mode} ours"], rates[f"{mode} {setting}"], strict=True)
            ]
            for mode in ("train", "predict")
            for setting in ("padded", "sorted")
        },
        "real_tokens_per_second": statistics.median(rates["train ours"]) * mean_length,
        "share_of_padding": 1 - real / positions,
        "first_step_seconds": last["train ours"]["first_step_seconds"],
        "peak_mib": {"ours": last["predict ours"]["peak_mib"], "transformers": last["predict padded"]["peak_mib"]},
    }


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--mrpc", help="folder with MRPC's train.tsv")
    source.add_argument("--texts", help="file with a text a line")
    parser.add_argument("--vocab", required=True, help="vocab.txt of the uncased models")
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="batches a round")
    arguments = parser.parse_args()
    examples = read_mrpc(arguments.mrpc) if arguments.mrpc else read_texts(arguments.texts)
    comparison = dataclasses.replace(MRPC, dtype=arguments.dtype, config=BASE if arguments.mrpc else MINILM)
    results = measure(arrays_of(examples, arguments.vocab), comparison, arguments.rounds, arguments.steps)
    report("classifier", results)


def report(name: str, results: Mapping[str, Any]) -> None:
    """Print the table, write the JSON."""
    for setting, values in results["examples_per_second"].items():
        print(f"{setting:16} {median_and_spread(values)} examples/s")
    for ratio, values in results["ratios"].items():
        print(f"{ratio:20} {median_and_spread(values)}")
    for figure in ("real_tokens_per_second", "share_of_padding", "first_step_seconds", "peak_mib"):
        print(f"{figure}: {results[figure]}")
    print(f"written to {write_results(name, results)}")


if __name__ == "__main__":
    main()
