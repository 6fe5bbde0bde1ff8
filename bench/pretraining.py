# SPDX-License-Identifier: Apache-2.0
"""Pretraining on real text: ours packed, ours padded, and transformers' BertForPreTraining on PyTorch, padded.

    jaxbert create_pretraining_data --input_file='wikipedia/*' --input_format=wikiextractor --vocab_file=vocab.txt \
        --output_file=w512.tfrecord --max_seq_length=512 --max_predictions_per_seq=76 --dupe_factor=1
    python -m bench.pretraining --records=w512.tfrecord --shape=base

Records and their masks are the same for all sides; float32 unless `--dtype` says otherwise. Each round times each side
on the same batch; medians over the rounds, and ratios within a round. A token is real if it is no padding; operations
are those that real tokens need: the products of the layers, attention within each record, both heads on the predicted
positions, three times for a training step.
"""

import argparse
import statistics
from typing import Any

import numpy as np

from bench.side_by_side import Worker, arrays_file, median_and_spread, write_results
from bench.workload import SHAPES, VOCABULARY, config_of, operations
from jaxbert.batches.order import records_at
from jaxbert.datasets.checks import Bounds
from jaxbert.datasets.pretraining import PretrainingRecords


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of every side in every round, and what follows from them."""
    records = PretrainingRecords(arguments.records.split(","), Bounds(VOCABULARY, 2, 1 << 16), True)
    features = records.read(np.arange(min(len(records), arguments.most)))
    lengths = np.count_nonzero(features["input_mask"], axis=1)
    predicted = np.count_nonzero(features["masked_lm_weights"], axis=1)
    batch = arguments.batch_size
    seconds: dict[str, list[float]] = {}
    last: dict[str, Any] = {}
    tokens, needed, products, positions = [], [], [], []
    with arrays_file(features) as file:
        settings = {
            "data": file,
            "config": config_of(arguments.shape, records.max_seq_length),
            "batch_size": batch,
            "parts": arguments.parts,
            "dtype": arguments.dtype,
            "remat": arguments.remat,
        }
        ours = Worker("bench.pretraining_jaxbert", settings)
        peer = None if arguments.only_ours else Worker("bench.pretraining_transformers", settings)
        for number in range(-1, arguments.rounds):  # round -1 warms both sides up and is dropped
            numbers = records_at(np.arange(batch) + batch * max(number, 0), len(lengths), 0)
            answers = {f"ours {way}": ours.ask(mode=way, number=max(number, 0)) for way in ("packed", "padded")}
            if peer is not None:
                answers["transformers padded"] = peer.ask(numbers=numbers.tolist())
            if number >= 0:
                for side, answer in answers.items():
                    seconds.setdefault(side, []).append(answer["seconds"])
                    last[side] = answer
                tokens.append(int(lengths[numbers].sum()))
                needed.append(operations(lengths[numbers], predicted[numbers], arguments.shape))
                positions.append(answers["ours packed"]["positions"])
                products.append(ours.ask(mode="products")["flops"])
        ours.close()
        if peer is not None:
            peer.close()
    limit = arguments.peak_tflops * 1e12 if arguments.peak_tflops else statistics.median(products)
    return {
        "settings": vars(arguments),
        "real_tokens_per_second": {
            side: [n / s for n, s in zip(tokens, times, strict=True)] for side, times in seconds.items()
        },
        "ours packed over": {
            side: [other / ours for ours, other in zip(seconds["ours packed"], times, strict=True)]
            for side, times in seconds.items()
            if side != "ours packed"
        },
        "tflops_of_real_tokens": {
            side: [n / s / 1e12 for n, s in zip(needed, times, strict=True)] for side, times in seconds.items()
        },
        "limit_tflops": limit / 1e12,
        "share_of_limit": {
            side: [n / s / limit for n, s in zip(needed, times, strict=True)] for side, times in seconds.items()
        },
        "share_of_padding": {
            "packed": 1 - sum(tokens) / sum(positions),
            "padded": 1 - sum(tokens) / (len(tokens) * batch * records.max_seq_length),
        },
        "peak_mib": {side: answer["peak_mib"] for side, answer in last.items()},
    }


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", required=True, help="records of create_pretraining_data, separated by commas")
    parser.add_argument("--shape", choices=tuple(SHAPES), default="base")
    parser.add_argument("--batch_size", type=int, default=16, help="records in a step")
    parser.add_argument("--parts", type=int, default=1, help="micro-batches of ours")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=int, default=20000, help="records to hold in memory")
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32", help="of ours")
    parser.add_argument("--remat", action="store_true", help="ours computes layers again in the backward pass")
    parser.add_argument("--only_ours", action="store_true", help="without the peer")
    parser.add_argument("--peak_tflops", type=float, help="of the device; default: a large product, measured")
    results = measure(parser.parse_args())
    for name, unit in (
        ("real_tokens_per_second", "real tokens/s"),
        ("ours packed over", "times as fast is ours packed"),
        ("tflops_of_real_tokens", "TFLOP/s for real tokens"),
        ("share_of_limit", f"of the {results['limit_tflops']:.2f} TFLOP/s of a large product, or as given"),
    ):
        for side, values in results[name].items():
            print(f"{side:20} {median_and_spread(values)} {unit}")
    for name in ("share_of_padding", "peak_mib"):
        print(f"{name}: {results[name]}")
    name = f"pretraining_{results['settings']['shape']}"
    print(f"written to {write_results(name, results)}")


if __name__ == "__main__":
    main()
