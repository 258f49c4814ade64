"""Link: the one thread that moves bytes between the daemon's socket and what speaks the protocol on this side.

It waits for nothing but the socket and a wake-up, so it always reads: a daemon that is blocked writing to us while we
are blocked writing to it would be a deadlock. One thread does both directions because a TLS socket takes only one.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Protocol

from pyllb.rpc.http2 import Buffer
from pyllb.rpc.wakeup import Wakeup

# What is taken at once; the daemon's limit for one message is 16 MiB.
_BATCH = 1 << 20
_READ = 256 << 10
# Below Linux' limit of 1,024 buffers for one call.
_MAX_BUFFERS = 512
# How long the daemon may take to close its end after we have closed ours. It answers in milliseconds, or is gone.
_GRACE = 1.0


class Hangup(Exception):
    """The daemon closed the connection, or is gone without."""


class Peer(Protocol):
    """What a link moves bytes for. All of it is called from the link's thread, close() last and once."""

    ended: bool
    """Whether nothing more is to come."""

    @property
    def silence(self) -> float | None:
        """Seconds for which the daemon may send nothing before it is taken for lost; None is for ever."""

    def receive(self, data: Buffer) -> None:
        """The daemon's bytes; what it raises ends the link."""

    def take(self, limit: int) -> list[Buffer]:
        """About `limit` bytes to send; [] when there is nothing that may leave now."""

    def end(self) -> None:
        """The link is to be closed: queue what ends it in good order."""

    def close(self, error: Exception | None) -> None:
        """The link is over. error: what ended it; None after a close() of this side."""


class Link:
    """Owns the socket and one thread. When the link is over, so is its peer.

    sock: connected; it becomes non-blocking, and is closed when the link ends. name: of the thread. hangup: says why
    the connection has ended, "" when no more is known than the socket tells.
    """

    def __init__(
        self, sock: socket.socket, peer: Peer, wakeup: Wakeup, *, name: str, hangup: Callable[[], str] = str
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._tls = hasattr(sock, "pending")
        self._blocked = _blocked(self._tls)
        self._peer = peer
        self._wakeup = wakeup
        self._hangup = hangup
        self._selector = selectors.DefaultSelector()
        self._heard: float | None = None
        self._out: deque[Buffer] = deque()
        self._unheard: ConnectionError | None = None
        self._closing = False
        self._deadline: float | None = None
        self._over = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def error(self) -> Exception | None:
        """What ended the link; None while it holds, and after a close() of ours."""
        return self._error

    def start(self) -> None:
        """Start the thread."""
        try:
            self._thread.start()
        except RuntimeError:  # the process may start no more
            self.abandon()
            raise

    def close(self) -> None:
        """End it in good order; the thread ends when the daemon has answered, or a second later."""
        self._closing = True
        self._wakeup.wake()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread; whether it has ended. timeout: seconds, None for as long as it takes."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def abandon(self) -> None:
        """Close this process' descriptors. For one that has no such thread, as a forked child."""
        self._socket.close()
        self._wakeup.close()
        self._selector.close()

    # --- in the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with self._wakeup, self._socket, self._selector:
                self._loop(self._selector)
        except Exception as error:  # whatever it is, the calls must learn that the link is over
            self._error = None if self._closing else error
        finally:
            self._peer.close(self._error)

    def _loop(self, selector: selectors.BaseSelector) -> None:
        selector.register(self._wakeup, selectors.EVENT_READ)
        selector.register(self._socket, selectors.EVENT_READ)
        interest = selectors.EVENT_READ
        if self._tls:  # what came with the daemon's first bytes is in the socket already
            self._read()
        self._pump()
        while not self._over:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
            if wanted != interest:
                interest = wanted
                selector.modify(self._socket, interest)
            ready = selector.select(self._patience())
            for key, events in ready:
                if key.fileobj is self._wakeup:
                    self._wakeup.clear()
                elif events & selectors.EVENT_READ:
                    self._read()
            self._pump()

    def _patience(self) -> float | None:
        """How long to wait; starts the end when close() was called. Raises Hangup."""
        if self._closing:
            return self._farewell()
        silence, now = self._peer.silence, time.monotonic()
        if silence is None:
            self._heard = None
            return None
        if self._heard is None:  # since when the daemon is to be heard
            self._heard = now
        left = self._heard + silence - now
        if left <= 0 and not self._unread():
            raise Hangup(f"the daemon sent nothing for {silence:g} s, and closed no connection")
        return max(0.0, left)

    def _unread(self) -> bool:
        """Whether the daemon has been heard of after all: a process that was stopped has not looked."""
        ready = self._selector.select(0)
        return any(key.fileobj is self._socket and events & selectors.EVENT_READ for key, events in ready)

    def _farewell(self) -> float:
        if self._deadline is None:
            self._deadline = time.monotonic() + _GRACE
            self._peer.end()
            self._pump()
        left = self._deadline - time.monotonic()
        self._over = self._over or left <= 0 or (self._peer.ended and not self._out)
        return 0.0 if self._over else left

    def _read(self) -> None:
        # A TLS socket may hold more than the selector knows of: it is read until it has nothing.
        more = True
        while more and not self._over:
            try:
                data = self._socket.recv(_READ)
            except self._blocked:
                return
            except ConnectionResetError as error:
                self._end(error)
                return
            if self._heard is not None:
                self._heard = time.monotonic()
            if not data:
                self._end(self._unheard)
                return
            self._receive(data)
            more = self._tls

    def _receive(self, data: bytes) -> None:
        try:
            self._peer.receive(data)
        except Exception:
            with contextlib.suppress(OSError):
                self._pump()  # the GOAWAY that says why
            raise
        self._over |= self._peer.ended

    def _end(self, error: ConnectionError | None) -> None:
        self._over = True
        if not self._closing:
            known = str(error) if isinstance(error, ConnectionResetError) else "the daemon closed the connection"
            raise Hangup(self._hangup() or known)

    def _pump(self) -> None:
        """Write until the socket takes no more or nothing is left."""
        while self._unheard is None and self._write():
            out = self._peer.take(_BATCH)
            if not out:
                return
            self._out.extend((b"".join(out),) if self._tls else out)

    def _write(self) -> bool:
        """Whether all of it is written."""
        while self._out:
            try:
                sent = self._send()
            except self._blocked:
                return False
            except ConnectionError as error:
                # What the daemon said before it closed is still to be read, and tells more than this does.
                self._unheard = error
                self._out.clear()
                return False
            while sent:
                first = self._out.popleft()
                if len(first) > sent:
                    self._out.appendleft(memoryview(first)[sent:])
                sent = max(0, sent - len(first))
        return True

    def _send(self) -> int:
        if self._tls:
            return self._socket.send(self._out[0])
        return self._socket.sendmsg(islice(self._out, _MAX_BUFFERS))


def _blocked(tls: bool) -> tuple[type[OSError], ...]:
    """What a socket raises that is not ready; ssl is loaded only for a socket of its own, which has loaded it."""
    if not tls:
        return BlockingIOError, InterruptedError
    import ssl

    return BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError
