"""The engine: finding a buildkitd, and installing, starting and stopping one of pyllb's own.

find(addr=None) -> str | None           the address of the daemon to use
require(addr=None) -> str               the same, or NoDaemonError with what to do
install(source="auto", say=print)       buildkitd and buildctl into pyllb's cache
start() -> Engine, stop(), status()     the private engine

Each name is loaded at its first use: who only looks for a daemon, as each solve does, needs no downloads and processes,
whose modules of the standard library take 10 ms.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyllb.engine.discovery import candidates, find, require
    from pyllb.engine.installation import VERSION, install
    from pyllb.engine.private import Engine, EngineStatus, start, status, stop

__all__ = [
    "VERSION",
    "Engine",
    "EngineStatus",
    "candidates",
    "find",
    "install",
    "require",
    "start",
    "status",
    "stop",
]

_HOMES = {
    "VERSION": "installation",
    "Engine": "private",
    "EngineStatus": "private",
    "candidates": "discovery",
    "find": "discovery",
    "install": "installation",
    "require": "discovery",
    "start": "private",
    "status": "private",
    "stop": "private",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pyllb.engine' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"pyllb.engine.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
