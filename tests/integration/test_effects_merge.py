"""What merge, diff, requires and passthrough leave."""

from __future__ import annotations

import pytest

from pyllb import FS, Client, bind, diff, fs, merge, passthrough
from tests.integration.effects import BUSYBOX, case, fails, files, fresh, ran, said, tree

ONE = fs().mkfile("/a", "1").mkfile("/same", "one")
TWO = fs().mkfile("/b", "2").mkfile("/same", "two")
CHANGED = ONE.rm("/a").mkfile("/c", "3").mkfile("/same", "changed")
KEPT = ONE.mkfile("/kept", "k")


@pytest.mark.parametrize(
    ("node", "contents"),
    [
        case("merge has the files of all", merge(ONE, fs().mkfile("/b", "2")), {"a": b"1", "same": b"one", "b": b"2"}),
        case("merge has the last one's where they are alike", merge(ONE, TWO), {"a": b"1", "b": b"2", "same": b"two"}),
        case("merge in the other order has the other one's", merge(TWO, ONE), {"a": b"1", "b": b"2", "same": b"one"}),
        case(
            "merge of three", merge(ONE, TWO, fs().mkfile("/same", "three")), {"a": b"1", "b": b"2", "same": b"three"}
        ),
        case(
            "merge lays directories into each other",
            merge(fs().mkdir("/d").mkfile("/d/a", "1"), fs().mkdir("/d").mkfile("/d/b", "2")),
            {"d/a": b"1", "d/b": b"2"},
        ),
        case("merge leaves empty ones out", merge(fs(), ONE, fs()), {"a": b"1", "same": b"one"}),
        case("merge of nothing is nothing", merge(fs(), fs()), {}),
        case("merge of one twice is that one", merge(ONE, ONE), {"a": b"1", "same": b"one"}),
        case("diff has what was changed and added", diff(ONE, CHANGED), {"c": b"3", "same": b"changed"}),
        case(
            "diff of what a command did has that alone",
            diff(BUSYBOX, BUSYBOX.run("echo new > /etc/new; rm /etc/group")),
            {"etc/new": b"new\n"},
        ),
        case("diff of one with itself is nothing", diff(ONE, ONE), {}),
        case("diff from nothing is all of it", diff(fs(), ONE), {"a": b"1", "same": b"one"}),
        case("diff to nothing has no files", diff(ONE, fs()), {}),
        case(
            "diff onto another one changes, adds and removes",
            merge(KEPT, diff(ONE, CHANGED)),
            {"kept": b"k", "c": b"3", "same": b"changed"},
        ),
        case("diff to nothing onto another one removes", merge(KEPT, diff(ONE, fs())), {"kept": b"k"}),
        case("diff between two that have nothing in common", diff(ONE, TWO), {"b": b"2", "same": b"two"}),
        case("requires is the filesystem as it is", ONE.requires(TWO), {"a": b"1", "same": b"one"}),
        case(
            "passthrough hands each on as it is",
            merge(*passthrough(ONE, TWO, id="both")),
            {"a": b"1", "b": b"2", "same": b"two"},
        ),
        case(
            "passthrough hands on those that are named",
            passthrough(ONE, TWO, id="second", outputs=[1])[0],
            {"b": b"2", "same": b"two"},
        ),
    ],
)
def test_the_result_has_the_files(client: Client, node: FS, contents: dict[str, bytes]) -> None:
    assert files(client, node) == contents


def test_merge_goes_on_with_the_values_of_the_first(client: Client) -> None:
    base = merge(BUSYBOX.env(A="first"), fs().env(A="second").mkfile("/f", "merged\n"))
    assert said(client, base.run(fresh("echo $A; cat /f"))) == ["first", "merged"]


def test_merge_keeps_modes_owners_times_and_links(client: Client) -> None:
    made = fs().mkdir("/d", mode=0o700, owner=3).mkfile("/d/f", "x", mode=0o600, owner="1:2", created=1000)
    found = tree(client, merge(ONE, made.symlink("d/f", "/l")))
    assert (found["d/f"].mode, found["d/f"].uid, found["d/f"].gid, found["d/f"].mtime) == (0o600, 1, 2, 1000)
    assert (found["d"].mode, found["d"].uid, found["l"].link) == (0o700, 3, "d/f")


def test_a_diff_of_changed_permissions_has_the_file(client: Client) -> None:
    base = fs().mkfile("/f", "x")
    changed = BUSYBOX.run("chmod 600 /m/f", mounts=[bind(base, "/m")]).mount("/m")
    assert {path: entry.mode for path, entry in tree(client, diff(base, changed)).items()} == {"f": 0o600}


def test_requires_waits_for_what_nothing_reads(client: Client) -> None:
    check = BUSYBOX.run(fresh("true"))
    assert len(ran(client.solve(ONE.requires(check)))) == 1


@pytest.mark.parametrize(
    "through",
    [
        case("requires", lambda broken: ONE.requires(broken)),
        case("passthrough", lambda broken: passthrough(ONE, broken, id="x", outputs=[0])[0]),
    ],
)
def test_what_is_only_waited_for_may_not_fail(client: Client, through: object) -> None:
    assert callable(through)
    with fails("exit code 3"):
        client.solve(through(BUSYBOX.run(f"{fresh('')}; exit 3")))
