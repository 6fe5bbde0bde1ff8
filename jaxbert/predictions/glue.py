# SPDX-License-Identifier: Apache-2.0
"""Predictions of a classifier as files: `test_results.tsv`, a GLUE submission, and a table for people."""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from jaxbert.io import files

Array = npt.NDArray[np.floating]

GLUE_TASKS = ("AX", "COLA", "MNLI", "MRPC", "QNLI", "QQP", "RTE", "SST-2", "STS-B", "WNLI")


def submission_name(task: str, mnli_type: str = "matched") -> str:
    """The file name by which the GLUE server knows `task`; "" for a task that it does not know.

    MNLI has two test sets, `matched` and `mismatched`.
    """
    if task.upper() not in GLUE_TASKS:
        return ""
    names = {"COLA": "CoLA", "MNLI": "MNLI-m" if mnli_type == "matched" else "MNLI-mm"}
    return f"{names.get(task.upper(), task.upper())}.tsv"


def write_test_results(path: str, outputs: Array) -> None:
    """The file of the TensorFlow `run_classifier`: for each example a line of probabilities between tabs, no header.

    Args:
        path: where to write.
        outputs: [N, C] probabilities in float32, or [N] raw values of a regression. Each is written as the shortest
            text of the float32 value in double precision, as the original does.
    """
    rows = outputs.astype(np.float32).reshape(len(outputs), -1).tolist()
    files.write_text(path, "".join("\t".join(map(str, row)) + "\n" for row in rows))


def write_submission(path: str, ids: Sequence[object], labels: Sequence[str], outputs: Array) -> None:
    """A file for the GLUE server: header, then index and predicted label (a number from 0 to 5 for STS-B).

    Args:
        path: where to write; see `submission_name`.
        ids: [N] the index of each example, counted from 0 in the test file.
        labels: [C] label names in the order of the classes; empty for regression.
        outputs: [N, C] probabilities or logits, or [N] numbers for regression.
    """
    names = _names(labels, outputs) if outputs.ndim == 2 else [f"{number:.3f}" for number in np.clip(outputs, 0, 5)]
    write_table(path, ["index", "prediction"], zip(ids, names, strict=True))


def write_predictions(
    path: str, ids: Sequence[object], labels: Sequence[str], outputs: Array, thresholds: Array | None = None
) -> None:
    """A table for people: id, predicted label and the probability of each label; id and number for regression.

    Args:
        path: where to write.
        ids: [N] what names each example.
        labels: [C] label names in the order of the classes; empty for regression.
        outputs: [N, C] probabilities, or [N] numbers for regression.
        thresholds: [C]; then the label is all that reach theirs, with `|` between them.
    """
    if outputs.ndim == 1:
        write_table(path, ["id", "prediction"], zip(ids, (f"{number:.6f}" for number in outputs), strict=True))
        return
    names = _names(labels, outputs)
    if thresholds is not None:
        names = ["|".join(itertools.compress(labels, row)) for row in outputs >= thresholds]
    shares = ([f"{share:.6f}" for share in row] for row in outputs)
    rows = ((id_, name, *row) for id_, name, row in zip(ids, names, shares, strict=True))
    write_table(path, ["id", "prediction", *labels], rows)


def _names(labels: Sequence[str], outputs: Array) -> list[str]:
    """The name of the most probable class of each example; the first one wins a tie."""
    if outputs.shape[1] != len(labels):
        raise ValueError(f"{len(labels)} labels do not fit outputs {outputs.shape}")
    return [labels[index] for index in outputs.argmax(-1)]


def write_table(path: str, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Lines of cells between tabs; white space in a cell becomes one blank."""
    lines = ("\t".join(" ".join(str(cell).split()) for cell in row) for row in (header, *rows))
    files.write_text(path, "".join(line + "\n" for line in lines))
