"""Run: a whole process, timed from outside by the operating system's own accounting."""

from __future__ import annotations

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

# What the console script does, wherever it was installed; `python -m pyllb.cli` loads runpy too, which is 2.5 ms.
_SPAWN = Path(__file__).with_name("spawn.py")
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
    run, _ = spawn(side.command(turn), env=env, stdin=side.stdin(turn) if side.stdin else None)
    return run


def spawn(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, stdin: Path | None = None
) -> tuple[Run, bytes]:
    """Run a command by benchmarks/spawn.py: what it cost, and what it wrote to stdout. Its failure ends all."""
    with tempfile.NamedTemporaryFile("r") as report, (stdin or Path(os.devnull)).open("rb") as source:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(_SPAWN), report.name, *command],
            stdin=source,
            capture_output=True,
            env=None if env is None else dict(env),
            check=False,
        )
        if done.returncode:
            text = done.stderr.decode(errors="replace")[-2000:]
            sys.exit(f"{shlex.join(command)} ended with {done.returncode}: {text}")
        wall, cpu, peak = map(float, report.read().split())
    return Run(wall, cpu, peak / 1024), done.stdout


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
