"""The channel against a scripted daemon: what its calls make of odd answers, and of a connection that goes."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pyllb.rpc.channel import Channel
from pyllb.rpc.framing import MessageReader, framed
from pyllb.rpc.http2 import (
    Connection,
    DataReceived,
    ErrorCode,
    HeadersReceived,
    StreamEnded,
    StreamReset,
)
from pyllb.rpc.inbox import RECEIVE_BUDGET
from pyllb.rpc.link import Link
from pyllb.rpc.status import CallCancelled, Code, RpcError
from pyllb.rpc.wakeup import Wakeup

HEAD = ((":status", "200"), ("content-type", "application/grpc"))
OK = (("grpc-status", "0"),)
TIMEOUT = 20.0


class Daemon:
    """Answers on the far end of a socket pair, as a test says. It owns the thread `daemon`."""

    def __init__(self, answer: Callable[[Daemon, int], None]) -> None:
        self.near, self._socket = socket.socketpair()
        self.connection = Connection(client=False)
        self.headers: dict[int, dict[str, str]] = {}
        self.requests: dict[int, list[bytes]] = {}
        self.resets: dict[int, int] = {}
        self.changed = threading.Condition()
        self._answer = answer
        self._readers: dict[int, MessageReader] = {}
        self._thread = threading.Thread(target=self._run, name="daemon", daemon=True)
        self._thread.start()

    def send(self, stream: int, *messages: bytes) -> None:
        self.connection.send_headers(stream, HEAD)
        self.connection.send_data(stream, framed(messages))

    def reply(self, stream: int, *messages: bytes) -> None:
        """A whole good answer."""
        self.send(stream, *messages)
        self.connection.send_end(stream, OK)

    def flush(self) -> None:
        with contextlib.suppress(OSError):  # of a socket that vanish() has shut
            while out := self.connection.take(1 << 20):
                self._socket.sendall(b"".join(out))

    def vanish(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        with self._socket:
            while data := self._receive():
                for event in self.connection.receive(data):
                    if isinstance(event, HeadersReceived):
                        self.headers[event.stream] = dict(event.headers)
                        self.requests[event.stream] = []
                        self._readers[event.stream] = MessageReader()
                    elif isinstance(event, DataReceived):
                        self.requests[event.stream] += self._readers[event.stream].feed(event.parts)
                    elif isinstance(event, StreamEnded):
                        self._answer(self, event.stream)
                    elif isinstance(event, StreamReset):
                        with self.changed:
                            self.resets[event.stream] = event.code
                            self.changed.notify_all()
                self.flush()

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(1 << 16)
        except OSError:
            return b""

    def join(self) -> None:
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive()


class Near:
    """The channel with its link to a daemon."""

    def __init__(self, answer: Callable[[Daemon, int], None]) -> None:
        self.daemon = Daemon(answer)
        wakeup = Wakeup()
        self.channel = Channel("localhost", wakeup.wake)
        self.link = Link(self.daemon.near, self.channel, wakeup, name="pyllb-client-io")

    def __enter__(self) -> Near:
        self.link.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()
        assert self.link.join(TIMEOUT)
        self.daemon.vanish()
        self.daemon.join()


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """No thread and no file descriptor outlives a test."""
    threads, files = set(threading.enumerate()), os.listdir("/proc/self/fd")
    yield
    assert [thread.name for thread in threading.enumerate() if thread not in threads] == []
    assert len(os.listdir("/proc/self/fd")) == len(files)


def echo(daemon: Daemon, stream: int) -> None:
    daemon.reply(stream, *daemon.requests[stream])


def test_a_request_has_the_headers_of_grpc() -> None:
    with Near(echo) as near:
        assert near.channel.call("/a.B/C", b"x", metadata=[("key", "välue")], timeout=2.5).answer() == b"x"
        headers = near.daemon.headers[1]
    assert headers == {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/a.B/C",
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
        "user-agent": "pyllb",
        "grpc-timeout": "2500m",
        "key": "välue",
    }


def test_an_answer_may_be_asked_for_again_and_from_several_threads() -> None:
    with Near(echo) as near:
        call = near.channel.call("/a.B/C", b"the answer")
        found: list[bytes] = []
        threads = [threading.Thread(target=lambda: found.append(call.answer())) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [b"the answer"] * 5
        assert call.error() is None


def test_a_large_request_and_a_large_answer_pass_the_windows() -> None:
    data = os.urandom(16 << 20)
    with Near(echo) as near:
        assert near.channel.call("/a.B/C", data).answer() == data


def test_calls_made_at_once_do_not_mix() -> None:
    with Near(echo) as near:
        calls = {f"{number}".encode() * 1000: near for number in range(300)}
        started = {request: near.channel.call("/a.B/C", request) for request in calls}
        assert all(call.answer() == request for request, call in started.items())


def test_a_stream_comes_message_by_message_and_ends() -> None:
    messages = [os.urandom(100_000) for _ in range(200)]

    def many(daemon: Daemon, stream: int) -> None:
        daemon.reply(stream, *messages)

    with Near(many) as near:
        call = near.channel.call("/a.B/C", b"")
        got: list[bytes] = []
        while (arrived := call.receive()) is not None:
            got += arrived
    assert got == messages


def test_a_reader_that_does_not_read_holds_the_daemon_back() -> None:
    sent = 3 * RECEIVE_BUDGET

    def many(daemon: Daemon, stream: int) -> None:
        daemon.reply(stream, *[bytes(1 << 20)] * (sent >> 20))

    with Near(many) as near:
        call = near.channel.call("/a.B/C", b"")
        time.sleep(0.3)
        waiting = near.daemon.connection.pending(1)
        assert waiting >= sent - 2 * RECEIVE_BUDGET
        got = 0
        while (arrived := call.receive()) is not None:
            got += sum(map(len, arrived))
    assert got == sent


def test_messages_that_came_before_a_failure_are_read_first() -> None:
    def half(daemon: Daemon, stream: int) -> None:
        daemon.send(stream, b"one", b"two")
        daemon.connection.send_end(stream, (("grpc-status", "9"), ("grpc-message", "50%25 of it %E2%9C%93")))

    with Near(half) as near:
        call = near.channel.call("/a.B/C", b"")
        error = call.error()
        assert call.receive() == [b"one", b"two"]
        with pytest.raises(RpcError, match="50% of it ✓") as caught:
            call.receive()
    assert caught.value is error
    assert caught.value.code == Code.FAILED_PRECONDITION


def test_details_come_with_the_error() -> None:
    details = os.urandom(200_001)

    def failed(daemon: Daemon, stream: int) -> None:
        text = base64.b64encode(details).decode().rstrip("=")
        daemon.connection.send_end(stream, (*HEAD, ("grpc-status", "2"), ("grpc-status-details-bin", text)))

    with Near(failed) as near, pytest.raises(RpcError) as caught:
        near.channel.call("/a.B/C", b"").answer()
    assert (caught.value.code, caught.value.details) == (Code.UNKNOWN, details)


@pytest.mark.parametrize(
    ("trailers", "code", "message"),
    [
        (((":status", "404"), ("content-type", "text/html")), Code.UNIMPLEMENTED, "HTTP status 404"),
        (((":status", "503"),), Code.UNAVAILABLE, "HTTP status 503"),
        (((":status", "302"),), Code.UNKNOWN, "HTTP status 302"),
        ((*HEAD, ("grpc-status", "99"), ("grpc-message", "odd")), Code.UNKNOWN, "odd"),
        ((*HEAD, ("grpc-status", "x"), ("grpc-message", "odder")), Code.UNKNOWN, "odder"),
        ((*HEAD, ("grpc-status", "5"), ("grpc-status-details-bin", "!")), Code.NOT_FOUND, "^$"),
        (HEAD, Code.INTERNAL, "without a status"),
        ((*HEAD, ("grpc-status", "0")), Code.INTERNAL, "one message is wanted, 0 came"),
    ],
)
def test_an_answer_that_is_only_headers(trailers: tuple[tuple[str, str], ...], code: Code, message: str) -> None:
    def bare(daemon: Daemon, stream: int) -> None:
        daemon.connection.send_end(stream, trailers)

    with Near(bare) as near, pytest.raises(RpcError, match=message) as caught:
        near.channel.call("/a.B/C", b"").answer()
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([b"\x01\0\0\0\x01x"], "a compressed message"),
        ([b"\0\xff\0\0\0"], "a message of 4278190080 bytes"),
        ([b"\0\0\0\0\x05half"], "ended inside a message"),
        (framed([b"a", b"b"]), "one message is wanted, 2 came"),
    ],
)
def test_an_answer_that_is_not_one_message(data: list[bytes], message: str) -> None:
    def broken(daemon: Daemon, stream: int) -> None:
        daemon.connection.send_headers(stream, HEAD)
        daemon.connection.send_data(stream, data)
        daemon.connection.send_end(stream, OK)

    with Near(broken) as near:
        with pytest.raises(RpcError, match=message) as caught:
            near.channel.call("/a.B/C", b"").answer()
        assert near.link.error is None
    assert caught.value.code == Code.INTERNAL


@pytest.mark.parametrize(
    ("reset", "code"),
    [
        (ErrorCode.REFUSED_STREAM, Code.UNAVAILABLE),
        (ErrorCode.CANCEL, Code.CANCELLED),
        (ErrorCode.INTERNAL_ERROR, Code.INTERNAL),
    ],
)
def test_a_reset_ends_the_call_and_no_other(reset: ErrorCode, code: Code) -> None:
    def second(daemon: Daemon, stream: int) -> None:
        if daemon.requests[stream] == [b"reset"]:
            daemon.connection.reset(stream, reset)
        else:
            echo(daemon, stream)

    with Near(second) as near:
        with pytest.raises(RpcError, match="reset the call") as caught:
            near.channel.call("/a.B/C", b"reset").answer()
        assert near.channel.call("/a.B/C", b"fine").answer() == b"fine"
    assert caught.value.code == code


def test_a_call_that_is_refused_is_made_again_for_it_was_not_begun() -> None:
    def busy(daemon: Daemon, stream: int) -> None:
        if len(daemon.requests) <= 3:
            daemon.connection.reset(stream, ErrorCode.REFUSED_STREAM)
        else:
            echo(daemon, stream)

    with Near(busy) as near:
        assert near.channel.call("/a.B/C", b"asked", metadata=(("a", "b"),)).answer() == b"asked"
        assert [len(requests) for requests in near.daemon.requests.values()] == [1, 1, 1, 1]
        assert {headers["a"] for headers in near.daemon.headers.values()} == {"b"}


def silent(daemon: Daemon, stream: int) -> None:
    """Never answers."""


def test_a_deadline_ends_the_wait_and_the_call() -> None:
    with Near(silent) as near:
        call, told = near.channel.call("/a.B/C", b"", timeout=0.1), threading.Event()
        call.on_end(told.set)
        with pytest.raises(RpcError, match=r"/a\.B/C had no answer within 0\.1 s") as caught:
            call.answer()
        assert caught.value.code == Code.DEADLINE_EXCEEDED
        assert told.is_set()
        with near.daemon.changed:
            assert near.daemon.changed.wait_for(lambda: near.daemon.resets.get(1) == ErrorCode.CANCEL, TIMEOUT)


def test_a_cancel_ends_the_wait_of_another_thread_and_the_daemons_work() -> None:
    with Near(silent) as near:
        call, told = near.channel.call("/a.B/C", b""), threading.Event()
        call.on_end(told.set)
        threading.Timer(0.1, call.cancel).start()
        with pytest.raises(CallCancelled, match=r"/a\.B/C was cancelled"):
            call.answer()
        assert told.wait(TIMEOUT)
        assert not call.cancel()
        with near.daemon.changed:
            assert near.daemon.changed.wait_for(lambda: near.daemon.resets.get(1) == ErrorCode.CANCEL, TIMEOUT)
        late = threading.Event()
        call.on_end(late.set)
        assert late.is_set()


def test_a_cancel_that_an_interrupt_breaks_off_is_completed_by_the_next() -> None:
    interrupts = [KeyboardInterrupt()]

    def wake() -> None:
        if ready and interrupts:
            raise interrupts.pop()

    ready: list[bool] = []
    channel, ended = Channel("localhost", wake), []
    call = channel.call("/a.B/C", b"")
    call.on_end(lambda: ended.append(call.error()))
    ready.append(True)
    with pytest.raises(KeyboardInterrupt):
        call.cancel()
    assert ended == []
    assert call.cancel() is False
    assert [type(error) for error in ended] == [CallCancelled]


def test_a_daemon_that_vanishes_ends_every_call_as_unavailable() -> None:
    with Near(silent) as near:
        calls = [near.channel.call("/a.B/C", b"") for _ in range(3)]
        near.daemon.vanish()
        for call in calls:
            with pytest.raises(RpcError, match="closed the connection") as caught:
                call.answer()
            assert caught.value.code == Code.UNAVAILABLE
        assert not near.channel.alive
        with pytest.raises(RpcError, match="closed the connection"):
            near.channel.call("/a.B/C", b"").answer()


def test_what_the_daemon_said_before_it_reset_the_connection_is_heard() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()
    listener.close()
    wakeup = Wakeup()
    channel = Channel("localhost", wakeup.wake)
    link = Link(near, channel, wakeup, name="pyllb-client-io")
    daemon = Connection(client=False)
    large = channel.call("/a.B/C", bytes(1 << 20))  # the window holds most of it back, so there is something to write
    link.start()
    daemon.receive(far.recv(1 << 20))
    with channel._lock:  # the link is busy while all of this happens
        wakeup.wake()
        time.sleep(0.1)
        daemon.send_headers(1, HEAD)
        daemon.send_end(1, (("grpc-status", "8"), ("grpc-message", "the message is too large")))
        far.sendall(b"".join(daemon.take(1 << 20)))
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        far.close()
        time.sleep(0.1)
        channel._connection.open(((":method", "POST"),))  # of another call, at this very moment
    with pytest.raises(RpcError, match="the message is too large") as caught:
        large.answer()
    assert caught.value.code == Code.RESOURCE_EXHAUSTED
    assert link.join(TIMEOUT)


def test_a_daemon_that_says_goodbye_ends_the_calls_it_begins_and_takes_no_other() -> None:
    def last(daemon: Daemon, stream: int) -> None:
        if stream == 1:
            daemon.connection.goaway(ErrorCode.NO_ERROR, "stopping")
            daemon.flush()
        echo(daemon, stream)

    with Near(last) as near:
        call = near.channel.call("/a.B/C", b"begun")
        assert call.answer() == b"begun"
        assert not near.channel.alive
        with pytest.raises(RpcError, match="takes no more calls: stopping") as caught:
            near.channel.call("/a.B/C", b"new").answer()
        assert caught.value.code == Code.UNAVAILABLE


def test_a_call_that_a_goodbye_leaves_out_has_ended() -> None:
    def refuse(daemon: Daemon, stream: int) -> None:
        if stream == 3:
            daemon.connection._last_peer_stream = 1  # as a server that had not seen the second call yet
            daemon.connection.goaway(ErrorCode.NO_ERROR)

    with Near(refuse) as near:
        first, second = near.channel.call("/a.B/C", b"1"), near.channel.call("/a.B/C", b"2")
        with pytest.raises(RpcError, match="it is stopping"):
            second.answer()
        near.daemon.connection.send_end(1, (*HEAD, ("grpc-status", "13")))
        near.daemon.flush()
        with pytest.raises(RpcError) as caught:
            first.answer()
        assert caught.value.code == Code.INTERNAL


def test_bytes_that_are_no_http2_end_every_call() -> None:
    def garbage(daemon: Daemon, stream: int) -> None:
        daemon.flush()
        daemon._socket.sendall(b"\0\0\1\0\0\0\0\0\0x")

    with Near(garbage) as near:
        with pytest.raises(RpcError, match="DATA on stream 0") as caught:
            near.channel.call("/a.B/C", b"").answer()
        assert near.link.join(TIMEOUT)
    assert caught.value.code == Code.UNAVAILABLE


def test_closing_ends_what_waits() -> None:
    near = Near(silent)
    with near:
        call = near.channel.call("/a.B/C", b"")
        threading.Timer(0.1, near.link.close).start()
        with pytest.raises(CallCancelled, match="the connection was closed"):
            call.answer()
