"""The quickstart: the example built by pyllb on a real daemon, and run. The body of `make quickstart`.

It takes the daemon that pyllb would find; without one it starts pyllb's own engine, for itself alone. Where Docker Hub
does not answer there would be no golang image, so it stands up the testbed instead, whose registry has one.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyllb import engine
from pyllb.errors import PyllbError
from tests.testbed import debian, store, up
from tests.testbed.report import say

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/go-service"
OUT = ROOT / "out"

_HUB = "https://registry-1.docker.io/v2/"

tell = functools.partial(say, who="quickstart")


def main() -> int:
    """Run it; returns 0, or the exit code of what failed."""
    try:
        with _daemon() as address:
            return _build(address) or _run()
    except PyllbError as error:
        tell(str(error))
        return error.exit_code


@contextmanager
def _daemon() -> Iterator[str]:
    """The address of a daemon that can pull golang, for as long as the block runs."""
    named = os.environ.get("BUILDKIT_HOST")
    if named:
        tell(f"BUILDKIT_HOST names the daemon {named}: that one builds")
        yield named
        return
    tell(f"asking {_HUB} whether Docker Hub answers: the example is built in its golang image")
    trouble = _hub_trouble()
    if trouble:
        tell(f"it does not ({trouble}): a local registry with images made from Debian packages takes its place,")
        tell("and a buildkitd of this run's own is told to ask that registry first")
        with up() as testbed:
            yield testbed.address
        return
    tell("it does: golang is pulled from there")
    found = engine.find()
    if found:
        tell(f"a daemon answers at {found}: that one builds")
        yield found
        return
    with _engine() as started:
        yield started


@contextmanager
def _engine() -> Iterator[str]:
    """pyllb's own engine, in a directory that no other clone uses."""
    tell("no daemon answers at the usual sockets: pyllb starts a buildkitd of its own")
    debian.ensure({"runc": "runc"}, "buildkitd runs steps with it")
    os.environ["PYLLB_ENGINE_HOME"] = str(store.directory() / f"quickstart-{store.digest(str(ROOT))}")
    if engine.status().program is None:
        engine.install(say=tell)
    started = engine.start(say=tell)
    try:
        yield started.address
    finally:
        tell("stopping it; what it has cached stays for the next time")
        engine.stop()


def _build(address: str) -> int:
    command = ["solve", "build.py:default", "--output", f"type=local,dest={OUT}"]
    tell(f"building {EXAMPLE.relative_to(ROOT)}: pyllb {' '.join(command)}")
    return subprocess.run(
        [sys.executable, "-m", "pyllb.cli", *command],
        cwd=EXAMPLE,
        env={**os.environ, "BUILDKIT_HOST": address, "PYTHONPATH": str(ROOT)},
        check=False,
    ).returncode


def _run() -> int:
    """Run what was built: its version, then one answer of its web server. Its own output goes to stdout."""
    program = OUT / "app"
    tell(f"running {program} -version")
    code = subprocess.run([program, "-version"], check=False).returncode
    if code:
        return code
    tell(f"running {program} -listen 127.0.0.1:0, and asking it for /hello/quickstart")
    with subprocess.Popen([program, "-listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            print(line, end="", flush=True)
            with urllib.request.urlopen(f"{line.split()[-1]}/hello/quickstart", timeout=10) as answer:
                print(answer.read().decode().rstrip(), flush=True)
        finally:
            server.terminate()
    tell("done")
    return 0


def _hub_trouble() -> str:
    """Why Docker Hub cannot be used from here; "" when it can. It answers a request without a login with 401."""
    try:
        with urllib.request.urlopen(_HUB, timeout=5):
            return ""
    except urllib.error.HTTPError as answer:
        with answer:
            return "" if answer.code == 401 else f"it answers {answer.code}"
    except OSError as error:
        return str(error)


if __name__ == "__main__":
    sys.exit(main())
