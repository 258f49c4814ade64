"""Index: which images an OCI layout has, by name and by tag; the file index.json.

Mirrors client/ociindex of BuildKit 0.33.1.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import attrs

from pyllb.errors import UsageError
from pyllb.session.digest import is_digest
from pyllb.session.fssync.disk import write_all
from pyllb.session.replacing import replacing
from pyllb.value import Value

INDEX = "index.json"
_TAG = "org.opencontainers.image.ref.name"
_NAME = "io.containerd.image.name"
_EMPTY = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
# Another program holds the lock for as long as it takes to write the file.
_PATIENCE = 10.0
_POLL = 0.05


@attrs.frozen(eq=False, repr=False)
class Manifest(Value):
    """An entry of an index. tag, name: as its annotations have them, "" where they have none."""

    digest: str
    tag: str = ""
    name: str = ""

    @property
    def shown(self) -> str:
        """What a user would ask for it by."""
        return self.name or self.tag or self.digest


def read_index(directory: Path) -> tuple[Manifest, ...]:
    """The entries of a layout's index, in its order. Raises UsageError when there is none to read."""
    return tuple(map(_manifest, _read(directory / INDEX)[1]))


def put_image(
    directory: Path, descriptor: Mapping[str, object], names: Iterable[str] = (), *, tag: str = "latest"
) -> None:
    """Put an image into a layout's index, under each of its names, or as the tag when it has none.

    What had that name is dropped from the index. descriptor: OCI's, as JSON. Raises UsageError when the index cannot be
    read, OSError when it cannot be written, or another program keeps it locked for long.
    """
    path = directory / INDEX
    labels = [{_NAME: name, _TAG: _tag_of(name)} for name in names] or [{_TAG: tag}]
    own = descriptor.get("annotations")
    with _locked(path):
        head, entries = _read(path) if path.exists() else (_EMPTY, [])
        for label in labels:
            annotations = {**own, **label} if isinstance(own, Mapping) else label
            entries = [entry for entry in entries if not _is(entry, label)]
            entries.append({**descriptor, "annotations": annotations})
        with replacing(path, None) as fd:
            write_all(fd, [memoryview(json.dumps({**head, "manifests": entries}).encode())])


def _read(path: Path) -> tuple[Mapping[str, object], list[dict[str, object]]]:
    """The index, and its entries, which are seen to be some. Raises UsageError."""
    try:
        found = json.loads(path.read_bytes())
        entries: list[dict[str, object]] = list(found.get("manifests") or ())
        for entry in entries:
            _manifest(entry)
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{str(path)!r} is not an image index: {error}") from error
    return found, entries


def _manifest(entry: object) -> Manifest:
    digest = entry.get("digest") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(digest, str) or not is_digest(digest):
        raise ValueError(f"an entry without a digest: {entry!r}")
    annotations = entry.get("annotations") or {}
    return Manifest(digest, str(annotations.get(_TAG, "")), str(annotations.get(_NAME, "")))


def _is(entry: object, label: Mapping[str, str]) -> bool:
    manifest = _manifest(entry)
    return manifest.tag == label[_TAG] and manifest.name == label.get(_NAME, "")


def _tag_of(name: str) -> str:
    """The tag of an image's name, with its digest if it has one, as containerd writes it."""
    head, at, digest = name.partition("@")
    tag = head.rpartition("/")[2].partition(":")[2]
    return tag + at + digest or name


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The lock that Go's client takes too, in a file that whoever had it removes."""
    lock = path.with_name(path.name + ".lock")
    end = time.monotonic() + _PATIENCE
    while (fd := _lock(lock)) is None:
        if time.monotonic() > end:
            raise BlockingIOError(errno.EAGAIN, f"{str(lock)!r} is locked by another program")
        time.sleep(_POLL)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(fd)


def _lock(path: Path) -> int | None:
    """A descriptor that has the lock; None when another has it, or has had it and removed the file."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), path.stat()):
            return fd
    except (BlockingIOError, FileNotFoundError):
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None
