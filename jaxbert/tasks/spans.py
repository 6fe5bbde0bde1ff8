# SPDX-License-Identifier: Apache-2.0
"""Answers as spans of a context (SQuAD): what `run_squad` does, mode by mode."""

import collections
import contextlib
import dataclasses
import functools
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxbert.batches.devices import row_units, shard_whole
from jaxbert.batches.loader import Chunk, Prefetched, packed_batches
from jaxbert.batches.packing import evaluation_shape
from jaxbert.batches.rows import Arrays, Layout
from jaxbert.checkpoints import model_folder
from jaxbert.checkpoints.resolve import Model
from jaxbert.config.trainers import SquadFlags
from jaxbert.console import cores, counted, progress, say
from jaxbert.datasets.building import records_folder
from jaxbert.datasets.checks import Bounds
from jaxbert.datasets.squad import SquadRecipe, WindowRecords, make_records
from jaxbert.errors import InputError
from jaxbert.examples.squad import Question
from jaxbert.examples.text_data import source_files
from jaxbert.features.squad import QuestionFile, WindowedQuestion, WindowSettings, label_arrays, taught, window_arrays
from jaxbert.io import files
from jaxbert.metrics.squad import METRICS_V1, METRICS_V2, dividing_threshold, is_version_2, score_v1, score_v2
from jaxbert.model.heads import answer_spans, best_positions, within_windows
from jaxbert.model.weights import Table, Tree, squad_table
from jaxbert.predictions.squad import AnswerSettings, AnswerTexts, Prediction, in_question_order, predict
from jaxbert.predictions.squad_files import (
    ANSWER_FILES,
    N_BEST_FILE,
    PREDICTIONS_FILE,
    copy_answers,
    read_answers,
    read_probabilities,
    write_answers,
    write_texts,
)
from jaxbert.reports import content
from jaxbert.reports import run as reports
from jaxbert.tasks import fine_tuning, reporting
from jaxbert.tasks.classification import note_other_size, refuse_longer
from jaxbert.tasks.network import BATCHES_TOGETHER, Network
from jaxbert.text.tokenizer import Tokenizer
from jaxbert.tfrecord.metadata import SquadMetaData
from jaxbert.train import devices, hosts, run
from jaxbert.train.evaluate import streamed_outputs
from jaxbert.train.hosts import check_together
from jaxbert.train.losses import span_loss, span_losses
from jaxbert.train.step import Batch

SETTINGS = WindowSettings(max_seq_length=384, doc_stride=128, max_query_length=64)
_ANSWER_FLAGS = ("n_best_size", "max_answer_length", "null_score_diff_threshold")
THRESHOLD = "null_score_diff_threshold"  # the result that later predictions take as threshold for no answer
_ASKED_FILE = "evaluation.json"  # beside weights: what was asked of them
_SHOWN = ("exact_match", "exact", "f1", "loss", THRESHOLD)  # of an evaluation amid training


def run_task(flags: SquadFlags) -> None:
    """Train, answer questions, score the answers, as `--mode` says."""
    model = fine_tuning.read_model(flags)
    fine_tuning.refuse_wrong_parts(flags, model.config, squad_table(model.config))
    mesh = devices.mesh_of(flags, model.config)
    with hosts.one_after_the_first():
        data = read_data(flags, model)
    config = fine_tuning.config_in_training(flags, data.model.config)
    answerer = Answerer(config, run.compute(flags, mesh), mesh, flags, data.meta.version_2_with_negative)
    held_out = _held_out(flags, data)
    model = data.model
    if flags.trains:
        _train(flags, answerer, data, held_out)
        model = fine_tuning.model_in(model, os.path.join(flags.model_dir, "last"))
    if held_out is None:
        if flags.trains:
            about = {"task": "SQuAD", "windows to train on": data.meta.train_data_size}
            reporting.of_training(flags, "answers", data.model, answerer.table, about)
        if flags.answers:
            _predict(flags, answerer, model, data.questions)
        return
    best = fine_tuning.best_folder(flags)
    if flags.trains and model_folder.has_model(best):
        path = os.path.join(best, _ASKED_FILE)
        if files.is_file(path) and files.read_text(path) == _asked(flags, held_out):
            _finish(flags)
            _report(flags, answerer, data, held_out)
            return
        model = fine_tuning.model_in(model, best)  # other questions, or other flags, than when it was trained
    results = _evaluate(flags, answerer, model, held_out)
    _report(flags, answerer, data, held_out, results)


@dataclasses.dataclass(frozen=True)
class Answerer(Network):
    """A model that finds answers."""

    flags: SquadFlags
    version_2_with_negative: bool

    @functools.cached_property
    def table(self) -> Table:
        """The weights."""
        return squad_table(self.config)

    def logits(self, weights: Tree, batch: Batch, dropout_bits: jax.Array | None = None) -> jax.Array:
        """Of start and end at every position, [B, S, 2] float32."""
        return answer_spans(weights, self.config, batch, dropout_bits=dropout_bits, compute=self.compute)

    def loss(self, weights: Tree, batch: Batch, dropout_bits: jax.Array | None) -> jax.Array:
        """This (micro-)batch's part of the loss: mean over windows of the mean cross entropy of start and end."""
        logits = self.logits(weights, batch, dropout_bits)
        positions = (batch["start_positions"], batch["end_positions"])
        return span_loss(within_windows(logits, batch), *positions, batch["answer_weights"])

    def scores_version_2(self, questions: Sequence[Question], path: str) -> bool:
        """Whether answers are scored as of SQuAD 2.0: where the model may give none, or the file asks for none."""
        return self.version_2_with_negative or is_version_2(questions, path)

    @functools.cached_property
    def candidates(self) -> "jax.stages.Wrapped":
        """Compiled: (weights, batch) -> `best_positions`; with targets also `losses` and `weights` [B, N]."""

        def candidates(weights: Tree, batch: Batch) -> dict[str, jax.Array]:
            logits = self.logits(weights, batch)
            found = best_positions(logits, batch, self.flags.n_best_size)
            if "answer_weights" in batch:
                positions = (batch["start_positions"], batch["end_positions"])
                found["losses"] = span_losses(within_windows(logits, batch), *positions)
                found["weights"] = batch["answer_weights"]
            return found

        return self.compiled(candidates)

    def predictions(
        self,
        weights: Tree,
        questions: QuestionFile,
        threshold: float,
        report: Callable[[int], None],
        loss: "MeanLoss | None" = None,
    ) -> Iterator[Prediction]:
        """The answer to each question in order; questions are read, packed and answered as they come.

        Where questions may have no answer, they have none whose null odds are above `threshold`. `report` is told how
        many are answered, and `loss`, if it is asked for, the losses of windows by the first answers in the file.
        """
        flags = self.flags
        lengths = questions.lengths if len(questions.lengths) else np.ones(1, np.int64)  # contexts without a word
        shape = evaluation_shape(lengths, flags.predict_batch_size, *row_units(self.mesh))
        settings = AnswerSettings(flags.n_best_size, flags.max_answer_length, self.version_2_with_negative, threshold)
        texts = AnswerTexts(questions.tokenizer)
        asked: collections.deque[WindowedQuestion] = collections.deque()

        def noted() -> Iterator[WindowedQuestion]:
            for one in questions:
                asked.append(one)  # waits there for its windows' candidates
                yield one

        sizes = questions.settings.max_seq_length, BATCHES_TOGETHER * flags.predict_batch_size
        chunks = window_chunks(noted(), questions.tokenizer, *sizes, with_labels=loss is not None)
        batches = packed_batches(chunks, shape, span_targets if loss else no_targets)
        placed = (shard_whole(batch, self.mesh) for batch in batches)
        with contextlib.closing(Prefetched(placed)) as loaded:
            found = streamed_outputs(self.candidates, weights, loaded)
            if loss:
                found = loss.noted(found)
            answered = in_question_order(asked, found, lambda one, best: predict(one, best, settings, texts))
            for count, prediction in enumerate(answered, 1):
                report(count)
                yield prediction


class MeanLoss:
    """The mean loss of windows, while they are computed."""

    def __init__(self) -> None:
        self._losses, self._weights = 0.0, 0.0

    def noted(self, found: Iterable[tuple[np.ndarray, Any]]) -> Iterator[tuple[np.ndarray, Any]]:
        """What is found, as it is; the losses in it are added."""
        for numbers, values in found:
            self._losses += float(np.sum(values["losses"] * values["weights"], dtype=np.float64))
            self._weights += float(np.sum(values["weights"], dtype=np.float64))
            yield numbers, values

    @property
    def results(self) -> dict[str, float]:
        """The mean, where there is any window to learn."""
        return {"loss": self._losses / self._weights} if self._weights else {}


def window_chunks(
    questions: Iterable[WindowedQuestion],
    tokenizer: Tokenizer,
    max_seq_length: int,
    size: int,
    with_labels: bool = False,
) -> Iterator[Chunk]:
    """The windows of all questions, numbered from 0 on; a chunk ends with the question that brings it to `size`.

    Where it is asked for, windows have the positions to learn, and `weight` 0 without any.
    """

    def arrays(questions: Sequence[WindowedQuestion]) -> Arrays:
        labels = _labels(questions, tokenizer) if with_labels else {}
        return window_arrays(questions, tokenizer, max_seq_length) | labels

    first, waiting, windows = 0, list[WindowedQuestion](), 0
    for asked in questions:
        waiting.append(asked)
        windows += len(asked.windows)
        if windows >= size:
            yield np.arange(first, first + windows), arrays(waiting)
            first, waiting, windows = first + windows, [], 0
    if windows:
        yield np.arange(first, first + windows), arrays(waiting)


def _labels(questions: Sequence[WindowedQuestion], tokenizer: Tokenizer) -> Arrays:
    """See `label_arrays`; and the `weight` of each window, 0 for questions whose answer cannot be learnt."""
    found = [(asked, taught(asked, tokenizer)) for asked in questions]
    learnt = [one if isinstance(one, WindowedQuestion) else asked for asked, one in found]
    known = [float(isinstance(one, WindowedQuestion)) for _, one in found]
    return label_arrays(learnt) | {"weight": np.repeat(known, [len(asked.windows) for asked in questions])}


def span_targets(features: Mapping[str, np.ndarray], layout: Layout) -> Arrays:
    """What the loss compares with.

    Returns:
        `start_positions` and `end_positions`, in the row, int32 [B, N]; `answer_weights` float32 [B, N], the `weight`
        of each window, 1 by default, and 0 where none is.
    """
    rank = np.cumsum(features["input_mask"] != 0, axis=1) - 1  # of each token among the real ones of its record

    def in_row(positions: np.ndarray) -> np.ndarray:
        return layout.per_sequence(layout.start_of + np.take_along_axis(rank, positions[:, None], axis=1)[:, 0])

    return {
        "start_positions": in_row(features["start_positions"]),
        "end_positions": in_row(features["end_positions"]),
        "answer_weights": layout.per_sequence(features.get("weight", np.ones(len(rank))), np.float32),
    }


def no_targets(features: Mapping[str, np.ndarray], layout: Layout) -> Arrays:
    """Nothing: of windows to predict only the tokens are known."""
    return {}


def _train(flags: SquadFlags, answerer: Answerer, data: "Data", held_out: QuestionFile | None) -> None:
    """Train; after each epoch answer and score, and write the weights to `last`, to `best` where none did better."""
    config, last = answerer.config, os.path.join(flags.model_dir, "last")
    bounds = Bounds(config.vocab_size, config.type_vocab_size, config.max_position_embeddings)
    records = WindowRecords(data.train, data.record_length, bounds, check_together)
    if flags.train_data_path:
        fine_tuning.refuse_records_of_other_vocab(data.model, records, data.train)
    note_other_size(data.meta.train_data_size, len(records), data.train)
    bound = fine_tuning.data_of_run(records.checksums, flags.train_file)
    scored = _evaluation_of_run(flags, held_out) if held_out is not None else {}
    training = fine_tuning.training(flags, answerer, records, span_targets, "squad", bound, scored)
    metric = _best_metric(answerer, held_out)
    texts = data.model.texts() | {model_folder.META_DATA_FILE: data.meta.to_json()}
    if held_out is not None:
        texts[_ASKED_FILE] = _asked(flags, held_out)
    with contextlib.closing(run.fit(flags, answerer.mesh, data.model, training)) as epochs:
        for epoch in epochs:
            results: dict[str, float] = {}
            if held_out is not None:
                results = evaluate(answerer, epoch.weights, held_out, last)
                epoch.report(results, _SHOWN)
            folders = fine_tuning.model_folders(flags, epoch, results, metric)
            if len(folders) > 1 and hosts.is_first():
                copy_answers(last, folders[0])
            run.write_model(folders, epoch.weights, texts, {"step": epoch.step, **results})
    fine_tuning.say_where(flags)


def _best_metric(answerer: Answerer, held_out: QuestionFile | None) -> str:
    """The metric that decides which weights are best: F1, unless a flag says."""
    flags = answerer.flags
    if held_out is None:
        if flags.best_metric or flags.patience:
            raise InputError(
                f"`{flags.predict_file}` is not scored, which `--best_metric` and `--patience` need",
                "give a file with answers, or leave them out",
            )
        return "f1"
    names = METRICS_V2 if answerer.scores_version_2(held_out.questions(), held_out.path) else METRICS_V1
    return fine_tuning.best_metric(flags, (*names, "loss"))


def _asked(flags: SquadFlags, questions: QuestionFile) -> str:
    """What decides what an evaluation gives, the questions by their content and the flags, as JSON."""
    asked = {"questions": questions.checksum, **{name: getattr(flags, name) for name in _ANSWER_FLAGS}}
    return json.dumps(asked, indent=2) + "\n"


def _evaluation_of_run(flags: SquadFlags, questions: QuestionFile) -> dict[str, str]:
    """See `data_of_run`: the questions, and the flags by which they are answered."""
    found = fine_tuning.data_of_run({"": questions.checksum}, questions.path)
    return found | {f"`--{name}`": str(getattr(flags, name)) for name in _ANSWER_FLAGS}


def evaluate(
    answerer: Answerer,
    weights: Tree,
    questions: QuestionFile,
    folder: str,
    report: Callable[[int], None] = lambda count: None,
) -> dict[str, float]:
    """Write the files of answers, and score them as the official scripts do; `report` is told how many are answered.

    `loss` is that of training, without dropout: the mean over the windows of all questions whose first answer can be
    learnt; without any it is left out.
    Where questions may have no answer, `null_score_diff_threshold` of the results is the threshold that does best.
    It decides, unless a flag says another.
    """
    texts: dict[str, str] = {}
    odds: dict[str, float] = {}
    loss = MeanLoss()

    def noted() -> Iterator[Prediction]:
        for prediction in answerer.predictions(weights, questions, 0.0, report, loss):
            texts[prediction.id] = prediction.best_text
            odds[prediction.id] = prediction.null_odds or 0.0
            yield prediction

    _write_answers(folder, noted(), answerer.version_2_with_negative)
    gold = questions.questions()
    if not answerer.version_2_with_negative:
        score = score_v2 if answerer.scores_version_2(gold, questions.path) else score_v1
        return score(gold, texts) | loss.results
    searched = score_v2(gold, texts, odds, math.inf)
    best = dividing_threshold(gold, texts, odds)
    wanted = answerer.flags.null_score_diff_threshold
    threshold = best if wanted is None else wanted
    texts = {id_: "" if odds[id_] > threshold else text for id_, text in texts.items()}
    if hosts.is_first():
        write_texts(folder, texts.items())
    found = {name: value for name, value in searched.items() if name.startswith(("best_", "pr_"))}
    return {**score_v2(gold, texts), **found, THRESHOLD: best, **loss.results}


def _write_answers(folder: str, predictions: Iterable[Prediction], version_2: bool, prefix: str = "") -> None:
    """Write the files of answers on the first host; the others take part in predicting."""
    if hosts.is_first():
        write_answers(folder, predictions, version_2_with_negative=version_2, prefix=prefix)
    else:
        collections.deque(predictions, maxlen=0)


def _finish(flags: SquadFlags) -> None:
    """Put the answers of the best weights where the official program puts its answers; print their scores."""
    best = fine_tuning.best_folder(flags)
    if hosts.is_first():
        copy_answers(best, flags.model_dir)
    results = model_folder.read_results(best)
    print(json.dumps({name: value for name, value in results.items() if name != "step"}))


def _load(answerer: Answerer, model: Model) -> Tree:
    """Trained weights on the devices."""
    return answerer.load(model, "squad", "head for answers, which would be random")


def _evaluate(flags: SquadFlags, answerer: Answerer, model: Model, questions: QuestionFile) -> dict[str, float]:
    """Write the answers, print the scores as JSON, keep the best threshold beside the weights."""
    if not questions.has_answers:
        raise InputError(f"`{questions.path}` holds no gold answers", "use `--mode=predict`")
    weights = _load(answerer, model)
    with progress() as report:
        results = evaluate(answerer, weights, questions, flags.model_dir, functools.partial(report, "questions"))
    if answerer.version_2_with_negative and hosts.is_first():
        _keep_threshold(model, results[THRESHOLD])
    print(json.dumps(results))
    return results


def _report(
    flags: SquadFlags, answerer: Answerer, data: "Data", asked: QuestionFile, results: Mapping[str, float] | None = None
) -> None:
    """Write the report on the answers in `--model_dir`; None: their results are those of the best weights."""
    if not hosts.is_first():
        return
    found = dict(model_folder.read_results(fine_tuning.best_folder(flags)) if results is None else results)
    step = {"step": int(found.pop("step"))} if "step" in found else {}
    questions = asked.questions()
    version_2 = answerer.scores_version_2(questions, asked.path)
    texts = read_answers(os.path.join(flags.model_dir, PREDICTIONS_FILE))
    choices = read_probabilities(os.path.join(flags.model_dir, N_BEST_FILE))
    probabilities = {id_: choices[id_].get(text, 0.0) for id_, text in texts.items()}
    about = {"task": "SQuAD 2.0" if version_2 else "SQuAD 1.1", "questions to evaluate on": len(questions)}
    if flags.trains:
        about["windows to train on"] = data.meta.train_data_size
    parts = content.answers(questions, texts, probabilities, version_2)
    parts["results"] = content.answer_metrics(questions, texts, found, version_2) | step
    reports.write(flags, "answers", reporting.of_model(data.model, answerer.table), about, parts)


def _predict(flags: SquadFlags, answerer: Answerer, model: Model, questions: tuple[QuestionFile, ...]) -> None:
    """Write the answers to each file of questions."""
    prefixes = [answers_prefix(one.path) if len(questions) > 1 else "" for one in questions]
    outputs = [os.path.join(flags.model_dir, prefix + name) for prefix in prefixes for name in ANSWER_FILES]
    files.refuse_overwriting(outputs, [one.path for one in questions])
    weights, version_2 = _load(answerer, model), answerer.version_2_with_negative
    threshold = flags.null_score_diff_threshold
    if threshold is None:
        threshold = kept_threshold(model)
    for one, prefix in zip(questions, prefixes, strict=True):
        with progress() as report:
            found = answerer.predictions(weights, one, threshold, functools.partial(report, "questions"))
            _write_answers(flags.model_dir, found, version_2, prefix)
        above = f", no answer where null odds are above {threshold}" if version_2 else ""
        path = os.path.join(flags.model_dir, prefix + PREDICTIONS_FILE)
        say(f"answered {counted(one.count, 'question')}{above}: {path}")


def _keep_threshold(model: Model, threshold: float) -> None:
    """Write the threshold to the results of the model, where later predictions find it."""
    assert model.source is not None  # it was evaluated
    folder = model.source.folder
    results = model_folder.read_results(folder)
    if results.get(THRESHOLD) == threshold:
        return
    asked = os.path.join(folder, _ASKED_FILE)
    try:
        model_folder.write_results(folder, results | {THRESHOLD: threshold})
        if files.is_file(asked):
            files.remove(asked)  # the results no longer belong together
    except InputError as error:
        say(f"note: {error.message}; give `--null_score_diff_threshold={threshold}` to predict with it")


def kept_threshold(model: Model) -> float:
    """The threshold for no answer that the results of a trained model hold; 0 without one.

    Raises InputError where it is no number.
    """
    assert model.source is not None  # it predicts
    folder = model.source.folder
    threshold: object = model_folder.read_results(folder).get(THRESHOLD, 0.0)
    if not isinstance(threshold, int | float) or math.isnan(threshold):
        raise InputError(
            f"`{os.path.join(folder, model_folder.RESULTS_FILE)}`: `{THRESHOLD}` is `{threshold}`, expected a number",
            f"mend the file, or give `--{THRESHOLD}`",
        )
    return threshold


@dataclasses.dataclass(frozen=True)
class Data:
    """Record files and questions, and what is known of them.

    Attributes:
        model: the model of the run; where its data is text, with its casing decided.
        meta: how windows are cut, no longer than the model takes, and the version of SQuAD.
        train: paths of the training records.
        questions: the files of questions to answer.
        record_length: S of the training records, of which the model may be unable to take the padding.
    """

    model: Model
    meta: SquadMetaData
    train: tuple[str, ...]
    questions: tuple[QuestionFile, ...]
    record_length: int


def read_data(flags: SquadFlags, model: Model) -> Data:
    """The files that the flags name; a SQuAD file to train on is turned into records below `<model_dir>/records`, once.

    Raises:
        InputError: wrong data; flags that the metadata contradicts; windows or a vocabulary too large for the model.
    """
    if not flags.trains:
        fine_tuning.refuse_other_task(flags, model, SquadMetaData)
    path = flags.input_meta_data_path or (None if flags.trains else model.beside(model_folder.META_DATA_FILE))
    path = None if flags.train_file else path
    meta = SquadMetaData.read(path) if path else _meta_of_flags(flags, model)
    known = vars(meta.settings) | {"version_2_with_negative": meta.version_2_with_negative}
    for name, value in known.items():
        if getattr(flags, name) not in (None, value):
            raise InputError(
                f"`--{name}={str(getattr(flags, name)).lower()}`, but `{path}` says `{str(value).lower()}`",
                "leave out the flag, or make records and metadata with it",
            )
    if flags.null_score_diff_threshold is not None and not meta.version_2_with_negative:
        raise InputError(
            f"`--null_score_diff_threshold={flags.null_score_diff_threshold}` is for SQuAD 2.0, and this is SQuAD 1.1:"
            " every question gets an answer",
            "leave it out" + ("" if path else ", or give `--version_2_with_negative`"),
        )
    if flags.answers or flags.train_file:
        model = model.for_text()
    record_length = meta.settings.max_seq_length
    longest = min(record_length, model.config.max_position_embeddings)
    meta = dataclasses.replace(meta, settings=dataclasses.replace(meta.settings, max_seq_length=longest))
    questions = _questions(flags, model, meta) if flags.answers else ()
    train: tuple[str, ...] = ()
    if flags.trains and flags.train_data_path:
        train = tuple(files.expand(flags.train_data_path))
    elif flags.trains:
        train, meta = _made_records(flags, model, meta)
    return Data(model, meta, train, questions, record_length)


def _held_out(flags: SquadFlags, data: Data) -> QuestionFile | None:
    """The questions that are scored: after each epoch, or by `--mode=eval`."""
    if flags.mode == "eval":
        return data.questions[0]
    if flags.mode != "train_and_eval":
        return None
    (questions,) = data.questions
    if not questions.has_answers:
        say(f"note: `{questions.path}` holds no gold answers: it is answered, and not scored")
        return None
    return questions


def _meta_of_flags(flags: SquadFlags, model: Model) -> SquadMetaData:
    """What the flags say; without one a window is as long as usual, or as the model takes where that is less."""
    refuse_longer(flags.max_seq_length, model)
    longest = [SETTINGS.max_seq_length, model.config.max_position_embeddings]
    if not flags.trains and model.source is not None and model.source.max_seq_length is not None:
        longest.append(model.source.max_seq_length)
    given = {name: value for name in vars(SETTINGS) if (value := getattr(flags, name)) is not None}
    settings = dataclasses.replace(SETTINGS, **{"max_seq_length": min(longest), **given})
    return SquadMetaData(0, settings, bool(flags.version_2_with_negative))


def _questions(flags: SquadFlags, model: Model, meta: SquadMetaData) -> tuple[QuestionFile, ...]:
    """The files of `--predict_file`, every question looked at once."""
    assert flags.predict_file is not None  # the flags were checked
    paths = files.expand(flags.predict_file)
    if flags.mode.endswith("eval") and len(paths) > 1:
        raise InputError(
            f"`--predict_file={flags.predict_file}` means {len(paths)} files, one can be scored",
            "predict several with `--mode=predict` or `train_and_predict`",
        )
    assert model.rules is not None  # `for_text` would have raised
    model.refuse_pairs()
    tokenizer = Tokenizer(model.vocab, model.rules)
    scored_as = meta.version_2_with_negative if flags.mode.endswith("eval") else None
    found = tuple(QuestionFile(path, tokenizer, meta.settings, scored_as) for path in paths)
    for questions in found:
        for note in questions.text_counts.notes(questions.path, meta.settings.max_query_length, "questions"):
            say(note)
    names = collections.Counter(map(answers_prefix, paths))
    if len(names) < len(paths):
        raise InputError(
            f"several of `{flags.predict_file}` are called `{names.most_common(1)[0][0][:-1]}`",
            "answers are named after the files: rename one",
        )
    return found


def answers_prefix(path: str) -> str:
    """What the names of the answers begin with where several files are answered, as in the official script."""
    return f"{os.path.splitext(os.path.basename(path))[0]}-"


def _made_records(flags: SquadFlags, model: Model, meta: SquadMetaData) -> tuple[tuple[str, ...], SquadMetaData]:
    """Paths of the records of `--train_file`, which are made where they are not there, and their metadata."""
    assert flags.train_file is not None  # the flags were checked
    assert model.vocab_file is not None  # `for_text` would have raised
    assert model.rules is not None
    recipe = SquadRecipe(model.vocab_file, model.rules, meta.settings)
    version_2 = meta.version_2_with_negative
    sources, settings = [*source_files(flags.train_file), recipe.vocab_file], (recipe, version_2, flags.strict)
    folder = records_folder(flags.records_folder, sources, settings)
    outputs = (os.path.join(folder, "train.tf_record"), os.path.join(folder, model_folder.META_DATA_FILE))
    if not files.is_file(outputs[1]):
        say(f"making records of {flags.train_file} in {folder}")
        workers = flags.num_workers or cores()
        written = make_records(flags.train_file, outputs, recipe, version_2, flags.strict, workers, progress)
        say(
            f"{counted(written.questions, 'question is', 'questions are')} {counted(written.records, 'window')};"
            f" {len(written.skipped)} left out because of their answer"
        )
    return (outputs[0],), SquadMetaData.read(outputs[1])
