"""Capabilities: what the daemon must know for an op, as client/llb (BuildKit 0.33.1) asks for it."""

from __future__ import annotations

from pyllb.ir.mounts import BindMount, CacheMount, PlacedMount, TmpfsMount
from pyllb.ir.ops import ExecOp

FILE = ("file.base",)  # client/llb asks for no other: its loop over the actions runs before there are any
MERGE = ("mergeop",)
DIFF = ("diffop",)
RETURN = ("constraints", "platform")
DEFAULT_PATH = "exec.meta.setsdefaultpath"
LOCAL_UNIQUE = "source.local.unique"

_BASE = ("exec.meta.base",)
_CONTENT = "exec.mount.cache.content"
_CACHE = ("exec.mount.cache", "exec.mount.cache.sharing")


def exec_caps(op: ExecOp) -> tuple[str, ...]:
    """The capabilities of an exec, some perhaps twice."""
    caps = [*_BASE]
    for mount in op.mounts:
        if type(mount) is CacheMount:
            caps += _CACHE
            if mount.selector:
                caps.append("exec.mount.selector")
            if mount.content_cache != "default":
                caps.append(_CONTENT)
        elif type(mount) is BindMount and not mount.selector and mount.content_cache == "default":
            if mount.source is not None:
                caps.append("exec.mount.bind")
        else:
            caps += _mount_caps(mount)
    settings = op.meta.settings
    if op.secrets or op.ssh or op.devices or op.proxy or op.ok_codes is not None or op.constraints.resources:
        caps += _rare_caps(op)
    if settings.ulimits:
        caps.append("exec.meta.ulimit")
    if settings.network != "sandbox":
        caps.append("exec.meta.network")
    if settings.security != "sandbox":
        caps.append("exec.meta.security")
    return tuple(caps)


def _mount_caps(mount: PlacedMount) -> list[str]:
    if isinstance(mount, TmpfsMount):
        return ["exec.mount.tmpfs", *(["exec.mount.tmpfs.size"] if mount.size else [])]
    caps = ["exec.mount.selector"] if mount.selector else []
    if isinstance(mount, BindMount):
        if mount.source is not None:
            caps.append("exec.mount.bind")
        if mount.content_cache != "default":
            caps.append(_CONTENT)
    return caps


def _rare_caps(op: ExecOp) -> list[str]:
    caps = []
    if op.secrets:
        caps.append("exec.mount.secret")
        if any(secret.env is not None for secret in op.secrets):
            caps.append("exec.secretenv")
    if op.ssh:
        caps.append("exec.mount.ssh")
    if op.devices:
        caps.append("exec.meta.cdi")
    if op.proxy is not None:
        caps.append("exec.meta.proxyenv")
    if op.ok_codes is not None:
        caps.append("exec.validexitcode")
    if op.constraints.resources is not None:
        caps.append("exec.meta.linux.resources")
    return caps
