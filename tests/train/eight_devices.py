# SPDX-License-Identifier: Apache-2.0
"""Trains a tiny classifier with dropout on meshes of eight simulated devices; a program of its own, see test_sharding.

Prints JSON: for each mesh the losses, and how far first moments and logits are from those of one device.
"""

import json
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np

from jaxbert.batches.devices import device_mesh, row_parts, shard_rows, to_devices
from jaxbert.batches.loader import TrainingBatches
from jaxbert.batches.packing import choose_shape
from jaxbert.model.encoder import Compute, rounded
from jaxbert.model.heads import classify
from jaxbert.model.weights import Tree, flatten, initialize
from jaxbert.tasks.classification import label_targets
from jaxbert.train.optimizers import AdamW, LinearSchedule, decay_mask
from jaxbert.train.sharding import state_shardings, training_shardings, weight_shardings, with_gathered_weights
from jaxbert.train.step import CompiledSteps, initial_state, train_step
from tests.train.test_step import BATCH, CONFIG, FEATURES, LENGTHS, SIZE, TABLE, loss_of

STEPS = 3


def train(devices: int, fsdp: int, tensor: int) -> tuple[list[float], np.ndarray, np.ndarray]:
    """Losses, all first moments in one array, and the logits of the last batch."""
    mesh = device_mesh(jax.devices()[:devices], fsdp, tensor)
    shape = choose_shape(LENGTHS, BATCH, multiple=8, devices=row_parts(mesh))
    batches = TrainingBatches(
        lambda numbers: {name: array[numbers] for name, array in FEATURES.items()},
        *(SIZE, BATCH, 1, shape, 5),
        label_targets,
    )
    parts, whole = training_shardings(TABLE, mesh), weight_shardings(TABLE, mesh)
    compute = Compute(mesh=mesh)
    loss = with_gathered_weights(loss_of(CONFIG, compute), TABLE, mesh, parts, compute)
    steps = CompiledSteps(train_step(loss, AdamW(), LinearSchedule(1e-2, 0.0, 0, 10), decay_mask(TABLE), 5), str)
    state = initial_state(initialize(TABLE, 0, 0.2))
    state = to_devices(state, state_shardings(state, TABLE, mesh))
    losses = []
    for number in range(STEPS):
        state, metrics = steps(state, shard_rows(batches.at(number), mesh, 2))
        losses += np.asarray(metrics["loss"]).tolist()
    for tree in (state["weights"], *state["moments"].values()):
        assert_stored_in_parts(tree, parts)
    moments = np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(state["moments"]["m"])])
    batch = shard_rows({name: array[0, 0] for name, array in batches.at(STEPS).items()}, mesh, 0)
    compiled = jax.jit(jax.grad(loss)).lower(state["weights"], batch, None).compile()
    assert_stored_in_parts(compiled(state["weights"], batch, None), parts)  # not each gradient everywhere
    table = rf"\[(50|25),{CONFIG.hidden_size}\]"  # all columns of all words, or of half of them
    sent = re.findall(r"= (.*?) all-(?:gather|reduce)\(", compiled.as_text())
    assert not [shapes for shapes in sent if re.search(table, shapes)]  # but vectors of tokens
    logits = jax.jit(
        with_gathered_weights(lambda w, rows: classify(w, CONFIG, rows, compute=compute), TABLE, mesh, whole, compute)
    )(jax.device_put(state["weights"], whole), batch)
    examples = np.asarray(batch["examples"])
    order = np.argsort(examples[examples >= 0])
    return losses, moments, np.asarray(logits)[examples >= 0][order]


def assert_rounded_for_sending_only(fsdp: int, tensor: int) -> None:
    """In bfloat16 what products make of the weights is the same, and gradients are float32 as they were."""
    mesh, half = device_mesh(jax.devices(), fsdp, tensor), Compute(jnp.bfloat16)
    parts = training_shardings(TABLE, mesh)
    weights, factors = (initialize(TABLE, seed, 0.2) for seed in (0, 1))

    def seen(weights: Tree) -> tuple[jax.Array, Tree]:
        products = jax.tree.map(lambda weight, factor: (weight * factor).sum(), weights, factors)
        return jax.tree.reduce(jnp.add, products), weights

    gathered = with_gathered_weights(seen, TABLE, mesh, parts, half)
    gradients, found = jax.jit(jax.grad(gathered, has_aux=True))(to_devices(weights, parts))
    for path, weight in flatten(weights).items():
        assert (rounded(path, flatten(found)[path], half) == rounded(path, weight, half)).all(), path
        assert (flatten(gradients)[path] == flatten(factors)[path]).all(), path


def assert_stored_in_parts(tree: Tree, shardings: Tree) -> None:
    """Each device holds what the shardings give it of a tree like the weights."""
    places = flatten(shardings)
    for path, array in flatten(tree).items():
        assert array.sharding.is_equivalent_to(places[path], array.ndim), path


def main() -> None:
    """Compare each mesh `fsdp,tensor` on the command line with one device."""
    one_losses, one_moments, one_logits = train(1, 1, 1)
    found = {}
    for name in sys.argv[1:]:
        fsdp, tensor = map(int, name.split(","))
        assert_rounded_for_sending_only(fsdp, tensor)
        losses, moments, logits = train(8, fsdp, tensor)
        found[name] = {
            "losses": np.abs(np.subtract(losses, one_losses)).max().item(),
            "moments": (np.abs(moments - one_moments).max() / np.abs(one_moments).max()).item(),
            "logits": np.abs(logits - one_logits).max().item(),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
