# SPDX-License-Identifier: Apache-2.0
"""The sorted table of keys and values, its numbers and its compression."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbert.checkpoints.tf_table import decompress, read_table, read_varint, write_table
from jaxbert.errors import InputError
from jaxbert.io.protobuf import write_varint
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


@pytest.mark.parametrize(("count", "blocks"), [(80, 1), (255, 1), (265, 2), (600, 3)])
def test_blocks_are_of_256_kib(count: int, blocks: int, folder: Path) -> None:
    """A new block begins only where one has that many bytes as stored: what keys share does not count."""
    path = folder / "blocks"
    entries = {b"shared/" * 20 + b"%06d" % n: bytes(1000) for n in range(count)}
    write_table(str(path), entries)
    content = path.read_bytes()
    _, end = read_varint(content[-48:], 0)
    offset, end = read_varint(content[-48:], read_varint(content[-48:], end)[1])
    length, _ = read_varint(content[-48:], end)
    index = content[offset : offset + length]
    assert int.from_bytes(index[-4:], "little") == blocks  # each entry of the index is stored in full
    assert read_table(str(path)) == entries


def test_a_block_is_laid_out_as_documented(folder: Path) -> None:
    """The bytes of the example at the top of the module: shared prefixes, then the keys in full and their number."""
    path = folder / "example"
    write_table(str(path), {b"a/kernel": b"X", b"a/keys": b"YZ", b"b/bias": b""})
    entries = b"\x00\x08\x01a/kernelX" + b"\x04\x02\x02ysYZ" + b"\x00\x06\x00b/bias"
    assert path.read_bytes().startswith(entries + bytes(4) + b"\x01\x00\x00\x00" + b"\x00")


def test_every_damaged_byte_is_noticed(folder: Path) -> None:
    """No single changed byte of the file goes unnoticed, and none gives another error than an InputError."""
    path = folder / "damaged"
    write_table(str(path), _ENTRIES)
    content = path.read_bytes()
    assert read_table(str(path)) == dict(sorted(_ENTRIES.items()))
    for index in range(len(content)):
        for flip in (0x01, 0x80, 0xFF):
            path.write_bytes(content[:index] + bytes([content[index] ^ flip]) + content[index + 1 :])
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
    """A block compressed in another way than Snappy is refused with its offset."""
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


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
def test_a_number_is_read_back_and_where_it_ends(number: int, before: bytes) -> None:
    """Writing then reading gives the same number, wherever it stands."""
    written = write_varint(number)
    assert read_varint(before + written + b"\xff", len(before)) == (number, len(before) + len(written))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80" * 10 + b"\x01", b"\x85\x00"])
def test_a_cut_endless_or_padded_number_is_refused(data: bytes) -> None:
    """A number without its last digit, with more digits than 64 bits need, or with idle ones, is an error."""
    with pytest.raises(ValueError, match="at byte 0 is cut or damaged"):
        read_varint(data, 0)


def test_the_documented_examples() -> None:
    """300 as a varint, and six bytes from a literal and a copy."""
    assert write_varint(300) == b"\xac\x02"
    assert decompress(b"\x06\x08abc\x0a\x03\x00") == b"abcabc"


def _literal(data: bytes, width: int) -> bytes:
    """An element with bytes of its own, their number in the tag (width 0) or in 1 to 4 bytes after it."""
    size = len(data) - 1
    tag = size if width == 0 else 59 + width
    return bytes([tag << 2]) + (size.to_bytes(width, "little") if width else b"") + data


def _copy(offset: int, size: int, width: int) -> bytes:
    """An element that copies decoded bytes, with an offset of 11 bits (width 1), 16 or 32 bits."""
    if width == 1:
        return bytes([1 | (size - 4) << 2 | offset >> 8 << 5, offset & 0xFF])
    return bytes([(2 if width == 2 else 3) | (size - 1) << 2]) + offset.to_bytes(width, "little")


@given(st.data())
def test_literals_and_copies_of_all_widths_are_decoded(data: st.DataObject) -> None:
    """Any sequence of elements decodes to what it describes, overlapping copies included."""
    decoded, encoded = bytearray(), b""
    for _ in range(data.draw(st.integers(1, 6))):
        if not decoded or data.draw(st.booleans()):
            literal = data.draw(st.binary(min_size=1, max_size=60))
            encoded += _literal(literal, data.draw(st.sampled_from([0, 1, 2, 3, 4])))
            decoded += literal
        else:
            width, size = data.draw(st.sampled_from([1, 2, 4])), data.draw(st.integers(4, 11))
            offset = data.draw(st.integers(1, len(decoded)))
            encoded += _copy(offset, size, width)
            for _ in range(size):
                decoded.append(decoded[-offset])
    assert decompress(write_varint(len(decoded)) + encoded) == bytes(decoded)


@given(st.binary(max_size=40))
def test_any_bytes_decompress_or_are_refused(data: bytes) -> None:
    """Damage is a ValueError, never another exception, and never more output than was claimed."""
    with contextlib.suppress(ValueError):
        assert len(decompress(data)) <= 64 * len(data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (write_varint(1 << 40), "claims to hold"),
        (b"\x03" + _literal(b"ab", 0), "another length"),
        (b"\x05" + _literal(b"a", 0) + _copy(2, 4, 1), "before its start"),
        (b"\x05" + _literal(b"a", 0) + b"\x01", "before its start"),
        (b"\x05" + _literal(b"a", 0) + _copy(1, 4, 2)[:2], "before its start"),
        (b"\x02\x04a", "is cut"),
    ],
)
def test_damage_of_a_compressed_block_is_named(data: bytes, problem: str) -> None:
    """Each kind of damage has its own message."""
    with pytest.raises(ValueError, match=problem):
        decompress(data)
