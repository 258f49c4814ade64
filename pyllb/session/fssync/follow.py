"""Follow paths: paths whose symbolic links are followed inside a root, so that what they lead to is included.

Mirrors fsutil's FollowLinks, BuildKit 0.33.1, with one difference: upstream follows a link once, so that of `link/a`
and `link/b` it finds the first only; here both are found.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Iterable, Sequence

import attrs

from pyllb.pattern import BadPattern, Pattern, clean

_MAX_LINKS = 40  # on one path, as the kernel has it: a link into itself grows its rest without end


def follow_links(root: bytes, paths: Iterable[str]) -> list[str] | None:
    """Include patterns for paths: each path with its symbolic links followed, and each link met on the way, sorted.

    An absolute link starts at root, and `..` cannot leave it. A component with `*`, `?` or `[` stands for the links
    that match it. None when a path is the root itself: then nothing is left out. Raises OSError.
    """
    walker = _Follower(root)
    walker.todo = [(_join(path), ".", 0) for path in paths]
    while walker.todo:
        walker.step(*walker.todo.pop())
    return dedupe(sorted(walker.found))


def dedupe(paths: Sequence[str]) -> list[str] | None:
    """Drop each path that is below the one kept last; None when one of them is the root. Mirrors dedupePaths."""
    kept: list[str] = []
    last = ""
    for path in paths:
        if path == ".":
            return None
        if path.startswith(f"{last}/"):
            continue
        kept.append(path)
        last = path
    return kept


@attrs.define
class _Follower:
    root: bytes
    found: set[str] = attrs.Factory(set)
    seen: set[tuple[str, str]] = attrs.Factory(set)
    todo: list[tuple[str, str, int]] = attrs.Factory(list)

    def step(self, rest: str, current: str, links: int) -> None:
        """Follow rest, component by component, until it ends or meets links; those go to todo."""
        if rest == ".." or rest.startswith("../"):
            self.found.add(rest)  # outside: nothing to read here, and as a pattern it matches nothing
            return
        while rest:
            part, _, rest = rest.partition("/")
            current = clean(posixpath.join(current, part))
            targets = self.links_at(current)
            if targets or not rest:
                self.found.add(current)
            if targets:
                self.enter(current, rest, targets, links + 1)
                return

    def enter(self, current: str, rest: str, targets: list[str], links: int) -> None:
        if links > _MAX_LINKS or (current, rest) in self.seen:
            return
        self.seen.add((current, rest))
        self.todo += [(_join(posixpath.join(target, rest)), ".", links) for target in targets]

    def links_at(self, path: str) -> list[str]:
        """Where the links at path lead, from the root; [] when there are none."""
        folder, name = posixpath.split(path)
        if not _has_wildcard(name):
            return self.link(path)
        try:
            pattern = Pattern.parse(name, exclusion=False)
            names = sorted(os.listdir(self.at(folder)))
        except (BadPattern, FileNotFoundError, NotADirectoryError):
            return []
        matching = (entry for entry in map(_text, names) if pattern.matches(entry))
        return [target for entry in matching for target in self.link(posixpath.join(folder, entry))]

    def link(self, path: str) -> list[str]:
        try:
            target = _text(os.readlink(self.at(path)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ELOOP):  # no link; or below one that leads nowhere
                return []
            raise
        return [posixpath.join("/", posixpath.dirname(path), target)]

    def at(self, path: str) -> bytes:
        return os.path.join(self.root, path.encode("utf-8", "surrogateescape"))


def _join(path: str) -> str:
    """path as it lies below the root: clean and relative; one that begins with `/` cannot leave by `..`."""
    return clean(path).removeprefix("/") or "."


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _has_wildcard(name: str) -> bool:
    at = 0
    while at < len(name):
        if name[at] == "\\":
            at += 1
        elif name[at] in "*?[":
            return True
        at += 1
    return False
