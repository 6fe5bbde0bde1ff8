# SPDX-License-Identifier: Apache-2.0
"""Predictions of a model for multiple choice as a file."""

from collections.abc import Sequence

import numpy as np

from jaxbert.predictions.glue import write_table


def write_choices(
    path: str, ids: Sequence[str], names: Sequence[Sequence[str]], probabilities: Sequence[np.ndarray]
) -> None:
    """A table: id, the name of the most probable choice, and the probability of each, empty where a question has fewer.

    Args:
        path: where to write.
        ids: what tells each question apart.
        names: of the choices of each question.
        probabilities: of the choices of each question, [C] each; of equal ones the first is predicted.
    """
    most = max(map(len, probabilities))
    rows = [
        [id_, of_choices[int(shares.argmax())], *(f"{share:.6f}" for share in shares), *[""] * (most - len(shares))]
        for id_, of_choices, shares in zip(ids, names, probabilities, strict=True)
    ]
    write_table(path, ["id", "prediction", *map(str, range(most))], rows)
