"""Output image config: the base image's config as JSON, laid over by what the build sets.

The rules are those of the Dockerfile frontend (BuildKit 0.33.1): a new entrypoint takes the inherited command off,
triggers of the base image are not inherited, an image without a PATH has the usual one, and the variant and version by
which the base was asked for win over those that it says of itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import attrs

from pyllb.ir.image import JSON, Healthcheck, ImageConfig, ImageSpec, rfc3339
from pyllb.ir.meta import DEFAULT_SHELL, Meta
from pyllb.ir.ops import Node
from pyllb.ir.platform import Platform
from pyllb.marshal.evaluate import DEFAULT_PATH, Evaluated, overlay

# How the base image itself was made, which says nothing of this one. The exporter writes rootfs and the history of
# new layers itself, and takes the time of creation from the newest layer when there is none. The base's history stays,
# as its layers do.
_NOT_INHERITED = ("container", "container_config", "created", "docker_version", "id", "parent", "rootfs")


def image_config(node: Node, base: ImageConfig | None, state: Evaluated, platform: Platform) -> bytes:
    """The config of the image that node is, for `containerimage.config`.

    base: the config of the image under node, None when there is none or it is not known. state: node's values.
    platform: the marshal call's.
    """
    target = _target(node.meta, state.platform or platform)
    top: dict[str, JSON] = {}
    inner: dict[str, JSON] = {}
    if base is not None:
        top = {name: value for name, value in base.raw.items() if name not in _NOT_INHERITED}
        given = top.get("config")
        inner = dict(given) if isinstance(given, dict) else {}
    _process(inner, node.meta, base, state, target)
    _spec(inner, node.spec)
    _platform(top, target)
    top["config"] = inner
    top["rootfs"] = {"type": "layers", "diff_ids": []}
    if node.meta.settings.shell != DEFAULT_SHELL:
        inner["Shell"] = list(node.meta.settings.shell)
    if node.spec.author:
        top["author"] = node.spec.author
    if node.spec.created is not None:
        top["created"] = rfc3339(node.spec.created)
    if node.spec.history:
        known = top.get("history")
        added: list[JSON] = [dict(entry) for entry in node.spec.history]
        top["history"] = [*known, *added] if isinstance(known, list) else added
    return json.dumps(top, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _target(meta: Meta, platform: Platform) -> Platform:
    """The platform of the image; what its base was asked for by says more where both are of one kind."""
    image = meta.settings.image
    asked = None if image is None or meta.settings.platform is not None else image.constraints.platform
    if asked is None or (asked.os, asked.architecture) != (platform.os, platform.architecture):
        return platform
    return attrs.evolve(
        platform,
        variant=asked.variant or platform.variant,
        os_version=asked.os_version or platform.os_version,
        os_features=asked.os_features or platform.os_features,
    )


def _process(config: dict[str, JSON], meta: Meta, base: ImageConfig | None, state: Evaluated, target: Platform) -> None:
    """Environment, directory and user."""
    env = state.env
    if target.os != "windows":
        env = overlay((("PATH", DEFAULT_PATH),), env)
    if base is None or env != base.env:
        _put(config, "Env", [f"{name}={value}" for name, value in env])
    if base is None or meta.settings.dirs:
        config["WorkingDir"] = state.dir
    if meta.settings.user is not None:
        _put(config, "User", meta.settings.user)


def _spec(config: dict[str, JSON], spec: ImageSpec) -> None:
    if spec.entrypoint is not None:
        _put(config, "Entrypoint", list(spec.entrypoint))
        config.pop("Cmd", None)
    if spec.cmd is not None:
        _put(config, "Cmd", list(spec.cmd))
    _lay(config, "Labels", dict(spec.labels))
    _lay(config, "ExposedPorts", {port if "/" in port else f"{port}/tcp": {} for port in spec.ports})
    _lay(config, "Volumes", {path: {} for path in spec.volumes})
    if spec.stop_signal:
        config["StopSignal"] = spec.stop_signal
    if spec.healthcheck is not None:
        config["Healthcheck"] = _healthcheck(spec.healthcheck)
    _put(config, "OnBuild", list(spec.onbuild))


def _put(config: dict[str, JSON], name: str, value: JSON) -> None:
    """Set a field, or remove it when the value is empty, as Go's omitempty does."""
    config.pop(name, None)
    if value:
        config[name] = value


def _lay(config: dict[str, JSON], name: str, over: Mapping[str, JSON]) -> None:
    under = config.get(name)
    if over:
        config[name] = {**(under if isinstance(under, dict) else {}), **over}


def _healthcheck(check: Healthcheck) -> JSON:
    fields: dict[str, JSON] = {
        "Test": list(check.test or ("NONE",)),
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
        "Retries": check.retries,
    }
    return {name: value for name, value in fields.items() if value}


def _platform(config: dict[str, JSON], platform: Platform) -> None:
    config["architecture"] = platform.architecture
    config["os"] = platform.os
    _put(config, "variant", platform.variant)
    _put(config, "os.version", platform.os_version)
    _put(config, "os.features", list(platform.os_features))
