"""Folders: the directories below a root, each opened by its name in the one above, so that no link leads out.

A path as a whole would be followed through whatever its directories have become meanwhile.
"""

from __future__ import annotations

import os
import posixpath
import stat as posix
from pathlib import Path
from typing import NamedTuple

# Kept open at a time. A transfer works in one or two places of the tree; several may run at once, and a process has
# 1,024 descriptors in all by default.
MAX_OPEN = 64

DIR_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder(NamedTuple):
    """A directory that is open."""

    fd: int
    inherits_group: bool  # setgid: what is made in it would not get our own group


class Folders:
    """The directory root, which may be named by a link, and those below it; for one thread."""

    def __init__(self, root: bytes | Path) -> None:
        self._root = _opened(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        self._open: dict[bytes, Folder] = {}

    def locate(self, path: bytes) -> tuple[Folder, bytes]:
        """The directory that path, clean and relative to the root, lies in, and its name there.

        The folder stays open until the next call. Raises OSError; where a directory has become a link, ENOTDIR.
        """
        head, _, name = path.rpartition(b"/")
        return (self._open.get(head) or self._descend(head) if head else self._root), name

    def _descend(self, path: bytes) -> Folder:
        """Open a directory step by step from the nearest one that is open."""
        missing = [path]
        while (above := posixpath.dirname(missing[-1])) and above not in self._open:
            missing.append(above)
        folder = self._open[above] if above else self._root
        for step in reversed(missing):
            folder = _opened(os.open(posixpath.basename(step), DIR_FLAGS, dir_fd=folder.fd))
            self._open[step] = folder
            if len(self._open) > MAX_OPEN:
                os.close(self._open.pop(next(iter(self._open))).fd)
        return folder

    def close(self) -> None:
        """Close all of them."""
        for folder in (*self._open.values(), self._root):
            os.close(folder.fd)
        self._open.clear()


def _opened(fd: int) -> Folder:
    return Folder(fd, os.fstat(fd).st_mode & posix.S_ISGID != 0)
