"""Wakeup: ends a selector's wait from another thread."""

from __future__ import annotations

import contextlib
import socket


class Wakeup:
    """Ends a selector's wait from any thread, with one byte however often it is asked."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._set = False

    def fileno(self) -> int:
        """What a selector waits for."""
        return self._near.fileno()

    def wake(self) -> None:
        """End the wait. After the end of the link it does nothing."""
        if not self._set:
            self._set = True
            try:
                self._far.send(b"!")
            except OSError:
                return
            except BaseException:  # an interrupt: without the byte, the mark would hold back every later one
                self._set = False
                raise

    def clear(self) -> None:
        """Called before looking for what there is to do: a wake() that comes after this is not lost."""
        with contextlib.suppress(BlockingIOError):
            self._near.recv(64)
        self._set = False

    def __enter__(self) -> Wakeup:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close both ends."""
        self._near.close()
        self._far.close()
