"""File actions: what `file(...)` does in one op, and chains of them to copy from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pyllb.dsl import check
from pyllb.dsl.state import State
from pyllb.errors import OptionError
from pyllb.ir.files import Chain, Copy, FileAction, Mkdir, Mkfile, Owner, Rm, Symlink

if TYPE_CHECKING:
    from datetime import datetime

_ACTIONS = (Mkdir, Mkfile, Symlink, Rm, Copy)
_MAX_ID = (1 << 32) - 1


def mkdir(
    path: str,
    *,
    mode: int | str = 0o755,
    parents: bool = False,
    owner: str | int | None = None,
    created: datetime | float | None = None,
) -> Mkdir:
    """Make a directory; an action for `file(...)`.

    path: absolute, or relative to the state's directory. mode: permission bits, 0o755 or "755". parents: make the
    directories above too, and do not mind if it is there. owner: a name, a number or "user:group", None is root.
    created: the time stamped on it, a datetime or seconds since the epoch; None is the time it runs.

    Raises OptionError. LLB: FileActionMkDir. Mirrors client/llb Mkdir (BuildKit 0.33.1).
    """
    return Mkdir(
        path=check.text("the path of mkdir", path),
        mode=check.permissions(mode),
        parents=check.flag("parents", parents),
        owner=an_owner(owner),
        created=check.created("created", created),
    )


def mkfile(
    path: str,
    data: str | bytes,
    *,
    mode: int | str = 0o644,
    owner: str | int | None = None,
    created: datetime | float | None = None,
) -> Mkfile:
    """Write a file; an action for `file(...)`.

    data: its content, a str is written as UTF-8. The other arguments are those of `mkdir`.

    Raises OptionError. LLB: FileActionMkFile. Mirrors client/llb Mkfile (BuildKit 0.33.1).
    """
    if not isinstance(data, str | bytes):
        raise OptionError(f"the data of mkfile is {check.show(data)}; write a str or bytes")
    return Mkfile(
        path=check.text("the path of mkfile", path),
        data=_utf8(data) if isinstance(data, str) else data,
        mode=check.permissions(mode),
        owner=an_owner(owner),
        created=check.created("created", created),
    )


def _utf8(data: str) -> bytes:
    try:
        return data.encode()
    except UnicodeEncodeError as error:
        raise OptionError(f"the data of mkfile has {data[error.start]!r}, which is not Unicode; write bytes") from error


def symlink(
    oldpath: str,
    newpath: str,
    *,
    owner: str | int | None = None,
    created: datetime | float | None = None,
) -> Symlink:
    """Make newpath a symbolic link to oldpath; an action for `file(...)`.

    oldpath: what the link says, as it is. newpath: absolute; the state's directory is not put before it.

    Raises OptionError. LLB: FileActionSymlink. Mirrors client/llb Symlink (BuildKit 0.33.1).
    """
    return Symlink(
        oldpath=check.text("the oldpath of symlink", oldpath),
        newpath=check.absolute("the newpath of symlink", newpath, error=OptionError),
        owner=an_owner(owner),
        created=check.created("created", created),
    )


def rm(path: str, *, allow_not_found: bool = False, allow_wildcard: bool = False) -> Rm:
    """Remove a file or a directory with all in it; an action for `file(...)`.

    path: absolute, or relative to the state's directory. allow_not_found: do not mind when there is none.
    allow_wildcard: `*`, `?` and `[...]` in path stand for names.

    Raises OptionError. LLB: FileActionRm. Mirrors client/llb Rm (BuildKit 0.33.1).
    """
    return Rm(
        path=check.path("the path of rm", path, wildcard=allow_wildcard),
        allow_not_found=check.flag("allow_not_found", allow_not_found),
        allow_wildcard=check.flag("allow_wildcard", allow_wildcard),
    )


def copy(
    source: State | Chain,
    src: str,
    dest: str,
    *,
    owner: str | int | None = None,
    mode: int | str | None = None,
    created: datetime | float | None = None,
    follow_symlinks: bool = False,
    contents_only: bool = False,
    unpack: bool = False,
    create_dest: bool = False,
    wildcard: bool = False,
    allow_empty_wildcard: bool = False,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    required: Iterable[str] = (),
    always_replace: bool = False,
) -> Copy:
    """Copy files of another filesystem; an action for `file(...)`.

    source: a filesystem, or `chain(fs, action, ...)`, which is done in the same op. src: a path in it, absolute or
    relative to its directory. dest: absolute, or relative to the state's directory; with a `/` at the end it is the
    directory to copy into. owner: a name, a number or "user:group", None keeps it. mode: 0o755, "755", or chmod's
    symbols such as "u+x,go-w"; None keeps it. created: as in `mkdir`, None keeps it.
    follow_symlinks: a link src is copied as what it points to. contents_only: of a directory, only what is in it.
    unpack: an archive is unpacked. create_dest: make the directories of dest. wildcard: src may have `*`, `?`,
    `[...]`; allow_empty_wildcard: which may match nothing. include, exclude: patterns of paths below src. required:
    absolute paths in source that must be there; the daemon looks only where a wildcard, include or exclude chooses.
    always_replace: also replace a file with a directory and the other way round.

    Raises OptionError. LLB: FileActionCopy. Mirrors client/llb Copy, CopyInfo (BuildKit 0.33.1).
    """
    if allow_empty_wildcard and not wildcard:
        raise OptionError("allow_empty_wildcard=True without wildcard=True; src has no wildcard to match nothing")
    return Copy(
        source=_copy_source(source),
        src=check.path("the src of copy", src, wildcard=wildcard),
        dest=check.text("the dest of copy", dest),
        owner=an_owner(owner),
        mode=None if mode is None else check.file_mode(mode),
        created=check.created("created", created),
        follow_symlinks=check.flag("follow_symlinks", follow_symlinks),
        contents_only=check.flag("contents_only", contents_only),
        unpack=check.flag("unpack", unpack),
        create_dest=check.flag("create_dest", create_dest),
        wildcard=check.flag("wildcard", wildcard),
        allow_empty_wildcard=check.flag("allow_empty_wildcard", allow_empty_wildcard),
        include=check.patterns("include", include),
        exclude=check.patterns("exclude", exclude),
        required=_required(required),
        always_replace=check.flag("always_replace", always_replace),
    )


def _required(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        check.absolute("a path of required", path, error=OptionError) for path in check.texts("required", paths)
    )


def chain(base: State, *actions: FileAction) -> Chain:
    """Actions on a filesystem as the source of a copy, done in the copy's own op instead of one before it.

    Raises OptionError. LLB: the actions of one FileOp. Mirrors client/llb FileAction.WithState (BuildKit 0.33.1).
    """
    if not isinstance(base, State):
        raise OptionError(f"the base of chain is {check.show(base)}; write a filesystem, fs() is an empty one")
    return Chain(base=base.output, meta=base.meta, actions=some_actions("chain", actions))


def some_actions(what: str, actions: tuple[FileAction, ...]) -> tuple[FileAction, ...]:
    """At least one action, and nothing else."""
    if not actions:
        raise OptionError(f"{what} has no actions; give it mkdir(...), copy(...) and the like")
    for action in actions:
        if not isinstance(action, _ACTIONS):
            hint = " (the functions of pyllb, not the methods of a filesystem)" if isinstance(action, State) else ""
            raise OptionError(f"{what} takes mkdir(...), copy(...) and the like{hint}, not {check.show(action)}")
    return actions


def _copy_source(source: State | Chain) -> Chain:
    if isinstance(source, Chain):
        return source
    if not isinstance(source, State):
        hint = "; local(path) is a directory of the client" if isinstance(source, str) else ""
        raise OptionError(f"the source of copy is {check.show(source)}; write a filesystem{hint}")
    if source.output is None:
        raise OptionError("the source of copy is an empty filesystem; there is nothing to copy")
    return Chain(base=source.output, meta=source.meta)


def an_owner(owner: str | int | None) -> Owner | None:
    """A user, or user and group; numbers and root become ids, as in client/llb WithUser and WithUIDGID."""
    if owner is None:
        return None
    if isinstance(owner, int):
        return Owner(check.integer("owner", owner, 0, _MAX_ID))
    user, colon, group = check.text("owner", owner).partition(":")
    if not user or (colon and not group) or ":" in group or re.search(r"\s", owner):
        raise OptionError(f"owner is {owner!r}; write a name, a number or 'user:group'")
    return Owner(_id(user), _id(group) if colon else None)


def _id(name: str) -> int | str:
    if name == "root":
        return 0
    if re.match(r"[+-]?[0-9]+\Z", name):  # Go reads a sign too, and makes another number of a negative one
        return check.integer("owner", int(name[:20]), 0, _MAX_ID)
    return name
