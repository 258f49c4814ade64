"""File actions, and Chain, several of them on one filesystem."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from pyllb.ir.meta import Meta
from pyllb.value import Shown, Value

if TYPE_CHECKING:
    from pyllb.ir.ops import Output


@attrs.frozen(eq=False, repr=False)
class Owner(Value):
    """user and group: a number, a name looked up in the filesystem, or None to leave it."""

    user: int | str | None = None
    group: int | str | None = None


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Mkdir(Shown):
    """Make a directory. created: unix nanoseconds, None is the time it runs, as Go's client marks it."""

    path: str
    mode: int = 0o755
    parents: bool = False
    owner: Owner | None = None
    created: int | None = None


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Mkfile(Shown):
    """Write a file."""

    path: str
    data: bytes = attrs.field(repr=False)
    mode: int = 0o644
    owner: Owner | None = None
    created: int | None = None


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Symlink(Shown):
    """Make newpath a symbolic link to oldpath; both verbatim."""

    oldpath: str
    newpath: str
    owner: Owner | None = None
    created: int | None = None


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Rm(Shown):
    """Remove a path."""

    path: str
    allow_not_found: bool = False
    allow_wildcard: bool = False


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Copy(Shown):
    """Copy src of another filesystem to dest. source: a chain, with no actions when it is just a filesystem.

    mode: None keeps it; a number is set as it is; a string is chmod's symbolic form.
    """

    source: Chain = attrs.field(repr=False)
    src: str
    dest: str
    owner: Owner | None = None
    mode: int | str | None = None
    created: int | None = None
    follow_symlinks: bool = False
    contents_only: bool = False
    unpack: bool = False
    create_dest: bool = False
    wildcard: bool = False
    allow_empty_wildcard: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    always_replace: bool = False


FileAction = Mkdir | Mkfile | Symlink | Rm | Copy


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Chain(Shown):
    """Actions in order on a base. base: None is scratch. meta: gives the directory that relative paths join."""

    base: Output | None = attrs.field(repr=False)
    meta: Meta
    actions: tuple[FileAction, ...] = attrs.field(default=(), repr=False)

    def outputs(self) -> Iterator[Output]:
        """The outputs read, in Go's walk order of their first: from the last action back, base before copy source."""
        stack: list[Chain | tuple[Chain, int]] = [self]
        seen: set[int] = set()  # a chain that is copied from twice reads nothing new the second time
        while stack:
            item = stack.pop()
            if isinstance(item, Chain):
                if id(item) in seen:
                    continue
                seen.add(id(item))
                item = item, len(item.actions) - 1
            chain, index = item
            if chain.base is not None:
                yield chain.base
            if index < 0:
                continue
            if index > 0:
                stack.append((chain, index - 1))
            action = chain.actions[index]
            if isinstance(action, Copy):
                stack.append(action.source)
