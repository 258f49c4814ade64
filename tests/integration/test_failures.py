"""Failures: what goes wrong is told as one typed error, within seconds, and nothing is left behind."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import pyllb
from pyllb import FS, Client, fs
from pyllb._pb import control_pb2
from pyllb.client import parse_address
from pyllb.client.connection import Connection
from pyllb.client.job import Job
from pyllb.client.options import Options
from pyllb.client.task import Cancellation
from pyllb.errors import (
    ConnectError,
    ExecError,
    GraphError,
    NotThereYet,
    PyllbError,
    ResolveError,
    SolveTimeout,
    UsageError,
)
from pyllb.rpc.status import RpcError
from pyllb.status import SolveStatus
from tests.integration.waiting import until
from tests.testbed import Testbed

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def seconds() -> float:
    """A long time that no other test sleeps, here or in another run on this machine."""
    return round(random.uniform(70, 80), 9)


def sleeping(seconds: float) -> FS:
    """A build that would take very long; the number of seconds tells its process among others."""
    return fs().image("busybox").run(f"exec sleep {seconds}")


def sleeps(seconds: float) -> bool:
    """Whether the process of sleeping(seconds) runs; the daemon's steps are processes of this machine."""
    wanted = f"sleep\0{seconds}\0".encode()
    return any(_read(path / "cmdline") == wanted for path in Path("/proc").glob("[0-9]*"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block takes no longer."""
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds


class Running:
    """A sink that calls back once, when a command has started."""

    def __init__(self, started: Callable[[], object]) -> None:
        self._started: Callable[[], object] | None = started

    def update(self, status: SolveStatus) -> None:
        if any(vertex.started and not vertex.completed and "sleep" in vertex.name for vertex in status.vertexes):
            started, self._started = self._started, None
            if started is not None:
                started()

    def close(self) -> None: ...


def works(client: Client) -> bool:
    """Whether a solve in this process succeeds."""
    return client.solve(fs().image("busybox").run("true")).cache.total == 1


def test_a_failed_command_has_its_exit_code_its_last_lines_and_its_place(client: Client, nonce: str) -> None:
    # The daemon reads two pipes, which have no common order but that of time.
    command = f"for i in $(seq 100); do echo line $i {nonce}; done; sleep 0.5; echo to stderr >&2; exit 42"
    with pytest.raises(ExecError) as caught:
        client.solve(fs().image("busybox").run(command, name="the step"))
    error = caught.value
    assert error.process_exit_code == 42
    assert error.command == f"/bin/sh -c {command}"
    assert error.vertex == "the step"
    assert len(error.logs) == 50
    assert error.logs[-2:] == (f"line 100 {nonce}", "to stderr")
    assert "exit code 42" in str(error)
    assert error.exit_code == 1
    assert error.sources[0].filename == __file__
    assert "run(command" in error.sources[0].excerpt(0)


def step(base: FS, word: str) -> FS:
    return base.run(f"test {word} != bad")


def test_a_step_in_a_helper_that_a_loop_calls_has_both_places(client: Client) -> None:
    state = fs().image("busybox")
    for word in ("good", "bad", "fine"):
        state = step(state, word)  # the loop
    with pytest.raises(ExecError) as caught:
        client.solve(state)
    inner, outer = caught.value.sources[:2]
    assert "test {word} != bad" in inner.excerpt(0)
    assert "# the loop" in outer.excerpt(0)
    assert inner.function == "step"
    assert outer.function == "test_a_step_in_a_helper_that_a_loop_calls_has_both_places"


def test_a_command_that_is_not_there_is_an_exec_error(client: Client) -> None:
    with pytest.raises(ExecError) as caught:
        client.solve(fs().image("busybox").run(["no-such-program", "an argument"]))
    assert caught.value.process_exit_code == 127 or "no-such-program" in str(caught.value)
    assert caught.value.command == "no-such-program 'an argument'"


def test_a_command_whose_exit_code_is_allowed_is_no_error(client: Client, nonce: str) -> None:
    client.solve(fs().image("busybox").run(f"echo {nonce}; exit 3", ok_codes=[3]))


def test_a_missing_image_is_told_with_its_name_and_place(client: Client) -> None:
    with pytest.raises(ResolveError, match=r"docker.io/library/no-such-image:1.*not found") as caught:
        client.solve(fs().image("no-such-image:1").run("true"))
    assert "no-such-image:1" in caught.value.sources[0].excerpt(0)


def test_a_missing_file_of_a_copy_is_told_at_its_place(client: Client) -> None:
    with pytest.raises(PyllbError, match="/nowhere") as caught:
        client.solve(fs().copy(fs().image("busybox"), "/nowhere", "/x"))
    assert '"/nowhere"' in caught.value.sources[0].excerpt(0)


@pytest.mark.parametrize("address", ["unix:///nowhere/buildkitd.sock", "tcp://127.0.0.1:1"])
def test_no_daemon_is_a_connect_error_at_once(address: str) -> None:
    with within(2), pytest.raises(ConnectError) as caught:
        pyllb.solve(fs(), addr=address)
    assert address in str(caught.value)
    assert caught.value.address == address
    assert caught.value.exit_code == 3


@contextmanager
def listening(answer: bytes) -> Iterator[str]:
    """The address of something that is no buildkitd: it answers each connection with these bytes, and waits."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                kept.append(connection)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in kept:
                connection.close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "did not answer within 5 s"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1"),
        (b"\x15\x03\x01\x00\x02\x02\x46\x00\x00", "TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP/2"),
    ],
)
def test_a_peer_that_is_no_buildkitd_is_told_apart(answer: bytes, message: str) -> None:
    with listening(answer) as address, within(6), pytest.raises(ConnectError, match=message):
        pyllb.solve(fs(), addr=address)


def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "stale"))
    (tmp_path / "file").write_text("")
    for name, message in (("stale", "nobody listens"), ("file", "not a socket"), ("none", "no socket")):
        with pytest.raises(ConnectError, match=message):
            pyllb.solve(fs(), addr=f"unix://{tmp_path}/{name}")


def test_addresses_that_are_none_and_those_to_come() -> None:
    for text in ("nonsense", "tcp://host", "tcp://host:port", "unix://", "http://host:1"):
        with pytest.raises(UsageError, match=r"unix:///path|tcp://localhost"):
            pyllb.solve(fs(), addr=text)
    for scheme in ("npipe", "docker", "https"):
        with pytest.raises(NotThereYet, match=scheme):
            pyllb.solve(fs(), addr=f"{scheme}://somewhere")


def test_a_daemon_that_is_killed_in_a_solve_is_a_connect_error(
    testbed: Testbed, client: Client, seconds: float
) -> None:
    killed: list[float] = []
    with testbed.start_daemon() as daemon:

        def kill() -> None:
            daemon.kill()
            killed.append(time.monotonic())

        with pytest.raises(ConnectError, match=re.escape(f"sleep {seconds}")) as caught:
            pyllb.solve(sleeping(seconds), addr=daemon.address, progress=Running(kill))
        assert time.monotonic() - killed[0] < 5
        assert caught.value.exit_code == 3
    assert works(client)


def test_a_daemon_that_is_told_to_stop_ends_the_solve_that_runs(testbed: Testbed, tmp_path: Path) -> None:
    """As in a rolling update: it takes no new call, and lets what it has go on, which needs no other call of ours."""
    with testbed.start_daemon() as daemon:
        stop = Running(lambda: os.kill(daemon.pid, signal.SIGTERM))
        made = fs().image("busybox").run("sleep 2; echo made > /made")
        with within(8):
            pyllb.solve(made, addr=daemon.address, progress=stop, output=f"type=local,dest={tmp_path}/out")
    assert (tmp_path / "out/made").read_text() == "made\n"


def test_a_daemon_that_is_stopping_takes_no_new_solve(testbed: Testbed, seconds: float) -> None:
    with testbed.start_daemon() as daemon, Client(daemon.address) as client:
        refused: list[BaseException] = []

        def second() -> None:
            try:
                client.solve(fs().image("busybox").run("true"))
            except BaseException as error:
                refused.append(error)

        def stop() -> None:
            os.kill(daemon.pid, signal.SIGTERM)
            time.sleep(0.5)
            second()

        client.solve(fs().image("busybox").run("sleep 2"), progress=Running(stop))
        (error,) = refused
        assert isinstance(error, ConnectError)


class Proxy:
    """Stands between a client and its daemon, and can cut the connections. It owns a thread for each way."""

    def __init__(self, path: Path, daemon: str) -> None:
        self._daemon = daemon.removeprefix("unix://")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._daemon)
                self._pairs.append((near, far))
                for one, other in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._move, args=(one, other)))
                    self._threads[-1].start()

    def _move(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Cut all connections."""
        for sock in itertools.chain.from_iterable(self._pairs):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()
        for pair in self._pairs:
            for sock in pair:
                sock.close()


def test_a_connection_that_is_cut_ends_its_build(testbed: Testbed, tmp_path: Path, seconds: float) -> None:
    with closing(Proxy(tmp_path / "p.sock", testbed.address)) as proxy, Client(f"unix://{tmp_path}/p.sock") as client:
        began: list[float] = []

        def cut() -> None:
            began.append(time.monotonic())
            proxy.cut()

        with pytest.raises(ConnectError, match=re.escape(f"sleep {seconds}")) as caught:
            client.solve(sleeping(seconds), progress=Running(cut))
        assert time.monotonic() - began[0] < 5
        assert "the connection to the daemon" in str(caught.value)
        assert works(client)
    assert until(lambda: not sleeps(seconds))


def test_a_missing_image_is_what_the_daemons_history_says(testbed: Testbed, client: Client) -> None:
    with pytest.raises(pyllb.errors.ResolveError):
        client.solve(fs().image("nosuchimage:history").run("true"))
    request = control_pb2.BuildHistoryRequest(EarlyExit=True)
    method = "/moby.buildkit.v1.Control/ListenBuildHistory"
    with closing(Connection(parse_address(testbed.address))) as connection:
        events = list(connection.all(method, request, control_pb2.BuildHistoryEvent))
    assert any("nosuchimage:history" in event.record.error.message for event in events)


@pytest.fixture
def deaf(tmp_path: Path) -> Iterator[str]:
    """The address of something that accepts connections, and says nothing."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "deaf.sock"))
        listener.listen()
        yield f"unix://{tmp_path}/deaf.sock"


def test_the_wait_for_a_daemons_first_word_ends_at_the_timeout(deaf: str) -> None:
    with within(2), pytest.raises(SolveTimeout), Client(deaf) as client:
        client.solve(fs(), timeout=0.3)


def test_threads_that_connect_do_not_wait_for_each_other(deaf: str) -> None:
    told: list[BaseException] = []

    def ask(client: Client) -> None:
        try:
            client.info()
        except ConnectError as error:
            told.append(error)

    with within(8), Client(deaf) as client:
        threads = [threading.Thread(target=ask, args=(client,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(told) == 3


def test_a_client_goes_on_when_its_daemon_is_back(testbed: Testbed, client: Client) -> None:
    assert works(client)
    testbed.kill_daemon()
    try:
        with within(2), pytest.raises(ConnectError):
            client.solve(fs())
        with within(2), pytest.raises(ConnectError, match=r"nobody listens|no socket"):
            client.info()
    finally:
        testbed.restart_daemon()
    assert works(client)


def test_a_daemon_that_hangs_does_not_keep_its_client(testbed: Testbed, client: Client, seconds: float) -> None:
    with testbed.start_daemon() as daemon:
        try:
            stop = Running(lambda: os.kill(daemon.pid, signal.SIGSTOP))
            with within(12), pytest.raises(SolveTimeout):
                pyllb.solve(sleeping(seconds), addr=daemon.address, progress=stop, timeout=5)
            with within(7), pytest.raises(ConnectError, match="did not answer within 5 s"):
                pyllb.solve(fs(), addr=daemon.address)
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
    assert works(client)


def pings(job: Job) -> None:
    """Ask until a call fails."""
    while True:
        job.bridge.ping()
        time.sleep(0.1)


def test_a_daemon_that_is_silent_is_lost(testbed: Testbed, client: Client) -> None:
    cancellation, options = Cancellation(), Options()
    with testbed.start_daemon() as daemon, closing(Connection(parse_address(daemon.address))) as connection:
        try:
            with Job(connection, options, cancellation, silence=7.0) as job:
                job.bridge.ping()
                time.sleep(8)  # it asks for our health every 5 s
                assert cancellation.error is None
                os.kill(daemon.pid, signal.SIGSTOP)
                time.sleep(0.1)  # a thread on another core runs on for a moment
                with within(9), pytest.raises(RpcError) as caught:
                    pings(job)  # one may still be answered: of its many threads, one stops last
                found = job.fault(caught.value)
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
    assert isinstance(found, ConnectError)
    assert "was lost: the daemon sent nothing for 7 s, and closed no connection" in str(found)


def test_a_timeout_ends_the_step_too(client: Client, seconds: float) -> None:
    with within(10), pytest.raises(SolveTimeout, match="3 s") as caught:
        client.solve(sleeping(seconds), timeout=3)
    assert caught.value.exit_code == 1
    assert until(lambda: not sleeps(seconds))
    assert works(client)


def test_a_timeout_that_is_not_reached_changes_nothing(client: Client) -> None:
    assert client.solve(fs().image("busybox").run("true"), timeout=60).cache.total == 1


INTERRUPTED = """
import json, os, signal, sys, threading, time
from pyllb import Client, fs

class Started:
    def update(self, status):
        if any(vertex.started and "sleep" in vertex.name for vertex in status.vertexes):
            print("started", flush=True)
    def close(self): ...

def solve(client):
    try:
        client.solve(fs().image("busybox").run("exec sleep " + sys.argv[1]), progress=Started())
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return time.time()

def sockets():
    names = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return [os.readlink(name) for name in names if os.path.exists(name) and "socket" in os.readlink(name)]

with Client() as client:
    ended = None
    while ended is None:
        try:
            ended = solve(client)
        except KeyboardInterrupt:
            pass
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("pyllb")]
    again = client.solve(fs().image("busybox").run("true")).cache.total
time.sleep(0.2)
left = [thread.name for thread in threading.enumerate()]
print(json.dumps({"ended": ended, "threads": threads, "again": again, "left": left, "sockets": sockets()}))
"""


@pytest.mark.parametrize("times", [1, 2, 5])
def test_an_interrupt_ends_the_step_too_however_often_it_comes(testbed: Testbed, seconds: float, times: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "BUILDKIT_HOST": testbed.address},
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n"
        sent = time.time()
        for _ in range(times):
            child.send_signal(signal.SIGINT)
            time.sleep(0.01)
        told = json.loads(child.stdout.read().splitlines()[-1])
    assert child.returncode == 0
    assert told["ended"] - sent < 5
    assert (told["threads"], told["left"], told["sockets"]) == (["pyllb-client-io"], ["MainThread"], [])
    assert told["again"] == 1
    assert until(lambda: not sleeps(seconds))


def test_a_client_that_is_closed_ends_its_solve(testbed: Testbed, client: Client, seconds: float) -> None:
    other = Client(testbed.address)
    with within(30), pytest.raises(ConnectError):
        other.solve(sleeping(seconds), progress=Running(other.close))
    assert until(lambda: not sleeps(seconds))
    assert works(client)


def test_a_graph_that_cannot_be_fails_before_the_daemon_runs_anything(client: Client, nonce: str) -> None:
    node = fs().copy(pyllb.local("/", name="a"), "/x", "/y").copy(pyllb.local("/tmp", name="a"), "/x", "/z")
    with pytest.raises(GraphError, match="local source 'a'"):
        client.solve(node)


def test_a_push_to_nowhere_names_the_image(client: Client) -> None:
    with within(60), pytest.raises(PyllbError, match="localhost:1/app"):
        client.solve(fs().mkfile("/a", b""), output="type=image,name=localhost:1/app:1,push=true")
