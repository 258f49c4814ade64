"""Effects: what a build did, as its command's output, its exported tree or its image say it."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from _pytest.mark import ParameterSet

from pyllb import FS, Client, fs
from pyllb.client import Result
from pyllb.errors import PyllbError
from pyllb.status import SolveStatus, Vertex

BUSYBOX = fs().image("busybox")


def case(sentence: str, *values: object) -> ParameterSet:
    """One row of a table of tests, whose id is a sentence."""
    return pytest.param(*values, id=sentence)


def fresh(command: str) -> str:
    """A shell command that no step had before, so that it runs and what it prints is heard."""
    return f"{command}\n: {uuid.uuid4().hex}"


class Heard:
    """A sink that keeps what the commands printed, and the last state of each vertex."""

    def __init__(self) -> None:
        self.printed = b""
        self.vertexes: dict[str, Vertex] = {}

    def update(self, status: SolveStatus) -> None:
        self.printed += b"".join(log.data for log in status.logs)
        self.vertexes.update((vertex.digest, vertex) for vertex in status.vertexes)

    def close(self) -> None: ...


def said(client: Client, node: FS, **options: Any) -> list[str]:
    """Solve it, and return the lines that its commands printed."""
    heard = Heard()
    client.solve(node, progress=heard, **options)
    return heard.printed.decode().splitlines()


@attrs.frozen
class Entry:
    """One path of an exported tree. mode: with the bits above permissions. link: of a symbolic link, "" of others."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: float
    link: str
    content: bytes


_KINDS = {tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "link", tarfile.REGTYPE: "file"}


def tree(client: Client, node: FS, **options: Any) -> dict[str, Entry]:
    """Solve it, and return every path of it: "a/b" to its entry."""
    with tempfile.TemporaryDirectory() as place:
        client.solve(node, output=f"type=tar,dest={place}/tree.tar", **options)
        with tarfile.open(f"{place}/tree.tar") as archive:
            return {member.name.strip("/"): _entry(archive, member) for member in archive}


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    file = archive.extractfile(member) if member.isreg() else None
    content = file.read() if file else b""
    kind = _KINDS.get(member.type, "other")
    mtime = float(member.pax_headers.get("mtime", member.mtime))
    return Entry(kind, member.mode, member.uid, member.gid, mtime, member.linkname, content)


def files(client: Client, node: FS, **options: Any) -> dict[str, bytes]:
    """Solve it, and return its files: "a/b" to their content."""
    found = tree(client, node, **options)
    return {path: entry.content for path, entry in found.items() if entry.kind == "file"}


@attrs.frozen
class Image:
    """An exported image: its config, its manifest and what names that in the layout's index, as they were written."""

    config: dict[str, Any]
    manifest: dict[str, Any]
    descriptor: dict[str, Any]


def image_of(client: Client, node: FS, **options: Any) -> Image:
    """Solve it to an OCI archive, and return what that says."""
    with tempfile.TemporaryDirectory() as place:
        client.solve(node, output=f"type=oci,dest={place}/image.tar", **options)
        with tarfile.open(f"{place}/image.tar") as archive:
            (descriptor,) = _document(archive, "index.json")["manifests"]
            manifest = _blob(archive, descriptor)
            return Image(_blob(archive, manifest["config"]), manifest, descriptor)


def _blob(archive: tarfile.TarFile, descriptor: Mapping[str, str]) -> dict[str, Any]:
    return _document(archive, "blobs/" + descriptor["digest"].replace(":", "/"))


def _document(archive: tarfile.TarFile, name: str) -> dict[str, Any]:
    file = archive.extractfile(name)
    assert file is not None
    found = json.load(file)
    assert isinstance(found, dict)
    return found


def packed(**contents: str) -> bytes:
    """A gzipped tar of files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return data.getvalue()


def ran(result: Result) -> list[str]:
    """The names of the commands that were not cached."""
    return [step.name for step in result.steps if not step.cached and step.name.startswith("/bin/sh")]


@contextmanager
def fails(message: str) -> Iterator[None]:
    """The block ends in an error of pyllb whose text holds the pattern."""
    with pytest.raises(PyllbError, match=message):
        yield


def directory(place: Path, contents: Mapping[str, str]) -> Path:
    """Write files below a directory, and return it."""
    for name, content in contents.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(content)
    return place
