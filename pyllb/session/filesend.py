"""FileSend service: the daemon hands a build's outputs to this side, as a tree or as one stream of bytes.

Mirrors `moby.filesync.v1.FileSend` and session/filesync, BuildKit 0.33.1.
"""

from __future__ import annotations

import errno
import io
import os
import stat as posix
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, TypeAlias

import attrs

from pyllb.errors import UsageError
from pyllb.rpc.status import Code, RpcError
from pyllb.session.call import Call, Handler
from pyllb.session.fssync.disk import write_all
from pyllb.session.fssync.packet import decode_bytes_message
from pyllb.session.fssync.receiver import receive
from pyllb.session.replacing import replacing
from pyllb.session.special import open_special, write_special

_EXPORTER_ID = "buildkit-attachable-exporter-id"
_EXPORTER_METADATA = "exporter-md-"


class Writable(Protocol):
    """What StreamTarget needs of a file object."""

    def write(self, data: memoryview, /) -> int | None:
        """Write data, all of it or as many bytes as it returns."""

    def flush(self) -> None:
        """Hand on what is buffered."""


@attrs.frozen
class LocalTarget:
    """A directory that takes a tree. It is made when missing, mode 0700; what is in it and not sent stays.

    Mirrors the client's side of the `local` exporter with mode=copy.
    """

    path: Path = attrs.field(converter=Path)


@attrs.frozen
class FileTarget:
    """A file that takes a stream. It appears under its name only when it is whole; a failed build leaves the old one.

    What is no regular file (a device, a named pipe) is written to directly.
    """

    path: Path = attrs.field(converter=Path)


@attrs.frozen(eq=False)
class StreamTarget:
    """An open binary file that takes a stream, such as `sys.stdout.buffer`. It is flushed at the end, not closed."""

    stream: Writable


Target: TypeAlias = LocalTarget | FileTarget | StreamTarget


class FileSend:
    """Takes the outputs of the exporters of one solve.

    targets: an exporter's index in the solve request, to where its output goes. metadata: what the daemon said beside
    each stream, by exporter; such as `containerimage.digest`.
    """

    def __init__(self, targets: Mapping[int, Target]) -> None:
        self.targets: Mapping[int, Target] = MappingProxyType(dict(targets))
        self._metadata: dict[int, Mapping[str, str]] = {}

    @property
    def metadata(self) -> Mapping[int, Mapping[str, str]]:
        return MappingProxyType(self._metadata)

    def methods(self) -> Mapping[str, Handler]:
        """The one method that is announced."""
        return {"/moby.filesync.v1.FileSend/DiffCopy": self.diff_copy}

    def diff_copy(self, call: Call) -> None:
        """Take one output. Raises RpcError for an exporter that has no target, and when it cannot be written."""
        exporter = _exporter_id(call)
        target = self.targets.get(exporter)
        if target is None:
            raise RpcError(Code.UNKNOWN, f"exporter {exporter} not found")
        self._metadata[exporter] = _exporter_metadata(call)
        if isinstance(target, LocalTarget):
            _receive_tree(call, target.path)
            return
        try:
            if isinstance(target, FileTarget):
                _receive_file(call, target.path)
            else:
                _receive_stream(call, target.stream)
        except OSError as error:
            name = repr(os.fspath(target.path)) if isinstance(target, FileTarget) else "the output"
            raise RpcError(Code.UNKNOWN, f"cannot write {name}: {error.strerror or error}") from error


def check_destination(path: Path, *, directory: bool) -> None:
    """See, before a solve, that an output can go to path: a tree (directory=True) or one file.

    Raises UsageError when a file stands where a directory must be, or a directory where a file must be, or where this
    process may not write.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        _check_parent(path, directory=directory)
        return
    except OSError as error:
        raise UsageError(_not_usable(path, error)) from error
    if directory and not posix.S_ISDIR(found.st_mode):
        raise UsageError(f"destination {os.fspath(path)!r} is a file; this output is a tree, so name a directory")
    if not directory and posix.S_ISDIR(found.st_mode):
        raise UsageError(f"destination {os.fspath(path)!r} is a directory; this output is one file, so name a file")
    replaced = posix.S_ISREG(found.st_mode)  # by a new file beside it
    _check_writable(path, Path(os.path.realpath(path)).parent if replaced else path)


def _check_parent(path: Path, *, directory: bool) -> None:
    parent = Path(os.path.realpath(path)).parent
    while directory and not parent.exists() and parent != parent.parent:
        parent = parent.parent
    if not parent.is_dir():
        reason = "is not a directory" if parent.exists() else "does not exist"
        raise UsageError(f"destination {os.fspath(path)!r} cannot be made: {os.fspath(parent)!r} {reason}")
    _check_writable(path, parent)


def _check_writable(path: Path, place: Path) -> None:
    needed = os.W_OK | (os.X_OK if place.is_dir() else 0)
    if not os.access(place, needed, effective_ids=os.access in os.supports_effective_ids):
        raise UsageError(f"destination {os.fspath(path)!r} cannot be used: {os.fspath(place)!r} may not be written to")


def _not_usable(path: Path, error: OSError) -> str:
    return f"destination {os.fspath(path)!r} cannot be used: {error.strerror or error}"


def _exporter_id(call: Call) -> int:
    """Daemons before 0.13 send none: they have one exporter."""
    value = next(iter(call.metadata.get(_EXPORTER_ID, ())), "0")
    return int(value) if value.isascii() and value.isdigit() else 0


def _exporter_metadata(call: Call) -> Mapping[str, str]:
    prefix = len(_EXPORTER_METADATA)
    pairs = {key[prefix:]: ",".join(v) for key, v in call.metadata.items() if key.startswith(_EXPORTER_METADATA)}
    return MappingProxyType(pairs)


def _receive_tree(call: Call, path: Path) -> None:
    try:
        _make_directories(Path(os.path.realpath(path)))  # what a link leads to may be missing too
    except OSError as error:
        raise RpcError(Code.UNKNOWN, f"cannot make {os.fspath(path)!r}: {error.strerror or error}") from error
    receive(call, path)


def _make_directories(path: Path) -> None:
    """path, and the directories above it that are missing, all mode 0700 as upstream makes them."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(0o700, exist_ok=True)


def _receive_file(call: Call, path: Path) -> None:
    found = path.stat() if path.exists() else None
    if found is not None and not posix.S_ISREG(found.st_mode):
        _receive_special(call, path)  # as it is named: a pipe that /dev/fd/1 leads to has no other name
        return
    path = Path(os.path.realpath(path))  # what a link leads to is replaced, not the link
    with replacing(path, posix.S_IMODE(found.st_mode) if found is not None else None) as fd:
        _copy(call, fd)


def _receive_special(call: Call, path: Path) -> None:
    fd = open_special(path, call.check)
    try:
        while (messages := call.receive()) is not None:
            for piece in map(decode_bytes_message, messages):
                write_special(fd, piece, call.check)
    finally:
        os.close(fd)


def _copy(call: Call, fd: int) -> None:
    while (messages := call.receive()) is not None:
        write_all(fd, list(map(decode_bytes_message, messages)))


def _receive_stream(call: Call, stream: Writable) -> None:
    while (messages := call.receive()) is not None:
        for piece in map(decode_bytes_message, messages):
            _write(stream, piece)
    stream.flush()


def _write(stream: Writable, piece: memoryview) -> None:
    """All of piece: a raw file object may take less than it was given, or nothing when it would block."""
    while len(piece):
        written = stream.write(piece)
        if written == 0 or (written is None and isinstance(stream, io.RawIOBase)):
            raise BlockingIOError(errno.EAGAIN, "it takes nothing at the moment; give a file object that blocks")
        piece = piece[len(piece) if written is None else written :]
