# SPDX-License-Identifier: Apache-2.0
"""What `import jaxbert` gives: a model that is loaded once, and asked for classes, answers, words and vectors.

model = jaxbert.load("out/best")
model.predict(["a text", ("first text", "second text")])
"""

import dataclasses
import functools
import itertools
import os
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxbert.batches.devices import device_mesh, to_devices
from jaxbert.batches.rows import Arrays, Layout
from jaxbert.checkpoints import resolve
from jaxbert.checkpoints.load import DenseHead, match, read_initial
from jaxbert.checkpoints.model_folder import models_of_run
from jaxbert.errors import InputError
from jaxbert.examples.squad import Paragraph, Question
from jaxbert.examples.text_examples import TextExample
from jaxbert.features.classification import convert
from jaxbert.features.counts import TextCounts
from jaxbert.features.squad import WindowedQuestion, ask, window_arrays
from jaxbert.model import poolings
from jaxbert.model.encoder import Compute, hidden_states
from jaxbert.model.heads import answer_spans, best_positions, classify, pool, pretrain
from jaxbert.model.weights import (
    Table,
    Tree,
    classifier_table,
    encoder_table,
    pretraining_table,
    shapes,
    squad_table,
    unflatten,
)
from jaxbert.predictions.squad import AnswerSettings, AnswerTexts, Candidates, predict
from jaxbert.tasks import streams
from jaxbert.tasks.classification import log_softmax, logistic, thresholds
from jaxbert.tasks.spans import SETTINGS
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.tfrecord.metadata import ClassificationMetaData, SquadMetaData
from jaxbert.train import devices
from jaxbert.train.run import DTYPES

Text = str | tuple[str, str]
"""A text, or a pair of texts."""
Pooling = Literal["cls", "pooler", "mean", "max", "tokens"]

_CHUNK = 1024  # texts that are packed together


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """What a classifier says of a text.

    Attributes:
        label: the class; with several labels at once all that reach their thresholds.
        probabilities: of each class, in the order of the model.
    """

    label: str | tuple[str, ...]
    probabilities: dict[str, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """An answer, which is a part of the context.

    Attributes:
        text: its characters; "" for no answer.
        start: its first character in the context, `context[start:end] == text`; -1 for no answer.
        end: the character after its last one; -1 for no answer.
        probability: among all answers that were considered.
    """

    text: str
    start: int
    end: int
    probability: float


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A token for a mask, with its probability."""

    token: str
    probability: float


def load(
    model: str | os.PathLike[str],
    *,
    bert_config_file: str | None = None,
    vocab_file: str | None = None,
    do_lower_case: bool | None = None,
    max_seq_length: int | None = None,
    dtype: Literal["fp32", "bf16", "fp16"] = "fp32",
    compile_cache: str = "~/.cache/jaxbert",
) -> "Model":
    """The model at a path, or of a name, that the commands take as `--init_checkpoint`.

    Weights go to the devices, and programs are compiled, when they are first needed.

    Args:
        model: the folder of a run, of which the best model is taken, or else the last; a checkpoint of TensorFlow 1 or
            2, a hub module, a folder of Hugging Face or ours, a released name.
        bert_config_file: its sizes, where its folder does not say them.
        vocab_file: its vocabulary, where its folder has none.
        do_lower_case: whether its text is lower-cased, where its files do not say it.
        max_seq_length: the longest sequence in tokens; longer texts are cut; by default as the model says.
        dtype: of matmuls and activations.
        compile_cache: folder where compiled programs are kept; "" for nowhere.

    Raises:
        InputError: there is no such model; what is given contradicts what it says.
    """
    devices.prepare(os.environ, compile_cache, dtype)
    path = os.fspath(model)
    if of_run := models_of_run(path):
        path = os.path.join(path, of_run[0])
    found = resolve.find_model(
        path, bert_config_file=bert_config_file, vocab_file=vocab_file, do_lower_case=do_lower_case
    )
    positions = found.config.max_position_embeddings
    if max_seq_length is not None and not 4 <= max_seq_length <= positions:
        raise InputError(f"`max_seq_length` is {max_seq_length}", f"expected 4 to {positions}, the model's positions")
    return Model(found.for_text(), max_seq_length, dtype)


class TextsCutWarning(UserWarning):
    """Texts are longer than the model's longest sequence, and lose their end."""


class Model:
    """A model that was loaded; its methods may be called from several threads, and wait for each other.

    Attributes:
        max_seq_length: the longest sequence in tokens, special ones included; longer texts are cut.
        counts: what became of all texts so far: how many were cut, how many of their tokens are `[UNK]`.
    """

    def __init__(self, model: resolve.Model, max_seq_length: int | None, dtype: str) -> None:
        assert model.source is not None  # it was named
        assert model.rules is not None  # `for_text`
        self._model, self._source = model, model.source
        self._compute = Compute(DTYPES[dtype])
        self._mesh = device_mesh(jax.local_devices())
        self._tokenizer = Tokenizer(model.vocab, model.rules)
        self._task = model.task if isinstance(model.task, ClassificationMetaData) else None
        self._squad = model.task if isinstance(model.task, SquadMetaData) else None
        said = self._task.max_seq_length if self._task else self._source.max_seq_length
        self.max_seq_length = max_seq_length or min(
            said or SETTINGS.max_seq_length, model.config.max_position_embeddings
        )
        self._placed: dict[str, jax.Array] = {}
        self._lock = threading.RLock()
        self.counts = TextCounts()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that `predict` gives; empty where it gives numbers, or nothing."""
        return self._task.class_names if self._task else ()

    def predict(self, texts: Iterable[Text]) -> list[Prediction] | np.ndarray:
        """A class for each text, or each pair of texts, with the probability of each class; in the order of the texts.

        A model for numbers gives an array [n] float32.

        Raises:
            InputError: the model is no classifier; it was trained with pairs and gets none, or the other way round.
        """
        task = self._classification()
        found = list(self._streamed(self._logits, self._weights("classifier"), self._chunks(texts, task.pairs)))
        outputs = task.num_labels or 1
        logits = np.concatenate(found) if found else np.zeros((0, outputs), np.float32)
        if task.is_regression:
            return logits[:, 0]
        several = task.is_multi_label
        probabilities = logistic(logits) if several else np.exp(log_softmax(logits.astype(np.float64)))
        names = task.class_names
        if several:
            chosen = probabilities >= thresholds(task)
            labels: list[Any] = [tuple(itertools.compress(names, row)) for row in chosen]
        else:
            labels = [names[number] for number in probabilities.argmax(-1).tolist()]
        rows = (dict(zip(names, row, strict=True)) for row in probabilities.tolist())
        return [Prediction(label, row) for label, row in zip(labels, rows, strict=True)]

    def embed(
        self,
        texts: Iterable[Text],
        *,
        pooling: Pooling | None = None,
        layers: int | Sequence[int] = -1,
        normalize: bool | None = None,
    ) -> np.ndarray | list[np.ndarray]:
        """A vector for each text, or each pair of texts, in the order of the texts.

        Args:
            texts: any number; they are read as they are needed.
            pooling: the vector at `[CLS]`, what BERT's pooler makes of it, the mean or the largest values over all
                tokens of a text, special ones too, or "tokens" for a vector for each of them. By default as the model
                says (a folder of sentence-transformers), or else the mean.
            layers: which layer's outputs: 1 to L, or -1 for the last one; 0 are the embeddings. Several give a vector
                for each of them.
            normalize: whether vectors get length 1. By default as the model says where `pooling` is its own.

        Returns:
            float32 [n, H], or [n, K, H] for a sequence of K layers; for "tokens" a list of [T, H] or [T, K, H].
        """
        if pooling is None:
            pooling, own = self._own_pooling()
            normalize = own if normalize is None else normalize
        several = not isinstance(layers, int)
        numbers = self._layers((layers,) if isinstance(layers, int) else tuple(layers), pooling)
        weights = self._weights("pooler" if pooling == "pooler" else "encoder")
        chunks = self._chunks(texts, None)
        if pooling == "tokens":
            made = self._streamed_tokens(self._vectors(numbers, pooling, bool(normalize)), weights, chunks)
            each = itertools.chain.from_iterable(made)
            return [vectors if several else vectors[:, 0] for vectors in each]
        found = list(self._streamed(self._vectors(numbers, pooling, bool(normalize)), weights, chunks))
        hidden = self._model.config.hidden_size
        vectors = np.concatenate(found) if found else np.zeros((0, len(numbers), hidden), np.float32)
        return vectors if several else vectors[:, 0]

    def tokens(self, texts: Iterable[Text]) -> list[list[str]]:
        """The tokens of each text as the model reads them, special ones included, cut at its longest sequence."""
        examples = [_example(text, number, None) for number, text in enumerate(texts)]
        features, _ = convert(examples, self._tokenizer, self.max_seq_length, {})
        names = self._tokenizer.vocab.tokens
        return [
            [names[id_] for id_ in ids[mask != 0].tolist()]
            for ids, mask in zip(features["input_ids"], features["input_mask"], strict=True)
        ]

    def answer(self, question: str, context: str, *, n_best: int = 1, max_answer_length: int = 30) -> list[Answer]:
        """The best answers to a question, parts of the context, best first; a text "" says that there is none.

        Args:
            question: a question.
            context: of any length; it is read in windows.
            n_best: how many answers to give at most.
            max_answer_length: in tokens.

        Raises:
            InputError: the model was not trained to answer questions.
        """
        weights = self._weights("squad")
        kept = self._squad
        settings = dataclasses.replace(
            kept.settings if kept else SETTINGS, max_seq_length=min(self.max_seq_length, SETTINGS.max_seq_length)
        )
        paragraph = Paragraph(context, (Question("0", question),))
        (asked,) = ask(paragraph, self._tokenizer, settings)
        chosen = AnswerSettings(max(n_best, 20), max_answer_length, bool(kept and kept.version_2_with_negative))
        found = predict(asked, self._candidates(weights, asked, settings.max_seq_length), chosen, self._answer_texts)
        choices = sorted(found.n_best, key=lambda choice: bool(found.text) and not choice.text)
        return [
            Answer(
                choice.text, choice.begin, choice.begin + len(choice.text) if choice.text else -1, choice.probability
            )
            for choice in choices[:n_best]
        ]

    def fill(self, text: str, *, top: int = 5) -> list[list[Candidate]]:
        """For each `[MASK]` in the text its most probable tokens, best first.

        Raises:
            InputError: there is no `[MASK]`; the text is too long; the model has no masked language model.
        """
        vocab = self._tokenizer.vocab
        parts = [self._tokenizer.ids(part) for part in text.split("[MASK]")]
        ids = [vocab.cls, *parts[0]]
        masks = []
        for part in parts[1:]:
            masks.append(len(ids))
            ids += [vocab.mask, *part]
        ids.append(vocab.sep)
        if not masks or len(ids) > self.max_seq_length:
            raise InputError(
                f"the text has {len(masks)} `[MASK]` and {len(ids)} tokens",
                f"write `[MASK]` where a word is missing, in a text of at most {self.max_seq_length} tokens",
            )
        features = _sequence(ids) | {"masks": np.array([masks])}
        (found,) = self._streamed(self._words(min(top, len(vocab))), self._weights("masked LM"), iter([features]))
        return [
            [Candidate(vocab.tokens[id_], share) for id_, share in zip(*row, strict=True)]
            for row in zip(found["ids"][0].tolist(), found["probabilities"][0].tolist(), strict=True)
        ]

    def _classification(self) -> ClassificationMetaData:
        if self._task is None:
            raise InputError(
                f"the files of `{self._source.folder}` do not say which classes the model was trained for",
                "give a model that was trained by `run_classifier`, or a folder of Hugging Face",
            )
        return self._task

    def _own_pooling(self) -> tuple[Pooling, bool]:
        """Pooling and normalization that the model's files say; the mean as it is where they say nothing."""
        source = self._model.source
        own = None if source is None else source.pooling
        if own is None:
            return "mean", False
        hint = "choose `pooling` and `normalize`"
        if own.modes not in (("cls",), ("mean",), ("max",)):
            raise InputError(f"the model pools by {' and '.join(own.modes)}, which is not computed here", hint)
        if own.default_prompt and own.prompts.get(own.default_prompt):
            raise InputError(f"the model wants `{own.prompts[own.default_prompt]}` in front of every text", hint)
        return own.modes[0], own.normalize

    def _layers(self, layers: tuple[int, ...], pooling: str) -> tuple[int, ...]:
        most = self._model.config.num_hidden_layers
        numbers = tuple(number + most + 1 if number < 0 else number for number in layers)
        if not layers or not all(0 <= number <= most for number in numbers):
            raise InputError(f"`layers` is {layers}", f"expected numbers from 0 to {most}, or -1 for the last")
        if pooling == "pooler" and numbers != (most,):
            raise InputError("the pooler stands on the last layer", "leave out `layers`")
        return numbers

    def _chunks(self, texts: Iterable[Text], pairs: bool | None) -> Iterator[Arrays]:
        """Features of the texts, some at a time; says how many are cut."""
        if isinstance(texts, str | tuple):
            raise InputError(f"`texts` is `{texts!r}`", "give a list of texts, or of pairs of texts: `[...]`")
        numbered = enumerate(texts)
        counts = TextCounts()
        while part := list(itertools.islice(numbered, _CHUNK)):
            examples = [_example(text, number, pairs) for number, text in part]
            features, counted = convert(examples, self._tokenizer, self.max_seq_length, {})
            counts += counted
            yield features
        self.counts += counts
        if counts.cut:
            said = f"{counts.cut} texts are longer than {self.max_seq_length} tokens and are cut"
            warnings.warn(said, TextsCutWarning, stacklevel=4)

    def _streamed(self, compute: streams.Compute, weights: Tree, chunks: Iterator[Arrays]) -> Iterator[Any]:
        with self._lock:
            positions = self._model.config.max_position_embeddings
            yield from streams.outputs(compute, weights, chunks, self._mesh, positions, _masks)

    def _streamed_tokens(self, compute: streams.Compute, weights: Tree, chunks: Iterator[Arrays]) -> Iterator[Any]:
        with self._lock:
            positions = self._model.config.max_position_embeddings
            yield from streams.token_outputs(compute, weights, chunks, self._mesh, positions, _masks)

    @functools.cached_property
    def _logits(self) -> streams.Compute:
        config, compute = self._model.config, self._compute
        return jax.jit(lambda weights, rows: classify(weights, config, rows, compute=compute))

    @functools.cached_property
    def _vectors(self) -> Any:
        return functools.lru_cache(maxsize=None)(self._make_vectors)

    def _make_vectors(self, layers: tuple[int, ...], pooling: str, normalize: bool) -> streams.Compute:
        config, compute = self._model.config, self._compute

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

        return jax.jit(vectors)

    @functools.cached_property
    def _words(self) -> Any:
        return functools.lru_cache(maxsize=None)(self._make_words)

    def _make_words(self, top: int) -> streams.Compute:
        config, compute = self._model.config, self._compute

        def words(weights: Tree, rows: Any) -> dict[str, jax.Array]:
            slots = rows["cls_positions"].shape
            logits, _ = pretrain(weights, config, rows, next_sentence=False, compute=compute)
            values, ids = jax.lax.top_k(jax.nn.softmax(logits), top)
            shape = (*slots, -1, top)
            return {"ids": ids.reshape(shape), "probabilities": values.reshape(shape)}

        return jax.jit(words)

    @functools.cached_property
    def _answer_texts(self) -> AnswerTexts:
        return AnswerTexts(self._tokenizer)

    @functools.cached_property
    def _spans(self) -> streams.Compute:
        config, compute = self._model.config, self._compute

        def spans(weights: Tree, rows: Any) -> dict[str, jax.Array]:
            return best_positions(answer_spans(weights, config, rows, compute=compute), rows, 20)

        return jax.jit(spans)

    def _candidates(self, weights: Tree, asked: WindowedQuestion, max_seq_length: int) -> Candidates:
        if not asked.windows:
            none = np.zeros((0, 1))
            return Candidates(none, none, none, none, np.zeros((0, 2)))
        features = window_arrays([asked], self._tokenizer.vocab, max_seq_length)
        (found,) = self._streamed(self._spans, weights, iter([features]))
        return Candidates(**found)

    def _weights(self, part: Literal["encoder", "pooler", "classifier", "squad", "masked LM"]) -> Tree:
        """The weights of a part on the devices, each put there once."""
        with self._lock:
            table = self._table(part)
            missing = {path for path in table if path not in self._placed}
            if missing:
                dense: DenseHead | None = part if part in ("classifier", "squad") else None
                initial = read_initial(self._source, dense)
                match(initial.weights, shapes({path: table[path] for path in table}), initial.source)
                lacking = sorted(missing - set(initial.weights))
                if lacking:
                    raise InputError(
                        f"`{initial.source}` has no {part}: {', '.join(lacking[:4])}", "give a model that has"
                    )
                sharding = jax.sharding.NamedSharding(self._mesh, jax.sharding.PartitionSpec())
                arrays = {path: initial.weights[path] for path in missing}
                self._placed |= to_devices(arrays, dict.fromkeys(arrays, sharding))
            return unflatten({path: self._placed[path] for path in table})

    def _table(self, part: str) -> Table:
        config = self._model.config
        encoder = encoder_table(config)
        without_pooler = {path: weight for path, weight in encoder.items() if "/pooler/" not in path}
        if part == "classifier":
            return classifier_table(config, self._classification().num_labels or 1)
        if part == "squad":
            return {path: weight for path, weight in squad_table(config).items() if "/pooler/" not in path}
        if part == "masked LM":
            masked = pretraining_table(config, next_sentence=False)
            return {path: weight for path, weight in masked.items() if "/pooler/" not in path}
        return encoder if part == "pooler" else without_pooler


def _example(text: Text, number: int, pairs: bool | None) -> TextExample:
    """The text or pair. Raises InputError where it is neither, or not what the model was trained with."""
    if isinstance(text, str):
        first, second = text, None
    elif isinstance(text, tuple | list) and len(text) == 2 and all(isinstance(part, str) for part in text):
        first, second = text
    else:
        raise InputError(f"text {number} is `{str(text)[:60]}`", "expected a text, or a pair of texts")
    if pairs is not None and pairs != (second is not None):
        trained = "pairs of texts" if pairs else "single texts"
        raise InputError(f"the model was trained with {trained}, text {number} is not one", f"give {trained}")
    return TextExample(first, second, None, str(number))


def _sequence(ids: Sequence[int]) -> Arrays:
    """Features of one sequence of a single text."""
    array = np.array([ids], np.int64)
    return {"input_ids": array, "input_mask": np.ones_like(array), "segment_ids": np.zeros_like(array)}


def _masks(features: Any, layout: Layout) -> Arrays:
    """Positions [B, N M] of the masks in rows, where there are any."""
    if "masks" not in features:
        return {}
    masks = features["masks"] + layout.start_of[:, None]
    return {"masked_lm_positions": layout.per_sequence(masks).reshape(layout.sizes[0], -1)}
