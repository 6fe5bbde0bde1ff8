# SPDX-License-Identifier: Apache-2.0
"""The peer of bench/classifier.py: transformers' BertForSequenceClassification on PyTorch, as its trainer runs it."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

from bench.side_by_side import peak_memory_mib, serve


def main() -> None:
    """The classifier."""

    def model(config: dict[str, Any]) -> torch.nn.Module:
        return BertForSequenceClassification(BertConfig(**config, num_labels=2))

    def predict(outputs: Any) -> None:
        outputs.logits.float().softmax(-1).numpy()

    work(model, {"labels": "labels"}, predict)


def work(
    make_model: Callable[[dict[str, Any]], torch.nn.Module],
    labels: Mapping[str, str],
    predict: Callable[[Any], None],
) -> None:
    """Answer requests for timed steps.

    `labels` names the model's arguments for what is to be learnt, and where in the data it is; `predict` takes the
    model's outputs.
    """
    settings = json.loads(sys.argv[1])
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    data = np.load(settings["data"])
    ids, types, lengths = (torch.from_numpy(data[name]) for name in ("ids", "types", "lengths"))
    targets = {name: torch.from_numpy(data[short]) for name, short in labels.items()}
    model = make_model(settings["config"] | {"hidden_act": "gelu_new", "attn_implementation": "sdpa"})
    plain = [p for name, p in model.named_parameters() if "bias" in name or "LayerNorm" in name]
    decayed = [p for name, p in model.named_parameters() if not ("bias" in name or "LayerNorm" in name)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=2e-5, eps=1e-6, fused=True)

    def batch(numbers: list[int], width: int | None) -> dict[str, torch.Tensor]:
        width = width or int(lengths[numbers].max())
        mask = (torch.arange(width)[None] < lengths[numbers][:, None]).long()
        return {"input_ids": ids[numbers, :width], "token_type_ids": types[numbers, :width], "attention_mask": mask}

    def autocast() -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=settings["dtype"] == "bf16")

    def train(inputs: dict[str, torch.Tensor], numbers: list[int]) -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast():
            loss = model(**inputs, **{name: values[numbers] for name, values in targets.items()}).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    def answer(mode: str, numbers: list[int], width: int | None) -> dict[str, float]:
        start = time.perf_counter()
        inputs = batch(numbers, width)
        if mode == "train":
            model.train()
            train(inputs, numbers)
        else:
            model.eval()
            with torch.inference_mode(), autocast():
                predict(model(**inputs))
        return {"seconds": time.perf_counter() - start, "peak_mib": peak_memory_mib()}

    serve(answer)


if __name__ == "__main__":
    main()
