"""FileSync service: the daemon reads directories of this side.

Mirrors `moby.filesync.v1.FileSync` and session/filesync, BuildKit 0.33.1. TarStream is not announced: the daemon asks
for it only where DiffCopy is missing, and Go's client refuses it too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote_plus

from pyllb.pattern import BadPattern
from pyllb.rpc.status import Code, RpcError
from pyllb.session.call import Call, Handler
from pyllb.session.fssync.sender import send
from pyllb.session.fssync.walk import Filter

_TRUE = ("1", "t", "T", "TRUE", "true", "True")


class FileSync:
    """Serves directories to the daemon, for the `local` sources of a build.

    dirs: the name a source has in the build, to a directory. Files are sent as root's (uid and gid 0), as buildctl
    does; symbolic links in a directory are sent as links, the directory itself may be one.
    """

    def __init__(self, dirs: Mapping[str, Path]) -> None:
        self.dirs: Mapping[str, Path] = MappingProxyType(dict(dirs))

    def methods(self) -> Mapping[str, Handler]:
        """The one method that is announced."""
        return {"/moby.filesync.v1.FileSync/DiffCopy": self.diff_copy}

    def diff_copy(self, call: Call) -> None:
        """Send one directory. Raises RpcError: NOT_FOUND for a name not served, INVALID_ARGUMENT for patterns."""
        name = next(iter(_values(call, "dir-name")), "")
        if name not in self.dirs:
            raise RpcError(Code.NOT_FOUND, f'no access allowed to dir "{name}"')
        root = _resolve(self.dirs[name])
        send(call, root, _filter(call, root))


def _resolve(directory: Path) -> bytes:
    try:
        root = os.path.realpath(os.fsencode(directory), strict=True)
    except OSError as error:
        raise RpcError(Code.UNKNOWN, f"cannot read {os.fspath(directory)!r}: {error.strerror}") from error
    if not os.path.isdir(root):
        raise RpcError(Code.UNKNOWN, f"cannot read {os.fspath(directory)!r}: it is not a directory")
    return root


def _filter(call: Call, root: bytes) -> Filter | None:
    try:
        return Filter.parse(
            root,
            include=_values(call, "include-patterns"),
            exclude=_values(call, "exclude-patterns"),
            follow=_values(call, "followpaths"),
        )
    except BadPattern as error:
        raise RpcError(Code.INVALID_ARGUMENT, str(error)) from error
    except OSError as error:
        raise RpcError(Code.UNKNOWN, f"cannot follow paths in {os.fsdecode(root)!r}: {error}") from error


def _values(call: Call, key: str) -> tuple[str, ...]:
    """The values of a metadata key; escaped as a URL's query when any of them is not ASCII, and marked so."""
    values = call.metadata.get(key, ())
    if any(mark in _TRUE for mark in call.metadata.get(f"{key}-encoded", ())[:1]):
        return tuple(unquote_plus(value, errors="surrogateescape") for value in values)
    return tuple(values)
