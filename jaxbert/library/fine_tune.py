# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning from Python: rows in memory become files of the run, and the trainer of the commands does the rest."""

import functools
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, get_args

from jaxbert.config.flags import TRUE, parse
from jaxbert.config.trainers import ClassifierFlags, MultipleChoiceFlags, SquadFlags, TaggerFlags
from jaxbert.errors import InputError
from jaxbert.io import files
from jaxbert.library import arguments
from jaxbert.library.model import Model, load
from jaxbert.tasks import classification, multiple_choice, spans, tagging
from jaxbert.tasks.fine_tuning import run_and_export, trained_checkpoint

Task = Literal["classification", "multi_label", "regression", "squad", "tagging", "multiple_choice"]
_ONE_AT_A_TIME = threading.Lock()  # orbax (0.12.8) has states that are saved at once wait for each other, in vain
_DATA = "data"  # below the folder of a run
_SQUAD_KEYS = ("question", "context", "answers")
_TAG_KEYS = ("tokens", "tags", "ner_tags", "text", "spans")
_CHOICE_TEXTS = ("context", "question")
Flags = ClassifierFlags | SquadFlags | TaggerFlags | MultipleChoiceFlags


def fine_tune(
    model: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str],
    train: Iterable[Any],
    evaluate: Iterable[Any] | None = None,
    task: Task = "classification",
    text: str = "text",
    second_text: str | None = None,
    label: str = "label",
    num_train_epochs: float = 3.0,
    learning_rate: float = 5e-5,
    train_batch_size: int = 32,
    max_seq_length: int | None = None,
    seed: int = 0,
    best_metric: str | None = None,
    patience: int | None = None,
    class_weights: Mapping[str, float] | Literal["balanced"] | None = None,
    label_smoothing: float | None = None,
    weight_decay: float | None = None,
    layer_lr_decay: float | None = None,
    freeze: str | None = None,
    reinit_layers: int | None = None,
    eval_share: float | None = None,
    long_texts: Literal["cut", "windows"] | None = None,
    flags: Mapping[str, object] = MappingProxyType({}),
) -> Model:
    """Train a model for a task and load what came of it: the best by evaluation, or else the last.

    Called again with the same arguments it goes on where it was stopped, or loads what is there.

    Args:
        model: what to start from, whatever `load` takes.
        output: the folder of the run, as `--model_dir` of the commands.
        train: rows: (text, label) or ((first, second), label); or dicts, a table of pandas, polars or Arrow, or a
            dataset of `datasets`, whose columns are named by the next arguments. For "squad" dicts with `question`,
            `context` and `answers`, as `{"text": [...], "answer_start": [...]}`; of SQuAD 2.0, which is trained with
            `flags={"version_2_with_negative": True}`, without answers or with `is_impossible`. For "tagging" (words,
            tags), or dicts with `tokens` and `tags`, or with `text` and `spans`, as `[{"start": 0, "end": 2, "label":
            "ORG"}]`. For "multiple_choice" dicts with `choices`, a list of texts, `context` or `question` or both, and
            the label: the number of the right choice from 0, or its letter.
        evaluate: rows to evaluate on after each epoch.
        task: one class of a text, any number of classes (labels are lists), a number, answers to questions, a tag for
            each word, or one of several choices.
        text: column of the text.
        second_text: column of the second text of a pair.
        label: column of the label.
        num_train_epochs: passes over the rows.
        learning_rate: the highest, after the warm-up.
        train_batch_size: rows in a step, over all devices.
        max_seq_length: tokens of an example, or of a window of a context; longer texts are cut.
        seed: of new weights, the order of rows and dropout.
        best_metric: which metric decides which weights are best; by default the task's first.
        patience: end after so many evaluations without better weights.
        class_weights: how much the examples of each class count in the loss; classes that are not named count 1.
        label_smoothing: share of a label that is spread over all classes.
        weight_decay: share of the weights that a step takes away, times the learning rate; by default 0.01.
        layer_lr_decay: the learning rate of a layer over that of the layer above it; the embeddings come last.
        freeze: parts that keep their weights, as "embeddings,layer_0-3" or "encoder".
        reinit_layers: the last so many layers, and the pooler, start at random.
        eval_share: without `evaluate`, the share of the rows that is held out in its place.
        long_texts: whether texts longer than `max_seq_length` are cut, or read in windows.
        flags: further flags of the command of the task, such as {"warmup_proportion": 0.05}.

    Raises:
        InputError: wrong rows; as the commands do.
    """
    start, folder = arguments.path("model", model), arguments.path("output", output)
    arguments.one_of("task", task, get_args(Task))
    if not isinstance(flags, Mapping):
        raise arguments.wrong("flags", flags, "give a dict of flags by their names")
    columns = (text, second_text, label)
    version_2 = str(flags.get("version_2_with_negative")).lower() in TRUE
    write_squad = functools.partial(_write_squad, version_2=version_2)
    writers: dict[str, Callable[[str, Iterable[Any], tuple[str, str | None, str]], str]] = {
        "squad": write_squad,
        "tagging": _write_tags,
        "multiple_choice": _write_choices,
    }
    write = writers.get(task, _write_table)
    trained = write(os.path.join(folder, _DATA, "train"), train, columns)
    evaluated = None if evaluate is None else write(os.path.join(folder, _DATA, "eval"), evaluate, columns)
    given: dict[str, object] = {
        "init_checkpoint": start,
        "model_dir": folder,
        "train_file": trained,
        "mode": "train" if evaluated is None and not eval_share else "train_and_eval",
        "num_train_epochs": num_train_epochs,
        "learning_rate": learning_rate,
        "train_batch_size": train_batch_size,
        "max_seq_length": max_seq_length,
        "seed": seed,
        "best_metric": best_metric,
        "patience": patience,
        "class_weights": _weights(class_weights),
        "label_smoothing": label_smoothing,
        "weight_decay": weight_decay,
        "layer_lr_decay": layer_lr_decay,
        "freeze": freeze,
        "reinit_layers": reinit_layers,
        "eval_share": eval_share,
        "long_texts": long_texts,
    }
    if task == "squad":
        given |= {"predict_file": evaluated}
    elif task == "tagging":
        given |= {"eval_file": evaluated}
    elif task == "multiple_choice":
        columns_of = {f"{name}_column": name for name in _CHOICE_TEXTS}
        given |= {"eval_file": evaluated, "choice_columns": "choices", "label_column": "label", **columns_of}
    else:
        second = "text_b" if _are_pairs(trained) else None
        if evaluated is not None and _are_pairs(evaluated) != _are_pairs(trained):
            raise InputError("of `train` and `evaluate` one has pairs of texts, the other has not", "give both alike")
        given |= {"eval_file": evaluated, "text_a_column": "text_a", "text_b_column": second, "label_column": "label"}
        given |= {"regression": task == "regression", "multi_label": task == "multi_label"}
    kinds: dict[str, type[Flags]] = {
        "squad": SquadFlags,
        "tagging": TaggerFlags,
        "multiple_choice": MultipleChoiceFlags,
    }
    return _trained(_parsed(kinds.get(task, ClassifierFlags), {**given, **flags}))


def _weights(weights: Mapping[str, float] | str | None) -> str | None:
    """As the flag has them."""
    if not isinstance(weights, Mapping):
        return weights
    return ",".join(f"{name}:{weight}" for name, weight in weights.items())


def _parsed(kind: type[Flags], given: Mapping[str, object]) -> Flags:
    """The flags by the parser of the commands, which checks them."""
    texts = (f"--{name}={value}" for name, value in given.items() if value is not None)
    return parse(kind, list(texts), {}).options


def _trained(flags: Flags) -> Model:
    with _ONE_AT_A_TIME:
        _train(flags)
    return load(trained_checkpoint(flags), compile_cache=flags.compile_cache)


def _train(flags: Flags) -> None:
    if isinstance(flags, SquadFlags):
        run_and_export(flags, spans.run_task, "squad", os.environ)
    elif isinstance(flags, TaggerFlags):
        run_and_export(flags, tagging.run_task, "tagger", os.environ)
    elif isinstance(flags, MultipleChoiceFlags):
        run_and_export(flags, multiple_choice.run_task, "choice", os.environ)
    else:
        run_and_export(flags, classification.run_task, "classifier", os.environ)


def _write_table(path: str, rows: Iterable[Any], columns: tuple[str, str | None, str]) -> str:
    """Write rows as JSON lines with `text_a`, `label` and, of pairs, `text_b`; the path of the file."""
    made = [_row(row, number, columns) for number, row in enumerate(_each(rows))]
    if other := next((number for number, row in enumerate(made) if row.keys() != made[0].keys()), None):
        raise InputError(f"of row 0 and row {other} one is a pair of texts, the other is not", "give all alike")
    lines = (json.dumps(row, ensure_ascii=False) for row in made)
    return _written(f"{path}.jsonl", "".join(f"{line}\n" for line in lines))


def _row(row: Any, number: int, columns: tuple[str, str | None, str]) -> dict[str, Any]:
    text, second, label = columns
    if isinstance(row, Mapping):
        if missing := [name for name in columns if name is not None and name not in row]:
            raise InputError(
                f"row {number} has no `{missing[0]}`; it has {', '.join(map(str, row))}", "name the columns"
            )
        found, value = (row[text] if second is None else (row[text], row[second])), row[label]
    elif isinstance(row, tuple | list) and len(row) == 2:
        found, value = row
    else:
        raise InputError(f"row {number} is `{str(row)[:60]}`", "expected (text, label), or a dict")
    texts = [found] if isinstance(found, str) else list(found) if isinstance(found, tuple | list) else []
    if len(texts) not in (1, 2) or not all(isinstance(one, str) for one in texts):
        raise InputError(f"row {number} has the text `{str(found)[:60]}`", "expected a text, or a pair of texts")
    value = _listed(value)
    if not isinstance(value, str | int | float | tuple | list | None):
        raise InputError(f"row {number} has the label `{str(value)[:60]}`", "expected a text, a number, or a list")
    labels = _names(value, number) if isinstance(value, tuple | list) else value
    return dict(zip(("text_a", "text_b"), texts, strict=False)) | {"label": labels}


def _names(labels: Sequence[Any], number: int) -> list[str]:
    """The names of the classes of a row. Raises InputError for a 1 or 0 for each class, which names one twice."""
    names = [str(label) for label in labels]
    if len(set(names)) < len(names) or any(isinstance(label, float) for label in labels):
        raise InputError(
            f"row {number} has the label `{str(labels)[:60]}`", "expected the names of its classes, each once"
        )
    return names


def _write_squad(path: str, rows: Iterable[Any], columns: tuple[str, str | None, str], version_2: bool) -> str:
    """Write rows of questions in the layout of SQuAD; the path of the file.

    They are of version 2.0 also where a row says what is impossible, or some have no answers; those that do not say it
    are then impossible without answers.
    """
    contexts, asked, said = [], [], []
    for number, row in enumerate(_each(rows)):
        if not isinstance(row, Mapping) or not set(_SQUAD_KEYS) <= set(row):
            raise InputError(f"row {number} is `{str(row)[:60]}`", f"expected a dict with {', '.join(_SQUAD_KEYS)}")
        answers = _answers(row["answers"], number)
        contexts.append(row["context"])
        asked.append({"id": str(row.get("id", number)), "question": row["question"], "answers": answers})
        said.append(_listed(row.get("is_impossible")))
    have_answers = {bool(one["answers"]) for one in asked}
    if version_2 or len(have_answers) > 1 or any(one is not None for one in said):
        for one, is_impossible in zip(asked, said, strict=True):
            one["is_impossible"] = not one["answers"] if is_impossible is None else is_impossible
    paragraphs = [{"context": context, "qas": [one]} for context, one in zip(contexts, asked, strict=True)]
    data = {"version": "1.1", "data": [{"title": "", "paragraphs": paragraphs}]}
    return _written(f"{path}.json", json.dumps(data, ensure_ascii=False) + "\n")


def _answers(answers: Any, number: int) -> list[dict[str, Any]]:
    """The answers of a row as SQuAD has them. Raises InputError where they are in another form."""
    try:
        starts = zip(answers["text"], answers["answer_start"], strict=True)
        return [{"text": text, "answer_start": int(start)} for text, start in starts]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"row {number} has the answers `{str(answers)[:60]}`", 'expected `{"text": [...], "answer_start": [...]}`'
        ) from error


def _write_tags(path: str, rows: Iterable[Any], columns: tuple[str, str | None, str]) -> str:
    """Write rows as JSON lines with `tokens` and `tags`, or `text` and `spans`; the path of the file."""
    lines = []
    for number, row in enumerate(_each(rows)):
        if isinstance(row, Mapping):
            kept = {key: _listed(row[key]) for key in _TAG_KEYS if key in row}
        elif isinstance(row, tuple | list) and len(row) == 2:
            kept = dict(zip(("tokens", "tags"), map(_listed, row), strict=True))
        else:
            raise InputError(f"row {number} is `{str(row)[:60]}`", "expected (words, tags), or a dict")
        try:
            lines.append(json.dumps(kept, ensure_ascii=False))
        except (TypeError, ValueError) as error:
            raise InputError(f"row {number} is `{str(row)[:60]}`: {error}", "expected lists of texts") from error
    return _written(f"{path}.jsonl", "".join(f"{line}\n" for line in lines))


def _write_choices(path: str, rows: Iterable[Any], columns: tuple[str, str | None, str]) -> str:
    """Write rows as JSON lines with `context`, `question`, `choices` and `label`; the path of the file."""
    label = columns[2]
    lines = []
    for number, row in enumerate(_each(rows)):
        if not isinstance(row, Mapping) or "choices" not in row or label not in row:
            raise InputError(
                f"row {number} is `{str(row)[:60]}`",
                f"expected a dict with choices, {label}, and context or question or both",
            )
        texts = {name: row.get(name, "") for name in _CHOICE_TEXTS}
        made = texts | {"choices": _listed(row["choices"]), "label": _listed(row[label])}
        try:
            lines.append(json.dumps(made, ensure_ascii=False))
        except (TypeError, ValueError) as error:
            raise InputError(f"row {number} is `{str(row)[:60]}`: {error}", "expected texts and a list") from error
    return _written(f"{path}.jsonl", "".join(f"{line}\n" for line in lines))


def _listed(value: Any) -> Any:
    """An array of numpy as a list, anything else as it is."""
    return value.tolist() if hasattr(value, "tolist") else value


def _each(rows: Iterable[Any]) -> Iterator[Any]:
    """The rows of a table of pandas, polars or Arrow as dicts; those of anything else as they are.

    Of a dataset of `datasets` with names in place of the numbers of its classes.
    """
    if names := _names_of_classes(rows):
        plain = rows.with_format(None) if hasattr(rows, "with_format") else rows  # Python's numbers, row by row
        return ({column: _named(value, names.get(column)) for column, value in row.items()} for row in plain)
    if hasattr(rows, "to_batches"):
        return (row for batch in rows.to_batches() for row in batch.to_pylist())
    if hasattr(rows, "iter_rows"):
        return iter(rows.iter_rows(named=True))
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        return iter(rows.to_dict("records"))
    return iter(arguments.several("rows", rows, "give a list of rows, or a table"))


def _names_of_classes(rows: Any) -> dict[str, list[str]]:
    """Column -> the names of its classes, for columns of a dataset that hold numbers of classes or lists of them."""
    features = getattr(rows, "features", None)
    if not isinstance(features, Mapping):  # a table of pandas may have a column of this name
        return {}
    kinds: dict[str, Any] = {column: getattr(feature, "feature", feature) for column, feature in features.items()}
    return {column: kind.names for column, kind in kinds.items() if hasattr(kind, "names")}


def _named(value: Any, names: Sequence[str] | None) -> Any:
    """Numbers of classes as their names; -1 and None stand for no class."""
    if names is None:
        return value
    if isinstance(value, list):
        return [_named(number, names) for number in value]
    if value is None or value == -1:
        return None
    if not 0 <= value < len(names):
        raise InputError(f"a label is {value}, of the classes {', '.join(names)}", "numbers of classes begin at 0")
    return names[value]


def _written(path: str, content: str) -> str:
    """Write a file, but not again what is there: a run knows its data by their state."""
    if not (files.is_file(path) and files.read_text(path) == content):
        files.write_text(path, content)
    return path


def _are_pairs(path: str) -> bool:
    """Whether the rows that were written are pairs of texts."""
    with files.open_input(path) as file:
        return b'"text_b": ' in file.readline()
