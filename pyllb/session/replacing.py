"""Replacing: a file that appears under its name only when it is whole."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = ".tmp."
"""What the name of a file begins with that is not whole yet."""


@contextlib.contextmanager
def replacing(path: Path, mode: int | None) -> Iterator[int]:
    """A descriptor of a new file that takes path's place when the block ends well. mode None: as the umask has it."""
    temporary = temporary_beside(path)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            if mode is not None:
                os.fchmod(fd, mode)
            yield fd
        finally:
            os.close(fd)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporary_beside(path: Path) -> Path:
    """A name in the same directory that no file has."""
    return path.with_name(TEMPORARY + secrets.token_hex(8))
