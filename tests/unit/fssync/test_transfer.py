"""Transfers: sender to receiver, ours to BuildKit's, BuildKit's to ours, and what must stop one."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyllb.rpc.status import RpcError
from pyllb.session.call import Call
from pyllb.session.fssync import folders, receiver
from pyllb.session.fssync.packet import (
    END_OF_STATS,
    FIN,
    PacketType,
    decode,
    encode_data_header,
    encode_error,
    encode_request,
    encode_stat,
)
from pyllb.session.fssync.receiver import receive
from pyllb.session.fssync.sender import CHUNK, send
from pyllb.session.fssync.stat import DEVICE, DIR, SETUID, SYMLINK, Stat
from pyllb.session.fssync.walk import Filter
from tests.unit.fssync.ends import PipeCall, in_thread, oracle_call, pair, transfer, unprivileged
from tests.unit.fssync.trees import grow, manifest, nasty


def sends(root: Path, **patterns: list[str]) -> Callable[[Call], None]:
    base = os.fsencode(root)
    return lambda call: send(call, base, Filter.parse(base, **patterns))


def receives(root: Path) -> Callable[[Call], None]:
    root.mkdir(exist_ok=True)
    return lambda call: receive(call, root)


def data(file_id: int, content: bytes) -> bytes:
    return encode_data_header(file_id, len(content)) + content


def received(root: Path, *stats: Stat, contents: Mapping[int, bytes] = MappingProxyType({})) -> None:
    """Receive from a sender that lists these entries and answers what it is asked for, in pieces as BuildKit's."""
    root.mkdir(exist_ok=True)
    ours, theirs = pair()
    theirs.send([*map(encode_stat, stats), END_OF_STATS])
    running = in_thread(lambda: receive(ours, root))
    while (requests := theirs.receive()) != [FIN]:
        for request in map(decode, requests or []):
            if request.type == PacketType.ERR:
                running.join()
            content = contents[request.id]
            theirs.send([data(request.id, content[at : at + 32768]) for at in range(0, len(content), 32768)])
            theirs.send([data(request.id, b"")])
    theirs.send([FIN])
    theirs.close()
    running.join()


def test_the_nasty_tree_arrives_equal(root: Path, tmp_path: Path) -> None:
    nasty(root)
    transfer(sends(root), receives(tmp_path / "out"))
    assert manifest(tmp_path / "out") == manifest(root)


def test_buildkit_receives_the_nasty_tree_from_us_equal(root: Path, tmp_path: Path) -> None:
    nasty(root)
    (tmp_path / "out").mkdir()
    with oracle_call("receive", tmp_path / "out") as call:
        sends(root)(call)
    assert manifest(tmp_path / "out") == manifest(root)


def test_we_receive_the_nasty_tree_from_buildkit_equal(root: Path, tmp_path: Path) -> None:
    nasty(root)
    with oracle_call("send", root) as call:
        receives(tmp_path / "out")(call)
    assert manifest(tmp_path / "out") == manifest(root)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30), again=st.integers(0, 1 << 30))
def test_any_tree_arrives_equal_and_over_any_other_tree(tmp_path: Path, seed: int, again: int) -> None:
    here = Path(tempfile.mkdtemp(dir=tmp_path))  # hypothesis runs all examples in one tmp_path
    first, second, out = here / "first", here / "second", here / "out"
    grow(first, seed)
    grow(second, again)
    transfer(sends(first), receives(out))
    assert manifest(out) == manifest(first)
    transfer(sends(second), receives(out))
    expected = manifest(second)
    after = manifest(out)
    # What the second tree has is there as it has it; a hard link may share its inode with what was there before.
    assert {path: after[path] for path in expected} == expected
    kept = after.keys() - expected.keys()
    assert all(path in manifest(first) for path in kept)


def test_a_filtered_tree_arrives_without_what_was_left_out(root: Path, tmp_path: Path) -> None:
    nasty(root)
    transfer(sends(root, exclude=["deep", "large", "zz-links/one", "*.txt"]), receives(tmp_path / "out"))
    there = manifest(root)
    left_out = {
        path for path in there if path.startswith((b"deep", b"large", b"zz-links/one")) or path.endswith(b".txt")
    }
    assert set(manifest(tmp_path / "out")) == set(there) - left_out
    assert (tmp_path / "out/zz-links/large").read_bytes() == (root / "large").read_bytes()


def test_files_are_not_asked_for_beyond_what_may_lie_in_memory(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "_MAX_ASKED", 1000)
    nasty(root)
    grow(root / "more", 7, size=300)
    transfer(sends(root), receives(tmp_path / "out"))
    assert manifest(tmp_path / "out") == manifest(root)


def test_more_directories_than_descriptors_are_kept_open_arrive(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MAX_OPEN", 3)
    nasty(root)
    grow(root / "more", 8, size=300)
    before = len(os.listdir("/proc/self/fd"))
    transfer(sends(root), receives(tmp_path / "out"))
    assert len(os.listdir("/proc/self/fd")) == before
    assert manifest(tmp_path / "out") == manifest(root)


def test_a_read_only_directory_is_filled_without_roots_rights(public: Path) -> None:
    stats = [Stat(b"d", DIR | 0o555, mtime=5), Stat(b"d/e", DIR | 0o111, mtime=6), Stat(b"d/e/f", 0o444, 3, mtime=7)]
    with unprivileged():
        for _ in range(2):  # the second time over what is read-only already
            received(public / "out", *stats, contents={2: b"abc"})
    (public / "out/d/e").chmod(0o755)
    assert (public / "out/d/e/f").read_bytes() == b"abc"
    assert stat.S_IMODE((public / "out/d").stat().st_mode) == 0o555
    assert (public / "out/d").stat().st_mtime_ns == 5


def test_setuid_survives_without_roots_rights(public: Path) -> None:
    program = Stat(b"p", SETUID | 0o755, 3)
    with unprivileged():
        received(public / "out", program, contents={0: b"abc"})
    found = (public / "out/p").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o4755, 65534 if os.geteuid() == 0 else os.geteuid())


def test_our_own_group_is_set_in_a_directory_that_hands_on_its_own(root: Path) -> None:
    root.mkdir()
    os.chown(root, 0, 1234)
    root.chmod(0o2775)
    entries = [Stat(b"d", DIR | 0o755), Stat(b"f", 0o644), Stat(b"l", SYMLINK | 0o777, linkname=b"f")]
    received(root, *entries)
    assert {os.lstat(root / name).st_gid for name in ("d", "f", "l")} == {os.getgid()}


# Type changes and what is there already


@pytest.mark.parametrize("old", ["file", "directory", "link", "link to a directory", "fifo"])
@pytest.mark.parametrize("new", ["file", "large file", "directory", "link", "fifo", "hard link"])
def test_whatever_is_there_gives_way_to_what_arrives(root: Path, old: str, new: str) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    out = root
    out.mkdir()
    if old == "file":
        (out / "x").write_text("old")
    elif old == "directory":
        (out / "x/y").mkdir(parents=True)
        (out / "x/y/z").write_text("old")
    elif old == "fifo":
        os.mkfifo(out / "x")
    else:
        (out / "x").symlink_to(outside if "directory" in old else outside / "kept")
    content = b"n" * (700_000 if new == "large file" else 3)
    entry = {
        "directory": Stat(b"x", DIR | 0o750),
        "link": Stat(b"x", SYMLINK | 0o777, linkname=b"new"),
        "fifo": Stat(b"x", 1 << 25 | 0o600),
        "hard link": Stat(b"x", 0o640, 3, linkname=b"a"),
    }.get(new, Stat(b"x", 0o640, len(content)))
    stats = [Stat(b"a", 0o640, 3), entry, *([Stat(b"x/in", 0o600)] if new == "directory" else [])]
    received(out, *stats, contents={0: b"abc", 1: content})
    got = os.lstat(out / "x")
    assert stat.filemode(got.st_mode) == {
        "directory": "drwxr-x---",
        "link": "lrwxrwxrwx",
        "fifo": "prw-------",
    }.get(new, "-rw-r-----")
    if new == "hard link":
        assert got.st_ino == os.lstat(out / "a").st_ino
    elif "file" in new:
        assert (out / "x").read_bytes() == content
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_text() == "kept"
    assert not [name for name in os.listdir(out) if name.startswith(".tmp")]


def test_what_is_not_sent_stays_and_a_directory_gets_its_mode_and_time(root: Path) -> None:
    (root / "d").mkdir(parents=True)
    (root / "d/stays").write_text("mine")
    received(root, Stat(b"d", DIR | 0o700, mtime=-5), Stat(b"d/new", 0o600))
    assert sorted(os.listdir(root / "d")) == ["new", "stays"]
    assert ((root / "d").stat().st_mtime_ns, stat.S_IMODE((root / "d").stat().st_mode)) == (-5, 0o700)


def test_a_file_that_is_replaced_is_seen_whole_or_as_it_was(root: Path) -> None:
    root.mkdir()
    (root / "f").write_text("old")
    ours, theirs = pair()
    running = in_thread(lambda: receive(ours, root))
    theirs.send([encode_stat(Stat(b"f", 0o600, 600_000)), END_OF_STATS])
    assert theirs.receive() == [encode_request(0)]
    theirs.send([data(0, b"n" * 300_000)])
    _wait_for(lambda: len(os.listdir(root)) == 2)  # its first half is on disk, under another name
    assert (root / "f").read_text() == "old"
    theirs.send([data(0, b"m" * 300_000), data(0, b"")])
    assert theirs.receive() == [FIN]
    theirs.send([FIN])
    theirs.close()
    running.join()
    assert (root / "f").read_bytes() == b"n" * 300_000 + b"m" * 300_000


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# Attacks and faults


def test_a_link_that_was_sent_is_not_followed_on_the_way_to_a_file(root: Path) -> None:
    root.mkdir()
    (root / "d").symlink_to("..")
    received(root, Stat(b"d", DIR | 0o755), Stat(b"d/f", 0o600))
    assert (root / "d").is_dir()
    assert not (root / "d").is_symlink()
    assert not (root.parent / "f").exists()
    link, below = Stat(b"e", SYMLINK | 0o777, linkname=b".."), Stat(b"e/f", 0o600)
    with pytest.raises(RpcError, match="out of order"):
        received(root, link, below)
    assert not (root.parent / "f").exists()


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([encode_stat(Stat(b"../f", 0o600))], "unclean path|out of order"),
        ([encode_stat(Stat(b"/f", 0o600))], "unclean path"),
        ([encode_stat(Stat(b"f", 0o600, linkname=b"/etc/passwd"))], "invalid link to unknown path: 'f'"),
        ([data(7, b"x")], "invalid file request 7"),
        ([encode_error("no such thing")], "error from sender: no such thing"),
        ([encode_request(0)], "does not send packets of type 1"),
        ([b"\xff\xff"], "not a packet"),
        ([encode_stat(Stat(b"f", 0o600, 5)), END_OF_STATS, FIN], "does not send packets of type 3"),
    ],
)
def test_a_sender_that_breaks_the_protocol_is_told_so(root: Path, messages: list[bytes], expected: str) -> None:
    root.mkdir()
    ours, theirs = pair()
    theirs.send(messages)
    with pytest.raises(RpcError, match=expected) as caught:
        receive(ours, root)
    assert ours.sent[-1] == encode_error(caught.value.message)


def test_a_transfer_that_is_cut_off_leaves_no_half_file(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    ours, theirs = pair()
    theirs.send([encode_stat(Stat(b"f", 0o600, 600_000)), END_OF_STATS])
    root.mkdir()
    running = in_thread(lambda: receive(ours, root))
    theirs.receive()
    theirs.send([data(0, b"n" * 300_000)])
    theirs.close()
    with pytest.raises(RpcError, match="before it was complete"):
        running.join()
    assert os.listdir(root) == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_disk_that_cannot_be_written_is_an_error_that_the_sender_hears(root: Path, public: Path) -> None:
    nasty(root)
    (public / "out").mkdir()
    (public / "out").chmod(0o555)
    ours, theirs = pair()
    theirs.send([encode_stat(Stat(b"a", DIR | 0o755)), END_OF_STATS])
    with unprivileged(), pytest.raises(RpcError, match=r"cannot write 'a' in .*/out': Permission denied") as caught:
        receive(ours, public / "out")
    assert ours.sent == [encode_error(caught.value.message)]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([encode_request(99)], "invalid file id 99"),
        ([encode_request(0)], "invalid file id 0"),  # a directory
        ([encode_request(1), encode_request(1)], "invalid file id 1"),
        ([encode_error("disk full")], "error from receiver: disk full"),
        ([data(1, b"x")], "does not send packets of type 2"),
        ([], "before it was complete"),
    ],
)
def test_a_receiver_that_breaks_the_protocol_ends_the_transfer(
    root: Path, messages: list[bytes], expected: str
) -> None:
    (root / "d").mkdir(parents=True)
    (root / "d/f").write_text("x")
    ours, theirs = pair()
    theirs.send(messages)
    theirs.close()
    with pytest.raises(RpcError, match=expected):
        sends(root)(ours)


def test_what_changes_after_the_walk_is_sent_as_it_is_then(root: Path) -> None:
    root.mkdir()
    for name in ("gone", "grown", "shrunk", "linked", "fifo"):
        (root / name).write_bytes(b"12345")
    ours, theirs = pair()
    running = in_thread(lambda: sends(root)(ours))
    listed = [*_until(theirs, END_OF_STATS)]
    assert len(listed) == 6
    (root / "gone").unlink()
    (root / "grown").write_bytes(b"1" * 600_000)
    (root / "shrunk").write_bytes(b"")
    (root / "linked").unlink()
    (root / "linked").symlink_to("/etc/hostname")
    (root / "fifo").unlink()
    os.mkfifo(root / "fifo")
    theirs.send([*map(encode_request, range(5)), FIN])
    answer = b"".join(message for message in _until(theirs, FIN) if message != FIN)
    running.join()
    empty = [encode_data_header(number, 0) for number in range(5)]
    sizes = (6, CHUNK, CHUNK, 600_000 - 6 - 2 * CHUNK)
    grown = b"".join(data(2, b"1" * size) for size in sizes)
    assert answer == empty[0] + empty[1] + grown + empty[2] + empty[3] + empty[4]


def _until(call: PipeCall, last: bytes) -> list[bytes]:
    messages: list[bytes] = []
    while not messages or messages[-1] != last:
        messages += call.receive() or []
    return messages


def test_a_file_that_may_not_be_read_fails_the_transfer_and_is_named(public: Path) -> None:
    (public / "in").mkdir()
    (public / "in/closed").write_text("x")
    (public / "in/closed").chmod(0)
    with unprivileged(), pytest.raises(RpcError, match=r"error from sender: cannot read .*/closed': Permission denied"):
        transfer(sends(public / "in"), receives(public / "out"))


def test_a_device_without_the_right_to_make_one_is_an_error(public: Path) -> None:
    device = Stat(b"null", DEVICE | 0o666, devmajor=1, devminor=3)
    with unprivileged(), pytest.raises(RpcError, match="Operation not permitted"):
        received(public / "out", device)
