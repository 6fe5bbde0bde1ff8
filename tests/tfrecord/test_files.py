# SPDX-License-Identifier: Apache-2.0
"""TFRecord files: round trip, any order, damage."""

import gzip
import struct
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbert.errors import InputError
from jaxbert.tfrecord.files import TFRecords, frame, is_records, stream, write_records

PAYLOADS = [b"one", b"", b"three" * 100]


def test_frame_is_the_published_format() -> None:
    """Length, masked checksum of the length, payload, masked checksum of the payload, all little-endian."""

    def masked(data: bytes) -> int:
        crc = google_crc32c.value(data)
        rotated = (crc >> 15) + (crc % (1 << 15) << 17)
        return (rotated + 0xA282EAD8) % (1 << 32)

    length = struct.pack("<Q", 3)
    expected = length + struct.pack("<I", masked(length)) + b"abc" + struct.pack("<I", masked(b"abc"))
    assert frame(b"abc") == expected
    # The checksum of 32 zero bytes is given in RFC 3720, B.4.
    assert google_crc32c.value(bytes(32)) == 0x8A9136AA


@settings(max_examples=40)
@given(files=st.lists(st.lists(st.binary(max_size=40), max_size=5), min_size=1, max_size=3), seed=st.integers(0, 9))
def test_round_trip_in_any_order(tmp_path_factory: pytest.TempPathFactory, files: list[list[bytes]], seed: int) -> None:
    """Several files are one list of records; each is read by its number, and in order by `stream`."""
    folder = tmp_path_factory.mktemp("records")
    paths = [str(folder / str(number)) for number in range(len(files))]
    for path, payloads in zip(paths, files, strict=True):
        assert write_records(path, payloads) == len(payloads)
        assert list(stream(path)) == payloads
    everything = [payload for payloads in files for payload in payloads]
    records = TFRecords(paths)
    assert len(records) == len(everything)
    order = np.random.default_rng(seed).permutation(len(everything))
    assert records.read(order) == [everything[index] for index in order]
    locations = [
        f"`{path}` record {number}"
        for path, payloads in zip(paths, files, strict=True)
        for number in range(len(payloads))
    ]
    assert [records.locate(index) for index in range(len(records))] == locations


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of three records."""
    write_records(str(tmp_path / "records"), PAYLOADS)
    return tmp_path / "records"


def test_truncation_is_found(path: Path) -> None:
    """A file cut anywhere but between records is refused, with the number of the record it ends in."""
    content = path.read_bytes()
    ends = np.cumsum([len(payload) + 16 for payload in PAYLOADS]).tolist()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        if size in [0, *ends]:
            assert len(TFRecords([str(path)])) == [0, *ends].index(size)
        else:
            number = sum(end <= size for end in ends)
            with pytest.raises(InputError, match=f"ends inside record {number} \\(byte"):
                TFRecords([str(path)])


def test_changed_bytes_are_found(path: Path) -> None:
    """A changed byte anywhere is refused: of a length when opening, of a payload when reading it."""
    content = path.read_bytes()
    for position in range(len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises(InputError, match=r"wrong (length )?checksum"):
            TFRecords([str(path)]).read(np.arange(3))
        with pytest.raises(InputError, match=r"wrong (length )?checksum"):
            list(stream(str(path)))


def test_message_names_file_record_and_byte(path: Path) -> None:
    """The message on a damaged payload says where it is."""
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    start = sum(len(payload) + 16 for payload in PAYLOADS[:2]) + 12
    with pytest.raises(InputError) as caught:
        TFRecords([str(path)]).read(np.array([2]))
    assert f"`{path}` record 2 (byte {start})" in caught.value.message


def test_other_files(tmp_path: Path) -> None:
    """Missing files and files of another kind are refused with a hint; an empty one has no records."""
    path = tmp_path / "records"
    path.write_bytes(b"this is text, not records")
    with pytest.raises(InputError, match="is this a TFRecord file"):
        TFRecords([str(path)])
    with pytest.raises(InputError, match="cannot read"):
        TFRecords([str(tmp_path / "missing")])
    path.write_bytes(b"")
    assert len(TFRecords([str(path)])) == 0


def test_compressed(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Compressed records, of one gzip member or several, are those of the file, together with files that are not."""
    packed = tmp_path / "packed"
    packed.write_bytes(b"".join(gzip.compress(frame(payload)) for payload in PAYLOADS) + gzip.compress(b""))
    records = TFRecords([str(packed), str(path)])
    assert f"unpacking `{packed}`" in capsys.readouterr().err
    assert records.read(np.array([5, 2, 1, 0])) == [PAYLOADS[number] for number in (2, 2, 1, 0)]
    assert records.locate(2) == f"`{packed}` record 2"
    assert list(stream(str(packed))) == PAYLOADS
    assert is_records(str(packed))
    assert is_records(str(path))
    packed.write_bytes(gzip.compress(b"no records, only text"))
    assert not is_records(str(packed))
    with pytest.raises(InputError, match=r"`.*packed` record 0 .*wrong length checksum"):
        TFRecords([str(packed)])
    packed.write_bytes(gzip.compress(b""))
    assert len(TFRecords([str(packed)])) == 0


def test_damaged_compression_is_found(path: Path) -> None:
    """A compressed file that was cut or changed anywhere is refused by name."""
    content = gzip.compress(path.read_bytes())
    for position in range(2, len(content)):
        path.write_bytes(content[:position])
        with pytest.raises(InputError, match="GZIP-compressed and damaged"):
            TFRecords([str(path)])
    path.write_bytes(content[:-6] + bytes([content[-6] ^ 1]) + content[-5:])
    with pytest.raises(InputError, match="GZIP-compressed and damaged"):
        TFRecords([str(path)])


def test_a_long_record_is_no_compressed_file(path: Path) -> None:
    """A record whose length begins with the two bytes that mark gzip is read as the record it is."""
    payload = bytes(0x8B1F)
    write_records(str(path), [payload])
    assert path.read_bytes()[:2] == b"\x1f\x8b"
    assert TFRecords([str(path)]).read(np.array([0])) == [payload]


def test_failed_writing_leaves_nothing(tmp_path: Path) -> None:
    """When a payload cannot be made, the file of before stays and no other is left."""
    path = tmp_path / "records"
    write_records(str(path), [b"old"])

    def payloads() -> object:
        yield b"new"
        raise InputError("bad line")

    with pytest.raises(InputError, match="bad line"):
        write_records(str(path), payloads())
    assert list(stream(str(path))) == [b"old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["records"]


def test_official_records(shared: Path) -> None:
    """Every record file of the official code can be read, checksums included."""
    paths = sorted(path for path in (shared / "official").rglob("*") if path.suffix in (".tf_record", ".tfrecord"))
    assert paths
    for path in paths:
        records = TFRecords([str(path)])
        assert records.read(np.arange(len(records))) == list(stream(str(path)))
