# SPDX-License-Identifier: Apache-2.0
"""BERT's pretraining loss in float64 NumPy, one sequence at a time, with a tape for its gradients; to compare with."""

from collections.abc import Callable, Mapping
from typing import Any, Union

import numpy as np

Backward = Callable[[np.ndarray], np.ndarray]
Operand = Union["Number", np.ndarray, float]


class Number:
    """An array that remembers what it was computed from."""

    def __init__(self, value: Any, parents: tuple[tuple["Number", Backward], ...] = ()) -> None:
        self.value = np.asarray(value, np.float64)
        self.parents = parents
        self.gradient = np.zeros_like(self.value)

    def __add__(self, other: Operand) -> "Number":
        b = _number(other)
        pass_on: Backward = lambda g: g  # noqa: E731
        return Number(self.value + b.value, ((self, _summed_to(self, pass_on)), (b, _summed_to(b, pass_on))))

    def __mul__(self, other: Operand) -> "Number":
        b = _number(other)
        parents = (
            (self, _summed_to(self, lambda g: g * b.value)),
            (b, _summed_to(b, lambda g: g * self.value)),
        )
        return Number(self.value * b.value, parents)

    def __sub__(self, other: Operand) -> "Number":
        return self + _number(other) * -1.0

    def __matmul__(self, b: "Number") -> "Number":
        parents = ((self, lambda g: g @ b.value.T), (b, lambda g: self.value.T @ g))
        return Number(self.value @ b.value, parents)

    def of(self, value: np.ndarray, slope: np.ndarray) -> "Number":
        """A function of each element, with its value and slope."""
        return Number(value, ((self, lambda g: g * slope),))

    def rows(self, index: Any) -> "Number":
        """self[index]; an element taken twice gets both gradients."""

        def backward(g: np.ndarray) -> np.ndarray:
            total = np.zeros_like(self.value)
            np.add.at(total, index, g)
            return total

        return Number(self.value[index], ((self, backward),))

    def mean(self) -> "Number":
        """Over the last axis, which stays."""
        size = self.value.shape[-1]
        return Number(self.value.mean(-1, keepdims=True), ((self, lambda g: np.repeat(g, size, -1) / size),))

    @property
    def transposed(self) -> "Number":
        """The transposed matrix."""
        return Number(self.value.T, ((self, lambda g: g.T),))


def backward(result: Number) -> None:
    """Fill `gradient` of everything that the scalar `result` was computed from."""
    order: list[Number] = []
    seen: set[int] = set()

    def visit(number: Number) -> None:
        if id(number) not in seen:
            seen.add(id(number))
            for parent, _ in number.parents:
                visit(parent)
            order.append(number)

    visit(result)
    result.gradient = np.ones_like(result.value)
    for number in reversed(order):
        for parent, to_parent in number.parents:
            parent.gradient = parent.gradient + to_parent(number.gradient)


def _number(x: Operand) -> Number:
    return x if isinstance(x, Number) else Number(x)


def _summed_to(x: Number, to_parent: Backward) -> Backward:
    """The gradient of an operand that was broadcast is the sum over what it was broadcast to."""

    def summed(g: np.ndarray) -> np.ndarray:
        g = to_parent(g)
        while g.ndim > x.value.ndim:
            g = g.sum(0)
        axes = tuple(axis for axis, size in enumerate(x.value.shape) if size == 1 and g.shape[axis] > 1)
        return g.sum(axes, keepdims=True)

    return summed


Weights = Mapping[str, Number]


def cross_entropy(logits: Number, labels: np.ndarray) -> Number:
    """-log softmax at the labels: logits [n, C] -> [n]."""
    e = np.exp(logits.value - logits.value.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    chosen = np.arange(len(labels)), labels
    slope = p.copy()
    slope[chosen] -= 1
    return Number(-np.log(p[chosen]), ((logits, lambda g: g[:, None] * slope),))


def softmax(x: Number) -> Number:
    """Along the last axis."""
    e = np.exp(x.value - x.value.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    return Number(p, ((x, lambda g: p * (g - (g * p).sum(-1, keepdims=True))),))


def gelu(x: Number) -> Number:
    """The tanh form: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))."""
    inner = np.sqrt(2 / np.pi) * (x.value + 0.044715 * x.value**3)
    t = np.tanh(inner)
    slope = (1 + t) / 2 + x.value / 2 * (1 - t**2) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x.value**2)
    return x.of(x.value / 2 * (1 + t), slope)


def dense(w: Weights, path: str, x: Number) -> Number:
    """x @ kernel + bias."""
    return x @ w[f"{path}/kernel"] + w[f"{path}/bias"]


def layer_norm(w: Weights, path: str, x: Number) -> Number:
    """Over the last axis."""
    centered = x - x.mean()
    variance = (centered * centered).mean()
    scale = variance.of((variance.value + 1e-12) ** -0.5, -0.5 * (variance.value + 1e-12) ** -1.5)
    return centered * scale * w[f"{path}/gamma"] + w[f"{path}/beta"]


def layer(w: Weights, path: str, x: Number, heads: int) -> Number:
    """One transformer layer [S, H] -> [S, H]."""
    q, k, v = (dense(w, f"{path}/attention/self/{name}", x) for name in ("query", "key", "value"))
    size = x.value.shape[1] // heads
    context = None
    for head in range(heads):
        part = (slice(None), slice(head * size, (head + 1) * size))
        p = softmax(q.rows(part) @ k.rows(part).transposed * size**-0.5)
        # Its columns of the output kernel: a sum over heads in place of laying the heads side by side.
        kernel = w[f"{path}/attention/output/dense/kernel"].rows(slice(head * size, (head + 1) * size))
        out = p @ v.rows(part) @ kernel
        context = out if context is None else context + out
    h = layer_norm(w, f"{path}/attention/output/LayerNorm", x + context + w[f"{path}/attention/output/dense/bias"])
    f = dense(w, f"{path}/output/dense", gelu(dense(w, f"{path}/intermediate/dense", h)))
    return layer_norm(w, f"{path}/output/LayerNorm", h + f)


def encode(w: Weights, ids: np.ndarray, types: np.ndarray, layers: int, heads: int) -> Number:
    """One sequence, no padding: [S] -> [S, H]."""
    x = w["bert/embeddings/word_embeddings"].rows(ids) + w["bert/embeddings/token_type_embeddings"].rows(types)
    x = x + w["bert/embeddings/position_embeddings"].rows(np.arange(len(ids)))
    x = layer_norm(w, "bert/embeddings/LayerNorm", x)
    for number in range(layers):
        x = layer(w, f"bert/encoder/layer_{number}", x, heads)
    return x


def pretraining_losses(w: Weights, record: Mapping[str, np.ndarray], layers: int, heads: int) -> tuple[Number, Number]:
    """Of one record: cross entropy of each masked position [n], and of the next sentence [1]."""
    length = np.count_nonzero(record["input_mask"])
    x = encode(w, record["input_ids"][:length], record["segment_ids"][:length], layers, heads)
    used = record["masked_lm_weights"] > 0
    h = gelu(dense(w, "cls/predictions/transform/dense", x.rows(record["masked_lm_positions"][used])))
    h = layer_norm(w, "cls/predictions/transform/LayerNorm", h)
    logits = h @ w["bert/embeddings/word_embeddings"].transposed + w["cls/predictions/output_bias"]
    pooled = dense(w, "bert/pooler/dense", x.rows([0]))
    pooled = pooled.of(np.tanh(pooled.value), 1 - np.tanh(pooled.value) ** 2)
    following = pooled @ w["cls/seq_relationship/output_weights"].transposed + w["cls/seq_relationship/output_bias"]
    labels = np.atleast_1d(record["next_sentence_labels"])
    return cross_entropy(logits, record["masked_lm_ids"][used]), cross_entropy(following, labels)
