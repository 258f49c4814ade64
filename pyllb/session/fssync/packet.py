"""Packets: the messages of the protocol, encoded and decoded by hand.

By hand because there are three or four of them per file, file names are bytes that need not be UTF-8 (protobuf's
Python runtime refuses such strings; BuildKit does not), and the data of a DATA packet should be copied once at most.

    Packet  1 type (STAT 0, REQ 1, DATA 2, FIN 3, ERR 4)   2 stat   3 ID uint32   4 data bytes
    Stat    1 path   2 mode   3 uid   4 gid   5 size   6 mtime   7 linkname   8 devmajor   9 devminor   10 xattrs map

Mirrors `fsutil/types` of BuildKit 0.33.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from pyllb.rpc.status import Code, RpcError
from pyllb.session.fssync.stat import Stat


class PacketType(IntEnum):
    """What a packet is for."""

    STAT = 0
    REQ = 1
    DATA = 2
    FIN = 3
    ERR = 4


class Packet(NamedTuple):
    """One packet. stat: None in a packet of type STAT means the end of the list."""

    type: int
    stat: Stat | None = None
    id: int = 0
    data: memoryview = memoryview(b"")


END_OF_STATS = b""  # a packet of type 0 without a stat has no bytes at all
FIN = b"\x08\x03"

_SINGLE = tuple(bytes((n,)) for n in range(128))


def varint(value: int) -> bytes:
    """A protobuf varint; a negative value as int64 has it, in ten bytes."""
    if value < 0:
        value += 1 << 64
    elif value < 128:
        return _SINGLE[value]
    elif value < 16384:
        return bytes((value & 127 | 128, value >> 7))
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_stat(stat: Stat) -> bytes:
    """The packet that announces one entry; owner and group are left out, which is 0: the daemon's root owns all."""
    path, mode, size, mtime, linkname, major, minor, xattrs = stat
    body = b"\x0a" + varint(len(path)) + path + _mode_field(mode)
    if size:
        body += b"\x28" + varint(size)
    if mtime:
        body += _mtime_field(mtime)
    if linkname:
        body += b"\x3a" + varint(len(linkname)) + linkname
    if major:
        body += b"\x40" + varint(major)
    if minor:
        body += b"\x48" + varint(minor)
    if xattrs:
        body += _xattr_fields(xattrs)
    return b"\x12" + varint(len(body)) + body


def encode_request(file_id: int) -> bytes:
    """The packet that asks for the content of entry file_id."""
    return b"\x08\x01\x18" + varint(file_id) if file_id else b"\x08\x01"


def encode_data_header(file_id: int, size: int) -> bytes:
    """All of a DATA packet but its data; size 0 is the end of the file."""
    head = b"\x08\x02\x18" + varint(file_id) if file_id else b"\x08\x02"
    return head + b"\x22" + varint(size) if size else head


def encode_error(text: str) -> bytes:
    """The packet that ends a transfer with a reason."""
    data = text.encode("utf-8", "surrogateescape")
    return b"\x08\x04\x22" + varint(len(data)) + data


def decode(message: bytes) -> Packet:
    """Read one packet. Raises RpcError (INTERNAL) when the bytes are no packet."""
    if not message:
        return _END_PACKET
    try:
        return _decode(message)
    except (IndexError, ValueError) as error:
        raise RpcError(Code.INTERNAL, f"not a packet of the file-sync protocol: {error}") from error


def decode_bytes_message(message: bytes) -> memoryview:
    """The data of a BytesMessage{1 data}, as a view of message. Raises RpcError (INTERNAL) when it is none."""
    view = memoryview(message)
    if not message:
        return view
    try:
        if message[0] == 0x0A:
            size, start = _read_varint(message, 1)
            if start + size == len(message):  # the only shape that is written in practice
                return view[start:]
        data = (value for tag, value in _fields(view, 0) if tag == 0x0A and isinstance(value, memoryview))
        return next(data, view[:0])
    except (IndexError, ValueError) as error:
        raise RpcError(Code.INTERNAL, f"not a BytesMessage: {error}") from error


_END_PACKET = Packet(PacketType.STAT)


@lru_cache(maxsize=4096)
def _mode_field(mode: int) -> bytes:
    return b"\x10" + varint(mode) if mode else b""


def _mtime_field(ns: int) -> bytes:
    if 1 << 56 <= ns < 1 << 63:  # 1972 to 2262: nine bytes, without a loop
        return bytes(
            (
                0x30,
                ns & 127 | 128,
                ns >> 7 & 127 | 128,
                ns >> 14 & 127 | 128,
                ns >> 21 & 127 | 128,
                ns >> 28 & 127 | 128,
                ns >> 35 & 127 | 128,
                ns >> 42 & 127 | 128,
                ns >> 49 & 127 | 128,
                ns >> 56,
            )
        )
    return b"\x30" + varint(ns)


def _xattr_fields(xattrs: Mapping[bytes, bytes]) -> bytes:
    out = b""
    for name, value in sorted(xattrs.items()):
        entry = b"\x0a" + varint(len(name)) + name + b"\x12" + varint(len(value)) + value
        out += b"\x52" + varint(len(entry)) + entry
    return out


def _decode(message: bytes) -> Packet:
    first = message[0]
    if first == 0x12:  # a STAT: Go's encoder leaves its type out, and writes nothing behind the stat
        size, start = _read_varint(message, 1)
        if start + size == len(message):
            return Packet(PacketType.STAT, _decode_stat(message, start))
    if first == 0x08 and message[1] == PacketType.DATA and message[2:3] == b"\x18":
        file_id, at = _read_varint(message, 3)
        if at == len(message):
            return Packet(PacketType.DATA, None, file_id)
        size, start = _read_varint(message, at + 1)
        if message[at] == 0x22 and start + size == len(message):
            return Packet(PacketType.DATA, None, file_id, memoryview(message)[start:])
    return _decode_any(message)


def _decode_any(message: bytes) -> Packet:
    """A packet with its fields in any order."""
    kind, stat, file_id, data = 0, None, 0, memoryview(b"")
    for tag, value in _fields(memoryview(message), 0):
        if tag == 0x08 and isinstance(value, int):
            kind = value
        elif tag == 0x18 and isinstance(value, int):
            file_id = value & 0xFFFFFFFF
        elif tag == 0x22 and isinstance(value, memoryview):
            data = value
        elif tag == 0x12 and isinstance(value, memoryview):
            stat = _decode_stat(bytes(value), 0)
    return Packet(kind, stat, file_id, data)


def _fields(view: memoryview, position: int) -> Iterator[tuple[int, int | memoryview]]:
    """Each field's tag byte and value: an int, or a view of its bytes."""
    end = len(view)
    while position < end:
        tag, position = _read_varint(view, position)
        wire = tag & 7
        if wire == 0:
            value, position = _read_varint(view, position)
            yield tag, value
            continue
        if wire == 2:
            size, position = _read_varint(view, position)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if position + size > end:
            raise ValueError("truncated")
        yield tag, view[position : position + size]
        position += size


def _read_varint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    value = data[position]
    if value < 128:
        return value, position + 1
    value &= 127
    shift = 7
    while True:
        position += 1
        byte = data[position]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position + 1
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than ten bytes")


def _decode_stat(data: bytes, position: int) -> Stat:
    path = linkname = b""
    mode = size = mtime = major = minor = 0
    xattrs: dict[bytes, bytes] | None = None
    end = len(data)
    while position < end:
        tag = data[position]
        if tag & 7 == 0 and tag < 128:
            value, position = _read_varint(data, position + 1)
            if tag == 0x10:
                mode = value & 0xFFFFFFFF
            elif tag == 0x28:
                size = _signed(value)
            elif tag == 0x30:
                mtime = _signed(value)
            elif tag == 0x40:
                major = value
            elif tag == 0x48:
                minor = value
            continue
        length, start = _read_varint(data, position + 1)
        position = start + length
        if tag & 7 != 2 or tag > 127 or position > end:
            raise ValueError("a stat with an unknown or truncated field")
        if tag == 0x0A:
            path = data[start:position]
        elif tag == 0x3A:
            linkname = data[start:position]
        elif tag == 0x52:
            xattrs = xattrs or {}
            _decode_xattr(data[start:position], xattrs)
    return Stat(path, mode, size, mtime, linkname, major, minor, xattrs)


def _decode_xattr(entry: bytes, into: dict[bytes, bytes]) -> None:
    parts = {tag: bytes(value) for tag, value in _fields(memoryview(entry), 0) if isinstance(value, memoryview)}
    into[parts.get(0x0A, b"")] = parts.get(0x12, b"")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
