"""Layout: an OCI image layout, which is a directory of blobs by digest with an index of the images among them.

Mirrors the image layout of OCI's image-spec 1.1.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import attrs

from pyllb.errors import UsageError
from pyllb.session.digest import is_digest
from pyllb.session.index import INDEX, Manifest, read_index
from pyllb.session.replacing import TEMPORARY
from pyllb.value import Value

_MARK = "oci-layout"
_BLOBS = "blobs"
_SHOWN = 5
_MAX_MANIFEST = 32 << 20  # more than a registry takes


@attrs.frozen(eq=False, repr=False)
class Layout(Value):
    """An OCI image layout in a directory, which is read anew at each call."""

    path: Path = attrs.field(converter=Path)

    def check(self) -> None:
        """Raises UsageError when the directory is no layout, or its index cannot be read."""
        if not self.path.is_dir():
            what = "is a file; unpack it, and name the directory" if self.path.exists() else "does not exist"
            raise UsageError(f"{str(self.path)!r} {what}")
        for name in (_MARK, INDEX):
            if not (self.path / name).is_file():
                raise UsageError(f"{str(self.path)!r} is not an OCI layout: it has no file {name!r}")
        self.manifests()

    def manifests(self) -> tuple[Manifest, ...]:
        """The index, in its order. Raises UsageError when there is none to read."""
        return read_index(self.path)

    def mark(self) -> None:
        """Make the directory, and put the file in that says it is a layout. Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / _MARK).exists():
            (self.path / _MARK).write_text('{"imageLayoutVersion":"1.0.0"}')

    def find(self, names: Iterable[str], tag: str) -> str:
        """The digest of an image: of the one entry with a name of names, else of the one with the tag.

        Raises UsageError when there is none, or several.
        """
        entries, wanted = self.manifests(), set(names)
        named = {entry.digest for entry in entries if entry.name in wanted or entry.tag in wanted}
        found = named or {entry.digest for entry in entries if entry.tag == tag}
        if len(found) == 1:
            return found.pop()
        what = "has several images" if found else "has no image"
        shown = ", ".join(repr(entry.shown) for entry in entries[:_SHOWN])
        rest = len(entries) - _SHOWN
        has = f"there is {shown}{f' and {rest} more' if rest > 0 else ''}" if entries else "its index is empty"
        raise UsageError(f"the OCI layout {str(self.path)!r} {what} of the tag {tag!r}; {has}")

    def hold(self) -> int:
        """Keep collect() from the blobs until the descriptor that is returned is closed. Raises OSError.

        It waits while one goes on, which removes a few files.
        """
        blobs = self.path / _BLOBS
        blobs.mkdir(parents=True, exist_ok=True)
        fd = os.open(blobs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_SH)
        return fd

    def collect(self) -> None:
        """Remove every blob that no entry of the index leads to, and what writes that were killed have left.

        Nothing while somebody holds the layout: blobs come before the index that leads to them. Raises OSError,
        UsageError.
        """
        fd = os.open(self.path / _BLOBS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._collect()
        finally:
            os.close(fd)

    def _collect(self) -> None:
        reached: set[str] = set()
        waiting = [entry.digest for entry in self.manifests()]
        while waiting:
            if (digest := waiting.pop()) not in reached:
                reached.add(digest)
                waiting += self._leads_to(digest)
        for digest in list(self.digests()):
            if digest not in reached:
                self.blob(digest).unlink(missing_ok=True)
        for left in self.path.glob(f"{_BLOBS}/*/{TEMPORARY}*"):
            left.unlink(missing_ok=True)

    def _leads_to(self, digest: str) -> list[str]:
        """The blobs that a manifest or an index speaks of; none of what is neither."""
        path = self.blob(digest)
        if not self.has(digest) or path.stat().st_size > _MAX_MANIFEST:
            return []
        try:
            found = json.loads(path.read_bytes())
        except ValueError:
            return []
        if not isinstance(found, dict):
            return []
        listed = [*(found.get("manifests") or ()), *(found.get("layers") or ()), found.get("config")]
        digests = (entry.get("digest") for entry in listed if isinstance(entry, dict))
        return [digest for digest in digests if isinstance(digest, str) and is_digest(digest)]

    def blob(self, digest: str) -> Path:
        """Where a blob is, whether or not it is there. digest: one that is_digest() knows."""
        algorithm, _, encoded = digest.partition(":")
        return self.path / _BLOBS / algorithm / encoded

    def has(self, digest: str) -> bool:
        """Whether the blob is there."""
        return is_digest(digest) and self.blob(digest).is_file()

    def open(self, digest: str) -> int:
        """A descriptor of the blob. Raises FileNotFoundError when it is not there as a file, OSError else.

        A link is followed: tools that make layouts of what they have already put links in them.
        """
        fd = os.open(self.blob(digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise FileNotFoundError
        return fd

    def digests(self) -> Iterable[str]:
        """Every blob, by algorithm and digest. Raises OSError."""
        blobs = self.path / _BLOBS
        for algorithm in sorted(os.listdir(blobs)) if blobs.is_dir() else ():
            names = sorted(os.listdir(blobs / algorithm)) if (blobs / algorithm).is_dir() else ()
            yield from (digest for name in names if self.has(digest := f"{algorithm}:{name}"))
