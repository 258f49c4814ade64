"""Messages: gRPC's length-prefixed messages in and out of the bytes of a stream."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import TypeAlias

from pyllb.rpc.http2 import Buffer

Message: TypeAlias = "bytes | tuple[bytes | memoryview, ...]"
"""One message, whole or as parts to be joined."""

# The daemon sends up to 16 MiB; twice that is a peer that has lost the thread.
MAX_MESSAGE = 32 << 20

_PREFIX = struct.Struct(">BI")
# Below this a copy is cheaper than one more part.
_SMALL = 4096


class FramingError(Exception):
    """The bytes are not gRPC messages, or one is too large or compressed."""


class MessageReader:
    """Cuts the bytes of one stream into messages, whatever pieces they come in."""

    def __init__(self) -> None:
        self._prefix = b""
        self._missing = -1
        self._parts: list[memoryview] = []

    @property
    def complete(self) -> bool:
        """Whether the bytes so far end where a message ends."""
        return self._missing < 0 and not self._prefix

    def feed(self, parts: Iterable[memoryview]) -> list[bytes]:
        """The messages that these bytes complete. Raises FramingError."""
        messages: list[bytes] = []
        for view in parts:
            position, end = 0, len(view)
            while position < end:
                if self._missing < 0:
                    position = self._begin(view, position)
                if self._missing >= 0:
                    position = self._fill(view, position, messages)
        return messages

    def _begin(self, view: memoryview, position: int) -> int:
        if self._prefix or len(view) - position < _PREFIX.size:
            step = _PREFIX.size - len(self._prefix)
            self._prefix += view[position : position + step]
            position = min(position + step, len(view))
            if len(self._prefix) < _PREFIX.size:
                return position
            prefix, self._prefix = self._prefix, b""
            flag, self._missing = _PREFIX.unpack(prefix)
        else:
            flag, self._missing = _PREFIX.unpack_from(view, position)
            position += _PREFIX.size
        if flag:
            raise FramingError("a compressed message, which was not offered")
        if self._missing > MAX_MESSAGE:
            raise FramingError(f"a message of {self._missing} bytes, the limit is {MAX_MESSAGE}")
        return position

    def _fill(self, view: memoryview, position: int, messages: list[bytes]) -> int:
        part = view[position : position + self._missing]
        self._missing -= len(part)
        if self._missing:
            self._parts.append(part)
        elif self._parts:
            messages.append(b"".join((*self._parts, part)))
            self._parts.clear()
        else:
            messages.append(bytes(part))
        if not self._missing:
            self._missing = -1
        return position + len(part)


def framed(messages: Iterable[Message]) -> list[Buffer]:
    """The messages as parts to send, each with its prefix."""
    out: list[Buffer] = []
    for message in messages:
        if isinstance(message, tuple):
            out.append(_PREFIX.pack(0, sum(map(len, message))))
            out.extend(message)
        elif len(message) < _SMALL:
            out.append(_PREFIX.pack(0, len(message)) + message)
        else:
            out += (_PREFIX.pack(0, len(message)), message)
    return out
