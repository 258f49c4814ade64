"""Duplex: a stream of ours that carries bytes both ways until one end closes it, as a session's does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, MutableMapping
from typing import Protocol

from pyllb.rpc.http2 import Buffer, Connection, ErrorCode, Headers
from pyllb.rpc.status import RpcError
from pyllb.rpc.stream import MAX_REFUSALS, Callbacks, Stream

# What is taken of the load at once when the stream is closed: its last words.
_LAST = 1 << 20


class Load(Protocol):
    """What a stream carries. All of it but close() is called with the channel's lock held; it must not block."""

    def receive(self, parts: Iterable[memoryview]) -> None:
        """The daemon's bytes; what it raises ends the stream."""

    def take(self, limit: int) -> list[Buffer]:
        """About `limit` bytes to send; [] when there is nothing that may leave now."""

    def close(self, error: Exception | None) -> None:
        """The stream is over. error: what ended it; None after a close() of this side. Called once."""


class Closed(Exception):
    """The daemon ended the stream in good order."""


class Lost(Exception):
    """The connection is over, and with it all its streams."""


class Duplex:
    """A stream under way. Any thread may use it; everything in it is guarded by the channel's lock, which it is given.

    streams: the channel's open ones, which this one joins and leaves. wake: called when there are bytes to take from
    the connection. silence: seconds after which a daemon that sends nothing, on any stream, is taken for lost.
    """

    def __init__(
        self,
        connection: Connection,
        lock: threading.Lock,
        wake: Callable[[], None],
        streams: MutableMapping[int, Stream],
        *,
        head: Headers,
        load: Load,
        silence: float | None,
    ) -> None:
        self.silence = silence
        self._connection = connection
        self._lock = lock
        self._wake = wake
        self._streams = streams
        self._head = head
        self._load = load
        self._stream = 0
        self._refusals = 0
        self._heard = False
        self._opening: list[Buffer] = []  # what was said before the daemon was heard, for it may refuse the stream
        self._closing = False
        self._error: Exception | None = None
        self._ended = False
        self._over = threading.Event()

    @property
    def error(self) -> Exception | None:
        """What ended it; None while it lasts, and after a close() of this side."""
        return self._error

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is over, and the load is closed; whether it is."""
        return self._over.wait(timeout)

    def close(self, grace: float) -> None:
        """End it in good order, after what is queued. grace: seconds that the daemon has to end its direction."""
        with self._lock:
            self._say_last()
            self._closing = True
        self._wake()
        if not self.wait(grace):
            with self._lock:
                callbacks = self.end(None)
            self._wake()
            for callback in callbacks:
                callback()

    # --- for the channel, which holds the lock --------------------------------------------------------------------

    def begin(self) -> None:
        """Open the stream."""
        self._stream = self._connection.open(self._head)
        self._connection.send_data(self._stream, self._opening)
        self._streams[self._stream] = self

    def begin_again(self) -> bool:
        """Open it once more, and say the same; False when it was refused too often, or after the daemon was heard."""
        self._refusals += 1
        if self._refusals > MAX_REFUSALS or self._heard or self._closing:
            return False
        self._streams.pop(self._stream, None)
        self.begin()
        return True

    def arrive(self, parts: Iterable[memoryview]) -> Callbacks:
        """Bytes came; what the load makes of them may end the stream, after its last words."""
        self._heard, self._opening = True, []
        views = tuple(parts)
        try:
            self._load.receive(views)
        except Exception as error:  # whatever it is, it is this stream's, and no other's
            self._say_last()
            return self._leave(error)
        self._connection.credit(self._stream, sum(map(len, views)))
        return []

    def fill(self, limit: int) -> None:
        """Queue what the load has to send. What the windows hold back is left to wait there, where it is counted."""
        if not self._closing and not self._connection.pending(self._stream):
            parts = self._load.take(limit)
            self._opening += () if self._heard else parts
            self._connection.send_data(self._stream, parts)

    def end(self, error: RpcError | None) -> Callbacks:
        """It is over. error: None is a good end."""
        return self._end(error or Closed("the daemon closed the stream"))

    def lose(self, reason: str | None) -> Callbacks:
        """The connection is over. reason: None when this end closed it."""
        self._closing |= reason is None
        return self._end(Lost(reason))

    # --- with the lock held, but for _tell --------------------------------------------------------------------------

    def _say_last(self) -> None:
        self.fill(_LAST)
        self._connection.send_end(self._stream)

    def _end(self, error: Exception) -> Callbacks:
        if self._ended:
            return []
        self._connection.reset(self._stream, ErrorCode.CANCEL)  # does nothing when both ends have said their last
        return self._leave(error)

    def _leave(self, error: Exception) -> Callbacks:
        self._ended = True
        self._error = None if self._closing else error
        self._streams.pop(self._stream, None)
        return [self._tell]

    def _tell(self) -> None:
        try:
            self._load.close(self._error)
        finally:
            self._over.set()
