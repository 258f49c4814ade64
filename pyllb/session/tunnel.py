"""Tunnel: the daemon's Control.Session stream, which carries the session's own connection inside it. No I/O.

The stream is a gRPC call of ours over an HTTP/2 connection of its own. Each way it carries BytesMessage{data = 1},
whose bytes, joined, are the inner connection. Where one message ends and the next begins has no meaning.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from pyllb.rpc.channel import request_head
from pyllb.rpc.http2 import (
    Buffer,
    Connection,
    DataReceived,
    Event,
    GoawayReceived,
    HeadersReceived,
    StreamEnded,
    StreamReset,
    grouped,
)
from pyllb.rpc.status import is_head, outcome

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
    """The outer stream, opened by this end with the session's metadata. A link moves its bytes."""

    def __init__(self, metadata: Iterable[tuple[str, str]], inner: Inner, *, authority: str = "localhost") -> None:
        self.ended = False
        self._inner = inner
        self._connection = Connection(client=True)
        self._reader = BytesMessageReader()
        self._stream = self._connection.open((*request_head(METHOD, authority), *metadata))

    def receive(self, data: Buffer) -> None:
        """The daemon's bytes. `ended` is set once it has closed the stream in good order.

        Raises http2.ProtocolError, or TunnelError when the daemon answers anything else.
        """
        parts: list[Buffer] = []
        for event in self._connection.receive(data):
            if isinstance(event, DataReceived):
                for part in event.parts:
                    self._reader.feed(part, parts)
                self._connection.credit(self._stream, sum(map(len, event.parts)))
            else:
                self._on_event(event)
        self._inner.receive(parts)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, HeadersReceived):
            _check_status(grouped(event.headers))
        elif isinstance(event, StreamEnded):
            self.ended = True
        elif isinstance(event, StreamReset) and not self.ended:
            raise TunnelError(f"the daemon reset the session (HTTP/2 error {event.code})")
        elif isinstance(event, GoawayReceived) and event.last < self._stream:
            # Only then does it concern this stream: a daemon that stops says GOAWAY first, and lets the solve finish.
            raise TunnelError(f"the daemon refused the session: {event.text or event.code}")

    def take(self, limit: int) -> list[Buffer]:
        """The bytes to write now, about `limit` of them."""
        # What the outer windows hold back is left to wait inside, where it counts against its call's budget.
        if not self._connection.pending(self._stream):
            inner = self._inner.take(limit)
            if inner:
                self._send(inner)
        return self._connection.take(limit)

    def _send(self, parts: Sequence[Buffer]) -> None:
        size = sum(map(len, parts))
        head = bytes((_DATA_FIELD,)) + _varint(size)
        self._connection.send_data(self._stream, [_PREFIX.pack(0, len(head) + size) + head, *parts])

    def end(self) -> None:
        """Close this direction, after what is queued."""
        self._connection.send_end(self._stream)

    def close(self, error: Exception | None) -> None:
        """The connection is over. error: why; None when this end closed it."""
        self._inner.close("the session is closed" if error is None else "the session was lost")


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


def _check_status(headers: Mapping[str, tuple[str, ...]]) -> None:
    error = None if is_head(headers) else outcome(headers)
    if error is not None:
        raise TunnelError(f"the daemon ended the session: {error.message or 'no message'} (gRPC status {error.code})")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
