"""What the tests of the client share: a client, a nonce, and the check that nothing is left open."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyllb import Client, fs
from tests.testbed import Testbed


@pytest.fixture
def client(testbed: Testbed) -> Iterator[Client]:
    """A client of the run's daemon."""
    with Client(testbed.address) as connected:
        yield connected


@pytest.fixture
def nonce() -> str:
    """A word that no step had before, so that nothing with it is cached."""
    return uuid.uuid4().hex


@pytest.fixture
def nothing_left(testbed: Testbed) -> Iterator[None]:
    """After the test this process has the threads, children and open files that it had before."""
    with Client(testbed.address) as warm:
        warm.solve(fs())
    before = _open()
    yield
    deadline = time.monotonic() + 3
    while (left := _open() - before) and time.monotonic() < deadline:
        time.sleep(0.05)  # a thread that has been joined may have its descriptor for another moment
    assert not left, f"left open: {dict(left)}"


def _open() -> Counter[str]:
    found = Counter(f"thread {thread.name}" for thread in threading.enumerate())
    for task in Path("/proc/self/task").iterdir():
        found.update(f"child {pid}" for pid in _text(task / "children").split())
    for number in os.listdir("/proc/self/fd"):
        try:
            found[os.readlink(f"/proc/self/fd/{number}")] += 1
        except OSError:
            continue  # the descriptor that listed them
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # a thread that has just ended
