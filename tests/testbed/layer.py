"""A layer: a tar of what an image adds to the one below it, compressed, with its two digests."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.debian import EPOCH

# Device nodes and the like are the container runtime's to make, never an image's.
_KEPT = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)


@dataclass(frozen=True)
class Layer:
    """path: the gzipped tar. digest, size: of that. diff_id: the digest of the tar itself."""

    path: Path
    digest: str
    size: int
    diff_id: str


class _Counted(io.RawIOBase):
    """A file to write to that digests what passes through."""

    def __init__(self, under: io.BufferedIOBase | gzip.GzipFile) -> None:
        self.sha256 = hashlib.sha256()
        self.under = under

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # tarfile hands over bytes alone
        self.sha256.update(data)
        self.under.write(data)
        return len(data)


class Writer:
    """A layer being written: a context manager whose tar takes entries; layer is there after the block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._packed = _Counted(self._file)
        # Level 1: the layers never leave the machine, and time matters more than size.
        self._gzip = gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=self._packed, mtime=0)
        self._plain = _Counted(self._gzip)
        self.tar = tarfile.open(fileobj=self._plain, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20)  # noqa: SIM115  # closed by close()
        self._layer: Layer | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.tar.close()
        self._gzip.close()
        self._file.close()
        self._layer = Layer(self.path, _named(self._packed), self.path.stat().st_size, _named(self._plain))

    @property
    def layer(self) -> Layer:
        """The finished layer."""
        if self._layer is None:
            raise RuntimeError("the layer is read before its block has ended")
        return self._layer


def difference(whole: Path, target: Path, *, below: Path | None = None) -> Layer:
    """What the root filesystem in the tar `whole` has beyond the one in the tar `below`; all of it when that is None.

    A file that only `below` has becomes a whiteout, as the OCI image layer specification has it.
    """
    known = _marks(below) if below else {}
    seen = set()
    with Writer(target) as writer, tarfile.open(whole) as source:
        for entry, mark in _entries(source):
            seen.add(entry.name)
            if known.get(entry.name) != mark:
                writer.tar.addfile(entry, source.extractfile(entry) if entry.isreg() else None)
        gone = known.keys() - seen
        for parent, _, name in (path.rpartition("/") for path in sorted(gone)):
            if parent not in gone:  # its whiteout stands for all below it
                writer.tar.addfile(tarfile.TarInfo(f"{parent}/.wh.{name}" if parent else f".wh.{name}"))
    return writer.layer


def of_tree(tree: Path, at: str, target: Path, *, leave_out: frozenset[str], shared: Sequence[str] = ()) -> Layer:
    """A directory of this machine as a layer, owned by root, links followed.

    at: where it stands in the image. leave_out: names directly below it that stay out. shared: further, empty
    directories that everybody may write to.
    """
    with Writer(target) as writer:
        for name in shared:
            add_directory(writer, name, 0o1777)
        for top, directories, files in os.walk(tree, followlinks=True):
            relative = os.path.relpath(top, tree)
            directories[:] = sorted(d for d in directories if relative != "." or d not in leave_out)
            prefix = at if relative == "." else f"{at}/{relative}"
            writer.tar.addfile(_owned(os.stat(top), prefix, tarfile.DIRTYPE))
            for name in sorted(files):
                with open(os.path.join(top, name), "rb") as stream:
                    status = os.fstat(stream.fileno())
                    writer.tar.addfile(_owned(status, f"{prefix}/{name}", tarfile.REGTYPE), stream)
    return writer.layer


def add(writer: Writer, name: str, content: bytes, mode: int = 0o644) -> None:
    """A file with content."""
    entry = _entry(name, tarfile.REGTYPE, mode)
    entry.size = len(content)
    writer.tar.addfile(entry, io.BytesIO(content))


def add_directory(writer: Writer, name: str, mode: int = 0o755) -> None:
    """An empty directory."""
    writer.tar.addfile(_entry(name, tarfile.DIRTYPE, mode))


def add_link(writer: Writer, name: str, to: str) -> None:
    """A symbolic link."""
    entry = _entry(name, tarfile.SYMTYPE, 0o777)
    entry.linkname = to
    writer.tar.addfile(entry)


def _entries(source: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, tuple[object, ...]]]:
    """The entries worth keeping, named as layers name them, each with what tells it from another of its name."""
    for entry in source:
        entry.name = entry.name.removeprefix("./")
        if entry.type not in _KEPT or entry.name in ("", "."):
            continue
        if entry.islnk():
            entry.linkname = entry.linkname.removeprefix("./")
        content = b""
        if entry.isreg() and (stream := source.extractfile(entry)):
            content = hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]  # a TarFile's stream is a buffered reader
        yield entry, (entry.type, entry.mode, entry.uid, entry.gid, entry.linkname, entry.size, content)


def _marks(tar: Path) -> dict[str, tuple[object, ...]]:
    with tarfile.open(tar) as source:
        return {entry.name: mark for entry, mark in _entries(source)}


def _owned(status: os.stat_result, name: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name.lstrip("/"))
    entry.type, entry.mode, entry.mtime = kind, status.st_mode & 0o7777, int(status.st_mtime)
    entry.size = status.st_size if kind == tarfile.REGTYPE else 0
    return entry


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name.strip("/"))
    entry.type, entry.mode, entry.mtime = kind, mode, EPOCH
    return entry


def _named(stream: _Counted) -> str:
    return f"sha256:{stream.sha256.hexdigest()}"
