# SPDX-License-Identifier: Apache-2.0
"""Labels of data and the classes of a model."""

import pytest

from jaxbert.examples.class_names import spellings


@pytest.mark.parametrize(
    ("names", "labels", "found"),
    [
        ("a b c", "b a", ""),
        ("Not-A b", "b not_a", "b Not-A"),
        ("LABEL_0 LABEL_1 LABEL_2", "2 0", "LABEL_2 LABEL_0"),
        ("0 1 2", "LABEL_2 LABEL_0", "2 0"),
        ("LABEL_0 LABEL_1", "yes no", "LABEL_0 LABEL_1"),
        ("bad good", "1 0", "good bad"),
        ("bad fair good", "1 0", ""),
        ("bad good", "2 1", ""),
        ("LABEL_0 LABEL_1", "1 2", "LABEL_0 LABEL_1"),
        ("0 1", "-1", ""),
        ("0 1", "1 2", ""),
        ("1 2 3", "0 1 2", ""),
        ("LABEL_0 LABEL_1 LABEL_2", "3 1", ""),
        ("bad good", "Good good", ""),
        ("bad Bad", "BAD bad", ""),
        ("bad good", "bad other", ""),
        ("bad good", "", ""),
    ],
)
def test_labels_are_found_among_classes(names: str, labels: str, found: str) -> None:
    """By name, letter case and marks apart, or by number where it is sure that numbers are meant; else not at all."""
    expected = dict(zip(labels.split(), found.split(), strict=bool(found)))
    assert spellings(names.split(), labels.split()) == expected
