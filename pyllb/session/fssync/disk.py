"""Disk: a directory that received entries are written into, and nothing outside of it.

Every name is used relative to the descriptor of its directory, and no symbolic link is followed on the way there, so
neither what the daemon sends nor what lies in the directory can lead out of it.

Mirrors fsutil's RootDiskWriter, BuildKit 0.33.1: what is there and not received stays, a file or link is replaced by
rename, a change of kind removes what was there. Where it differs: a file that is there stays until the new one is
whole; directories get mode and time after their content, so a read-only one can be filled, and one that was there
before gets its time too; attributes are set after the data, which would clear file capabilities and setuid.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import secrets
import shutil
import stat as posix
from collections.abc import Sequence
from pathlib import Path

import attrs

from pyllb.session.fssync.folders import DIR_FLAGS, Folder, Folders
from pyllb.session.fssync.stat import DEVICE, FIFO, SYMLINK, Stat, device_type, permissions, write_xattrs

_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_PIECES = 1024  # IOV_MAX of Linux and macOS


@attrs.define(eq=False)
class Growing:
    """A file that is being received in pieces, under a temporary name in its directory."""

    stat: Stat
    fd: int
    folder: Folder
    temporary: bytes


class Disk:
    """Writes entries below root, which exists. Not for use by several threads; several Disks may share one root."""

    def __init__(self, root: Path) -> None:
        self._folders = Folders(root)
        self._directories: list[Stat] = []
        self._links: list[Stat] = []
        self._growing: set[Growing] = set()

    def add(self, stat: Stat) -> None:
        """Make an entry that has no content to wait for: all but regular files. Hard links are made by finish."""
        if stat.is_dir:
            self._make_directory(stat)
        elif stat.mode & (DEVICE | FIFO):
            self._make_special(stat)
        elif stat.mode & SYMLINK:
            self._make_symlink(stat)
        else:
            self._links.append(stat)

    def create(self, stat: Stat, pieces: Sequence[memoryview]) -> None:
        """Make a regular file whose whole content is there."""
        folder, name = self._folders.locate(stat.path)
        try:
            fd = os.open(name, _NEW_FLAGS, 0o600, dir_fd=folder.fd)
        except FileExistsError:
            self.finish_file(self.start(stat), pieces)
            return
        try:
            write_all(fd, pieces)
            _complete(fd, stat, folder)
        except BaseException:
            os.unlink(name, dir_fd=folder.fd)
            raise
        finally:
            os.close(fd)

    def start(self, stat: Stat) -> Growing:
        """Begin a regular file that comes in pieces."""
        folder, _ = self._folders.locate(stat.path)
        temporary = _temporary_name()
        # The descriptor of its own: the folder's may be closed before the last piece comes.
        folder = folder._replace(fd=os.dup(folder.fd))
        try:
            fd = os.open(temporary, _NEW_FLAGS, 0o600, dir_fd=folder.fd)
        except BaseException:
            os.close(folder.fd)
            raise
        growing = Growing(stat, fd, folder, temporary)
        self._growing.add(growing)
        return growing

    def append(self, growing: Growing, pieces: Sequence[memoryview]) -> None:
        """Write the next pieces of a file."""
        write_all(growing.fd, pieces)

    def finish_file(self, growing: Growing, pieces: Sequence[memoryview] = ()) -> None:
        """Write the last pieces and put the file under its name, in the place of what was there."""
        try:
            write_all(growing.fd, pieces)
            _complete(growing.fd, growing.stat, growing.folder)
            _replace(growing.temporary, posixpath.basename(growing.stat.path), growing.folder.fd)
        except BaseException:
            self._growing.discard(growing)
            _discard(growing)
            raise
        self._growing.discard(growing)
        os.close(growing.fd)
        os.close(growing.folder.fd)

    def finish(self) -> None:
        """Make the hard links; then give directories their modes and times, the deepest first."""
        for stat in self._links:
            self._make_link(stat)
        for stat in reversed(self._directories):
            self._complete_directory(stat)

    def close(self) -> None:
        """Drop files that were not finished, and close every descriptor."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._folders.close)
            for growing in self._growing:
                stack.callback(_discard, growing)
        self._growing.clear()

    # The entries

    def _make_directory(self, stat: Stat) -> None:
        folder, name = self._folders.locate(stat.path)
        self._directories.append(stat)
        # Ours to fill for now; group and others never get more than they will have in the end.
        mode = permissions(stat.mode) & 0o777 | 0o700
        try:
            os.mkdir(name, mode, dir_fd=folder.fd)
        except FileExistsError:
            self._reuse_directory(folder, name, mode)

    def _reuse_directory(self, folder: Folder, name: bytes, mode: int) -> None:
        found = os.lstat(name, dir_fd=folder.fd)
        if not posix.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=folder.fd)
            os.mkdir(name, mode, dir_fd=folder.fd)
        elif found.st_mode & 0o700 != 0o700 and found.st_uid == os.geteuid():
            os.chmod(name, posix.S_IMODE(found.st_mode) | 0o700, dir_fd=folder.fd)

    def _make_symlink(self, stat: Stat) -> None:
        folder, name = self._folders.locate(stat.path)
        made = name
        try:
            os.symlink(stat.linkname, name, dir_fd=folder.fd)
        except FileExistsError:
            made = _temporary_name()
            os.symlink(stat.linkname, made, dir_fd=folder.fd)
        if folder.inherits_group:
            os.chown(made, os.getuid(), os.getgid(), dir_fd=folder.fd, follow_symlinks=False)
        os.utime(made, ns=(stat.mtime, stat.mtime), dir_fd=folder.fd, follow_symlinks=False)
        if made is not name:
            _replace(made, name, folder.fd)

    def _make_special(self, stat: Stat) -> None:
        folder, name = self._folders.locate(stat.path)
        temporary, mode = _temporary_name(), permissions(stat.mode)
        device = os.makedev(stat.devmajor, stat.devminor) if stat.mode & DEVICE else 0
        os.mknod(temporary, device_type(stat.mode) | 0o600, device, dir_fd=folder.fd)
        if folder.inherits_group:
            os.chown(temporary, os.getuid(), os.getgid(), dir_fd=folder.fd, follow_symlinks=False)
        os.chmod(temporary, mode, dir_fd=folder.fd)
        os.utime(temporary, ns=(stat.mtime, stat.mtime), dir_fd=folder.fd, follow_symlinks=False)
        _replace(temporary, name, folder.fd)

    def _make_link(self, stat: Stat) -> None:
        source, source_name = self._folders.locate(stat.linkname)
        # The second lookup may close the descriptor of the first.
        source_fd = os.dup(source.fd)
        try:
            folder, name = self._folders.locate(stat.path)
            temporary = _temporary_name()
            os.link(source_name, temporary, src_dir_fd=source_fd, dst_dir_fd=folder.fd, follow_symlinks=False)
            _replace(temporary, name, folder.fd)
            _remove(temporary, folder.fd)  # a rename onto another link of the same inode leaves both
        finally:
            os.close(source_fd)

    def _complete_directory(self, stat: Stat) -> None:
        folder, name = self._folders.locate(stat.path)
        fd = os.open(name, DIR_FLAGS, dir_fd=folder.fd)
        try:
            _complete(fd, stat, folder)
        finally:
            os.close(fd)


def write_all(fd: int, pieces: Sequence[memoryview]) -> None:
    """Write every byte of pieces, with as few calls as may be."""
    if len(pieces) == 1:
        piece = pieces[0]
        written = os.write(fd, piece)
        if written == len(piece):
            return
        pieces = (piece[written:],)
    waiting = [piece for piece in pieces if len(piece)]
    while waiting:
        written = os.writev(fd, waiting[:_MAX_PIECES])
        done = 0
        while done < len(waiting) and written >= len(waiting[done]):
            written -= len(waiting[done])
            done += 1
        waiting = waiting[done:]
        if written:
            waiting[0] = waiting[0][written:]


def _complete(fd: int, stat: Stat, folder: Folder) -> None:
    """Owner, attributes, mode and time of a file or directory; chown first, since it clears setuid."""
    if folder.inherits_group:
        os.fchown(fd, os.getuid(), os.getgid())
    if stat.xattrs:
        write_xattrs(fd, stat.xattrs)
    os.fchmod(fd, permissions(stat.mode))
    os.utime(fd, ns=(stat.mtime, stat.mtime))


def _discard(growing: Growing) -> None:
    try:
        _remove(growing.temporary, growing.folder.fd)
    finally:
        os.close(growing.fd)
        os.close(growing.folder.fd)


def _temporary_name() -> bytes:
    return b".tmp.%09d" % secrets.randbelow(1_000_000_000)


def _replace(temporary: bytes, name: bytes, fd: int) -> None:
    """Put what stands under a temporary name in the place of name, whatever that is."""
    try:
        try:
            os.rename(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
        except IsADirectoryError:
            shutil.rmtree(name, dir_fd=fd)
            os.rename(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
    except BaseException:
        _remove(temporary, fd)
        raise


def _remove(name: bytes, fd: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=fd)
