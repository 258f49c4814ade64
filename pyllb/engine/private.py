"""An engine: the one private buildkitd that pyllb starts for a user who has no other.

There is at most one for a user and machine; its state is a small file in the run directory (files.py).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import attrs

from pyllb.engine.config import Config
from pyllb.engine.daemon import Daemon, launch
from pyllb.engine.files import data_directory, locked, run_directory
from pyllb.engine.installation import Say, installed
from pyllb.engine.probe import answers
from pyllb.engine.process import Process
from pyllb.errors import NoDaemonError, UsageError

# What a release archive calls its own runc, then the runtimes that distributions package.
_RUNTIMES = ("buildkit-runc", "runc", "crun")


@attrs.frozen(kw_only=True)
class Engine:
    """The private engine while it runs.

    address: where it answers, "unix:///...". pid: its process. root: its directory of caches and snapshots. log: its
    log. started: False when it ran before start() was called.
    """

    address: str
    pid: int
    root: Path
    log: Path
    started: bool = False


@attrs.frozen(kw_only=True)
class EngineStatus:
    """What is known of the private engine.

    state: "running"; "unresponsive", when its process is there and does not answer; "stopped". engine: it, None when
    stopped. program: the buildkitd that start() would run, None when there is none. root: its directory of caches.
    """

    state: str
    engine: Engine | None
    program: Path | None
    root: Path


def start(
    *,
    mirrors: Mapping[str, str] | None = None,
    plain_http: tuple[str, ...] = (),
    timeout: float = 30.0,
    say: Say | None = None,
) -> Engine:
    """Start the private engine, or return the one that runs.

    mirrors: a registry's host to the host asked in its place, such as {"docker.io": "127.0.0.1:5000"}; None means
    none for a new engine, and whichever it has for a running one. plain_http: registries spoken to without TLS.
    timeout: seconds it may take to answer. say: gets each step as a line of text; None means silence.

    The program is the buildkitd of the PATH, else the one that install() has put in the cache. Raises NoDaemonError
    when there is none, when no OCI runtime (runc) is there to run steps with, or for a user who is not root and has no
    rootlesskit; ConnectError when it does not start; UsageError when one runs with other mirrors.
    """
    with locked(_lock()):
        running = _running()
        config = _config(mirrors or {}, plain_http)
        if running is not None:
            if mirrors is not None and _written(config) != config.toml():
                raise UsageError(f"an engine with other mirrors than {dict(mirrors)!r} runs; stop it first")
            return running
        program = _program()
        if program is None:
            raise NoDaemonError(
                "there is no buildkitd to start, neither on the PATH nor in pyllb's cache; "
                "`pyllb engine install` puts one there"
            )
        if say:
            say(f"starting {program} with root {config.root}")
        return _launched(program, config, timeout)


def stop(*, grace: float = 10.0) -> bool:
    """Stop the private engine and the steps it runs; its caches stay. Returns whether one was running.

    grace: seconds it has to end by itself.
    """
    with locked(_lock()):
        daemon = _known()
        if daemon is None:
            return False
        alive = daemon.process.alive()
        daemon.stop(grace=grace)
        _state().unlink(missing_ok=True)
        return alive


def status() -> EngineStatus:
    """Whether the private engine runs, and what it is made of. Starts nothing."""
    daemon, program, root = _known(), _program(), data_directory() / "root"
    if daemon is None or not daemon.process.alive():
        return EngineStatus(state="stopped", engine=None, program=program, root=root)
    state = "running" if answers(daemon.addresses[0]) else "unresponsive"
    return EngineStatus(state=state, engine=_engine(daemon), program=program, root=root)


def address() -> str:
    """Where the private engine answers when it runs."""
    return f"unix://{run_directory()}/buildkitd.sock"


def _launched(program: Path, config: Config, timeout: float) -> Engine:
    _state().unlink(missing_ok=True)
    daemon = launch(program, config, home=_home(), timeout=timeout, wrapper=_wrapper())
    state = {"pid": daemon.process.pid, "started": daemon.process.started, "root": str(daemon.root)}
    half = _state().with_suffix(".half")
    half.write_text(json.dumps({**state, "addresses": daemon.addresses, "log": str(daemon.log)}))
    half.rename(_state())
    return _engine(daemon, started=True)


def _running() -> Engine | None:
    """The engine when it answers. One whose process hangs is ended, so that another can take its place."""
    daemon = _known()
    if daemon is None:
        return None
    if daemon.process.alive() and answers(daemon.addresses[0]):
        return _engine(daemon)
    daemon.stop(grace=2)
    return None


def _known() -> Daemon | None:
    """The daemon of the state file, running or not."""
    try:
        state = json.loads(_state().read_text())
    except FileNotFoundError:
        return None
    return Daemon(
        process=Process(state["pid"], state["started"]),
        root=Path(state["root"]),
        addresses=tuple(state["addresses"]),
        log=Path(state["log"]),
    )


def _engine(daemon: Daemon, *, started: bool = False) -> Engine:
    return Engine(
        address=daemon.addresses[0], pid=daemon.process.pid, root=daemon.root, log=daemon.log, started=started
    )


def _config(mirrors: Mapping[str, str], plain_http: tuple[str, ...]) -> Config:
    return Config(
        root=data_directory() / "root",
        addresses=(address(),),
        runtime=_runtime(),
        mirrors=mirrors,
        plain_http=plain_http,
        rootless=os.geteuid() != 0,
    )


def _written(config: Config) -> str:
    """The configuration that the running engine was started with."""
    return (_home() / "buildkitd.toml").read_text()


def _program() -> Path | None:
    found = shutil.which("buildkitd")
    own = installed()
    return Path(found) if found else own / "buildkitd" if own else None


def _runtime() -> str:
    own = installed()
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin{f':{own}' if own else ''}"  # Debian keeps runc in sbin
    for name in _RUNTIMES:
        if found := shutil.which(name, path=path):
            return found
    raise NoDaemonError(
        f"buildkitd needs an OCI runtime to run steps with, and none of {', '.join(_RUNTIMES)} is on the PATH; "
        "the package runc of Debian, Ubuntu, Fedora or Alpine has one"
    )


def _wrapper() -> tuple[str, ...]:
    """What buildkitd is started through: nothing for root, rootlesskit for others."""
    if os.geteuid() == 0:
        return ()
    found = shutil.which("rootlesskit")
    if found is None:
        raise NoDaemonError(
            f"a private buildkitd needs root, or rootlesskit on the PATH, and this is user {os.geteuid()} without it; "
            "BUILDKIT_HOST can name a daemon that runs elsewhere"
        )
    # The machine's network, as a daemon of root's has; its /etc and /run copied up, for it writes there.
    return (found, "--net=host", "--copy-up=/etc", "--copy-up=/run")


def _home() -> Path:
    return data_directory()


def _state() -> Path:
    return run_directory() / "engine.json"


def _lock() -> Path:
    return run_directory() / "engine.lock"
