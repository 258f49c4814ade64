"""File actions: several in one op, and chains to copy from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

import pyllb
from pyllb.dsl.fs import FS
from pyllb.ir.files import Copy, Mkdir, Mkfile, Owner, Rm, Symlink
from pyllb.ir.ops import FileOp

BASE = pyllb.image("alpine").dir("/w")
SRC = pyllb.local(".")


def _op(state: FS) -> FileOp:
    assert state.output is not None
    assert isinstance(state.output.vertex, FileOp)
    return state.output.vertex


def test_several_actions_are_one_op_on_the_states_filesystem() -> None:
    state = BASE.file(
        pyllb.mkdir("/a", parents=True),
        pyllb.mkfile("b", "é"),
        pyllb.copy(SRC, "/x", "/y/"),
        pyllb.rm("/z"),
        pyllb.symlink("t", "/l"),
        name="n",
    )

    op = _op(state)
    assert [type(action) for action in op.actions] == [Mkdir, Mkfile, Copy, Rm, Symlink]
    assert op.chain.base is BASE.output
    assert op.chain.meta is BASE.meta
    assert op.constraints.name == "n"
    assert op.inputs() == (BASE.output, SRC.output)
    assert state.meta is BASE.meta


def test_the_methods_are_one_action_each() -> None:
    states = [
        BASE.mkdir("/a", mode="700", parents=True, owner="u:g", created=1),
        BASE.mkfile("/a", b"\xff", mode=0o600, owner=5),
        BASE.symlink("a", "/b", owner="root:root"),
        BASE.rm("/a*", allow_not_found=True, allow_wildcard=True),
        BASE.copy(SRC, "a", "b", mode="u+x,go-w", include=["*"], exclude=["x"], required=["/y"], wildcard=True),
    ]

    mkdir, mkfile, symlink, rm, copied = [_op(state).actions[0] for state in states]
    assert isinstance(mkdir, Mkdir)
    assert (mkdir.mode, mkdir.parents, mkdir.owner, mkdir.created) == (0o700, True, Owner("u", "g"), 10**9)
    assert isinstance(mkfile, Mkfile)
    assert (mkfile.data, mkfile.mode, mkfile.owner) == (b"\xff", 0o600, Owner(5))
    assert isinstance(symlink, Symlink)
    assert (symlink.oldpath, symlink.newpath, symlink.owner) == ("a", "/b", Owner(0, 0))
    assert isinstance(rm, Rm)
    assert (rm.path, rm.allow_not_found, rm.allow_wildcard) == ("/a*", True, True)
    assert isinstance(copied, Copy)
    assert (copied.mode, copied.include, copied.exclude, copied.required) == ("u+x,go-w", ("*",), ("x",), ("/y",))
    assert (copied.src, copied.dest, copied.wildcard) == ("a", "b", True)


def test_numbers_of_owners_are_read_as_go_reads_them() -> None:
    given: list[str | int] = ["+5:007", 3_000_000_000, "0:4294967294", "٣"]
    owners = [pyllb.mkdir("/a", owner=owner).owner for owner in given]
    assert owners == [Owner(5, 7), Owner(3_000_000_000), Owner(0, 4294967294), Owner("٣")]


def test_a_chain_is_copied_from_within_the_op() -> None:
    made = pyllb.chain(SRC.dir("/s"), pyllb.mkdir("d"), pyllb.copy(BASE, "/etc", "d"))
    state = pyllb.fs().copy(made, "d", "/d")

    action = _op(state).actions[0]
    assert isinstance(action, Copy)
    assert action.source is made
    assert action.source.meta.settings.dirs == ("/s",)
    assert _op(state).inputs() == (BASE.output, SRC.output) or _op(state).inputs() == (SRC.output, BASE.output)


@pytest.mark.parametrize(
    ("given", "kept"),
    [(None, None), (0o755, 0o755), ("755", 0o755), ("0755", 0o755), (0o4755, 0o4755), ("a=rX", "a=rX"), ("+x", "+x")],
)
def test_the_mode_of_a_copy_is_kept_a_number_or_symbols(given: int | str | None, kept: int | str | None) -> None:
    action = _op(BASE.copy(SRC, "/", "/", mode=given)).actions[0]

    assert isinstance(action, Copy)
    assert action.mode == kept


@pytest.mark.parametrize(
    ("given", "nanoseconds"),
    [
        (0, 0),
        (-1, -(10**9)),
        (1.5, 1_500_000_000),
        (datetime(1970, 1, 1, 0, 0, 1, 7, UTC), 1_000_007_000),
        (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 0),
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), -(10**9)),
    ],
)
def test_a_time_is_nanoseconds_since_the_epoch(given: datetime | float, nanoseconds: int) -> None:
    action = pyllb.mkdir("/a", created=given)

    assert action.created == nanoseconds


def test_an_action_can_be_used_twice() -> None:
    action = pyllb.mkdir("a")

    assert _op(BASE.file(action)).actions == (action,)
    assert _op(SRC.file(action)).actions == (action,)
