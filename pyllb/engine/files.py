"""Where the engine keeps things: XDG's directories, and for root the system's.

PYLLB_ENGINE_HOME, when set, is one directory for all that a private daemon writes; its programs stay in the cache.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_directory() -> Path:
    """Where `engine install` puts programs: ~/.cache/pyllb/engine, or under XDG_CACHE_HOME."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def data_directory() -> Path:
    """Where the private daemon keeps its caches: /var/lib/pyllb/engine, or ~/.local/share/pyllb/engine."""
    if home := _home("data"):
        return home
    return Path("/var/lib/pyllb/engine") if os.geteuid() == 0 else _xdg("XDG_DATA_HOME", ".local/share")


def run_directory() -> Path:
    """Where its socket and state are: /run/pyllb/engine, or under XDG_RUNTIME_DIR; else the data directory."""
    if home := _home("run"):
        return home
    if os.geteuid() == 0:
        return Path("/run/pyllb/engine")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime, "pyllb/engine") if runtime else data_directory()


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, made when it is missing, for as long as the block runs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _home(part: str) -> Path | None:
    home = os.environ.get("PYLLB_ENGINE_HOME")
    return Path(home).absolute() / part if home else None


def _xdg(variable: str, default: str) -> Path:
    # The XDG base directory specification has relative paths ignored.
    given = os.environ.get(variable, "")
    return Path(given if given.startswith("/") else Path.home() / default) / "pyllb/engine"
