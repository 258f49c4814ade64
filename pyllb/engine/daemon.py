"""A daemon: a buildkitd process that was started here, and all it leaves on the machine."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from pyllb.engine.config import Config
from pyllb.engine.probe import answers
from pyllb.engine.process import Process, spawn, tail, unmount_below, with_root_below
from pyllb.errors import ConnectError

# sun_path of unix(7) holds 108 bytes, one of them the end.
_LONGEST_SOCKET = 107


@attrs.frozen(kw_only=True)
class Daemon:
    """A buildkitd that runs, or ran.

    process: it. root: its directory of caches and snapshots. addresses: where it answers, with the ports it took.
    log: what it wrote.
    """

    process: Process
    root: Path
    addresses: tuple[str, ...]
    log: Path

    def stop(self, *, grace: float = 10.0) -> None:
        """SIGTERM, SIGKILL after grace seconds, then the steps that it was running and the mounts it left."""
        self.process.stop(grace)
        self.clear()

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory runs out; then its steps and mounts."""
        self.process.kill()
        self.clear()

    def clear(self) -> None:
        """End what a daemon that is gone has left: its steps' processes, and mounts under its root."""
        clear(self.root)


def clear(root: Path) -> None:
    """End the steps of a gone daemon whose root directory this was, and detach the mounts under it."""
    for leftover in with_root_below(root):
        leftover.kill()
    unmount_below(root)


def launch(binary: Path, config: Config, *, home: Path, timeout: float = 30.0, wrapper: Sequence[str] = ()) -> Daemon:
    """Start buildkitd and wait until it answers.

    home: gets buildkitd.toml and buildkitd.log (appended). timeout: in seconds. wrapper: a program, and its
    arguments, that buildkitd is started through. Raises ConnectError, with the last lines of the log, when it ends or
    does not answer in time.
    """
    for address in (*config.addresses, f"unix://{config.traces}"):
        _check(address)
    home.mkdir(parents=True, exist_ok=True)
    config.root.mkdir(parents=True, exist_ok=True)
    file, log = home / "buildkitd.toml", home / "buildkitd.log"
    file.write_text(config.toml())
    begin = log.stat().st_size if log.exists() else 0
    process = spawn([*wrapper, str(binary), "--config", str(file)], log=log)
    addresses = _await(process, config, log, begin, timeout)
    if addresses is None:
        process.stop(2)
        clear(config.root)
        raise ConnectError(
            f"{binary} did not answer at {config.addresses[0]!r} within {timeout:g} s; the end of {log}:\n{tail(log)}",
            address=config.addresses[0],
        )
    return Daemon(process=process, root=config.root, addresses=addresses, log=log)


def _check(address: str) -> None:
    scheme, _, path = address.partition("://")
    if scheme == "unix":
        if len(os.fsencode(path)) > _LONGEST_SOCKET:
            raise ConnectError(
                f"socket path {path!r} is longer than {_LONGEST_SOCKET} bytes, which is the system's limit; "
                "a shorter directory would do",
                address=address,
            )
        Path(path).parent.mkdir(parents=True, exist_ok=True)


def _await(process: Process, config: Config, log: Path, begin: int, timeout: float) -> tuple[str, ...] | None:
    """The addresses once each of them answers; None when the daemon ended or was too slow."""
    deadline = time.monotonic() + timeout
    while process.alive() and time.monotonic() < deadline:
        addresses = _taken(config.addresses, log, begin)
        if addresses is not None and all(answers(address, timeout=1.0) for address in addresses):
            return addresses
        time.sleep(0.02)
    return None


def _taken(addresses: tuple[str, ...], log: Path, begin: int) -> tuple[str, ...] | None:
    """The addresses with the ports taken in place of port 0, as the log tells them; None while it does not yet."""
    wanted = sum(address.endswith(":0") for address in addresses)
    if not wanted:
        return addresses
    with log.open("rb") as stream:
        stream.seek(begin)
        text = stream.read().decode(errors="replace")
    ports = iter(re.findall(r"running server on [0-9.]+:(\d+)", text))
    taken = tuple(f"{a[:-1]}{next(ports, 0)}" if a.endswith(":0") else a for a in addresses)
    return None if any(address.endswith(":0") for address in taken) else taken
