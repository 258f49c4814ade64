"""Ssh: which agent a step's `ssh()` mount reaches, as `ssh=` and buildctl's --ssh say it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pyllb.client.specs.fields import one_or_many
from pyllb.errors import NotThereYet, UsageError
from pyllb.session.ssh import DEFAULT_ID, SshAgent

_EXAMPLE = "'default' or 'id=/path/of/agent.sock'"

SshSpecs = Mapping[str, str | os.PathLike[str] | SshAgent | None] | str | Iterable[str] | None
"""What `ssh=` takes."""


def parse_ssh(value: SshSpecs) -> dict[str, SshAgent]:
    """Read `ssh=` into one agent per id.

    A mapping is id to the path of an agent's socket, None being $SSH_AUTH_SOCK. Strings are buildctl's: `default`,
    `ID`, or `ID=SOCKET`. Raises UsageError; NotThereYet for `raw=true` and for several paths.
    """
    if isinstance(value, Mapping):
        return {id or DEFAULT_ID: _agent(id, given) for id, given in value.items()}
    found: dict[str, SshAgent] = {}
    for item in one_or_many("ssh", value, str):
        if not isinstance(item, str):
            raise UsageError(f"ssh: {item!r} is not a string; write it as {_EXAMPLE}")
        id, _, path = item.partition("=")
        if id in found:
            raise UsageError(f"ssh: {id!r} is given twice")
        found[id or DEFAULT_ID] = _parse(item, path)
    return found


def _agent(id: str, given: object) -> SshAgent:
    if isinstance(given, SshAgent):
        return given
    if given is None or isinstance(given, str | os.PathLike):
        return SshAgent(None if given is None else Path(given))
    raise UsageError(f"ssh: {id!r} is given a {type(given).__name__}; give the path of an agent's socket, or None")


def _parse(text: str, path: str) -> SshAgent:
    if "," in path:
        raise NotThereYet(f"ssh: several paths or raw=true, as in {text!r}; one agent's socket is there")
    return SshAgent(Path(path) if path else None)
