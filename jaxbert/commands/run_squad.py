# SPDX-License-Identifier: Apache-2.0
"""Fine-tune a model on SQuAD, answer questions with it, score the answers."""

import contextlib
import functools
import json
import math
import os
from collections.abc import Callable, Iterator

from jax.sharding import Mesh

from jaxbert.batches.devices import put, row_units
from jaxbert.batches.loader import TrainingBatches
from jaxbert.batches.packing import choose_shape
from jaxbert.batches.targets import span_targets
from jaxbert.checkpoints import model_folder
from jaxbert.commands import fine_tuning, model_source, training_run
from jaxbert.commands.squad_answers import THRESHOLD, Answerer, Report
from jaxbert.commands.squad_inputs import Inputs, answers_prefix, read_inputs
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.config.trainers import SquadFlags
from jaxbert.console import progress, say
from jaxbert.datasets.checks import Bounds
from jaxbert.datasets.squad import WindowRecords
from jaxbert.errors import InputError
from jaxbert.features.squad import QuestionFile
from jaxbert.io import files
from jaxbert.model.weights import Tree
from jaxbert.predictions.squad_files import PREDICTIONS_FILE, copy_answers
from jaxbert.train import hosts
from jaxbert.train.hosts import scan_together
from jaxbert.train.report import Summaries
from jaxbert.train.sharding import weight_shardings
from jaxbert.train.step import State

_ASKED_FILE = "evaluation.json"  # beside weights: what was asked of them
_SHOWN = ("exact_match", "exact", "f1", THRESHOLD)  # of an evaluation amid training


def run(flags: SquadFlags) -> None:
    """Do what `--mode` says."""
    fine_tuning.run(flags, "squad", functools.partial(_run, flags))


def _run(flags: SquadFlags, checkpoint: str | None, config: BertConfig, mesh: Mesh) -> None:
    with hosts.one_after_the_first("records"):
        inputs = read_inputs(flags, config, checkpoint)
    answerer = Answerer(flags, config, inputs.meta.version_2_with_negative, mesh)
    held_out = inputs.questions[0] if flags.mode == "eval" else _held_out(flags, inputs)
    if flags.trains:
        _train(answerer, inputs, held_out)
        fine_tuning.say_where(flags)
        checkpoint = os.path.join(flags.model_dir, "last")
    assert checkpoint is not None  # found or made
    if held_out is None:
        if flags.answers:
            _predict(answerer, checkpoint, inputs.questions)
        return
    best = fine_tuning.best_folder(flags)
    if flags.trains and model_folder.has_model(best):
        path = os.path.join(best, _ASKED_FILE)
        if files.is_file(path) and files.read_text(path) == _asked(flags):
            _finish(flags)
            return
        checkpoint = best  # another file, or other flags, than when it was trained
    _evaluate(answerer, checkpoint, held_out)


def _held_out(flags: SquadFlags, inputs: Inputs) -> QuestionFile | None:
    """The questions that are scored after each epoch."""
    if flags.mode != "train_and_eval":
        return None
    (questions,) = inputs.questions
    if not questions.has_answers:
        say(f"note: `{questions.path}` holds no gold answers: it is answered, and not scored")
        return None
    return questions


def _train(answerer: Answerer, inputs: Inputs, held_out: QuestionFile | None) -> None:
    flags, config = answerer.flags, answerer.config
    bounds = Bounds(config.vocab_size, config.type_vocab_size, config.max_position_embeddings)
    records = WindowRecords(inputs.train, inputs.meta.settings.max_seq_length, bounds, scan_together)
    model_source.note_other_size(inputs.meta.train_data_size, len(records), inputs.train)
    plan, schedule = fine_tuning.plan(flags, len(records))
    batch_size, parts = flags.train_batch_size, flags.gradient_accumulation_steps
    shape = choose_shape(records.lengths, batch_size // parts, flags.seed, *row_units(answerer.mesh), even=True)
    training = training_run.Training(
        answerer.table,
        answerer.loss,
        training_run.optimizer(flags),
        schedule,
        plan,
        TrainingBatches(
            records.read, len(records), batch_size, parts, shape, flags.seed, span_targets, lengths=records.lengths
        ),
        functools.partial(model_source.start_weights, flags, config, answerer.table, "squad"),
        functools.partial(_finish_epoch, answerer, inputs, held_out),
    )
    training_run.fit(flags, answerer.mesh, training)


def _finish_epoch(
    answerer: Answerer,
    inputs: Inputs,
    held_out: QuestionFile | None,
    state: State,
    done: int,
    summaries: Summaries,
    tell: Callable[[str], None],
) -> None:
    """Answer and score, and write the weights to `best` when no earlier ones were better, and to `last`."""
    flags, weights = answerer.flags, state["weights"]
    best, last = fine_tuning.best_folder(flags), os.path.join(flags.model_dir, "last")
    folders, results = [last], {}
    if held_out is not None:
        results = answerer.evaluate(weights, held_out, last, lambda count: None)
        training_run.report_results(results, done, summaries, tell, _SHOWN)
        if fine_tuning.is_best(flags, "f1", results["f1"], done):
            folders = [best, last]
            if hosts.is_first():
                copy_answers(last, best)
    texts = {
        model_folder.CONFIG_FILE: bert_config.to_json(answerer.config),
        model_folder.META_DATA_FILE: inputs.meta.to_json(),
    }
    texts |= model_folder.tokenizer_texts(inputs.vocab_file, inputs.do_lower_case)
    if held_out is not None:
        texts[_ASKED_FILE] = _asked(flags)
    training_run.write_model(folders, weights, texts, {"step": done, **results})


def _asked(flags: SquadFlags) -> str:
    """The flags that decide what an evaluation gives, as JSON."""
    names = ("predict_file", "n_best_size", "max_answer_length", "null_score_diff_threshold")
    return json.dumps({name: getattr(flags, name) for name in names}, indent=2) + "\n"


def _finish(flags: SquadFlags) -> None:
    """Put the answers of the best weights where the official program puts its answers; print their scores."""
    best = fine_tuning.best_folder(flags)
    if hosts.is_first():
        copy_answers(best, flags.model_dir)
    results = model_folder.read_results(best)
    print(json.dumps({name: value for name, value in results.items() if name != "step"}))


def _load(answerer: Answerer, checkpoint: str) -> Tree:
    """Trained weights on the devices."""
    head = "head for answers, which would be random"
    found = model_source.load_whole(checkpoint, answerer.config, answerer.table, "squad", head)
    weights: Tree = put(found, weight_shardings(answerer.table, answerer.mesh))
    return weights


def _evaluate(answerer: Answerer, checkpoint: str, questions: QuestionFile) -> None:
    """Write the answers, print the scores as JSON, keep the best threshold beside the weights."""
    if not questions.has_answers:
        raise InputError(f"`{questions.path}` holds no gold answers", "use `--mode=predict`")
    with _reporting() as report:
        results = answerer.evaluate(_load(answerer, checkpoint), questions, answerer.flags.model_dir, report)
    if answerer.version_2_with_negative and hosts.is_first():
        _keep_threshold(checkpoint, results[THRESHOLD])
    print(json.dumps(results))


def _predict(answerer: Answerer, checkpoint: str, questions: tuple[QuestionFile, ...]) -> None:
    """Write the answers to each file of questions."""
    flags, weights = answerer.flags, _load(answerer, checkpoint)
    threshold = flags.null_score_diff_threshold
    if threshold is None:
        threshold = _kept_threshold(_folder_of(checkpoint))
    for one in questions:
        prefix = answers_prefix(one.path) if len(questions) > 1 else ""
        with _reporting() as report:
            answerer.answer(weights, one, flags.model_dir, prefix, threshold, report)
        above = f", no answer where null odds are above {threshold}" if answerer.version_2_with_negative else ""
        path = os.path.join(flags.model_dir, prefix + PREDICTIONS_FILE)
        say(f"answered {one.count} questions{above}: {path}")


def _keep_threshold(checkpoint: str, threshold: float) -> None:
    folder = _folder_of(checkpoint)
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


def _kept_threshold(folder: str) -> float:
    threshold: object = model_folder.read_results(folder).get(THRESHOLD, 0.0)
    if not isinstance(threshold, int | float) or math.isnan(threshold):
        raise InputError(
            f"`{os.path.join(folder, model_folder.RESULTS_FILE)}`: `{THRESHOLD}` is `{threshold}`, expected a number",
            f"mend the file, or give `--{THRESHOLD}`",
        )
    return threshold


def _folder_of(checkpoint: str) -> str:
    return checkpoint if files.is_folder(checkpoint) else os.path.dirname(checkpoint)


@contextlib.contextmanager
def _reporting() -> Iterator[Report]:
    """Shows how many questions are answered."""
    with progress() as report:
        yield functools.partial(report, "questions")
