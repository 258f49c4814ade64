"""Outgoing: one call of ours, as its caller sees it. The request was sent whole; one answer comes, or many."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, MutableMapping

from pyllb.rpc.framing import FramingError, framed
from pyllb.rpc.http2 import Connection, ErrorCode, Headers
from pyllb.rpc.inbox import Inbox
from pyllb.rpc.status import CallCancelled, Code, RpcError
from pyllb.rpc.stream import MAX_REFUSALS, Callbacks, Stream


class Outgoing:
    """A call under way. Any thread may use it; everything in it is guarded by the channel's lock, which it is given.

    calls: the channel's open calls, by stream, which this one joins and leaves. wake: called, without the lock, when
    there are bytes to take from the connection. timeout: seconds after which whoever waits is told DEADLINE_EXCEEDED;
    None is never.
    """

    def __init__(
        self,
        connection: Connection,
        lock: threading.Lock,
        wake: Callable[[], None],
        calls: MutableMapping[int, Stream],
        *,
        method: str,
        head: Headers,
        request: bytes,
        timeout: float | None,
    ) -> None:
        self.method = method
        self.stream = 0
        self.silence: float | None = None
        self._connection = connection
        self._lock = lock
        self._wake = wake
        self._calls = calls
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._changed = threading.Condition(lock)
        self._head = head
        self._request = request
        self._refusals = 0
        self._inbox = Inbox(connection, 0)
        self._callbacks: list[Callable[[], object]] = []
        self._ended = False
        self._error: RpcError | CallCancelled | None = None

    def receive(self) -> list[bytes] | None:
        """The messages that have come, at least one; None when the call ended with OK and all were read.

        One thread reads. Raises RpcError for another end, CallCancelled after a cancel().
        """
        self._wait(lambda: bool(self._inbox) or self._ended)
        with self._lock:
            if not self._inbox:
                self._check()
                return None
            messages, owed = self._inbox.take()
        if owed:
            self._wake()
        return messages

    def answer(self) -> bytes:
        """The answer of a call that has one, when the call has ended; may be asked again. Raises as receive() does."""
        self._wait(lambda: self._ended)
        with self._lock:
            self._check()
            return self._inbox.only()

    def error(self) -> RpcError | CallCancelled | None:
        """What receive() raises at the end; waits for it."""
        self._wait(lambda: self._ended)
        return self._error

    def cancel(self) -> bool:
        """End the call at once, on the peer's side too; whether it had not ended before.

        A call that an interrupt breaks off is completed by the next one.
        """
        with self._lock:
            fresh = not self._ended
            if fresh:
                self._error, self._ended = CallCancelled(f"{self.method} was cancelled"), True
            self._leave()
        self._wake()
        self._call_back()
        return fresh

    def on_end(self, callback: Callable[[], object]) -> None:
        """Call this when the call has ended, in the thread that learns of it; at once, if it has. It must not block."""
        with self._lock:
            if not self._ended:
                self._callbacks.append(callback)
                return
        callback()

    # --- for the channel, which holds the lock --------------------------------------------------------------------

    def begin(self) -> None:
        """Send the request, on a stream of its own."""
        self.stream = stream = self._connection.open(self._head)
        self._connection.send_data(stream, framed([self._request]))
        self._connection.send_end(stream)
        self._inbox = Inbox(self._connection, stream)
        self._calls[stream] = self

    def begin_again(self) -> bool:
        """Send the request once more after the peer refused it and did not begin it; False when it did too often."""
        self._refusals += 1
        if self._refusals > MAX_REFUSALS:
            return False
        self._calls.pop(self.stream, None)
        self.begin()
        return True

    def arrive(self, parts: Iterable[memoryview]) -> Callbacks:
        """Bytes of the answer came."""
        try:
            if self._inbox.arrive(parts):
                self._changed.notify_all()
        except FramingError as error:
            return self.end(RpcError(Code.INTERNAL, f"the daemon sent {error}"))
        return []

    def fill(self, limit: int) -> None:
        """Nothing: the request is queued as a whole."""

    def lose(self, reason: str | None) -> Callbacks:
        """The connection is over. reason: None when this end closed it."""
        if reason is None:
            return self.end(CallCancelled("the connection was closed"))
        return self.end(RpcError(Code.UNAVAILABLE, reason))

    def end(self, error: RpcError | CallCancelled | None) -> Callbacks:
        """Nothing more comes; error: None is OK."""
        if self._ended:
            return []
        if error is None and not self._inbox.complete:
            error = RpcError(Code.INTERNAL, f"the answer of {self.method} ended inside a message")
        self._error, self._ended = error, True
        self._leave()
        return [self._call_back]

    # --- with the lock held, but for _wait and _call_back -----------------------------------------------------------

    def _leave(self) -> None:
        self._connection.reset(self.stream, ErrorCode.CANCEL)  # which does nothing when both ends have said their last
        self._calls.pop(self.stream, None)
        self._changed.notify_all()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _wait(self, done: Callable[[], bool]) -> None:
        with self._lock:
            left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
            if self._changed.wait_for(done, left):
                return
            late = f"{self.method} had no answer within {self._timeout:g} s"
            self.end(RpcError(Code.DEADLINE_EXCEEDED, late))
        self._wake()
        self._call_back()

    def _call_back(self) -> None:
        """Each leaves the list after it was called; two threads at once may both call one."""
        while self._callbacks:
            callback = self._callbacks[0]
            callback()
            with contextlib.suppress(ValueError):
                self._callbacks.remove(callback)
