"""FileSync through a real session: the daemon reads our directories."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from pyllb.rpc.status import Code
from pyllb.session.filesync import FileSync
from pyllb.session.fssync.packet import FIN, Packet, PacketType, decode
from pyllb.session.fssync.receiver import receive
from pyllb.session.session import Session
from tests.unit.fssync.ends import PeerEnd
from tests.unit.fssync.trees import manifest, nasty
from tests.wire.peer import Peer, peer_of

METHOD = "/moby.filesync.v1.FileSync/DiffCopy"


def pulled(peer: Peer, out: Path, *metadata: tuple[str, str]) -> dict[bytes, object]:
    """What the daemon has after a transfer with these headers."""
    out.mkdir()
    call = peer.call(METHOD, [("dir-name", "context"), *metadata])
    receive(PeerEnd(call), out)
    assert call.status() == (Code.OK, "")
    return dict(manifest(out))


def listed(peer: Peer, *metadata: tuple[str, str]) -> list[str]:
    """The paths that a transfer announces."""
    call = peer.call(METHOD, [("dir-name", "context"), *metadata])
    paths = []
    while (packet := decode(call.receive() or b"")) != Packet(PacketType.STAT):
        assert packet.stat is not None
        paths.append(os.fsdecode(packet.stat.path))
    call.send(FIN)
    assert call.receive_all() == [FIN]
    assert call.status() == (Code.OK, "")
    return paths


def test_the_daemon_gets_the_tree_that_is_here(tmp_path: Path) -> None:
    nasty(tmp_path / "root")
    with peer_of(Session([FileSync({"context": tmp_path / "root"})])) as peer:
        assert pulled(peer, tmp_path / "out") == manifest(tmp_path / "root")
        exclude = [("exclude-patterns", "deep"), ("exclude-patterns", "*.txt")]
        rest = set(pulled(peer, tmp_path / "less", *exclude))
    assert {path for path in manifest(tmp_path / "root") if not path.startswith(b"deep")} - {b"a.txt"} == rest


def test_owners_are_not_told(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    os.chown(tmp_path / "f", 1000, 1000)
    with peer_of(Session([FileSync({"context": tmp_path})])) as peer:
        call = peer.call(METHOD, [("dir-name", "context")])
        first = call.receive() or b""
        call.cancel()
    stat = decode(first).stat
    assert stat is not None
    # fields 3 and 4, uid and gid, are absent: 0
    assert len(first) == len(b"\x12\x00\x0a\x01f\x10\xa4\x03\x28\x01\x30") + 9


def test_patterns_come_as_headers_plain_or_escaped(tmp_path: Path) -> None:
    for name in ("a.go", "b.txt", "é.go", "100%+x", "link"):
        if name == "link":
            (tmp_path / name).symlink_to("b.txt")
        else:
            (tmp_path / name).write_text(name)
    with peer_of(Session([FileSync({"context": tmp_path})])) as peer:
        assert listed(peer, ("include-patterns", "*.go")) == ["a.go", "é.go"]
        assert listed(peer, ("exclude-patterns", "*.go"), ("exclude-patterns", "!a.go")) == [
            "100%+x", "a.go", "b.txt", "link"]  # fmt: skip
        assert listed(peer, ("followpaths", "link")) == ["b.txt", "link"]
        escaped = [("include-patterns", quote_plus(name)) for name in ("é.go", "100%+x")]
        assert listed(peer, *escaped, ("include-patterns-encoded", "1")) == ["100%+x", "é.go"]
        assert listed(peer, ("include-patterns", "100%+x")) == ["100%+x"]


def test_sixty_four_kib_of_patterns_arrive(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("x")
    (tmp_path / "drop-1999").write_text("x")
    patterns = [("exclude-patterns", f"drop-{number}{'*' * (number % 2)}{'x' * 24}") for number in range(2000)]
    with peer_of(Session([FileSync({"context": tmp_path})])) as peer:
        assert listed(peer, *patterns, ("exclude-patterns", "drop-1999")) == ["kept"]


@pytest.mark.parametrize(
    ("metadata", "code", "message"),
    [
        ([("dir-name", "other")], Code.NOT_FOUND, 'no access allowed to dir "other"'),
        ([], Code.NOT_FOUND, 'no access allowed to dir ""'),
        ([("dir-name", "missing")], Code.UNKNOWN, "No such file or directory"),
        ([("dir-name", "file")], Code.UNKNOWN, "it is not a directory"),
        ([("dir-name", "context"), ("exclude-patterns", "[")], Code.INVALID_ARGUMENT, "bad pattern '['"),
    ],
)
def test_what_cannot_be_served_is_refused(
    tmp_path: Path, metadata: list[tuple[str, str]], code: Code, message: str
) -> None:
    (tmp_path / "file").write_text("x")
    dirs = {"context": tmp_path, "missing": tmp_path / "missing", "file": tmp_path / "file"}
    with peer_of(Session([FileSync(dirs)])) as peer:
        found, text = peer.failed(METHOD, metadata=metadata)
    assert (found, message in text) == (code, True)


def test_a_directory_that_is_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/f").write_text("x")
    (tmp_path / "link").symlink_to("real")
    with peer_of(Session([FileSync({"context": tmp_path / "link"})])) as peer:
        assert listed(peer) == ["f"]


def test_a_transfer_that_the_daemon_drops_ends_and_the_next_one_works(tmp_path: Path) -> None:
    for number in range(1000):
        (tmp_path / str(number)).write_bytes(b"x")
    with peer_of(Session([FileSync({"context": tmp_path})])) as peer:
        call = peer.call(METHOD, [("dir-name", "context")])
        call.receive()
        call.cancel()
        assert len(listed(peer)) == 1000
        assert peer.healthy()


def test_only_the_method_that_works_is_announced() -> None:
    assert list(FileSync({}).methods()) == [METHOD]
