"""Hostile trees: what changes while it is read, what is deeper or larger than usual, and descriptors that run out."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyllb.rpc.status import RpcError
from pyllb.session.fssync.packet import END_OF_STATS, FIN, decode, encode_data_header, encode_request, encode_stat
from pyllb.session.fssync.receiver import receive
from pyllb.session.fssync.sender import CHUNK, send
from pyllb.session.fssync.stat import DIR, Stat
from pyllb.session.fssync.walk import Filter, walk
from tests.unit.fssync.ends import PipeCall, in_thread, pair, transfer
from tests.unit.fssync.trees import manifest


@contextlib.contextmanager
def few_descriptors(spare: int) -> Iterator[None]:
    """With `spare` descriptors to open beside those that are open now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What no transfer may show: a directory beside the root."""
    path = tmp_path / "outside"
    (path / "below").mkdir(parents=True)
    (path / "secret").write_text("secret")
    (path / "below/secret").write_text("secret")
    return path


def until(call: PipeCall, last: bytes) -> list[bytes]:
    messages: list[bytes] = []
    while not messages or messages[-1] != last:
        messages += call.receive() or []
    return messages


# What is replaced while it is read


@pytest.mark.parametrize("replaced", ["a", "a/below"])
def test_a_directory_that_becomes_a_link_during_the_walk_does_not_lead_out(
    root: Path, outside: Path, replaced: str
) -> None:
    (root / "a/below/deeper").mkdir(parents=True)
    (root / "a/below/deeper/f").write_text("x")
    (root / "a/also").write_text("x")
    seen: list[bytes] = []
    for entry in walk(os.fsencode(root)):
        seen.append(entry.path)
        if entry.path == os.fsencode(replaced):
            (root / replaced).rename(root.parent / "moved")
            (root / replaced).symlink_to(outside if replaced == "a" else outside / "below")
    assert not [path for path in seen if b"secret" in path]


@pytest.mark.parametrize("folder", ["a", "a/below"])
def test_a_file_is_not_read_through_a_link_that_its_directory_became(root: Path, outside: Path, folder: str) -> None:
    (root / "a/below").mkdir(parents=True)
    (root / "a/below/secret").write_text("mine")
    ours, theirs = pair()
    running = in_thread(lambda: send(ours, os.fsencode(root)))
    assert len(until(theirs, END_OF_STATS)) == 4
    (root / folder).rename(root.parent / "moved")
    (root / folder).symlink_to(outside if folder == "a" else outside / "below")
    theirs.send([encode_request(2), FIN])
    answer = until(theirs, FIN)
    running.join()
    assert answer == [encode_data_header(2, 0), FIN]


def test_a_file_that_grows_as_fast_as_it_is_read_ends(root: Path) -> None:
    root.mkdir()
    path = root / "log"
    path.write_bytes(b"x" * CHUNK)

    class Growing(PipeCall):
        def send(self, messages: object) -> None:
            with path.open("ab") as file:
                file.write(b"y" * CHUNK)
            super().send(messages)  # type: ignore[arg-type]  # bytes as the daemon may send them
            assert len(self.sent) < 50, "it never ends"

    ours, theirs = pair()
    growing = Growing(ours._incoming, ours._outgoing)
    theirs.send([encode_request(0), FIN])
    send(growing, os.fsencode(root))
    assert growing.sent[-1] == FIN


def test_a_walk_that_is_given_up_leaves_nothing_open(root: Path) -> None:
    (root / "a/b/c").mkdir(parents=True)
    (root / "a/b/c/d").write_text("x")
    before = len(os.listdir("/proc/self/fd"))
    entries = walk(os.fsencode(root))
    for _ in range(4):
        next(entries)
    entries.close()
    assert len(os.listdir("/proc/self/fd")) == before


# Deep and wide


def deep(root: Path, name: bytes, levels: int) -> None:
    """Directories in each other, also below what a path may have: made step by step."""
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open(b"leaf", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=fd))
    os.setxattr(fd, "user.note", b"at the bottom")
    os.close(fd)


def remove(*trees: Path) -> None:
    """Python's own rmtree recurses."""
    subprocess.run(["rm", "-rf", "--", *map(os.fspath, trees)], check=True)


@pytest.mark.parametrize("name", [b"d", b"directory"])
def test_two_thousand_directories_in_each_other_arrive_with_few_descriptors(
    root: Path, tmp_path: Path, name: bytes
) -> None:
    deep(root, name, 2000)
    (tmp_path / "out").mkdir()
    try:
        with few_descriptors(400):
            ours, _ = transfer(lambda call: send(call, os.fsencode(root)), lambda call: receive(call, tmp_path / "out"))
            again, _ = transfer(
                lambda call: send(call, os.fsencode(tmp_path / "out")), lambda call: receive(call, tmp_path / "out")
            )
        stats = [packet.stat for packet in map(decode, ours.sent) if packet.stat is not None]
        assert len(stats) == 2001
        assert stats[-2].xattrs == {b"user.note": b"at the bottom"}
        assert [message for message in again.sent if message != FIN] == [m for m in ours.sent if m != FIN]
    finally:
        remove(root, tmp_path / "out")


def test_a_deep_tree_that_is_moved_while_it_is_walked_is_an_error(root: Path) -> None:
    deep(root, b"d", 300)
    entries = walk(os.fsencode(root))
    for entry in entries:
        if entry.path.endswith(b"leaf"):
            root.joinpath(*["d"] * 100).rename(root.parent / "moved")
            break
    with pytest.raises(OSError, match="was moved"):
        next(entries)


def test_a_hundred_thousand_files_in_one_directory_are_listed_in_order(root: Path) -> None:
    root.mkdir()
    names = [b"%x" % (number * 7919) for number in range(100_000)]
    for name in names:
        os.mknod(os.fsencode(root) + b"/" + name)
    listed = [entry.path for entry in walk(os.fsencode(root), Filter.parse(b"", exclude=["*.o", "!x.o"]))]
    assert listed == sorted(names)


def test_a_file_of_more_than_four_gib_has_its_size(root: Path) -> None:
    root.mkdir()
    with open(root / "sparse", "wb") as file:
        file.truncate(5 << 30)
    (entry,) = walk(os.fsencode(root))
    assert (entry.size, decode(encode_stat(entry)).stat) == (5 << 30, entry)


# What the destination does


@pytest.mark.parametrize("size", [3000, 400_000])
def test_a_disk_that_is_full_is_an_error_and_leaves_no_half_file(root: Path, size: int) -> None:
    root.mkdir()
    ours, theirs = pair()
    running = in_thread(lambda: receive(ours, root))
    theirs.send([encode_stat(Stat(b"f", 0o600, size)), END_OF_STATS])
    assert theirs.receive() == [encode_request(0)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on sizes ends a write as a full disk does, part of it done.
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - 50, hard))
    try:
        theirs.send([encode_data_header(0, size) + b"x" * size, encode_data_header(0, 0)])
        with pytest.raises(RpcError, match=r"cannot write '.*': File too large"):
            running.join()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(root) == []


def test_a_directory_vanishing_under_the_receiver_is_an_error_that_names_it(root: Path) -> None:
    root.mkdir()
    ours, theirs = pair()
    running = in_thread(lambda: receive(ours, root))
    theirs.send([encode_stat(Stat(b"d", DIR | 0o755)), encode_stat(Stat(b"d/f", 0o600, 3)), END_OF_STATS])
    assert theirs.receive() == [encode_request(1)]
    (root / "d").rmdir()
    theirs.send([encode_data_header(1, 3) + b"abc", encode_data_header(1, 0)])
    with pytest.raises(RpcError, match=r"cannot write '.*' in .*: No such file"):
        running.join()
    assert manifest(root) == {}
