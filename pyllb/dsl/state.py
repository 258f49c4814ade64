"""State: a filesystem and what the next command sees beside it (environment, directory, user, ...)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

import attrs

from pyllb.dsl import check
from pyllb.dsl.constraints import a_platform
from pyllb.errors import OptionError
from pyllb.ir.image import EMPTY_SPEC, ImageSpec
from pyllb.ir.meta import EMPTY_META, Meta, Network, Security, Settings, Ulimit, make_meta
from pyllb.ir.ops import DiffOp, ExecOp, FileOp, MergeOp, Output, SourceOp, Vertex

if TYPE_CHECKING:
    from typing import Self

    from pyllb.ir.platform import Platform

NETWORKS: tuple[Network, ...] = ("sandbox", "host", "none")
SECURITIES: tuple[Security, ...] = ("sandbox", "insecure")
_ULIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio"),
    *("rttime", "sigpending", "stack"),
)
_HOSTNAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\Z"
_HOSTNAME_MAX = 64  # the kernel's HOST_NAME_MAX
_INT64 = (1 << 63) - 1
_MAX_ID = (1 << 31) - 1  # of what runc takes as a user or a group
_SHOWN = 60


@attrs.frozen(eq=False, repr=False)
class State:
    """The values of a state. Every method returns a new one; two states are equal only when they are the same object.

    output: the filesystem, None when it is empty. exec: the command it is the result of, whose mounts `mount` gives.
    """

    output: Output | None = None
    meta: Meta = EMPTY_META
    spec: ImageSpec = EMPTY_SPEC
    exec: ExecOp | None = None

    def env(self, /, **vars: str) -> Self:
        """Set environment variables for the commands to come and for the image.

        Values are kept as they are: `$NAME` is not expanded. A name that is set again moves to the end. Names that are
        no Python names: `env(**{"a-b": "1"})`. Raises OptionError.

        LLB: Meta.env. Mirrors client/llb State.AddEnv (BuildKit 0.33.1).
        """
        return self._with_meta(self.meta.with_env(check.environment(vars)))

    def dir(self, path: str) -> Self:
        """Set the working directory of the commands to come and of the image.

        path: absolute, or relative to the directory before, the image's own at last. Raises OptionError.

        LLB: Meta.cwd. Mirrors client/llb State.Dir (BuildKit 0.33.1).
        """
        return self._with_meta(self.meta.with_dir(check.text("dir", path)))

    def user(self, user: str | int) -> Self:
        """Set the user of the commands to come and of the image: a name, a number, or "user:group".

        Raises OptionError. LLB: Meta.user. Mirrors client/llb State.User (BuildKit 0.33.1).
        """
        return self._with_settings(attrs.evolve(self.meta.settings, user=a_user(user)))

    def hostname(self, name: str) -> Self:
        """Set the host name that the commands to come see.

        Raises OptionError. LLB: Meta.hostname. Mirrors client/llb State.Hostname (BuildKit 0.33.1).
        """
        return self._with_settings(attrs.evolve(self.meta.settings, hostname=a_hostname(name)))

    def network(self, mode: Network) -> Self:
        """Set the network of the commands to come: "sandbox", "host" (the daemon must allow it) or "none".

        Raises OptionError. LLB: ExecOp.network. Mirrors client/llb State.Network (BuildKit 0.33.1).
        """
        return self._with_settings(attrs.evolve(self.meta.settings, network=check.choice("network", mode, NETWORKS)))

    def security(self, mode: Security) -> Self:
        """Set the privileges of the commands to come: "sandbox", or "insecure", which the daemon must allow.

        Raises OptionError. LLB: ExecOp.security. Mirrors client/llb State.Security (BuildKit 0.33.1).
        """
        chosen = check.choice("security", mode, SECURITIES)
        return self._with_settings(attrs.evolve(self.meta.settings, security=chosen))

    def ulimit(self, name: str, soft: int, hard: int | None = None) -> Self:
        """Add a resource limit to the commands to come.

        name: such as "nofile". soft, hard: counts or bytes, -1 is unlimited; hard None is soft. Raises OptionError.

        LLB: Meta.ulimit. Mirrors client/llb State.AddUlimit (BuildKit 0.33.1).
        """
        limit = a_ulimit(name, soft, soft if hard is None else hard)
        return self._with_settings(attrs.evolve(self.meta.settings, ulimits=(*self.meta.settings.ulimits, limit)))

    def extra_host(self, host: str, ip: str) -> Self:
        """Add a line to /etc/hosts for the commands to come.

        Raises OptionError. LLB: Meta.extraHosts. Mirrors client/llb State.AddExtraHost (BuildKit 0.33.1).
        """
        hosts = (*self.meta.settings.extra_hosts, an_extra_host(host, ip))
        return self._with_settings(attrs.evolve(self.meta.settings, extra_hosts=hosts))

    def cgroup_parent(self, path: str) -> Self:
        """Set the cgroup under which the commands to come run.

        Raises OptionError. LLB: Meta.cgroupParent. Mirrors client/llb State.WithCgroupParent (BuildKit 0.33.1).
        """
        return self._with_settings(attrs.evolve(self.meta.settings, cgroup_parent=check.text("cgroup_parent", path)))

    def platform(self, platform: str | Platform) -> Self:
        """Set the platform of the sources and commands to come, "linux/arm64" say.

        Raises OptionError. LLB: Op.platform. Mirrors client/llb State.Platform (BuildKit 0.33.1).
        """
        if platform is None:
            raise OptionError("platform is None; write 'linux/arm64', say")
        return self._with_settings(attrs.evolve(self.meta.settings, platform=a_platform(platform)))

    def shell(self, *argv: str) -> Self:
        """Set what runs the commands to come that are one string: `shell("/bin/bash", "-euo", "pipefail", "-c")`.

        The string becomes the last argument. Raises OptionError. Image config: Shell, unless it is the usual
        `/bin/sh -c`.
        """
        return self._with_settings(attrs.evolve(self.meta.settings, shell=check.argv("shell", argv)))

    def _with_settings(self, settings: Settings) -> Self:
        return self._with_meta(make_meta(self.meta.env, settings))

    def _with_meta(self, meta: Meta) -> Self:
        return self.__class__(self.output, meta, self.spec, self.exec)

    def __repr__(self) -> str:
        vertex = self.exec if self.exec or self.output is None else self.output.vertex
        name = type(self).__name__
        if vertex is None:
            return f"<{name} scratch>"
        frames = vertex.site.frames
        place = f" at {frames[0].filename}:{frames[0].range().start_line}" if frames else ""
        return f"<{name} {_describe(vertex)}{place}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a filesystem cannot be pickled; keep what pyllb.dump(fs).to_bytes() gives")


def _describe(vertex: Vertex) -> str:
    match vertex:
        case SourceOp():
            text = vertex.identifier
        case ExecOp():
            by_shell = vertex.args[:-1] == vertex.meta.settings.shell
            text = f"exec {vertex.args[-1] if by_shell else ' '.join(vertex.args)!r}"
        case FileOp():
            text = "file " + ", ".join(type(action).__name__.lower() for action in vertex.actions)
        case MergeOp():
            text = f"merge of {len(vertex.sources)}"
        case DiffOp():
            text = "diff"
        case _:
            text = vertex.title
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def a_user(user: str | int) -> str:
    """A user as text: a name, a number, or either with a group."""
    if isinstance(user, int):
        return str(check.integer("user", user, 0, _MAX_ID))
    text = check.text("user", user)
    name, colon, group = text.partition(":")
    if not name or (colon and not group) or ":" in group or re.search(r"\s", text):
        raise OptionError(f"user is {text!r}; write a name, a number or 'user:group'")
    for part in (name, group):
        if re.match(r"[0-9]+\Z", part):
            check.integer("user", int(part[:20]), 0, _MAX_ID)
    return text


def a_hostname(name: str) -> str:
    """A host name that the kernel takes."""
    if not re.match(_HOSTNAME, check.text("hostname", name)) or len(name) > _HOSTNAME_MAX:
        raise OptionError(f"hostname is {name!r}; write letters, digits, '.', '-' and '_', at most {_HOSTNAME_MAX}")
    return name


def a_ulimit(name: str, soft: int, hard: int) -> Ulimit:
    """A resource limit with a known name and soft not above hard."""
    check.choice("the name of a ulimit", name, _ULIMITS)
    low, high = (check.integer(f"ulimit {name}", value, -1, _INT64) for value in (soft, hard))
    if high != -1 and (low == -1 or low > high):
        raise OptionError(f"ulimit {name} has soft={soft} above hard={hard}; soft is at most hard")
    return Ulimit(name, low, high)


def an_extra_host(host: str, ip: str) -> tuple[str, str]:
    """A host name and its address, spelled as Go's net.IP.String does."""
    from ipaddress import IPv6Address, ip_address  # here: few builds need it, and start-up is measured

    if re.search(r"[\s#]", check.text("the host of an extra host", host)):
        raise OptionError(f"the host of an extra host is {host!r}; it has no white space, and no '#'")
    try:
        address = ip_address(check.text(f"the address of {host!r}", ip))
    except ValueError as error:
        raise OptionError(f"the address of {host!r} is {ip!r}; write an IPv4 or IPv6 address") from error
    if "%" in ip:  # Go has no zones in addresses, so the daemon would refuse it
        raise OptionError(f"the address of {host!r} is {ip!r}; leave out the zone, which is what follows '%'")
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return host, str(mapped or address)
