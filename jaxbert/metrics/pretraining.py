# SPDX-License-Identifier: Apache-2.0
"""What pretraining is measured by: masked language model and next sentence prediction, from sums over all records."""

import math
from collections.abc import Mapping

# Sums over targets: of their weights, of weight x cross entropy, of the weights of those that were predicted right.
SUMS = (
    "masked_lm_weight",
    "masked_lm_loss",
    "masked_lm_right",
    "next_sentence_weight",
    "next_sentence_loss",
    "next_sentence_right",
)


def metrics(sums: Mapping[str, float]) -> dict[str, float]:
    """Means from the sums named in `SUMS`, by the names of run_pretraining.py; those of the next sentence may miss.

    `loss` is the sum of both losses, `perplexity` the exponential of the masked language model's.
    """
    results = {}
    for task in ("masked_lm", "next_sentence"):
        if f"{task}_weight" in sums:
            total = sums[f"{task}_weight"] or 1.0
            results[f"{task}_accuracy"] = sums[f"{task}_right"] / total
            results[f"{task}_loss"] = sums[f"{task}_loss"] / total
    results["loss"] = results["masked_lm_loss"] + results.get("next_sentence_loss", 0.0)
    # Of a diverged model there is no perplexity in float64; its loss says what there is to say.
    results["perplexity"] = math.exp(min(results["masked_lm_loss"], 700.0))
    return results
