# SPDX-License-Identifier: Apache-2.0
"""The peer of bench/gpu_check.py: transformers' models on PyTorch in bfloat16 autocast, records padded, its best way.

The best batch is looked for without compiling, records padded to the longest of their batch; for that size models
are then compiled, to train for the one shape that holds all records, to predict for any.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
import transformers

from bench.side_by_side import replies, seconds_of_passes
from bench.workload import QUANTILES, MadeUp, config_of, predictions, rates, real_lengths

Settings = Mapping[str, Any]
Result = dict[str, Any]
Batch = dict[str, torch.Tensor]

MODELS = {
    "run_pretraining": "BertForPreTraining",
    "run_classifier": "BertForSequenceClassification",
    "run_squad": "BertForQuestionAnswering",
}
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DEVICE_NAME = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "cpu"


def main() -> None:
    """Measure what the first argument describes."""
    settings, reply = json.loads(sys.argv[1]), replies()
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    for result in measured(settings):
        reply(result)


def measured(settings: Settings) -> Iterator[Result]:
    """Training steps, and prediction but for pretraining, each result as it is there."""
    yield about_device()
    ways = ((_trained, "batch_sizes", settings["compile"]), (_predicted, "predict_batch_sizes", "default"))
    best = {}
    for measure, sizes, _ in ways:
        speeds = {}
        for batch_size in settings[sizes]:
            result = _or_too_large(measure, settings, batch_size, "")
            yield result
            speeds[batch_size] = result.get("tokens_per_second", 0.0)
        best[sizes] = max(speeds, key=lambda size: speeds[size], default=0)
    for measure, sizes, mode in ways:
        if best[sizes]:
            yield _or_too_large(measure, settings, best[sizes], mode)


def about_device() -> Result:
    """What is computed on."""
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    return {"kind": "machine", "device": DEVICE_NAME, "platform": DEVICE.type, "versions": versions}


def _or_too_large(measure: Callable[..., Result], settings: Settings, batch_size: int, mode: str) -> Result:
    """The speed with this mode of `torch.compile`, "" without; a batch that does not fit is a result, too."""
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    torch.compiler.reset()
    try:
        found = measure(settings, batch_size, mode)
    except torch.OutOfMemoryError as error:
        return {"kind": "too large", "batch_size": batch_size, "why": " ".join(str(error).split())[:200]}
    way = f"padded, compiled ({mode})" if mode else "padded"
    return {"kind": "speed", "batch_size": batch_size, "way": way, "memory_gb": _memory(), **found}


def _trained(settings: Settings, batch_size: int, mode: str) -> Result:
    model = _model(settings).train()
    optimizer = torch.optim.AdamW(_groups(model), lr=1e-4, eps=1e-6, fused=True)
    loss_of = _compiled(lambda batch: model(**batch).loss, mode, dynamic=False)
    lengths = real_lengths(settings["trainer"], settings["window"] * batch_size)
    batches = list(_batches(settings, lengths, batch_size, mode, learns=True))
    losses = []

    def step(batch: Batch) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        torch.compiler.cudagraph_mark_step_begin()
        with torch.autocast(DEVICE.type, torch.bfloat16):
            loss = loss_of(_on_device(batch))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    def run(passes: int) -> None:
        for batch in itertools.islice(itertools.cycle(batches), passes * len(batches)):
            loss = step(batch)
        losses.append(float(loss))  # waits for the last step

    start = time.perf_counter()
    losses.append(float(step(batches[0])))
    compile_seconds, first_step = time.perf_counter() - start, time.time() - settings["started"]
    seconds = seconds_of_passes(run, settings["group_seconds"])
    predicted = predictions(lengths) if settings["trainer"] == "run_pretraining" else np.zeros_like(lengths)
    return {
        "program": "train",
        **rates(seconds, lengths, predicted, settings["shape"], DEVICE_NAME),
        "compile_seconds": compile_seconds,
        "first_step_seconds": first_step,
        "losses": [losses[0], losses[-1]],
    }


def _predicted(settings: Settings, batch_size: int, mode: str) -> Result:
    model = _model(settings).eval()
    outputs_of = _compiled(lambda batch: _outputs(model(**batch)), mode, dynamic=True)
    lengths = np.sort(real_lengths(settings["trainer"], settings["predicted"]))  # neighbours need little padding
    batches = list(_batches(settings, lengths, batch_size, mode, learns=False))

    def run(passes: int) -> None:
        for batch in itertools.islice(itertools.cycle(batches), passes * len(batches)):
            with torch.inference_mode(), torch.autocast(DEVICE.type, torch.bfloat16):
                _ = [output.float().cpu() for output in outputs_of(_on_device(batch))]

    seconds = seconds_of_passes(run, settings["group_seconds"])
    none = np.zeros_like(lengths)
    return {"program": "predict", **rates(seconds, lengths, none, settings["shape"], DEVICE_NAME, False)}


def _outputs(outputs: Any) -> list[torch.Tensor]:
    """What predictions are made of: the logits of classes, or the 20 best starts and ends of answers."""
    if "start_logits" not in outputs:
        return [outputs.logits]
    best = (logits.topk(min(20, logits.shape[1])) for logits in (outputs.start_logits, outputs.end_logits))
    return [part for found in best for part in (found.values, found.indices)]


def _compiled(call: Callable[[Batch], Any], mode: str, dynamic: bool) -> Callable[[Batch], Any]:
    return torch.compile(call, mode=mode, dynamic=dynamic) if mode else call


def _model(settings: Settings) -> Any:
    config = transformers.BertConfig(
        **config_of(settings["shape"], 512), hidden_act="gelu_new", attn_implementation="sdpa"
    )
    with DEVICE:  # random weights are made there
        return getattr(transformers, MODELS[settings["trainer"]])(config)


def _groups(model: torch.nn.Module) -> list[dict[str, Any]]:
    """Weights that decay, and biases and normalizations, which do not."""
    plain = [p for name, p in model.named_parameters() if "bias" in name or "LayerNorm" in name]
    decayed = [p for name, p in model.named_parameters() if not ("bias" in name or "LayerNorm" in name)]
    return [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]


def _batches(settings: Settings, lengths: np.ndarray, batch_size: int, mode: str, learns: bool) -> Iterator[Batch]:
    """Batches in the host's memory, ready to be sent."""
    trainer, longest = settings["trainer"], _rounded(max(QUANTILES[settings["trainer"]]))
    predicted = predictions(lengths) if trainer == "run_pretraining" else None
    records = MadeUp(lengths, longest, config_of(settings["shape"], 512)["vocab_size"], predicted)
    for first in range(0, len(lengths), batch_size):
        numbers = np.arange(first, min(first + batch_size, len(lengths)))
        features = {name: torch.from_numpy(array) for name, array in records.read(numbers).items()}
        width = longest if mode and learns else _rounded(int(lengths[numbers].max()))
        batch = {
            "input_ids": features["input_ids"][:, :width],
            "attention_mask": features["input_mask"][:, :width],
            "token_type_ids": features["segment_ids"][:, :width],
            **(_labels(trainer, features, width) if learns else {}),
        }
        pinned = DEVICE.type == "cuda"
        yield {name: array.contiguous().pin_memory() if pinned else array for name, array in batch.items()}


def _rounded(length: int) -> int:
    """Up to a multiple of 8, which products of half precision like."""
    return -(-length // 8) * 8


def _labels(trainer: str, features: Batch, width: int) -> Batch:
    if trainer == "run_classifier":
        return {"labels": features["label_ids"]}
    if trainer == "run_squad":
        return {name: features[name] for name in ("start_positions", "end_positions")}
    labels = torch.full_like(features["input_ids"], -100)  # what is -100 is not predicted
    row, place = torch.nonzero(features["masked_lm_weights"], as_tuple=True)
    labels[row, features["masked_lm_positions"][row, place]] = features["masked_lm_ids"][row, place]
    return {"labels": labels[:, :width], "next_sentence_label": features["next_sentence_labels"]}


def _on_device(batch: Batch) -> Batch:
    return {name: array.to(DEVICE, non_blocking=True) for name, array in batch.items()}


def _memory() -> float | None:
    """The most gigabytes of the device that this way held."""
    return torch.cuda.max_memory_allocated() / 1e9 if DEVICE.type == "cuda" else None


if __name__ == "__main__":
    main()
