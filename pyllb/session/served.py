"""ServedCall: a call of the daemon as the server keeps it; the Call that a handler sees."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from pyllb.rpc.framing import Message, framed
from pyllb.rpc.http2 import Connection
from pyllb.rpc.inbox import Inbox
from pyllb.rpc.status import CallCancelled, Code, quote_message

# What one call may have waiting to leave. Without a bound, a handler that reads a disk faster than the tunnel drains
# holds the whole tree in memory.
SEND_BUDGET = 4 << 20

_RESPONSE = ((":status", "200"), ("content-type", "application/grpc"))
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class ServedCall:
    """One stream of the inner connection. Everything in it is guarded by the server's lock, which it is given.

    wake: called, without the lock, when there are bytes to take from the connection.
    """

    def __init__(
        self,
        connection: Connection,
        lock: threading.Lock,
        wake: Callable[[], None],
        *,
        stream: int,
        method: str,
        metadata: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.method = method
        self.metadata = metadata
        self.stream = stream
        self._connection = connection
        self._lock = lock
        self._wake = wake
        self._deadline = deadline(metadata)
        self._arrived = threading.Condition(lock)
        self._drained = threading.Condition(lock)
        self._inbox = Inbox(connection, stream)
        self._peer_ended = False
        self._cancelled = ""
        self._answering = False

    # --- for the handler ------------------------------------------------------------------------------------------

    def receive(self, *, wait: bool = True) -> list[bytes] | None:
        """See Call.receive."""
        with self._lock:
            self.check()
            while not self._inbox:
                if self._peer_ended:
                    return None
                if not wait:
                    return []
                self._pause(self._arrived)
            messages, owed = self._inbox.take()
        if owed:
            self._wake()
        return messages

    def check(self) -> None:
        """See Call.check."""
        if self._cancelled:
            raise CallCancelled(self._cancelled)
        if self.expired:
            raise CallCancelled("the deadline passed")

    def send(self, messages: Iterable[Message]) -> None:
        """See Call.send."""
        parts = framed(messages)
        with self._lock:
            self.check()
            if not self._answering:
                self._answering = True
                self._connection.send_headers(self.stream, _RESPONSE)
            self._connection.send_data(self.stream, parts)
        self._wake()
        with self._lock:
            while self._connection.pending(self.stream) > SEND_BUDGET:
                self._pause(self._drained)

    def _pause(self, condition: threading.Condition) -> None:
        condition.wait(None if self._deadline is None else max(0.0, self._deadline - time.monotonic()))
        self.check()

    @property
    def expired(self) -> bool:
        """Whether the daemon's deadline for this call has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    # --- for the server, which holds the lock ---------------------------------------------------------------------

    def arrive(self, parts: Iterable[memoryview]) -> None:
        """Bytes of the request came. Raises FramingError."""
        if self._inbox.arrive(parts):
            self._arrived.notify_all()

    def half_close(self) -> None:
        """The daemon sends nothing more."""
        self._peer_ended = True
        if not self._inbox.complete:
            self.cancel("the request ended inside a message")
        self._arrived.notify_all()

    def cancel(self, reason: str) -> None:
        """The call is gone: whatever the handler asks from now on raises CallCancelled."""
        self._cancelled = self._cancelled or reason
        self._inbox.clear()
        self._arrived.notify_all()
        self._drained.notify_all()

    def drain(self) -> None:
        """Bytes have left: a handler that waits for room may go on."""
        if self._connection.pending(self.stream) <= SEND_BUDGET:
            self._drained.notify_all()

    def finish(self, code: Code, text: str) -> None:
        """End the call with these trailers."""
        trailers = (("grpc-status", str(int(code))), ("grpc-message", quote_message(text)))
        self._connection.send_end(self.stream, trailers if self._answering else _RESPONSE + trailers)


def deadline(metadata: Mapping[str, tuple[str, ...]]) -> float | None:
    """When a request's grpc-timeout ends, in time.monotonic() seconds; None without one or with a wrong one."""
    values = metadata.get("grpc-timeout")
    if not values:
        return None
    number, unit = values[0][:-1], values[0][-1:]
    if not (number.isascii() and number.isdigit() and unit in _UNITS):
        return None
    return time.monotonic() + int(number) * _UNITS[unit]
