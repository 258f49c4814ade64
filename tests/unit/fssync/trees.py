"""Trees: directory trees for tests, and what they hold, as values to compare."""

from __future__ import annotations

import hashlib
import os
import random
import stat
import subprocess
from pathlib import Path

import attrs


@attrs.frozen
class Entry:
    """What a transfer must keep of one path. link: a symlink's text, or the first path of the same inode."""

    mode: str
    mtime: int
    link: bytes = b""
    size: int = 0
    digest: str = ""
    device: int = 0
    xattrs: tuple[tuple[str, bytes], ...] = ()


def manifest(root: Path, *, times: bool = True) -> dict[bytes, Entry]:
    """Every path below root."""
    inodes: dict[int, bytes] = {}
    entries: dict[bytes, Entry] = {}
    for folder, names, files in os.walk(os.fsencode(root)):
        names.sort()
        for name in sorted(names + files):
            full = os.path.join(folder, name)
            path = os.path.relpath(full, os.fsencode(root))
            entries[path] = _entry(full, path, inodes, times)
    return dict(sorted(entries.items()))


def _entry(full: bytes, path: bytes, inodes: dict[int, bytes], times: bool) -> Entry:
    info = os.lstat(full)
    mode, link = info.st_mode, b""
    if stat.S_ISLNK(mode):
        link = os.readlink(full)
    elif stat.S_ISREG(mode) and info.st_nlink > 1:
        link = inodes.setdefault(info.st_ino, path)
    return Entry(
        mode=stat.filemode(mode),
        mtime=info.st_mtime_ns if times else 0,
        link=link,
        size=0 if stat.S_ISDIR(mode) else info.st_size,
        digest=hashlib.sha256(Path(os.fsdecode(full)).read_bytes()).hexdigest() if stat.S_ISREG(mode) else "",
        device=info.st_rdev if stat.S_ISBLK(mode) or stat.S_ISCHR(mode) else 0,
        xattrs=tuple(sorted((name, os.getxattr(full, name, follow_symlinks=False)) for name in _xattrs(full))),
    )


def _xattrs(full: bytes) -> list[str]:
    return [] if os.path.islink(full) else os.listxattr(full, follow_symlinks=False)


def nasty(root: Path) -> None:
    """A tree with one of everything that transfers get wrong. Needs root for the device."""
    root.mkdir()
    base = os.fsencode(root)
    (root / "a").mkdir()
    (root / "a/file").write_bytes(b"content")
    (root / "a-b").write_bytes(b"sorts between a and a/file as text")
    (root / "a.txt").write_bytes(b"")
    (root / "empty").mkdir()
    (root / "exact").write_bytes(os.urandom(256 * 1024))
    (root / "large").write_bytes(os.urandom(3 * 1024 * 1024 + 17))
    (root / "über-名前").write_bytes("naïve".encode())
    with open(base + b"/not-\xff\xfe-utf8", "wb") as file:
        file.write(b"latin")
    with open(base + b"/new\nline", "wb") as file:
        file.write(b"line")
    with open(root / "sparse", "wb") as file:
        file.truncate(1024 * 1024)
        file.seek(512 * 1024)
        file.write(b"island")
    for name, target in (("dangling", "nowhere"), ("absolute", "/etc/hostname"), ("loop", "loop"), ("up", "../..")):
        (root / name).symlink_to(target)
    (root / "dirlink").symlink_to("a")
    os.symlink(b"\xff\xfe", base + b"/bytelink")
    (root / "zz-links").mkdir()
    os.link(root / "a/file", root / "zz-links/one")
    os.link(root / "a/file", root / "zz-links/two")
    os.link(root / "large", root / "zz-links/large")
    os.mkfifo(root / "fifo", 0o640)
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "disk", stat.S_IFBLK | 0o660, os.makedev(259, 70000))
    (root / "setuid").write_bytes(b"#!/bin/sh\n")
    (root / "setuid").chmod(0o6755)
    (root / "sticky").mkdir()
    (root / "sticky").chmod(0o1777)
    (root / "unreadable").write_bytes(b"x")
    (root / "unreadable").chmod(0)
    (root / "readonly").mkdir()
    (root / "readonly/inner").mkdir()
    (root / "readonly/inner/file").write_bytes(b"deep")
    (root / "readonly/inner").chmod(0o555)
    (root / "readonly").chmod(0o555)
    os.setxattr(root / "a/file", "user.note", b"bytes \x00\xff")
    os.setxattr(root / "empty", "user.kind", b"")
    os.utime(root / "a-b", ns=(0, -123_456_789_012_345_678))
    os.utime(root / "a.txt", ns=(0, -1))
    os.utime(root / "dangling", ns=(0, 1_000_000_001), follow_symlinks=False)
    os.utime(root / "exact", ns=(0, 4_102_444_800_123_456_789))
    os.utime(root / "empty", ns=(0, 0))
    deep = root.joinpath(*("deep",) * 60)
    deep.mkdir(parents=True)
    (deep / "leaf").write_bytes(b"leaf")


def grow(root: Path, seed: int, *, size: int = 40) -> None:
    """A random tree whose names meet often, so that patterns, links and order have something to do."""
    choose = random.Random(seed)
    root.mkdir(exist_ok=True)
    folders, files = [root], [root / "first"]
    files[0].write_bytes(b"first")
    names = ("a", "b", "a-b", "a.txt", "b.go", "ab", "é", "docs", "foo", "bar", ".hidden", "A", "a b", "c[d]")
    for _ in range(size):
        path = choose.choice(folders) / choose.choice(names)
        if os.path.lexists(path):
            continue
        kind = choose.random()
        if kind < 0.35 and len(path.relative_to(root).parts) < 5:
            path.mkdir(mode=choose.choice((0o755, 0o700, 0o777)))
            folders.append(path)
        elif kind < 0.5:
            up = "../" * choose.randrange(3)
            path.symlink_to(choose.choice(("/", "", "", up)) + "/".join(choose.choices(names, k=choose.randint(1, 3))))
        elif kind < 0.6:
            os.link(choose.choice(files), path)
        else:
            path.write_bytes(choose.randbytes(choose.choice((0, 1, 5, 100, 5000))))
            path.chmod(choose.choice((0o644, 0o600, 0o4755, 0o444)))
            os.utime(path, ns=(0, choose.randrange(-(10**18), 2 * 10**18)))
            files.append(path)


def writable_again(root: Path) -> None:
    """Let a test's directory be removed."""
    subprocess.run(["chmod", "-R", "u+rwx", "--", os.fspath(root)], check=False, capture_output=True)
