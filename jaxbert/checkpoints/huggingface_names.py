# SPDX-License-Identifier: Apache-2.0
"""Weight names of Hugging Face's BERT and ours (TF1's), in both directions: one rule, and a table for the heads.

Hugging Face writes `.` for `/`, `layer.3` for `layer_3`, `weight` and `bias` for `gamma` and `beta`, and stores kernels
as [out, in] under the name `weight`; embeddings are `weight` too (modeling_bert.py of transformers).
"""

import re

import numpy as np

from jaxbert.checkpoints import names

ENCODER_PREFIX = "bert."  # absent where the encoder alone was saved
_PARTS_OF_ENCODER = ("embeddings.", "encoder.", "pooler.")

_HEADS = {
    "cls.predictions.bias": names.MASKED_LM_BIAS,
    "cls.seq_relationship.weight": names.NEXT_SENTENCE[0],
    "cls.seq_relationship.bias": names.NEXT_SENTENCE[1],
    "qa_outputs.weight": names.SQUAD[0],
    "qa_outputs.bias": names.SQUAD[1],
    "classifier.weight": names.CLASSIFIER[0],
    "classifier.bias": names.CLASSIFIER[1],
}
_OF_HEADS = {ours: theirs for theirs, ours in _HEADS.items()}
# The masked LM's decoder shares these weights; some files hold them a second time, or only, under the decoder's names.
TIED = {
    "cls.predictions.decoder.weight": names.WORD_EMBEDDINGS,
    "cls.predictions.decoder.bias": names.MASKED_LM_BIAS,
}

_LEAVES = {"kernel": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}
_OLD_LEAVES = {".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"}
_LAYER = re.compile(r"^bert\.encoder\.layer\.(\d{1,4})\.")


def huggingface_name(name: str) -> str:
    """The name that transformers gives the weight with the TF1 name `name`, which `names.is_weight` knows."""
    if name in _OF_HEADS:
        return _OF_HEADS[name]
    module, _, leaf = name.rpartition("/")
    dotted = re.sub(r"/layer_(\d+)/", r"/layer.\1/", f"{module}/").replace("/", ".")
    return dotted + _LEAVES.get(leaf, f"{leaf}.weight")


def tf1_name(name: str) -> str | None:
    """The TF1 name of the weight with the Hugging Face name `name`, or None if it is no weight of BERT.

    The encoder's names are known with and without their prefix, normalizations also by their old names (`gamma`).
    """
    full = ENCODER_PREFIX + name if name.startswith(_PARTS_OF_ENCODER) else name
    for old, new in _OLD_LEAVES.items():
        full = full.removesuffix(old) + new if full.endswith(old) else full
    layer = _LAYER.match(full)
    of_first_layer = _LAYER.sub("bert.encoder.layer.0.", full)
    ours = _OURS.get(of_first_layer)
    if ours is None or layer is None:
        return ours
    ours = ours.replace("/layer_0/", f"/layer_{layer[1]}/")
    return ours if names.is_weight(ours) else None  # a number like 007 is no layer


def to_huggingface(name: str, weight: np.ndarray) -> tuple[str, np.ndarray]:
    """Name and shape with which transformers stores the weight `name` of TF1: a view, kernels transposed."""
    return huggingface_name(name), weight.T if name.endswith("/kernel") else weight


def to_tf1(name: str, weight: np.ndarray) -> tuple[str, np.ndarray] | None:
    """TF1's name and shape of the Hugging Face weight `name`: a view, kernels transposed; None if it is not BERT's."""
    ours = tf1_name(name)
    return None if ours is None else (ours, in_tf1_shape(ours, weight))


def in_tf1_shape(name: str, weight: np.ndarray) -> np.ndarray:
    """A view of `weight`, as transformers stores it, in the shape of TF1's weight `name`."""
    return weight.T if name.endswith("/kernel") else weight


_OURS = {huggingface_name(name): name for name in names.weight_names(layers=1)}
