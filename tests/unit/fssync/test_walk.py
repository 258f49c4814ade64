"""Walk and follow paths: order, filters and links, compared with BuildKit's own walk on random trees."""

from __future__ import annotations

import base64
import os
import random
import stat
from pathlib import Path
from typing import Any

import pytest

from pyllb.session.fssync.follow import follow_links
from pyllb.session.fssync.order import OrderCheck
from pyllb.session.fssync.stat import (
    SETGID,
    SETUID,
    SOCKET,
    STICKY,
    SYMLINK,
    TYPE,
    Stat,
    go_mode,
    permissions,
    st_mode,
)
from pyllb.session.fssync.walk import Filter, walk
from tests.unit.fssync.ends import ask, unprivileged
from tests.unit.fssync.trees import grow, nasty


def paths(root: Path, **patterns: list[str]) -> list[str]:
    base = os.fsencode(root)
    return [os.fsdecode(entry.path) for entry in walk(base, Filter.parse(base, **patterns))]


def make(root: Path, *names: str) -> None:
    """Files; directories for names that end in `/`; links for `name -> target`."""
    root.mkdir(exist_ok=True)
    for name in names:
        name, _, target = name.partition(" -> ")
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if target:
            path.symlink_to(target)
        elif name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(name)


def test_entries_come_depth_first_and_by_the_bytes_of_their_names(root: Path) -> None:
    make(root, "foo/x", "foo-bar", "foo.txt", "foo/y/z", "é", "z", "Z")
    assert paths(root) == ["Z", "foo", "foo/x", "foo/y", "foo/y/z", "foo-bar", "foo.txt", "z", "é"]


def test_a_directory_is_given_out_only_before_something_included_below_it(root: Path) -> None:
    make(root, "a/b/c.go", "a/b/d.txt", "e/f.txt", "g.go")
    assert paths(root, include=["**/*.go"]) == ["a", "a/b", "a/b/c.go", "g.go"]
    assert paths(root, include=["a/b"]) == ["a", "a/b", "a/b/c.go", "a/b/d.txt"]
    assert paths(root, include=["e"]) == ["e", "e/f.txt"]
    assert paths(root, include=["e", "!e/f.txt"]) == ["e"]
    assert paths(root, include=["nothing"]) == []


def test_an_exception_brings_back_what_lies_in_an_excluded_directory(root: Path) -> None:
    make(root, "a/keep/x", "a/drop", "b/keep", "c")
    assert paths(root, exclude=["*", "!a/keep"]) == ["a", "a/keep", "a/keep/x"]
    assert paths(root, exclude=["a"]) == ["b", "b/keep", "c"]
    assert paths(root, include=["a", "b"], exclude=["**/keep"]) == ["a", "a/drop", "b"]


def test_an_excluded_directory_is_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(root, "a/x", "b/y", "node_modules/z/q")
    read: list[str] = []
    scandir = os.scandir

    def noted(path: Any) -> Any:
        read.append(os.path.relpath(os.readlink(f"/proc/self/fd/{path}"), root))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noted)
    paths(root, exclude=["node_modules", "!a/x"])
    assert read == [".", "a", "b"]
    read.clear()
    paths(root, include=["a/*"])
    assert read == [".", "a"]


def test_the_first_hard_link_that_is_kept_is_the_file_and_the_others_link_to_it(root: Path) -> None:
    make(root, "a")
    for name in ("b", "c", "d"):
        os.link(root / "a", root / name)
    base = os.fsencode(root)
    assert [(entry.path, entry.linkname, entry.size) for entry in walk(base)] == [
        (b"a", b"", 1),
        (b"b", b"a", 1),
        (b"c", b"a", 1),
        (b"d", b"a", 1),
    ]
    kept = walk(base, Filter.parse(base, exclude=["a", "c"]))
    assert [(entry.path, entry.linkname) for entry in kept] == [(b"b", b""), (b"d", b"b")]


def test_what_vanishes_while_the_tree_is_walked_is_left_out(root: Path) -> None:
    make(root, "a/x", "b/y", "c", "d")
    seen = []
    for entry in walk(os.fsencode(root)):
        seen.append(entry.path)
        if entry.path == b"a/x":
            (root / "b/y").unlink()
            (root / "b").rmdir()
            (root / "c").unlink()
    assert seen == [b"a", b"a/x", b"d"]


def test_a_directory_that_may_not_be_entered_matters_only_when_it_is_kept(public: Path) -> None:
    root = public / "root"
    make(root, "closed/x", "open")
    (root / "closed").chmod(0)
    with unprivileged():
        assert paths(root, exclude=["closed", "!closed/x*"]) == ["open"]
        assert paths(root, include=["**/open"]) == ["open"]
        with pytest.raises(PermissionError, match="closed"):
            paths(root)


def test_modes_are_gos(root: Path) -> None:
    nasty(root)
    modes = {entry.path: entry for entry in walk(os.fsencode(root))}
    assert modes[b"setuid"].mode == SETUID | SETGID | 0o755
    assert modes[b"sticky"].mode == 1 << 31 | STICKY | 0o777
    assert modes[b"fifo"].mode == 1 << 25 | 0o640
    assert (modes[b"null"].devmajor, modes[b"null"].devminor, modes[b"null"].mode & TYPE) == (1, 3, 1 << 26 | 1 << 21)
    assert (modes[b"disk"].devmajor, modes[b"disk"].devminor, modes[b"disk"].mode & TYPE) == (259, 70000, 1 << 26)
    assert modes[b"dangling"].linkname == b"nowhere"
    assert modes[b"a.txt"].mtime == -1
    assert modes[b"a/file"].xattrs == {b"user.note": b"bytes \x00\xff"}
    for bits in (0o4755, 0o2711, 0o1777, 0o644, 0):
        assert permissions(go_mode(stat.S_IFREG | bits)) == bits
        for kind in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK, stat.S_IFCHR):
            assert st_mode(go_mode(kind | bits)) == kind | bits
    assert st_mode(SOCKET | 0o600) == stat.S_IFSOCK | 0o600


# Follow paths

FOLLOWS = [
    (["dir/foo", "dir/l1 -> foo", "l2 -> dir/l1", "bar", "baz"], ["l2", "bar"], ["bar", "dir/foo", "dir/l1", "l2"]),
    (["l1 -> l1", "l2 -> l3", "l3 -> l2"], ["l1", "l3"], ["l1", "l2", "l3"]),
    (["dir/l1 -> /foo/bar/baz", "foo/bar -> ../../..", "baz"], ["dir/l1"], ["baz", "dir/l1", "foo/bar"]),
    ([], ["foo/bar/baz", "bar/baz"], ["bar/baz", "foo/bar/baz"]),
    ([], ["f*/foo/t*"], ["f*/foo/t*"]),
    ([], ["."], None),
    ([], ["/"], None),
    (["foo/bar", "dir/l1 -> /foo", "dir/l2 -> /"], ["foo/bar/baz", "foo/bar"], ["foo/bar"]),
    (["foo/bar", "dir/l1 -> /foo", "dir/l2 -> /"], ["dir/l1", "foo/bar"], ["dir/l1", "foo"]),
    (["foo/bar", "dir/l1 -> /foo", "dir/l2 -> /"], ["dir/l2", "foo"], None),
    (
        ["dir/l1 -> /foo/1", "dir/l2 -> /foo/2", "dir/other -> /foo/3", "foo/1", "foo/2 -> ../baz", "foo/3", "baz"],
        ["dir/l*"],
        ["baz", "dir/l*", "foo/1", "foo/2"],
    ),
    (["dir/al -> /foo/3", "foo/3"], ["dir", "dir/*l"], ["dir", "foo/3"]),
]


@pytest.mark.parametrize(("names", "given", "expected"), FOLLOWS)
def test_links_are_followed_inside_the_root(
    root: Path, names: list[str], given: list[str], expected: list[str] | None
) -> None:
    make(root, *names)
    assert follow_links(os.fsencode(root), given) == expected


def test_two_paths_through_one_link_are_both_followed(root: Path) -> None:
    make(root, "link -> dir", "dir/a", "dir/b", "self -> self/x", "c")
    assert follow_links(os.fsencode(root), ["link/a", "link/b", "self"]) == ["dir/a", "dir/b", "link", "self"]
    assert paths(root, follow=["link/b"]) == ["dir", "dir/b", "link"]


def test_a_path_out_of_the_root_reads_nothing_there(root: Path) -> None:
    make(root, "in")
    (root.parent / "out").symlink_to("root/in")
    assert follow_links(os.fsencode(root), ["../out"]) == ["../out"]


# BuildKit's own walk

_PATTERNS = ["a", "b", "a/b", "**/a", "*.go", "**/*.txt", "a*", "**/docs", "docs/**", "a/*", "*/b", "foo/bar", "**",
             "*", "é", "a b", "**/.hidden", "bar/**/a", "ab/*/b", "?", "[ab]", "foo**", "a/b/ab", "a/a/a"]  # fmt: skip
_FOLLOWS = ["a", "a/b", "b", "*", "a*", "docs/foo", "foo/bar/a", "ab", "*/b", "a.txt", "bar"]


def _some(choose: random.Random, pool: list[str], *, negate: float) -> list[str]:
    chosen = choose.choices(pool, k=choose.choice((0, 1, 1, 2, 3, 4)))
    return [f"!{pattern}" if choose.random() < negate else pattern for pattern in chosen]


def _ours(case: dict[str, Any]) -> list[dict[str, Any]]:
    base = os.fsencode(case["root"])
    rules = Filter.parse(base, include=case["include"], exclude=case["exclude"], follow=case["follow"])
    return [
        {
            "path": base64.b64encode(entry.path).decode(),
            "mode": entry.mode,
            "size": entry.size,
            "mtime": entry.mtime,
            "linkname": base64.b64encode(entry.linkname).decode(),
            "devmajor": entry.devmajor,
            "devminor": entry.devminor,
        }
        for entry in walk(base, rules)
    ]


def test_the_nasty_tree_is_walked_as_buildkit_walks_it(root: Path) -> None:
    nasty(root)
    for name in ("sock", "zz-links/fifo2"):
        if name == "sock":
            os.mknod(root / name, stat.S_IFSOCK | 0o644)
        else:
            os.link(root / "fifo", root / name)
    case: dict[str, Any] = {"root": os.fspath(root), "include": [], "exclude": [], "follow": []}
    [answer] = ask("walk", [case])
    assert answer["error"] == ""
    assert answer["entries"] == _ours(case)


@pytest.mark.parametrize("seed", range(3))
def test_random_trees_are_filtered_as_buildkit_filters_them(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    cases = []
    for number in range(60):
        root = tmp_path / str(number)
        grow(root, choose.randrange(1 << 30))
        cases += [
            {
                "root": os.fspath(root),
                "include": _some(choose, _PATTERNS, negate=0.25),
                "exclude": _some(choose, _PATTERNS, negate=0.4),
                "follow": _some(choose, _FOLLOWS, negate=0) if choose.random() < 0.4 else [],
            }
            for _ in range(12)
        ]
    answers = ask("walk", cases)
    wrong = []
    for case, answer in zip(cases, answers, strict=True):
        if "too many levels of symbolic links" in answer["error"]:  # a fault there, no link here
            continue
        ours = _ours(case)
        if ours != answer["entries"]:
            wrong.append((case, ours, answer["entries"]))
    assert wrong[:3] == []


# The order, as a receiver checks it

DIRECTORY, FILE = 1 << 31, 0
GOOD = [
    [("foo", FILE), ("foo2", FILE)],
    [("foo", DIRECTORY), ("foo/x", FILE), ("foo-bar", FILE), ("foo.txt", FILE)],
    [("a", DIRECTORY), ("a/b", DIRECTORY), ("a/b/c", FILE), ("b", FILE)],
    [("a", DIRECTORY), ("a/b", DIRECTORY), ("a/c", DIRECTORY), ("a/c/d", FILE), ("b", DIRECTORY)],
    [("..a", FILE), ("a..", DIRECTORY), ("a../...", FILE)],
]
WRONG = [
    [("foo2", FILE), ("foo", FILE)],
    [("foo", FILE), ("foo", FILE)],
    [("foo", FILE), ("foo/bar", FILE)],
    [("foo/bar", FILE)],
    [("a", DIRECTORY), ("b", DIRECTORY), ("a/x", FILE)],
    [("a", DIRECTORY), ("a.x", FILE), ("a/x", FILE)],
    [("a", DIRECTORY), ("a/b/c", FILE)],
    [("a", DIRECTORY), ("a/../b", FILE)],
    [("..", DIRECTORY)],
    [("../a", FILE)],
    [(".", DIRECTORY)],
    [("./a", FILE)],
    [("", FILE)],
    [("a/", DIRECTORY)],
    [("/a", FILE)],
    [("a", DIRECTORY), ("a//b", FILE)],
    [("a\0b", FILE)],
    [("link", SYMLINK), ("link/x", FILE)],
]


@pytest.mark.parametrize("entries", GOOD)
def test_entries_in_order_are_taken(entries: list[tuple[str, int]]) -> None:
    check = OrderCheck()
    for path, mode in entries:
        check.add(Stat(path.encode(), mode))


@pytest.mark.parametrize("entries", WRONG)
def test_an_entry_out_of_order_or_out_of_the_root_is_refused(entries: list[tuple[str, int]]) -> None:
    check = OrderCheck()
    *before, (path, mode) = entries
    for earlier, its_mode in before:
        check.add(Stat(earlier.encode(), its_mode))
    with pytest.raises(Exception, match=r"unclean path|out of order"):
        check.add(Stat(path.encode(), mode))


@pytest.mark.parametrize(
    ("first", "link"),
    [
        (Stat(b"a", DIRECTORY), Stat(b"b", FILE, linkname=b"a")),
        (Stat(b"a", SYMLINK, linkname=b"x"), Stat(b"b", FILE, linkname=b"a")),
        (Stat(b"a", FILE), Stat(b"b", FILE, linkname=b"../a")),
        (Stat(b"a", FILE), Stat(b"b", FILE, linkname=b"c")),
    ],
)
def test_a_hard_link_to_no_file_that_came_before_is_refused(first: Stat, link: Stat) -> None:
    check = OrderCheck()
    check.add(first)
    with pytest.raises(Exception, match="invalid link to unknown path"):
        check.add(link)
