"""Files of what a build makes, read without exporting it."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from pyllb import FS, Client, fs, local, secret
from pyllb.client import FileStat
from pyllb.errors import ExecError, GraphError, OptionError, SolveError, UsageError
from pyllb.status import SolveStatus

SCRIPT = """
mkdir -p /d/e; echo hi > /d/f; chown 7:8 /d/f; chmod 4755 /d/f; touch -d @1000000000 /d/f
ln -s f /d/l; mkfifo /d/p; mknod /d/c c 1 3; touch /d/ü
head -c 20000001 /dev/urandom > /d/big; sha256sum < /d/big > /d/sum
"""


@pytest.fixture(scope="module")
def made() -> FS:
    return fs().image("busybox").run(SCRIPT)


def test_a_file_is_read_whole_or_in_part_whatever_its_size(client: Client, made: FS) -> None:
    assert client.read_file(made, "/d/f") == client.read_file(made, "d/f") == client.read_file(made, "/d/l") == b"hi\n"
    assert client.read_file(made, "/d/f", offset=1) == b"i\n"
    assert client.read_file(made, "/d/f", offset=1, length=1) == b"i"
    assert client.read_file(made, "/d/f", length=0) == client.read_file(made, "/d/f", offset=10) == b""
    big = client.read_file(made, "/d/big")
    assert hashlib.sha256(big).hexdigest() == client.read_file(made, "/d/sum").decode().split()[0]
    assert client.read_file(made, "/d/big", offset=5, length=17 << 20) == big[5 : 5 + (17 << 20)]


def test_a_directory_is_read_by_name(client: Client, made: FS) -> None:
    found = {entry.name: entry for entry in client.read_dir(made, "/d")}
    assert list(found) == ["big", "c", "e", "f", "l", "p", "sum", "ü"]
    kinds = {name: stat.filemode(entry.mode)[0] for name, entry in found.items()}
    assert kinds == {"big": "-", "c": "c", "e": "d", "f": "-", "l": "l", "p": "p", "sum": "-", "ü": "-"}
    file = FileStat(name="f", mode=0o104755, uid=7, gid=8, size=3, mtime=1_000_000_000 * 10**9, link="")
    assert (found["f"], found["l"].link, found["big"].size) == (file, "f", 20000001)
    assert [entry.name for entry in client.read_dir(made, "/d", pattern="?")] == ["c", "e", "f", "l", "p", "ü"]
    assert {"bin", "d"} <= {entry.name for entry in client.read_dir(made)}


def test_a_path_is_what_it_is(client: Client, made: FS) -> None:
    assert client.stat(made, "/d/f") == {entry.name: entry for entry in client.read_dir(made, "/d")}["f"]
    link, root = client.stat(made, "/d/l"), client.stat(made, "/")
    assert (link.name, stat.S_ISREG(link.mode), link.size) == ("l", True, 3)
    assert (root.name, stat.S_ISDIR(root.mode)) == ("/", True)


def test_what_is_read_is_built_as_a_solve_builds_it(client: Client, tmp_path: Path) -> None:
    class Seen:
        closed = 0
        names: frozenset[str] = frozenset()

        def update(self, status: SolveStatus) -> None:
            self.names |= {vertex.name for vertex in status.vertexes}

        def close(self) -> None:
            self.closed += 1

    (tmp_path / "file").write_text("here")
    node = fs().image("busybox").copy(local(tmp_path), "/file", "/file")
    node = node.run("cat /file /run/secrets/s > /out", mounts=[secret("s")], name="join")
    seen = Seen()
    assert client.read_file(node, "/out", secrets={"s": " and there"}, progress=seen, timeout=60) == b"here and there"
    assert ("join" in seen.names, seen.closed) == (True, 1)


def test_what_cannot_be_read_is_told(client: Client, made: FS) -> None:
    for path, says in (("/nope", "/nope: no such file"), ("/d", "/d: not a regular file")):
        with pytest.raises(SolveError, match=says):
            client.read_file(made, path)
    with pytest.raises(SolveError, match="not a directory"):
        client.read_dir(made, "/d/f")
    with pytest.raises(SolveError, match="/x/y: no such file"):
        client.stat(made, "/x/y")
    with pytest.raises(GraphError, match="the filesystem is empty"):
        client.read_file(fs(), "/x")
    with pytest.raises(ExecError, match="exit code 3") as caught:
        client.read_file(made.run("exit 3"), "/d/f")
    assert caught.value.sources[0].filename == __file__


def test_wrong_values_are_told_before_anything_is_asked() -> None:
    with Client("unix:///nowhere") as nobody:
        with pytest.raises(OptionError, match="read_file: 3 is no filesystem"):
            nobody.read_file(3, "/x")  # type: ignore[arg-type]  # what is tested
        for path in ("", 3, "a\0b"):
            with pytest.raises(UsageError, match=r"path: .* is none; write one from the root"):
                nobody.stat(fs(), path)  # type: ignore[arg-type]  # what is tested
        for offset, length in ((-1, None), (0, -1), ("1", None)):
            with pytest.raises(UsageError, match="is no number of bytes"):
                nobody.read_file(fs(), "/x", offset=offset, length=length)  # type: ignore[arg-type]  # what is tested
        with pytest.raises(UsageError, match="secret"):
            nobody.read_file(fs().image("busybox").run("x", mounts=[secret("s")]), "/x")
