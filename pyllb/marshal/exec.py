"""ExecOp on the wire: the process, its mounts, secrets and ssh sockets, as client/llb writes them (BuildKit 0.33.1)."""

from __future__ import annotations

from typing import TypeVar

import attrs

from pyllb.errors import MountError, OptionError
from pyllb.ir.meta import Meta, Settings
from pyllb.ir.mounts import BindMount, CacheMount, PlacedMount, SecretMount, SshMount, TmpfsMount
from pyllb.ir.ops import ExecOp, ProxyEnv
from pyllb.ir.platform import Platform
from pyllb.marshal.evaluate import DEFAULT_PATH, Evaluator, overlay
from pyllb.marshal.inputs import Digests, Inputs, add_input
from pyllb.marshal.wire import flag, integer, message, packed, text, text_item, texts, varint
from pyllb.value import Shown

_NETWORK = {"sandbox": 0, "host": 1, "none": 2}
_SECURITY = {"sandbox": 0, "insecure": 1}
_SHARING = {"shared": 0, "private": 1, "locked": 2}
_CONTENT = {"default": 0, "on": 1, "off": 2}
_EMPTY = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # Mount.input -1: scratch
_SKIP = b"\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # Mount.output -1: no result
_REMOVE_STUBS = b"\x58\x01"  # Meta.removeMountStubsRecursive: client/llb always sets it
_SECRET, _SSH, _CACHE, _TMPFS = b"\x30\x01", b"\x30\x02", b"\x30\x03", b"\x30\x04"


K = TypeVar("K")
V = TypeVar("V")
_KEPT = 64
_Shared = tuple[bytes, bytes, bytes, bytes]
"""What many metas give to an exec, encoded: directory and user; what stands after them in Meta; what stands after the
mounts; Op.platform."""


@attrs.frozen(eq=False, repr=False)
class ExecEncoder(Shown):
    """Encodes execs, keeping what many of them share: the state's part of the process, and equal mounts.

    add_path: whether a command without PATH is given the usual one.
    """

    evaluator: Evaluator
    digests: Digests
    platform: Platform
    add_path: bool = False
    _metas: dict[int, tuple[bytes, _Shared]] = attrs.field(factory=dict, init=False)
    _shared: dict[int, _Shared] = attrs.field(factory=dict, init=False)
    _mounts: dict[tuple[object, ...], bytes] = attrs.field(factory=dict, init=False)
    _envs: dict[tuple[tuple[str, str], ...], bytes] = attrs.field(factory=dict, init=False)
    _words: dict[tuple[str, ...], bytes] = attrs.field(factory=dict, init=False)

    def encode(self, op: ExecOp, inputs: Inputs) -> tuple[bytes, bytes]:
        """pb.ExecOp, and the Op.platform of its state; what its mounts read is added to inputs. Raises GraphError."""
        if not op.args:
            raise OptionError("a run without a command; write one, or a list that is not empty")
        known = self._metas.get(id(op.meta))
        if known is None:
            known = _keep(self._metas, id(op.meta), self._meta(op.meta))
        env, (dir_user, rest, modes, platform) = known
        parts, cache_env = self._placed(op, inputs)
        if op.ssh or cache_env:
            env = self._mounts_env(op)
        if self.add_path and self.platform.os != "windows":
            env += self._path(op)
        meta = self._args(op.args) + env + dir_user
        if op.proxy is not None:
            meta += message(b"\x2a", _proxy(op.proxy))
        meta += rest
        if op.ok_codes:
            meta += packed(b"\x62", op.ok_codes)
        if op.secrets or op.ssh:
            parts += [_secret(secret) for secret in op.secrets if secret.target is not None]
            parts += [_ssh(ssh, index) for index, ssh in enumerate(op.ssh)]
        parts.append(modes)
        if op.secrets or op.devices:
            parts += [_secret_env(secret) for secret in op.secrets if secret.env is not None]
            parts += [message(b"\x32", text(b"\x0a", name) + flag(b"\x10", opt)) for name, opt in op.devices]
        return b"".join((b"\x0a", varint(len(meta)), meta, *parts)), platform

    def _meta(self, meta: Meta) -> tuple[bytes, _Shared]:
        """The env of a meta, and the rest of it, which is nearly always that of the meta before."""
        settings = meta.settings
        shared = self._shared.get(id(settings))
        if shared is None:
            state = self.evaluator.of(meta)
            dir_user = text(b"\x1a", state.dir) + text(b"\x22", state.user)
            platform = encode_platform(state.platform or self.platform)
            shared = _keep(self._shared, id(settings), (dir_user, _rest(settings), _modes(settings), platform))
        return self._env(self.evaluator.env(meta)), shared

    def _env(self, pairs: tuple[tuple[str, str], ...]) -> bytes:
        """The environment; a step has one variable for itself as a rule, after those of others."""
        if not pairs:
            return b""
        before = pairs[:-1]
        known = self._envs.get(before)
        if known is None:
            known = _keep(self._envs, before, texts(b"\x12", map("=".join, before)))
        return known + text_item(b"\x12", "=".join(pairs[-1]))

    def _args(self, args: tuple[str, ...]) -> bytes:
        """The argv; what stands before its last word is a shell as a rule, and the same for many."""
        before = args[:-1]
        known = self._words.get(before)
        if known is None:
            known = _keep(self._words, before, texts(b"\x0a", before))
        return known + text_item(b"\x0a", args[-1])

    def _path(self, op: ExecOp) -> bytes:
        """PATH, where neither the state nor a cache mount sets it."""
        names = {name for name, _ in self.evaluator.env(op.meta)}
        names.update(name for mount in op.mounts if isinstance(mount, CacheMount) for name, _ in mount.env)
        return b"" if "PATH" in names else self._env((("PATH", DEFAULT_PATH),))

    def _mounts_env(self, op: ExecOp) -> bytes:
        """The environment with what mounts add: never over what the build set, and for caches over the image's own.

        An image cannot know where a cache is mounted: the official rust image says CARGO_HOME=/usr/local/cargo.
        """
        env = self.evaluator.env(op.meta)
        set_by_build = {name for name, _ in op.meta.env}
        added: dict[str, str] = {}
        for mount in op.mounts:
            if isinstance(mount, CacheMount):
                for name, value in mount.env:
                    if name not in set_by_build:
                        added.setdefault(name, value)
        env = overlay(env, tuple(added.items()))
        if op.ssh and all(name != "SSH_AUTH_SOCK" for name, _ in env):
            env += (("SSH_AUTH_SOCK", op.ssh[0].place(0)),)
        return self._env(env)

    def _placed(self, op: ExecOp, inputs: Inputs) -> tuple[list[bytes], bool]:
        """The mounts that have a place, and whether one of them has variables to set."""
        parts: list[bytes] = []
        outputs, env = 0, False
        known: tuple[object, ...]  # equal for mounts that are equal on the wire; its length says of which kind
        for mount in op.mounts:
            source, output = mount.source, -1
            index = -1 if source is None else add_input(inputs, self.digests, source)
            if isinstance(mount, BindMount):
                if not (mount.readonly or mount.no_output):
                    output = outputs
                    outputs += 1
                known = (index, output, mount.target, mount.selector, mount.readonly, mount.content_cache)
            elif isinstance(mount, CacheMount):
                env = env or bool(mount.env)
                known = (
                    index,
                    mount.target,
                    mount.id,
                    mount.sharing,
                    mount.selector,
                    mount.readonly,
                    mount.content_cache,
                )
            else:
                known = (mount.target, mount.size)
            found = self._mounts.get(known)
            if found is None:
                found = self._mounts[known] = message(b"\x12", _mount(mount, index, output))
            parts.append(found)
        return parts, env


def _keep(cache: dict[K, V], key: K, value: V) -> V:
    """The value, kept for the steps to come. Few at a time: what is new memory costs more here than work done again."""
    if len(cache) >= _KEPT:
        cache.clear()
    cache[key] = value
    return value


def _rest(settings: Settings) -> bytes:
    if not (settings.extra_hosts or settings.hostname or settings.ulimits or settings.cgroup_parent):
        return _REMOVE_STUBS
    return b"".join(
        (
            *(message(b"\x32", text(b"\x0a", host) + text(b"\x12", ip)) for host, ip in settings.extra_hosts),
            text(b"\x3a", settings.hostname),
            *(
                message(b"\x4a", text(b"\x0a", u.name) + integer(b"\x10", u.soft) + integer(b"\x18", u.hard))
                for u in settings.ulimits
            ),
            text(b"\x52", settings.cgroup_parent),
            _REMOVE_STUBS,
        )
    )


def _modes(settings: Settings) -> bytes:
    return integer(b"\x18", _NETWORK[settings.network]) + integer(b"\x20", _SECURITY[settings.security])


def _proxy(proxy: ProxyEnv) -> bytes:
    return (
        text(b"\x0a", proxy.http_proxy)
        + text(b"\x12", proxy.https_proxy)
        + text(b"\x1a", proxy.ftp_proxy)
        + text(b"\x22", proxy.no_proxy)
        + text(b"\x2a", proxy.all_proxy)
    )


def _mount(mount: PlacedMount, index: int, output: int) -> bytes:
    head = _EMPTY if index < 0 else integer(b"\x08", index)
    after = _SKIP if output < 0 else integer(b"\x20", output)
    dest = text(b"\x1a", mount.target)
    if isinstance(mount, TmpfsMount):
        return head + dest + after + _TMPFS + message(b"\x9a\x01", integer(b"\x08", mount.size))
    head += text(b"\x12", mount.selector) + dest + after + flag(b"\x28", mount.readonly)
    content = integer(b"\xc0\x01", _CONTENT[mount.content_cache])
    if isinstance(mount, BindMount):
        return head + content
    cache = text(b"\x0a", mount.id) + integer(b"\x10", _SHARING[mount.sharing])
    return head + _CACHE + message(b"\xa2\x01", cache) + content


def _secret(secret: SecretMount) -> bytes:
    if not secret.target:
        raise MountError(f"secret {secret.id!r} with an empty target; write an absolute path")
    options = _access(secret)
    # The output stays 0 here and for ssh, where it says nothing: client/llb does not set it.
    return message(b"\x12", _EMPTY + text(b"\x1a", secret.target) + _SECRET + message(b"\xaa\x01", options))


def _ssh(ssh: SshMount, index: int) -> bytes:
    target = text(b"\x1a", ssh.place(index))
    return message(b"\x12", _EMPTY + target + _SSH + message(b"\xb2\x01", _access(ssh)))


def _access(mount: SecretMount | SshMount) -> bytes:
    return (
        text(b"\x0a", mount.id)
        + integer(b"\x10", mount.uid)
        + integer(b"\x18", mount.gid)
        + integer(b"\x20", mount.mode)
        + flag(b"\x28", mount.optional)
    )


def _secret_env(secret: SecretMount) -> bytes:
    name = text(b"\x12", secret.env or "")
    return message(b"\x2a", text(b"\x0a", secret.id) + name + flag(b"\x18", secret.optional))


def encode_platform(platform: Platform) -> bytes:
    """Op.platform, as it is spelled."""
    data = (
        text(b"\x0a", platform.architecture)
        + text(b"\x12", platform.os)
        + text(b"\x1a", platform.variant)
        + text(b"\x22", platform.os_version)
        + texts(b"\x2a", platform.os_features)
    )
    return message(b"\x52", data)
