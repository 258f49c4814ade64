"""A store: one cache directory of artefacts, each made once for its inputs and never changed afterwards."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_WEEK = 7 * 24 * 3600.0


def directory() -> Path:
    """The cache directory: PYLLB_TESTBED, which must be absolute, or ~/.cache/pyllb-testbed."""
    given = os.environ.get("PYLLB_TESTBED")
    place = Path(given) if given else Path.home() / ".cache/pyllb-testbed"
    if not place.is_absolute():
        raise ValueError(f"PYLLB_TESTBED is {given!r}, which is relative; an absolute path would do")
    place.mkdir(parents=True, exist_ok=True)
    return place


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the machine-wide lock of a name in this store."""
    locks = directory() / "locks"
    locks.mkdir(exist_ok=True)
    with (locks / name).open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def digest(*inputs: str | bytes | Path) -> str:
    """A short digest of inputs; a path counts with its content."""
    total = hashlib.sha256()
    for value in inputs:
        data = value.read_bytes() if isinstance(value, Path) else value.encode() if isinstance(value, str) else value
        total.update(hashlib.sha256(data).digest())
    return total.hexdigest()[:16]


def artefact(name: str, inputs: str, make: Callable[[Path], None]) -> Path:
    """The directory of an artefact, made by make(empty directory) when there is none for these inputs.

    name: what it is. inputs: a digest of all it is made from. It is made in a directory beside its place, which is
    then renamed, so that what stands in the place is whole. Another process that wants the same one waits. Those of
    other inputs that nobody has used for a week are removed then: the images alone are 250 MB.
    """
    place = directory() / "artefacts" / f"{name}-{inputs}"
    if place.exists():
        os.utime(place)
        return place
    with locked(name):
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            half = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=place.parent))
            half.chmod(0o755)
            try:
                make(half)
                half.rename(place)
                os.utime(place)
            finally:
                shutil.rmtree(half, ignore_errors=True)
            _drop_unused(place.parent, name)
    return place


def _drop_unused(artefacts: Path, name: str) -> None:
    for other in artefacts.glob(f"{name}-*"):
        if other.stat().st_mtime < time.time() - _WEEK:
            shutil.rmtree(other, ignore_errors=True)
