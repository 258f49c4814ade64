"""Source map: which lines of the user's files made which op. Mirrors pb.Source (BuildKit 0.33.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import CodeType
from typing import TypeVar

import attrs

from pyllb.errors import SourceLine
from pyllb.ir.site import Frame, Site, range_of
from pyllb.marshal.wire import blob, integer, message, text
from pyllb.value import Shown

T = TypeVar("T")

_PART = 128  # places that are looked at together: an op has up to eight, and a loop makes several ops

_Position = tuple[int | None, int | None, int | None, int | None]
ReadText = Callable[[str], str | None]
"""The text of a user's file by its name; None when the file is not the user's."""


def no_text(filename: str) -> str | None:
    """Knows no file, so that a definition gets no source map."""
    return None


def source_lines(site: Site, read_text: ReadText) -> tuple[SourceLine, ...]:
    """The places of a site's frames that are in the user's files, innermost first."""
    lines = []
    for frame in site.frames:
        content = read_text(frame.filename)
        if content is not None:
            place = frame.range()
            lines.append(SourceLine(frame.filename, place.start_line, place.end_line, content, frame.function))
    return tuple(lines)


def place_lines(places: Iterable[tuple[bytes, bytes]]) -> tuple[SourceLine, ...]:
    """The places of an op that was read, innermost first: each a pb.SourceInfo and a pb.Location, outermost first.

    A location of several ranges is one place, from their first line to their last. Places that are there again and
    again, as those of equal ops made in a loop, and of an op of several results, are told once.
    """
    from pyllb._pb import ops_pb2

    lines: list[SourceLine] = []
    files: dict[bytes, tuple[str, str]] = {}  # an op may have thousands of places in a file
    for info, location in _once(places):
        ranges = ops_pb2.Location.FromString(location).ranges
        if ranges:
            if info not in files:
                file = ops_pb2.SourceInfo.FromString(info)
                files[info] = file.filename, file.data.decode(errors="replace")
            filename, content = files[info]
            first = min(r.start.line for r in ranges)
            last = max(max(r.start.line, r.end.line) for r in ranges)
            lines.append(SourceLine(filename, first, last, content))
    return tuple(reversed(lines))


def _once(places: Iterable[T]) -> list[T]:
    """The places, without any part, of up to _PART places, that is the same as the part before it."""
    kept: list[T] = []
    for place in places:
        kept.append(place)
        for size in range(1, min(len(kept) // 2, _PART) + 1):
            if kept[-1 - size] == place and kept[-size:] == kept[-2 * size : -size]:
                del kept[-size:]
                break
    return kept


@attrs.frozen(eq=False, repr=False)
class SourceMap(Shown):
    """Collects the files and the locations of one marshal call, encoded. A site is encoded once.

    infos: each file as pb.SourceInfo.
    """

    read_text: ReadText
    infos: list[bytes] = attrs.field(factory=list, init=False)
    _locations: dict[str, bytes] = attrs.field(factory=dict, init=False)
    _again: dict[str, list[bytes]] = attrs.field(factory=dict, init=False)  # of digests that several vertices have
    _indices: dict[bytes, int] = attrs.field(factory=dict, init=False)
    _files: dict[str, int | None] = attrs.field(factory=dict, init=False)
    _sites: dict[int, tuple[Site, bytes]] = attrs.field(factory=dict, init=False)
    _frames: dict[tuple[int, int], bytes] = attrs.field(factory=dict, init=False)
    _positions: dict[int, list[_Position]] = attrs.field(factory=dict, init=False)

    def add(self, digest: str, site: Site) -> None:
        """Add the user's frames that made the op, also when another vertex has the same digest.

        The outermost comes first: the daemon reports the sources of an op in reverse, so a person reads the innermost
        line first, whichever client prints it.
        """
        known = self._sites.get(id(site))
        if known is None:  # with the site, so that no other one gets its id
            found = b"".join([self._location(frame) for frame in reversed(site.frames)])
            known = self._sites[id(site)] = site, found
        self._add(digest, known[1])

    def add_encoded(self, digest: str, places: tuple[tuple[bytes, bytes], ...]) -> None:
        """Add places that are encoded already, each with its file; equal files become one."""
        found: list[bytes] = []
        if self.read_text is not no_text:
            for info, place in places:
                index = self._indices.get(info)
                if index is None:
                    index = self._indices[info] = self._index(info, _said(info))
                found.append(message(b"\x0a", integer(b"\x08", index) + place))
        self._add(digest, b"".join(found))

    def _add(self, digest: str, found: bytes) -> None:
        if digest in self._locations:
            self._again.setdefault(digest, []).append(found)
        else:
            self._locations[digest] = found

    def locations(self) -> dict[str, bytes]:
        """By op digest, the encoded items of pb.Locations: of each vertex that has it, in order."""
        for digest, more in self._again.items():
            self._locations[digest] = b"".join((self._locations[digest], *more))
        self._again.clear()
        return self._locations

    def _index(self, info: bytes, said: bytes) -> int:
        """The number of a file, added when there is none that says the same."""
        index = self._indices.setdefault(said, len(self.infos))
        if index == len(self.infos):
            self.infos.append(info)
        return index

    def _location(self, frame: Frame) -> bytes:
        known = (id(frame.code), frame.instruction)
        found = self._frames.get(known)
        if found is None:
            found = self._frames[known] = self._encode(frame)
        return found

    def _encode(self, frame: Frame) -> bytes:
        index = self._file(frame.filename)
        if index is None:
            return b""
        place = range_of(frame.code, self._table(frame.code)[frame.instruction // 2])
        start = integer(b"\x08", place.start_line) + integer(b"\x10", max(place.start_column, 0))
        end = integer(b"\x08", place.end_line) + integer(b"\x10", max(place.end_column, 0))
        lines = message(b"\x0a", start) + message(b"\x12", end)
        return message(b"\x0a", integer(b"\x08", index) + message(b"\x12", lines))

    def _table(self, code: CodeType) -> list[_Position]:
        """Of every instruction, kept: a file may have thousands of calls, and the table is read from its start."""
        found = self._positions.get(id(code))
        if found is None:
            found = self._positions[id(code)] = list(code.co_positions())
        return found

    def _file(self, filename: str) -> int | None:
        if filename in self._files:
            return self._files[filename]
        content = self.read_text(filename)
        index = None
        if content is not None:
            data = blob(b"\x12", content.encode("utf-8", "surrogateescape"))
            name = message(b"\x0a", filename.encode("utf-8", "replace"))
            info = name + data + text(b"\x22", "Python")
            index = self._index(info, info)
        self._files[filename] = index
        return index


def _said(info: bytes) -> bytes:
    """A file without how a frontend was given it, which differs from session to session: for Go it is one file."""
    from pyllb._pb import ops_pb2

    read = ops_pb2.SourceInfo.FromString(info)
    read.ClearField("definition")
    return read.SerializeToString(deterministic=True)
