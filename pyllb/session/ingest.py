"""Ingest: blobs that the daemon writes into an OCI layout of this side.

Mirrors the writing half of containerd's local content store and of its content service, as BuildKit 0.33.1 uses them.
A write that does not come to its commit leaves nothing; one that is begun again begins at 0.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from pyllb.rpc.status import Code, RpcError
from pyllb.session.digest import is_digest
from pyllb.session.fssync.disk import write_all
from pyllb.session.layout import Layout
from pyllb.session.replacing import temporary_beside


class Write:
    """One blob being written, by the one call that does.

    ref: the daemon's name for it. total: its size as far as it is known, else 0. started, updated: nanoseconds since
    the epoch.
    """

    def __init__(self, layout: Layout, ref: str, total: int, expected: str) -> None:
        self.ref = ref
        self.total = total
        self.offset = 0
        self.started = self.updated = time.time_ns()
        self._layout = layout
        self._algorithm = expected.partition(":")[0] or "sha256"
        self._hash = hashlib.new(self._algorithm)
        folder = layout.path / "blobs" / self._algorithm
        folder.mkdir(parents=True, exist_ok=True)
        self._temporary = temporary_beside(folder / "blob")
        self._fd = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)

    @property
    def digest(self) -> str:
        """Of what was written so far."""
        return f"{self._algorithm}:{self._hash.hexdigest()}"

    def truncate(self) -> None:
        """Begin anew."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._hash = hashlib.new(self._algorithm)
        self.offset = 0

    def write(self, data: bytes) -> None:
        """Append data."""
        write_all(self._fd, [memoryview(data)])
        self._hash.update(data)
        self.offset += len(data)
        self.updated = time.time_ns()

    def commit(self, expected: str) -> None:
        """Give the blob its name. Raises RpcError when it is not what was said, or is there already."""
        if self.total and self.offset != self.total:
            raise RpcError(Code.FAILED_PRECONDITION, f"{self.ref} has {self.offset} bytes and should have {self.total}")
        digest = self.digest
        if expected and expected != digest:
            raise RpcError(Code.FAILED_PRECONDITION, f"{self.ref} is {digest} and should be {expected}")
        if self._layout.has(digest):
            raise exists(digest)
        self._temporary.replace(self._layout.blob(digest))

    def close(self) -> None:
        """Let go of the file; what was not committed is removed."""
        os.close(self._fd)
        self._temporary.unlink(missing_ok=True)


def exists(digest: str) -> RpcError:
    """What ends a write of a blob that is there; to the daemon it is as good as a commit."""
    return RpcError(Code.ALREADY_EXISTS, f"blob {digest} is there already")


class Ingest:
    """A layout that takes blobs, and what is being written to it. Its methods may be called from any thread.

    From its first write to release() nothing collects what no index leads to yet.

    last: the digest of the blob that came last, or was there already when it was to come; "" when none did. The daemon
    writes what a manifest or an index speaks of before that itself, so this is the image.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.last = ""
        self._lock = threading.Lock()
        self._writes: dict[str, Write] = {}
        self._held: int | None = None

    @property
    def writes(self) -> tuple[Write, ...]:
        """What is being written."""
        with self._lock:
            return tuple(self._writes.values())

    @contextlib.contextmanager
    def begin(self, ref: str, total: int, expected: str) -> Iterator[Write]:
        """Write a blob in a block; what it did not commit is gone after it.

        expected: the digest, or "" when it is not known. Raises RpcError: UNAVAILABLE while another call writes the
        same ref, at which the daemon tries again; ALREADY_EXISTS; UNKNOWN when the layout cannot be written to.
        """
        if not ref:
            raise RpcError(Code.INVALID_ARGUMENT, "a write begins with its ref")
        self.check_expected(expected)
        with _told(self.layout.path):
            write = self._begun(ref, total, expected)
            try:
                yield write
            finally:
                with self._lock:
                    del self._writes[ref]
                write.close()

    def release(self) -> None:
        """No more is written, or what was is in the index. May be called again."""
        with self._lock:
            held, self._held = self._held, None
        if held is not None:
            os.close(held)

    def _begun(self, ref: str, total: int, expected: str) -> Write:
        with self._lock:
            if ref in self._writes:
                raise RpcError(Code.UNAVAILABLE, f"{ref} is being written by another call")
            if self._held is None:
                self._held = self.layout.hold()
            write = self._writes[ref] = Write(self.layout, ref, total, expected)
            return write

    def check_expected(self, digest: str) -> None:
        """Raises RpcError when a blob of this digest is not to be written: it is there, or it is no digest."""
        if digest and not is_digest(digest):
            raise RpcError(Code.INVALID_ARGUMENT, f"{digest!r} is not a digest")
        if digest and self.layout.has(digest):
            self.last = digest
            raise exists(digest)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RpcError(Code.UNKNOWN, f"cannot write to {str(path)!r}: {error.strerror or error}") from error
