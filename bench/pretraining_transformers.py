# SPDX-License-Identifier: Apache-2.0
"""The peer of bench/pretraining.py: transformers' BertForPreTraining on PyTorch, records padded."""

import json
import os
import sys
import time

import numpy as np
import torch
from transformers import BertConfig, BertForPreTraining

from bench.side_by_side import peak_memory_mib, serve


def main() -> None:
    """Answer requests for timed steps."""
    settings = json.loads(sys.argv[1])
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    data = {name: torch.from_numpy(array) for name, array in np.load(settings["data"]).items()}
    model = BertForPreTraining(BertConfig(**settings["config"], hidden_act="gelu_new", attn_implementation="sdpa"))
    plain = [p for name, p in model.named_parameters() if "bias" in name or "LayerNorm" in name]
    decayed = [p for name, p in model.named_parameters() if not ("bias" in name or "LayerNorm" in name)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-4, eps=1e-6, fused=True)
    model.train()

    def answer(numbers: list[int]) -> dict[str, float]:
        start = time.perf_counter()
        batch = {name: array[numbers] for name, array in data.items()}
        labels = torch.full_like(batch["input_ids"], -100)  # what is -100 is not predicted
        row, place = torch.nonzero(batch["masked_lm_weights"], as_tuple=True)
        labels[row, batch["masked_lm_positions"][row, place]] = batch["masked_lm_ids"][row, place]
        optimizer.zero_grad(set_to_none=True)
        result = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["input_mask"],
            token_type_ids=batch["segment_ids"],
            labels=labels,
            next_sentence_label=batch["next_sentence_labels"],
        )
        result.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return {"seconds": time.perf_counter() - start, "peak_mib": peak_memory_mib()}

    serve(answer)


if __name__ == "__main__":
    main()
