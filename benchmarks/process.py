"""Run: a whole process, timed from outside by the operating system's own accounting."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

# What the console script does, wherever it was installed; `python -m pyllb.cli` loads runpy too, which is 2.5 ms.
PYLLB = (sys.executable, "-c", "from pyllb.cli.__main__ import main; main()")


@attrs.frozen
class Run:
    """What one finished process cost. wall, cpu: seconds, cpu is user and system. peak: MiB of resident memory."""

    wall: float
    cpu: float
    peak: float


@attrs.frozen
class Side:
    """One of the two compared commands. stdin: a file fed to it, None is nothing. prepare: done before each run."""

    name: str
    command: Callable[[int], Sequence[str]]
    stdin: Callable[[int], Path] | None = None


def measure(side: Side, turn: int, env: Mapping[str, str]) -> Run:
    """Run the side's command once. turn: which repeat it is, so that a command can be new each time."""
    source = side.stdin(turn) if side.stdin else Path(os.devnull)
    with source.open("rb") as stdin, open(os.devnull, "wb") as null:
        began = time.perf_counter()
        process = subprocess.Popen(side.command(turn), stdin=stdin, stdout=null, stderr=subprocess.PIPE, env=dict(env))
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        sys.exit(f"{side.name} ended with {process.returncode}: {said.decode(errors='replace')[-2000:]}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def interleave(
    sides: Sequence[Side], repeats: int, env: Mapping[str, str], between: Callable[[], None]
) -> dict[str, list[Run]]:
    """Each side in turn, `repeats` times, after one round that does not count. between: clears what a run left."""
    runs: dict[str, list[Run]] = {side.name: [] for side in sides}
    for turn in range(repeats + 1):
        order = sides if turn % 2 else list(reversed(sides))
        for side in order:
            run = measure(side, turn, env)
            between()
            if turn:
                runs[side.name].append(run)
    return runs


def median(runs: Sequence[Run]) -> Run:
    """The median of each figure by itself."""
    return Run(*(statistics.median(getattr(run, field) for run in runs) for field in ("wall", "cpu", "peak")))
