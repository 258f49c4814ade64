"""Reading: what is asked of a built filesystem that is not exported: a file, a directory, what a path is."""

from __future__ import annotations

import os
import posixpath
from typing import Protocol, TypeVar

import attrs

from pyllb._pb import gateway_pb2, stat_pb2
from pyllb.client.gateway import Bridge
from pyllb.client.specs.fields import has_utf8
from pyllb.errors import UsageError
from pyllb.session.fssync.stat import st_mode
from pyllb.value import Shown, Value

T_co = TypeVar("T_co", covariant=True)

# Of a file at once: an answer is a message, which may have 16 MiB.
_PIECE = 8 << 20
_MAX_SIZE = (1 << 62) - 1  # an offset and a length together are still an int64


@attrs.frozen(eq=False, repr=False, kw_only=True)
class FileStat(Value):
    """What a path is. Mirrors fsutil's types.Stat.

    name: the last part of the path. mode: as os.stat gives it, for the functions of Python's `stat`. size: bytes.
    mtime: nanoseconds since 1970. link: what a symlink says, "" for anything else. A name that is no UTF-8 is as
    os.fsdecode has it.
    """

    name: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: str


def _a_path(instance: object, field: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not value or "\0" in value or not has_utf8(value):
        raise UsageError(f"path: {value!r} is none; write one from the root, such as '/etc/os-release'")


def _a_pattern(instance: object, field: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not has_utf8(value):
        raise UsageError(f"pattern: {value!r} is none; write '*.so', say, or '' for all")


def _a_size(instance: object, field: attrs.Attribute[int], value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_SIZE:
        raise UsageError(f"{field.name}: {value!r} is no number of bytes")


class Question(Protocol[T_co]):
    """Something to be asked of a filesystem that the daemon has, or then builds."""

    def __call__(self, bridge: Bridge, ref: str) -> T_co:
        """The answer. ref: the filesystem's id."""


@attrs.frozen(eq=False, repr=False)
class ReadFile(Shown):
    """The content of a file from offset on. length: bytes at most, None is all."""

    path: str = attrs.field(validator=_a_path)
    offset: int = attrs.field(validator=_a_size)
    length: int | None = attrs.field(validator=attrs.validators.optional(_a_size))

    def __call__(self, bridge: Bridge, ref: str) -> bytes:
        parts: list[bytes] = []
        at, size = self.offset, _PIECE
        while size == _PIECE:
            left = _PIECE if self.length is None else self.offset + self.length - at
            piece = gateway_pb2.FileRange(Offset=at, Length=min(_PIECE, left))
            request = gateway_pb2.ReadFileRequest(Ref=ref, FilePath=self.path, Range=piece)
            parts.append(bridge.ask("ReadFile", "readfile", request, gateway_pb2.ReadFileResponse).Data)
            size = len(parts[-1])
            at += size
        return b"".join(parts)


@attrs.frozen(eq=False, repr=False)
class ReadDir(Shown):
    """What a directory holds. pattern: of the names, as in Go's path.Match; "" is all."""

    path: str = attrs.field(validator=_a_path)
    pattern: str = attrs.field(validator=_a_pattern)

    def __call__(self, bridge: Bridge, ref: str) -> tuple[FileStat, ...]:
        request = gateway_pb2.ReadDirRequest(Ref=ref, DirPath=self.path, IncludePattern=self.pattern)
        answer = bridge.ask("ReadDir", "readdir", request, gateway_pb2.ReadDirResponse)
        return tuple(map(_stat, answer.entries))


@attrs.frozen(eq=False, repr=False)
class StatFile(Shown):
    """What a path is; a symlink is followed."""

    path: str = attrs.field(validator=_a_path)

    def __call__(self, bridge: Bridge, ref: str) -> FileStat:
        request = gateway_pb2.StatFileRequest(Ref=ref, Path=self.path)
        found = _stat(bridge.ask("StatFile", "statfile", request, gateway_pb2.StatFileResponse).stat)
        # The daemon's own is of the place where it has mounted the filesystem, when that is what was asked for.
        return attrs.evolve(found, name=posixpath.basename(posixpath.normpath(f"/{self.path}")) or "/")


def _stat(stat: stat_pb2.Stat) -> FileStat:
    mode = st_mode(stat.mode)
    link = os.fsdecode(stat.linkname)
    name, mtime = os.fsdecode(stat.path), stat.modTime
    return FileStat(name=name, mode=mode, uid=stat.uid, gid=stat.gid, size=stat.size, mtime=mtime, link=link)
