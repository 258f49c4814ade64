"""Manifest: a tree as lines of path, kind, mode, owner, link, time and content. Runs alone, also inside a step."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys


def entry(path: bytes, root: bytes, first: dict[int, str]) -> list[object]:
    """One path's row. Hard links name the first path of their inode, in walk order."""
    status = os.lstat(path)
    name = os.path.relpath(path, root).decode("utf-8", "surrogateescape")
    link, content = "", ""
    if stat.S_ISLNK(status.st_mode):
        link = os.readlink(path).decode("utf-8", "surrogateescape")
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            content = hashlib.sha256(file.read()).hexdigest()
        if status.st_nlink > 1:
            link = first.setdefault(status.st_ino, name)
    names = os.listxattr(path, follow_symlinks=False)
    attributes = {attribute: os.getxattr(path, attribute, follow_symlinks=False).hex() for attribute in sorted(names)}
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    owner = [status.st_uid, status.st_gid]
    return [name, oct(status.st_mode), owner, link, status.st_mtime_ns, size, content, attributes]


def manifest(root: str) -> list[list[object]]:
    """Every path below root, not root itself, sorted by its bytes."""
    start = os.fsencode(root)
    paths, first = [], dict[int, str]()
    for folder, folders, files in os.walk(start):
        paths += [os.path.join(folder, name) for name in folders + files]
    return [entry(path, start, first) for path in sorted(paths)]


if __name__ == "__main__":
    json.dump(manifest(sys.argv[1]), sys.stdout)
