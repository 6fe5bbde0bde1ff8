# SPDX-License-Identifier: Apache-2.0
"""The weights of a loaded model on the devices, and the compiled programs of which its answers are made."""

import contextlib
import functools
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxbert.batches.devices import device_mesh, to_devices
from jaxbert.batches.rows import Arrays, Layout
from jaxbert.checkpoints.load import DenseHead, check_heads, match, read_initial, refuse_not_finite
from jaxbert.checkpoints.names import NEXT_SENTENCE, POOLER
from jaxbert.checkpoints.resolve import Source
from jaxbert.config.bert_config import BertConfig
from jaxbert.errors import InputError
from jaxbert.model import poolings
from jaxbert.model.encoder import Compute, hidden_states, rounded
from jaxbert.model.heads import answer_spans, best_positions, choose, classify, pool, pretrain, tag
from jaxbert.model.weights import (
    Table,
    Tree,
    choice_table,
    classifier_table,
    encoder_table,
    pretraining_table,
    shapes,
    squad_table,
    tagger_table,
    unflatten,
)
from jaxbert.tasks import streams
from jaxbert.train import devices
from jaxbert.train.run import DTYPES

Part = Literal["encoder", "pooler", "classifier", "choice", "squad", "tagger", "masked LM"]
_MISSING: Mapping[Part, str] = {
    "encoder": "encoder",
    "pooler": "pooler",
    "classifier": "classifier for its classes",
    "choice": "head for multiple choice",
    "squad": "head for answers to questions",
    "tagger": "tagger for its tags",
    "masked LM": "masked LM",
}
BEST_POSITIONS = 20  # of each window, among which answers are looked for


class Programs:
    """Weights are put on the devices, and programs compiled, when they are first asked for; safe in several threads.

    Attributes:
        lock: is held while something that threads share is changed, and while several devices compute.
        weights: the part of a model -> its weights on the devices. Raises InputError where the model lacks some.
        vectors: (layers, pooling, normalize) -> a program for vectors [B, N, K, H] float32 of K layers, or of all
            tokens [B, S, K, H].
        words: (how many, how many tokens there are) -> a program for the `ids` and `probabilities` [B, N, M, top] of
            the likeliest tokens for each of M masks of a sequence. Its weights also hold which tokens may be chosen,
            `asked` bool.
    """

    def __init__(self, source: Source, config: BertConfig, class_outputs: int, dtype: str) -> None:
        self.lock = threading.RLock()
        self._source, self._config, self._class_outputs = source, config, class_outputs
        self._mesh = device_mesh(jax.local_devices())
        # Several devices must be sent the programs of all threads in one order.
        self._turn = self.lock if self._mesh.size > 1 else contextlib.nullcontext()
        self._compute = Compute(DTYPES[dtype], mesh=self._mesh)
        options = devices.compiler_options(config, self._mesh, DTYPES[dtype])
        self._jit = functools.partial(jax.jit, compiler_options=options)
        self._placed: dict[str, jax.Array] = {}
        self.weights = functools.cache(self._weights)
        self.vectors = functools.cache(self._vectors)
        self.words = functools.cache(self._words)

    def outputs(self, compute: streams.Compute, weights: Tree, chunks: Iterable[Arrays]) -> list[Any]:
        """See `streams.outputs`."""
        positions = self._config.max_position_embeddings
        with self._turn:
            return list(streams.outputs(compute, weights, chunks, self._mesh, positions, _masks))

    def token_outputs(self, compute: streams.Compute, weights: Tree, chunks: Iterable[Arrays]) -> list[np.ndarray]:
        """See `streams.token_outputs`; the sequences of all chunks."""
        positions = self._config.max_position_embeddings
        with self._turn:
            found = streams.token_outputs(compute, weights, chunks, self._mesh, positions, _masks)
            return [vectors for chunk in found for vectors in chunk]

    @functools.cached_property
    def logits(self) -> streams.Compute:
        """What the classifier gives, [B, N, C]."""
        config, compute = self._config, self._compute
        return self._jit(lambda weights, rows: classify(weights, config, rows, compute=compute))

    @functools.cached_property
    def tags(self) -> streams.Compute:
        """What the tagger gives, [B, S, C]."""
        config, compute = self._config, self._compute
        return self._jit(lambda weights, rows: tag(weights, config, rows, compute=compute))

    @functools.cached_property
    def choice_logits(self) -> streams.Compute:
        """What speaks for each choice, [B, N]."""
        config, compute = self._config, self._compute
        return self._jit(lambda weights, rows: choose(weights, config, rows, compute=compute))

    @functools.cached_property
    def spans(self) -> streams.Compute:
        """The best places of an answer, see `heads.best_positions`."""
        config, compute = self._config, self._compute

        def spans(weights: Tree, rows: Any) -> dict[str, jax.Array]:
            return best_positions(answer_spans(weights, config, rows, compute=compute), rows, BEST_POSITIONS)

        return self._jit(spans)

    def _vectors(self, layers: tuple[int, ...], pooling: str, normalize: bool) -> streams.Compute:
        config, compute = self._config, self._compute

        def one(weights: Tree, rows: Any, h: jax.Array) -> jax.Array:
            if pooling == "pooler":
                return pool(weights["bert"]["pooler"], poolings.at_cls(h, rows))
            if pooling == "tokens":
                return h
            pooled = {"cls": poolings.at_cls, "mean": poolings.mean, "max": poolings.largest}[pooling]
            return pooled(h, rows)

        def vectors(weights: Tree, rows: Any) -> jax.Array:
            states = hidden_states(weights["bert"], config, rows, layers, compute)
            stacked = jnp.stack([one(weights, rows, h).astype(jnp.float32) for h in states], axis=2)
            return poolings.unit(stacked) if normalize else stacked

        return self._jit(vectors)

    def _words(self, top: int, tokens: int) -> streams.Compute:
        config, compute = self._config, self._compute

        def words(weights: Tree, rows: Any) -> dict[str, jax.Array]:
            slots = rows["cls_positions"].shape
            logits, _ = pretrain(weights, config, rows, next_sentence=False, compute=compute)
            shares = jax.nn.softmax(logits[..., : config.vocab_size])  # as in training; rows may be no token's
            values, ids = jax.lax.top_k(jnp.where(weights["asked"], shares[..., :tokens], -1.0), top)
            shape = (*slots, -1, top)
            return {"ids": ids.reshape(shape), "probabilities": values.reshape(shape)}

        return self._jit(words)

    def _weights(self, part: Part) -> Tree:
        """Parts share weights: each is put on the devices once."""
        with self.lock:
            table = self._table(part)
            missing = {path for path in table if path not in self._placed}
            if missing:
                dense: DenseHead | None = part if part in ("classifier", "squad", "choice") else None
                initial = read_initial(self._source, dense)
                check_heads(initial, self._config)
                report = match(initial.weights, shapes(table), initial.source)
                if initial.untied and part == "masked LM":
                    raise InputError(
                        f"the masked LM in `{initial.source}` has a decoder of its own (`{initial.untied}`)",
                        "give a model where it is the table of word embeddings, as in BERT",
                    )
                if lacking := [*report.missing, *(other.name for other in report.other_shapes)]:
                    raise InputError(
                        f"`{initial.source}` has no {_MISSING[part]}: {', '.join(lacking[:4])}", "give a model that has"
                    )
                sharding = jax.sharding.NamedSharding(self._mesh, jax.sharding.PartitionSpec())
                arrays = {path: initial.weights[path] for path in missing}
                refuse_not_finite(arrays, initial.source)
                arrays = {path: rounded(path, array, self._compute) for path, array in arrays.items()}
                self._placed |= to_devices(arrays, dict.fromkeys(arrays, sharding))
            return unflatten({path: self._placed[path] for path in table})

    def _table(self, part: Part) -> Table:
        config = self._config
        if part == "classifier":
            return classifier_table(config, self._class_outputs)
        if part == "choice":
            return choice_table(config)
        if part == "pooler":
            return encoder_table(config)
        others = {
            "squad": squad_table(config),
            "tagger": tagger_table(config, self._class_outputs),
            "masked LM": pretraining_table(config, next_sentence=False),
        }
        table = others.get(part, encoder_table(config))
        return {path: weight for path, weight in table.items() if path not in (*POOLER, *NEXT_SENTENCE)}


def _masks(features: Any, layout: Layout) -> Arrays:
    """Positions [B, N M] of the masks in rows, where there are any."""
    if "masks" not in features:
        return {}
    masks = features["masks"] + layout.start_of[:, None]
    return {"masked_lm_positions": layout.per_sequence(masks).reshape(layout.sizes[0], -1)}
