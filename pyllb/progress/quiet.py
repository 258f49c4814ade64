"""Quiet: a sink that shows nothing."""

from __future__ import annotations

from pyllb.status import SolveStatus


class Quiet:
    """A Sink that shows nothing."""

    shows_logs = False

    def update(self, status: SolveStatus) -> None:
        pass

    def close(self) -> None:
        pass
