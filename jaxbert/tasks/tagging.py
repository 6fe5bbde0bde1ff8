# SPDX-License-Identifier: Apache-2.0
"""A tag for each word, such as names of persons and places: what `run_tagger` does, mode by mode."""

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

import jax
import numpy as np

from jaxbert.batches.rows import Arrays, Layout, scatter
from jaxbert.checkpoints import model_folder
from jaxbert.checkpoints.resolve import Model
from jaxbert.config.trainers import TaggerFlags
from jaxbert.console import counted, say
from jaxbert.datasets.tagging import TaggedWindows, tag_numbers
from jaxbert.errors import InputError
from jaxbert.examples.arrow import Role, is_arrow
from jaxbert.examples.rows import is_json
from jaxbert.examples.tag_schemes import OUTSIDE, Scheme, labels_of, types_of
from jaxbert.examples.tagged import TagColumns, TaggedFile, has_column, read_tagged, rows_of
from jaxbert.io import files
from jaxbert.metrics.tagging import score_tags
from jaxbert.model.heads import tag
from jaxbert.model.weights import Table, Tree, tagger_table
from jaxbert.predictions.tagging import Span, spans_of, write_spans, write_tags
from jaxbert.reports import content
from jaxbert.reports import run as reports
from jaxbert.tasks import fine_tuning, reporting
from jaxbert.tasks.classes import ModelClasses
from jaxbert.tasks.classification import MAX_SEQ_LENGTH, log_softmax, refuse_longer
from jaxbert.tasks.network import Network
from jaxbert.text.normalize import word_places
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.tfrecord.metadata import Context, TaggingMetaData
from jaxbert.train import devices, hosts, run, run_folder
from jaxbert.train.losses import classification_loss
from jaxbert.train.step import Batch

_SHOWN = ("f1", "precision", "recall", "accuracy", "strict_f1", "loss")  # of an evaluation amid training
_HEAD = "head for tags, which would be random"


def run_task(flags: TaggerFlags) -> None:
    """Train, evaluate or predict, as `--mode` says."""
    model = fine_tuning.read_model(flags).for_text()
    fine_tuning.refuse_wrong_parts(flags, model.config, tagger_table(model.config, 1))
    mesh = devices.mesh_of(flags, model.config)
    flags = flags if flags.trains else _with_columns_of_run(flags)
    data = _to_train(flags, model) if flags.trains else _to_answer(flags, model)
    config = fine_tuning.config_in_training(flags, model.config)
    tagger = Tagger(config, run.compute(flags, mesh), mesh, data.meta)
    if flags.trains:
        _train(flags, tagger, data)
        return
    weights = tagger.load(model, "tagger", _HEAD)
    if flags.mode == "predict":
        _predict(flags, tagger, weights, data)
        return
    assert data.held_out is not None  # the mode evaluates
    logits = tagger.word_logits(weights, data.held_out, flags.eval_batch_size)
    scores = results(logits, data.held_out, data.meta)
    _say_types(scores)
    print(json.dumps(scores))
    _report(flags, tagger, data, logits)


@dataclasses.dataclass(frozen=True)
class Tagger(Network):
    """A model that tags words."""

    meta: TaggingMetaData

    @functools.cached_property
    def table(self) -> Table:
        """The weights."""
        return tagger_table(self.config, len(self.meta.label_list))

    def logits(self, weights: Tree, batch: Batch, dropout_bits: jax.Array | None = None) -> jax.Array:
        """Of the tags at every position, [B, S, C] float32."""
        return tag(weights, self.config, batch, dropout_bits=dropout_bits, compute=self.compute)

    def loss(self, weights: Tree, batch: Batch, dropout_bits: jax.Array | None) -> jax.Array:
        """This (micro-)batch's part of the loss: mean cross entropy over the words of the batch."""
        logits = self.logits(weights, batch, dropout_bits)
        return classification_loss(logits, batch["tag_ids"], batch["tag_weights"])

    def word_logits(self, weights: Tree, windows: TaggedWindows, batch_size: int) -> np.ndarray:
        """Logits [W, C] float32 of all words in their order; `batch_size` of the longest windows go together."""
        return self.outputs(weights, windows, batch_size, word_targets, len(windows.tags))


def word_targets(features: Mapping[str, np.ndarray], layout: Layout) -> Arrays:
    """What the loss compares with, at the first pieces of words.

    Returns:
        `tag_ids` int32 [B, S]; `tag_weights` float32 [B, S], 1 for each word that asks for its tag and 0 elsewhere; and
        in place of the numbers of windows those of the words, `examples` int32 [B, S], -1 where none is asked for.
    """
    words = features["words"]
    window, position = np.nonzero(words)
    laid = np.isin(window, layout.used)
    window, position = window[laid], position[laid]
    at, shape = (layout.row_of[window], layout.start_of[window] + position), layout.sizes[:2]
    return {
        "tag_ids": scatter(shape, at, features["tag_ids"][window, position]),
        "tag_weights": scatter(shape, at, np.ones(len(window)), np.float32),
        "examples": scatter(shape, at, words[window, position]) - 1,
    }


def _both_tags(
    logits: np.ndarray, windows: TaggedWindows, meta: TaggingMetaData
) -> tuple[list[list[str]], list[list[str]]]:
    """The tags of each sentence, and those predicted by logits [W, C]."""
    gold, predicted = (
        windows.by_sentence([meta.label_list[number] for number in numbers.tolist()])
        for numbers in (windows.tags, logits.argmax(-1))
    )
    return gold, predicted


def results(logits: np.ndarray, windows: TaggedWindows, meta: TaggingMetaData) -> dict[str, float]:
    """The metrics by logits [W, C], see `score_tags`, and the loss."""
    gold, predicted = _both_tags(logits, windows, meta)
    losses = -log_softmax(logits.astype(np.float64))[np.arange(len(logits)), windows.tags]
    return score_tags(gold, predicted, meta.scheme) | {"loss": float(np.mean(losses))}


@dataclasses.dataclass(frozen=True)
class Data:
    """The sentences of a run, as far as its mode needs them.

    Attributes:
        model: the model of the run.
        meta: its tags, and how sentences are read.
        train: windows to train on.
        held_out: windows to evaluate on.
        test: windows to predict, and the file that they are from.
        class_order: for each tag the number of its output in the model's file, see `Training`; None: the same.
    """

    model: Model
    meta: TaggingMetaData
    train: TaggedWindows | None = None
    held_out: TaggedWindows | None = None
    test: tuple[TaggedFile, TaggedWindows] | None = None
    class_order: tuple[int, ...] | None = None


def _to_train(flags: TaggerFlags, model: Model) -> Data:
    """The tags are those of the entities in the training file, in its scheme, IOB1 becoming IOB2."""
    file = _read(flags, flags.train_file, "train")
    assert file.scheme is not None  # the tags were read
    types = set[str]().union(*(types_of(sentence.tags, file.scheme) for sentence in file.sentences))
    if not types - {OUTSIDE}:
        raise InputError(f"`{file.path}` has no tag but `{OUTSIDE}`", "is `--tag_column` the right one?")
    labels = labels_of(types, "iob2" if file.scheme == "iob1" else file.scheme)
    meta = TaggingMetaData(0, _longest(flags, model), labels, _context(flags, model))
    trained = model.task if isinstance(model.task, TaggingMetaData) else None
    folder = model.source.folder if model.source else None
    train = _windows(model, meta, file)
    return Data(
        model,
        dataclasses.replace(meta, train_data_size=len(train)),
        train=train,
        held_out=_windows(model, meta, _read(flags, flags.eval_file, "eval")) if flags.mode != "train" else None,
        class_order=ModelClasses(trained.label_list, False, folder).kept_for(labels, False) if trained else None,
    )


def _to_answer(flags: TaggerFlags, model: Model) -> Data:
    if not isinstance(model.task, TaggingMetaData):
        raise InputError(
            f"the files of `{fine_tuning.trained_checkpoint(flags)}` do not say which tags the model was trained for",
            "give a model that was trained by `run_tagger`, or a folder of Hugging Face for token classification",
        )
    meta = dataclasses.replace(
        model.task, max_seq_length=_longest(flags, model), context=_context(flags, model), train_data_size=0
    )
    if flags.mode == "eval":
        return Data(model, meta, held_out=_windows(model, meta, _read(flags, flags.eval_file, "eval")))
    file = _read(flags, flags.test_file, "test")
    if not file.has_columns:
        next(rows_of(file.path))  # which must be written again: rather refused now than in the end
    return Data(model, meta, test=(file, _windows(model, meta, file)))


def _with_columns_of_run(flags: TaggerFlags) -> TaggerFlags:
    """The flags, of which those for columns are as in training where none is given; told.

    Rows that lack these say by their own keys what they are. Raises InputError for a file of columns that lacks them.
    """
    role: Role = "eval" if flags.mode == "eval" else "test"
    path = flags.eval_file if role == "eval" else flags.test_file
    trained = run_folder.trained_with(TaggerFlags, flags.model_dir)
    if path is None or trained is None or flags.token_column is not None or flags.tag_column is not None:
        return flags
    wanted = {"token_column": trained.token_column, "tag_column": trained.tag_column if role == "eval" else None}
    of_run: dict[str, Any] = {name: column for name, column in wanted.items() if column is not None}
    for name, column in of_run.items():
        if not has_column(path, role, column):
            if is_json(path) or is_arrow(path):
                return flags
            raise InputError(
                f"`{path}` has no column `{column}`, by which the model was trained", f"name the column by `--{name}`"
            )
    if of_run:
        say(f"columns as in training: {' '.join(f'--{name}={column}' for name, column in of_run.items())}")
    return dataclasses.replace(flags, **of_run)


def _read(flags: TaggerFlags, path: str | None, role: Role) -> TaggedFile:
    """A file of sentences, with their tags unless they are to be predicted."""
    assert path is not None  # the flags were checked
    columns, scheme = TagColumns(flags.token_column, flags.tag_column), cast(Scheme | None, flags.scheme)
    file = read_tagged(path, role, columns, word_places, with_tags=role != "test", scheme=scheme)
    words = sum(len(sentence.words) for sentence in file.sentences)
    told = {None: "", "plain": ", plain tags"}.get(file.scheme, f", tags in {str(file.scheme).upper()}")
    say(f"`{path}`: {counted(len(file.sentences), 'sentence')}, {counted(words, 'word')}{told}")
    if file.widened:
        spans = counted(file.widened, "span begins or ends", "spans begin or end")
        say(f"note: `{path}`: {spans} within a word, which is taken whole")
    return file


def _windows(model: Model, meta: TaggingMetaData, file: TaggedFile) -> TaggedWindows:
    """A file's sentences for the model. Raises InputError where documents are asked for that it does not have."""
    assert model.rules is not None  # `for_text`
    if meta.context == "document" and not file.has_documents:
        raise InputError(
            f"`{file.path}` does not say where documents begin, which are to be read as wholes",
            "columns say it by lines with `-DOCSTART-`; or give `--context=sentence`",
        )
    words = sum(len(sentence.words) for sentence in file.sentences)
    tags = np.zeros(words, np.int64) if file.scheme is None else tag_numbers(file, meta)
    windows = TaggedWindows(file.sentences, tags, Tokenizer(model.vocab, model.rules), meta)
    for note in windows.counts.notes(file.path, meta.max_seq_length, f"{meta.context}s"):
        say(note)
    return windows


def _context(flags: TaggerFlags, model: Model) -> Context:
    trained = model.task.context if isinstance(model.task, TaggingMetaData) else "sentence"
    return cast(Context, flags.context) if flags.context else trained


def _longest(flags: TaggerFlags, model: Model) -> int:
    """Tokens of the longest window: by the flag; of a tagger as it was trained; else by what is read together."""
    positions = model.config.max_position_embeddings
    refuse_longer(flags.max_seq_length, model)
    if flags.max_seq_length is not None:
        return flags.max_seq_length
    if not flags.trains and isinstance(model.task, TaggingMetaData):
        return min(model.task.max_seq_length, positions)
    return positions if _context(flags, model) == "document" else min(MAX_SEQ_LENGTH, positions)


def _train(flags: TaggerFlags, tagger: Tagger, data: Data) -> None:
    """Train; after each epoch evaluate, and write the weights to `last`, and to `best` where none before did better."""
    windows, meta = data.train, data.meta
    assert windows is not None  # the mode trains
    say(f"training on {counted(len(windows), 'window')}: {meta.kind}")
    bound = fine_tuning.data_of_run({"": windows.checksum}, flags.train_file)
    scored = fine_tuning.data_of_run({"": data.held_out.checksum}, flags.eval_file) if data.held_out is not None else {}
    training = fine_tuning.training(
        *(flags, tagger, windows, word_targets, "tagger", bound, scored), class_order=data.class_order
    )
    metric = fine_tuning.best_metric(flags, _SHOWN)
    texts = data.model.texts() | {model_folder.META_DATA_FILE: meta.to_json()}
    best: tuple[np.ndarray, int] | None = None
    is_finished = True
    with contextlib.closing(run.fit(flags, tagger.mesh, data.model, training)) as epochs:
        for epoch in epochs:
            found: dict[str, float] = {}
            is_finished = False
            if data.held_out is not None:
                logits = tagger.word_logits(epoch.weights, data.held_out, flags.eval_batch_size)
                found = results(logits, data.held_out, meta)
                epoch.report(found, _SHOWN)
            folders = fine_tuning.model_folders(flags, epoch, found, metric)
            if len(folders) > 1:
                best = logits, epoch.step
            run.write_model(folders, epoch.weights, texts, {"step": epoch.step, **found})

    def write_report() -> None:
        if data.held_out is not None:
            _report(flags, tagger, data, *(best or _evaluated_before(flags, tagger, data)))
            return
        about = {"task": "tagging", "sentences to train on": len(windows.sentences)}
        reporting.of_training(flags, "entities", data.model, tagger.table, about)

    fine_tuning.end_training(flags, write_report, is_finished=is_finished, scores=data.held_out is not None)


def _evaluated_before(flags: TaggerFlags, tagger: Tagger, data: Data) -> tuple[np.ndarray, int]:
    """Logits [W, C] by the best weights, which an earlier command wrote, and the steps after which they did best."""
    weights, step = fine_tuning.best_before(flags, tagger, data.model, "tagger", _HEAD)
    assert data.held_out is not None  # it was evaluated
    return tagger.word_logits(weights, data.held_out, flags.eval_batch_size), step


def _report(flags: TaggerFlags, tagger: Tagger, data: Data, logits: np.ndarray, step: int | None = None) -> None:
    """Write the report on the logits [W, C] of the evaluation set; they are those after so many steps of this run."""
    windows, meta = data.held_out, data.meta
    if windows is None or not hosts.is_first():
        return
    found = results(logits, windows, meta)
    shown = {name: found[name] for name in _SHOWN}
    parts = content.entities(*_both_tags(logits, windows, meta), meta.scheme, shown)
    parts["results"] |= {} if step is None else {"step": step}
    about = {"task": "tagging", "sentences to evaluate on": len(windows.sentences)}
    about |= {} if data.train is None else {"sentences to train on": len(data.train.sentences)}
    reports.write(flags, "entities", reporting.of_model(data.model, tagger.table), about, parts)


def _say_types(scores: Mapping[str, float]) -> None:
    """A line for all entities, and one for each type."""
    for name in scores:
        if name == "f1" or name.startswith("f1_"):
            label = name.removeprefix("f1")
            shares = (f"{part} {scores[part + label]:.2%}" for part in ("precision", "recall", "f1"))
            say(f"{label[1:] or 'all'}: {'  '.join(shares)}")


def _predict(flags: TaggerFlags, tagger: Tagger, weights: Tree, data: Data) -> None:
    """Write `predictions.txt` or `predictions.jsonl`, and `spans.jsonl`."""
    assert data.test is not None  # the mode predicts
    file, windows = data.test
    path = os.path.join(flags.model_dir, "predictions.txt" if file.has_columns else "predictions.jsonl")
    spans_path = os.path.join(flags.model_dir, "spans.jsonl")
    files.refuse_overwriting([path, spans_path], [file.path])
    logits = tagger.word_logits(weights, windows, flags.eval_batch_size)
    if not hosts.is_first():
        return
    tags, spans = tags_and_spans(logits, windows, data.meta)
    write_tags(path, file, TagColumns(flags.token_column, flags.tag_column), tags, spans)
    write_spans(spans_path, windows.sentences, spans)
    say(f"predicted {counted(len(windows.tags), 'word')} of {counted(len(tags), 'sentence')}: {path}")


def tags_and_spans(
    logits: np.ndarray, windows: TaggedWindows, meta: TaggingMetaData
) -> tuple[list[list[str]], list[list[Span]]]:
    """The tags of each sentence by logits [W, C], and the spans that they mean."""
    numbers, shares = logits.argmax(-1), np.exp(log_softmax(logits.astype(np.float64))).max(-1)
    tags = windows.by_sentence([meta.label_list[number] for number in numbers.tolist()])
    own: Sequence[Sequence[float]] = windows.by_sentence(shares.tolist())
    spans = [
        spans_of(sentence, of_words, probabilities, meta.scheme)
        for sentence, of_words, probabilities in zip(windows.sentences, tags, own, strict=True)
    ]
    return tags, spans
