# SPDX-License-Identifier: Apache-2.0
"""Choosing the right one of several answers to a question (SWAG): what `run_multiple_choice` does, mode by mode."""

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Mapping

import jax
import numpy as np

from jaxbert.batches.rows import Arrays, Layout
from jaxbert.checkpoints import model_folder
from jaxbert.checkpoints.resolve import Model
from jaxbert.config.trainers import MultipleChoiceFlags
from jaxbert.console import cores, counted, say
from jaxbert.datasets.choices import ChoiceExamples
from jaxbert.errors import InputError
from jaxbert.examples.arrow import Role
from jaxbert.examples.choices import ChoiceColumns, files_of, read_questions
from jaxbert.examples.text_data import source_files
from jaxbert.io import files
from jaxbert.model.heads import choose
from jaxbert.model.weights import Table, Tree, choice_table
from jaxbert.predictions.choices import write_choices
from jaxbert.reports import content
from jaxbert.reports import run as reports
from jaxbert.tasks import fine_tuning, reporting
from jaxbert.tasks.classification import MAX_SEQ_LENGTH, columns_as_trained, log_softmax, longest
from jaxbert.tasks.network import Network
from jaxbert.tfrecord.metadata import MultipleChoiceMetaData
from jaxbert.train import devices, hosts, run, run_folder
from jaxbert.train.losses import choice_loss
from jaxbert.train.step import Batch

_KIND = "choices"  # as reports call it
_HEAD = "head for multiple choice"
_SWAG_FILES: Mapping[Role, str] = {"train": "train.csv", "eval": "val.csv", "test": "test.csv"}


def run_task(flags: MultipleChoiceFlags) -> None:
    """Train, evaluate or predict, as `--mode` says."""
    model = fine_tuning.read_model(flags)
    fine_tuning.refuse_wrong_parts(flags, model.config, choice_table(model.config))
    mesh = devices.mesh_of(flags, model.config)
    data = read_data(flags, model)
    config = fine_tuning.config_in_training(flags, data.model.config)
    chooser = Chooser(config, run.compute(flags, mesh), mesh)
    if flags.trains:
        _train(flags, chooser, data)
        return
    path = os.path.join(flags.model_dir, "predictions.tsv")
    if flags.mode == "predict":
        files.refuse_overwriting([path], source_files(flags.test_file, flags.data_dir))
    weights = chooser.load(data.model, "choice", _HEAD)
    logits = chooser.choice_logits(weights, data.examples, flags.eval_batch_size)
    if flags.mode == "eval":
        print(json.dumps(results(logits, data.examples)))
        _report(flags, chooser, data, data.examples, logits)
    elif hosts.is_first():
        write_choices(path, data.examples.ids, data.examples.names, probabilities(logits, data.examples.firsts))
        say(f"predicted {counted(len(data.examples), 'question')}: {path}")


@dataclasses.dataclass(frozen=True)
class Chooser(Network):
    """A model that chooses."""

    @functools.cached_property
    def table(self) -> Table:
        """The weights."""
        return choice_table(self.config)

    def logits(self, weights: Tree, batch: Batch, dropout_bits: jax.Array | None = None) -> jax.Array:
        """Of each choice, [B, N, 1] float32."""
        logits = choose(weights, self.config, batch, dropout_bits=dropout_bits, compute=self.compute)
        return logits[..., None]

    def loss(self, weights: Tree, batch: Batch, dropout_bits: jax.Array | None) -> jax.Array:
        """This (micro-)batch's part of the loss: mean over questions of the cross entropy among their choices."""
        logits = self.logits(weights, batch, dropout_bits)[..., 0]
        return choice_loss(logits, batch["questions"], batch["answer_weights"])

    def choice_logits(self, weights: Tree, examples: ChoiceExamples, batch_size: int) -> np.ndarray:
        """Logits [n] float32 of all choices, in their order; `batch_size` of the longest are computed together."""
        return self.outputs(weights, examples, batch_size, lambda features, layout: {}, len(examples.lengths))[:, 0]


def choice_targets(features: Mapping[str, np.ndarray], layout: Layout) -> Arrays:
    """What the loss compares with.

    Returns:
        `questions` [B, N] int32, the number of the choice's question, 0 for none; `answer_weights` [B, N] float32, 1
        for right choices.
    """
    return {
        "questions": layout.per_sequence(features["groups"]),
        "answer_weights": layout.per_sequence(features["is_answer"], np.float32),
    }


def probabilities(logits: np.ndarray, firsts: np.ndarray) -> list[np.ndarray]:
    """Softmax in float64 over the choices of each question, of logits [n]; `firsts` as in `ChoiceExamples`."""
    return [np.exp(log_softmax(part.astype(np.float64))) for part in np.split(logits, firsts[1:-1])]


def outcomes(logits: np.ndarray, examples: ChoiceExamples) -> tuple[np.ndarray, np.ndarray]:
    """Of each question whether its right choice has the largest logit (the first of equal ones), and its loss [Q]."""
    parts = np.split(logits.astype(np.float64), examples.firsts[1:-1])
    right = [part.argmax() == answer for part, answer in zip(parts, examples.answers, strict=True)]
    losses = [-log_softmax(part)[answer] for part, answer in zip(parts, examples.answers, strict=True)]
    return np.array(right), np.array(losses)


def results(logits: np.ndarray, examples: ChoiceExamples) -> dict[str, float]:
    """Share of questions that are answered right, and mean loss; logits [n]."""
    return _means(*outcomes(logits, examples))


def _means(right: np.ndarray, losses: np.ndarray) -> dict[str, float]:
    return {"accuracy": float(np.mean(right)), "loss": float(np.mean(losses))}


def _train(flags: MultipleChoiceFlags, chooser: Chooser, data: "Data") -> None:
    """Train; after each epoch evaluate, and write the weights to `last`, and to `best` where none before did better."""
    examples = data.examples
    say(f"training on {counted(len(examples), 'question')} with {len(examples.lengths):,} choices")
    bound = fine_tuning.data_of_run({"": examples.checksum}, flags.train_file or flags.data_dir)
    scored: dict[str, str] = {}
    if data.held_out is not None:
        scored = fine_tuning.data_of_run({"": data.held_out.checksum}, flags.eval_file or flags.data_dir)
    training = fine_tuning.training(
        *(flags, chooser, examples, choice_targets, "choice", bound, scored), firsts=examples.firsts
    )
    metric = fine_tuning.best_metric(flags, ("accuracy", "loss"))
    meta = MultipleChoiceMetaData(len(examples), data.max_seq_length)
    texts = data.model.texts() | {model_folder.META_DATA_FILE: meta.to_json()}
    best: tuple[np.ndarray, int] | None = None
    is_finished = True
    with contextlib.closing(run.fit(flags, chooser.mesh, data.model, training)) as epochs:
        for epoch in epochs:
            found: dict[str, float] = {}
            is_finished = False
            if data.held_out is not None:
                logits = chooser.choice_logits(epoch.weights, data.held_out, flags.eval_batch_size)
                found = results(logits, data.held_out)
                epoch.report(found)
            folders = fine_tuning.model_folders(flags, epoch, found, metric)
            if len(folders) > 1:
                best = logits, epoch.step
            run.write_model(folders, epoch.weights, texts, {"step": epoch.step, **found})

    def write_report() -> None:
        if data.held_out is not None:
            _report(flags, chooser, data, data.held_out, *(best or _evaluated_before(flags, chooser, data)))
            return
        reporting.of_training(flags, _KIND, data.model, chooser.table, _about(data))

    fine_tuning.end_training(flags, write_report, is_finished=is_finished, scores=data.held_out is not None)


def _evaluated_before(flags: MultipleChoiceFlags, chooser: Chooser, data: "Data") -> tuple[np.ndarray, int]:
    """Logits [n] by the best weights, which an earlier command wrote, and the steps after which they did best."""
    weights, step = fine_tuning.best_before(flags, chooser, data.model, "choice", _HEAD)
    assert data.held_out is not None  # it was evaluated
    return chooser.choice_logits(weights, data.held_out, flags.eval_batch_size), step


def _report(
    flags: MultipleChoiceFlags,
    chooser: Chooser,
    data: "Data",
    asked: ChoiceExamples,
    logits: np.ndarray,
    step: int | None = None,
) -> None:
    """Write the report on the logits [n] of the questions; they are those after so many steps of this run."""
    if not hosts.is_first():
        return
    shares = probabilities(logits, asked.firsts)
    chosen = np.array([one.argmax() for one in shares])

    def texts(numbers: np.ndarray) -> list[list[str]]:
        """What is read first, the right choice and the chosen one, with what stands in front of them."""
        both = (reporting.texts(asked.read(asked.firsts[numbers] + of[numbers]), data.model.vocab) for of in places)
        return [
            [*right[:-1], f"right: {right[-1]}", f"chosen: {wrong[-1]}"] for right, wrong in zip(*both, strict=True)
        ]

    places = (asked.answers, chosen)
    right, losses = outcomes(logits, asked)
    parts = content.choices(asked.answers, shares, texts)
    longest_choice = np.maximum.reduceat(asked.lengths, asked.firsts[:-1])
    parts |= content.lengths(longest_choice, data.max_seq_length, right, "accuracy")
    parts["results"] = content.metrics(_means, (right, losses)) | ({} if step is None else {"step": step})
    about = _about(data) | {"questions to evaluate on": len(asked)}
    reports.write(flags, _KIND, reporting.of_model(data.model, chooser.table), about, parts)


def _about(data: "Data") -> dict[str, object]:
    return {"task": "multiple choice", **({"questions to train on": len(data.examples)} if data.held_out else {})}


@dataclasses.dataclass(frozen=True)
class Data:
    """The questions of a run, as far as its mode needs them.

    Attributes:
        model: the model of the run, with its casing decided.
        max_seq_length: tokens of the longest choice with its question.
        examples: questions to train on, or those that the mode evaluates or predicts.
        held_out: while training, questions to evaluate on.
    """

    model: Model
    max_seq_length: int
    examples: ChoiceExamples
    held_out: ChoiceExamples | None


def read_data(flags: MultipleChoiceFlags, model: Model) -> Data:
    """The questions that the flags name, tokenized, in memory.

    Raises:
        InputError: a file that is needed is not given, or wrong; the model was trained for something else, has one type
            of tokens, or fewer positions than a flag says.
    """
    if not flags.trains:
        fine_tuning.refuse_other_task(flags, model, MultipleChoiceMetaData)
        flags = _with_columns_of_run(flags)
    model = model.for_text()
    model.refuse_pairs()
    trained = model.task if isinstance(model.task, MultipleChoiceMetaData) and not flags.trains else None
    usual = trained.max_seq_length if trained else MAX_SEQ_LENGTH
    most = longest(flags.max_seq_length, model, usual)

    def read(role: Role) -> ChoiceExamples:
        assert model.vocab_file is not None  # `for_text` would have raised
        assert model.rules is not None
        questions = read_questions(_path(flags, role), role, _columns(flags))
        return ChoiceExamples(questions, model.vocab_file, model.rules, most, flags.num_workers or cores())

    role: Role = "train" if flags.trains else "eval" if flags.mode == "eval" else "test"
    return Data(model, most, read(role), read("eval") if flags.mode == "train_and_eval" else None)


def _path(flags: MultipleChoiceFlags, role: Role) -> str:
    """The file of a role: the one that is given, that of SWAG in a folder, or a folder of `datasets`."""
    given = {"train": flags.train_file, "eval": flags.eval_file, "test": flags.test_file}[role]
    if given:
        return given
    if flags.data_dir is None:
        raise InputError(f"`--mode={flags.mode}` needs `--{role}_file`, or `--data_dir`", "name the questions")
    if any(files.is_file(os.path.join(flags.data_dir, name)) for name in _SWAG_FILES.values()):
        return os.path.join(flags.data_dir, _SWAG_FILES[role])
    return flags.data_dir


def _with_columns_of_run(flags: MultipleChoiceFlags) -> MultipleChoiceFlags:
    """The flags, of which those for columns are as in training where none is given and the questions have these."""
    trained = run_folder.trained_with(MultipleChoiceFlags, flags.model_dir)
    if trained is None or trained.choice_columns is None or flags.choice_columns is not None:
        return flags
    role: Role = "eval" if flags.mode == "eval" else "test"
    texts = [name for name in ("context_column", "question_column") if getattr(trained, name)]
    needed = [*texts, "choice_columns", *(["label_column"] if role == "eval" else [])]
    path = files_of(_path(flags, role))[0]
    return dataclasses.replace(flags, **columns_as_trained(trained, path, role, needed, ["id_column"]))


def _columns(flags: MultipleChoiceFlags) -> ChoiceColumns | None:
    """Which columns tables have; None: those of a known layout."""
    if flags.choice_columns is None:
        return None
    return ChoiceColumns(
        tuple(flags.choice_columns.split(",")),
        flags.context_column or "",
        flags.question_column or "",
        flags.label_column or "",
        flags.id_column or "",
    )
