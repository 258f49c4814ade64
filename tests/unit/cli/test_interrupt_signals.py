"""Ctrl-C and SIGTERM, in real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import sys, time
from pyllb.cli.interrupt import Interrupts
interrupts = Interrupts()
interrupts.install()
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    try:
        print("cleaning", flush=True)
        time.sleep({cleaning})
    finally:
        print("cleaned", flush=True)
interrupts.finish()
sys.exit(interrupts.code)
"""


def _ended(cleaning: float, *signals: signal.Signals) -> tuple[int, str, float]:
    """Exit code, output after the start, and the seconds from the last signal to the end."""
    program = PROGRAM.format(cleaning=cleaning)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        said = ""
        for number in signals:
            said += process.stdout.readline()
            process.send_signal(number)
            sent = time.monotonic()
        said += process.stdout.read()
        code = process.wait()
    return code, said, time.monotonic() - sent


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_cleans_up_and_ends_with_its_code(number: signal.Signals, code: int) -> None:
    assert _ended(0, number)[:2] == (code, "ready\ncleaning\ncleaned\n")


def test_a_second_ctrl_c_does_not_break_into_the_cleaning_up() -> None:
    assert _ended(0.3, signal.SIGINT, signal.SIGINT)[:2] == (130, "ready\ncleaning\ncleaned\n")


def test_a_ctrl_c_at_pythons_own_end_changes_nothing() -> None:
    program = """
import atexit, os, signal, sys
from pyllb.cli.interrupt import Interrupts
interrupts = Interrupts()
interrupts.install()
interrupts.finish()
class AtTheEnd:
    kill, pid, number = os.kill, os.getpid(), signal.SIGINT
    def __del__(self):
        self.kill(self.pid, self.number)
os.kill(os.getpid(), signal.SIGINT)
sys.last = AtTheEnd()
sys.exit(7)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False, timeout=30)

    assert (done.returncode, done.stderr) == (7, b"")


def test_a_second_ctrl_c_ends_a_cleaning_up_that_hangs() -> None:
    code, said, seconds = _ended(60, signal.SIGINT, signal.SIGINT)

    assert (code, said) == (130, "ready\ncleaning\n")
    assert seconds < 5
