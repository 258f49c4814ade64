"""What file actions leave, read from the exported tree."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from pyllb import FS, Client, chain, copy, fs, mkdir, mkfile, rm, symlink
from tests.integration.effects import BUSYBOX, Entry, case, fails, files, packed, tree

NAMES = fs().file(
    mkdir("/etc"),
    mkfile("/etc/passwd", "app:x:1234:1235::/:/bin/sh\n"),
    mkfile("/etc/group", "staff:x:77:\n"),
)
SOURCE = fs().file(
    mkdir("/d", mode=0o700),
    mkfile("/d/a.txt", "a", mode=0o640, owner="7:8", created=1000),
    mkfile("/d/b.md", "b"),
    symlink("a.txt", "/d/link"),
    mkdir("/d/sub"),
    mkfile("/d/sub/c.txt", "c"),
)
D = {"a.txt": b"a", "b.md": b"b", "sub/c.txt": b"c"}
ARCHIVE = fs().mkfile("/x.tgz", packed(one="1", two="2"))


def below(directory: str, contents: dict[str, bytes]) -> dict[str, bytes]:
    """The contents at paths below a directory."""
    return {f"{directory}/{name}": content for name, content in contents.items()}


def one(client: Client, node: FS, path: str) -> Entry:
    """One path of the exported tree."""
    return tree(client, node)[path]


@pytest.mark.parametrize(
    ("node", "contents"),
    [
        case("mkfile of text is UTF-8", fs().mkfile("/f", "grün\n"), {"f": "grün\n".encode()}),
        case("mkfile of bytes is these bytes", fs().mkfile("/f", bytes(range(256))), {"f": bytes(range(256))}),
        case("mkfile of nothing is an empty file", fs().mkfile("/f", ""), {"f": b""}),
        case("mkfile replaces a file", fs().mkfile("/f", "long before").mkfile("/f", "x"), {"f": b"x"}),
        case("a path is relative to dir", fs().dir("/w").mkdir("/w").mkfile("f", "x"), {"w/f": b"x"}),
        case("rm removes a file", SOURCE.rm("/d/a.txt"), below("d", {"b.md": b"b", "sub/c.txt": b"c"})),
        case("rm removes a directory with all in it", SOURCE.rm("/d/sub"), below("d", {"a.txt": b"a", "b.md": b"b"})),
        case(
            "rm takes a star for names when it may",
            SOURCE.rm("/d/*.txt", allow_wildcard=True),
            below("d", {"b.md": b"b", "sub/c.txt": b"c"}),
        ),
        case("rm with a star may find nothing", SOURCE.rm("/d/*.zip", allow_wildcard=True), below("d", D)),
        case(
            "rm of what is not there does nothing when it may", SOURCE.rm("/d/x", allow_not_found=True), below("d", D)
        ),
        case("rm is relative to dir", SOURCE.dir("/d").rm("sub"), below("d", {"a.txt": b"a", "b.md": b"b"})),
        case("copy of a file to a name", fs().copy(SOURCE, "/d/a.txt", "/f"), {"f": b"a"}),
        case("copy of a file into a directory", fs().mkdir("/o").copy(SOURCE, "/d/a.txt", "/o/"), {"o/a.txt": b"a"}),
        case("copy of a directory to a name", fs().copy(SOURCE, "/d", "/o"), below("o", D)),
        case(
            "copy of a directory into one that ends in a slash",
            fs().mkdir("/o").copy(SOURCE, "/d", "/o/"),
            below("o/d", D),
        ),
        case("copy of all of it", fs().copy(SOURCE, "/", "/"), below("d", D)),
        case(
            "copy is relative to the directories of both",
            fs().dir("/w").mkdir("/w").copy(SOURCE.dir("/d"), "sub", "o"),
            {"w/o/c.txt": b"c"},
        ),
        case(
            "copy lays a directory over another one",
            fs().mkdir("/d").mkfile("/d/own", "o").copy(SOURCE, "/d", "/"),
            below("d", {**D, "own": b"o"}),
        ),
        case(
            "contents_only leaves the directory's own name out",
            fs().mkdir("/o").copy(SOURCE, "/d", "/o/", contents_only=True),
            below("o", D),
        ),
        case(
            "create_dest makes the directories of dest",
            fs().copy(SOURCE, "/d/a.txt", "/x/y/f", create_dest=True),
            {"x/y/f": b"a"},
        ),
        case(
            "wildcard copies every match",
            fs().mkdir("/o").copy(SOURCE, "/d/*.*", "/o/", wildcard=True),
            {"o/a.txt": b"a", "o/b.md": b"b"},
        ),
        case(
            "wildcard has sets of characters",
            fs().mkdir("/o").copy(SOURCE, "/d/[bc].?d", "/o/", wildcard=True),
            {"o/b.md": b"b"},
        ),
        case(
            "without wildcard a star is a star",
            fs().copy(fs().mkfile("/*", "star").mkfile("/x", "x"), "/*", "/f"),
            {"f": b"star"},
        ),
        case(
            "allow_empty_wildcard may match nothing",
            fs().mkfile("/f", "x").copy(SOURCE, "/d/*.zip", "/", wildcard=True, allow_empty_wildcard=True),
            {"f": b"x"},
        ),
        case(
            "follow_symlinks copies what a link points to",
            fs().copy(SOURCE, "/d/link", "/f", follow_symlinks=True),
            {"f": b"a"},
        ),
        case(
            "unpack unpacks an archive",
            fs().copy(ARCHIVE, "/x.tgz", "/o/", unpack=True),
            {"o/one": b"1", "o/two": b"2"},
        ),
        case(
            "unpack copies what is no archive",
            fs().mkdir("/o").copy(SOURCE, "/d/a.txt", "/o/", unpack=True),
            {"o/a.txt": b"a"},
        ),
        case(
            "without unpack an archive is a file",
            fs().copy(ARCHIVE, "/x.tgz", "/x", include=()),
            {"x": packed(one="1", two="2")},
        ),
        case("include keeps what matches", fs().copy(SOURCE, "/d", "/o", include=["*.txt"]), {"o/a.txt": b"a"}),
        case(
            "include matches below with two stars",
            fs().copy(SOURCE, "/d", "/o", include=["**/*.txt"]),
            {"o/a.txt": b"a", "o/sub/c.txt": b"c"},
        ),
        case(
            "exclude leaves out what matches", fs().copy(SOURCE, "/d", "/o", exclude=["sub", "*.md"]), {"o/a.txt": b"a"}
        ),
        case(
            "exclude after include narrows it",
            fs().copy(SOURCE, "/d", "/o", include=["**/*.txt"], exclude=["a*"]),
            {"o/sub/c.txt": b"c"},
        ),
        case(
            "exclude may take back with an exclamation mark",
            fs().copy(SOURCE, "/d", "/o", exclude=["*.txt", "!a.txt", "sub"]),
            {"o/a.txt": b"a", "o/b.md": b"b"},
        ),
        case(
            "required is content with a path that is there",
            fs().copy(SOURCE, "/d", "/o", include=["sub/c.txt"], required=["/d/sub/c.txt"]),
            {"o/sub/c.txt": b"c"},
        ),
        case(
            "always_replace puts a file in a directory's place",
            fs().mkdir("/o").mkdir("/o/a").copy(fs().mkfile("/a", "x"), "/a", "/o/", always_replace=True),
            {"o/a": b"x"},
        ),
        case(
            "always_replace puts a directory in a file's place",
            fs().mkfile("/d", "x").copy(SOURCE, "/d", "/", always_replace=True),
            below("d", D),
        ),
        case(
            "several actions are done in order",
            fs().file(
                mkdir("/x"), mkfile("/x/f", "1"), mkfile("/x/g", "2"), rm("/x/f"), copy(SOURCE, "/d/a.txt", "/x/")
            ),
            {"x/g": b"2", "x/a.txt": b"a"},
        ),
        case(
            "several actions read several filesystems",
            fs().file(copy(SOURCE, "/d/a.txt", "/1"), copy(NAMES, "/etc/group", "/2"), copy(SOURCE, "/d/b.md", "/3")),
            {"1": b"a", "2": b"staff:x:77:\n", "3": b"b"},
        ),
        case(
            "a chain is copied from as what its actions leave",
            fs().file(copy(chain(SOURCE, rm("/d/b.md"), mkfile("/d/new", "n")), "/d", "/o")),
            {"o/a.txt": b"a", "o/sub/c.txt": b"c", "o/new": b"n"},
        ),
        case("a chain on nothing is copied from", fs().copy(chain(fs(), mkfile("/f", "x")), "/f", "/g"), {"g": b"x"}),
        case(
            "a chain leaves its filesystem as it is",
            fs().file(copy(chain(SOURCE, rm("/d/a.txt")), "/d/b.md", "/1"), copy(SOURCE, "/d/a.txt", "/2")),
            {"1": b"b", "2": b"a"},
        ),
    ],
)
def test_the_result_has_the_files(client: Client, node: FS, contents: dict[str, bytes]) -> None:
    assert files(client, node) == contents


@pytest.mark.parametrize(
    ("node", "path", "expected"),
    [
        case("mkdir is 755 and root's", fs().mkdir("/a"), "a", ("directory", 0o755, 0, 0)),
        case("mkdir has its mode", fs().mkdir("/a", mode=0o700), "a", ("directory", 0o700, 0, 0)),
        case("mkdir has its owner", fs().mkdir("/a", owner="1:2"), "a", ("directory", 0o755, 1, 2)),
        case(
            "mkdir with parents makes those above",
            fs().mkdir("/a/b/c", parents=True),
            "a/b/c",
            ("directory", 0o755, 0, 0),
        ),
        case(
            "mkdir with parents gives them its mode and owner",
            fs().mkdir("/a/b", parents=True, mode=0o750, owner=5),
            "a",
            ("directory", 0o750, 5, 5),
        ),
        case(
            "mkdir with parents leaves one that is there alone",
            fs().mkdir("/a", mode=0o700).mkdir("/a", parents=True, mode=0o777),
            "a",
            ("directory", 0o700, 0, 0),
        ),
        case("mkdir by a user's name", NAMES.mkdir("/a", owner="app"), "a", ("directory", 0o755, 1234, 1235)),
        case("mkfile is 644 and root's", fs().mkfile("/f", "x"), "f", ("file", 0o644, 0, 0)),
        case(
            "mkfile has its mode as a number", fs().mkfile("/f", "x", mode=0o4755 & 0o777), "f", ("file", 0o755, 0, 0)
        ),
        case("mkfile has its mode as digits", fs().mkfile("/f", "x", mode="600"), "f", ("file", 0o600, 0, 0)),
        case(
            "mkfile by a user's number has that group too", fs().mkfile("/f", "x", owner=5), "f", ("file", 0o644, 5, 5)
        ),
        case(
            "mkfile by a user's name has the user's group",
            NAMES.mkfile("/f", "x", owner="app"),
            "f",
            ("file", 0o644, 1234, 1235),
        ),
        case(
            "mkfile by names of user and group",
            NAMES.mkfile("/f", "x", owner="app:staff"),
            "f",
            ("file", 0o644, 1234, 77),
        ),
        case(
            "mkfile by a number and a group's name",
            NAMES.mkfile("/f", "x", owner="9:staff"),
            "f",
            ("file", 0o644, 9, 77),
        ),
        case("a name that no user has is root", NAMES.mkfile("/f", "x", owner="nobody"), "f", ("file", 0o644, 0, 0)),
        case("symlink has its owner", fs().symlink("x", "/l", owner="3:4"), "l", ("link", 0o777, 3, 4)),
        case("copy keeps mode and owner", fs().copy(SOURCE, "/d/a.txt", "/f"), "f", ("file", 0o640, 7, 8)),
        case("copy keeps a directory's mode", fs().copy(SOURCE, "/d", "/o"), "o", ("directory", 0o700, 0, 0)),
        case("copy keeps a link", fs().copy(SOURCE, "/d/link", "/l"), "l", ("link", 0o777, 0, 0)),
        case(
            "copy has its mode as a number", fs().copy(SOURCE, "/d/a.txt", "/f", mode=0o600), "f", ("file", 0o600, 7, 8)
        ),
        case(
            "copy has its mode on all below",
            fs().copy(SOURCE, "/d", "/o", mode=0o711),
            "o/sub/c.txt",
            ("file", 0o711, 0, 0),
        ),
        case(
            "copy has the bits above permissions",
            fs().copy(SOURCE, "/d/a.txt", "/f", mode=0o4755),
            "f",
            ("file", 0o4755, 7, 8),
        ),
        case(
            "copy has its mode as chmod's symbols",
            fs().copy(SOURCE, "/d/a.txt", "/f", mode="u+x,g=w,o+r"),
            "f",
            ("file", 0o724, 7, 8),
        ),
        case(
            "copy with X makes directories alone enterable",
            fs().copy(SOURCE, "/d", "/o", mode="go+X"),
            "o",
            ("directory", 0o711, 0, 0),
        ),
        case(
            "copy has its owner by numbers",
            fs().copy(SOURCE, "/d", "/o", owner="9:10"),
            "o/sub/c.txt",
            ("file", 0o644, 9, 10),
        ),
        case(
            "copy by a user's name, of where it is copied to",
            NAMES.copy(SOURCE, "/d/a.txt", "/f", owner="app"),
            "f",
            ("file", 0o640, 1234, 1235),
        ),
        case(
            "copy by names of user and group",
            NAMES.copy(SOURCE, "/d/a.txt", "/f", owner="app:staff"),
            "f",
            ("file", 0o640, 1234, 77),
        ),
        case(
            "unpack has its owner",
            fs().copy(ARCHIVE, "/x.tgz", "/o/", unpack=True, owner=5),
            "o/one",
            ("file", 0o644, 5, 5),
        ),
        case(
            "create_dest makes directories with its owner",
            fs().copy(SOURCE, "/d/a.txt", "/x/f", create_dest=True, owner=5),
            "x",
            ("directory", 0o755, 5, 5),
        ),
        case(
            "follow_symlinks copies a file for a link",
            fs().copy(SOURCE, "/d/link", "/f", follow_symlinks=True),
            "f",
            ("file", 0o640, 7, 8),
        ),
    ],
)
def test_a_path_is_of_the_kind_the_mode_and_the_owner(
    client: Client, node: FS, path: str, expected: tuple[str, int, int, int]
) -> None:
    entry = one(client, node, path)
    assert (entry.kind, entry.mode, entry.uid, entry.gid) == expected


MOMENT = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("node", "path", "moment"),
    [
        case("mkdir", fs().mkdir("/a", created=MOMENT), "a", MOMENT.timestamp()),
        case("mkfile", fs().mkfile("/a", "x", created=MOMENT), "a", MOMENT.timestamp()),
        case("mkfile in seconds", fs().mkfile("/a", "x", created=1234567890), "a", 1234567890),
        case("mkfile at the epoch", fs().mkfile("/a", "x", created=0), "a", 0),
        case("symlink", fs().symlink("x", "/a", created=MOMENT), "a", MOMENT.timestamp()),
        case("copy", fs().copy(SOURCE, "/d", "/a", created=MOMENT), "a/sub/c.txt", MOMENT.timestamp()),
        case("copy without one keeps it", fs().copy(SOURCE, "/d/a.txt", "/a"), "a", 1000),
        case(
            "what is unpacked is the archive's",
            fs().copy(ARCHIVE, "/x.tgz", "/a/", unpack=True, created=MOMENT),
            "a/one",
            0,
        ),
    ],
)
def test_created_is_the_time_of(client: Client, node: FS, path: str, moment: float) -> None:
    assert one(client, node, path).mtime == moment


def test_without_created_it_is_the_time_it_runs(client: Client, nonce: str) -> None:
    before = int(time.time())
    found = tree(client, fs().file(mkdir("/a"), mkfile("/a/f", nonce), symlink("f", "/a/l")))
    assert all(before <= entry.mtime <= time.time() + 1 for entry in found.values())


def test_symlink_says_its_oldpath_as_it_is(client: Client) -> None:
    found = tree(client, fs().dir("/w").file(symlink("../x/./y", "/a"), symlink("/abs", "/b")))
    assert {path: entry.link for path, entry in found.items()} == {"a": "../x/./y", "b": "/abs"}


def test_symlink_is_followed_by_a_command(client: Client) -> None:
    node = BUSYBOX.symlink("/etc/passwd", "/link").run("head -c 4 /link > /out; rm /link")
    assert files(client, fs().copy(node, "/out", "/out")) == {"out": b"root"}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        case("mkdir without parents", fs().mkdir("/a/b"), "/a/b: no such file or directory"),
        case("mkfile in no directory", fs().mkfile("/a/b", "x"), "/a/b: no such file or directory"),
        case("symlink over a file", fs().mkfile("/a", "").symlink("x", "/a"), "/a: file exists"),
        case("rm of what is not there", fs().mkdir("/a").rm("/b"), "/b: no such file or directory"),
        case("rm of a star that is no wildcard", SOURCE.rm("/d/*.txt"), r"/d/\*.txt: no such file or directory"),
        case("copy of what is not there", fs().copy(SOURCE, "/x", "/"), '"/x": not found'),
        case(
            "copy into no directory",
            fs().copy(SOURCE, "/d", "/x/y"),
            "there is no directory '/x'; create_dest=True makes it",
        ),
        case("a wildcard without a match", fs().copy(SOURCE, "/*.zip", "/", wildcard=True), r"\*.zip"),
        case(
            "a required path that is not there",
            fs().copy(SOURCE, "/d", "/o", include=["x"], required=["/d/x"]),
            '"/d/x": not found',
        ),
        case(
            "a file over a directory",
            fs().mkdir("/o").mkdir("/o/a").copy(fs().mkfile("/a", "x"), "/a", "/o/"),
            "cannot replace to directory .*/o/a with file",
        ),
        case("a directory over a file", fs().mkfile("/d", "x").copy(SOURCE, "/d", "/"), "cannot copy to non-directory"),
        case(
            "a name where there is nothing to look it up in",
            fs().mkfile("/f", "x", owner="app"),
            "owner 'app', on nothing that has names",
        ),
    ],
)
def test_it_fails(client: Client, node: FS, message: str) -> None:
    with fails(message):
        client.solve(node)
