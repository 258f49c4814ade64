"""The session against a scripted daemon: what it serves, what it survives, what it leaves behind."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import socket
import ssl
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from io import BufferedReader

import pytest

from pyllb.errors import ConnectError
from pyllb.rpc.channel import Channel
from pyllb.rpc.http2 import ErrorCode
from pyllb.rpc.status import CallCancelled, Code, RpcError
from pyllb.session.call import Call, Handler
from pyllb.session.ids import new_id
from pyllb.session.served import SEND_BUDGET, ServedCall
from pyllb.session.session import Session
from pyllb.session.tunnel import why
from tests.wire.peer import TIMEOUT, Peer, channel_on, peer_of


class Services:
    """An attachable of a test's own handlers, by method name."""

    def __init__(self, **handlers: Handler) -> None:
        self._handlers = handlers

    def methods(self) -> Mapping[str, Handler]:
        return {f"/test.Service/{name}": handler for name, handler in self._handlers.items()}


def echo(call: Call) -> None:
    while (messages := call.receive()) is not None:
        call.send(messages)


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """No thread and no file descriptor outlives a test."""
    threads, files = set(threading.enumerate()), os.listdir("/proc/self/fd")
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in threads]
    assert left == []
    assert len(os.listdir("/proc/self/fd")) == len(files)


def test_ids_look_like_those_of_buildkits_clients() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch("[0-9a-z]{25}", id) for id in ids)


def test_the_session_announces_its_id_its_key_and_every_method() -> None:
    with peer_of(Session([Services(Echo=echo)], id="me", shared_key="my-key")) as peer:
        metadata = peer.session_metadata()
    assert dict(metadata)[":path"] == "/moby.buildkit.v1.Control/Session"
    assert dict(metadata)[":authority"] == "localhost"
    assert dict(metadata)["te"] == "trailers"
    assert [pair for pair in metadata if pair[0].startswith("x-docker-expose")] == [
        ("x-docker-expose-session-uuid", "me"),
        ("x-docker-expose-session-sharedkey", "my-key"),
        ("x-docker-expose-session-grpc-method", "/grpc.health.v1.Health/Check"),
        ("x-docker-expose-session-grpc-method", "/test.Service/Echo"),
    ]


def test_two_attachables_may_not_serve_the_same_method() -> None:
    with pytest.raises(ValueError, match=r"two attachables serve /test\.Service/Echo"):
        Session([Services(Echo=echo), Services(Echo=echo)])


def test_a_unary_call_is_answered() -> None:
    with peer_of(Session([Services(Echo=echo)])) as peer:
        assert peer.unary("/test.Service/Echo", b"hello") == b"hello"


def test_a_stream_goes_both_ways_before_it_ends() -> None:
    with peer_of(Session([Services(Echo=echo)])) as peer:
        call = peer.call("/test.Service/Echo")
        for number in range(100):
            call.send(b"%d" % number, b"")
            assert (call.receive(), call.receive()) == (b"%d" % number, b"")
        call.close_send()
        assert call.receive() is None
        assert call.status() == (0, "")


def test_a_message_may_be_sent_in_parts() -> None:
    def parts(call: Call) -> None:
        call.send([(b"head", memoryview(b"-body-")[1:5], b"!"), b"whole", b"x" * 10_000])

    with peer_of(Session([Services(Parts=parts)])) as peer:
        assert peer.call("/test.Service/Parts").receive_all() == [b"headbody!", b"whole", b"x" * 10_000]


def test_receive_without_waiting_gives_what_is_there() -> None:
    seen: list[list[bytes] | None] = []
    here = threading.Event()

    def poll(call: Call) -> None:
        seen.append(call.receive(wait=False))
        here.set()
        seen.append(call.receive())
        while (messages := call.receive(wait=False)) is not None:
            seen.append(messages) if messages else time.sleep(0.01)
        seen.append(messages)

    with peer_of(Session([Services(Poll=poll)])) as peer:
        call = peer.call("/test.Service/Poll")
        assert here.wait(TIMEOUT)
        call.send(b"1", b"2")
        call.close_send()
        assert call.status() == (0, "")
    assert seen[0] == []
    assert seen[-1] is None
    assert [message for batch in seen[1:-1] for message in batch or ()] == [b"1", b"2"]


def test_health_is_answered_while_handlers_are_busy() -> None:
    release = threading.Event()

    def slow(call: Call) -> None:
        release.wait(TIMEOUT)

    with peer_of(Session([Services(Slow=slow)])) as peer:
        calls = [peer.call("/test.Service/Slow") for _ in range(20)]
        started = time.monotonic()
        assert all(peer.healthy() for _ in range(20))
        assert time.monotonic() - started < 5
        release.set()
        assert {call.status() for call in calls} == {(0, "")}


def test_health_is_answered_while_replies_wait_for_the_window() -> None:
    with peer_of(Session([Services(Echo=echo)]), window=100, auto_credit=False) as peer:
        call = peer.call("/test.Service/Echo")
        call.send(bytes(64 << 10))
        assert peer.healthy()
        call.cancel()


def test_many_small_replies_through_a_tiny_window_do_not_stop_the_reading() -> None:
    count = 20_000

    def requests(call: Call) -> None:
        """As a receiver of files does: answers every message with a small one, and goes on reading."""
        while (messages := call.receive()) is not None:
            call.send([message[:4] for message in messages])

    with peer_of(Session([Services(Requests=requests)]), window=500) as peer:
        call = peer.call("/test.Service/Requests")
        for start in range(0, count, 1000):
            call.send(*(b"%06d" % number + bytes(60) for number in range(start, start + 1000)))
        call.close_send()
        answers = call.receive_all()
    assert answers == [(b"%06d" % number)[:4] for number in range(count)]


def test_a_daemon_that_does_not_read_holds_back_the_handler_at_its_budget() -> None:
    sent = 0

    def flood(call: Call) -> None:
        nonlocal sent
        while True:
            call.send([bytes(1 << 16)])
            sent += 1 << 16

    with peer_of(Session([Services(Flood=flood)]), window=1000, auto_credit=False) as peer:
        call = peer.call("/test.Service/Flood")
        _until(lambda: sent > SEND_BUDGET - (1 << 17))
        time.sleep(0.2)
        assert sent <= SEND_BUDGET + (1 << 17)
        assert peer.healthy()
        call.cancel()


def test_a_handler_that_does_not_read_holds_back_the_daemon() -> None:
    release = threading.Event()
    got = 0

    def late(call: Call) -> None:
        nonlocal got
        release.wait(TIMEOUT)
        while (messages := call.receive()) is not None:
            got += sum(map(len, messages))

    total = 64 << 20
    with peer_of(Session([Services(Late=late)])) as peer:
        call = peer.call("/test.Service/Late")
        for _ in range(total >> 20):
            call.send(bytes(1 << 20))
        call.close_send()
        assert peer.healthy()
        assert call.pending() > total - (40 << 20)
        release.set()
        assert call.status() == (0, "")
    assert got == total


def test_a_message_larger_than_every_window_arrives() -> None:
    def size(call: Call) -> None:
        total = 0
        while (messages := call.receive()) is not None:
            total += sum(map(len, messages))
        call.send([b"%d" % total])

    with peer_of(Session([Services(Size=size)])) as peer:
        assert peer.unary("/test.Service/Size", bytes(20 << 20)) == b"%d" % (20 << 20)


def test_twenty_thousand_patterns_fit_in_the_metadata() -> None:
    seen: list[tuple[str, ...]] = []

    def keep(call: Call) -> None:
        seen.append(call.metadata["exclude-patterns"])

    patterns = tuple(f"**/node_modules/package-{number}/**" for number in range(20_000))
    with peer_of(Session([Services(Keep=keep)])) as peer:
        call = peer.call("/test.Service/Keep", [("exclude-patterns", pattern) for pattern in patterns])
        assert call.status() == (0, "")
    assert seen == [patterns]


def test_what_a_handler_raises_becomes_the_trailers() -> None:
    def refuse(call: Call) -> None:
        raise RpcError(Code.NOT_FOUND, 'no access allowed to dir "é"\n100%')

    def break_down(call: Call) -> None:
        call.send([b"half"])
        raise OSError(13, "Permission denied", "/x")

    def leave(call: Call) -> None:
        raise SystemExit

    session = Session([Services(Refuse=refuse, Break=break_down, Leave=leave)])
    with peer_of(session) as peer:
        assert peer.failed("/test.Service/Refuse") == (5, 'no access allowed to dir "é"\n100%')
        call = peer.call("/test.Service/Break")
        assert call.receive() == b"half"
        assert call.status() == (2, "[Errno 13] Permission denied: '/x'")
        assert peer.failed("/test.Service/Leave") == (2, "SystemExit")
        assert peer.healthy()
        assert [(failure.method, type(failure.error)) for failure in session.failures] == [
            ("/test.Service/Refuse", RpcError),
            ("/test.Service/Break", PermissionError),
            ("/test.Service/Leave", SystemExit),
        ]
    assert session.error is None


def test_a_failure_that_is_kept_does_not_keep_open_what_its_handler_had_open() -> None:
    opened: list[weakref.ref[BufferedReader]] = []

    def leave_open(call: Call) -> None:
        file = open(os.devnull, "rb")  # noqa: SIM115  # left open on purpose
        opened.append(weakref.ref(file))
        with file:
            raise ValueError("no good")

    session = Session([Services(Open=leave_open)])
    with peer_of(session) as peer:
        assert peer.failed("/test.Service/Open") == (2, "no good")
        (failure,) = session.failures
        assert str(failure.error) == "no good"
        assert opened[0]() is None


def test_what_lies_behind_a_failure_that_is_kept_is_not_kept_open_either() -> None:
    opened: list[weakref.ref[BufferedReader]] = []

    def read() -> None:
        file = open(os.devnull, "rb")  # noqa: SIM115  # left open on purpose
        opened.append(weakref.ref(file))
        raise ValueError("no good")

    def leave_open(call: Call) -> None:
        try:
            read()
        except ValueError as error:
            raise RpcError(Code.UNKNOWN, "refused") from error

    session = Session([Services(Open=leave_open)])
    with peer_of(session) as peer, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert peer.failed("/test.Service/Open") == (2, "refused")
        (failure,) = session.failures
        assert isinstance(failure.error.__cause__, ValueError)
        assert opened[0]() is None


class Untold(Exception):
    """One whose text cannot be made."""

    def __str__(self) -> str:
        raise LookupError("no text")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(2, "gone", "caf\udce9"), "[Errno 2] gone: 'caf\\udce9'"),
        (ValueError("caf\udce9 \ud83d"), "caf\\udce9 \\ud83d"),
        (Untold(), "Untold"),
        (RpcError(Code.UNKNOWN, "x" * 100_000), "x" * (32 << 10) + "... (100000 characters)"),
    ],
)
def test_a_failure_whose_text_is_odd_still_becomes_trailers(error: Exception, text: str) -> None:
    def fail(call: Call) -> None:
        raise error

    with peer_of(Session([Services(Fail=fail)])) as peer:
        assert peer.failed("/test.Service/Fail") == (Code.UNKNOWN, text)
        assert peer.healthy()


def test_health_checks_that_are_broken_leave_nothing_behind() -> None:
    with peer_of(Session([])) as peer:
        before = _kept_calls()
        for _ in range(5):
            call = peer.call("/grpc.health.v1.Health/Check")
            call.send_raw(b"\x01\x00\x00\x00\x01x")
            _until(lambda call=call: call.ended)  # type: ignore[misc]  # the default binds the loop's call
        assert peer.healthy()
        assert _kept_calls() <= before + 1


def _kept_calls() -> int:
    gc.collect()
    return sum(isinstance(kept, ServedCall) for kept in gc.get_objects())


def test_an_unknown_method_is_unimplemented() -> None:
    with peer_of(Session([])) as peer:
        assert peer.failed("/moby.filesync.v1.FileSync/DiffCopy") == (
            Code.UNIMPLEMENTED,
            "unknown method /moby.filesync.v1.FileSync/DiffCopy",
        )


def test_a_reset_of_the_daemon_cancels_the_call() -> None:
    outcome: list[BaseException] = []
    done = threading.Event()

    def wait(call: Call) -> None:
        call.send([b"here"])
        try:
            call.receive()
        except CallCancelled as error:
            outcome.append(error)
            with pytest.raises(CallCancelled):
                call.send([b"too late"])
            done.set()
            raise

    with peer_of(Session([Services(Wait=wait)])) as peer:
        call = peer.call("/test.Service/Wait")
        assert call.receive() == b"here"
        call.cancel()
        assert done.wait(TIMEOUT)
        assert str(outcome[0]) == "the daemon cancelled the call"
        assert peer.healthy()


def test_a_call_ends_at_the_deadline_that_the_daemon_gave() -> None:
    with peer_of(Session([Services(Echo=echo)])) as peer:
        call = peer.call("/test.Service/Echo", [("grpc-timeout", "200m")])
        assert call.status() == (Code.DEADLINE_EXCEEDED, "the deadline passed")


def test_a_compressed_message_ends_its_call_only() -> None:
    with peer_of(Session([Services(Echo=echo)])) as peer:
        call = peer.call("/test.Service/Echo")
        call.send_raw(b"\x01\x00\x00\x00\x01x")
        _until(lambda: call.ended)
        assert call.reset_code == 8
        assert peer.healthy()


def test_many_calls_at_once_do_not_mix() -> None:
    with peer_of(Session([Services(Echo=echo)])) as peer:
        calls = [peer.call("/test.Service/Echo") for _ in range(50)]
        for index in range(20):
            for number, call in enumerate(calls):
                call.send(b"%d:%d" % (number, index) + bytes(3000))
        for call in calls:
            call.close_send()
        for number, call in enumerate(calls):
            heads = [message[:-3000] for message in call.receive_all()]
            assert heads == [b"%d:%d" % (number, index) for index in range(20)]


# --- the end ------------------------------------------------------------------------------------------------------


def waiting(seen: list[str]) -> Handler:
    def wait(call: Call) -> None:
        call.send([b"here"])
        try:
            call.receive()
        except CallCancelled as error:
            seen.append(str(error))
            raise

    return wait


def start_waiting(peer: Peer) -> None:
    assert peer.call("/test.Service/Wait").receive() == b"here"


def test_a_daemon_that_vanishes_ends_the_session_and_its_calls() -> None:
    seen: list[str] = []
    session = Session([Services(Wait=waiting(seen))])
    with peer_of(session) as peer:
        start_waiting(peer)
        peer.vanish()
        assert session.wait(TIMEOUT)
        assert isinstance(session.error, ConnectError)
        assert str(session.error) == "the session with the daemon was lost: the daemon closed the connection"
        session.close()
    assert seen == ["the session was lost"]


def test_a_connection_reset_ends_the_session() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()
    listener.close()
    session = Session([])
    with channel_on(near) as channel:
        session.start(channel)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        far.close()
        assert session.wait(TIMEOUT)
        assert "Connection reset by peer" in str(session.error)
        session.close()


def test_the_status_with_which_a_daemon_ends_the_session_is_told() -> None:
    session = Session([])
    with peer_of(session) as peer:
        peer.end_session(12, "unknown service moby.buildkit.v1.Control")
        assert session.wait(TIMEOUT)
        assert "unknown service moby.buildkit.v1.Control (gRPC status 12)" in str(session.error)


def test_a_daemon_that_ends_the_session_in_good_order_is_an_error_too() -> None:
    session = Session([])
    with peer_of(session) as peer:
        peer.end_session()
        assert session.wait(TIMEOUT)
        assert str(session.error).endswith("the daemon closed the session")


def test_a_server_that_is_no_grpc_server_is_named() -> None:
    near, far = socket.socketpair()
    with far, channel_on(near) as channel:
        session = Session([])
        session.start(channel)
        far.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        assert session.wait(TIMEOUT)
        assert "the peer opened with b'HTTP/1.1 ', not as HTTP/2" in str(session.error)
        session.close()


def test_bytes_in_the_tunnel_that_are_not_http2_end_the_session() -> None:
    session = Session([])
    with peer_of(session) as peer:
        assert peer.healthy()
        peer.inject(b"\xff" * 64)
        assert session.wait(TIMEOUT)
        assert "the limit is 16384" in str(session.error)


def test_close_cancels_calls_and_ends_the_stream_in_good_order() -> None:
    seen: list[str] = []
    session = Session([Services(Wait=waiting(seen))])
    with peer_of(session) as peer:
        start_waiting(peer)
        started = time.monotonic()
        session.close()
        assert time.monotonic() - started < 1
        assert peer.session_ended
        assert len(peer.goaways) == 1
    assert seen == ["the session is closed"]
    assert session.error is None


def test_close_is_bounded_when_the_daemon_neither_reads_nor_answers() -> None:
    def flood(call: Call) -> None:
        while True:
            call.send([bytes(1 << 20)])

    near, far = socket.socketpair()
    with far, channel_on(near) as channel:
        session = Session([Services(Flood=flood)])
        session.start(channel)
        started = time.monotonic()
        session.close()
        assert time.monotonic() - started < 3


def test_close_is_bounded_when_a_handler_hangs() -> None:
    release = threading.Event()

    def hang(call: Call) -> None:
        call.send([b"here"])
        release.wait(TIMEOUT)

    session = Session([Services(Wait=hang)])
    with peer_of(session) as peer:
        start_waiting(peer)
        started = time.monotonic()
        session.close()
        assert time.monotonic() - started < 5
        release.set()
        session.close()


def test_close_may_come_twice_and_before_start() -> None:
    session = Session([])
    session.close()
    with peer_of(session):
        session.close()
        session.close()
    assert session.error is None


def test_a_session_on_a_channel_that_is_gone_has_ended() -> None:
    near, far = socket.socketpair()
    session = Session([])
    with channel_on(near) as channel:
        far.close()
        _until(lambda: not channel.alive)
        session.start(channel)
        assert session.wait(TIMEOUT)
        assert "the session with the daemon was lost: " in str(session.error)
        session.close()


def test_a_session_starts_once() -> None:
    session = Session([])
    with peer_of(session):
        channel = Channel("localhost", lambda: None)
        with pytest.raises(RuntimeError, match="only once"):
            session.start(channel)


def test_only_a_session_that_ends_while_its_connection_lives_is_told_of() -> None:
    told: list[Exception] = []
    with peer_of(Session([], on_lost=told.append)) as peer:
        peer.end_session(7, "sessions are not for you")
        _until(lambda: bool(told))
    assert [why(error) for error in told] == ["the daemon ended the session: sessions are not for you (gRPC status 7)"]
    for end in (Peer.vanish, lambda peer: None):
        with peer_of(session := Session([], on_lost=told.append)) as peer:
            assert peer.healthy()
            end(peer)
        assert session.wait(TIMEOUT)
    assert len(told) == 1


@pytest.mark.parametrize(("times", "taken"), [(1, True), (3, True), (1000, False)])
def test_a_session_that_is_refused_is_opened_again_for_it_was_not_begun(times: int, taken: bool) -> None:
    near, far = socket.socketpair()
    session = Session([Services(Echo=echo)])
    with Peer(far) as peer, channel_on(near) as channel:
        peer.refusals = times
        session.start(channel)
        if taken:
            assert peer.unary("/test.Service/Echo", b"hello") == b"hello"
            assert session.error is None
        else:
            assert session.wait(TIMEOUT)
            assert "the daemon reset the call (HTTP/2 error 7)" in str(session.error)
            assert peer.refusals > 0
        session.close()


def test_sessions_and_calls_share_a_connection_and_end_apart() -> None:
    near, far = socket.socketpair()
    first, second = Session([Services(Echo=echo)]), Session([Services(Echo=echo)])
    with Peer(far) as peer, channel_on(near) as channel:
        first.start(channel)
        assert peer.unary("/test.Service/Echo", b"one") == b"one"
        first.close()
        assert channel.alive
        peer.begin_anew()
        second.start(channel)
        assert peer.unary("/test.Service/Echo", b"two") == b"two"
        peer.inject(b"\xff" * 64)
        assert second.wait(TIMEOUT)
        assert channel.alive
        second.close()


def test_a_daemon_that_is_silent_is_lost() -> None:
    near, far = socket.socketpair()
    session = Session([], silence=0.3)
    with far, channel_on(near) as channel:
        time.sleep(0.5)  # without a session nobody waits for it
        assert channel.alive
        session.start(channel)
        started = time.monotonic()
        assert session.wait(TIMEOUT)
        assert 0.2 < time.monotonic() - started < 3
        assert "the daemon sent nothing for 0.3 s, and closed no connection" in str(session.error)
        session.close()


def test_a_daemon_that_was_heard_of_while_this_side_was_stopped_is_not_lost() -> None:
    near, far = socket.socketpair()
    session = Session([], silence=1)
    with Peer(far) as peer, channel_on(near) as channel:
        session.start(channel)
        assert peer.healthy()
        with channel._lock:  # the link gets no further, as in a process that has a SIGSTOP
            channel.wake()
            time.sleep(1.3)
            peer.write(b"\0\0\x08\x06\0\0\0\0\0" + bytes(8))  # PING
        assert not session.wait(0.1)
        assert peer.healthy()
        assert session.wait(TIMEOUT)
        assert "the daemon sent nothing for 1 s" in str(session.error)
        session.close()


def test_a_daemon_that_announces_its_stop_keeps_the_session() -> None:
    session = Session([Services(Echo=echo)])
    with peer_of(session) as peer:
        assert peer.healthy()
        with peer.lock:
            peer.outer.goaway(ErrorCode.NO_ERROR, "graceful_stop")
        peer.flush()
        assert peer.unary("/test.Service/Echo", b"still here") == b"still here"
        assert session.error is None


def test_everything_works_through_a_narrow_outer_window() -> None:
    with peer_of(Session([Services(Echo=echo)]), outer_window=1000) as peer:
        assert peer.unary("/test.Service/Echo", bytes(1 << 20)) == bytes(1 << 20)
        assert peer.healthy()


def test_a_session_runs_over_tls() -> None:
    session = Session([Services(Echo=echo)])
    with _over_tls() as (near, far), Peer(far) as peer, channel_on(near) as channel:
        session.start(channel)
        call = peer.call("/test.Service/Echo")
        for size in (0, 1, 100_000, 5 << 20):
            call.send(bytes(size))
            assert call.receive() == bytes(size)
        assert peer.healthy()
        session.close()
    assert session.error is None


@contextlib.contextmanager
def _over_tls() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TLS socket, and the plain one that a relay makes of its other end."""
    near, wire = socket.socketpair()
    far, plain = socket.socketpair()
    relay = threading.Thread(target=_relay, args=(wire, plain), name="tls-relay", daemon=True)
    relay.start()
    yield _anonymous(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(near), far
    relay.join(TIMEOUT)


def _anonymous(protocol: int) -> ssl.SSLContext:
    """Encrypted without certificates, which is all that the link can tell."""
    context = ssl.SSLContext(protocol)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH:@SECLEVEL=0")
    return context


def _relay(wire: socket.socket, plain: socket.socket) -> None:
    blocked = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
    with plain, _anonymous(ssl.PROTOCOL_TLS_SERVER).wrap_socket(wire, server_side=True) as secure:
        secure.setblocking(False)
        plain.setblocking(False)
        waiting: dict[socket.socket, bytes] = {secure: b"", plain: b""}
        while True:
            moved = False
            for source, sink in ((secure, plain), (plain, secure)):
                try:
                    if not waiting[sink]:
                        waiting[sink] = source.recv(1 << 16)
                        if not waiting[sink]:
                            return
                    waiting[sink] = waiting[sink][sink.send(waiting[sink]) :]
                    moved = True
                except blocked:
                    continue
                except OSError:
                    return
            if not moved:
                time.sleep(0.001)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
