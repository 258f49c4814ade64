"""Wire: protobuf fields as bytes, written in the order in which they are asked for.

Go's encoder puts the members of a oneof after all other fields, protobuf for Python by number; digests are made of
these bytes. Written by hand the order is ours, and marshalling needs no protobuf. A key is a field's tag as bytes:
field number times 8, plus 0 for integers and 2 for text, bytes and messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

_SMALL = tuple(bytes((n,)) for n in range(128))


@lru_cache(maxsize=4096)  # most are sizes of equal things; 0.04 us, and 0.15 us when it has two bytes to make
def varint(value: int) -> bytes:
    """An integer; a negative one takes ten bytes, as int32 and int64 do."""
    if 0 <= value < 128:
        return _SMALL[value]
    if 0 < value < 16384:
        return bytes((value & 127 | 128, value >> 7))
    if value < 0:
        value += 1 << 64
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(tag: bytes, data: bytes) -> bytes:
    """A message, or bytes that are there even when empty."""
    size = len(data)
    return tag + (_SMALL[size] if size < 128 else varint(size)) + data


def text(tag: bytes, value: str) -> bytes:
    """A string; nothing when it is empty."""
    if not value:
        return b""
    data = value.encode()
    return tag + varint(len(data)) + data


def blob(tag: bytes, value: bytes) -> bytes:
    """Bytes; nothing when there are none."""
    return tag + varint(len(value)) + value if value else b""


def integer(tag: bytes, value: int) -> bytes:
    """A number; nothing when it is 0."""
    return tag + varint(value) if value else b""


def flag(tag: bytes, value: bool) -> bytes:
    """A bool; nothing when it is False."""
    return tag + b"\1" if value else b""


def texts(tag: bytes, values: Iterable[str]) -> bytes:
    """A repeated string; empty items count."""
    return b"".join([text_item(tag, value) for value in values])


def text_item(tag: bytes, value: str) -> bytes:
    """One item of a repeated string, also an empty one."""
    data = value.encode()
    size = len(data)
    return tag + (_SMALL[size] if size < 128 else varint(size)) + data


def packed(tag: bytes, values: tuple[int, ...]) -> bytes:
    """A repeated number, packed; nothing when there is none."""
    return blob(tag, b"".join([varint(value) for value in values]))


def text_map(tag: bytes, pairs: tuple[tuple[str, str], ...]) -> bytes:
    """A map of text to text, sorted by the bytes of the keys."""
    encoded = sorted([(name.encode(), value.encode()) for name, value in pairs])
    return b"".join([message(tag, message(b"\x0a", k) + message(b"\x12", v)) for k, v in encoded])
