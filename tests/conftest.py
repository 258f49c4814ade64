"""The fixtures: one testbed for the whole run, started when the first test asks for it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.testbed import Testbed, prepare, up

# No test measures time; the first example of a fresh machine takes a second, in which Hypothesis makes its tables.
settings.register_profile("pyllb", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pyllb")

_INTEGRATION = Path(__file__).parent / "integration"


def pytest_configure() -> None:
    """Let an interrupt reach what the tests start: a job in a shell's background has it ignored, and hands that on."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything under tests/integration needs a daemon."""
    for item in items:
        if item.path.is_relative_to(_INTEGRATION):
            item.add_marker(pytest.mark.daemon)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Make the testbed's parts before the first test: a fresh machine needs minutes, which no test's time limit has."""
    if not session.config.option.collectonly and any("testbed" in _fixtures(item) for item in session.items):
        prepare()


def _fixtures(item: pytest.Item) -> list[str]:
    return item.fixturenames if isinstance(item, pytest.Function) else []


@dataclass(frozen=True)
class Buildctl:
    """Runs the testbed's buildctl against its daemon: buildctl("debug", "workers")."""

    program: Path
    address: str

    def __call__(
        self,
        *arguments: str,
        input: bytes | None = None,
        check: bool = True,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it and return what it wrote, both streams as bytes.

        check: fail the test, with its stderr, when it ends with another code than 0. env: added to this process' own.
        """
        done = subprocess.run(
            [str(self.program), "--addr", self.address, *arguments],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            check=False,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )
        if check and done.returncode:
            pytest.fail(f"buildctl {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr.decode()}")
        return done


@pytest.fixture(scope="session")
def testbed() -> Iterator[Testbed]:
    """A buildkitd and two registries, stopped when the run ends. What cannot be had fails the run; nothing skips."""
    with up() as running:
        yield running


@pytest.fixture(scope="session")
def address(testbed: Testbed) -> str:
    """Where the run's buildkitd answers, as unix://..."""
    return testbed.address


@pytest.fixture(scope="session")
def buildctl(testbed: Testbed) -> Buildctl:
    """The testbed's buildctl, to compare with."""
    return Buildctl(testbed.buildctl, testbed.address)
