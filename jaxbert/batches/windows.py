# SPDX-License-Identifier: Apache-2.0
"""Questions -> chunks of their windows, to be packed into rows."""

from collections.abc import Iterable, Iterator

import numpy as np

from jaxbert.batches.loader import Chunk
from jaxbert.features.squad import WindowedQuestion, window_arrays
from jaxbert.text.vocab import Vocab


def window_chunks(
    questions: Iterable[WindowedQuestion], vocab: Vocab, max_seq_length: int, size: int
) -> Iterator[Chunk]:
    """The windows of all questions, numbered from 0 on; a chunk ends with the question that brings it to `size`."""
    first, waiting, windows = 0, [], 0
    for asked in questions:
        waiting.append(asked)
        windows += len(asked.windows)
        if windows >= size:
            yield np.arange(first, first + windows), window_arrays(waiting, vocab, max_seq_length)
            first, waiting, windows = first + windows, [], 0
    if windows:
        yield np.arange(first, first + windows), window_arrays(waiting, vocab, max_seq_length)
