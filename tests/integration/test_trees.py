"""A tree with everything that is awkward about files: the daemon gets, and gives back, what buildctl's does."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import pyllb
from pyllb import FS, bind, fs, local
from tests.integration.manifest import manifest
from tests.testbed import Testbed

EXCLUDE = ["**/*.skip", "!keep/**/*.skip", "deep/**/drop", "plain/1?/5*"]
MANIFEST = Path(__file__).with_name("manifest.py").read_text()


def many(root: Path) -> None:
    """20,000 small files in 200 directories."""
    for number in range(200):
        folder = root / "plain" / str(number)
        folder.mkdir(parents=True)
        for file in range(100):
            (folder / str(file)).write_bytes(b"%d\n" % (number * file))


def links(root: Path) -> None:
    folder = root / "links"
    folder.mkdir()
    (folder / "target").write_text("target")
    os.link(folder / "target", folder / "hard")
    os.link(folder / "target", root / "a-hard-link-that-sorts-first")
    for name, target in {
        "relative": "target",
        "dangling": "nowhere/at/all",
        "absolute": "/etc/hostname",
        "loop": "loop",
        "loop1": "loop2",
        "loop2": "loop1",
        "outside": "../../..",
        "directory": "../deep",
    }.items():
        (folder / name).symlink_to(target)


def modes(root: Path) -> None:
    folder = root / "modes"
    folder.mkdir()
    for mode in (0o4755, 0o2755, 0o1777, 0o000, 0o600, 0o777, 0o444):
        (folder / oct(mode)).write_text(oct(mode))
        (folder / oct(mode)).chmod(mode)
    (folder / "sticky").mkdir()
    (folder / "sticky").chmod(0o1777)
    (folder / "read-only").mkdir()
    (folder / "read-only/inside").write_text("inside")
    (folder / "read-only").chmod(0o555)


def contents(root: Path) -> None:
    folder = root / "contents"
    folder.mkdir()
    (folder / "empty").write_bytes(b"")
    (folder / "empty-directory").mkdir()
    with (folder / "sparse").open("wb") as file:
        file.seek(5 << 20)
        file.write(b"end")
    (folder / "large").write_bytes(os.urandom((3 << 20) + 1))
    os.setxattr(folder / "large", "user.note", b"\x00\xffbytes")


def names(root: Path) -> None:
    folder = root / "names"
    folder.mkdir()
    for name in (
        "ünï",
        "日本語",
        "a b",
        "-dash",
        "dot.",
        "new\nline",
        "back\\slash",
        "*star?",
        "a",
        "a-b",
        "a.b",
        "a0",
    ):
        (folder / name).write_text(name)
    (folder / "a-directory").mkdir()
    (folder / "a-directory/file").write_text("a/")


def times(root: Path) -> None:
    folder = root / "times"
    folder.mkdir()
    for name, nanoseconds in {"1960": -315619200_123456789, "epoch": 0, "ns": 1_600_000_000_987654321}.items():
        (folder / name).write_text(name)
        os.utime(folder / name, ns=(nanoseconds, nanoseconds))
    os.utime(folder, ns=(1, -1_000_000_001))


def excluded(root: Path) -> None:
    for path in ("deep/a/b/drop/x", "deep/a/keep", "keep/a/b.skip", "other/b.skip", "other/c", "deep/drop/y"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for part in (many, links, modes, contents, names, times, excluded):
        part(root)
    os.mkfifo(root / "fifo")
    return root


def listing(source: FS) -> FS:
    """A filesystem with manifest.json of the source, written by a step that sees it as the daemon holds it."""
    step = (
        fs()
        .image("python")
        .run(
            "python3 /manifest.py /tree > /out/manifest.json",
            mounts=[
                bind(source, "/tree", readonly=True),
                bind(fs(), "/out"),
                bind(fs().mkfile("/manifest.py", MANIFEST), "/manifest.py", selector="/manifest.py", readonly=True),
            ],
        )
    )
    return step.mount("/out")


def by_buildctl(testbed: Testbed, node: FS, tree: Path, dest: Path) -> None:
    with pyllb.Client(testbed.address) as client:
        definition = client.dump(node)
    command = [
        str(testbed.buildctl),
        "--addr",
        testbed.address,
        "build",
        "--progress=plain",
        "--local",
        f"context={tree}",
    ]
    command += ["--output", f"type=local,dest={dest}"]
    subprocess.run(command, input=definition.to_bytes(), check=True, capture_output=True)


@pytest.mark.parametrize("exclude", [[], EXCLUDE], ids=["whole", "excluded"])
def test_the_daemon_holds_what_buildctl_would_have_sent(
    exclude: list[str], tree: Path, testbed: Testbed, tmp_path: Path
) -> None:
    def node(key: str) -> FS:
        return listing(local(str(tree), name="context", exclude=exclude, shared_key=f"{key}{tmp_path}"))

    pyllb.solve(node("ours"), addr=testbed.address, output=f"type=local,dest={tmp_path}/ours")
    by_buildctl(testbed, node("theirs"), tree, tmp_path / "theirs")
    ours = json.loads((tmp_path / "ours/manifest.json").read_text())
    theirs = json.loads((tmp_path / "theirs/manifest.json").read_text())
    assert len(ours) > 10_000
    assert ours == theirs
    skipped = {row[0] for row in ours if row[0].endswith(".skip")}
    assert skipped == ({"keep/a/b.skip"} if exclude else {"keep/a/b.skip", "other/b.skip"})


def test_the_tree_comes_back_as_buildctl_writes_it(tree: Path, testbed: Testbed, tmp_path: Path) -> None:
    source = local(str(tree), name="context", shared_key=str(tmp_path))
    pyllb.solve(source, addr=testbed.address, output=f"type=local,dest={tmp_path}/ours")
    by_buildctl(testbed, source, tree, tmp_path / "theirs")
    ours = manifest(str(tmp_path / "ours"))
    assert len(ours) > 20_000
    assert ours == manifest(str(tmp_path / "theirs"))


def test_a_second_send_after_a_change_brings_just_the_change(testbed: Testbed, tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / name).write_text(name)

    def held(turn: int) -> dict[str, object]:
        node = listing(local(str(folder), name="context", shared_key=str(tmp_path)))
        pyllb.solve(node, addr=testbed.address, output=f"type=local,dest={tmp_path}/{turn}")
        return {row[0]: row[6] for row in json.loads((tmp_path / f"{turn}/manifest.json").read_text())}

    before = held(1)
    (folder / "b").write_text("changed")
    (folder / "c").unlink()
    (folder / "d").symlink_to("a")
    after = held(2)
    assert set(after) == {"a", "b", "d"}
    assert after["a"] == before["a"]
    assert after["b"] != before["b"]
