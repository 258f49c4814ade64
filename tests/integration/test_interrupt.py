"""Ctrl-C in the middle of a solve: the build ends on both sides, and nothing is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = """
from pyllb import FS, fs, merge, target

@target
def default(seconds: str) -> FS:
    base = fs().image("busybox")
    return merge(*(base.run(f"echo started; sleep {seconds}{n}") for n in (1, 2)))
"""


def with_argument(text: str) -> list[int]:
    """The processes of this machine that have text in their command line; the daemon's steps are among them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if words[:1] == [b"sleep"] and any(text.encode() in word for word in words):
            found.append(int(entry.name))
    return found


def in_session(session: int) -> list[int]:
    """The processes of a session, which is that of the command and of all it started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.name))
    return found


@contextmanager
def running(project: Path, address: str, seconds: str) -> Iterator[subprocess.Popen[bytes]]:
    """A solve whose two steps run."""
    (project / "build.py").write_text(BUILD)
    words = ["solve", "--seconds", seconds, "--progress=plain", "--output", "type=local,dest=out"]
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "pyllb.cli", *words],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "BUILDKIT_HOST": address},
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        until = time.monotonic() + 60
        while len(with_argument(seconds)) < 2:
            assert time.monotonic() < until, "the steps do not start"
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.02)
        yield process


@pytest.mark.parametrize(
    ("signals", "code"),
    [((signal.SIGINT,), 130), ((signal.SIGINT, signal.SIGINT), 130), ((signal.SIGTERM,), 143)],
    ids=["ctrl-c", "ctrl-c-twice", "sigterm"],
)
def test_an_interrupt_ends_the_build_on_both_sides(
    tmp_path: Path, address: str, signals: tuple[signal.Signals, ...], code: int
) -> None:
    seconds = f"60.{time.time_ns() % 10**9:09d}"
    with running(tmp_path, address, seconds) as process:
        for number in signals:
            process.send_signal(number)
            time.sleep(0.05)
        sent = time.monotonic()
        assert process.stderr is not None
        said = process.stderr.read().decode()
        ended = process.wait(30)
        took = time.monotonic() - sent

    assert ended == code, said
    assert took < 3
    assert "Traceback" not in said
    assert said.rstrip().endswith("interrupted")
    assert in_session(process.pid) == []
    until = time.monotonic() + 3
    while with_argument(seconds):
        assert time.monotonic() < until, "the daemon still runs a step"
        time.sleep(0.02)
    assert os.listdir(tmp_path) == ["build.py"], "a half-written export, or a file of ours, is left"


PHASES = """
import time
from pyllb import FS, fs, image, local, target

@target
def pull(registry: str) -> FS:
    return image(f"{registry}/x:1").run("true")

@target
def send(registry: str) -> FS:
    return fs().copy(local("large"), "/", "/")

@target
def export(registry: str) -> FS:
    return fs().image("busybox").run(f"dd if=/dev/zero of=/large bs=1M count=700; : {time.time_ns()}")
"""


@pytest.mark.parametrize(
    ("target", "sign"),
    [("pull", b"resolve image config"), ("send", b"transferring large"), ("export", b"sending tarball")],
)
def test_an_interrupt_in_any_phase_ends_it_at_once_and_leaves_no_half_file(
    tmp_path: Path, address: str, target: str, sign: bytes
) -> None:
    (tmp_path / "build.py").write_text(PHASES)
    (tmp_path / "large").mkdir()
    with (tmp_path / "large/file").open("wb") as file:
        file.truncate(4 << 30)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "BUILDKIT_HOST": address}
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a registry that never answers
        words = ["solve", f":{target}", "--registry", f"127.0.0.1:{silent.getsockname()[1]}", "--progress=plain"]
        with subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "pyllb.cli", *words, "--output", "type=tar,dest=out.tar"],
            cwd=tmp_path,
            env=env,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stderr is not None
            said = b""
            while sign not in said:
                line = process.stderr.readline()
                assert line, said.decode()
                said += line
            time.sleep(0.1)  # in the middle of it
            process.send_signal(signal.SIGINT)
            sent = time.monotonic()
            said += process.stderr.read()
            code = process.wait(30)

    assert time.monotonic() - sent < 3
    assert code == 130, said.decode()
    assert b"Traceback" not in said
    assert sorted(os.listdir(tmp_path)) == ["build.py", "large"]


def test_a_solve_after_an_interrupted_one_works(tmp_path: Path, address: str) -> None:
    seconds = f"60.{time.time_ns() % 10**9:09d}"
    with running(tmp_path, address, seconds) as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    (tmp_path / "other.py").write_text(
        "from pyllb import fs, target\n@target\ndef default(): return fs().mkdir('/a')\n"
    )

    words = [sys.executable, "-m", "pyllb.cli", "solve", "other.py", "--output", "type=local,dest=out"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "BUILDKIT_HOST": address}
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "out/a").is_dir()
