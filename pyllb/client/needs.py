"""Needs: what a graph wants of this side, and the checks that can be made of it before anything runs."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from pyllb.client.compile import user_text
from pyllb.client.specs.allow import NETWORK_HOST, SECURITY_INSECURE
from pyllb.errors import NotThereYet, OptionError, SourceLine, UsageError, near
from pyllb.ir.graph import local_name, postorder
from pyllb.ir.ops import ExecOp, LocalDir, Node, SourceOp
from pyllb.ir.site import Site
from pyllb.marshal.sourcemap import source_lines
from pyllb.value import Value

if TYPE_CHECKING:
    from pathlib import Path


@attrs.frozen(eq=False, repr=False)
class Need(Value):
    """One thing, by name, and the first place in the build that wants it."""

    name: str
    site: Site

    def sources(self) -> tuple[SourceLine, ...]:
        """The user's lines, innermost first."""
        return source_lines(self.site, user_text)


@attrs.frozen(eq=False, repr=False)
class LocalNeed(Need):
    """A local source. dir: as the build names it; None when it only has a name."""

    dir: LocalDir | None


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Needs(Value):
    """What a graph wants: secrets and ssh agents that are not optional, entitlements, and local directories."""

    secrets: tuple[Need, ...] = ()
    ssh: tuple[Need, ...] = ()
    entitlements: tuple[Need, ...] = ()
    locals: tuple[LocalNeed, ...] = ()


def find_needs(node: Node) -> Needs:
    """Walk a node's graph. Each name stands once, at the place that comes first."""
    secrets: dict[str, Need] = {}
    ssh: dict[str, Need] = {}
    entitlements: dict[str, Need] = {}
    locals_: dict[str, LocalNeed] = {}
    for op in postorder(node.output) if node.output is not None else ():
        if isinstance(op, ExecOp):
            _add(secrets, (mount.id for mount in op.secrets if not mount.optional), op.site)
            _add(ssh, (mount.id for mount in op.ssh if not mount.optional), op.site)
            _add(entitlements, _entitlements(op), op.site)
        elif (name := local_name(op)) is not None:
            locals_.setdefault(name, LocalNeed(name, op.site, op.local if isinstance(op, SourceOp) else None))
    return Needs(
        secrets=tuple(secrets.values()),
        ssh=tuple(ssh.values()),
        entitlements=tuple(entitlements.values()),
        locals=tuple(locals_.values()),
    )


def _add(found: dict[str, Need], names: Iterable[str], site: Site) -> None:
    for name in names:
        found.setdefault(name, Need(name, site))


def _entitlements(op: ExecOp) -> Iterable[str]:
    if op.meta.network == "host":
        yield NETWORK_HOST
    if op.meta.security == "insecure":
        yield SECURITY_INSECURE
    if op.devices:
        raise NotThereYet(f"devices of a command, here {op.devices[0][0]!r}", sources=source_lines(op.site, user_text))


def check_given(needs: Needs, *, secrets: Collection[str], ssh: Collection[str], allow: Collection[str]) -> None:
    """Make sure that what the graph wants was given. Raises UsageError at the user's line."""
    _check("secret", needs.secrets, secrets, "secrets={{{0!r}: ...}}, or on the command line --secret id={0},src=FILE")
    _check("ssh agent", needs.ssh, ssh, "ssh={0!r}, or on the command line --ssh {0}")
    for need in needs.entitlements:
        if need.name not in allow:
            raise UsageError(
                f"a command here needs the entitlement {need.name!r}; "
                f"give allow={need.name!r}, or on the command line --allow {need.name}",
                sources=need.sources(),
            )


def _check(what: str, needs: Iterable[Need], given: Collection[str], how: str) -> None:
    missing = [need for need in needs if need.name not in given]
    if not missing:
        return
    first, *others = missing
    also = "".join(f"; so is {need.name!r}" + "".join(f" at {line}" for line in need.sources()[:1]) for need in others)
    raise UsageError(
        f"{what} {first.name!r} is used here but was not given{also}; "
        f"give {how.format(first.name)}{near(first.name, given)}",
        sources=first.sources(),
    )


def resolve_locals(
    needs: Iterable[LocalNeed], override: Mapping[str, str | os.PathLike[str]] | None = None
) -> dict[str, Path]:
    """The directory of each local source, absolute, and there.

    override: name to directory, which counts more than what the build says. A relative path in the build is relative
    to the file it stands in, or to the working directory when that is no file; one in override to the latter. Raises
    OptionError at the user's line, and UsageError for an override of a name that no source has.
    """
    wanted = {need.name: need for need in needs}
    given = dict(override or {})
    for name in given:
        if name not in wanted:
            there = f"there is {', '.join(map(repr, wanted))}" if wanted else "it has none"
            raise UsageError(f"local: the build has no local source {name!r}; {there}{near(name, wanted)}")
    return {name: _directory(need, given.get(name)) for name, need in wanted.items()}


def _directory(need: LocalNeed, override: str | os.PathLike[str] | None) -> Path:
    from pathlib import Path

    if override is not None:
        path = Path(override)
    elif need.dir is not None:
        path = Path(_base(need.dir.relative_to), need.dir.path)
    else:
        raise UsageError(
            f"local source {need.name!r} has no directory of its own; give local={{{need.name!r}: DIRECTORY}}, "
            f"or on the command line --local {need.name}=DIRECTORY",
            sources=need.sources(),
        )
    path = Path(os.path.abspath(path))
    if path.is_dir():
        return path
    what = "is not a directory" if path.exists() else "does not exist"
    raise OptionError(f"local source {need.name!r}: {str(path)!r} {what}", sources=need.sources())


def _base(relative_to: str) -> str:
    return os.path.dirname(os.path.abspath(relative_to)) if os.path.isfile(relative_to) else os.getcwd()


def shared_key(directories: Mapping[str, Path]) -> str:
    """Names the directories of this machine and user, so that two projects do not share what the daemon keeps.

    The daemon compares what is sent with what it had under the same name and key. "" when there is nothing to send.
    """
    if not directories:
        return ""
    places = sorted(f"{name}={os.path.realpath(path)}" for name, path in directories.items())
    text = "\0".join((socket.gethostname(), str(os.getuid()), *places))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
