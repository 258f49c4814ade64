"""Walk: the entries of a directory tree, in the protocol's order, through include and exclude patterns.

Mirrors fsutil's FilterFS and FS.Walk, BuildKit 0.33.1. The order: depth first, a directory before its content, the
names of one directory compared as bytes; that is, `/` sorts below every other byte.
"""

from __future__ import annotations

import os
import stat as posix
from collections.abc import Iterable, Iterator
from enum import Enum
from operator import attrgetter

import attrs

from pyllb.session.fssync.follow import dedupe, follow_links
from pyllb.session.fssync.match import MatchInfo, PatternMatcher
from pyllb.session.fssync.stat import Stat, go_mode, read_xattrs

_by_name = attrgetter("name")


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


def walk(root: bytes, rules: Filter | None = None) -> Iterator[Stat]:
    """Every entry below root that rules keep, root itself left out; symbolic links are not followed.

    A directory that is not kept itself comes just before the first entry below it that is. Of several hard links to
    one inode the first that is kept is the file, the others link to it. What vanishes during the walk is left out.
    Raises OSError for what cannot be read, unless it is a directory that is not kept and may not be entered.
    """
    return _Walk(rules).entries(root)


@attrs.define
class _Frame:
    """A directory that is being walked. prefix: its path and a `/`; entry: None for the root."""

    children: Iterator[os.DirEntry[bytes]]
    prefix: bytes
    entry: os.DirEntry[bytes] | None
    inherited: Inherited
    emitted: bool


@attrs.define
class _Walk:
    rules: Filter | None
    first_links: dict[tuple[int, int], bytes] = attrs.Factory(dict)
    frames: list[_Frame] = attrs.Factory(list)

    def entries(self, root: bytes) -> Iterator[Stat]:
        self.frames = [_Frame(_children(root, tolerant=False), b"", None, NOTHING_INHERITED, True)]
        while self.frames:
            frame = self.frames[-1]
            for entry in frame.children:
                is_dir = _is_dir(entry)
                verdict, inherited = Verdict.KEEP, NOTHING_INHERITED
                path = frame.prefix + entry.name
                if self.rules is not None:
                    text = path.decode("utf-8", "surrogateescape")
                    verdict, inherited = self.rules.judge(text, is_dir, frame.inherited)
                kept = verdict is Verdict.KEEP
                if kept:
                    stat = self.stat(entry, path)
                    if stat is None:
                        continue
                    if not frame.emitted:
                        parents = self.owed_parents()
                        if parents is None:
                            continue
                        yield from parents
                    yield stat
                if is_dir and verdict is not Verdict.PRUNE:
                    children = _children(entry.path, tolerant=not kept)
                    self.frames.append(_Frame(children, path + b"/", entry, inherited, kept))
                    break
            else:
                self.frames.pop()

    def owed_parents(self) -> list[Stat] | None:
        """The directories above, as far as they were not given out yet; None when one of them has vanished."""
        owed = [frame for frame in self.frames if not frame.emitted]
        stats = [self.stat(frame.entry, frame.prefix[:-1]) for frame in owed if frame.entry is not None]
        present = [stat for stat in stats if stat is not None]
        if len(present) < len(owed):
            return None
        for frame in owed:
            frame.emitted = True
        return present

    def stat(self, entry: os.DirEntry[bytes], path: bytes) -> Stat | None:
        """The stat of an entry; None when it has vanished."""
        try:
            info = entry.stat(follow_symlinks=False)
            mode = info.st_mode
            link = os.readlink(entry.path) if posix.S_ISLNK(mode) else b""
            xattrs = read_xattrs(entry.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if posix.S_ISDIR(mode):
            return Stat(path, go_mode(mode), 0, info.st_mtime_ns, xattrs=xattrs)
        if info.st_nlink > 1 and not link:
            link = self.first_link(info, path)
        if info.st_rdev:
            return Stat(path, go_mode(mode), info.st_size, info.st_mtime_ns, link, *_device(info.st_rdev), xattrs)
        return Stat(path, go_mode(mode), info.st_size, info.st_mtime_ns, link, 0, 0, xattrs)

    def first_link(self, info: os.stat_result, path: bytes) -> bytes:
        """The path this one is a hard link to; b"" when it is the first. Inode numbers repeat across devices."""
        first = self.first_links.setdefault((info.st_dev, info.st_ino), path)
        return b"" if first is path else first


def _children(path: bytes, *, tolerant: bool) -> Iterator[os.DirEntry[bytes]]:
    try:
        with os.scandir(path) as entries:
            return iter(sorted(entries, key=_by_name))
    except (FileNotFoundError, NotADirectoryError):
        return iter(())
    except PermissionError:
        if tolerant:
            return iter(())
        raise


def _is_dir(entry: os.DirEntry[bytes]) -> bool:
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
