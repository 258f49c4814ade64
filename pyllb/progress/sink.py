"""Sink: where the events of a solve go; and the thread that repaints a display between events."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Protocol, TextIO

from pyllb.status import SolveStatus

_TICK = 0.1  # seconds between two paints: progressui's limit for updates (0.33.1)


class Sink(Protocol):
    """Takes the events of one solve. Both methods may be called from any thread; neither raises on a broken stream.

    shows_logs: whether it has shown, once closed, the last lines of a failed vertex, so that nobody need repeat them.
    """

    shows_logs: bool

    def update(self, status: SolveStatus) -> None: ...

    def close(self) -> None:
        """Show what is left, give the terminal back. Calling it again does nothing."""
        ...


class Display(Protocol):
    """What a painter paints. Called by one thread at a time."""

    def update(self, status: SolveStatus, now: float) -> None: ...
    def paint(self, now: float, *, final: bool) -> None: ...
    def finish(self) -> None: ...


def refresh_seconds(env: Mapping[str, str]) -> float:
    """Seconds between paints: TTY_DISPLAY_RATE is in milliseconds, as BuildKit's own clients read it."""
    rate = env.get("TTY_DISPLAY_RATE", "")
    return max(int(rate), 1) / 1000 if rate.isascii() and rate.isdigit() else _TICK


class Painter:
    """A Sink that keeps a display painted: events are folded where they arrive, and a thread of its own paints.

    The thread, pyllb-progress, starts with the first event and is joined by close. A display that cannot be written to
    any more (a closed pipe) is given up quietly: progress must not fail a build.
    """

    shows_logs = True

    def __init__(self, display: Display, *, interval: float = _TICK) -> None:
        self._display = display
        self._interval = interval
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._broken = False
        self._closed = False

    def update(self, status: SolveStatus) -> None:
        with self._lock:
            if self._closed:
                return
            self._display.update(status, time.time())
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pyllb-progress", daemon=True)
                self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._paint(final=True)

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            with self._lock:
                self._paint(final=False)

    def _paint(self, *, final: bool) -> None:
        if self._broken:
            return
        try:
            self._display.paint(time.time(), final=final)
            if final:
                self._display.finish()
        except (OSError, ValueError):  # the pipe is closed; ValueError: the file object is
            self._broken = True


def put(stream: TextIO, text: str) -> None:
    """Write and flush: one write per paint, so that lines of other writers stay whole."""
    if text:
        stream.write(text)
        stream.flush()
