"""The engine: finding a buildkitd, and installing, starting and stopping one of pyllb's own.

find(addr=None) -> str | None           the address of the daemon to use
require(addr=None) -> str               the same, or NoDaemonError with what to do
install(source="auto", say=print)       buildkitd and buildctl into pyllb's cache
start() -> Engine, stop(), status()     the private engine
"""

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
