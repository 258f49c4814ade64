"""ExecOp on the wire: the process, its mounts, secrets and ssh sockets, as client/llb writes them (BuildKit 0.33.1)."""

from __future__ import annotations

import attrs

from pyllb.errors import MountError, OptionError
from pyllb.ir.meta import Meta
from pyllb.ir.mounts import BindMount, CacheMount, PlacedMount, SecretMount, SshMount, TmpfsMount
from pyllb.ir.ops import ExecOp, ProxyEnv, makes_output
from pyllb.marshal.evaluate import Evaluated, Evaluator
from pyllb.marshal.inputs import Inputs
from pyllb.marshal.wire import flag, integer, message, packed, text, texts

_NETWORK = {"sandbox": 0, "host": 1, "none": 2}
_SECURITY = {"sandbox": 0, "insecure": 1}
_SHARING = {"shared": 0, "private": 1, "locked": 2}
_CONTENT = {"default": 0, "on": 1, "off": 2}
_EMPTY = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # Mount.input -1: scratch
_SKIP = b"\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # Mount.output -1: no result
_SECRET, _SSH, _CACHE, _TMPFS = b"\x30\x01", b"\x30\x02", b"\x30\x03", b"\x30\x04"


@attrs.frozen
class _Process:
    """The parts of pb.Meta that a state gives, encoded: what stands between args and env, after env, and around it."""

    env: bytes
    dir_user: bytes
    rest: bytes
    modes: bytes


@attrs.frozen(eq=False)
class ExecEncoder:
    """Encodes execs, keeping what many of them share: the state's part of the process, and equal mounts."""

    evaluator: Evaluator
    _processes: dict[int, _Process] = attrs.field(factory=dict, init=False)
    _mounts: dict[tuple[object, ...], bytes] = attrs.field(factory=dict, init=False)

    def encode(self, op: ExecOp, inputs: Inputs) -> bytes:
        """pb.ExecOp; the sources of its mounts are added to inputs. Raises GraphError."""
        if not op.args:
            raise OptionError("a run without a command; write one, or a list that is not empty")
        process = self._process(op.meta)
        env = process.env
        if op.ssh or any(type(mount) is CacheMount and mount.env for mount in op.mounts):
            env += self._added_env(op)
        meta = texts(b"\x0a", op.args) + env + process.dir_user
        if op.proxy is not None:
            meta += message(b"\x2a", _proxy(op.proxy))
        meta += process.rest
        if op.ok_codes:
            meta += packed(b"\x62", op.ok_codes)
        parts = [message(b"\x0a", meta), *self._placed(op, inputs)]
        if op.secrets or op.ssh:
            parts += [_secret(secret) for secret in op.secrets if secret.target is not None]
            parts += [_ssh(ssh, index) for index, ssh in enumerate(op.ssh)]
        parts.append(process.modes)
        if op.secrets or op.devices:
            parts += [_secret_env(secret) for secret in op.secrets if secret.env is not None]
            parts += [message(b"\x32", text(b"\x0a", name) + flag(b"\x10", opt)) for name, opt in op.devices]
        return b"".join(parts)

    def _process(self, meta: Meta) -> _Process:
        found = self._processes.get(id(meta))
        if found is None:
            found = self._processes[id(meta)] = _process(meta, self.evaluator.of(meta))
        return found

    def _added_env(self, op: ExecOp) -> bytes:
        """What mounts add to the environment: never over a value that is there."""
        names = {name for name, _ in self.evaluator.of(op.meta).env}
        added: dict[str, str] = {}
        for mount in op.mounts:
            if isinstance(mount, CacheMount):
                for name, value in mount.env:
                    if name not in names:
                        added.setdefault(name, value)
        if op.ssh and "SSH_AUTH_SOCK" not in names:
            added.setdefault("SSH_AUTH_SOCK", _socket(op.ssh[0], 0))
        return _env(tuple(added.items()))

    def _placed(self, op: ExecOp, inputs: Inputs) -> list[bytes]:
        outputs = 0
        parts = []
        for mount in op.mounts:
            source = None if isinstance(mount, TmpfsMount) else mount.source
            index = -1 if source is None else inputs.add(source)
            output = -1
            if makes_output(mount):
                output = outputs
                outputs += 1
            known = _mount_key(mount, index, output)
            found = self._mounts.get(known)
            if found is None:
                found = self._mounts[known] = message(b"\x12", _mount(mount, index, output))
            parts.append(found)
        return parts


def _process(meta: Meta, state: Evaluated) -> _Process:
    rest = b"".join(
        (
            *(message(b"\x32", text(b"\x0a", host) + text(b"\x12", ip)) for host, ip in meta.extra_hosts),
            text(b"\x3a", meta.hostname),
            *(
                message(b"\x4a", text(b"\x0a", u.name) + integer(b"\x10", u.soft) + integer(b"\x18", u.hard))
                for u in meta.ulimits
            ),
            text(b"\x52", meta.cgroup_parent),
            b"\x58\x01",  # removeMountStubsRecursive: client/llb always sets it
        )
    )
    modes = integer(b"\x18", _NETWORK[meta.network]) + integer(b"\x20", _SECURITY[meta.security])
    return _Process(_env(state.env), text(b"\x1a", state.dir) + text(b"\x22", state.user), rest, modes)


def _env(pairs: tuple[tuple[str, str], ...]) -> bytes:
    return texts(b"\x12", tuple([f"{name}={value}" for name, value in pairs]))


def _proxy(proxy: ProxyEnv) -> bytes:
    return (
        text(b"\x0a", proxy.http_proxy)
        + text(b"\x12", proxy.https_proxy)
        + text(b"\x1a", proxy.ftp_proxy)
        + text(b"\x22", proxy.no_proxy)
        + text(b"\x2a", proxy.all_proxy)
    )


def _mount_key(mount: PlacedMount, index: int, output: int) -> tuple[object, ...]:
    """Equal for mounts that are equal on the wire."""
    if type(mount) is BindMount:
        return index, output, mount.target, mount.selector, mount.readonly, mount.content_cache
    if type(mount) is CacheMount:
        return index, mount.target, mount.selector, mount.readonly, mount.id, mount.sharing, ""
    return mount.target, mount.size  # type: ignore[union-attr]


def _mount(mount: PlacedMount, index: int, output: int) -> bytes:
    head = _EMPTY if index < 0 else integer(b"\x08", index)
    after = _SKIP if output < 0 else integer(b"\x20", output)
    dest = text(b"\x1a", mount.target)
    if isinstance(mount, TmpfsMount):
        return head + dest + after + _TMPFS + message(b"\x9a\x01", integer(b"\x08", mount.size))
    head += text(b"\x12", mount.selector) + dest + after + flag(b"\x28", mount.readonly)
    if isinstance(mount, BindMount):
        return head + integer(b"\xc0\x01", _CONTENT[mount.content_cache])
    cache = text(b"\x0a", mount.id) + integer(b"\x10", _SHARING[mount.sharing])
    return head + _CACHE + message(b"\xa2\x01", cache)


def _secret(secret: SecretMount) -> bytes:
    if not secret.target:
        raise MountError(f"secret {secret.id!r} with an empty target; write an absolute path")
    options = _access(secret)
    # The output stays 0 here and for ssh, where it says nothing: client/llb does not set it.
    return message(b"\x12", _EMPTY + text(b"\x1a", secret.target) + _SECRET + message(b"\xaa\x01", options))


def _ssh(ssh: SshMount, index: int) -> bytes:
    target = text(b"\x1a", _socket(ssh, index))
    return message(b"\x12", _EMPTY + target + _SSH + message(b"\xb2\x01", _access(ssh)))


def _access(mount: SecretMount | SshMount) -> bytes:
    return (
        text(b"\x0a", mount.id)
        + integer(b"\x10", mount.uid)
        + integer(b"\x18", mount.gid)
        + integer(b"\x20", mount.mode)
        + flag(b"\x28", mount.optional)
    )


def _socket(ssh: SshMount, index: int) -> str:
    return ssh.target or f"/run/buildkit/ssh_agent.{index}"


def _secret_env(secret: SecretMount) -> bytes:
    name = text(b"\x12", secret.env or "")
    return message(b"\x2a", text(b"\x0a", secret.id) + name + flag(b"\x18", secret.optional))
