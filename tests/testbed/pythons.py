"""Pythons: an interpreter of each version that pyllb is for: this machine's, or else one out of Debian's packages.

Debian has one Python per release. Its packages are unpacked into the store, not installed, and the interpreter is run
by the loader that comes with them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.testbed import debian, store
from tests.testbed.report import step

VERSIONS = ("3.11", "3.12", "3.13", "3.14")

_SUITES = {"3.13": "trixie", "3.14": "forky"}
_PROGRAMS = {"mmdebstrap": "mmdebstrap"}


class NoPython(Exception):
    """A version that cannot be had here, and why."""


def command(version: str) -> list[str]:
    """How a version of Python is started, such as ["/usr/bin/python3.13"]. Raises NoPython."""
    for candidate in _candidates(version):
        if _is(candidate, version):
            return candidate
    if version not in _SUITES:
        raise NoPython(f"no Python {version} on the PATH or in pyenv's directory, and no release of Debian has it")
    return _of_debian(version)


def _candidates(version: str) -> Iterator[list[str]]:
    yield [sys.executable]
    found = shutil.which(f"python{version}")
    if found:
        yield [found]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for place in sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}")):
        yield [str(place)]


def _is(candidate: list[str], version: str) -> bool:
    """Whether it runs and is the version; a shim of pyenv's may be neither."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([*candidate, "-I", "-c", ask], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == version


def _of_debian(version: str) -> list[str]:
    suite = _SUITES[version]
    try:
        inputs = store.digest(Path(__file__), debian.architecture())
        place = store.artefact(f"python{version}", inputs, lambda half: _unpack(half, version, suite))
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        raise NoPython(f"no Python {version} here, and Debian's {suite} does not give it: {error}") from error
    (loader,) = place.glob("usr/lib/*/ld-linux*.so.*")
    return [str(loader), "--library-path", str(loader.parent), str(place / f"usr/bin/python{version}")]


def _unpack(place: Path, version: str, suite: str) -> None:
    """Unpack the interpreter, its library and all that these need."""
    debian.ensure(_PROGRAMS, "Python's packages are unpacked with mmdebstrap")
    # A mirror of a suite that still moves may be older than the suite's own promise; what is signed stays signed.
    options = ["--quiet", "--variant=extract", '--aptopt=Acquire::Check-Valid-Until "false"']
    packages = f"--include=python{version}-minimal,libpython{version}-stdlib"
    with step(f"unpacking Debian's python{version}", f"of {suite}; nothing is installed"):
        done = subprocess.run(
            ["mmdebstrap", *options, packages, suite, str(place), *_mirrors(suite)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"mmdebstrap ended with {done.returncode}: {' '.join(done.stdout.split()[-40:])}")


def _mirrors(suite: str) -> list[str]:
    """The machine's own mirrors, of another suite; none means mmdebstrap's default."""
    known = (line.split() for line in debian.sources())
    return list(dict.fromkeys(f"deb {uri} {suite} main" for _, uri, of, _ in known if of == debian.SUITE))
