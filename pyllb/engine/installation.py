"""An installation: buildkitd and buildctl in pyllb's own cache, from a release archive or from the Go module."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from pyllb.engine.files import cache_directory, locked
from pyllb.errors import ConnectError, NoDaemonError, NotThereYet

VERSION = "0.33.1"

_RELEASE = "https://github.com/moby/buildkit/releases/download/v{version}/buildkit-v{version}.{os}-{arch}.tar.gz"

# SHA-256 of the release archives. The one of amd64 stands alike in four unrelated projects that pin this release. Of
# arm64 only one record was found, which is too little to trust, so arm64 builds from the module instead.
_SHA256 = {("0.33.1", "linux", "amd64"): "4e044bcd62a0c0bbe6a8c94d73989de2bfe4c04dbc0f9d6021cf96b72cd1d965"}

_MODULE = Path(__file__).parent / "gomod"
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}

Say = Callable[[str], None]


def install(*, source: str = "auto", say: Say | None = None, timeout: float = 30.0) -> Path:
    """Put buildkitd and buildctl 0.33.1 into pyllb's cache, and return the directory they are in.

    source: "release" takes the official archive and checks its SHA-256; "module" builds from the Go module (Go 1.26.8
    or newer, or a Go that may fetch that toolchain); "auto" tries the first and falls back on the second when the
    archive cannot be had. say: gets each step as a line of text; None means silence. timeout: seconds that the
    download may stand still. What is there already is kept. Raises NoDaemonError when there is no way to get them,
    ConnectError when the archive cannot be had or is not the pinned one.
    """
    if source not in ("auto", "release", "module"):
        raise ValueError(f"install source {source!r} is none of auto, release, module")
    if sys.platform != "linux":
        raise NotThereYet(f"installing a daemon on {sys.platform!r}; it runs on linux")
    tell = say or _silent
    with locked(cache_directory() / "install.lock"):
        place = installed()
        if place is None:
            place = _place()
            _fill(place, source, tell, timeout)
        else:
            tell(f"buildkitd {VERSION} is in {place} already")
    return place


def installed() -> Path | None:
    """The directory of the installed programs; None when there are none."""
    place = _place()
    return place if (place / "buildkitd").exists() else None


def build(directory: Path, *, say: Say | None = None) -> None:
    """Build buildkitd and buildctl from the Go module into an existing directory.

    say: as for install. Raises NoDaemonError when there is no go program, or the build fails.
    """
    go = shutil.which("go")
    if go is None:
        raise NoDaemonError("there is no go program on the PATH to build buildkitd with; Go 1.26 or newer would do")
    (say or _silent)(f"building buildkitd and buildctl {VERSION} from the Go module (about two minutes the first time)")
    with tempfile.TemporaryDirectory(prefix="pyllb-gomod-") as copy:  # go may want to write where an installed wheel is
        for name in ("go.mod", "go.sum"):
            shutil.copy(_MODULE / name, copy)
        version = f"-X github.com/moby/buildkit/version.Version=v{VERSION}"
        done = subprocess.run(
            [go, "build", "-trimpath", "-mod=readonly", "-ldflags", f"-s -w {version}", "-o", f"{directory}/", "tool"],
            cwd=copy,
            # BuildKit 0.33.1 asks for Go 1.26.8; an older one may fetch that. Without cgo it needs no C compiler, and
            # the programs run whatever libc the machine has.
            env={**os.environ, "GOTOOLCHAIN": "auto", "CGO_ENABLED": "0", "GOWORK": "off"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if done.returncode:
        lines = "\n".join(done.stdout.splitlines()[-10:])
        raise NoDaemonError(f"go could not build buildkitd {VERSION} (exit code {done.returncode}):\n{lines}")


def module_digest() -> str:
    """SHA-256 of what build() builds from: go.mod, go.sum and this module's own text."""
    parts = (_MODULE / "go.mod", _MODULE / "go.sum", Path(__file__))
    return hashlib.sha256(b"\0".join(part.read_bytes() for part in parts)).hexdigest()


def _place() -> Path:
    return cache_directory() / f"buildkit-{VERSION}-linux-{_architecture()}"


def _architecture() -> str:
    machine = platform.machine().lower()
    return _MACHINES.get(machine, machine)


def _fill(place: Path, source: str, say: Say, timeout: float) -> None:
    """Make the directory whole beside its place, then rename it: nobody sees half of it."""
    half = Path(tempfile.mkdtemp(prefix=".half-", dir=place.parent))
    try:
        if source == "module" or not _from_release(half, source, say, timeout):
            build(half, say=say)
        half.chmod(0o755)
        half.rename(place)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _from_release(directory: Path, source: str, say: Say, timeout: float) -> bool:
    """Fill directory from the release archive; False when that cannot be and the module may be used instead."""
    try:
        _download(directory, say, timeout)
    except ConnectError as error:
        if source == "release":
            raise
        say(f"{error}; building it instead")
        return False
    return True


def _download(directory: Path, say: Say, timeout: float) -> None:
    architecture = _architecture()
    pinned = _SHA256.get((VERSION, "linux", architecture))
    url = _RELEASE.format(version=VERSION, os="linux", arch=architecture)
    if pinned is None:
        raise ConnectError(f"no SHA-256 is pinned for {url!r}", address=url)
    say(f"downloading {url}")
    with tempfile.TemporaryFile() as archive:
        digest = hashlib.sha256()
        try:
            with urllib.request.urlopen(url, timeout=timeout) as response:
                while chunk := response.read(1 << 20):
                    digest.update(chunk)
                    archive.write(chunk)
        except OSError as error:
            raise ConnectError(f"{url!r} cannot be had: {error}", address=url) from error
        if digest.hexdigest() != pinned:
            raise ConnectError(f"{url!r} has SHA-256 {digest.hexdigest()}, not the pinned {pinned}", address=url)
        archive.seek(0)
        _unpack(archive, directory)


def _unpack(archive: IO[bytes], directory: Path) -> None:
    """The programs under bin/ of a release archive, flat into directory."""
    with tarfile.open(fileobj=archive, mode="r:gz") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() and member.name.startswith("bin/") else None
            if content is not None:
                target = directory / Path(member.name).name
                with target.open("wb") as stream:
                    shutil.copyfileobj(content, stream)
                target.chmod(0o755)


def _silent(line: str) -> None:
    """Say nothing."""
