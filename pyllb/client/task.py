"""Task: work in a thread of its own, which the caller waits for and can end.

Python raises KeyboardInterrupt in the main thread, between any two instructions. Work that opens connections and
closes them again is therefore not done there: the main thread only waits, an interrupt ends its wait, and the work
learns of it at the points where it can end in good order. A second interrupt finds the same wait.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from pyllb.errors import SolveCanceled, SolveTimeout, UsageError

T = TypeVar("T")

# What the end of cancelled work may take. It is bounded by the waits in it; only a sink or a handler that hangs in the
# operating system takes longer, and is left behind.
_PATIENCE = 10.0


class Cancellation:
    """Whether work is to end, and why. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []
        self._error: BaseException | None = None

    @property
    def error(self) -> BaseException | None:
        """Why the work is to end; None while it is not."""
        return self._error

    def cancel(self, error: BaseException) -> None:
        """Ask the work to end for this reason; the first reason stands.

        An interrupted call is completed by the next one: a callback leaves the list after it was called. Calls of two
        threads at once may both call one.
        """
        with self._lock:
            self._error = self._error or error
            callbacks = tuple(self._callbacks)
        for callback in callbacks:
            callback()
            with contextlib.suppress(ValueError):
                self._callbacks.remove(callback)

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call this when the work is to end: at once, if it already is. It must not block, and may be called again."""
        with self._lock:
            if self._error is None:
                self._callbacks.append(callback)
                return
        callback()

    def check(self) -> None:
        """Raises the reason when the work is to end."""
        if self._error is not None:
            raise self._error


def check_timeout(timeout: object) -> None:
    """Make sure that it is a time to wait for, or None. Raises UsageError."""
    if timeout is not None and not (isinstance(timeout, int | float) and timeout <= threading.TIMEOUT_MAX):
        raise UsageError(f"timeout: {timeout!r} is no time; write seconds, or None for as long as it takes")


class Task(Generic[T]):
    """One piece of work: given a Cancellation, it returns or raises. run() does it, once."""

    def __init__(self, work: Callable[[Cancellation], T], *, name: str) -> None:
        self._work = work
        self._cancellation = Cancellation()
        self._done = threading.Event()
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def run(self, timeout: float | None = None) -> T:
        """Do the work and return its result, or raise what it raised.

        timeout: seconds, after which it is ended and SolveTimeout raised. An exception in the wait, such as
        KeyboardInterrupt, ends the work, and is raised when it has ended. Raises UsageError for a timeout that is none.
        """
        check_timeout(timeout)
        try:
            self._thread.start()
            if not self._done.wait(timeout):
                self._end(SolveTimeout(f"the solve took longer than its timeout of {timeout:g} s"))
        except BaseException:
            self._end(SolveCanceled("the solve was interrupted"))
            raise
        self._join()
        return self._outcome()

    def _outcome(self) -> T:
        if self._results:
            return self._results[0]
        if self._error is not None:
            raise self._error
        self._cancellation.check()
        raise SolveCanceled("the solve did not end in time after it was cancelled")

    def _end(self, reason: BaseException) -> None:
        """End the work and wait for it. Another interrupt changes nothing: the end is under way, and bounded."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and self._thread.ident is not None:
            with contextlib.suppress(KeyboardInterrupt):
                self._cancellation.cancel(reason)
                if self._done.wait(end - time.monotonic()):
                    break
        self._join()

    def _join(self) -> None:
        if self._done.is_set():
            with contextlib.suppress(KeyboardInterrupt):
                self._thread.join()

    def _run(self) -> None:
        try:
            self._results.append(self._work(self._cancellation))
        except BaseException as error:
            self._error = self._cancellation.error or error
        finally:
            self._done.set()
