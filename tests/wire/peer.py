"""Peer: plays the daemon at the far end of a session: the outer gRPC server and, through the tunnel, the gRPC client.

    with peer_of(session) as peer:
        call = peer.call("/moby.filesync.v1.FileSync/DiffCopy", [("dir-name", "context")])
        call.send(b"...")
        call.receive()             # the next message, None at the end
        call.status()              # (code, message), waits for the trailers

Whatever waits does so for at most TIMEOUT seconds, then fails the test.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote

from pyllb.rpc.channel import Channel
from pyllb.rpc.framing import MessageReader, framed
from pyllb.rpc.http2 import (
    MAX_WINDOW,
    Connection,
    DataReceived,
    ErrorCode,
    Event,
    GoawayReceived,
    HeadersReceived,
    StreamEnded,
    StreamReset,
)
from pyllb.rpc.link import Link
from pyllb.rpc.wakeup import Wakeup
from pyllb.session.session import Session

TIMEOUT = 20.0


class PeerCall:
    """One call of the peer into the session."""

    def __init__(self, peer: Peer, stream: int) -> None:
        self.stream = stream
        self.headers: dict[str, str] = {}
        self.ended = False
        self.reset_code: int | None = None
        self.arrived = 0
        self._peer = peer
        self._reader = MessageReader()
        self._messages: deque[bytes] = deque()

    def send(self, *messages: bytes) -> None:
        """Queue messages and write what the windows let go."""
        with self._peer.lock:
            self._peer.inner.send_data(self.stream, framed(messages))
        self._peer.flush()

    def send_raw(self, data: bytes) -> None:
        """Queue bytes that need not be messages."""
        with self._peer.lock:
            self._peer.inner.send_data(self.stream, [data])
        self._peer.flush()

    def pending(self) -> int:
        """Bytes that the session's windows hold back."""
        with self._peer.lock:
            return self._peer.inner.pending(self.stream)

    def close_send(self) -> None:
        """Half-close."""
        with self._peer.lock:
            self._peer.inner.send_end(self.stream)
        self._peer.flush()

    def cancel(self) -> None:
        """RST_STREAM, as a cancelled context does."""
        with self._peer.lock:
            self._peer.inner.reset(self.stream, ErrorCode.CANCEL)
        self._peer.flush()

    def receive(self) -> bytes | None:
        """The next message, None at the end of the stream."""
        with self._peer.lock:
            self._peer.wait_for(lambda: self._messages or self.ended, f"a message on stream {self.stream}")
            if not self._messages:
                return None
            message = self._messages.popleft()
            if not self._peer.auto_credit:
                self._peer.inner.credit(self.stream, len(message) + 5)
        if not self._peer.auto_credit:
            self._peer.flush()
        return message

    def receive_all(self) -> list[bytes]:
        """All messages up to the end."""
        return list(iter(self.receive, None))

    def status(self) -> tuple[int, str]:
        """The trailers' code and message."""
        with self._peer.lock:
            self._peer.wait_for(lambda: "grpc-status" in self.headers, f"the trailers of stream {self.stream}")
            return int(self.headers["grpc-status"]), unquote(self.headers.get("grpc-message", ""))

    def on_event(self, event: Event) -> None:
        """The peer's thread brings what came, with the lock held."""
        if isinstance(event, HeadersReceived):
            self.headers.update(event.headers)
        elif isinstance(event, DataReceived):
            size = sum(map(len, event.parts))
            self.arrived += size
            self._messages += self._reader.feed(event.parts)
            if self._peer.auto_credit:
                self._peer.inner.credit(self.stream, size)
        elif isinstance(event, StreamEnded):
            self.ended = True
        elif isinstance(event, StreamReset):
            self.ended, self.reset_code = True, event.code


class Peer:
    """The daemon's side of one connection. It owns the socket and the thread `peer-reader`.

    window, outer_window: what the session may send on an inner stream, and on the outer one, before it gets credit.
    auto_credit: give it as bytes arrive; else the inner ones when a message is received by the test.
    """

    def __init__(
        self, sock: socket.socket, *, window: int = MAX_WINDOW, outer_window: int = MAX_WINDOW, auto_credit: bool = True
    ) -> None:
        self.lock = threading.Condition()
        self.outer = Connection(client=False, stream_window=outer_window)
        self.inner = Connection(client=True, stream_window=window)
        self.auto_credit = auto_credit
        self.metadata: list[tuple[str, str]] = []
        self.session_ended = False
        self.refusals = 0  # so many more streams are refused
        self.goaways: list[GoawayReceived] = []
        self.error: Exception | None = None
        self._socket = sock
        self._writing = threading.Lock()
        self._calls: dict[int, PeerCall] = {}
        self._outer_stream = 0
        self._messages = MessageReader()
        self._thread = threading.Thread(target=self._run, name="peer-reader", daemon=True)
        self._thread.start()

    # --- what a test does -----------------------------------------------------------------------------------------

    def call(self, method: str, metadata: Iterable[tuple[str, str]] = ()) -> PeerCall:
        """Open a call."""
        with self.lock:
            self.wait_for(lambda: self._outer_stream, "the session's stream")
            head = (":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "localhost")
            stream = self.inner.open((*head, ("content-type", "application/grpc"), ("te", "trailers"), *metadata))
            call = self._calls[stream] = PeerCall(self, stream)
        self.flush()
        return call

    def unary(self, method: str, request: bytes = b"", metadata: Iterable[tuple[str, str]] = ()) -> bytes:
        """One whole call; raises AssertionError unless it ends with OK and one message."""
        call = self.call(method, metadata)
        call.send(request)
        call.close_send()
        answers = call.receive_all()
        assert call.status() == (0, "")
        (answer,) = answers
        return answer

    def failed(self, method: str, request: bytes = b"", metadata: Iterable[tuple[str, str]] = ()) -> tuple[int, str]:
        """The status of a unary call."""
        call = self.call(method, metadata)
        call.send(request)
        call.close_send()
        return call.status()

    def healthy(self) -> bool:
        """Whether a health check is answered."""
        return self.unary("/grpc.health.v1.Health/Check") == b"\x08\x01"

    def session_metadata(self) -> list[tuple[str, str]]:
        """The headers that opened the session."""
        with self.lock:
            self.wait_for(lambda: self.metadata, "the session's headers")
        return self.metadata

    def end_session(self, code: int = 0, message: str = "") -> None:
        """End the outer stream with trailers."""
        with self.lock:
            self.wait_for(lambda: self._outer_stream, "the session's stream")
            self.outer.send_end(self._outer_stream, (("grpc-status", str(code)), ("grpc-message", message)))
        self.flush()

    def begin_anew(self) -> None:
        """Take the next session of this connection."""
        with self.lock:
            self._outer_stream, self.metadata, self._calls = 0, [], {}
            self.inner, self._messages = Connection(client=True), MessageReader()
            self.session_ended = False

    def inject(self, data: bytes) -> None:
        """Put raw bytes into the tunnel."""
        with self.lock:
            self.wait_for(lambda: self._outer_stream, "the session's stream")
            self.outer.send_data(self._outer_stream, _bytes_message([data]))
        self.flush()

    def write(self, data: bytes) -> None:
        """Put raw bytes on the socket."""
        with self._writing:
            self._socket.sendall(data)

    def vanish(self) -> None:
        """Close the socket without a word, as a killed daemon does."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(TIMEOUT)
        self._socket.close()

    def wait_for(self, condition: object, what: str) -> None:
        """Wait, with the lock held, until the condition, a callable, holds."""
        assert callable(condition)
        end = time.monotonic() + TIMEOUT
        while not condition():
            assert self.error is None, f"the peer failed: {self.error!r}"
            assert self._thread.is_alive() or condition(), f"the session's connection ended before {what}"
            assert time.monotonic() < end, f"waited {TIMEOUT} s for {what}"
            self.lock.wait(0.1)

    # --- bytes ----------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what the windows let go."""
        with self._writing:
            while True:
                with self.lock:
                    if self._outer_stream and not self.outer.pending(self._outer_stream):
                        inner = self.inner.take(1 << 20)
                        if inner:
                            self.outer.send_data(self._outer_stream, _bytes_message(inner))
                    out = self.outer.take(1 << 20)
                if not out:
                    return
                with contextlib.suppress(OSError):  # a session that is gone: the reader sees its end
                    self._socket.sendall(b"".join(out))

    def _run(self) -> None:
        try:
            while data := self._socket.recv(256 << 10):
                with self.lock:
                    for event in self.outer.receive(data):
                        self._on_outer(event)
                    self.lock.notify_all()
                self.flush()
        except OSError:
            pass
        except Exception as error:
            self.error = error
        finally:
            with self.lock:
                self.session_ended = True
                for call in self._calls.values():
                    call.ended = True
                self.lock.notify_all()

    def _on_outer(self, event: Event) -> None:
        if isinstance(event, HeadersReceived) and self.refusals:
            self.refusals -= 1
            self.outer.reset(event.stream, ErrorCode.REFUSED_STREAM)
        elif isinstance(event, HeadersReceived):
            self._outer_stream = event.stream
            self.metadata = list(event.headers)
            headers = ((":status", "200"), ("content-type", "application/grpc"))
            self.outer.send_headers(event.stream, headers)
        elif isinstance(event, DataReceived) and event.stream == self._outer_stream:
            for message in self._messages.feed(event.parts):
                self._on_message(memoryview(message))
            self.outer.credit(event.stream, sum(map(len, event.parts)))
        elif isinstance(event, StreamEnded):
            self.session_ended = True
            self.outer.send_end(event.stream, (("grpc-status", "0"),))

    def _on_message(self, message: memoryview) -> None:
        assert message[0] == 0x0A, "not a BytesMessage"
        size, position = 0, 1
        while True:
            size |= (message[position] & 0x7F) << 7 * (position - 1)
            position += 1
            if message[position - 1] < 0x80:
                break
        assert len(message) == position + size
        for event in self.inner.receive(message[position:]):
            if isinstance(event, GoawayReceived):
                self.goaways.append(event)
            elif event.stream in self._calls:
                self._calls[event.stream].on_event(event)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.vanish()


def _bytes_message(parts: Sequence[bytes | bytearray | memoryview]) -> list[bytes | bytearray | memoryview]:
    size = sum(map(len, parts))
    rest, length = size, bytearray()
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    head = b"\x0a" + length
    return [struct.pack(">BI", 0, len(head) + size) + head, *parts]


@contextlib.contextmanager
def peer_of(
    session: Session, *, window: int = MAX_WINDOW, outer_window: int = MAX_WINDOW, auto_credit: bool = True
) -> Iterator[Peer]:
    """The session, started against a peer; both are closed at the end."""
    near, far = socket.socketpair()
    with (
        Peer(far, window=window, outer_window=outer_window, auto_credit=auto_credit) as peer,
        channel_on(near) as channel,
    ):
        session.start(channel)
        try:
            yield peer
        finally:
            session.close()


@contextlib.contextmanager
def channel_on(sock: socket.socket) -> Iterator[Channel]:
    """A channel whose link moves bytes over this socket; it is closed at the end."""
    wakeup = Wakeup()
    channel = Channel("localhost", wakeup.wake)
    link = Link(sock, channel, wakeup, name="pyllb-client-io")
    link.start()
    try:
        yield channel
    finally:
        link.close()
        assert link.join(TIMEOUT)
