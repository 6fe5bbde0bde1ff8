# SPDX-License-Identifier: Apache-2.0
"""Training on SQuAD: micro-batches equal one batch."""

import jax
import numpy as np

from jaxbert.batches.loader import TrainingBatches
from jaxbert.batches.packing import choose_shape
from jaxbert.config.bert_config import BertConfig
from jaxbert.model.heads import answer_spans, within_windows
from jaxbert.model.weights import flatten, initialize, squad_table
from jaxbert.tasks.spans import span_targets
from jaxbert.train.losses import span_loss
from jaxbert.train.optimizers import AdamW, LinearSchedule, decay_mask
from jaxbert.train.step import initial_state, train_step

CONFIG = BertConfig(
    vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=16, type_vocab_size=2, initializer_range=0.2,
)  # fmt: skip
SIZE, LENGTH, BATCH = 40, 16, 8


def loss_of(config):
    """The loss, as the command makes it."""

    def loss(weights, batch, dropout_bits):
        logits = answer_spans(weights, config, batch, dropout_bits=dropout_bits)
        positions = (batch["start_positions"], batch["end_positions"])
        return span_loss(within_windows(logits, batch), *positions, batch["answer_weights"])

    return loss


def test_micro_batches_equal_one_batch():
    """Four micro-batches give the step of the whole batch, dropout included; the idle pooler does not change."""
    generator = np.random.default_rng(1)
    sizes = generator.integers(4, LENGTH + 1, SIZE)
    starts = generator.integers(0, sizes - 2)
    features = {
        "input_ids": generator.integers(0, 50, (SIZE, LENGTH)),
        "input_mask": (np.arange(LENGTH)[None] < sizes[:, None]).astype(np.int64),
        "segment_ids": generator.integers(0, 2, (SIZE, LENGTH)),
        "start_positions": starts,
        "end_positions": starts + 1,
    }
    table, states = squad_table(CONFIG), []
    step = jax.jit(train_step(loss_of(CONFIG), AdamW(), LinearSchedule(1e-2, 0.0, 0, 10), decay_mask(table), seed=5))
    for micro_batches in (1, 4):
        shape = choose_shape(sizes, BATCH // micro_batches, multiple=8)
        read = lambda numbers: {name: array[numbers] for name, array in features.items()}  # noqa: E731
        batches = TrainingBatches(read, SIZE, BATCH, micro_batches, shape, seed=5, targets=span_targets)
        start = initialize(table, 0, 0.2)
        state, metrics = step(initial_state(start), batches.at(0))
        states.append((metrics["loss"], flatten(state["moments"]["m"])))
        for path, weight in flatten(state["weights"]["bert"]["pooler"]).items():
            np.testing.assert_array_equal(weight, flatten(start["bert"]["pooler"])[path])
    np.testing.assert_allclose(states[0][0], states[1][0], rtol=1e-5)
    for path, moment in states[0][1].items():
        np.testing.assert_allclose(states[1][1][path], moment, atol=1e-5 * max(np.abs(moment).max(), 1e-3))
