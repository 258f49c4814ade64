"""Directories for the tests of file sync."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.fssync.trees import writable_again


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A path for a tree; whatever modes it gets, it can be removed afterwards."""
    yield tmp_path / "root"
    writable_again(tmp_path)


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that another user can reach and write to, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="pyllb-test-") as name:
        Path(name).chmod(0o777)
        yield Path(name)
        writable_again(Path(name))
