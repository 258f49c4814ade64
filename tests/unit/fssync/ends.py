"""Ends: both ends of a transfer without a session, and BuildKit's own file transfer as the other end.

A PipeCall is a call as a handler sees it; two of them make a pair. An OracleCall has the Go program of
tests/oracle/fsutil at its other end.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import queue
import shutil
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from pyllb.rpc.framing import Message
from pyllb.session.call import Call
from pyllb.session.fssync.packet import FIN
from tests.wire.peer import PeerCall

TIMEOUT = 30.0
_SOURCE = Path(__file__).parents[2] / "oracle" / "fsutil"


class PipeCall:
    """One end of a pair. window: what receive gets at most at a time, 0 for all that is there."""

    def __init__(self, incoming: queue.Queue[bytes | None], outgoing: queue.Queue[bytes | None]) -> None:
        self.method = "/test/Transfer"
        self.metadata: Mapping[str, tuple[str, ...]] = {}
        self.sent: list[bytes] = []
        self._incoming = incoming
        self._outgoing = outgoing
        self._ended = False

    def receive(self, *, wait: bool = True) -> list[bytes] | None:
        if self._ended:
            return None
        messages: list[bytes] = []
        try:
            item = self._incoming.get(timeout=TIMEOUT) if wait else self._incoming.get_nowait()
            while item is not None:
                messages.append(item)
                item = self._incoming.get_nowait()
            self._ended = True
        except queue.Empty:
            if wait and not messages:
                raise TimeoutError("the other end sent nothing") from None
        return messages if messages or not self._ended else None

    def check(self) -> None:
        """It is never cancelled."""

    def send(self, messages: Iterable[Message]) -> None:
        for message in messages:
            whole = message if isinstance(message, bytes) else b"".join(message)
            self.sent.append(whole)
            self._outgoing.put(whole)

    def close(self) -> None:
        """Half-close."""
        self._outgoing.put(None)


def pair() -> tuple[PipeCall, PipeCall]:
    """Two ends of one call."""
    there: queue.Queue[bytes | None] = queue.Queue()
    back: queue.Queue[bytes | None] = queue.Queue()
    return PipeCall(there, back), PipeCall(back, there)


@attrs.define
class Running:
    """A function in a thread; join raises what it raised."""

    thread: threading.Thread
    failure: list[BaseException]

    def join(self) -> None:
        self.thread.join(TIMEOUT)
        assert not self.thread.is_alive(), "the transfer hangs"
        if self.failure:
            raise self.failure[0]


def in_thread(function: Callable[[], object]) -> Running:
    """Run function beside the test."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="test-transfer", daemon=True)
    thread.start()
    return Running(thread, failure)


def transfer(sender: Callable[[Call], None], receiver: Callable[[Call], None]) -> tuple[PipeCall, PipeCall]:
    """Run both ends; raises what the receiver raised, else what the sender raised."""
    a, b = pair()

    def serve() -> None:
        try:
            sender(a)
        finally:
            a.close()

    running = in_thread(serve)
    try:
        receiver(b)
    finally:
        b.close()
        running.thread.join(TIMEOUT)
    running.join()
    return a, b


class PeerEnd:
    """The daemon's end of a call through a real session, as a sender or receiver uses its own end."""

    def __init__(self, call: PeerCall) -> None:
        self.method = "/test/Transfer"
        self.metadata: Mapping[str, tuple[str, ...]] = {}
        self._call = call

    def receive(self, *, wait: bool = True) -> list[bytes] | None:
        if not wait:
            return []
        message = self._call.receive()
        return None if message is None else [message]

    def check(self) -> None:
        """It is never cancelled."""

    def send(self, messages: Iterable[Message]) -> None:
        self._call.send(*(message if isinstance(message, bytes) else b"".join(message) for message in messages))


# BuildKit's own


@functools.cache
def oracle() -> str:
    """The Go program, built once per test run; Go's build cache makes the second time short."""
    folder = tempfile.mkdtemp(prefix="pyllb-oracle-")
    atexit.register(shutil.rmtree, folder)
    binary = Path(folder) / "fsutil"
    subprocess.run(["go", "build", "-o", str(binary), "."], cwd=_SOURCE, check=True, capture_output=True, timeout=280)
    return str(binary)


def ask(what: str, cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What BuildKit's pattern matcher ("match") or tree walk ("walk") answers, case by case."""
    done = subprocess.run(
        [oracle(), what], input=json.dumps(cases).encode(), capture_output=True, check=True, timeout=TIMEOUT
    )
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


class OracleCall:
    """A call whose other end is BuildKit's sender or receiver."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.method = "/test/Transfer"
        self.metadata: Mapping[str, tuple[str, ...]] = {}
        self._stdin, self._stdout = process.stdin, process.stdout
        self._arrived: queue.Queue[bytes | None] = queue.Queue()
        self._pipe = PipeCall(self._arrived, queue.Queue())
        self.reader = in_thread(self._read)

    def receive(self, *, wait: bool = True) -> list[bytes] | None:
        return self._pipe.receive(wait=wait)

    def check(self) -> None:
        """It is never cancelled."""

    def send(self, messages: Iterable[Message]) -> None:
        for message in messages:
            whole = message if isinstance(message, bytes) else b"".join(message)
            self._stdin.write(struct.pack(">I", len(whole)) + whole)
        self._stdin.flush()

    def _read(self) -> None:
        while len(head := self._stdout.read(4)) == 4:
            message = self._stdout.read(*struct.unpack(">I", head))
            self._arrived.put(message)
            if message == FIN:  # a sender's last word: the daemon then half-closes
                break
        self._arrived.put(None)


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Without root's rights, when the tests run as root."""
    if os.geteuid():
        yield
        return
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@contextlib.contextmanager
def oracle_call(role: str, root: Path) -> Iterator[OracleCall]:
    """BuildKit's "send" or "receive" over root. At the end of the block it must have ended well."""
    command = [oracle(), role, os.fspath(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        call = OracleCall(process)
        try:
            yield call
        except BaseException:
            process.kill()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            complaint = process.stderr.read().decode()
            code = process.wait(TIMEOUT)
            call.reader.join()
        assert (code, complaint) == (0, "")
