"""Server: the gRPC server inside the tunnel, whose only client is the daemon.

It does no I/O. The link hands it the daemon's bytes and takes the bytes to send; handlers run in a thread of their own
each, so that a slow one never keeps the link from reading. The few that can be answered at once run in the link's
thread: the daemon kills a session whose health check goes unanswered, however busy the process is.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping

import attrs

from pyllb.rpc.framing import FramingError
from pyllb.rpc.http2 import (
    Buffer,
    Connection,
    DataReceived,
    ErrorCode,
    Event,
    HeadersReceived,
    StreamEnded,
    StreamReset,
    grouped,
)
from pyllb.rpc.inbox import RECEIVE_BUDGET
from pyllb.rpc.status import CallCancelled, Code, RpcError
from pyllb.session.call import Handler
from pyllb.session.served import ServedCall
from pyllb.value import Shown

_MAX_FAILURES = 100


@attrs.frozen(eq=False, repr=False)
class Failure(Shown):
    """A call that ended in an error of this side. error: what the handler raised."""

    method: str
    error: BaseException


class Server:
    """Serves handlers, by full method path, over one inner connection.

    inline: the methods that run in the caller of receive(), once their request is whole; they must not block.
    wake: called from any thread when take() has something to give.
    """

    def __init__(
        self, handlers: Mapping[str, Handler], *, inline: Collection[str] = (), wake: Callable[[], None]
    ) -> None:
        self._handlers = dict(handlers)
        self._inline = frozenset(inline)
        self._wake = wake
        self._lock = threading.Lock()
        self._connection = Connection(client=False, stream_window=RECEIVE_BUDGET)
        self._calls: dict[int, ServedCall] = {}
        self._threads: list[threading.Thread] = []
        self._failures: list[Failure] = []
        self._closed = ""

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The calls that failed on this side, oldest first, the first hundred."""
        with self._lock:
            return tuple(self._failures)

    def receive(self, parts: Iterable[Buffer]) -> None:
        """The daemon's bytes. Raises http2.ProtocolError when they are not HTTP/2."""
        ready: list[ServedCall] = []
        with self._lock:
            for part in parts:
                for event in self._connection.receive(part):
                    self._on_event(event, ready)
        for call in ready:
            self._serve(call, self._handlers[call.method])

    def take(self, limit: int) -> list[Buffer]:
        """About `limit` bytes to send to the daemon; [] when there is nothing that may leave now."""
        with self._lock:
            out = self._connection.take(limit)
            for call in self._calls.values():
                call.drain()
        return out

    def close(self, reason: str) -> None:
        """Cancel every call and refuse new ones."""
        with self._lock:
            if not self._closed:
                self._closed = reason
                self._connection.goaway(ErrorCode.NO_ERROR)
            for call in self._calls.values():
                call.cancel(reason)

    def join(self, timeout: float) -> tuple[str, ...]:
        """Wait until the handlers' threads have ended; returns the names of those that still run after `timeout` s."""
        end = time.monotonic() + timeout
        with self._lock:
            threads = tuple(self._threads)
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        return tuple(thread.name for thread in threads if thread.is_alive())

    # --- events, with the lock held -------------------------------------------------------------------------------

    def _on_event(self, event: Event, ready: list[ServedCall]) -> None:
        if isinstance(event, HeadersReceived):
            if event.stream not in self._calls:  # else trailers, which say nothing in a request
                self._on_request(event)
            return
        if not isinstance(event, DataReceived | StreamEnded | StreamReset):
            return
        call = self._calls.get(event.stream)
        if call is None:
            return
        if isinstance(event, DataReceived):
            self._on_data(call, event)
        elif isinstance(event, StreamReset):
            call.cancel("the daemon cancelled the call")
            if call.method in self._inline:
                del self._calls[call.stream]
        else:
            call.half_close()
            if call.method in self._inline:
                ready.append(call)

    def _on_request(self, request: HeadersReceived) -> None:
        metadata = grouped(request.headers)
        method = metadata.get(":path", ("",))[0]
        call = ServedCall(
            self._connection,
            self._lock,
            self._wake,
            stream=request.stream,
            method=method,
            metadata={name: values for name, values in metadata.items() if not name.startswith(":")},
        )
        handler = self._handlers.get(method)
        if self._closed:
            call.finish(Code.UNAVAILABLE, self._closed)
        elif handler is None:
            call.finish(Code.UNIMPLEMENTED, f"unknown method {method}")
        else:
            self._calls[request.stream] = call
            if method not in self._inline:
                self._start(call, handler)

    def _start(self, call: ServedCall, handler: Handler) -> None:
        name = f"pyllb-session-{call.method.rpartition('/')[2]}-{call.stream}"
        thread = threading.Thread(target=self._serve, args=(call, handler), name=name, daemon=True)
        self._threads = [*filter(threading.Thread.is_alive, self._threads)]
        try:
            thread.start()
        except RuntimeError as error:  # the process may start no more threads
            del self._calls[call.stream]
            call.finish(Code.RESOURCE_EXHAUSTED, str(error))
        else:
            self._threads.append(thread)

    def _on_data(self, call: ServedCall, event: DataReceived) -> None:
        try:
            call.arrive(event.parts)
        except FramingError as error:
            call.cancel(str(error))
            self._connection.reset(call.stream, ErrorCode.CANCEL)
            if call.method in self._inline:
                del self._calls[call.stream]

    # --- a call, in the thread that serves it ---------------------------------------------------------------------

    def _serve(self, call: ServedCall, handler: Handler) -> None:
        code, text = self._outcome(call, handler)
        with self._lock:
            call.finish(code, text)
            self._calls.pop(call.stream, None)
        self._wake()

    def _outcome(self, call: ServedCall, handler: Handler) -> tuple[Code, str]:
        try:
            handler(call)
        except CallCancelled as error:
            return Code.DEADLINE_EXCEEDED if call.expired else Code.CANCELLED, str(error)
        except RpcError as error:
            self._note(call, error)
            return error.code, error.message
        except BaseException as error:  # whatever it is, the daemon waits for trailers
            self._note(call, error)
            return Code.UNKNOWN, _text(error)
        return Code.OK, ""

    def _note(self, call: ServedCall, error: BaseException) -> None:
        _let_go(error)
        with self._lock:
            if len(self._failures) < _MAX_FAILURES:
                self._failures.append(Failure(call.method, error))


def _text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:  # the text is made by the error's own class
        return type(error).__name__


def _let_go(error: BaseException) -> None:
    """Empty the frames of an error and of those behind it, which keep open what the handler had open."""
    seen: set[int] = set()
    behind: BaseException | None = error
    while behind is not None and id(behind) not in seen:
        seen.add(id(behind))
        traceback.clear_frames(behind.__traceback__)
        behind = behind.__cause__ or behind.__context__
