"""Sink: where the events of a solve go."""

from __future__ import annotations

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


def check_sink(value: object) -> None:
    """Make sure that it can be told of progress. Raises UsageError."""
    for method in ("update", "close"):
        if not callable(getattr(value, method, None)):
            raise UsageError(
                f"progress: {value!r} has no {method}(); give a sink, which has update(status) and close(), "
                "or None for silence"
            )
