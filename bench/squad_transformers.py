# SPDX-License-Identifier: Apache-2.0
"""The peer of bench/squad.py: transformers' BertForQuestionAnswering on PyTorch, as its trainer runs it."""

from typing import Any

import torch
from transformers import BertConfig, BertForQuestionAnswering

from bench.classifier_transformers import work


def main() -> None:
    """Answer requests for timed steps."""

    def model(config: dict[str, Any]) -> torch.nn.Module:
        return BertForQuestionAnswering(BertConfig(**config))

    def predict(outputs: Any) -> None:
        for logits in (outputs.start_logits, outputs.end_logits):
            logits.topk(min(20, logits.shape[1])).values.float().numpy()

    work(model, {"start_positions": "starts", "end_positions": "ends"}, predict)


if __name__ == "__main__":
    main()
