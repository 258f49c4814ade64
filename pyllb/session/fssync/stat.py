"""Stat: what the protocol says about one path, and Go's FileMode bits that it says it in.

Mirrors `fsutil/types.Stat` and `os.FileMode`, as BuildKit 0.33.1 uses them.
"""

from __future__ import annotations

import errno
import os
import stat as posix
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

DIR = 1 << 31
SYMLINK = 1 << 27
DEVICE = 1 << 26
FIFO = 1 << 25
SOCKET = 1 << 24
SETUID = 1 << 23
SETGID = 1 << 22
CHAR_DEVICE = 1 << 21
STICKY = 1 << 20
IRREGULAR = 1 << 19
PERMISSIONS = 0o777
_NO_XATTRS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
TYPE = DIR | SYMLINK | FIFO | SOCKET | DEVICE | CHAR_DEVICE | IRREGULAR

_TYPES = {
    posix.S_IFDIR: DIR,
    posix.S_IFLNK: SYMLINK,
    posix.S_IFIFO: FIFO,
    posix.S_IFBLK: DEVICE,
    posix.S_IFCHR: DEVICE | CHAR_DEVICE,
    posix.S_IFREG: 0,
    posix.S_IFSOCK: 0,  # upstream clears the bit: a socket travels as an empty regular file
}


class Stat(NamedTuple):
    """One entry of a tree. A tuple and not an attrs class: one is made per file, and tuples are made faster.

    path: relative to the root, clean, separated by `/`. mode: Go's FileMode bits. size: bytes; 0 for directories.
    mtime: ns since 1970, may be negative. linkname: a symlink's text; else the path this one is a hard link to, b""
    when it is none. devmajor, devminor: of devices. xattrs: None when there are none.
    """

    path: bytes
    mode: int
    size: int = 0
    mtime: int = 0
    linkname: bytes = b""
    devmajor: int = 0
    devminor: int = 0
    xattrs: Mapping[bytes, bytes] | None = None

    @property
    def is_dir(self) -> bool:
        return self.mode & DIR != 0


@lru_cache(maxsize=4096)
def go_mode(st_mode: int) -> int:
    """Go's FileMode for a mode as lstat gives it; a socket becomes a regular file, as upstream sends it."""
    mode = st_mode & PERMISSIONS | _TYPES.get(posix.S_IFMT(st_mode), IRREGULAR)
    for bit, go_bit in ((posix.S_ISUID, SETUID), (posix.S_ISGID, SETGID), (posix.S_ISVTX, STICKY)):
        if st_mode & bit:
            mode |= go_bit
    return mode


def st_mode(mode: int) -> int:
    """The mode as lstat gives it, of a Go FileMode."""
    kinds = (kind for kind, bits in _TYPES.items() if bits and mode & TYPE == bits)
    return permissions(mode) | (posix.S_IFSOCK if mode & SOCKET else next(kinds, posix.S_IFREG))


@lru_cache(maxsize=4096)
def permissions(mode: int) -> int:
    """The bits for chmod of a Go FileMode: the nine permissions, setuid, setgid, sticky."""
    bits = mode & PERMISSIONS
    for bit, go_bit in ((posix.S_ISUID, SETUID), (posix.S_ISGID, SETGID), (posix.S_ISVTX, STICKY)):
        if mode & go_bit:
            bits |= bit
    return bits


def device_type(mode: int) -> int:
    """The S_IF type, for mknod, of a Go FileMode that is a device or a fifo."""
    if mode & CHAR_DEVICE:
        return posix.S_IFCHR
    return posix.S_IFIFO if mode & FIFO else posix.S_IFBLK


if sys.platform == "linux":

    def read_xattrs(path: bytes | int) -> Mapping[bytes, bytes] | None:
        """The extended attributes of path itself, or of an open file; None when there are none, or cannot be any.

        As upstream: all namespaces but `com.apple.`; a value that cannot be read is left out. Raises OSError.
        """
        try:
            names = os.listxattr(path, follow_symlinks=isinstance(path, int))
        except OSError as error:
            if error.errno in _NO_XATTRS:
                return None
            raise
        return _xattr_values(path, names) if names else None

    def write_xattrs(fd: int, xattrs: Mapping[bytes, bytes]) -> None:
        """Set extended attributes; one that this file system or user may not have is left out, as upstream does."""
        for name, value in xattrs.items():
            try:
                os.setxattr(fd, name, value)
            except OSError:
                continue

    def _xattr_values(path: bytes | int, names: list[str]) -> Mapping[bytes, bytes] | None:
        values: dict[bytes, bytes] = {}
        for name in names:
            if name.startswith("com.apple."):
                continue
            try:
                values[os.fsencode(name)] = os.getxattr(path, name, follow_symlinks=isinstance(path, int))
            except OSError:
                continue
        return values or None

else:  # the standard library reads them on Linux only

    def read_xattrs(path: bytes | int) -> Mapping[bytes, bytes] | None:
        """None: Python reads no extended attributes on this system."""
        return None

    def write_xattrs(fd: int, xattrs: Mapping[bytes, bytes]) -> None:
        """Nothing: Python sets no extended attributes on this system."""
