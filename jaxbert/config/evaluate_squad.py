# SPDX-License-Identifier: Apache-2.0
"""The arguments and flags of `evaluate_squad`."""

import dataclasses

from jaxbert.config.flags import argument, flag


@dataclasses.dataclass(frozen=True)
class Flags:
    """Predictions and the answers they are compared with."""

    data_file: str = argument("SQuAD file with gold answers, such as dev-v1.1.json; it says which version it is.")
    prediction_file: str = argument("JSON object of question id and answer: predictions.json.")
    null_odds: str | None = flag(
        None,
        "SQuAD 2.0: JSON object of question id and how much speaks for no answer, null_odds.json; adds the best"
        " thresholds and the average precisions.",
    )
    na_prob_thresh: float = flag(
        1.0, "SQuAD 2.0 with --null_odds: questions above this count as not answered, whatever was predicted."
    )
