# SPDX-License-Identifier: Apache-2.0
"""Our side of bench/squad.py: the functions that `run_squad` runs, candidates of answers included."""

import json
import sys

import jax

from bench.classifier_jaxbert import Task, work
from jaxbert.config.bert_config import BertConfig
from jaxbert.model.encoder import Compute
from jaxbert.model.heads import answer_spans, best_positions, within_windows
from jaxbert.model.weights import Tree, squad_table
from jaxbert.tasks.spans import span_targets
from jaxbert.train.losses import span_loss
from jaxbert.train.run import DTYPES
from jaxbert.train.step import Batch


def main() -> None:
    """Answer requests for timed steps."""
    settings = json.loads(sys.argv[1])
    config = BertConfig(**settings["config"])
    compute = Compute(DTYPES[settings["dtype"]])

    def loss(weights: Tree, batch: Batch, dropout_bits: jax.Array | None) -> jax.Array:
        logits = within_windows(answer_spans(weights, config, batch, dropout_bits=dropout_bits, compute=compute), batch)
        return span_loss(logits, batch["start_positions"], batch["end_positions"], batch["answer_weights"])

    def predict(weights: Tree, batch: Batch) -> dict[str, jax.Array]:
        return best_positions(answer_spans(weights, config, batch, compute=compute), batch, 20)

    labels = {"start_positions": "starts", "end_positions": "ends"}
    work(settings, Task(config, squad_table(config), span_targets, labels, loss, predict))


if __name__ == "__main__":
    main()
