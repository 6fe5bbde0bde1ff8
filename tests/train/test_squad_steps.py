# SPDX-License-Identifier: Apache-2.0
"""Training on SQuAD: micro-batches equal one batch, and the official trainer's trajectory is followed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxbert.batches.loader import TrainingBatches
from jaxbert.batches.packing import choose_shape, pack
from jaxbert.batches.rows import lay_out, lengths
from jaxbert.batches.targets import span_targets
from jaxbert.checkpoints.load import read_initial
from jaxbert.config import bert_config
from jaxbert.config.bert_config import BertConfig
from jaxbert.datasets.checks import Bounds
from jaxbert.datasets.squad import WindowRecords
from jaxbert.model.heads import answer_spans, within_windows
from jaxbert.model.weights import flatten, initialize, squad_table, unflatten
from jaxbert.tfrecord.metadata import SquadMetaData
from jaxbert.train.losses import span_loss
from jaxbert.train.optimizers import AdamW, LinearSchedule, decay_mask, global_norm
from jaxbert.train.step import initial_state, train_step, with_shares

CONFIG = BertConfig(
    vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=16, type_vocab_size=2, initializer_range=0.2,
)  # fmt: skip
SIZE, LENGTH, BATCH = 40, 16, 8


def loss_of(config):
    """The loss, as the command makes it."""

    def loss(weights, batch, noise):
        logits = answer_spans(weights, config, batch, noise=noise)
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
        shape = choose_shape(sizes, BATCH // micro_batches, seed=0, multiple=8)
        read = lambda numbers: {name: array[numbers] for name, array in features.items()}  # noqa: E731
        batches = TrainingBatches(read, SIZE, BATCH, micro_batches, shape, seed=5, targets=span_targets)
        start = initialize(table, 0, 0.2)
        state, metrics = step(initial_state(start, AdamW()), batches.at(0))
        states.append((metrics["loss"], flatten(state["moments"]["m"])))
        for path, weight in flatten(state["weights"]["bert"]["pooler"]).items():
            np.testing.assert_array_equal(weight, flatten(start["bert"]["pooler"])[path])
    np.testing.assert_allclose(states[0][0], states[1][0], rtol=1e-5)
    for path, moment in states[0][1].items():
        np.testing.assert_allclose(states[1][1][path], moment, atol=1e-5 * max(np.abs(moment).max(), 1e-3))


def padded_logits(p, config, features):
    """The official model on padded windows [n, S], written down plainly: logits [n, S, 2] of all positions."""
    e, heads = p["bert"]["embeddings"], config.num_attention_heads
    x = e["word_embeddings"][features["input_ids"]] + e["token_type_embeddings"][features["segment_ids"]]
    x = _normalized(e["LayerNorm"], x + e["position_embeddings"][None])
    bias = -10000.0 * (1.0 - features["input_mask"][:, None, None].astype(jnp.float32))
    for number in range(config.num_hidden_layers):
        layer = p["bert"]["encoder"][f"layer_{number}"]
        attention = layer["attention"]
        q, k, v = (
            _dense(attention["self"][name], x).reshape(*x.shape[:2], heads, -1) for name in ("query", "key", "value")
        )
        scores = jnp.einsum("nqad,nkad->naqk", q, k) / q.shape[-1] ** 0.5 + bias
        context = jnp.einsum("naqk,nkad->nqad", jax.nn.softmax(scores), v).reshape(x.shape)
        x = _normalized(attention["output"]["LayerNorm"], x + _dense(attention["output"]["dense"], context))
        inner = jax.nn.gelu(_dense(layer["intermediate"]["dense"], x), approximate=True)
        x = _normalized(layer["output"]["LayerNorm"], x + _dense(layer["output"]["dense"], inner))
    return x @ p["cls"]["squad"]["output_weights"].T + p["cls"]["squad"]["output_bias"][None, None]


def _dense(p, x):
    return x @ p["kernel"] + p["bias"][(None,) * (x.ndim - 1)]


def _normalized(p, x):
    centred = x - x.mean(-1, keepdims=True)
    scale = jnp.sqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-12)
    return centred / scale * p["gamma"][None, None] + p["beta"][None, None]


def plain_loss(logits, features, own):
    """Mean of both cross entropies over the windows, with the positions where `own` is true."""
    logits = jnp.where(own[:, :, None], logits, -jnp.inf)
    names = ("start_positions", "end_positions")
    at = jnp.stack([jnp.asarray(features[name]) for name in names], axis=-1)[:, None]
    return -jnp.take_along_axis(jax.nn.log_softmax(logits, axis=1), at, axis=1).mean()


def test_official_trajectory(shared):
    """Six steps of the official SQuAD trainer (dropout 0): losses, weights and moments agree within 1e-5.

    Two things are as there and not as here: the norm for clipping is the official one, and padding takes part in the
    softmax; see docs/official_differences.md. Our loss for the same weights is the plain one without padding.
    """
    official = shared / "official"
    config = bert_config.read(str(official / "inputs" / "bert_config.json"))
    config = dataclasses.replace(config, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    golden = np.load(official / "train" / "golden_train_2.3.npz")
    data = official / "data" / "official-2.3"
    meta = SquadMetaData.read(str(data / "squad_v2.0_meta_data"))
    length = meta.settings.max_seq_length
    bounds = Bounds(config.vocab_size, config.type_vocab_size, config.max_position_embeddings)
    records = WindowRecords([str(data / "squad_v2.0_train.tf_record")], length, bounds)
    table = squad_table(config)
    start = dict(read_initial(str(official / "tf1" / "plain")).weights)
    start = {path: start[path] for path in table if path in start}
    start |= {
        "cls/squad/output_weights": golden["head_init/qa_kernel"].T,
        "cls/squad/output_bias": golden["head_init/qa_bias"],
    }
    state, schedule, decays = initial_state(unflatten(start), AdamW()), LinearSchedule(2e-3, 0, 2, 6), decay_mask(table)

    def padded_loss(weights, features, own):
        positions = weights["bert"]["embeddings"]["position_embeddings"][:length]
        cut = {**weights["bert"]["embeddings"], "position_embeddings": positions}
        p = {**weights, "bert": {**weights["bert"], "embeddings": cut}}
        return plain_loss(padded_logits(p, config, features), features, own)

    gradients, ours = jax.jit(jax.value_and_grad(padded_loss)), jax.jit(loss_of(config), static_argnums=2)
    for number, loss in enumerate(golden["squad_adamw/loss"]):
        numbers = np.arange(4 * number, 4 * number + 4)
        features = records.read(numbers)
        features = {name: jnp.asarray(array, jnp.int32) for name, array in features.items()}
        value, gradient = gradients(state["weights"], features, jnp.ones((4, length), bool))
        np.testing.assert_allclose(value, loss, atol=1e-5)
        read = {name: np.asarray(array) for name, array in features.items()}
        rows = pack(lengths(read).tolist(), 80, 4)
        batch = with_shares(jax.tree.map(jnp.asarray, lay_out(read, numbers, rows, (4, 80, 4), span_targets)))
        without_padding, _ = gradients(state["weights"], features, features["input_mask"] != 0)
        np.testing.assert_allclose(ours(state["weights"], batch, None), without_padding, atol=1e-5)
        rate, step = schedule.rate(jnp.int32(number)), jnp.int32(number)
        official_clip = max(float(golden["squad_adamw/grad_global_norm"][number]), 1.0)
        optimizer = AdamW(clip_norm=float(global_norm(gradient)) / official_clip)
        update = optimizer.update(state["weights"], gradient, state["moments"], decays, rate, step)
        state = {"weights": update[0], "moments": update[1]}
    final = read_initial(str(official / "train" / "official-2.3_squad_adamw"), "squad").weights
    for path, weight in flatten(state["weights"]).items():
        np.testing.assert_allclose(weight, final[path], atol=1e-5, err_msg=path)
