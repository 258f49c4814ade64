"""Source: the user's lines an error is about, found in its traceback and shown as text."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from types import FrameType, TracebackType

from pyllb.errors import SourceLine

_FRAMES = 6  # of the user's calls, shown at most


def user_frames(traceback: TracebackType | None) -> tuple[SourceLine, ...]:
    """The user's lines in a traceback, innermost first: not pyllb's, the standard library's or a package's."""
    from pyllb.client.compile import user_text

    found = []
    for frame, line in _walk(traceback):
        code = frame.f_code
        text = None if code.co_filename.startswith("<") else user_text(code.co_filename)
        if text is not None:
            name = "" if code.co_name == "<module>" else code.co_qualname
            found.append(SourceLine(code.co_filename, line, text=text, function=name))
    return tuple(reversed(found))


def _walk(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def shown_path(path: str) -> str:
    """A path as a person reads it: relative when it lies below the current directory."""
    base = os.path.join(os.getcwd(), "")
    return path[len(base) :] if path.startswith(base) else path


def show(sources: Iterable[SourceLine]) -> list[str]:
    """Lines of text for an error's places: the innermost with the lines around it, the calls that led there below."""
    # A generator's frame stands on the line that runs it: once is enough.
    sources = [next(same) for _, same in itertools.groupby(sources, key=lambda s: (s.filename, s.line))]
    lines: list[str] = []
    for position, source in enumerate(sources[:_FRAMES]):
        where = f"{shown_path(source.filename)}:{source.line}"
        where += f" in {source.function}" if source.function not in ("", "<module>") else ""
        lines.append(where if position == 0 else f"called from {where}")
        excerpt = source.excerpt() if position == 0 else source.excerpt(0)
        lines += excerpt.split("\n") if excerpt else []
    if len(sources) > _FRAMES:
        lines.append(f"({len(sources) - _FRAMES} more calls)")
    return lines
