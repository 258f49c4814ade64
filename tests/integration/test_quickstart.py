"""The quickstart: which daemon it takes, and that it ends with the output of the program it built."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyllb import engine
from pyllb.engine.probe import answers
from tests.testbed import Testbed, quickstart

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def hub(status: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A web server in the place of Docker Hub, which answers with one status."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="test-hub")
        thread.start()
        monkeypatch.setattr(quickstart, "_HUB", f"http://127.0.0.1:{server.server_port}/v2/")
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "trouble"), [(401, ""), (200, ""), (503, "it answers 503")])
def test_docker_hub_is_there_when_it_asks_for_a_login(
    monkeypatch: pytest.MonkeyPatch, status: int, trouble: str
) -> None:
    with hub(status, monkeypatch):
        assert quickstart._hub_trouble() == trouble


def test_without_a_daemon_but_with_docker_hub_it_starts_an_engine_and_stops_it(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BUILDKIT_HOST", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYLLB_ENGINE_HOME", "is set by the quickstart")
    monkeypatch.setenv("PATH", f"{testbed.buildkitd.parent}:{os.environ['PATH']}")
    with hub(401, monkeypatch):
        with quickstart._daemon() as address:
            assert answers(address)
            own = engine.status().engine
        assert own is None or not answers(own.address)


def test_it_ends_with_the_output_of_the_program_it_built(testbed: Testbed) -> None:
    # The run's own daemon, by name: it has the mirror, and a second clone may do the same at the same time.
    env = {**os.environ, "BUILDKIT_HOST": testbed.address}
    command = [sys.executable, "-m", "tests.testbed.quickstart"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    version, listening, answer = done.stdout.splitlines()
    assert version == "go-service dev"
    assert "http://127.0.0.1:" in listening
    assert '"quickstart"' in answer
