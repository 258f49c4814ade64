"""Walk: the entries of a directory tree, in the protocol's order, through include and exclude patterns.

Mirrors fsutil's FilterFS and FS.Walk, BuildKit 0.33.1. The order: depth first, a directory before its content, the
names of one directory compared as bytes; that is, `/` sorts below every other byte.
"""

from __future__ import annotations

import errno
import os
import stat as posix
from collections.abc import Generator, Iterable, Iterator
from enum import Enum

import attrs

from pyllb.pattern import MatchInfo, PatternMatcher
from pyllb.session.fssync.folders import DIR_FLAGS, MAX_OPEN
from pyllb.session.fssync.follow import dedupe, follow_links
from pyllb.session.fssync.stat import Stat, go_mode, read_xattrs

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_MAX_PATH = 4096  # PATH_MAX of Linux, with its final zero


class Verdict(Enum):
    """What a filter says about one path."""

    KEEP = "keep"
    PASS = "pass"  # not kept, but something below it may be
    PRUNE = "prune"  # not kept, and nothing below it can be


@attrs.frozen
class Inherited:
    """What the patterns said about a directory, for its children."""

    include: MatchInfo = ()
    exclude: MatchInfo = ()


NOTHING_INHERITED = Inherited()


@attrs.frozen
class Filter:
    """Include and exclude patterns for one walk. A None matcher leaves nothing out."""

    include: PatternMatcher | None = None
    exclude: PatternMatcher | None = None
    # Below which paths the patterns can still match something; None when that cannot be told from their text.
    _include_bases: tuple[str, ...] | None = attrs.field(default=None, repr=False)
    _exception_bases: tuple[str, ...] | None = attrs.field(default=None, repr=False)

    @classmethod
    def parse(
        cls, root: bytes, *, include: Iterable[str] = (), exclude: Iterable[str] = (), follow: Iterable[str] = ()
    ) -> Filter | None:
        """The filter for a walk over root; None when it leaves nothing out. Raises BadPattern and OSError.

        follow: paths whose links are followed now; what they lead to is included too.
        """
        includes, excludes, follows = list(include), list(exclude), list(follow)
        if follows and (followed := follow_links(root, follows)) is not None:
            includes = dedupe([*includes, *followed]) or []
        included = PatternMatcher.parse(includes) if includes else None
        excluded = PatternMatcher.parse(excludes) if excludes else None
        if included is None and excluded is None:
            return None
        return cls(included, excluded, _bases(included, exclusion=False), _bases(excluded, exclusion=True))

    def judge(self, path: str, is_dir: bool, parent: Inherited) -> tuple[Verdict, Inherited]:
        """What becomes of path; parent: the second value of the call for its directory."""
        verdict, included, excluded = Verdict.KEEP, (), ()  # type: tuple[Verdict, MatchInfo, MatchInfo]
        if self.include is not None:
            matched, included = self.include.match(path, parent.include)
            if not matched:
                if is_dir and not _may_hold(path, self._include_bases):
                    return Verdict.PRUNE, parent
                verdict = Verdict.PASS
        if self.exclude is not None:
            matched, excluded = self.exclude.match(path, parent.exclude)
            if matched:
                if is_dir and not _may_hold(path, self._exception_bases):
                    return Verdict.PRUNE, parent
                verdict = Verdict.PASS
        return verdict, Inherited(included, excluded) if is_dir else NOTHING_INHERITED


def walk(root: bytes, rules: Filter | None = None) -> Generator[Stat, None, None]:
    """Every entry below root that rules keep, root itself left out; symbolic links are not followed.

    A directory that is not kept itself comes just before the first entry below it that is. Of several hard links to
    one inode the first that is kept is the file, the others link to it. What vanishes during the walk is left out, and
    so is a directory that becomes something else. Raises OSError for what cannot be read, unless it is a directory that
    is not kept and may not be entered. Keeps directories open until it ends or is closed.
    """
    return _Walk(root, rules).entries()


@attrs.define
class _Frame:
    """A directory that is being walked. prefix: its path and a `/`, b"" for the root. fd: -1 while it is closed."""

    fd: int
    inode: tuple[int, int]
    prefix: bytes
    children: Iterator[tuple[bytes, bool]]  # name, and whether it is a directory
    inherited: Inherited
    owed: Stat | None  # its own entry, until it is given out


@attrs.define
class _Walk:
    root: bytes
    rules: Filter | None
    first_links: dict[tuple[int, int], bytes] = attrs.Factory(dict)
    frames: list[_Frame] = attrs.Factory(list)

    def entries(self) -> Generator[Stat, None, None]:
        try:
            self.push(os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), b"", NOTHING_INHERITED)
            self.frames[0].owed = None
            while self.frames:
                yield from self.go_on(self.frames[-1])
        finally:
            for frame in self.frames:
                if frame.fd >= 0:
                    os.close(frame.fd)

    def go_on(self, frame: _Frame) -> Iterator[Stat]:
        """The entries of a directory up to the next one in it, which is then the last frame; or up to its end."""
        verdict, inherited = Verdict.KEEP, NOTHING_INHERITED
        for name, is_dir in frame.children:
            path = frame.prefix + name
            if self.rules is not None:
                text = path.decode("utf-8", "surrogateescape")
                verdict, inherited = self.rules.judge(text, is_dir, frame.inherited)
            kept = verdict is Verdict.KEEP
            if is_dir:
                if verdict is not Verdict.PRUNE and self.enter(frame, path, inherited, tolerant=not kept):
                    if kept:
                        yield from self.owed()
                    return
            elif kept:
                stat = self.stat(frame, name, path)
                if stat is not None:
                    if frame.owed is not None:
                        yield from self.owed()
                    yield stat
        self.leave()

    # The directories

    def enter(self, frame: _Frame, path: bytes, inherited: Inherited, *, tolerant: bool) -> bool:
        """Whether the directory at path is there and open now."""
        try:
            fd = os.open(path[len(frame.prefix) :], DIR_FLAGS, dir_fd=frame.fd)
        except OSError as error:
            if error.errno in _GONE or (tolerant and isinstance(error, PermissionError)):
                return False
            raise self.named(error, path) from None
        self.push(fd, path, inherited)
        if len(self.frames) > MAX_OPEN:
            above = self.frames[-MAX_OPEN - 1]
            os.close(above.fd)
            above.fd = -1
        return True

    def push(self, fd: int, path: bytes, inherited: Inherited) -> None:
        try:
            info = os.fstat(fd)
            stat = Stat(path, go_mode(info.st_mode), 0, info.st_mtime_ns, xattrs=read_xattrs(fd))
            with os.scandir(fd) as entries:
                children = sorted((os.fsencode(entry.name), _is_dir(entry)) for entry in entries)
        except OSError as error:
            os.close(fd)
            raise self.named(error, path) from None
        prefix = path and path + b"/"
        self.frames.append(_Frame(fd, (info.st_dev, info.st_ino), prefix, iter(children), inherited, stat))

    def leave(self) -> None:
        below = self.frames.pop()
        try:
            if self.frames and self.frames[-1].fd < 0:
                self.reopen(self.frames[-1], below)
        finally:
            os.close(below.fd)

    def reopen(self, frame: _Frame, below: _Frame) -> None:
        frame.fd = os.open(b"..", DIR_FLAGS, dir_fd=below.fd)
        info = os.fstat(frame.fd)
        if (info.st_dev, info.st_ino) != frame.inode:
            raise self.named(OSError(errno.ESTALE, "it was moved while it was read"), below.prefix)

    def owed(self) -> list[Stat]:
        """The directories above the next entry, as far as they were not given out yet."""
        owed = [frame.owed for frame in self.frames if frame.owed is not None]
        for frame in self.frames:
            frame.owed = None
        return owed

    # The rest

    def stat(self, frame: _Frame, name: bytes, path: bytes) -> Stat | None:
        """The stat of an entry; None when it has vanished."""
        try:
            info = os.stat(name, dir_fd=frame.fd, follow_symlinks=False)
            mode = info.st_mode
            link = os.readlink(name, dir_fd=frame.fd) if posix.S_ISLNK(mode) else b""
            xattrs = read_xattrs(self.reachable(frame, name, path))
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise self.named(error, path) from None
        if posix.S_ISDIR(mode):
            return Stat(path, go_mode(mode), 0, info.st_mtime_ns, xattrs=xattrs)
        if info.st_nlink > 1 and not link:
            link = self.first_link(info, path)
        if info.st_rdev:
            return Stat(path, go_mode(mode), info.st_size, info.st_mtime_ns, link, *_device(info.st_rdev), xattrs)
        return Stat(path, go_mode(mode), info.st_size, info.st_mtime_ns, link, 0, 0, xattrs)

    def reachable(self, frame: _Frame, name: bytes, path: bytes) -> bytes:
        """A name for attributes, which cannot be asked for by descriptor: too long a path is cut short by /proc."""
        full = b"%b/%b" % (self.root, path)
        return full if len(full) < _MAX_PATH else b"/proc/self/fd/%d/%b" % (frame.fd, name)

    def first_link(self, info: os.stat_result, path: bytes) -> bytes:
        """The path this one is a hard link to; b"" when it is the first. Inode numbers repeat across devices."""
        first = self.first_links.setdefault((info.st_dev, info.st_ino), path)
        return b"" if first is path else first

    def named(self, error: OSError, path: bytes) -> OSError:
        error.filename = os.path.join(self.root, path)
        return error


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _device(rdev: int) -> tuple[int, int]:
    """Major and minor of a device number, as upstream takes it apart."""
    return rdev >> 8 & 0xFFF, rdev & 0xFF | rdev >> 12 & 0xFFF00


def _bases(matcher: PatternMatcher | None, *, exclusion: bool) -> tuple[str, ...] | None:
    """The paths below which the patterns of this kind can match; None when a wildcard inside one hides it."""
    if matcher is None:
        return ()
    patterns = [pattern for pattern in matcher.patterns if pattern.exclusion == exclusion]
    if not all(pattern.base_is_literal for pattern in patterns):
        return None
    return tuple(f"{pattern.base}/" for pattern in patterns)


def _may_hold(folder: str, bases: tuple[str, ...] | None) -> bool:
    return bases is None or any(base.startswith(f"{folder}/") for base in bases)
