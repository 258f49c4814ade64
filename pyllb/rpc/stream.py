"""Stream: what a channel asks of each of its streams, with its lock held."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias

from pyllb.rpc.status import RpcError

Callbacks: TypeAlias = list[Callable[[], object]]
"""What is to be called once the lock is free."""

MAX_REFUSALS = 100
"""How often one is opened again: a peer that takes few streams at once may still count one that has ended, and refuse
the next for a moment."""


class Stream(Protocol):
    """One stream of ours: a call, or bytes both ways. At its end it leaves the channel by itself."""

    silence: float | None
    """Seconds after which a daemon that sends nothing is taken for lost; None has no opinion."""

    def begin(self) -> None:
        """Open it, and send what is to be sent first."""

    def begin_again(self) -> bool:
        """Open it once more after the peer refused it, and so did not begin it; False when it did too often."""

    def arrive(self, parts: Iterable[memoryview]) -> Callbacks:
        """Bytes came."""

    def fill(self, limit: int) -> None:
        """Queue about `limit` bytes more, if there are any and nothing waits."""

    def end(self, error: RpcError | None) -> Callbacks:
        """Nothing more comes. error: None is OK."""

    def lose(self, reason: str | None) -> Callbacks:
        """The connection is over. reason: None when this end closed it."""
