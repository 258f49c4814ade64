"""Waiting: for what the daemon does a moment after it has answered."""

from __future__ import annotations

import time
from collections.abc import Callable

from pyllb import Client


def until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Wait for a condition; whether it came true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def emptied(client: Client) -> None:
    """Remove all that the daemon keeps. What a solve has just let go of is in use for another moment."""

    def is_empty() -> bool:
        client.prune(all=True)
        return client.disk_usage() == ()

    assert until(is_empty, 10.0), client.disk_usage()
