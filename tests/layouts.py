"""OCI layouts for tests, written by hand."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from pyllb.session.layout import Layout

OCI = "application/vnd.oci.image"
INDEX = f"{OCI}.index.v1+json"

Descriptor = dict[str, object]


def digest_of(data: bytes) -> str:
    """Its sha256, as OCI writes one."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layout_of(path: Path, *blobs: bytes, index: object = ()) -> Layout:
    """A layout with these blobs. index: the entries of its index."""
    (path / "blobs" / "sha256").mkdir(parents=True)
    for blob in blobs:
        add(path, blob)
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": index}))
    return Layout(path)


def add(path: Path, data: bytes, kind: str = "") -> Descriptor:
    """Put a blob in, and return its descriptor."""
    digest = digest_of(data)
    (path / "blobs" / "sha256" / digest.partition(":")[2]).write_bytes(data)
    return {"mediaType": kind, "digest": digest, "size": len(data)}


def add_image(
    path: Path, files: Mapping[str, bytes], *, architecture: str = "amd64", config: Mapping[str, object] | None = None
) -> Descriptor:
    """Put an image of one layer in. config: what its config holds of its own."""
    layer = _tar(files)
    platform = {"os": "linux", "architecture": architecture}
    image = {**platform, "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]}, "config": config or {}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": add(path, json.dumps(image).encode(), f"{OCI}.config.v1+json"),
        "layers": [add(path, layer, f"{OCI}.layer.v1.tar")],
    }
    return {**add(path, json.dumps(manifest).encode(), f"{OCI}.manifest.v1+json"), "platform": platform}


def add_index(path: Path, *entries: Descriptor) -> Descriptor:
    """Put an image index in."""
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    return add(path, json.dumps(index).encode(), INDEX)


def tagged(descriptor: Descriptor, tag: str) -> Descriptor:
    """A descriptor as an entry of a layout's index."""
    return {**descriptor, "annotations": {"org.opencontainers.image.ref.name": tag}}


def write_index(path: Path, *entries: Descriptor) -> None:
    """Make these the entries of the layout's index."""
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}))


def _tar(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()
