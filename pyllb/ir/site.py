"""Site: the user's call frames that made a value, kept as code and instruction, turned into lines only when asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from types import CodeType, FrameType

import attrs

from pyllb.value import Value

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_CALLS_BACK = _PACKAGE + "dsl" + os.sep
# The standard library calls back too: asyncio alone stands with six frames between two of the user's.
_LIBRARY = os.path.dirname(os.__file__) + os.sep
_FOREIGN = (_LIBRARY, "<frozen ")
_INSTALLED = (f"{_LIBRARY}site-packages{os.sep}", f"{_LIBRARY}dist-packages{os.sep}")
_KEPT = 1024  # sites kept to be given again: a large graph is made by few calls
_DEPTH = 8  # frames kept; a helper in a helper in a loop is three
# Until 3.12 a comprehension is a function of its own, called where it stands; since then it is a part of the other.
_OWN_FRAME = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>"} if sys.version_info < (3, 12) else ())
_WALKED = 2 * _DEPTH if _OWN_FRAME else _DEPTH  # frames looked at: each may be one that the next is left out for


@attrs.frozen(eq=False, repr=False)
class Range(Value):
    """Where a call stands in its file: lines 1-based and inclusive; columns 0-based, in bytes of UTF-8, -1 when Python
    kept none.
    """

    start_line: int
    end_line: int
    start_column: int = -1
    end_column: int = -1


@attrs.frozen(eq=False, repr=False)
class Frame(Value):
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
        """The lines and columns; walks the code's position table, so ask once per frame and keep the answer.

        Those of a call are the same in every Python from 3.11 on. Where Python itself calls (a context manager's
        __enter__, an iterator's __next__ in a loop or a comprehension, __bool__, what is in an f-string) they are its
        own.
        """
        positions = islice(self.code.co_positions(), self.instruction // 2, None)
        return range_of(self.code, next(positions, (None, None, None, None)))


def range_of(code: CodeType, position: tuple[int | None, int | None, int | None, int | None]) -> Range:
    """The range of one entry of code.co_positions(); its function's first line where Python kept none."""
    line, end, column, end_column = position
    start = code.co_firstlineno if line is None else line
    return Range(start, end or start, -1 if column is None else column, -1 if end_column is None else end_column)


@attrs.frozen(eq=False, repr=False)
class Site(Value):
    """The user's frames, innermost first, at most eight; empty when none was found.

    places: code and instruction by turns; every vertex has a site and few are asked for their frames. Those at which
    a comprehension is called are among them.
    """

    places: tuple[CodeType | int, ...] = attrs.field(default=(), repr=False)

    @property
    def frames(self) -> tuple[Frame, ...]:
        codes = (code for code in self.places if not isinstance(code, int))
        instructions = (place for place in self.places if isinstance(place, int))
        return tuple(islice(_kept(map(Frame, codes, instructions)), _DEPTH))


def _kept(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The frames without those that call a comprehension: the place in it is the more exact one."""
    own = False
    for frame in frames:
        if not own:
            yield frame
        own = frame.code.co_name in _OWN_FRAME


NOWHERE = Site()


_users: set[str] = set()  # names of files outside these: to look one up takes a quarter of what comparing does
_sites: dict[tuple[int, ...], Site] = {}  # they hold the code objects, so that no other ones get their ids


def here() -> Site:
    """The site of the call into pyllb that is going on: the frames of the user's code.

    It costs about a microsecond, so every vertex can have one; a call in a loop gives the same site again. Frames of
    what the user calls, and is called back by (`with_`, the standard library), are passed over. Frames beyond any other
    pyllb frame (the command that loaded the build file, say) are not the user's and are left out.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    codes: list[CodeType] = []
    addresses: list[int] = []  # of the instructions: they lie in the code object, so no other one has the same
    while frame is not None and len(codes) < _WALKED:
        code = frame.f_code
        if code.co_filename in _users or _is_users(code.co_filename):
            codes.append(code)
            addresses.append(id(code) + frame.f_lasti)
        elif code.co_filename.startswith(_PACKAGE) and not code.co_filename.startswith(_CALLS_BACK):
            break
        frame = frame.f_back
    known = tuple(addresses)
    found = _sites.get(known)
    return _keep(known, codes) if found is None else found


def _is_users(filename: str) -> bool:
    if filename.startswith(_PACKAGE) or (filename.startswith(_FOREIGN) and not filename.startswith(_INSTALLED)):
        return False
    _users.add(filename)
    return True


def _keep(known: tuple[int, ...], codes: list[CodeType]) -> Site:
    if not codes:
        return NOWHERE
    if len(_sites) >= _KEPT:
        _sites.clear()
    places = ((code, address - id(code)) for code, address in zip(codes, known, strict=True))
    site = _sites[known] = Site(tuple(chain.from_iterable(places)))
    return site
