"""File ops field by field: which input each action reads, and what becomes of paths, modes, owners and times.

The graphs are those of client/llb's own tests (BuildKit 0.33.1).
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import pyllb
from pyllb import chain, copy, fs, image, mkdir, mkfile, rm, symlink
from pyllb._pb import ops_pb2
from tests.unit.marshal.nodes import lowered

FOO, BAR = (f"docker-image://docker.io/library/{name}:latest" for name in ("foo", "bar"))
BAZ = "docker-image://docker.io/library/baz:latest"
Row = tuple[int, int, int, str]


def parsed(node: pyllb.FS) -> tuple[ops_pb2.Op, dict[str, ops_pb2.Op]]:
    """The op that made a node, and every op by digest."""
    definition = lowered(node).definition
    ops = {digest: ops_pb2.Op.FromString(data) for digest, data in definition.ops}
    last = list(ops.values())[-1]
    assert [(read.digest, read.index) for read in last.inputs] == [(definition.digest, 0)]
    assert len(definition.ops) == len(ops)
    assert {read.digest for op in ops.values() for read in op.inputs} == {*ops} - {definition.ops[-1][0]}
    return ops[definition.digest], ops


def rows(op: ops_pb2.Op) -> list[Row]:
    """Each action with what it reads, what reads it, and what it does."""
    return [(a.input, a.secondaryInput, a.output, does(a)) for a in op.file.actions]


def does(action: ops_pb2.FileAction) -> str:
    kind = action.WhichOneof("action") or ""
    made = getattr(action, kind)
    words = [getattr(made, name) for name in ("path", "src", "dest", "oldpath", "newpath") if hasattr(made, name)]
    if kind in ("mkdir", "mkfile"):
        words.append(f"{made.mode:o}")
    if kind == "mkfile":
        words.append(repr(made.data.decode()))
    if kind == "mkdir" and made.makeParents:
        words.append("parents")
    return " ".join([kind, *words])


def sources(op: ops_pb2.Op, ops: dict[str, ops_pb2.Op]) -> list[str]:
    """The images that an op reads, "" for what is none."""
    assert all(read.index == 0 for read in op.inputs)
    return [ops[read.digest].source.identifier for read in op.inputs]


def owner(action: ops_pb2.FileAction) -> list[tuple[str, int] | int | None]:
    """User and group: a name with the input it is looked up in, a number, or None."""
    found: list[tuple[str, int] | int | None] = []
    kept = getattr(action, action.WhichOneof("action") or "").owner
    for who in ("user", "group"):
        one = getattr(kept, who)
        form = one.WhichOneof("user")
        assert (form is not None) == kept.HasField(who)
        found.append((one.byName.name, one.byName.input) if form == "byName" else one.byID if form else None)
    return found


ACTIONS = (mkdir("foo", mode=0o700), mkfile("foo/bar", "dt", mode=0o600))
ONE_CHAIN = (
    image("foo").dir("/tmp").file(mkdir("foo/bar/", mode=0o700), rm("abc"), mkfile("foo/bar/baz", "d0", mode=0o777))
)
PIPELINE = (
    image("foo")
    .dir("/out")
    .file(copy(chain(image("bar").dir("/tmp"), *ACTIONS), "foo/bar", "baz"), rm("foo/bax"))
    .file(mkdir("/bar", mode=0o701), copy(image("foo"), "in", "out"), copy(image("baz").dir("/base"), "in2", "out2"))
)
CASES: list[tuple[str, pyllb.FS, list[str], list[Row]]] = [
    ("a directory", image("foo").mkdir("/foo", mode=0o700), [FOO], [(0, -1, 0, "mkdir /foo 700")]),
    (
        "directories",
        image("foo")
        .dir("/etc")
        .file(mkdir("/foo", mode=0o700), mkdir("bar", mode=0o600, parents=True), mkdir("bar/baz", mode=0o701)),
        [FOO],
        [
            (0, -1, -1, "mkdir /foo 700"),
            (1, -1, -1, "mkdir /etc/bar 600 parents"),
            (2, -1, 0, "mkdir /etc/bar/baz 701"),
        ],
    ),
    (
        "a directory and a file on nothing",
        fs().file(mkdir("/foo", mode=0o700), mkfile("bar", "data", mode=0o700)),
        [],
        [(-1, -1, -1, "mkdir /foo 700"), (0, -1, 0, "mkfile /bar 700 'data'")],
    ),
    ("a file", image("foo").mkfile("/foo", "data", mode=0o700), [FOO], [(0, -1, 0, "mkfile /foo 700 'data'")]),
    ("a file on nothing", fs().mkfile("/foo", "data"), [], [(-1, -1, 0, "mkfile /foo 644 'data'")]),
    (
        "links, as they are written",
        image("foo")
        .dir("/src")
        .file(
            mkdir("dir"),
            symlink("/src/dir", "/srcdir"),
            mkfile("/srcdir/file", "x", mode=0o700),
            symlink("dir/file", "/srcdirfile"),
            mkdir("/src/dir/subdir"),
            symlink("/src/dir/subdir", "/src/dir/subdir/nested"),
        ),
        [FOO],
        [
            (0, -1, -1, "mkdir /src/dir 755"),
            (1, -1, -1, "symlink /src/dir /srcdir"),
            (2, -1, -1, "mkfile /srcdir/file 700 'x'"),
            (3, -1, -1, "symlink dir/file /srcdirfile"),
            (4, -1, -1, "mkdir /src/dir/subdir 755"),
            (5, -1, 0, "symlink /src/dir/subdir /src/dir/subdir/nested"),
        ],
    ),
    ("something removed", image("foo").rm("/foo"), [FOO], [(0, -1, 0, "rm /foo")]),
    (
        "one chain",
        ONE_CHAIN,
        [FOO],
        [
            (0, -1, -1, "mkdir /tmp/foo/bar 700"),
            (1, -1, -1, "rm /tmp/abc"),
            (2, -1, 0, "mkfile /tmp/foo/bar/baz 777 'd0'"),
        ],
    ),
    (
        "a chain on another",
        ONE_CHAIN.dir("sub").file(rm("foo"), mkfile("/abc", "d1", mode=0o701)),
        [""],
        [(0, -1, -1, "rm /tmp/sub/foo"), (1, -1, 0, "mkfile /abc 701 'd1'")],
    ),
    (
        "a copy",
        image("foo").dir("/tmp").copy(image("bar").dir("/etc"), "foo", "bar"),
        [FOO, BAR],
        [(0, 1, 0, "copy /etc/foo /tmp/bar")],
    ),
    (
        "a copy out of a chain",
        image("foo").dir("/out").copy(chain(fs().dir("/tmp"), *ACTIONS), "foo/bar", "baz"),
        [FOO],
        [
            (-1, -1, -1, "mkdir /tmp/foo 700"),
            (1, -1, -1, "mkfile /tmp/foo/bar 600 'dt'"),
            (0, 2, 0, "copy /tmp/foo/bar /out/baz"),
        ],
    ),
    (
        "copies out of several images",
        PIPELINE,
        ["", FOO, BAZ],
        [
            (0, -1, -1, "mkdir /bar 701"),
            (3, 1, -1, "copy /in /out/out"),
            (4, 2, 0, "copy /base/in2 /out/out2"),
        ],
    ),
]


@pytest.mark.parametrize(("node", "reads", "actions"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_action_reads_what_it_should(node: pyllb.FS, reads: list[str], actions: list[Row]) -> None:
    op, ops = parsed(node)
    assert (sources(op, ops), rows(op)) == (reads, actions)
    assert not op.HasField("platform")
    for action in op.file.actions:
        assert_nothing_is_said_of_owner_and_time(action)


def assert_nothing_is_said_of_owner_and_time(action: ops_pb2.FileAction) -> None:
    if action.HasField("rm"):
        assert (action.rm.allowNotFound, action.rm.allowWildcard) == (False, False)
        return
    made = getattr(action, action.WhichOneof("action") or "")
    assert (made.timestamp, made.HasField("owner")) == (-1, False)


def test_a_copy_out_of_a_chain_on_an_image_shares_what_others_read() -> None:
    op, ops = parsed(PIPELINE)
    below = ops[op.inputs[0].digest]
    assert (len(ops), sources(below, ops)) == (6, [FOO, BAR])
    assert below.inputs[0].digest == op.inputs[1].digest
    assert rows(below) == [
        (1, -1, -1, "mkdir /tmp/foo 700"),
        (2, -1, -1, "mkfile /tmp/foo/bar 600 'dt'"),
        (0, 3, -1, "copy /tmp/foo/bar /out/baz"),
        (4, -1, 0, "rm /out/foo/bax"),
    ]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, [None, None]),
        ("123:456", [123, 456]),
        ("foouser", [("foouser", 0), None]),
        ("root:root", [0, 0]),
        ("foo:bar", [("foo", 0), ("bar", 0)]),
        ("1000:1001", [1000, 1001]),
        (0, [0, None]),
    ],
)
def test_an_owner_is_a_number_or_a_name_that_the_base_has(given: str | int | None, kept: list[object]) -> None:
    op, _ = parsed(image("foo").file(mkdir("bar/baz", owner=given), symlink("a", "/b", owner=given)))
    assert [owner(action) for action in op.file.actions] == [kept, kept]


def test_the_owner_of_a_copy_is_looked_up_in_the_base_of_its_own_chain() -> None:
    foo = image("foo")
    inner = chain(foo, copy(image("bar"), "src0", "src2", owner="user3"))
    op, ops = parsed(
        fs().file(
            mkdir("/foo", mode=0o700, owner="user1"),
            copy(foo, "src1", "dst", owner="user2"),
            copy(inner, "src2", "dst", owner="user4"),
            copy(foo, "src3", "dst", owner="1:2"),
        )
    )
    assert sources(op, ops) == [FOO, BAR]
    assert [action.copy.src for action in op.file.actions] == ["", "/src1", "/src0", "/src2", "/src3"]
    found = [owner(action) for action in op.file.actions]
    assert found == [[("user1", -1), None], [("user2", -1), None], [("user3", 0), None], [("user4", -1), None], [1, 2]]


def test_times_are_nanoseconds() -> None:
    times = [datetime(year, 11, 10, 23, tzinfo=UTC) for year in (1969, 2009, 2019)]
    first, second, third = times
    op, _ = parsed(
        image("foo").file(
            mkdir("/foo", created=first), mkfile("bar", "", created=second), copy(image("b"), "s", "d", created=third)
        )
    )
    made, file, copied = op.file.actions
    found = (made.mkdir.timestamp, file.mkfile.timestamp, copied.copy.timestamp)
    assert found == tuple(int(time.timestamp()) * 10**9 for time in times)


def test_a_node_marshals_to_the_same_bytes_each_time() -> None:
    one, other = fs().mkfile("/tmp", "tmp 1"), fs().mkfile("/a", "tmp 2")
    node = image("foo").dir("/tmp").copy(one, "/foo", "/bar").copy(other, "/a", "/b")
    assert len({lowered(node).definition.to_bytes() for _ in range(100)}) == 1
