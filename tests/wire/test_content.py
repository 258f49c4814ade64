"""Content: blobs of OCI layouts, read by the daemon."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pyllb._pb import content_pb2
from pyllb.errors import UsageError
from pyllb.rpc.status import Code
from pyllb.session.content import SERVICE, STORE, Content
from pyllb.session.index import put_image
from pyllb.session.ingest import Ingest
from pyllb.session.layout import Layout
from pyllb.session.session import Session
from tests.layouts import add_image, add_index, digest_of, layout_of, tagged, write_index
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


# --- writes -----------------------------------------------------------------------------------------------------------

STAT, WRITE, COMMIT = content_pb2.STAT, content_pb2.WRITE, content_pb2.COMMIT


class Writing:
    """A write, step by step, each answered before the next."""

    def __init__(self, peer: Peer, ref: str, expected: str = "", total: int = 0) -> None:
        self.call = peer.call(f"{SERVICE}Write", of("export"))
        self.first = content_pb2.WriteContentRequest(ref=ref, expected=expected, total=total)

    def step(
        self, action: content_pb2.WriteAction, data: bytes = b"", offset: int = 0, expected: str = "", total: int = 0
    ) -> Written:
        """One message, and its answer."""
        request = content_pb2.WriteContentRequest(
            action=action, data=data, offset=offset, expected=expected, total=total
        )
        request.MergeFrom(self.first)
        self.first = content_pb2.WriteContentRequest()
        self.call.send(request.SerializeToString())
        answer = self.call.receive()
        assert answer is not None, self.call.status()
        return content_pb2.WriteContentResponse.FromString(answer)

    def failed(self, **step: object) -> tuple[int, str]:
        """A message that ends the write."""
        with pytest.raises(AssertionError):
            self.step(**step)  # type: ignore[arg-type]  # options of any kind, by name
        return self.call.status()


Written = content_pb2.WriteContentResponse


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Where the store `export` is; it is not made yet."""
    return tmp_path / "written"


@pytest.fixture
def writer(written: Path) -> Iterator[Peer]:
    with peer_of(Session([Content({"export": Ingest(Layout(written))})])) as peer:
        yield peer


def files_in(path: Path) -> list[str]:
    return sorted(str(found.relative_to(path)) for found in path.rglob("*") if found.is_file())


def blob_path(data: bytes) -> str:
    return f"blobs/sha256/{digest_of(data).partition(':')[2]}"


def test_a_blob_is_there_once_it_is_committed(writer: Peer, written: Path, large: bytes) -> None:
    digest = digest_of(large)
    writing = Writing(writer, "layer", digest, len(large))
    first = writing.step(STAT)
    assert (first.offset, first.total, first.digest) == (0, len(large), digest_of(b""))
    assert first.started_at.seconds
    position = 0
    while position < len(large):
        answer = writing.step(WRITE, large[position : position + (1 << 20)], position)
        position = answer.offset
        assert answer.digest == digest_of(large[:position])
    status = content_pb2.StatusRequest(ref="layer").SerializeToString()
    found = content_pb2.StatusResponse.FromString(writer.unary(f"{SERVICE}Status", status, of("export"))).status
    assert (found.ref, found.offset, found.total) == ("layer", len(large), len(large))
    listed = content_pb2.ListStatusesResponse.FromString(writer.unary(f"{SERVICE}ListStatuses", b"", of("export")))
    assert [one.ref for one in listed.statuses] == ["layer"]
    assert not (written / blob_path(large)).exists()
    last = writing.step(COMMIT, offset=position, expected=digest, total=len(large))
    assert (last.action, last.offset, last.digest) == (COMMIT, len(large), digest)
    assert writing.call.receive() is None
    assert writing.call.status() == (0, "")
    assert files_in(written) == [blob_path(large)]
    assert (written / blob_path(large)).read_bytes() == large
    info = content_pb2.InfoRequest(digest=digest).SerializeToString()
    assert content_pb2.InfoResponse.FromString(writer.unary(INFO, info, of("export"))).info.size == len(large)
    assert writer.failed(f"{SERVICE}Status", status, of("export"))[0] == Code.NOT_FOUND


def test_a_blob_of_any_kind_comes_without_being_announced(writer: Peer, written: Path) -> None:
    empty = Writing(writer, "empty")
    assert empty.step(COMMIT).digest == digest_of(b"")
    whole = Writing(writer, "whole")
    assert whole.step(COMMIT, b"all at once").digest == digest_of(b"all at once")
    again = Writing(writer, "again")
    again.step(WRITE, b"wrong")
    again.step(WRITE, b"right")  # at 0, so what was there is dropped
    assert again.step(COMMIT, offset=5).digest == digest_of(b"right")
    data = b"of another algorithm"
    other = "sha512:" + hashlib.sha512(data).hexdigest()
    assert Writing(writer, "other", other).step(COMMIT, data).digest == other
    assert (written / "blobs" / "sha512" / other.partition(":")[2]).read_bytes() == data
    assert len(files_in(written)) == 4


def test_a_write_that_is_wrong_leaves_nothing(writer: Peer, written: Path) -> None:
    expected = digest_of(b"x")
    cases = (
        (Writing(writer, ""), {"action": STAT}, Code.INVALID_ARGUMENT, "begins with its ref"),
        (Writing(writer, "a", "sha256:../../x"), {"action": STAT}, Code.INVALID_ARGUMENT, "is not a digest"),
        (Writing(writer, "b", expected), {"action": COMMIT, "data": b"y"}, Code.FAILED_PRECONDITION, "b is sha256:"),
        (Writing(writer, "b", total=2), {"action": COMMIT, "data": b"x"}, Code.FAILED_PRECONDITION, "should have 2"),
        (Writing(writer, "c"), {"action": WRITE, "data": b"x", "offset": 4}, Code.OUT_OF_RANGE, "at 4, and c is at 0"),
    )
    for writing, step, code, message in cases:
        found = writing.failed(**step, expected=step.pop("expected", writing.first.expected))
        assert found[0] == code, found
        assert message in found[1]
    cut = Writing(writer, "cut")
    cut.step(WRITE, b"half")
    cut.call.close_send()
    assert cut.call.receive() is None
    gone = Writing(writer, "gone")
    gone.step(WRITE, b"half")
    gone.call.cancel()
    again = Writing(writer, "cut")  # the ref is free again
    assert again.step(COMMIT, b"whole").digest == digest_of(b"whole")
    writer.unary(f"{SERVICE}Abort", content_pb2.AbortRequest(ref="gone").SerializeToString(), of("export"))
    deadline = time.monotonic() + 5
    while files_in(written) != [blob_path(b"whole")] and time.monotonic() < deadline:
        time.sleep(0.01)  # the call that was cancelled ends in its own time
    assert files_in(written) == [blob_path(b"whole")]


def test_a_blob_that_is_there_is_not_written_again(writer: Peer, written: Path) -> None:
    digest = digest_of(b"x")
    early = Writing(writer, "early", digest)
    early.step(STAT)
    assert Writing(writer, "x").step(COMMIT, b"x").digest == digest
    assert Writing(writer, "late", digest).failed(action=STAT)[0] == Code.ALREADY_EXISTS
    assert early.failed(action=COMMIT, data=b"x", expected=digest)[0] == Code.ALREADY_EXISTS
    assert Writing(writer, "unsaid").failed(action=COMMIT, data=b"x")[0] == Code.ALREADY_EXISTS
    assert files_in(written) == [blob_path(b"x")]


def test_one_call_at_a_time_writes_a_ref(writer: Peer) -> None:
    first = Writing(writer, "x")
    first.step(WRITE, b"a")
    assert Writing(writer, "x").failed(action=STAT)[0] == Code.UNAVAILABLE  # the daemon tries this one again
    assert first.step(COMMIT, b"b", offset=1).digest == digest_of(b"ab")


def test_nothing_is_deleted_or_labelled(writer: Peer) -> None:
    for method in ("Delete", "Update"):
        code, message = writer.failed(SERVICE + method, WRITES[method], of("export"))
        assert code == Code.FAILED_PRECONDITION
        assert "keeps its blobs" in message


def test_a_layout_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with peer_of(Session([Content({"export": Ingest(Layout(tmp_path / "file"))})])) as peer:
        code, message = Writing(peer, "x").failed(action=STAT)
        assert code == Code.UNKNOWN
        assert message.startswith(f"cannot write to '{tmp_path}/file': ")


def annotated(layout: Layout) -> list[tuple[str, str, str]]:
    return [(entry.digest[-1], entry.tag, entry.name) for entry in layout.manifests()]


def test_an_image_is_put_into_the_index_as_gos_client_does(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.mark()
    one, two = ({"digest": f"sha256:{digit * 64}", "annotations": {"k": "v"}} for digit in "12")
    put_image(tmp_path, one, [])
    layout.check()
    assert json.loads((tmp_path / "index.json").read_text()) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{**one, "annotations": {"k": "v", "org.opencontainers.image.ref.name": "latest"}}],
    }
    pinned = "h.io:5000/b@sha256:" + "3" * 64
    put_image(tmp_path, two, ["docker.io/library/a:1", "h.io:5000/b:2", pinned])
    put_image(tmp_path, two, [])
    put_image(tmp_path, one, ["h.io:5000/b:2"])
    assert annotated(layout) == [
        ("2", "1", "docker.io/library/a:1"),
        ("2", "@sha256:" + "3" * 64, pinned),
        ("2", "latest", ""),
        ("1", "2", "h.io:5000/b:2"),
    ]
    assert files_in(tmp_path) == ["index.json", "oci-layout"]


def test_nothing_is_collected_while_somebody_writes(tmp_path: Path) -> None:
    layout = layout_of(tmp_path / "made", b"stray")
    write_index(layout.path)
    (layout.path / "blobs/sha256/.tmp.left").write_bytes(b"half")
    other = Ingest(Layout(layout.path))
    with other.begin("ref", 0, "") as write:
        write.write(b"new")
        write.commit("")
        layout.collect()
    layout.collect()
    assert len(files_in(layout.path)) == 5  # the index may lead to the new blob in a moment
    other.release()
    other.release()
    layout.collect()
    assert sorted(files_in(layout.path)) == ["index.json", "oci-layout"]


def test_what_the_index_does_not_lead_to_is_collected(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, b"stray", b"{}", b"[1]")
    kept = add_index(tmp_path, add_image(tmp_path, {"a": b"a"}), add_image(tmp_path, {"b": b"b"}))
    before = set(layout.digests()) - {digest_of(stray) for stray in (b"stray", b"{}", b"[1]")}
    add_image(tmp_path, {"c": b"c"})
    write_index(tmp_path, tagged(kept, "1"), {"digest": ABSENT})
    layout.collect()
    assert set(layout.digests()) == before
    assert len(before) == 7
    layout.collect()
    assert set(layout.digests()) == before


def test_the_index_is_locked_while_it_is_written(tmp_path: Path) -> None:
    layout, count = layout_of(tmp_path / "a"), 20
    descriptor = {"digest": f"sha256:{'1' * 64}"}
    threads = [
        threading.Thread(target=put_image, args=(layout.path, descriptor, [f"h.io/x:{number}"]))
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(layout.manifests()) == count
    assert files_in(layout.path) == ["index.json", "oci-layout"]
