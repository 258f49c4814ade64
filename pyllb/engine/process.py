"""A process: one that outlives whoever started it, known by its id and its start time.

Ids are used again, so an id read from a file may mean another process by now; the start time tells them apart.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import attrs

# In the background of a shell that ends at once, the program is nobody's child: no zombie is left in a process that
# starts a daemon and goes on, and no Popen warns about a program that still runs.
_DETACH = '"$@" </dev/null >>"$0" 2>&1 & echo $!'


@attrs.frozen
class Process:
    """A running, or once running, process of this machine.

    pid: its id. started: its start time in clock ticks since boot, as /proc/PID/stat has it.
    """

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not, but for one with threads that have not ended."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[19]) == self.started and (fields[0] != "Z" or int(fields[17]) > 1)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it is gone."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def wait(self, timeout: float) -> bool:
        """Wait until it is gone, for timeout seconds at most. Returns whether it is gone."""
        if not self.alive():
            return True
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll(timeout * 1000)
        finally:
            os.close(handle)
        return not self.alive()

    def stop(self, grace: float) -> None:
        """SIGTERM, and SIGKILL when it is still there after grace seconds. Returns when it is gone."""
        self.signal(signal.SIGTERM)
        if not self.wait(grace):
            self.kill()

    def kill(self) -> None:
        """SIGKILL. Returns when it is gone, or after 10 s (a process in an uninterruptible system call stays)."""
        self.signal(signal.SIGKILL)
        self.wait(10)


def spawn(argv: Sequence[str], *, log: Path) -> Process:
    """Start a program in a session of its own, so that Ctrl-C does not reach it.

    argv: program and arguments; the program is found on the PATH. log: gets its stdout and stderr, appended.
    """
    shell = subprocess.run(
        ["/bin/sh", "-c", _DETACH, str(log), *argv],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        start_new_session=True,
    )
    return of(int(shell.stdout))


def of(pid: int) -> Process:
    """The process that has an id now; one that is gone already counts as not alive."""
    fields = _stat(pid)
    return Process(pid, int(fields[19]) if fields else 0)


def with_root_below(directory: Path) -> list[Process]:
    """The processes whose root filesystem is kept under directory: the containers a killed daemon leaves behind.

    A container's / is a mount of its own, an overlay whose options name the daemon's directory, or a bind of it.
    """
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        fields = _stat(pid)
        if fields is not None and str(directory) in _root_mount(pid):
            found.append(Process(pid, int(fields[19])))
    return found


def serving(directory: Path, programs: Collection[str]) -> list[Process]:
    """The processes of these programs (names) that were given a file under directory as an argument."""
    prefix = f"{directory}/"
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        fields = _stat(pid)
        program, *arguments = os.fsdecode(_read(pid, "cmdline")).split("\0")
        if fields and Path(program).name in programs and any(text.startswith(prefix) for text in arguments):
            found.append(Process(pid, int(fields[19])))
    return found


def unmount_below(directory: Path) -> None:
    """Detach every mount under directory, the deepest first."""
    prefix = f"{directory}/"
    points = [line.split()[4] for line in _read(os.getpid(), "mountinfo").decode(errors="replace").splitlines()]
    for point in sorted((p for p in points if p.startswith(prefix)), key=len, reverse=True):
        subprocess.run(["umount", "-l", point], check=False, capture_output=True)


def await_line(log: Path, text: str, process: Process, timeout: float) -> str | None:
    """The first whole line of log that has text in it; None when the process ended or timeout seconds passed."""
    deadline = time.monotonic() + timeout
    while True:
        running = process.alive()
        for line in log.read_text(errors="replace").splitlines() if log.exists() else ():
            if text in line:
                return line
        if not running or time.monotonic() > deadline:
            return None
        time.sleep(0.02)


def tail(log: Path, lines: int = 10) -> str:
    """The last lines of a log, "" when there is none."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _stat(pid: int) -> list[str] | None:
    """Fields 3 and on of /proc/PID/stat (proc(5)); the name before them may hold spaces and parentheses."""
    text = _read(pid, "stat").decode(errors="replace")
    return text.rpartition(")")[2].split() or None


def _root_mount(pid: int) -> str:
    lines = _read(pid, "mountinfo").decode(errors="replace").splitlines()
    return "".join(line for line in lines if line.split()[4] == "/")


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
