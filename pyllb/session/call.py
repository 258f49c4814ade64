"""Call: one gRPC call that the daemon makes into this process, as its handler sees it.

The session calls a handler in a thread of its own, named `pyllb-session-*`. What the handler returns or raises becomes
the call's trailers: a return is OK, RpcError is its code and message, any other exception is UNKNOWN with its text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeAlias

from pyllb.rpc.framing import Message


class Call(Protocol):
    """What a handler may do with the call it serves. Only the handler's own thread uses it."""

    @property
    def method(self) -> str:
        """The full path, such as "/moby.filesync.v1.FileSync/DiffCopy"."""

    @property
    def metadata(self) -> Mapping[str, tuple[str, ...]]:
        """The request's metadata: keys in lower case, values in the order they came."""

    def receive(self, *, wait: bool = True) -> list[bytes] | None:
        """All messages that have arrived, in order; blocks for at least one if wait.

        [] when wait is false and none is there. None when the peer has half-closed and everything was read.
        Raises CallCancelled when the call or the session is gone.
        """

    def check(self) -> None:
        """Raises CallCancelled as receive does; for a handler that waits for something else than the call."""

    def send(self, messages: Iterable[Message]) -> None:
        """Queue messages; each is one whole gRPC message, or its parts, which the layer joins.

        Blocks while more than 4 MiB of this call wait to leave. Raises CallCancelled as receive does.
        """


Handler: TypeAlias = Callable[[Call], None]


class Attachable(Protocol):
    """One or more services that the session offers to the daemon."""

    def methods(self) -> Mapping[str, Handler]:
        """Full method path to handler; these paths are announced to the daemon."""
