"""Exec ops from options: the command, its mounts in order, and what the command alone sees."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import attrs

from pyllb.dsl import check
from pyllb.dsl.state import NETWORKS, SECURITIES, State, a_hostname, a_ulimit, a_user, an_extra_host
from pyllb.errors import MountError, OptionError, near
from pyllb.ir.meta import Meta, make_meta
from pyllb.ir.mounts import (
    BindMount,
    CacheMount,
    Mount,
    PlacedMount,
    SecretMount,
    SshMount,
    TmpfsMount,
    make_bind_mount,
)
from pyllb.ir.ops import ExecOp, ProxyEnv, makes_output

if TYPE_CHECKING:
    from pyllb.ir.meta import Network, Security

Mounts = tuple[tuple[PlacedMount, ...], tuple[SecretMount, ...], tuple[SshMount, ...]]
"""The mounts of one command: placed ones sorted by target, the root first; secrets; ssh sockets."""

_MOUNTS = (BindMount, CacheMount, TmpfsMount, SecretMount, SshMount)
_PLACED = (BindMount, CacheMount, TmpfsMount)
_MAX_CODE = (1 << 31) - 1  # of LLB; Linux has none above 255, but Windows does, such as 3010 of an installer
NOTHING = (None,) * 9
"""What a command that has no values of its own but variables was given: the arguments of exec_meta."""
_WHY_NO_RESULT = {
    "CacheMount": "a cache mount outlives the build and is no part of a result; copy what you need out of it",
    "TmpfsMount": "a tmpfs is gone when the command ends; bind(fs(), ...) keeps what is written",
    "SecretMount": "a secret is no part of a result",
    "SshMount": "an ssh socket is no part of a result",
}


def proxy(*, http: str = "", https: str = "", ftp: str = "", no: str = "", all: str = "") -> ProxyEnv:
    """Name the proxies of a command, in upper- and lower-case variables that are not part of its cache key.

    The value of `run(proxy=...)`; "" leaves a variable out. Raises OptionError.

    LLB: Meta.proxy_env. Mirrors client/llb WithProxy (BuildKit 0.33.1).
    """
    given = {"http": http, "https": https, "ftp": ftp, "no": no, "all": all}
    for name, value in given.items():
        check.value_text(f"proxy {name}", value)
    return ProxyEnv(http_proxy=http, https_proxy=https, ftp_proxy=ftp, no_proxy=no, all_proxy=all)


def command_args(command: str | Sequence[str], shell: tuple[str, ...]) -> tuple[str, ...]:
    """The argv of a command: a str is the shell's last argument, a list is argv."""
    if isinstance(command, str):
        if "\n" in command:
            command = _dedent(command)
        if not command or command.isspace():
            raise OptionError("the command of run is empty; write what to run")
        return (*shell, check.text("the command of run", command))
    if not isinstance(command, list | tuple):
        raise OptionError(f"the command of run is {check.show(command)}; write a str for the shell, or a list of words")
    return check.words("the command of run", command)


def _dedent(command: str) -> str:
    from textwrap import dedent  # here: start-up is measured

    return dedent(command).removeprefix("\n").removesuffix("\n")


def exec_meta(
    meta: Meta,
    dir: str | None,
    user: str | int | None,
    hostname: str | None,
    network: Network | None,
    security: Security | None,
    extra_hosts: Mapping[str, str] | None,
    ulimits: Mapping[str, int | tuple[int, int]] | None,
    cgroup_parent: str | None,
    shell: Sequence[str] | None,
) -> Meta:
    """The state's meta with what one command has for itself laid over it."""
    if dir is not None:
        meta = meta.with_dir(check.text("dir", dir))
    known = meta.settings
    settings = attrs.evolve(
        known,
        user=known.user if user is None else a_user(user),
        hostname=known.hostname if hostname is None else a_hostname(hostname),
        network=known.network if network is None else check.choice("network", network, NETWORKS),
        security=known.security if security is None else check.choice("security", security, SECURITIES),
        extra_hosts=known.extra_hosts + tuple(an_extra_host(*pair) for pair in _items("extra_hosts", extra_hosts)),
        ulimits=known.ulimits + tuple(a_ulimit(name, *_limits(value)) for name, value in _items("ulimits", ulimits)),
        cgroup_parent=known.cgroup_parent if cgroup_parent is None else check.text("cgroup_parent", cgroup_parent),
        shell=known.shell if shell is None else _shell(shell),
    )
    return make_meta(meta.env, settings)


def _items(what: str, value: Mapping[str, check.T] | None) -> Iterable[tuple[str, check.T]]:
    if value is not None and not isinstance(value, Mapping):
        raise OptionError(f"{what} is {check.show(value)}; write a mapping")
    return () if value is None else value.items()


def _limits(value: int | tuple[int, int]) -> tuple[int, int]:
    if isinstance(value, tuple):
        if len(value) != 2:
            raise OptionError(f"a ulimit is {value!r}; write one number, or (soft, hard)")
        return value
    return value, value


def _shell(shell: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(shell, list | tuple):
        raise OptionError(f"shell is {check.show(shell)}; write a list of words, such as ['/bin/bash', '-c']")
    return check.words("shell", shell)


def exec_mounts(base: State, mounts: Iterable[Mount], readonly_root: bool) -> Mounts:
    """Sort and check the mounts of a command on base. Raises MountError, OptionError."""
    placed: list[PlacedMount] = [make_bind_mount(target="/", source=base.output, readonly=readonly_root)]
    if mounts == () and not readonly_root:
        return (placed[0],), (), ()
    others: list[SecretMount | SshMount] = []
    listed: Sequence[Mount] = mounts if type(mounts) is list else _listed(mounts)
    for mount in listed:
        if isinstance(mount, _PLACED):
            placed.append(mount)
        elif isinstance(mount, _MOUNTS):
            others.append(mount)
        else:
            raise OptionError(f"mounts has {check.show(mount)}; {_mount_hint(mount)}")
    if len(placed) + len(others) > 2:  # the root, being "/" alone, is first anyway, and has no like
        _check_distinct(listed)
        placed.sort(key=lambda mount: mount.target)  # code points sort as their UTF-8 bytes do
    if readonly_root and not any(makes_output(mount) for mount in placed):
        raise MountError(
            "readonly_root=True without a writable bind mount; the command would have no result, so it would never run"
        )
    if not others:
        return tuple(placed), (), ()
    secrets = tuple([mount for mount in others if isinstance(mount, SecretMount)])
    sockets = tuple([mount for mount in others if isinstance(mount, SshMount)])
    _check_sockets(sockets, listed)
    return tuple(placed), secrets, sockets


def _listed(mounts: Iterable[Mount]) -> Sequence[Mount]:
    if isinstance(mounts, list | tuple):
        return mounts
    if isinstance(mounts, _MOUNTS):
        raise OptionError("mounts is one mount; write mounts=[...] around it")
    check.ordered("mounts", mounts, "a list of bind(...), cache(...) and the like")
    return tuple(mounts)


def _mount_hint(mount: object) -> str:
    if isinstance(mount, State):
        return "write bind(fs, target) around the filesystem"
    if isinstance(mount, list | tuple):
        return "write * before an inner list"
    return "write bind(...), cache(...), tmpfs(...), secret(...) or ssh(...)"


def _check_distinct(mounts: Iterable[Mount]) -> None:
    seen: dict[str, Mount] = {}
    for mount in mounts:
        _note(seen, mount)


def _note(seen: dict[str, Mount], mount: Mount) -> None:
    if isinstance(mount, SecretMount) and mount.env is not None and seen.setdefault(mount.env, mount) is not mount:
        raise MountError(f"two secrets set the variable {mount.env!r}; only one of them would be seen")
    if mount.target is None:
        return
    place = _place(mount.target)
    if place in seen:
        raise MountError(
            f"two mounts have the target {mount.target!r}, a {_kind(seen[place])} and a {_kind(mount)}; "
            "a later one would hide the other"
        )
    seen[place] = mount


def _check_sockets(sockets: Sequence[SshMount], mounts: Sequence[Mount]) -> None:
    """Make sure that no mount is where a socket goes that has no target of its own."""
    for number, socket in enumerate(sockets):
        place = socket.place(number)
        if socket.target is None and any(mount.target and _place(mount.target) == place for mount in mounts):
            raise MountError(
                f"a mount has the target {place!r}, where the ssh socket without a target goes; give it one"
            )


@lru_cache(maxsize=256)
def _place(target: str) -> str:
    """The target as every spelling of it has it."""
    return "/" + posixpath.normpath(target).lstrip("/")


def _kind(mount: Mount) -> str:
    return {"SshMount": "ssh socket", "SecretMount": "secret"}.get(
        type(mount).__name__, type(mount).__name__.removesuffix("Mount").lower() + " mount"
    )


def find_mount(exec: ExecOp | None, target: str) -> BindMount:
    """The mount of exec at target whose result can be used. Raises MountError."""
    check.absolute("the target of mount", target)
    if exec is None:
        raise MountError(f"mount({target!r}) on a filesystem that is not the result of run; call it right after run")
    place = _place(target)
    every: tuple[Mount, ...] = (*exec.mounts, *exec.secrets, *exec.ssh)
    found = next((m for m in every if m.target is not None and _place(m.target) == place), None)
    if found is None:
        targets = [m.target for m in exec.mounts]
        has = ", ".join(map(repr, targets))
        close = near(target, [place for place in targets if place != "/"])
        raise MountError(f"the command has no mount at {target!r}{close}; it has {has}")
    if not isinstance(found, BindMount):
        raise MountError(f"the mount at {target!r} has no result: {_WHY_NO_RESULT[type(found).__name__]}")
    if found.no_output:
        raise MountError(f"the mount at {target!r} has no result: it was made with no_output=True")
    return found


def exit_codes(codes: Sequence[int]) -> tuple[int, ...]:
    """Exit codes that are no failure."""
    check.ordered("ok_codes", codes, "a list of numbers, [0, 1] say")
    found = tuple(check.integer("an exit code of ok_codes", code, 0, _MAX_CODE) for code in codes)
    if not found:
        raise OptionError("ok_codes is empty, which says nothing; leave it out for 0 alone")
    return found


def cdi_devices(devices: Iterable[str | tuple[str, bool]]) -> tuple[tuple[str, bool], ...]:
    """CDI devices, each with whether the command may run without it."""
    check.ordered("devices", devices, f"a list, [{devices!r}]" if isinstance(devices, str) else "a list of names")
    return tuple(_device(device) for device in devices)


def _device(device: str | tuple[str, bool]) -> tuple[str, bool]:
    if isinstance(device, tuple):
        if len(device) != 2:
            raise OptionError(f"a device is {device!r}; write a name, or (name, optional)")
        return check.text("the name of a device", device[0]), check.flag("optional", device[1])
    return check.text("the name of a device", device), False


def a_proxy(value: ProxyEnv) -> ProxyEnv:
    """The proxies of a command."""
    if not isinstance(value, ProxyEnv):
        raise OptionError(f"proxy is {check.show(value)}; write proxy(http='http://host:3128', ...)")
    return value
