# SPDX-License-Identifier: Apache-2.0
"""The peer of bench/quality.py: transformers' Trainer with random batches, or such of similar length.

Its own grouping goes from the longest texts to the shortest four times an epoch or more often, and learns less that
way (docs/log.md); here the same batches come in random order.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Sampler
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from jaxbert.examples.glue import find_task, glue_dataset
from jaxbert.examples.text_examples import TextDataset, TextExample
from jaxbert.metrics.glue import score


class ShuffledBatches(Trainer):
    """Its batches of similar length, in random order, without the last one where that is not full."""

    def _get_train_sampler(self, *given: Any) -> Sampler[int]:
        return _Shuffled(super()._get_train_sampler(*given), self.args.train_batch_size)


class _Shuffled(Sampler[int]):
    def __init__(self, grouped: Sampler[int], batch: int) -> None:
        self._grouped, self._batch = grouped, batch

    def __len__(self) -> int:
        return len(self._grouped)

    def __iter__(self) -> Iterator[int]:
        indices = list(self._grouped)
        starts = range(0, len(indices) - self._batch + 1, self._batch)
        for index in torch.randperm(len(starts)).tolist():
            yield from indices[starts[index] : starts[index] + self._batch]


def main() -> None:
    """Train and write the metrics."""
    asked = json.loads(sys.argv[1])
    is_grouped = asked["side"] == "grouped"
    dataset = glue_dataset(find_task(asked["task"]), asked["data"])
    assert dataset.train is not None
    assert dataset.dev is not None
    tokenizer = AutoTokenizer.from_pretrained(asked["model"])
    train, dev = (
        [tokenized(one, dataset, tokenizer, asked["length"]) for one in examples()]
        for examples in (dataset.train, dataset.dev)
    )
    total = len(train) // asked["batch"] * asked["epochs"]
    warmup = int(0.1 * asked["epochs"] * len(train) / asked["batch"])
    arguments = TrainingArguments(
        output_dir=asked["folder"],
        per_device_train_batch_size=asked["batch"],
        num_train_epochs=asked["epochs"],
        learning_rate=asked["rate"],
        weight_decay=0.01,
        adam_epsilon=1e-6,
        train_sampling_strategy="group_by_length" if is_grouped else "random",
        dataloader_drop_last=True,
        seed=asked["seed"],
        bf16=asked["dtype"] == "bf16",
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    set_seed(asked["seed"])  # the head's first weights
    model = AutoModelForSequenceClassification.from_pretrained(asked["model"], num_labels=len(dataset.labels) or 1)
    trainer = (ShuffledBatches if is_grouped else Trainer)(model, arguments, DataCollatorWithPadding(tokenizer), train)
    trainer.create_optimizer()
    assert trainer.optimizer is not None
    trainer.lr_scheduler = LambdaLR(trainer.optimizer, lambda step: share_of_rate(step, warmup, total))
    trainer.train()
    # What it does to training batches, to group and to leave out, it would do to those of evaluation.
    of_all = replace(arguments, train_sampling_strategy="sequential", dataloader_drop_last=False)
    dev.sort(key=lambda one: len(one["input_ids"]))
    outputs = Trainer(model, of_all, DataCollatorWithPadding(tokenizer)).predict(dev).predictions
    labels = np.array([one["labels"] for one in dev])
    metrics = score(asked["task"], labels, outputs[:, 0] if dataset.is_regression else outputs)
    Path(asked["folder"], "last").mkdir()
    written = Path(asked["folder"], "last", "eval_results.json")
    written.write_text(json.dumps({"step": trainer.state.global_step, **metrics}))


def tokenized(example: TextExample, dataset: TextDataset, tokenizer: Any, length: int) -> dict[str, Any]:
    """Features of one example."""
    label = dataset.labels.index(str(example.label)) if dataset.labels else float(str(example.label))
    texts = [text for text in (example.text_a, example.text_b) if text is not None]
    return {**tokenizer(*texts, truncation="longest_first", max_length=length), "labels": label}


def share_of_rate(step: int, warmup: int, total: int) -> float:
    """The official schedule: linear warm-up, then a linear decay that counts from step 0."""
    return step / max(warmup, 1) if step < warmup else max(0.0, 1 - step / total)


if __name__ == "__main__":
    main()
