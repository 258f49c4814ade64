"""Session: what the daemon may ask of this process during a solve, and the connection over which it asks."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterable, Mapping

from pyllb.errors import ConnectError
from pyllb.rpc.link import Link
from pyllb.rpc.wakeup import Wakeup
from pyllb.session.call import Attachable, Handler
from pyllb.session.health import CHECK, Health
from pyllb.session.ids import new_id
from pyllb.session.server import Failure, Server
from pyllb.session.tunnel import Tunnel

# The daemon asks for our health every 5 s, and waits 15 s for an answer (BuildKit 0.33.1).
SILENCE = 60.0
# What a close waits for: the daemon's answer, then the handlers. A handler asks the call, and so learns of its end, all
# the time; only one that hangs in the operating system (a FIFO, a dead network mount) outlives this.
_CLOSE_TIMEOUT = 4.0


class Session:
    """Serves attachables to one daemon, from start() to close().

    attachables: what is offered; two that serve the same method raise ValueError. id: what SolveRequest.Session takes;
    None for a new one. shared_key: part of the key under which the daemon keeps the files of a local source, so that
    builds from one directory send only what changed; "" leaves that to the source's own hint. silence: seconds after
    which a daemon that sends nothing is taken for lost, and the session ends. on_lost: called from the session's thread
    when it ended by anything but a close(), with link.Silence or with what the daemon did.

    Mirrors `session.NewSession` and `Session.Run` of BuildKit 0.33.1.
    """

    def __init__(
        self,
        attachables: Iterable[Attachable],
        *,
        id: str | None = None,
        shared_key: str = "",
        silence: float = SILENCE,
        on_lost: Callable[[Exception], object] | None = None,
    ) -> None:
        self.id = new_id() if id is None else id
        self.shared_key = shared_key
        self._silence = silence
        self._on_lost = on_lost
        self._handlers = _handlers((Health(), *attachables))
        self._server: Server | None = None
        self._link: Link | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """The full paths of all methods that are offered."""
        return tuple(self._handlers)

    def start(self, dial: Callable[[], socket.socket]) -> None:
        """Open the session over a connection of its own, and return at once; the daemon calls from now on.

        dial: returns a connected stream socket to the daemon's gRPC address (with TLS done, if any); the session closes
        it. What it raises is passed on. A session starts once.
        """
        if self._link is not None:
            raise RuntimeError("a session can be started only once")
        with contextlib.ExitStack() as held:
            sock = held.enter_context(dial())
            wakeup = held.enter_context(Wakeup())
            server = Server(self._handlers, inline=(CHECK,), wake=wakeup.wake)
            tunnel = Tunnel(self._metadata(), server)
            link = Link(
                sock,
                tunnel,
                wakeup,
                name="pyllb-session-io",
                silence=self._silence,
                on_lost=self._on_lost,
            )
            held.pop_all()  # the link's thread closes them
            link.start()
        self._server, self._link = server, link

    def _metadata(self) -> Iterable[tuple[str, str]]:
        yield "x-docker-expose-session-uuid", self.id
        yield "x-docker-expose-session-sharedkey", self.shared_key
        for method in self._handlers:
            yield "x-docker-expose-session-grpc-method", method

    @property
    def error(self) -> ConnectError | None:
        """Why the session ended; None while it lasts, and after a close()."""
        error = self._link.error if self._link else None
        return None if error is None else ConnectError(f"the session with the daemon was lost: {error}")

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The daemon's calls that failed on this side, oldest first."""
        return self._server.failures if self._server else ()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the session has ended, at most timeout seconds; whether it has."""
        return self._link is None or self._link.join(timeout)

    def close(self) -> None:
        """Cancel what is being served, end the stream, close the socket, join the threads. May be called again.

        Returns within seconds whatever the daemon does.
        """
        if self._link is None or self._server is None:
            return
        end = time.monotonic() + _CLOSE_TIMEOUT
        self._server.close("the session is closed")
        self._link.close()
        self._link.join(_CLOSE_TIMEOUT)
        self._server.join(max(0.0, end - time.monotonic()))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _handlers(attachables: Iterable[Attachable]) -> Mapping[str, Handler]:
    found: dict[str, Handler] = {}
    for attachable in attachables:
        for method, handler in attachable.methods().items():
            if method in found:
                raise ValueError(f"two attachables serve {method}")
            found[method] = handler
    return found
