"""Interrupts: Ctrl-C and SIGTERM end the command in order once; a second one gives that order a second."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType, TracebackType

_GRACE = 1.0  # seconds that cleaning up may still take after the second signal
_SHOW_CURSOR = b"\x1b[?25h"


class Interrupts:
    """While entered, the first SIGINT or SIGTERM raises KeyboardInterrupt; the next ends the process within a second.

    A second KeyboardInterrupt would break into the cleaning up that the first began: half-written files, threads not
    joined. So it is not raised; if the cleaning up hangs, an alarm ends the process without it.
    code: what the process ends with, 128 + the signal's number; 130 for Ctrl-C.
    """

    def __init__(self) -> None:
        self.code = 128 + signal.SIGINT
        self._count = 0
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Interrupts:
        # A process started in the background by a shell ignores SIGINT; that is left so.
        for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            if signal.getsignal(number) is usual:
                self._before[number] = signal.signal(number, self._arrived)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

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
