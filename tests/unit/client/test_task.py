"""Task: work that can be ended from outside, and is waited for."""

from __future__ import annotations

import threading
import time

import pytest

from pyllb.client.task import Cancellation, Task
from pyllb.errors import SolveCanceled, SolveTimeout


def test_work_returns_or_raises_in_its_caller() -> None:
    assert Task(lambda cancellation: threading.current_thread().name, name="the-work").run() == "the-work"
    with pytest.raises(ZeroDivisionError):
        Task(lambda cancellation: 1 // 0, name="w").run()


def test_work_that_takes_too_long_is_told_to_end_and_waited_for() -> None:
    ended = []

    def work(cancellation: Cancellation) -> None:
        told = threading.Event()
        cancellation.on_cancel(told.set)
        assert told.wait(5)
        time.sleep(0.05)
        ended.append(True)
        cancellation.check()

    with pytest.raises(SolveTimeout, match=r"timeout of 0\.05 s"):
        Task(work, name="w").run(0.05)
    assert ended
    assert not [thread for thread in threading.enumerate() if thread.name == "w"]


def test_work_that_ends_well_after_all_gives_its_result() -> None:
    def work(cancellation: Cancellation) -> str:
        time.sleep(0.1)
        return "done"

    assert Task(work, name="w").run(0.01) == "done"


def test_the_first_reason_stands_and_late_callbacks_are_called_at_once() -> None:
    cancellation = Cancellation()
    called = []
    cancellation.check()
    cancellation.on_cancel(lambda: called.append(1))
    cancellation.cancel(SolveCanceled("first"))
    cancellation.cancel(SolveTimeout("second"))
    cancellation.on_cancel(lambda: called.append(2))
    assert called == [1, 2]
    with pytest.raises(SolveCanceled, match="first"):
        cancellation.check()


def test_two_cancels_at_once_call_every_callback() -> None:
    cancellation = Cancellation()
    called: list[int] = []

    def slow() -> None:
        called.append(0)
        time.sleep(0.1)

    cancellation.on_cancel(slow)
    cancellation.on_cancel(lambda: called.append(1))
    threads = [threading.Thread(target=cancellation.cancel, args=(SolveCanceled("now"),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(called) == {0, 1}


def test_a_cancel_that_was_interrupted_is_completed_by_the_next() -> None:
    cancellation = Cancellation()
    called = []

    def interrupted() -> None:
        called.append("interrupted")
        if len(called) == 1:
            raise KeyboardInterrupt

    cancellation.on_cancel(interrupted)
    cancellation.on_cancel(lambda: called.append("after"))
    with pytest.raises(KeyboardInterrupt):
        cancellation.cancel(SolveCanceled("x"))
    cancellation.cancel(SolveCanceled("x"))
    assert called == ["interrupted", "interrupted", "after"]
