"""The programs: buildkitd and buildctl, built from pyllb's Go module."""

from __future__ import annotations

from pathlib import Path

from pyllb.engine import installation
from tests.testbed import debian, store
from tests.testbed.report import say, step


def programs() -> Path:
    """The directory that holds buildkitd and buildctl, built when there is none for this module."""
    return store.artefact("programs", store.digest(installation.module_digest(), debian.architecture()), _make)


def _make(place: Path) -> None:
    with step(
        f"building buildkitd and buildctl {installation.VERSION} with go", "the tests need a real daemon, pinned"
    ):
        installation.build(place, say=say)
