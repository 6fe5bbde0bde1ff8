# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files: what is written is read, any damage is noticed, and what users write leads to a prefix."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jaxbert.checkpoints.tf_bundle import Bundle, BundleEntry, BundleHeader, find_prefix, open_bundle, write_bundle
from jaxbert.checkpoints.tf_table import read_table, write_table
from jaxbert.errors import InputError

_DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16, np.int32, np.int64, np.uint8, np.bool_]
_SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
_BITS = st.binary(min_size=8 * 64, max_size=8 * 64)
_TENSORS = {
    "a/string": np.array([b"", b"one", b"x" * 20], dtype=object),
    "a/word": np.arange(6, dtype=np.float32).reshape(2, 3),
    "global_step": np.array(20, dtype=np.int64),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for checkpoints."""
    return tmp_path_factory.mktemp("bundles")


def _read_all(bundle: Bundle) -> dict[str, np.ndarray]:
    return {key: bundle.read(key) for key in bundle.entries}


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether type, shape and all bits agree (NaNs too)."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return one.tolist() == other.tolist() if one.dtype == object else one.tobytes() == other.tobytes()


@st.composite
def _tensor(draw: st.DrawFn) -> np.ndarray:
    """A tensor of any supported type and shape, holding any bits (NaNs and subnormal numbers included)."""
    shape, dtype = draw(_SHAPES), draw(st.sampled_from([*_DTYPES, object]))
    size = int(np.prod(shape))
    if dtype is object:
        strings = draw(st.lists(st.binary(max_size=140), min_size=size, max_size=size))
        tensor = np.empty(size, dtype=object)
        tensor[:] = strings
        return tensor.reshape(shape)
    if dtype is np.bool_:
        return draw(arrays.arrays(np.bool_, shape))
    return np.frombuffer(draw(_BITS), dtype=dtype)[:size].reshape(shape)


@settings(max_examples=25)
@given(st.dictionaries(st.text(min_size=1, max_size=20), _tensor(), max_size=4), st.integers(1, 3))
def test_what_is_written_is_read(folder: Path, tensors: dict[str, np.ndarray], num_shards: int) -> None:
    """Names, types, shapes and bits survive, from any number of shards."""
    prefix = str(folder / "round_trip")
    write_bundle(prefix, tensors, num_shards)
    read = _read_all(open_bundle(prefix))
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert _same(read[name], tensor), name


def test_tensors_in_other_memory_orders_are_written_right(folder: Path) -> None:
    """Transposed and big-endian arrays are stored in row order, little-endian."""
    tensor = np.arange(6, dtype=">f4").reshape(2, 3).T
    write_bundle(str(folder / "order"), {"w": tensor})
    read = open_bundle(str(folder / "order")).read("w")
    np.testing.assert_array_equal(read, tensor)
    assert read.dtype == np.dtype("<f4")


@pytest.mark.parametrize("ending", ["index", "data-00000-of-00001"])
def test_every_damaged_byte_is_noticed(ending: str, folder: Path) -> None:
    """No single changed byte of a checkpoint goes unnoticed, and none gives another error than an InputError."""
    prefix = str(folder / "damaged")
    write_bundle(prefix, _TENSORS)
    path = Path(f"{prefix}.{ending}")
    content = path.read_bytes()
    for index in range(len(content)):
        for flip in (0x01, 0x80):
            path.write_bytes(content[:index] + bytes([content[index] ^ flip]) + content[index + 1 :])
            with pytest.raises(InputError, match=r"damaged"):
                _read_all(open_bundle(prefix))


@pytest.mark.parametrize("ending", ["index", "data-00000-of-00001"])
def test_every_cut_is_noticed(ending: str, folder: Path) -> None:
    """A checkpoint that lacks its end is refused, even if the wanted tensor is whole."""
    prefix = str(folder / "cut")
    write_bundle(prefix, _TENSORS)
    path = Path(f"{prefix}.{ending}")
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"is cut: it has \d+ bytes|is not a whole index"):
            open_bundle(prefix).read("a/string")


def test_a_missing_shard_is_named(folder: Path) -> None:
    """Of several data files each is needed, once a tensor in it is wanted."""
    prefix = str(folder / "missing")
    write_bundle(prefix, _TENSORS, num_shards=2)
    Path(f"{prefix}.data-00001-of-00002").unlink()
    bundle = open_bundle(prefix)
    np.testing.assert_array_equal(bundle.read("a/string"), _TENSORS["a/string"])
    with pytest.raises(InputError, match=r"missing.data-00001-of-00002`: No such file"):
        bundle.read("a/word")


def _rewrite_index(prefix: str, header: dict[str, object], entry: dict[str, object]) -> None:
    """Change fields of the header and of the entry `w` in the index, with right checksums."""
    table = read_table(f"{prefix}.index")
    for key, kind, fields in ((b"", BundleHeader, header), (b"w", BundleEntry, entry)):
        message = kind.FromString(table[key])
        for name in fields:
            message.ClearField(name)
        message.MergeFrom(kind(**fields))
        table[key] = message.SerializeToString()
    write_table(f"{prefix}.index", table)


@pytest.mark.parametrize(
    ("header", "entry", "problem"),
    [
        ({"endianness": 1}, {}, "big-endian"),
        ({"num_shards": 0}, {}, "no header with a number of data shards"),
        ({}, {"slices": [b""]}, "tensor b'w' is saved in 1 parts"),
        ({}, {"shard_id": 1}, "data shard 1 of 1"),
        ({}, {"offset": -4}, "offset -4"),
        ({}, {"size": -8}, "size -8"),
        ({}, {"shape": {"dim": [{"size": -1}]}}, r"shape \[-1\]"),
        ({}, {"shape": {"unknown_rank": True}}, "has shape"),
        ({}, {"dtype": 21}, "type 21 of TensorFlow's types.proto is not supported"),
        ({}, {"dtype": 2}, r"shape \[2\] of float64 does not fill its 8 bytes"),
        ({}, {"shape": {"dim": [{"size": 1 << 62}]}}, "does not fill"),
        ({}, {"shape": {"dim": [{"size": 2}] + [{"size": 1}] * 70}}, "cannot be read: maximum supported dimension"),
        ({}, {"dtype": 7}, "the lengths of its strings do not add up"),
        ({}, {"dtype": 7, "shape": {"dim": [{"size": 1 << 62}]}}, "strings do not fit into 8 bytes"),
        ({}, {"size": 1 << 60}, "is cut: it has 8 bytes, its index describes 1152921504606846976"),
        ({}, {"crc32c": 1}, "wrong checksum of its 8 bytes from byte 0 of data shard 0"),
    ],
)
def test_hostile_entries_are_refused(header: dict, entry: dict, problem: str, folder: Path) -> None:
    """Numbers that make no sense, or would fill the memory, end in one message that names file and tensor."""
    prefix = str(folder / "hostile")
    write_bundle(prefix, {"w": np.array([0.5, 0.5], dtype=np.float32)})
    _rewrite_index(prefix, header, entry)
    with pytest.raises(InputError, match=problem) as caught:
        open_bundle(prefix).read("w")
    assert prefix in caught.value.message
    assert caught.value.hint


def test_an_index_without_messages_is_refused(folder: Path) -> None:
    """A sorted string table of something else is no checkpoint."""
    write_table(str(folder / "table.index"), {b"": b"\xff\xff", b"w": b"\xff"})
    with pytest.raises(InputError, match="not an index of a TensorFlow checkpoint"):
        open_bundle(str(folder / "table"))


def test_reading_takes_no_copy(folder: Path) -> None:
    """Tensors are read-only views of the mapped file, even where the file does not align them."""
    prefix = str(folder / "view")
    write_bundle(prefix, {"a": np.array(b"even", dtype=object), "w": np.ones(5, dtype=np.float32)})
    read = open_bundle(prefix).read("w")
    assert not read.flags.owndata
    assert not read.flags.writeable
    assert not read.flags.aligned


def test_official_indexes_are_read(shared: Path) -> None:
    """The indexes of two real checkpoints, one of them compressed, list exactly the known tensors."""
    for folder in sorted((shared / "data/checkpoints").glob("index_*")):
        lines = (folder / "KEYS_generated.tsv").read_text().splitlines()
        known = {key: (shape, int(offset), int(size)) for key, _, shape, offset, size in map(str.split, _joined(lines))}
        entries = open_bundle(str(folder)).entries
        found = {
            key: (str(list(entry.shape)).replace(" ", ""), entry.offset, entry.size) for key, entry in entries.items()
        }
        assert found == known


def _joined(lines: list[str]) -> list[str]:
    return [line.replace(", ", ",") for line in lines]


def test_official_checkpoints_are_written_back(shared: Path, folder: Path) -> None:
    """All tensors of all official files survive; of name-based ones even the data file is the same, byte for byte."""
    paths = sorted((shared / "official").rglob("*.index"))
    assert paths
    prefix = str(folder / "again")
    for path in paths:
        tensors = _read_all(open_bundle(str(path)))
        write_bundle(prefix, tensors)
        again = _read_all(open_bundle(prefix))
        assert again.keys() == tensors.keys()
        assert all(_same(again[name], tensors[name]) for name in tensors), path
        if "tf1" in path.parts:
            ending = ".data-00000-of-00001"
            assert Path(prefix + ending).read_bytes() == path.with_suffix(ending).read_bytes()


@pytest.mark.interop
@pytest.mark.parametrize("num_shards", [1, 3])
def test_tensorflow_reads_what_is_written(num_shards: int, folder: Path) -> None:
    """TensorFlow's own reader gives back every tensor that we wrote, of every type."""
    tensorflow = pytest.importorskip("tensorflow")
    tensors = {f"layer_{n}/{np.dtype(kind).name}": np.ones((n, 3), kind) for n in range(3) for kind in _DTYPES}
    tensors |= _TENSORS
    prefix = str(folder / f"interop{num_shards}")
    write_bundle(prefix, tensors, num_shards)
    reader = tensorflow.train.load_checkpoint(prefix)
    assert reader.get_variable_to_shape_map().keys() == tensors.keys()
    for name, tensor in tensors.items():
        read = np.asarray(reader.get_tensor(name))
        assert (read.shape, read.tolist()) == (tensor.shape, tensor.tolist()), name


@pytest.mark.interop
def test_blocks_are_those_of_tensorflow(folder: Path) -> None:
    """Of an index of several blocks, all but the handles at its end is what TensorFlow writes, byte for byte."""
    tensorflow = pytest.importorskip("tensorflow")
    tensors = {f"bert/encoder/layer_{n}/attention/kernel": np.full((2, 3), n, np.float32) for n in range(20_000)}
    ours, theirs = (str(folder / name) for name in ("blocks", "blocks_of_tensorflow"))
    write_bundle(ours, tensors)
    names = sorted(tensors)
    values = [tensorflow.constant(tensors[name]) for name in names]
    tensorflow.raw_ops.SaveV2(prefix=theirs, tensor_names=names, shape_and_slices=[""] * len(names), tensors=values)
    one, other = (Path(f"{prefix}.index").read_bytes() for prefix in (ours, theirs))
    assert len(one) > 3 << 18
    data = (len(one) >> 18) << 18
    assert one[:data] == other[:data]


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize("ending", ["", ".index", ".meta", ".data-00000-of-00001", ".data-00001-of-00012"])
def test_prefix_and_every_file_of_a_checkpoint_name_it(ending: str, tmp_path: Path) -> None:
    """All spellings lead to the same prefix."""
    _touch(tmp_path, "bert_model.ckpt.index", "bert_model.ckpt-1.index")
    assert find_prefix(f"{tmp_path}/bert_model.ckpt{ending}") == f"{tmp_path}/bert_model.ckpt"


def test_a_missing_number_is_supplied_if_there_is_only_one(tmp_path: Path) -> None:
    """`bert_model.ckpt` stands for `bert_model.ckpt-1`; with two numbers the user must choose."""
    _touch(tmp_path, "bert_model.ckpt-1.index", "other-1.index")
    assert find_prefix(f"{tmp_path}/bert_model.ckpt") == f"{tmp_path}/bert_model.ckpt-1"
    _touch(tmp_path, "bert_model.ckpt-2.index")
    with pytest.raises(InputError, match=r"bert_model.ckpt.index`\nhint: give one of these: `.*ckpt-1`, `.*ckpt-2`$"):
        find_prefix(f"{tmp_path}/bert_model.ckpt")


def test_a_missing_checkpoint_is_answered_with_those_that_are_there(tmp_path: Path) -> None:
    """The hint lists the checkpoints of the folder, at most eight, or says that there is none."""
    with pytest.raises(InputError, match=r"holds no `\.index` file"):
        find_prefix(f"{tmp_path}/a[b]")
    _touch(tmp_path, *(f"c{number}.index" for number in range(10)))
    with pytest.raises(InputError, match=r"`.*/c7` \(and 2 more\)"):
        find_prefix(f"{tmp_path}/model.ckpt")


def test_a_folder_stands_for_its_only_checkpoint(tmp_path: Path) -> None:
    """Without a state file one checkpoint is taken, none or several are an error; names are no patterns."""
    tmp_path = tmp_path / "run[1]"
    tmp_path.mkdir()
    with pytest.raises(InputError, match="holds no checkpoint"):
        find_prefix(str(tmp_path))
    _touch(tmp_path, "a[1].index")
    assert find_prefix(str(tmp_path)) == f"{tmp_path}/a[1]"
    _touch(tmp_path, "b.index")
    with pytest.raises(InputError, match="holds 2 checkpoints"):
        find_prefix(str(tmp_path))


@pytest.mark.parametrize("named", ["ckpt-2", "/elsewhere/run/ckpt-2", "../../ckpt-2", r"ckpt\-2"])
def test_the_state_file_names_the_newest_always_in_its_folder(named: str, tmp_path: Path) -> None:
    """Absolute and climbing paths mean the checkpoint of that name beside the state file."""
    _touch(tmp_path, "ckpt-1.index", "ckpt-2.index")
    lines = [f'model_checkpoint_path: "{named}"', 'all_model_checkpoint_paths: "ckpt-1"']
    (tmp_path / "checkpoint").write_text("\n".join(reversed(lines)))
    assert find_prefix(str(tmp_path)) == f"{tmp_path}/ckpt-2"


@pytest.mark.parametrize(
    ("state", "problem"), [('model_checkpoint_path: "gone"', "names `gone`, but"), ("nonsense", "has no line")]
)
def test_a_stale_or_damaged_state_file_is_refused(state: str, problem: str, tmp_path: Path) -> None:
    """Another checkpoint is never taken silently in index of the newest."""
    _touch(tmp_path, "ckpt-1.index")
    (tmp_path / "checkpoint").write_text(state)
    with pytest.raises(InputError, match=rf"{problem}[^\n]*\nhint: give one of these: `.*/ckpt-1`"):
        find_prefix(str(tmp_path))
