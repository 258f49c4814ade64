"""Order: the check that received entries come in the protocol's order and that their names stay inside.

Mirrors fsutil's Validator and Hardlinks, BuildKit 0.33.1.
"""

from __future__ import annotations

import os

import attrs

from pyllb.rpc.status import Code, RpcError
from pyllb.session.fssync.stat import SYMLINK, Stat


@attrs.define
class OrderCheck:
    """Takes the entries of one transfer one after the other."""

    _open: list[bytes] = attrs.Factory(lambda: [b""])  # the directories above the next entry
    _last: list[bytes] = attrs.Factory(lambda: [b""])  # in each, the name that came last
    _files: set[bytes] = attrs.Factory(set)

    def add(self, stat: Stat) -> None:
        """Raises RpcError (INVALID_ARGUMENT) for a path that is unclean or absolute, leaves the root, comes out of
        order or before its directory, and for a hard link to what did not come before."""
        path = stat.path
        folder, slash, name = path.rpartition(b"/")
        if name in (b"", b".", b"..") or b"\0" in path or (slash and not folder):
            raise _bad("unclean path", path)
        while self._open[-1] != folder:
            self._open.pop()
            self._last.pop()
            if not self._open:
                raise _bad("changes out of order", path)
        if self._last[-1] >= name:
            raise _bad("changes out of order", path)
        self._last[-1] = name
        if stat.is_dir:
            self._open.append(path)
            self._last.append(b"")
        elif not stat.mode & SYMLINK:
            self._check_link(stat)

    def _check_link(self, stat: Stat) -> None:
        if not stat.linkname:
            self._files.add(stat.path)
        elif stat.linkname not in self._files:
            raise _bad("invalid link to unknown path", stat.path)


def _bad(what: str, path: bytes) -> RpcError:
    return RpcError(Code.INVALID_ARGUMENT, f"{what}: {os.fsdecode(path)!r}")
