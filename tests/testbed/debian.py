"""Debian: the packages the testbed runs on, and root filesystems made from packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.testbed import store
from tests.testbed.report import step

SUITE = "bookworm"

# A fixed time, so that the same packages give the same bytes: reproducible-builds.org's SOURCE_DATE_EPOCH.
EPOCH = 1_750_000_000

# What Debian's own slim images leave out; all of it is only read by people.
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")

_SYSTEM = ("PATH", "HOME", "LANG", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def ensure(programs: dict[str, str], why: str) -> None:
    """Install the packages (values) whose programs (keys) are not on the PATH.

    Raises RuntimeError when apt-get cannot.
    """
    if not _missing(programs):
        return
    with store.locked("apt"):
        missing = _missing(programs)
        if missing:
            with step(f"installing {' '.join(missing)} with apt-get", why):
                _install(missing)


def architecture() -> str:
    """Debian's name for this machine's architecture, which is Go's name too for amd64 and arm64."""
    return _output(["dpkg", "--print-architecture"])


def root_tar(target: Path, *, include: Sequence[str], hooks: Sequence[str] = ()) -> None:
    """Write a root filesystem with the minbase variant of bookworm and some more packages as a tar.

    include: package names. hooks: shell commands run at the end, with the root directory as $1.
    """
    command = ["mmdebstrap", "--quiet", "--variant=minbase", *(f"--include={name}" for name in include)]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    command += [f"--customize-hook={hook}" for hook in hooks]
    _run([*command, SUITE, str(target), *sources()])


def download(package: str, directory: Path) -> None:
    """Unpack a package's files into a directory, without installing it."""
    _run(["apt-get", "download", "-q", package], directory)
    (archive,) = directory.glob("*.deb")
    _run(["dpkg-deb", "-x", str(archive), str(directory)])


def sources() -> list[str]:
    """The machine's own Debian mirrors, as lines of a sources.list; none means mmdebstrap's defaults."""
    listing = _output(["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)", "Created-By: Packages"])
    suites = {"Debian": (SUITE, f"{SUITE}-updates"), "Debian-Security": (f"{SUITE}-security",)}
    lines: dict[str, None] = {}
    for uri, origin, label in (line.split(" ", 2) for line in listing.splitlines() if line.count(" ") >= 2):
        for suite in suites.get(label, ()) if origin == "Debian" else ():
            lines[f"deb {uri} {suite} main"] = None
    return list(lines)


def _missing(programs: dict[str, str]) -> list[str]:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"  # a user's PATH on Debian lacks these
    return sorted({package for program, package in programs.items() if not shutil.which(program, path=path)})


def _install(packages: Sequence[str]) -> None:
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", *packages]
    try:
        _run(command)
    except RuntimeError:  # the lists are missing or too old
        _run(["apt-get", "update", "-q"])
        _run(command)


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _run(command: Sequence[str], directory: Path | None = None) -> None:
    """Run with an environment that has nothing of a user's shell but the way to the network."""
    env = {name: os.environ[name] for name in _SYSTEM if name in os.environ}
    env["PATH"] = f"{env.get('PATH', '')}:/usr/sbin:/sbin"
    env |= {"DEBIAN_FRONTEND": "noninteractive", "SOURCE_DATE_EPOCH": str(EPOCH)}
    done = subprocess.run(
        command, env=env, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        end = "\n".join(done.stdout.splitlines()[-15:])
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{end}")
