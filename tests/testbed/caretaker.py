"""A caretaker: the process that ends a testbed when its maker is gone, whether it closed it, crashed or was killed.

Its stdin is a pipe whose other end the maker holds; the end of the pipe is the end of the maker. The word "stay" before
that makes it stay until SIGTERM. It runs in a session of its own, so that Ctrl-C in a terminal does not reach it.
"""

from __future__ import annotations

import fcntl
import signal
import sys

from tests.testbed import store
from tests.testbed.instance import _LOCK, clear


def main(name: str) -> None:
    """Hold the lock of the testbed `name` until its end, then clear it away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    home = store.directory() / "run" / name
    with (home / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        if sys.stdin.read() == "stay\n":
            signal.sigwait({signal.SIGTERM})
        clear(home)


if __name__ == "__main__":
    main(sys.argv[1])
