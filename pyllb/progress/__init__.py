"""Progress: status events into what a person, or a program, sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from pyllb.errors import UsageError
from pyllb.progress.sink import Sink

__all__ = ["MODES", "Sink", "make"]

MODES = ("auto", "plain", "tty", "rawjson", "quiet")


def make(mode: str, stream: TextIO, env: Mapping[str, str]) -> Sink:
    """The sink for a --progress mode, writing to stream.

    mode: "auto" or "" is tty where stream is a terminal, else plain, unless BUILDKIT_PROGRESS says which. env: the
    environment; read are BUILDKIT_PROGRESS, BUILDKIT_COLORS, BUILDKIT_TTY_LOG_LINES, NO_COLOR, PROGRESS_NO_TRUNC, TERM
    and TTY_DISPLAY_RATE, with the meaning they have for buildctl (0.33.1).
    Raises UsageError for any other mode, and for tty where stream is no terminal.
    """
    match _mode(mode, stream, env):
        case "quiet":
            from pyllb.progress.quiet import Quiet

            return Quiet()
        case "rawjson":
            from pyllb.progress.rawjson import RawJson

            return RawJson(stream)
        case "tty":
            from pyllb.progress.tty import tty

            return tty(stream, env)
        case _:
            from pyllb.progress.plain import plain

            return plain(stream, env)


def _mode(mode: str, stream: TextIO, env: Mapping[str, str]) -> str:
    asked, whence = mode or "auto", ""
    if asked == "auto" and (wished := env.get("BUILDKIT_PROGRESS")):
        asked, whence = wished, "BUILDKIT_PROGRESS: "
    if asked not in MODES:
        raise UsageError(f"{whence}{asked!r} is not a progress mode; choose from {', '.join(MODES)}")
    if asked == "auto":
        return "tty" if stream.isatty() and env.get("TERM") not in ("dumb", "unknown") else "plain"
    if asked == "tty" and not stream.isatty():
        raise UsageError(f"{whence}progress mode 'tty' needs a terminal on stderr; 'plain' and 'auto' do not")
    return asked
