"""Session: what the daemon may ask of this process during a solve, and the connection over which it asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from pyllb.errors import ConnectError
from pyllb.rpc.channel import Channel
from pyllb.rpc.duplex import Duplex
from pyllb.session.call import Attachable, Handler
from pyllb.session.health import CHECK, Health
from pyllb.session.ids import new_id
from pyllb.session.server import Failure, Server
from pyllb.session.tunnel import METHOD, Tunnel, why

# The daemon asks for our health every 5 s, and waits 15 s for an answer (BuildKit 0.33.1).
SILENCE = 60.0
# How long the daemon may take to end its direction of the stream after we have ended ours. It answers in milliseconds.
_GRACE = 1.0
# What a close waits for: that, then the handlers. A handler asks the call, and so learns of its end, all
# the time; only one that hangs in the operating system (a FIFO, a dead network mount) outlives this.
_CLOSE_TIMEOUT = 4.0


class Session:
    """Serves attachables to one daemon, from start() to close().

    attachables: what is offered; two that serve the same method raise ValueError. id: what SolveRequest.Session takes;
    None for a new one. shared_key: part of the key under which the daemon keeps the files of a local source, so that
    builds from one directory send only what changed; "" leaves that to the source's own hint. silence: seconds after
    which a daemon that sends nothing is taken for lost, and the connection ends. on_lost: called from the link's thread
    when the session ended while the connection lives, by anything but a close(), with what ended it.

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
        self._stream: Duplex | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """The full paths of all methods that are offered."""
        return tuple(self._handlers)

    def start(self, channel: Channel) -> None:
        """Open the session over a channel, and return at once; the daemon calls from now on.

        It is the channel of the build's calls: a balancer may give another connection to another daemon, which does not
        know this session. A session starts once.
        """
        if self._server is not None:
            raise RuntimeError("a session can be started only once")
        self._server = Server(self._handlers, inline=(CHECK,), wake=channel.wake)
        tunnel = Tunnel(self._server, self._on_lost)
        self._stream = channel.carry(METHOD, tunnel, metadata=self._metadata(), silence=self._silence)

    def _metadata(self) -> Iterable[tuple[str, str]]:
        yield "x-docker-expose-session-uuid", self.id
        yield "x-docker-expose-session-sharedkey", self.shared_key
        for method in self._handlers:
            yield "x-docker-expose-session-grpc-method", method

    @property
    def error(self) -> ConnectError | None:
        """Why the session ended; None while it lasts, and after a close()."""
        error = self._stream.error if self._stream else None
        return None if error is None else ConnectError(f"the session with the daemon was lost: {why(error)}")

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The daemon's calls that failed on this side, oldest first."""
        return self._server.failures if self._server else ()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the session has ended, at most timeout seconds; whether it has."""
        return self._stream is None or self._stream.wait(timeout)

    def close(self) -> None:
        """Cancel what is being served, end the stream, join the threads. May be called again.

        Returns within seconds whatever the daemon does.
        """
        if self._stream is None or self._server is None:
            return
        end = time.monotonic() + _CLOSE_TIMEOUT
        self._server.close("the session is closed")
        self._stream.close(_GRACE)
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
