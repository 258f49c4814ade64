"""Interrupts: Ctrl-C and SIGTERM end the command in order once; a second one gives that order a second."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from types import FrameType

_GRACE = 1.0  # seconds that cleaning up may still take after the second signal
_SHOW_CURSOR = b"\x1b[?25h"
_SIGNALS = ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL))


class Interrupts:
    """Once installed, the first SIGINT or SIGTERM raises KeyboardInterrupt; the next ends the process within a second.

    A second KeyboardInterrupt would break into the cleaning up that the first began: half-written files, threads not
    joined. So it is not raised; if the cleaning up hangs, an alarm ends the process without it. It is for a process
    that ends with what it guards: the handlers stay to its end.

    code: what the process ends with after a signal, 128 + the signal's number; 130 for Ctrl-C.
    """

    def __init__(self) -> None:
        self.code = 128 + signal.SIGINT
        self._count = 0
        self._mine: list[int] = []

    def install(self) -> None:
        """Take the signals over, but not SIGINT where a shell started the process in the background, ignoring it."""
        for number, usual in _SIGNALS:
            if signal.getsignal(number) is usual:
                signal.signal(number, self._arrived)
                self._mine.append(number)
        atexit.register(self._ignore)

    def finish(self) -> None:
        """Nothing is left but Python's own end: a signal that comes now does not raise in the middle of that."""
        self._count = max(self._count, 1)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count == 1:
            self.code = 128 + number
            raise KeyboardInterrupt
        if self._count == 2:
            signal.signal(signal.SIGALRM, self._give_up)
            signal.setitimer(signal.ITIMER_REAL, _GRACE)

    def _give_up(self, number: int, frame: FrameType | None) -> None:
        if sys.stderr is not None and sys.stderr.isatty():
            os.write(sys.stderr.fileno(), _SHOW_CURSOR)
        os._exit(self.code)

    def _ignore(self) -> None:
        """At the very end Python puts its own handlers back to the default, which would end it by the signal."""
        for number in self._mine:
            signal.signal(number, signal.SIG_IGN)
