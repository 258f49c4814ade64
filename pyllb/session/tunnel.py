"""Tunnel: the daemon's Control.Session stream, which carries the session's own connection inside it. No I/O.

The stream is a gRPC call of ours. Each way it carries BytesMessage{data = 1}, whose bytes, joined, are the inner
connection. Where one message ends and the next begins has no meaning.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Protocol

from pyllb.rpc.duplex import Closed, Lost
from pyllb.rpc.http2 import Buffer
from pyllb.rpc.status import RpcError

METHOD = "/moby.buildkit.v1.Control/Session"
_DATA_FIELD = 0x0A
_PREFIX = struct.Struct(">BI")
# A message's prefix, the field's tag, and a length of up to five bytes.
_MAX_HEAD = _PREFIX.size + 1 + 5


class TunnelError(Exception):
    """The daemon's end is not a session: the status it answered, or bytes that are no BytesMessage."""


class Inner(Protocol):
    """What is inside the tunnel: the session's server."""

    def receive(self, parts: Iterable[Buffer]) -> None:
        """The daemon's bytes."""

    def take(self, limit: int) -> list[Buffer]:
        """About `limit` bytes for the daemon; [] when there is nothing that may leave now."""

    def close(self, reason: str) -> None:
        """Nothing more comes or goes."""


class Tunnel:
    """What the stream carries. on_end: called, from the link's thread, with what ended the stream, but not when it was
    this side, or the end of the whole connection, which all calls on it learn of."""

    def __init__(self, inner: Inner, on_end: Callable[[Exception], object] | None = None) -> None:
        self._inner = inner
        self._on_end = on_end
        self._reader = BytesMessageReader()

    def receive(self, parts: Iterable[memoryview]) -> None:
        """The daemon's bytes. Raises TunnelError, and http2.ProtocolError for what is inside."""
        inner: list[Buffer] = []
        for part in parts:
            self._reader.feed(part, inner)
        self._inner.receive(inner)

    def take(self, limit: int) -> list[Buffer]:
        """The inner bytes that may leave now, about `limit` of them, as one message; [] when there are none."""
        parts = self._inner.take(limit)
        if not parts:
            return []
        size = sum(map(len, parts))
        head = bytes((_DATA_FIELD,)) + _varint(size)
        return [_PREFIX.pack(0, len(head) + size) + head, *parts]

    def close(self, error: Exception | None) -> None:
        """The stream is over. error: what ended it; None when it was this side."""
        self._inner.close("the session is closed" if error is None else "the session was lost")
        if error is not None and self._on_end is not None and not isinstance(error, Lost):
            self._on_end(error)


def why(error: Exception) -> str:
    """What ended the stream, for people."""
    if isinstance(error, Closed):
        return "the daemon closed the session"
    if isinstance(error, RpcError):
        return f"the daemon ended the session: {error.message or 'no message'} (gRPC status {error.code})"
    return str(error)


class BytesMessageReader:
    """Takes the inner bytes out of a stream of BytesMessage without waiting for a message's end, and without a copy."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    def feed(self, view: memoryview, out: list[Buffer]) -> None:
        """Appends the inner bytes of this part to out. Raises TunnelError."""
        position, end = 0, len(view)
        while position < end:
            if self._left:
                part = view[position : position + self._left]
                out.append(part)
                position += len(part)
                self._left -= len(part)
            else:
                position = self._begin(view, position)

    def _begin(self, view: memoryview, position: int) -> int:
        head = self._head + view[position : position + _MAX_HEAD - len(self._head)]
        used, self._left = _read_head(head)
        if not used:
            self._head = head
            return len(view)
        position += used - len(self._head)
        self._head = b""
        return position


def _read_head(head: bytes) -> tuple[int, int]:
    """Bytes used by a message's prefix, tag and length, and bytes of data that follow; (0, 0) when more are needed."""
    if len(head) < _PREFIX.size:
        return 0, 0
    flag, message = _PREFIX.unpack_from(head)
    if flag:
        raise TunnelError("the daemon sent a compressed message, which was not offered")
    if not message:
        return _PREFIX.size, 0
    size = 0
    for index, byte in enumerate(head[_PREFIX.size :], -1):
        if index < 0:
            if byte != _DATA_FIELD:
                raise TunnelError(f"the daemon sent a message that is no BytesMessage (field tag {byte:#x})")
            continue
        size |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if 2 + index + size != message:
                raise TunnelError(f"the daemon sent a BytesMessage of {size} bytes in a message of {message}")
            return _PREFIX.size + 2 + index, size
    if len(head) >= _MAX_HEAD:
        raise TunnelError("the daemon sent a BytesMessage without a length")
    return 0, 0


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
