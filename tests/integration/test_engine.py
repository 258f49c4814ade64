"""The private engine with a real buildkitd: started once, found, used through a mirror, stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyllb import engine
from pyllb.engine.process import of
from pyllb.errors import UsageError
from tests.conftest import Buildctl
from tests.testbed import Testbed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(testbed: Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine whose PATH has the testbed's buildkitd, and an engine's home of its own."""
    monkeypatch.delenv("BUILDKIT_HOST", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("PYLLB_ENGINE_HOME", str(tmp_path / "e"))
    monkeypatch.setenv("PATH", f"{testbed.buildkitd.parent}:{os.environ['PATH']}")
    yield tmp_path / "e"
    engine.stop()


def test_an_engine_is_started_once_found_and_stopped(home: Path) -> None:
    first = engine.start()
    assert first.started
    assert first.address == f"unix://{home}/run/buildkitd.sock"
    again = engine.start()
    assert (again.pid, again.started) == (first.pid, False)
    assert first.address in (engine.find(), *engine.candidates())
    assert engine.status().state == "running"
    assert engine.stop()
    assert not of(first.pid).alive()
    assert engine.status().state == "stopped"
    assert not engine.stop()


def test_two_that_start_at_once_get_the_same_engine(home: Path) -> None:
    pids = set()
    threads = [threading.Thread(target=lambda: pids.add(engine.start().pid), name=f"start-{n}") for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 1


def test_the_engine_outlives_the_process_that_started_it(home: Path) -> None:
    script = "from pyllb import engine; print(engine.start().pid)"
    pid = int(subprocess.check_output([sys.executable, "-c", script], cwd=ROOT, text=True))
    status = engine.status()
    assert status.engine is not None
    assert (status.state, status.engine.pid) == ("running", pid)


def test_an_engine_asks_the_mirror_it_was_given(home: Path, testbed: Testbed, tmp_path: Path) -> None:
    started = engine.start(mirrors={"docker.io": testbed.registry})
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo through the $((1 + 1))nd mirror\n")
    buildctl = Buildctl(testbed.buildctl, started.address)
    locals_ = [f"--local=context={tmp_path}", f"--local=dockerfile={tmp_path}"]
    assert b"through the 2nd mirror" in buildctl("build", "--frontend=dockerfile.v0", *locals_).stderr
    assert not engine.start(mirrors={"docker.io": testbed.registry}).started
    with pytest.raises(UsageError, match="with other mirrors than"):
        engine.start(mirrors={"docker.io": "127.0.0.1:1"})


def test_an_engine_that_was_killed_is_started_again(home: Path) -> None:
    first = engine.start()
    of(first.pid).kill()
    assert engine.status().state == "stopped"
    second = engine.start()
    assert second.started
    assert second.pid != first.pid
