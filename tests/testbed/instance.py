"""A testbed: a buildkitd and two registries of one user's own, and the directory that holds all they write.

Every call of up() makes one, beside any other: they share the artefacts of the store and nothing else, so that two
clones may test at once. Whoever makes one also starts a caretaker (caretaker.py), which ends everything and removes
the directory when its maker is gone, however it went. What is left when even the caretaker was killed, the next up()
takes away: the caretaker holds a lock on the directory for as long as it lives.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import attrs

from pyllb.engine import daemon, process
from pyllb.engine.config import Config
from pyllb.engine.daemon import Daemon
from tests.testbed import debian, images, registry, store, tools
from tests.testbed.report import say

_PROGRAMS = {
    "runc": "runc",
    "docker-registry": "docker-registry",
    "skopeo": "skopeo",
    "git": "git",
    "ssh-agent": "openssh-client",
}
_SERVERS = ("buildkitd", "docker-registry")
_LOCK = "lock"
_STATE = "testbed.json"


def prepare(*parts: str) -> None:
    """Make the artefacts that are missing: of the parts "packages", "programs", "images"; of all without an argument.

    Starts nothing. Raises RuntimeError, or an error of pyllb, when one cannot be made, ValueError for another part.
    """
    makers: dict[str, Callable[[], object]] = {
        "packages": _packages,
        "programs": tools.programs,
        "images": images.storage,
    }
    for part in parts:
        if part not in makers:
            raise ValueError(f"testbed part {part!r} is none of {', '.join(makers)}")
    wanted = list(parts or makers)
    if "packages" in wanted:  # first: it may update apt's lists, by which the images find the machine's mirror
        wanted.remove("packages")
        _packages()
    with ThreadPoolExecutor(thread_name_prefix="testbed-part") as pool:  # go computes, apt waits: side by side
        for job in [pool.submit(makers[part]) for part in wanted]:
            job.result()


class Testbed:
    """A running testbed. A context manager: closed at the end of the block.

    address, tcp_address: where buildkitd answers ("unix:///...", "tcp://127.0.0.1:PORT").
    registry: host:port of the open registry, which has the images under library/ and is docker.io's mirror.
    auth_registry, auth_user, auth_password: host:port of a second, empty one with HTTP basic auth, and its login.
    Both also answer as localhost:PORT; buildkitd speaks plain HTTP to both names. buildctl, buildkitd: the programs.
    root: buildkitd's own directory. home: the directory of all this. log: buildkitd's log, at debug level.
    """

    __test__ = False  # pytest would take it for a test class

    def __init__(self) -> None:
        prepare()
        self._programs = tools.programs()
        with store.locked("homes"):  # a new home is not swept away before its caretaker holds its lock
            sweep()
            self.home = _new_home()
            self._caretaker = _caretaker(self.home)
        self._extra = 0
        try:
            begin = time.monotonic()
            self._open = registry.serve(self.home / "registry", seed=images.storage())
            self._login = registry.serve(self.home / "auth-registry", login=True)
            self._daemon = self._launch(self.home / "daemon")
            say(f"buildkitd answers at {self.address} after {time.monotonic() - begin:.1f} s, its log is {self.log}")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Testbed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        return self._daemon.addresses[0]

    @property
    def tcp_address(self) -> str:
        return self._daemon.addresses[1]

    @property
    def registry(self) -> str:
        return self._open.host

    @property
    def auth_registry(self) -> str:
        return self._login.host

    @property
    def auth_user(self) -> str:
        return registry.USER

    @property
    def auth_password(self) -> str:
        return registry.PASSWORD

    @property
    def buildctl(self) -> Path:
        return self._programs / "buildctl"

    @property
    def buildkitd(self) -> Path:
        return self._programs / "buildkitd"

    @property
    def root(self) -> Path:
        return self._daemon.root

    @property
    def log(self) -> Path:
        return self._daemon.log

    @property
    def pid(self) -> int:
        """The id of buildkitd's process."""
        return self._daemon.process.pid

    def env(self) -> dict[str, str]:
        """The environment that points programs at this testbed."""
        return {
            "BUILDKIT_HOST": self.address,
            "PYLLB_TEST_TCP": self.tcp_address,
            "PYLLB_TEST_REGISTRY": self.registry,
            "PYLLB_TEST_AUTH_REGISTRY": self.auth_registry,
            "PYLLB_TEST_AUTH_USER": self.auth_user,
            "PYLLB_TEST_AUTH_PASSWORD": self.auth_password,
            "PYLLB_TEST_BUILDCTL": str(self.buildctl),
        }

    def start_daemon(self, *, tls: Path | None = None) -> ExtraDaemon:
        """Start another buildkitd with the same mirrors and a root of its own, for a test that ends it.

        tls: a directory with ca.pem, cert.pem and key.pem, with which it speaks TLS at its tcp address, to those whom
        ca vouches for; None is plain.
        """
        self._extra += 1
        home = self.home / f"extra-{self._extra}"
        if tls is None:
            return ExtraDaemon(self._launch(home))
        secure = f"tcp://127.0.0.1:{_free_port()}"
        files = (f"--tls{name}={tls}/{file}.pem" for name, file in (("cacert", "ca"), ("cert", "cert"), ("key", "key")))
        flags = (f"--addr=unix://{home}/buildkitd.sock", f"--addr={secure}", *files)
        started = self._launch(home, tcp=(), flags=flags)  # without TLS nobody can ask there whether it is up
        return ExtraDaemon(attrs.evolve(started, addresses=(*started.addresses, secure)))

    def restart_daemon(self) -> None:
        """Stop buildkitd and start it again on the same root and unix socket; the tcp port is another one."""
        self._daemon.stop()
        self._daemon = self._launch(self.home / "daemon")

    def kill_daemon(self) -> None:
        """Kill buildkitd as the kernel would. restart_daemon() brings it back."""
        self._daemon.kill()

    def close(self) -> None:
        """Stop all of it and remove its directory. May be called again."""
        self._caretaker.stdin.close()  # type: ignore[union-attr]  # it was opened as a pipe
        self._caretaker.wait()
        if self.home.exists():  # the caretaker was killed
            clear(self.home)

    def detach(self) -> None:
        """Let it run on after this process: the caretaker is told to stay until it is stopped by down()."""
        caretaker = process.of(self._caretaker.pid)
        state = {"env": self.env(), "caretaker": [caretaker.pid, caretaker.started]}
        (self.home / _STATE).write_text(json.dumps(state))
        self._caretaker.stdin.write(b"stay\n")  # type: ignore[union-attr]  # it was opened as a pipe
        self._caretaker.stdin.close()  # type: ignore[union-attr]  # it was opened as a pipe
        self._caretaker.returncode = 0  # else Popen would warn of a child that still runs

    def _launch(self, home: Path, tcp: tuple[str, ...] = ("tcp://127.0.0.1:0",), flags: tuple[str, ...] = ()) -> Daemon:
        ports = [host.rpartition(":")[2] for host in (self.registry, self.auth_registry)]
        config = Config(
            root=home / "root",
            addresses=(f"unix://{home}/buildkitd.sock", *tcp),
            runtime=shutil.which("runc") or "/usr/sbin/runc",
            mirrors={"docker.io": self.registry},
            plain_http=tuple(f"{name}:{port}" for port in ports for name in ("127.0.0.1", "localhost")),
            debug=True,
            gc=False,
            # Without CNI a step has the machine's network, which is what package downloads in a step need.
            network="host",
        )
        wrapper = ("sh", "-c", f'exec "$0" "$@" {shlex.join(flags)}') if flags else ()
        return daemon.launch(self.buildkitd, config, home=home, wrapper=wrapper)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


class ExtraDaemon:
    """A buildkitd that a test may do anything to. A context manager: stopped at the end of the block."""

    def __init__(self, started: Daemon) -> None:
        self._daemon = started
        self.address, self.tcp_address = started.addresses[:2]
        self.log, self.root, self.pid = started.log, started.root, started.process.pid

    def __enter__(self) -> ExtraDaemon:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it and remove its directory."""
        self._daemon.stop()
        shutil.rmtree(self.root.parent, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL, and nothing else: what runs in it is left as it is."""
        self._daemon.process.kill()


def up() -> Testbed:
    """Make what is missing, start a testbed, and return it."""
    return Testbed()


def clear(home: Path) -> None:
    """End whatever runs in a testbed's directory, and remove the directory."""
    running = process.serving(home, _SERVERS)
    with ExitStack() as stack:
        for one in running:  # all at once, then wait for each
            one.signal(signal.SIGTERM)
            stack.callback(one.stop, 5)
    for leftover in process.with_root_below(home):
        leftover.kill()
    process.unmount_below(home)
    shutil.rmtree(home, ignore_errors=True)


def sweep() -> None:
    """Remove testbeds that nobody keeps any more: their caretaker was killed, or the machine went down."""
    for home in _homes():
        with (home / _LOCK).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            say(f"removing {home}, which a testbed has left")
            clear(home)


@dataclass(frozen=True)
class Detached:
    """A testbed that runs on its own. home: its directory. env: how to reach it. caretaker: the process to end."""

    home: Path
    env: dict[str, str]
    caretaker: process.Process


def detached() -> list[Detached]:
    """The testbeds that run on their own, the last started one last."""
    found = []
    for state in sorted((store.directory() / "run").glob(f"*/{_STATE}"), key=lambda file: file.stat().st_mtime):
        content = json.loads(state.read_text())
        found.append(Detached(state.parent, content["env"], process.Process(*content["caretaker"])))
    return found


def stop_detached(testbed: Detached) -> None:
    """End one that runs on its own, and return when it is gone."""
    testbed.caretaker.signal(signal.SIGTERM)
    testbed.caretaker.wait(60)
    if testbed.home.exists():  # its caretaker was killed
        clear(testbed.home)


def _homes() -> list[Path]:
    return sorted(home for home in (store.directory() / "run").glob("*") if (home / _LOCK).exists())


def _new_home() -> Path:
    """A new directory with a short name, for a socket is kept in it."""
    place = store.directory() / "run"
    place.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(dir=place))


def _caretaker(home: Path) -> subprocess.Popen[bytes]:
    """Start the caretaker of a directory and wait until it has the lock."""
    top = Path(__file__).parents[2]
    # Its stderr is a file, for whoever waits for the end of the maker's own would wait for the caretaker's too.
    with (store.directory() / "caretaker.log").open("a") as log:
        caretaker = subprocess.Popen(
            [sys.executable, "-m", "tests.testbed.caretaker", home.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=top,
            env={**os.environ, "PYTHONPATH": str(top), "PYLLB_TESTBED": str(store.directory())},
            start_new_session=True,
        )
    with caretaker.stdout as ready:  # type: ignore[union-attr]  # it was opened as a pipe
        if not ready.readline():
            raise RuntimeError(f"the caretaker of {home} ended with {caretaker.wait()}")
    return caretaker


def _packages() -> None:
    debian.ensure(
        _PROGRAMS,
        "runc runs the steps, git fetches sources, docker-registry stands in for Docker Hub, tests use the others",
    )
