"""Site: the user's call frames that made a value, kept as code and instruction, turned into lines only when asked."""

from __future__ import annotations

import os
import sys
from types import CodeType

import attrs

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_DEPTH = 8  # frames kept; a helper in a helper in a loop is three


@attrs.frozen
class Range:
    """Where a call stands in its file: lines 1-based and inclusive, columns 0-based, -1 when Python kept none."""

    start_line: int
    end_line: int
    start_column: int = -1
    end_column: int = -1


@attrs.frozen
class Frame:
    """One call of the user's code: the code object and the instruction it was at. It keeps no local alive."""

    code: CodeType
    instruction: int

    @property
    def filename(self) -> str:
        return self.code.co_filename

    @property
    def function(self) -> str:
        return self.code.co_qualname

    def range(self) -> Range:
        """The lines and columns; walks the code's position table, so ask once per frame and keep the answer."""
        for index, position in enumerate(self.code.co_positions()):
            if index == self.instruction // 2:
                line, end, column, end_column = position
                start = line if line is not None else self.code.co_firstlineno
                return Range(
                    start, end or start, -1 if column is None else column, -1 if end_column is None else end_column
                )
        return Range(self.code.co_firstlineno, self.code.co_firstlineno)


@attrs.frozen
class Site:
    """The user's frames, innermost first, at most eight; empty when none was found."""

    frames: tuple[Frame, ...] = ()


NOWHERE = Site()


def here() -> Site:
    """The site of the call into pyllb that is going on: the nearest run of frames outside this package.

    It costs about a microsecond, so every vertex can have one. Frames beyond the next pyllb frame (the command that
    loaded the build file, say) are not the user's and are left out.
    """
    frame = sys._getframe(1)
    while frame.f_code.co_filename.startswith(_PACKAGE):
        if frame.f_back is None:
            return NOWHERE
        frame = frame.f_back
    frames = []
    for _ in range(_DEPTH):
        code = frame.f_code
        if code.co_filename.startswith(_PACKAGE):
            break
        frames.append(Frame(code, frame.f_lasti))
        if frame.f_back is None:
            break
        frame = frame.f_back
    return Site(tuple(frames))
