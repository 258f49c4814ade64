"""Inbox: the messages of one stream that have come and wait to be read."""

from __future__ import annotations

from collections.abc import Iterable

from pyllb.rpc.framing import MessageReader
from pyllb.rpc.http2 import Connection
from pyllb.rpc.status import Code, RpcError

# What may wait to be read before the peer's window is left shut.
RECEIVE_BUDGET = 8 << 20


class Inbox:
    """Cuts a stream's bytes into messages, and lets the peer send more as they are read. Its owner's lock guards it."""

    def __init__(self, connection: Connection, stream: int) -> None:
        self._connection = connection
        self._stream = stream
        self._reader = MessageReader()
        self._messages: list[bytes] = []
        self._backlog = 0
        self._owed = 0

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def complete(self) -> bool:
        """Whether the bytes so far end where a message ends."""
        return self._reader.complete

    def arrive(self, parts: Iterable[memoryview]) -> bool:
        """Bytes came; whether a message is whole by them. Raises FramingError."""
        views = tuple(parts)
        messages = self._reader.feed(views)
        self._owed += sum(map(len, views))
        self._messages += messages
        self._backlog += sum(map(len, messages))
        # A message larger than the window arrives whole, because only whole messages count as waiting.
        if self._backlog < RECEIVE_BUDGET:
            self._settle()
        return bool(messages)

    def take(self) -> tuple[list[bytes], bool]:
        """All messages that wait, and whether the peer is to be told that it may send more."""
        messages, self._messages = self._messages, []
        self._backlog = 0
        return messages, self._settle()

    def only(self) -> bytes:
        """The one message of a stream that has ended. Raises RpcError(INTERNAL) when it had none or several."""
        if len(self._messages) != 1:
            raise RpcError(Code.INTERNAL, f"one message is wanted, {len(self._messages)} came")
        return self._messages[0]

    def clear(self) -> None:
        """Drop what waits."""
        self._messages.clear()

    def _settle(self) -> bool:
        owed, self._owed = self._owed, 0
        if owed:
            self._connection.credit(self._stream, owed)
        return bool(owed)
