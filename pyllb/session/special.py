"""Special files: named pipes and devices, opened and used so that a wait for their other end can be given up."""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from collections.abc import Callable
from pathlib import Path

Check = Callable[[], None]
"""Called every tenth of a second of a wait; what it raises ends the wait."""

_POLL = 0.1


def read_special(path: Path, limit: int, check: Check) -> bytes:
    """What comes out of path up to its end, or the first limit bytes of it. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        data = b""
        while len(data) < limit:
            # A pipe that nobody has opened for writing yet is no pipe at its end, though a read says so.
            _wait(fd, select.POLLIN, check)
            part = os.read(fd, limit - len(data))
            if not part:
                break
            data += part
        return data
    finally:
        os.close(fd)


def open_special(path: Path, check: Check) -> int:
    """A descriptor for writing; of a named pipe, once somebody reads from it. Raises OSError."""
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO or not stat.S_ISFIFO(path.stat().st_mode):
                raise
        check()
        time.sleep(_POLL)


def write_special(fd: int, piece: memoryview, check: Check) -> None:
    """All of piece to a descriptor of open_special, as fast as it is taken. Raises OSError."""
    while len(piece):
        try:
            piece = piece[os.write(fd, piece) :]
        except BlockingIOError:
            _wait(fd, select.POLLOUT, check)


def _wait(fd: int, event: int, check: Check) -> None:
    poll = select.poll()
    poll.register(fd, event)
    while not poll.poll(_POLL * 1000):
        check()
