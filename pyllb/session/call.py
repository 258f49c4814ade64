"""Call: one gRPC call that the daemon makes into this process, as its handler sees it.

The session calls a handler in a thread of its own, named `pyllb-session-*`. What the handler returns or raises becomes
the call's trailers: a return is OK, RpcError is its code and message, any other exception is UNKNOWN with its text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import Protocol, TypeAlias

Message: TypeAlias = "bytes | tuple[bytes | memoryview, ...]"


class Code(IntEnum):
    """The gRPC status codes."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """Ends a call with this code and message; raised by a handler."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class CallCancelled(Exception):
    """The call is gone: the daemon reset it, its deadline passed, or the session ended. The handler should return."""


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
