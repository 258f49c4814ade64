"""What the options of a directory of the client do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pyllb import FS, Client, bind, fs, local
from tests.integration.effects import BUSYBOX, Heard, case, directory, files, fresh, said, tree

CONTENTS = {
    "a.txt": "a",
    "b.md": "b",
    "sub/c.txt": "c",
    "sub/deep/d.md": "d",
    "node_modules/x.txt": "x",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with CONTENTS and a link to sub/c.txt."""
    place = directory(tmp_path / "project", CONTENTS)
    (place / "link").symlink_to("sub/c.txt")
    return place


def sent(client: Client, place: Path, **options: Any) -> set[str]:
    """The files and links that the daemon is sent."""
    found = tree(client, fs().copy(local(place, **options), "/", "/"))
    return {path for path, entry in found.items() if entry.kind != "directory"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        case("nothing said is everything", {}, {*CONTENTS, "link"}),
        case("include is what matches", {"include": ["*.txt"]}, {"a.txt"}),
        case("include of a directory is all below it", {"include": ["sub"]}, {"sub/c.txt", "sub/deep/d.md"}),
        case("include with two stars is at any depth", {"include": ["**/*.md"]}, {"b.md", "sub/deep/d.md"}),
        case("include of several is each of them", {"include": ["a.txt", "sub/deep"]}, {"a.txt", "sub/deep/d.md"}),
        case(
            "exclude leaves out what matches",
            {"exclude": ["node_modules", "*.md", "link"]},
            {"a.txt", "sub/c.txt", "sub/deep/d.md"},
        ),
        case("exclude may take back with an exclamation mark", {"exclude": ["*", "!sub/c.txt"]}, {"sub/c.txt"}),
        case(
            "exclude after include narrows it",
            {"include": ["**/*.txt"], "exclude": ["node_modules"]},
            {"a.txt", "sub/c.txt"},
        ),
        case("follow is a link and what it points to", {"follow": ["link"]}, {"link", "sub/c.txt"}),
        case("metadata_only is a list of names, in a file", {"metadata_only": True}, {".fsutil-metadata"}),
        case(
            "metadata_except is sent whole",
            {"metadata_only": True, "metadata_except": ["b.md"]},
            {".fsutil-metadata", "b.md"},
        ),
    ],
)
def test_what_is_sent(client: Client, project: Path, options: dict[str, Any], expected: set[str]) -> None:
    assert sent(client, project, **options) == expected


def test_modes_times_and_links_are_kept_and_owners_are_root(client: Client, project: Path) -> None:
    os.chown(project / "a.txt", 7, 8)  # first, for it takes the bits above permissions off
    (project / "a.txt").chmod(0o4751)
    os.utime(project / "a.txt", (1, 1_000_000_000))
    found = tree(client, fs().copy(local(project), "/", "/"))
    entry = found["a.txt"]
    assert (entry.mode, entry.uid, entry.gid, entry.mtime) == (0o4751, 0, 0, 1_000_000_000)
    assert found["link"].link == "sub/c.txt"


def test_a_command_may_mount_it(client: Client, project: Path) -> None:
    node = BUSYBOX.run(fresh("cat /m/sub/c.txt"), mounts=[bind(local(project), "/m", readonly=True)])
    assert said(client, node) == ["c"]


def test_a_file_that_was_removed_is_gone(client: Client, project: Path) -> None:
    assert "a.txt" in sent(client, project)
    (project / "a.txt").unlink()
    assert "a.txt" not in sent(client, project)


def rewritten(place: Path, content: str) -> None:
    """Write /f with one and the same size, mode and time."""
    (place / "f").write_text(content)
    os.utime(place / "f", (1_000_000_000, 1_000_000_000))


@pytest.mark.parametrize(
    ("differ", "second"),
    [
        case("differ metadata takes a file of the same size and time as the same", "metadata", b"one"),
        case("differ None is metadata", None, b"one"),
        case("differ none sends it again", "none", b"two"),
    ],
)
def test_a_file_changed_behind_its_time(client: Client, tmp_path: Path, nonce: str, differ: Any, second: bytes) -> None:
    node = fs().copy(local(tmp_path, name=nonce, shared_key="k", differ=differ), "/f", "/f")
    rewritten(tmp_path, "one")
    assert files(client, node) == {"f": b"one"}
    rewritten(tmp_path, "two")
    assert files(client, node) == {"f": second}


def kept(client: Client, name: str) -> int:
    """How many directories the daemon keeps for a local source."""
    records = client.disk_usage(filters=["type==source.local"])
    return sum(name in record.description for record in records)


@pytest.mark.parametrize(
    ("keys", "number"),
    [
        case("the same shared_key is one directory for the daemon", ("k", "k"), 1),
        case("another shared_key is another directory", ("k", "l"), 2),
    ],
)
def test_two_solves_with(client: Client, tmp_path: Path, nonce: str, keys: tuple[str, str], number: int) -> None:
    for key in keys:
        place = directory(tmp_path / nonce, {"f": key})
        client.solve(fs().copy(local(place, name=nonce, shared_key=key), "/f", "/f"))
    assert kept(client, nonce) == number


def shown(client: Client, node: FS) -> set[str]:
    """The names of the vertices."""
    heard = Heard()
    client.solve(node, progress=heard)
    return {vertex.name for vertex in heard.vertexes.values()}


def test_name_is_the_sources_own(client: Client, project: Path) -> None:
    assert "local://code" in shown(client, fs().copy(local(project, name="code"), "/a.txt", "/"))


def test_without_a_name_it_is_the_directorys(client: Client, project: Path) -> None:
    assert "local://project" in shown(client, fs().copy(local(project), "/a.txt", "/"))


def test_two_sources_of_one_solve_are_apart(client: Client, tmp_path: Path) -> None:
    one, two = (directory(tmp_path / name, {"f": name}) for name in ("one", "two"))
    node = fs().copy(local(one), "/f", "/1").copy(local(two), "/f", "/2")
    assert files(client, node) == {"1": b"one", "2": b"two"}


def test_one_directory_with_two_filters_is_two_sources(client: Client, project: Path) -> None:
    node = fs().copy(local(project, include=["a.txt"]), "/", "/1/").copy(local(project, include=["b.md"]), "/", "/2/")
    assert files(client, node) == {"1/a.txt": b"a", "2/b.md": b"b"}
