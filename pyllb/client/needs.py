"""Needs: what a graph wants of this side, and the checks that can be made of it before anything runs."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from pyllb._pb import ops_pb2
from pyllb.client.compile import user_text
from pyllb.client.specs.allow import NETWORK_HOST, SECURITY_INSECURE
from pyllb.errors import NotThereYet, OptionError, SourceLine, UsageError, near
from pyllb.ir.graph import layout_use, local_name, postorder
from pyllb.ir.ops import ExecOp, LocalDir, Node, SourceOp, Vertex
from pyllb.ir.rare import EncodedOp
from pyllb.marshal.sourcemap import place_lines, source_lines
from pyllb.value import Value

if TYPE_CHECKING:
    from pathlib import Path

    from pyllb.session.layout import Layout


@attrs.frozen(eq=False, repr=False)
class Need(Value):
    """One thing, by name, and the first op in the build that wants it."""

    name: str
    op: Vertex

    def sources(self) -> tuple[SourceLine, ...]:
        """The user's lines, innermost first."""
        return _lines(self.op)


@attrs.frozen(eq=False, repr=False)
class LocalNeed(Need):
    """A local source. dir: as the build names it; None when it only has a name."""

    dir: LocalDir | None


@attrs.frozen(eq=False, repr=False)
class LayoutNeed(Need):
    """An image or a blob of the OCI layout of that name. ref: what is read of it."""

    ref: str


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Needs(Value):
    """What a graph wants: secrets and ssh agents that are not optional, entitlements, directories, OCI layouts."""

    secrets: tuple[Need, ...] = ()
    ssh: tuple[Need, ...] = ()
    entitlements: tuple[Need, ...] = ()
    locals: tuple[LocalNeed, ...] = ()
    layouts: tuple[LayoutNeed, ...] = ()


@attrs.frozen(eq=False, repr=False, kw_only=True)
class _Asked(Value):
    """What one op asks for, by name; what is optional is left out."""

    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    entitlements: tuple[str, ...] = ()


def find_needs(node: Node) -> Needs:
    """Walk a node's graph. Each name stands once, at the op that comes first; a directory where one is named."""
    secrets: dict[str, Need] = {}
    ssh: dict[str, Need] = {}
    entitlements: dict[str, Need] = {}
    locals_: dict[str, LocalNeed] = {}
    layouts: dict[tuple[str, str], LayoutNeed] = {}
    for op in postorder(node.output) if node.output is not None else ():
        asked = _asked(op)
        _add(secrets, asked.secrets, op)
        _add(ssh, asked.ssh, op)
        _add(entitlements, asked.entitlements, op)
        if (name := local_name(op)) is not None:
            _add_local(locals_, LocalNeed(name, op, op.local if isinstance(op, SourceOp) else None))
        elif (use := layout_use(op)) is not None:
            layouts.setdefault(use, LayoutNeed(use[0], op, use[1]))
    return Needs(
        secrets=tuple(secrets.values()),
        ssh=tuple(ssh.values()),
        entitlements=tuple(entitlements.values()),
        locals=tuple(locals_.values()),
        layouts=tuple(layouts.values()),
    )


def _add(found: dict[str, Need], names: Iterable[str], op: Vertex) -> None:
    for name in names:
        found.setdefault(name, Need(name, op))


def _add_local(found: dict[str, LocalNeed], use: LocalNeed) -> None:
    first = found.setdefault(use.name, use)
    if first.dir is None and use.dir is not None:  # one that was read knows its name alone
        found[use.name] = use


_NOTHING = _Asked()


def _asked(op: Vertex) -> _Asked:
    if isinstance(op, ExecOp):
        asks = op.meta.settings
        if not (op.secrets or op.ssh or op.devices) and (asks.network, asks.security) == ("sandbox", "sandbox"):
            return _NOTHING  # as most, of which there may be many
        return _Asked(
            secrets=tuple(mount.id for mount in op.secrets if not mount.optional),
            ssh=tuple(mount.id for mount in op.ssh if not mount.optional),
            entitlements=_entitlements(
                op, asks.network == "host", asks.security == "insecure", [name for name, _ in op.devices]
            ),
        )
    if isinstance(op, SourceOp):
        return _asked_by_source(op.identifier, op.attributes)
    if isinstance(op, EncodedOp):
        return _asked_by_source(op.identifier, op.attributes) if op.identifier else _asked_when_read(op)
    return _NOTHING


def _asked_by_source(identifier: str, attributes: Iterable[tuple[str, str]]) -> _Asked:
    """The secret of an http source and the agent of a git source; git takes no secret for an answer."""
    wanted = dict(attributes)
    if identifier.startswith(("http://", "https://")):
        return _Asked(secrets=tuple(filter(None, [wanted.get("http.authheadersecret")])))
    return _Asked(ssh=tuple(filter(None, [wanted.get("git.mountsshsock")])))


def _asked_when_read(op: EncodedOp) -> _Asked:
    """What a command asks for that is known as its bytes."""
    command = ops_pb2.Op.FromString(op.data).exec
    mounts = [mount for mount in command.mounts if not (mount.secretOpt.optional or mount.SSHOpt.optional)]
    secrets = [mount.secretOpt.ID for mount in mounts if mount.mountType == ops_pb2.SECRET]
    secrets += [variable.ID for variable in command.secretenv if not variable.optional]
    host, insecure = command.network == ops_pb2.HOST, command.security == ops_pb2.INSECURE
    return _Asked(
        secrets=tuple(filter(None, secrets)),
        ssh=tuple(mount.SSHOpt.ID or "default" for mount in mounts if mount.mountType == ops_pb2.SSH),
        entitlements=_entitlements(op, host, insecure, [device.name for device in command.cdiDevices]),
    )


def _entitlements(op: Vertex, host: bool, insecure: bool, devices: Sequence[str]) -> tuple[str, ...]:
    if devices:
        raise NotThereYet(f"devices of a command, here {devices[0]!r}", sources=_lines(op))
    return (NETWORK_HOST,) * host + (SECURITY_INSECURE,) * insecure


def _lines(op: Vertex) -> tuple[SourceLine, ...]:
    """The user's lines of an op, whose places are those of the build that made it when it was read."""
    return place_lines(op.places) if isinstance(op, EncodedOp) else source_lines(op.site, user_text)


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


def check_in_layouts(needs: Iterable[LayoutNeed], layouts: Mapping[str, Layout]) -> None:
    """Make sure that OCI layouts that are there have what the graph reads of them. Raises UsageError at its line."""
    for need in needs:
        from pyllb.client.layouts import locate

        try:
            locate(layouts, need.name, need.ref)
        except UsageError as error:
            error.sources = need.sources()
            raise


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
