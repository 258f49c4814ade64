"""Channel: the client's end of a connection to a daemon, on which calls are made by their full method path. No I/O."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from pyllb.rpc.duplex import Duplex, Load
from pyllb.rpc.http2 import (
    Buffer,
    Connection,
    DataReceived,
    ErrorCode,
    Event,
    GoawayReceived,
    HeadersReceived,
    StreamEnded,
    StreamReset,
    grouped,
)
from pyllb.rpc.inbox import RECEIVE_BUDGET
from pyllb.rpc.outgoing import Outgoing
from pyllb.rpc.status import Code, RpcError, is_head, outcome
from pyllb.rpc.stream import Callbacks, Stream

# What an RST_STREAM says, as gRPC over HTTP/2 maps it; any other code is INTERNAL.
_RESETS: Mapping[int, Code] = {
    ErrorCode.REFUSED_STREAM: Code.UNAVAILABLE,
    ErrorCode.CANCEL: Code.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
}


class Channel:
    """Makes calls over one connection, whose bytes a link moves. Its methods may be called from any thread.

    authority, scheme: the daemon's name in requests, and how they go to it: "http" or, over TLS, "https". wake: called
    from any thread when take() has something to give.
    """

    def __init__(self, authority: str, wake: Callable[[], None], *, scheme: str = "http") -> None:
        self.ended = False
        self.wake = wake
        self._authority = authority
        self._scheme = scheme
        self._lock = threading.Lock()
        self._connection = Connection(client=True, stream_window=RECEIVE_BUDGET)
        self._streams: dict[int, Stream] = {}
        self._gone = ""

    @property
    def alive(self) -> bool:
        """Whether calls can still be made."""
        return not self._gone

    def call(
        self, method: str, request: bytes, *, metadata: Iterable[tuple[str, str]] = (), timeout: float | None = None
    ) -> Outgoing:
        """Start a call. timeout: seconds for its answers, None is without a limit.

        On a connection that is gone the call has ended, with UNAVAILABLE.
        """
        late = (("grpc-timeout", f"{int(timeout * 1000)}m"),) if timeout is not None else ()
        head = (*request_head(method, self._authority, self._scheme), *late, *metadata)
        call = Outgoing(
            self._connection,
            self._lock,
            self.wake,
            self._streams,
            method=method,
            head=head,
            request=request,
            timeout=timeout,
        )
        self._begin(call)
        return call

    def carry(
        self, method: str, load: Load, *, metadata: Iterable[tuple[str, str]] = (), silence: float | None = None
    ) -> Duplex:
        """Start a stream that carries a load both ways.

        silence: seconds after which a daemon that sends nothing, on no stream, is taken for lost; None is never. On a
        connection that is gone the stream has ended, and the load is told.
        """
        head = (*request_head(method, self._authority, self._scheme), *metadata)
        duplex = Duplex(self._connection, self._lock, self.wake, self._streams, head=head, load=load, silence=silence)
        self._begin(duplex)
        return duplex

    def _begin(self, stream: Stream) -> None:
        callbacks: Callbacks = []
        with self._lock:
            if self._gone:
                callbacks = stream.lose(self._gone)
            else:
                stream.begin()
        self.wake()
        for callback in callbacks:
            callback()

    # --- for the link ---------------------------------------------------------------------------------------------

    def receive(self, data: Buffer) -> None:
        """The daemon's bytes. Raises http2.ProtocolError when they are not HTTP/2."""
        callbacks: Callbacks = []
        with self._lock:
            for event in self._connection.receive(data):
                callbacks += self._on_event(event)
        for callback in callbacks:
            callback()

    def take(self, limit: int) -> list[Buffer]:
        """About `limit` bytes to send to the daemon; [] when there is nothing that may leave now."""
        with self._lock:
            for stream in self._streams.values():
                stream.fill(limit)
            return self._connection.take(limit)

    @property
    def silence(self) -> float | None:
        """Seconds for which the daemon may send nothing before it is taken for lost; None is for ever."""
        with self._lock:
            return min((s.silence for s in self._streams.values() if s.silence is not None), default=None)

    def end(self) -> None:
        """Say goodbye; there is nothing to wait for after that."""
        with self._lock:
            self._connection.goaway(ErrorCode.NO_ERROR)
        self.ended = True

    def close(self, error: Exception | None) -> None:
        """The connection is over, and with it all calls. error: why; None when this end closed it."""
        callbacks: Callbacks = []
        with self._lock:
            self._gone = self._gone or str(error or "the connection was closed")
            for stream in tuple(self._streams.values()):
                callbacks += stream.lose(self._gone if error else None)
        for callback in callbacks:
            callback()

    # --- events, with the lock held -------------------------------------------------------------------------------

    def _on_event(self, event: Event) -> Callbacks:
        if isinstance(event, GoawayReceived):
            return self._on_goaway(event)
        stream = self._streams.get(event.stream)
        if stream is None:
            return []
        if isinstance(event, DataReceived):
            return stream.arrive(event.parts)
        if isinstance(event, HeadersReceived):
            found = grouped(event.headers)
            return [] if is_head(found) else stream.end(outcome(found))
        if isinstance(event, StreamReset):
            if event.code == ErrorCode.REFUSED_STREAM and self.alive and stream.begin_again():
                return []
            code = _RESETS.get(event.code, Code.INTERNAL)
            return stream.end(RpcError(code, f"the daemon reset the call (HTTP/2 error {event.code})"))
        assert isinstance(event, StreamEnded)
        return stream.end(RpcError(Code.INTERNAL, "the answer ended without a status"))

    def _on_goaway(self, event: GoawayReceived) -> Callbacks:
        """A daemon that stops says so and lets what it has go on, but answers no new call."""
        self._gone = f"the daemon takes no more calls: {event.text or 'it is stopping'}"
        callbacks: Callbacks = []
        for number, stream in tuple(self._streams.items()):
            if number > event.last:
                callbacks += stream.lose(self._gone)
        return callbacks


def request_head(method: str, authority: str, scheme: str) -> tuple[tuple[str, str], ...]:
    """The headers that every gRPC request begins with."""
    return (
        (":method", "POST"),
        (":scheme", scheme),
        (":path", method),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", "pyllb"),
    )
