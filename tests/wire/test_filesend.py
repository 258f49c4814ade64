"""FileSend through a real session: the daemon hands us trees and streams."""

from __future__ import annotations

import functools
import io
import os
import resource
import stat
import tempfile
import threading
import time
from pathlib import Path

import pytest

from pyllb.errors import UsageError
from pyllb.rpc.status import Code, RpcError
from pyllb.session.filesend import FileSend, FileTarget, LocalTarget, StreamTarget, Target, check_destination
from pyllb.session.fssync.packet import varint
from pyllb.session.fssync.sender import send
from pyllb.session.session import Session
from tests.unit.fssync.ends import PeerEnd, in_thread, unprivileged
from tests.unit.fssync.trees import grow, manifest, nasty
from tests.wire.peer import Peer, PeerCall, peer_of

METHOD = "/moby.filesync.v1.FileSend/DiffCopy"


def session(*targets: Target) -> tuple[Session, FileSend]:
    service = FileSend(dict(enumerate(targets)))
    return Session([service]), service


def push_tree(peer: Peer, root: Path, exporter: int | None = 0) -> tuple[int, str]:
    call = peer.call(METHOD, [] if exporter is None else [("buildkit-attachable-exporter-id", str(exporter))])
    send(PeerEnd(call), os.fsencode(root))
    call.close_send()
    assert call.receive_all() == []
    return call.status()


def chunk(data: bytes) -> bytes:
    return b"\x0a" + varint(len(data)) + data


def push_stream(peer: Peer, *chunks: bytes, metadata: tuple[tuple[str, str], ...] = ()) -> PeerCall:
    call = peer.call(METHOD, metadata)
    call.send(*map(chunk, chunks))
    call.close_send()
    return call


def test_a_tree_is_written_where_it_was_asked_for(tmp_path: Path) -> None:
    nasty(tmp_path / "root")
    target = LocalTarget(tmp_path / "new/out")
    with peer_of(session(target)[0]) as peer:
        assert push_tree(peer, tmp_path / "root", None) == (Code.OK, "")
    assert manifest(tmp_path / "new/out") == manifest(tmp_path / "root")
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "new/out")] == [0o700, 0o700]


def test_a_link_to_a_directory_that_is_to_come_leads_there(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/f").write_text("x")
    (tmp_path / "out").symlink_to("build/out")
    check_destination(tmp_path / "out", directory=True)
    with peer_of(session(LocalTarget(tmp_path / "out"))[0]) as peer:
        assert push_tree(peer, tmp_path / "in") == (Code.OK, "")
    assert (tmp_path / "build/out/f").read_text() == "x"


def test_several_platforms_may_arrive_in_one_directory_at_once(tmp_path: Path) -> None:
    names = [f"linux_{arch}" for arch in ("amd64", "arm64", "s390x")]
    for number, name in enumerate(names):
        (tmp_path / "in" / name).mkdir(parents=True)
        grow(tmp_path / "in" / name / name, number, size=200)
    with peer_of(session(LocalTarget(tmp_path / "out"))[0]) as peer:
        transfers = [in_thread(functools.partial(push_tree, peer, tmp_path / "in" / name)) for name in names]
        for running in transfers:
            running.join()
    assert manifest(tmp_path / "out") == {
        path: entry for name in names for path, entry in manifest(tmp_path / "in" / name).items()
    }


def test_a_stream_becomes_a_file_with_what_the_daemon_said_beside_it(tmp_path: Path) -> None:
    target = FileTarget(tmp_path / "app.tar")
    serving, service = session(LocalTarget(tmp_path / "unused"), target)
    said = (
        ("buildkit-attachable-exporter-id", "1"),
        ("exporter-md-containerimage.digest", "sha256:abc"),
        ("exporter-md-names", "a"),
        ("exporter-md-names", "b"),
    )
    chunks = [os.urandom(size) for size in (1, 127, 128, 29_000, 3 << 20, 0, 5)]
    with peer_of(serving) as peer:
        call = push_stream(peer, *chunks, metadata=said)
        assert call.receive_all() == []
        assert call.status() == (Code.OK, "")
    assert (tmp_path / "app.tar").read_bytes() == b"".join(chunks)
    assert service.metadata[1] == {"containerimage.digest": "sha256:abc", "names": "a,b"}
    assert os.listdir(tmp_path) == ["app.tar"]


def test_a_file_keeps_its_mode_and_the_link_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old and longer")
    (tmp_path / "real").chmod(0o604)
    (tmp_path / "link").symlink_to("real")
    with peer_of(session(FileTarget(tmp_path / "link"))[0]) as peer:
        assert push_stream(peer, b"new").status() == (Code.OK, "")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o604


def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with peer_of(session(FileTarget(tmp_path / "f"))[0]) as peer:
            assert push_stream(peer, b"new").status() == (Code.OK, "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640


def test_a_stream_that_breaks_off_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    with peer_of(session(FileTarget(tmp_path / "f"))[0]) as peer:
        call = peer.call(METHOD)
        call.send(chunk(b"half"))
        assert peer.healthy()
        call.cancel()
        assert peer.healthy()
    assert (tmp_path / "f").read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


def test_what_is_no_regular_file_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()), name="test-reader")
    reader.start()
    targets = (FileTarget(tmp_path / "pipe"), FileTarget(Path("/dev/null")))
    with peer_of(session(*targets)[0]) as peer:
        assert push_stream(peer, b"through").status() == (Code.OK, "")
        nowhere = (("buildkit-attachable-exporter-id", "1"),)
        assert push_stream(peer, b"x", metadata=nowhere).status() == (Code.OK, "")
    reader.join(10)
    assert got == [b"through"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_pipe_that_has_a_number_and_no_name_is_written_to() -> None:
    reader, writer = os.pipe()  # what `dest=/dev/stdout` before a `|`, and bash's `dest=>(...)`, lead to
    with peer_of(session(FileTarget(Path(f"/dev/fd/{writer}")))[0]) as peer:
        assert push_stream(peer, b"through").status() == (Code.OK, "")
    os.close(writer)
    with open(reader, "rb") as stream:
        assert stream.read() == b"through"


@pytest.mark.parametrize("reader", [False, True])
def test_a_pipe_whose_reader_does_not_come_or_go_on_ends_with_the_session(tmp_path: Path, reader: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    fd = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK) if reader else -1
    opened, _ = session(FileTarget(tmp_path / "pipe"))
    with peer_of(opened) as peer:
        push_stream(peer, bytes(1 << 20))
        assert peer.healthy()
        started = time.monotonic()
        opened.close()
        assert time.monotonic() - started < 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pyllb-session")]
    if reader:
        os.close(fd)


def test_a_reader_that_goes_away_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    fd = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with peer_of(session(FileTarget(tmp_path / "pipe"))[0]) as peer:
        call = push_stream(peer, bytes(1 << 20))
        assert peer.healthy()
        os.close(fd)
        assert "Broken pipe" in call.status()[1]


def test_a_name_as_long_as_names_may_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".tar")
    with peer_of(session(FileTarget(path))[0]) as peer:
        assert push_stream(peer, b"x").status() == (Code.OK, "")
    assert path.read_bytes() == b"x"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # ends a write as a full disk does, part of it done
    try:
        with peer_of(session(FileTarget(tmp_path / "f"))[0]) as peer:
            code, text = push_stream(peer, b"x" * 1500).status()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, "File too large" in text) == (Code.UNKNOWN, True)
    assert (os.listdir(tmp_path), (tmp_path / "f").read_text()) == (["f"], "old")


class Sluggish(io.RawIOBase):
    """Takes three bytes at a time, as a raw file may."""

    def __init__(self) -> None:
        self.got = b""
        self.flushed = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(memoryview(data)[:3])  # type: ignore[arg-type]  # any buffer may come
        self.got += piece
        return len(piece)

    def flush(self) -> None:
        self.flushed += 1


def test_a_stream_goes_to_an_open_file_object_which_stays_open() -> None:
    buffer, sluggish = io.BytesIO(), Sluggish()
    with peer_of(session(StreamTarget(buffer), StreamTarget(sluggish))[0]) as peer:
        assert push_stream(peer, b"one", b"two").status() == (Code.OK, "")
        second = (("buildkit-attachable-exporter-id", "1"),)
        assert push_stream(peer, b"12345678", b"", b"9", metadata=second).status() == (Code.OK, "")
    assert buffer.getvalue() == b"onetwo"
    assert (sluggish.got, sluggish.flushed, sluggish.closed) == (b"123456789", 1, False)


class Full(Sluggish):
    """Would block, as a raw file that does not block says it: None, or nothing written."""

    def __init__(self, answer: int | None) -> None:
        super().__init__()
        self._answer = answer

    def write(self, data: object) -> int:
        return self._answer  # type: ignore[return-value]  # what a test answers, right or wrong


@pytest.mark.parametrize("answer", [None, 0])
def test_a_file_object_that_takes_nothing_is_an_error_and_not_a_hole(answer: int | None) -> None:
    with peer_of(session(StreamTarget(Full(answer)))[0]) as peer:
        code, text = push_stream(peer, b"x").status()
    assert (code, "it takes nothing" in text) == (Code.UNKNOWN, True)


@pytest.mark.parametrize(
    ("exporter", "code", "message"),
    [
        ("7", Code.UNKNOWN, "exporter 7 not found"),
        ("1", Code.UNKNOWN, "No such file or directory"),
        ("2", Code.UNKNOWN, "Is a directory"),
        ("3", Code.UNKNOWN, "No space left on device"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path, exporter: str, code: Code, message: str) -> None:
    targets = (
        FileTarget(tmp_path / "f"),
        FileTarget(tmp_path / "no/f"),
        FileTarget(tmp_path),
        FileTarget(Path("/dev/full")),
    )
    with peer_of(session(*targets)[0]) as peer:
        found, text = push_stream(peer, b"x", metadata=(("buildkit-attachable-exporter-id", exporter),)).status()
    assert (found, message in text) == (code, True)


def test_a_tree_onto_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "in").mkdir()
    refused = pytest.raises(RpcError, match=r"error from receiver: cannot write .*file.*: Not a directory")
    with peer_of(session(LocalTarget(tmp_path / "file"))[0]) as peer, refused:
        push_tree(peer, tmp_path / "in")
    assert (tmp_path / "file").read_text() == "mine"


# Before the solve


@pytest.mark.parametrize(
    ("name", "directory", "expected"),
    [
        ("file", True, "is a file; this output is a tree, so name a directory"),
        ("dir", False, "is a directory; this output is one file, so name a file"),
        ("file/below", True, "cannot be"),
        ("file/below", False, "cannot be"),
        ("missing/below", False, "missing' does not exist"),
        ("loop", True, "cannot be used: Too many levels"),
    ],
)
def test_a_destination_of_the_wrong_kind_is_an_error_that_names_it(
    tmp_path: Path, name: str, directory: bool, expected: str
) -> None:
    _places(tmp_path)
    with pytest.raises(UsageError, match=expected) as caught:
        check_destination(tmp_path / name, directory=directory)
    assert repr(os.fspath(tmp_path / name)) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "directory"),
    [("dir", True), ("file", False), ("new", True), ("new", False), ("a/b/c", True), ("to", True)],
)
def test_a_destination_that_is_there_or_can_be_made_is_fine(tmp_path: Path, name: str, directory: bool) -> None:
    _places(tmp_path)
    check_destination(tmp_path / name, directory=directory)


@pytest.mark.parametrize(
    ("name", "directory"), [("", True), ("new", True), ("a/b", True), ("new", False), ("f", False), ("link", False)]
)
def test_a_destination_without_the_right_to_write_is_an_error_before_the_solve(name: str, directory: bool) -> None:
    with tempfile.TemporaryDirectory() as closed:
        os.chmod(closed, 0o755)
        (Path(closed) / "f").write_text("theirs")
        (Path(closed) / "link").symlink_to("g")
        with unprivileged(), pytest.raises(UsageError, match=f"{closed}' may not be written to"):
            check_destination(Path(closed) / name, directory=directory)


def test_a_device_needs_no_right_to_its_directory() -> None:
    with unprivileged():
        check_destination(Path("/dev/null"), directory=False)


def test_a_relative_destination_is_looked_for_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_destination(Path("out.tar"), directory=False)
    check_destination(Path("out/deeper"), directory=True)
    (tmp_path / "out").write_text("x")
    with pytest.raises(UsageError, match="cannot be"):
        check_destination(Path("out/deeper"), directory=True)


def _places(root: Path) -> None:
    (root / "dir").mkdir()
    (root / "file").write_text("x")
    (root / "loop").symlink_to("loop")
    (root / "to").symlink_to("dir")
