# SPDX-License-Identifier: Apache-2.0
"""Base-128 numbers, as tables, string tensors and Snappy blocks store them."""


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    """The number at `place` and the place after it; `ValueError` if it is cut, too long or has idle digits."""
    number = 0
    for index, byte in enumerate(data[place : place + 10]):
        number |= (byte & 0x7F) << (7 * index)
        if byte == 0 and index:
            break  # no writer adds idle digits: a damaged byte would go unnoticed
        if byte < 0x80:
            return number, place + index + 1
    raise ValueError(f"the number at byte {place} is cut or damaged")


def write_varint(number: int) -> bytes:
    """`number` (not negative) in base 128, lowest digits first."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)
