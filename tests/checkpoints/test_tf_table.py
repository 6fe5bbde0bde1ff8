# SPDX-License-Identifier: Apache-2.0
"""The sorted string table."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.checkpoints.tf_table import read_table, write_table, write_varint
from jaxbert.errors import InputError
from jaxbert.tfrecord.files import masked_crc

_ENTRIES = {b"": b"header", **{f"bert/encoder/layer_{n}/kernel".encode(): bytes([n]) * (n % 7) for n in range(3)}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for tables."""
    return tmp_path_factory.mktemp("tables")


def _file_of(blocks: list[bytes], index: bytes, compression: int = 0) -> bytes:
    """A table of these data blocks, whatever they hold, with right checksums; `index` may use their handles."""
    content, handles = b"", []
    for block in (*blocks, bytes(4), index):
        handles.append(write_varint(len(content)) + write_varint(len(block)))
        content += block + bytes([compression])
        content += masked_crc(block + bytes([compression])).to_bytes(4, "little")
    return content + (handles[-2] + handles[-1]).ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")


def _entry(shared: int, key: bytes, value: bytes) -> bytes:
    return write_varint(shared) + write_varint(len(key)) + write_varint(len(value)) + key + value


def test_the_checksum_is_tensorflows() -> None:
    """CRC-32C of the standard check string is 0xE3069283, masked as in TensorFlow's crc32c.h."""
    rotated = (0xE3069283 >> 15 | 0xE3069283 << 17) & 0xFFFFFFFF
    assert masked_crc(b"123456789") == (rotated + 0xA282EAD8) % (1 << 32)


@given(entries=st.dictionaries(st.binary(max_size=12), st.binary(max_size=300), max_size=60))
def test_what_is_written_is_read(entries: dict[bytes, bytes], folder: Path) -> None:
    """Keys and values survive, in order of the keys, over one block and several."""
    path = str(folder / "round_trip")
    write_table(path, entries)
    assert list(read_table(path).items()) == sorted(entries.items())


def test_every_damaged_byte_is_noticed(folder: Path) -> None:
    """No single changed byte of the file goes unnoticed, and none gives another error than an InputError."""
    path = folder / "damaged"
    write_table(str(path), _ENTRIES)
    content = path.read_bytes()
    assert read_table(str(path)) == dict(sorted(_ENTRIES.items()))
    for place in range(len(content)):
        for flip in (0x01, 0x80, 0xFF):
            path.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
            with pytest.raises(InputError, match=r"not a whole index"):
                read_table(str(path))


def test_every_cut_is_noticed(folder: Path) -> None:
    """A file that ends early, at any byte, is refused."""
    path = folder / "cut"
    write_table(str(path), _ENTRIES)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"not a whole index"):
            read_table(str(path))


_NO_RESTARTS = bytes(4)


@pytest.mark.parametrize(
    ("blocks", "index", "problem"),
    [
        ([_entry(1, b"a", b"") + _NO_RESTARTS], b"", "reaches past its block"),
        ([_entry(0, b"b", b"") + _entry(0, b"a", b"") + _NO_RESTARTS], b"", "out of order"),
        ([_entry(0, b"a", b"") + _entry(1, b"", b"") + _NO_RESTARTS], b"", "out of order"),
        ([b"\xff\xff\xff\xff"], b"", "more restarts than bytes"),
        ([b"\x01"], b"", "more restarts than bytes"),
        ([], _entry(0, b"a", write_varint(1 << 60) + b"\x01") + _NO_RESTARTS, "reaches past the end"),
        ([], _entry(0, b"a", b"\x80") + _NO_RESTARTS, "is cut or damaged"),
        (
            [_entry(0, b"k" * 9000, b"") + b"".join(_entry(9000 + n, b"k", b"") for n in range(2000)) + _NO_RESTARTS],
            b"",
            "more than 64 times the file",
        ),
    ],
)
def test_hostile_tables_are_refused(blocks: list[bytes], index: bytes, problem: str, folder: Path) -> None:
    """Right checksums do not help a table whose numbers make no sense or whose keys would fill the memory."""
    handles = _entry(0, b"z", write_varint(0) + write_varint(len(blocks[0]))) + _NO_RESTARTS if blocks else index
    path = folder / "hostile"
    path.write_bytes(_file_of(blocks, handles))
    with pytest.raises(InputError, match=problem):
        read_table(str(path))


def test_an_unknown_compression_is_named(folder: Path) -> None:
    """A block compressed in another way than Snappy is refused with its place."""
    path = folder / "compressed"
    path.write_bytes(_file_of([], _NO_RESTARTS, compression=4))
    with pytest.raises(InputError, match=r"block at byte 0 is compressed in the unknown way 4"):
        read_table(str(path))


@pytest.mark.parametrize("content", [b"", b"TFRecord", bytes(48), b"x" * 1000])
def test_other_files_are_refused(content: bytes, folder: Path) -> None:
    """A file without the footer of a table is no table."""
    path = folder / "other"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not the footer of a table"):
        read_table(str(path))
