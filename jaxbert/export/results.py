# SPDX-License-Identifier: Apache-2.0
"""What each kind of exported model gives, by the names of official code."""

from collections.abc import Callable, Mapping

from jaxbert.checkpoints import names
from jaxbert.export import network
from jaxbert.export.exported import Exported
from jaxbert.export.network import POSITIONS, Encoded, Output, encode
from jaxbert.export.operations import Operations, Value

Results = Mapping[str, Output | list[Output]]
Network = Callable[[Operations, Exported, Mapping[str, Value]], Results]
"""Writes what computes the results; inputs are named as in `network.encode`, and `POSITIONS` for the masked LM."""


def encoder_results(g: Operations, model: Exported, inputs: Mapping[str, Value]) -> Results:
    """Those of hub modules /3 and /4."""
    return _of_encoder(g, model, encode(g, model.config, inputs))


def head_results(g: Operations, model: Exported, inputs: Mapping[str, Value]) -> dict[str, Output]:
    """Those of official classifiers, SQuAD models and pretrainers, all of them logits.

    The masked LM is computed at the given positions [B, P], or everywhere where none are given.
    """
    return _of_head(g, model, encode(g, model.config, inputs), inputs.get(POSITIONS))


def last_results(g: Operations, model: Exported, inputs: Mapping[str, Value]) -> dict[str, Output]:
    """Those of the encoder's last layer."""
    last = network.sequence_output(g, model.config, encode(g, model.config, inputs), -1)
    return {"pooled_output": network.pool(g, model.config, last), "sequence_output": last}


def served_results(g: Operations, model: Exported, inputs: Mapping[str, Value]) -> dict[str, Output]:
    """What a user of the trained model wants: the head's, or the last layer's of an encoder alone."""
    return (last_results if model.kind == "encoder" else head_results)(g, model, inputs)


def all_results(g: Operations, model: Exported, inputs: Mapping[str, Value]) -> Results:
    """Those of the encoder and of the head."""
    encoded = encode(g, model.config, inputs)
    return {**_of_encoder(g, model, encoded), **_of_head(g, model, encoded, inputs.get(POSITIONS))}


def _of_encoder(g: Operations, model: Exported, encoded: Encoded) -> Results:
    layers = [network.sequence_output(g, model.config, encoded, layer) for layer in range(len(encoded.layers))]
    pooled = network.pool(g, model.config, layers[-1])
    return {"default": pooled, "encoder_outputs": layers, "pooled_output": pooled, "sequence_output": layers[-1]}


def _of_head(g: Operations, model: Exported, encoded: Encoded, positions: Value | None) -> dict[str, Output]:
    if model.kind == "squad":
        start, end = network.answer_spans(g, encoded)
        return {"start_positions": start, "end_positions": end}
    last = network.sequence_output(g, model.config, encoded, -1)
    if model.kind == "classifier":
        pooled = network.pool(g, model.config, last)
        return {"sentence_prediction": network.classify(g, model.config, pooled, names.CLASSIFIER, model.classes)}
    results = {"mlm_logits": network.masked_lm(g, model.config, last, positions)}
    if model.has_next_sentence:
        pooled = network.pool(g, model.config, last)
        results["next_sentence"] = network.classify(g, model.config, pooled, names.NEXT_SENTENCE, 2)
    return results
