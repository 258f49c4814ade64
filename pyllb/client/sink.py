"""Sink: where the events of a solve go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from pyllb.errors import UsageError
from pyllb.status import SolveStatus


class Sink(Protocol):
    """What shows, or keeps, the progress of a solve.

    The solve calls update in a thread of its own, one call at a time, and close once, when no event comes any more,
    also after a failure. What either raises ends the solve and is raised from it.
    """

    def update(self, status: SolveStatus) -> None:
        """One message of the daemon's Status stream."""

    def close(self) -> None:
        """No event comes any more."""


@contextmanager
def closed(sink: Sink | None) -> Iterator[None]:
    """Close the sink at the end, whatever happens. Raises UsageError for what is none."""
    if sink is None:
        yield
        return
    _check(sink)
    try:
        yield
    finally:
        sink.close()


def _check(value: object) -> None:
    for method in ("update", "close"):
        if not callable(getattr(value, method, None)):
            raise UsageError(
                f"progress: {value!r} has no {method}(); give a sink, which has update(status) and close(), "
                "or None for silence"
            )
