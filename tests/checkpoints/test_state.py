# SPDX-License-Identifier: Apache-2.0
"""Training states in remote folders: they come back as they were, the newest are kept, damage is named."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbert.checkpoints.model_folder import saved_steps
from jaxbert.checkpoints.state import RemoteStates
from jaxbert.errors import InputError
from jaxbert.io import files


def state_of(step: int) -> dict[str, Any]:
    """A tree like that of a training state, with an empty branch and a scalar."""
    weights = {"layer/kernel": jnp.arange(6.0).reshape(2, 3) + step, "bias": jnp.ones(3)}
    return {"weights": weights, "step": jnp.int32(step), "loss_scale": {}}


def like(state: Any) -> Any:
    """Shapes, dtypes and shardings of a state."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), state)


def test_states_come_back_and_the_newest_are_kept() -> None:
    """Of four saves, two are there; the newest is found by another process's view of the folder, and is the same."""
    states = RemoteStates("memory://states/kept", keep=2)
    assert states.latest_step() is None
    for step in (2, 4, 4, 6, 10):
        states.save(step, state_of(step))
    states.close()
    assert saved_steps("memory://states/kept") == [6, 10]
    found = RemoteStates("memory://states/kept", keep=2)
    assert found.latest_step() == 10
    expected = state_of(10)
    restored = found.restore(10, like(expected))
    assert jax.tree.structure(restored) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, restored, expected)
    found.close()


def test_the_layout_of_a_device_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays that come from the device with their axes in another order in memory are the same when they come back."""
    monkeypatch.setattr("jaxbert.checkpoints.state.replicate", lambda leaf: np.asarray(leaf, order="F"))
    expected = state_of(1) | {"deep": {"kernel": jnp.arange(24.0).reshape(2, 3, 4)}}
    states = RemoteStates("memory://states/layout", keep=1)
    states.save(1, expected)
    states.wait()
    restored = states.restore(1, like(expected))
    jax.tree.map(np.testing.assert_array_equal, restored, expected)
    states.close()


def test_a_later_change_is_not_saved() -> None:
    """What is saved is the state of that moment, though it is sent later and its memory is used again."""
    states = RemoteStates("memory://states/moment", keep=1)
    state = state_of(1)
    expected = jax.tree.map(np.array, state)
    states.save(1, state)
    advance = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree), donate_argnums=0)
    abstract = like(state)
    advance(state)
    states.wait()
    jax.tree.map(np.testing.assert_array_equal, states.restore(1, abstract), expected)
    states.close()


@pytest.mark.parametrize("damage", ["cut", "other shape", "other names", "other values"])
def test_a_state_that_does_not_fit_is_named(damage: str) -> None:
    """A cut file, one of another model, and one with other values than were saved end in a message with the path."""
    folder = f"memory://states/{damage.replace(' ', '_')}"
    states = RemoteStates(folder, keep=1)
    states.save(1, state_of(1))
    states.close()
    path = f"{folder}/1.safetensors"
    wanted = state_of(1)
    if damage in ("cut", "other values"):
        content = files.read_bytes(path)
        with files.whole_file(path) as file:
            file.write(content[: len(content) // 2] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "other shape":
        wanted["weights"]["bias"] = jnp.ones(4)
    else:
        wanted["weights"]["head"] = jnp.ones(4)
    with pytest.raises(InputError, match=f"the training state `{path}` cannot be restored"):
        states.restore(1, like(wanted))


def test_a_state_that_cannot_be_sent_is_said_at_the_next_save() -> None:
    """And nothing of it is there."""
    states = RemoteStates("memory://states/failing", keep=1)

    def fail(*_: object) -> None:
        raise OSError("the storage is gone")

    states._send = fail  # type: ignore[method-assign]
    states.save(1, state_of(1))
    with pytest.raises(OSError, match="the storage is gone"):
        states.save(2, state_of(2))
    states.close()
    assert saved_steps("memory://states/failing") == []
