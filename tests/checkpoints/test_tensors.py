# SPDX-License-Identifier: Apache-2.0
"""Arrays of any layout in memory come out of our safetensors files as they went in."""

from pathlib import Path

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from jaxbert.checkpoints.tensors import checksum, write_tensors
from tests.test_architecture import FILES


@given(data=st.data(), shape=st.lists(st.integers(0, 4), max_size=4))
def test_any_layout_comes_back(data: st.DataObject, shape: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Axes in any order in memory, turned round, with gaps: values, shape and checksum are the same."""
    dtype = data.draw(st.sampled_from(["float32", "int32", "uint8", ml_dtypes.bfloat16]))
    steps = data.draw(st.lists(st.sampled_from([1, 2, -1]), min_size=len(shape), max_size=len(shape)))
    axes = data.draw(st.permutations(range(len(shape))))
    memory: npt.NDArray[np.generic] = np.random.default_rng(0).integers(0, 100, [2 * size for size in shape])
    laid = memory.astype(dtype)[tuple(slice(None, None, step) for step in steps)].transpose(axes)
    path = tmp_path_factory.mktemp("tensors") / "one.safetensors"
    write_tensors(str(path), {"laid": laid})
    found = load_file(path)["laid"]
    assert (found.shape, found.dtype) == (laid.shape, laid.dtype)
    np.testing.assert_array_equal(found, laid)
    assert checksum(found) == checksum(laid)


def test_a_checksum_tells_values_in_another_order() -> None:
    """What safetensors makes of an array in Fortran order has another checksum than the array."""
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    scrambled = array.ravel(order="K").reshape(2, 3)
    assert checksum(array) != checksum(scrambled)


def test_nobody_else_writes_safetensors() -> None:
    """Only one file of the package names the library's functions for writing."""
    writers = [path for path in FILES if "safetensors" in (text := path.read_text()) and "import save" in text]
    assert [path.name for path in writers] == ["tensors.py"]


def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stood there stays where writing fails."""
    path = tmp_path / "model.safetensors"
    write_tensors(str(path), {"one": np.ones(3)})
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jaxbert.checkpoints.tensors.save_file", fail)
    with pytest.raises(OSError, match="No space"):
        write_tensors(str(path), {"one": np.zeros(3)})
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before
