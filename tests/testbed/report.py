"""A report: what is being done and why, on stderr, and how long it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str, *, who: str = "testbed") -> None:
    """One line, with who says it before."""
    print(f"{who}: {text}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str, why: str) -> Iterator[None]:
    """Say what is done and why before the block, and how long it took after it."""
    say(f"{what} ({why})")
    begin = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - begin:.1f} s")
