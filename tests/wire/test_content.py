"""Content: blobs of OCI layouts, read by the daemon."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pyllb._pb import content_pb2
from pyllb.errors import UsageError
from pyllb.rpc.status import Code
from pyllb.session.content import SERVICE, STORE, Content
from pyllb.session.layout import Layout
from pyllb.session.session import Session
from tests.layouts import digest_of, layout_of
from tests.wire.peer import Peer, peer_of

INFO, READ, LIST = f"{SERVICE}Info", f"{SERVICE}Read", f"{SERVICE}List"
ABSENT = "sha256:" + "0" * 64


@pytest.fixture
def large() -> bytes:
    return os.urandom((3 << 20) + 17)


@pytest.fixture
def peer(tmp_path: Path, large: bytes) -> Iterator[Peer]:
    """A session with the store oci:a, which has a large blob, an empty one and "small"; and oci:b, with "other"."""
    first = layout_of(tmp_path / "a", large, b"", b"small")
    second = layout_of(tmp_path / "b", b"other")
    with peer_of(Session([Content({"oci:a": first, "oci:b": second})])) as peer:
        yield peer


def of(store: str) -> list[tuple[str, str]]:
    return [(STORE, store)]


def read(peer: Peer, data: bytes, offset: int = 0, size: int = 0, store: str = "oci:a") -> list[tuple[int, bytes]]:
    """The messages of a read that succeeds, as offsets and data."""
    request = content_pb2.ReadContentRequest(digest=digest_of(data), offset=offset, size=size)
    call = peer.call(READ, of(store))
    call.send(request.SerializeToString())
    call.close_send()
    answers = [content_pb2.ReadContentResponse.FromString(answer) for answer in call.receive_all()]
    assert call.status() == (0, "")
    return [(answer.offset, answer.data) for answer in answers]


def joined(messages: list[tuple[int, bytes]]) -> bytes:
    """The data of a read, whose offsets are seen to count from where it began."""
    position = 0
    for offset, data in messages:
        assert offset == position
        position += len(data)
    return b"".join(data for _, data in messages)


def test_a_blob_is_read_whole_and_in_ranges(peer: Peer, large: bytes) -> None:
    assert joined(read(peer, large)) == large
    assert len(read(peer, large)) == 4
    size = len(large)
    ranges = ((0, 5), (7, 1), ((1 << 20) - 1, 3), (size - 3, 100), (size, 5), (5, -1), (-4, 6), (1, size))
    for offset, count in ranges:
        begin = max(offset, 0)
        end = begin + count if count > 0 else size
        assert joined(read(peer, large, offset, count)) == large[begin:end], (offset, count)
    assert read(peer, b"") == []


def test_a_read_beyond_the_end_is_out_of_range(peer: Peer) -> None:
    request = content_pb2.ReadContentRequest(digest=digest_of(b"small"), offset=6)
    code, message = peer.failed(READ, request.SerializeToString(), of("oci:a"))
    assert code == Code.OUT_OF_RANGE
    assert "has 5 bytes, none at 6" in message


def test_info_is_of_the_store_that_is_named(peer: Peer) -> None:
    request = content_pb2.InfoRequest(digest=digest_of(b"other")).SerializeToString()
    info = content_pb2.InfoResponse.FromString(peer.unary(INFO, request, of("oci:b"))).info
    assert (info.digest, info.size) == (digest_of(b"other"), 5)
    assert info.created_at.seconds > 0
    code, message = peer.failed(INFO, request, of("oci:a"))
    assert code == Code.NOT_FOUND
    assert message.endswith(f"/a' has no blob {digest_of(b'other')}")


def test_a_list_has_every_blob(tmp_path: Path) -> None:
    blobs = [str(number).encode() for number in range(230)]
    layout = layout_of(tmp_path / "a", *blobs)
    (tmp_path / "a" / "blobs" / "sha256" / "notes.txt").write_text("no blob")
    (tmp_path / "a" / "blobs" / "README").write_text("no algorithm")
    with peer_of(Session([Content({"oci:a": layout})])) as peer:
        call = peer.call(LIST, of("oci:a"))
        call.send(b"")
        call.close_send()
        answers = [content_pb2.ListContentResponse.FromString(answer) for answer in call.receive_all()]
        filtered = content_pb2.ListContentRequest(filters=["labels.x"]).SerializeToString()
        assert peer.failed(LIST, filtered, of("oci:a"))[0] == Code.UNIMPLEMENTED
    assert [len(answer.info) for answer in answers] == [100, 100, 30]
    assert {info.digest for answer in answers for info in answer.info} == set(map(digest_of, blobs))


HOSTILE = (
    *("", "sha256", "sha256:", "x", "sha256:../../../oci-layout", "../oci-layout:x", "sha256:" + "0" * 63),
    *("sha256:" + "0" * 65, "sha256:" + "A" * 64, "sha256:" + "0" * 64 + "\n", "md5:" + "0" * 32, "sha512:" + "0" * 64),
    *("sha256:/" + "0" * 63, "sha256:" + "0" * 61 + "/..", "/etc/passwd", "sha256:" + "0" * 63 + "\0"),
)


@pytest.mark.parametrize("digest", HOSTILE)
def test_what_is_no_digest_never_becomes_a_path(peer: Peer, digest: str) -> None:
    for method, request in (
        (INFO, content_pb2.InfoRequest(digest=digest)),
        (READ, content_pb2.ReadContentRequest(digest=digest)),
    ):
        code, message = peer.failed(method, request.SerializeToString(), of("oci:a"))
        assert (code, message) == (Code.INVALID_ARGUMENT, f"{digest!r} is not a digest")


def test_only_files_are_blobs(tmp_path: Path) -> None:
    layout = layout_of(tmp_path / "a")
    folder = tmp_path / "a" / "blobs" / "sha256"
    (folder / ("1" * 64)).mkdir()
    os.mkfifo(folder / ("2" * 64))
    (folder / ("3" * 64)).symlink_to("nowhere")
    (tmp_path / "elsewhere").write_bytes(b"linked")
    (folder / ("4" * 64)).symlink_to(tmp_path / "elsewhere")
    with peer_of(Session([Content({"oci:a": layout})])) as peer:
        for digit in "0123":
            request = content_pb2.ReadContentRequest(digest=f"sha256:{digit * 64}").SerializeToString()
            assert peer.failed(READ, request, of("oci:a"))[0] == Code.NOT_FOUND, digit
        request = content_pb2.ReadContentRequest(digest=f"sha256:{'4' * 64}").SerializeToString()
        assert content_pb2.ReadContentResponse.FromString(peer.unary(READ, request, of("oci:a"))).data == b"linked"


def test_a_call_says_which_store(peer: Peer) -> None:
    request = content_pb2.InfoRequest(digest=ABSENT).SerializeToString()
    code, message = peer.failed(INFO, request)
    assert code == Code.INVALID_ARGUMENT
    assert STORE in message
    assert peer.failed(INFO, request, of("a")) == (Code.NOT_FOUND, "store 'a' was not given")
    assert peer.failed(INFO, request, [*of("oci:b"), *of("a")])[1].endswith(f"has no blob {ABSENT}")


WRITES: Mapping[str, bytes] = {
    "Write": content_pb2.WriteContentRequest(ref="x", expected=ABSENT).SerializeToString(),
    "Abort": content_pb2.AbortRequest(ref="x").SerializeToString(),
    "Delete": content_pb2.DeleteContentRequest(digest=ABSENT).SerializeToString(),
    "Update": content_pb2.UpdateRequest(info=content_pb2.Info(digest=ABSENT)).SerializeToString(),
}


@pytest.mark.parametrize("method", WRITES)
def test_a_layout_that_is_read_takes_nothing(peer: Peer, method: str) -> None:
    code, message = peer.failed(SERVICE + method, WRITES[method], of("oci:a"))
    assert code == Code.PERMISSION_DENIED
    assert message.endswith("/a' is only read")


def test_nothing_is_being_written_to_a_layout_that_is_read(peer: Peer) -> None:
    status = content_pb2.StatusRequest(ref="x").SerializeToString()
    assert peer.failed(f"{SERVICE}Status", status, of("oci:a"))[0] == Code.NOT_FOUND
    assert peer.unary(f"{SERVICE}ListStatuses", b"", of("oci:a")) == b""


def test_a_request_that_is_no_message_is_told(peer: Peer) -> None:
    assert peer.failed(INFO, b"\xff", of("oci:a"))[0] == Code.INTERNAL


def test_a_read_that_is_cancelled_lets_go_of_the_file(tmp_path: Path) -> None:
    data = bytes(24 << 20)
    layout = layout_of(tmp_path / "a", data)
    with peer_of(Session([Content({"oci:a": layout})]), window=1 << 16, auto_credit=False) as peer:
        call = peer.call(READ, of("oci:a"))
        call.send(content_pb2.ReadContentRequest(digest=digest_of(data)).SerializeToString())
        call.close_send()
        with peer.lock:
            peer.wait_for(lambda: call.arrived, "the first bytes")
        call.cancel()
        assert peer.healthy()
    held = {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
    assert not [path for path in held if path.startswith(str(tmp_path))]


def test_many_reads_at_once_have_their_own_bytes(peer: Peer, large: bytes) -> None:
    calls = []
    for number in range(12):
        request = content_pb2.ReadContentRequest(digest=digest_of(large), offset=number, size=1 << 20)
        calls.append(peer.call(READ, of("oci:a")))
        calls[-1].send(request.SerializeToString())
        calls[-1].close_send()
    for number, call in enumerate(calls):
        answers = [content_pb2.ReadContentResponse.FromString(answer) for answer in call.receive_all()]
        assert b"".join(answer.data for answer in answers) == large[number : number + (1 << 20)]


def test_a_directory_that_is_no_layout_is_refused(tmp_path: Path) -> None:
    def message(path: Path) -> str:
        with pytest.raises(UsageError) as caught:
            Layout(path).check()
        return str(caught.value)

    (tmp_path / "image.tar").touch()
    assert message(tmp_path / "nowhere").endswith("/nowhere' does not exist")
    assert message(tmp_path / "image.tar").endswith("/image.tar' is a file; unpack it, and name the directory")
    assert message(tmp_path).endswith("is not an OCI layout: it has no file 'oci-layout'")
    (tmp_path / "oci-layout").touch()
    assert message(tmp_path).endswith("is not an OCI layout: it has no file 'index.json'")
    for index in ("", "[]", "[1]", '{"manifests": [{}]}', '{"manifests": [{"digest": "../x"}]}', '{"manifests": 1}'):
        (tmp_path / "index.json").write_text(index)
        assert "/index.json' is not an image index: " in message(tmp_path), index
    (tmp_path / "index.json").write_text("{}")
    Layout(tmp_path).check()


def entry(digit: str, tag: str = "", name: str = "") -> dict[str, object]:
    pairs = {"org.opencontainers.image.ref.name": tag, "io.containerd.image.name": name}
    return {"digest": f"sha256:{digit * 64}", "annotations": {key: value for key, value in pairs.items() if value}}


def test_an_image_is_found_by_its_name_or_by_its_tag(tmp_path: Path) -> None:
    entries = [entry("1", "1", "docker.io/a/app:1"), entry("2", "1", "docker.io/b/app:1"), entry("3", "2"), entry("4")]
    layout = layout_of(tmp_path / "a", index=entries)
    assert layout.find(["b/app:1", "docker.io/b/app:1"], "1") == "sha256:" + "2" * 64
    assert layout.find(["layouts/app:2"], "2") == "sha256:" + "3" * 64
    with pytest.raises(UsageError, match=r"has several images of the tag '1'; there is 'docker.io/a/app:1', .*'2'"):
        layout.find(["layouts/app:1"], "1")
    with pytest.raises(UsageError, match=r"has no image of the tag '3'; there is .*'sha256:4444"):
        layout.find([], "3")
    with pytest.raises(UsageError, match="its index is empty"):
        layout_of(tmp_path / "b").find([], "1")
