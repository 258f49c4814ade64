"""Link: the one thread that moves bytes between the daemon's socket, the tunnel and the server.

It waits for nothing but the socket and a wake-up, so it always reads: a daemon that is blocked writing to us while we
are blocked writing to it would be a deadlock. One thread does both directions because a TLS socket takes only one.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

from pyllb.session.http2 import Buffer, ProtocolError
from pyllb.session.server import Server
from pyllb.session.tunnel import Tunnel, TunnelError

# Inner bytes that travel as one message; the daemon's limit is 16 MiB.
_BATCH = 1 << 20
_READ = 256 << 10
# Below Linux' limit of 1,024 buffers for one call.
_MAX_BUFFERS = 512
# How long the daemon may take to close its end after we have closed ours. It answers in milliseconds, or is gone.
_GRACE = 1.0
# The daemon asks for our health every 5 s, and waits 15 s for an answer (BuildKit 0.33.1).
SILENCE = 60.0

_BLOCKED = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Silence(Exception):
    """The daemon is gone, or the way to it, and no closed connection tells of it."""


class Link:
    """Owns the socket and the thread `pyllb-session-io`. When the link is over, so are all calls of the server.

    sock: connected; it becomes non-blocking, and is closed when the link ends. silence: seconds without a byte from the
    daemon after which the link is over, and on_silence is called from the thread.
    """

    def __init__(
        self,
        sock: socket.socket,
        tunnel: Tunnel,
        server: Server,
        wakeup: Wakeup,
        *,
        silence: float = SILENCE,
        on_silence: Callable[[], object] | None = None,
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._tunnel = tunnel
        self._server = server
        self._wakeup = wakeup
        self._silence = silence
        self._on_silence = on_silence
        self._heard = time.monotonic()
        self._out: deque[Buffer] = deque()
        self._closing = False
        self._deadline: float | None = None
        self._over = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="pyllb-session-io", daemon=True)

    @property
    def error(self) -> Exception | None:
        """What ended the link; None while it holds, and after a close() of ours."""
        return self._error

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the stream in good order; the thread ends when the daemon has answered, or a second later."""
        self._closing = True
        self._wakeup.wake()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread; whether it has ended. timeout: seconds, None for as long as it takes."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # --- in the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with self._wakeup, self._socket, selectors.DefaultSelector() as selector:
                self._loop(selector)
        except Exception as error:  # whatever it is, the calls must learn that the link is over
            self._error = None if self._closing else error
            if isinstance(error, Silence) and self._on_silence is not None:
                self._on_silence()
        finally:
            self._server.close("the session is closed" if self._closing else "the session was lost")

    def _loop(self, selector: selectors.BaseSelector) -> None:
        selector.register(self._wakeup, selectors.EVENT_READ)
        selector.register(self._socket, selectors.EVENT_READ)
        interest = selectors.EVENT_READ
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

    def _patience(self) -> float:
        """How long to wait; starts the end of the stream when close() was called. Raises Silence."""
        if not self._closing:
            left = self._heard + self._silence - time.monotonic()
            if left <= 0:
                raise Silence(f"nothing was heard of the daemon for {self._silence:g} s")
            return left
        if self._deadline is None:
            self._deadline = time.monotonic() + _GRACE
            self._tunnel.end()
            self._pump()
        left = self._deadline - time.monotonic()
        self._over = self._over or left <= 0
        return max(0.0, left)

    def _read(self) -> None:
        # A TLS socket may hold more than the selector knows of: it is read until it has nothing.
        more = True
        while more and not self._over:
            try:
                data = self._socket.recv(_READ)
            except _BLOCKED:
                return
            self._heard = time.monotonic()
            if not data:
                self._end("the daemon closed the connection")
                return
            self._receive(data)
            more = isinstance(self._socket, ssl.SSLSocket)

    def _receive(self, data: bytes) -> None:
        try:
            self._server.receive(self._tunnel.receive(data))
        except (ProtocolError, TunnelError):
            with contextlib.suppress(OSError):
                self._pump()  # the GOAWAY that says why
            raise
        if self._tunnel.ended:
            self._end("the daemon closed the session")

    def _end(self, reason: str) -> None:
        self._over = True
        if not self._closing:
            raise TunnelError(reason)

    def _pump(self) -> None:
        """Write until the socket takes no more or nothing is left."""
        while self._write():
            # What the outer windows hold back is left to wait inside, where it counts against its call's budget.
            if not self._tunnel.pending:
                inner = self._server.take(_BATCH)
                if inner:
                    self._tunnel.send(inner)
            out = self._tunnel.take(_BATCH)
            if not out:
                return
            self._out.extend((b"".join(out),) if isinstance(self._socket, ssl.SSLSocket) else out)

    def _write(self) -> bool:
        """Whether all of it is written."""
        while self._out:
            try:
                sent = self._send()
            except _BLOCKED:
                return False
            while sent:
                first = self._out.popleft()
                if len(first) > sent:
                    self._out.appendleft(memoryview(first)[sent:])
                sent = max(0, sent - len(first))
        return True

    def _send(self) -> int:
        if isinstance(self._socket, ssl.SSLSocket):
            return self._socket.send(self._out[0])
        return self._socket.sendmsg(islice(self._out, _MAX_BUFFERS))


class Wakeup:
    """Ends a selector's wait from any thread, with one byte however often it is asked."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._set = False

    def fileno(self) -> int:
        """What a selector waits for."""
        return self._near.fileno()

    def wake(self) -> None:
        """End the wait. After the end of the link it does nothing."""
        if not self._set:
            self._set = True
            with contextlib.suppress(OSError):
                self._far.send(b"!")

    def clear(self) -> None:
        """Called before looking for what there is to do: a wake() that comes after this is not lost."""
        with contextlib.suppress(BlockingIOError):
            self._near.recv(64)
        self._set = False

    def __enter__(self) -> Wakeup:
        return self

    def __exit__(self, *_: object) -> None:
        self._near.close()
        self._far.close()
