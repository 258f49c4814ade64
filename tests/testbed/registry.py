"""A registry: Debian's docker-registry on a loopback port, and pushing to one."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pyllb.engine import process
from tests.testbed.layer import Layer

USER = "pyllb"
PASSWORD = "testbed-password"

# bcrypt of PASSWORD, as `htpasswd -nbB` writes it; docker-registry reads no other kind.
_HTPASSWD = f"{USER}:$2y$05$rfQc3rEOGyfAeL5lrq7AcezC9SlYU72fhi5aIM6E1GRlLLs10HVZi\n"

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Registry:
    """A running registry. host: "127.0.0.1:PORT". home: its directory, with its log and its storage."""

    host: str
    home: Path
    process: process.Process

    def stop(self) -> None:
        """End it; it keeps nothing in memory that would be lost."""
        self.process.stop(2)


def serve(home: Path, *, login: bool = False, seed: Path | None = None) -> Registry:
    """Start a registry on a free loopback port, and wait until it listens.

    home: a directory of its own. login: ask for USER and PASSWORD (HTTP basic). seed: a storage directory whose
    content it starts with and leaves as it is; None means empty. Raises RuntimeError with the end of its log.
    """
    storage, log, file = home / "storage", home / "registry.log", home / "registry.json"
    home.mkdir(parents=True, exist_ok=True)
    if seed and not storage.exists():
        _copy(seed, storage)
    file.write_text(json.dumps(_config(home, storage, login)))  # JSON is YAML too
    started = process.spawn(["docker-registry", "serve", str(file)], log=log)
    line = process.await_line(log, "listening on ", started, 20)
    if line is None:
        started.stop(1)
        raise RuntimeError(f"docker-registry did not start; the end of {log}:\n{process.tail(log)}")
    port = line.partition("listening on ")[2].split()[0].strip('",').rpartition(":")[2]
    return Registry(f"127.0.0.1:{port}", home, started)


def _config(home: Path, storage: Path, login: bool) -> dict[str, object]:
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(storage)}, "delete": {"enabled": True}},
        "http": {"addr": "127.0.0.1:0", "secret": secrets.token_hex(16)},
    }
    if login:
        (home / "htpasswd").write_text(_HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "testbed", "path": str(home / "htpasswd")}}
    return config


def _copy(seed: Path, storage: Path) -> None:
    """Copy a storage directory. Blobs are hard links, since the registry never opens one to write, but renames it
    into place; all else is small, and written in place, so it is copied."""
    for top, _, files in os.walk(seed):
        target = storage / os.path.relpath(top, seed)
        target.mkdir(parents=True, exist_ok=True)
        for name in files:
            source = os.path.join(top, name)
            if name == "data":
                try:
                    os.link(source, target / name)
                    continue
                except OSError:  # another filesystem
                    pass
            shutil.copyfile(source, target / name)


class Pusher:
    """Puts images into a registry that asks for no login, over its HTTP API (OCI distribution specification 1.1)."""

    def __init__(self, host: str) -> None:
        self._connection = http.client.HTTPConnection(host, timeout=60)

    def close(self) -> None:
        self._connection.close()

    def image(
        self,
        repository: str,
        tags: list[str],
        layers: list[Layer],
        config: Mapping[str, object],
        platform: Mapping[str, str],
    ) -> None:
        """Push an image index with one manifest, under several tags."""
        for layer in layers:
            self._blob(repository, layer.digest, layer.path)
        packed = json.dumps(config, separators=(",", ":")).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": _descriptor("application/vnd.oci.image.config.v1+json", packed),
                "layers": [
                    {
                        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                        "digest": layer.digest,
                        "size": layer.size,
                    }
                    for layer in layers
                ],
            }
        ).encode()
        self._blob(repository, digest_of(packed), packed)
        self._manifest(repository, digest_of(manifest), MANIFEST, manifest)
        only = {**_descriptor(MANIFEST, manifest), "platform": dict(platform)}
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [only]}).encode()
        for tag in tags:
            self._manifest(repository, tag, INDEX, index)

    def _blob(self, repository: str, digest: str, content: bytes | Path) -> None:
        if self._ask("HEAD", f"/v2/{repository}/blobs/{digest}")[0] == http.HTTPStatus.OK:
            return
        status, location = self._ask("POST", f"/v2/{repository}/blobs/uploads/", headers={"Content-Length": "0"})
        _expect(status, http.HTTPStatus.ACCEPTED, f"an upload to {repository}")
        parts = urlsplit(location)
        path = f"{parts.path}?{parts.query}{'&' if parts.query else ''}digest={digest}"
        status, _ = self._ask("PUT", path, content, {"Content-Type": "application/octet-stream"})
        _expect(status, http.HTTPStatus.CREATED, f"blob {digest} of {repository}")

    def _manifest(self, repository: str, reference: str, kind: str, content: bytes) -> None:
        status, _ = self._ask("PUT", f"/v2/{repository}/manifests/{reference}", content, {"Content-Type": kind})
        _expect(status, http.HTTPStatus.CREATED, f"manifest {reference} of {repository}")

    def _ask(
        self, method: str, path: str, body: bytes | Path = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        if isinstance(body, Path):
            length = {"Content-Length": str(body.stat().st_size)}
            with body.open("rb") as stream:
                self._connection.request(method, path, stream, {**(headers or {}), **length})
        else:
            self._connection.request(method, path, body or None, dict(headers or {}))
        response = self._connection.getresponse()
        response.read()
        return response.status, response.headers.get("Location", "")


def digest_of(content: bytes) -> str:
    """The digest of bytes as registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest_of(content), "size": len(content)}


def _expect(status: int, wanted: int, what: str) -> None:
    if status != wanted:
        raise RuntimeError(f"the registry answered {status} to {what}; {wanted} would be right")
