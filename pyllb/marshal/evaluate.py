"""Evaluated: a state's values when the image configs are known, by the rules of client/llb (BuildKit 0.33.1)."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

import attrs

from pyllb.ir.image import ImageConfig
from pyllb.ir.meta import Meta
from pyllb.ir.ops import SourceOp
from pyllb.ir.platform import Platform
from pyllb.value import Shown, Value

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH where nothing says another, as on every unix in BuildKit."""


@attrs.frozen(eq=False, repr=False)
class Evaluated(Value):
    """env: pairs in order. dir: absolute. user: "" is the daemon's default. platform: None is the marshal call's."""

    env: tuple[tuple[str, str], ...]
    dir: str
    user: str
    platform: Platform | None


@attrs.frozen(eq=False, repr=False)
class Evaluator(Shown):
    """Evaluates metas. configs: by image source; a source that is not in it has none applied."""

    configs: Mapping[SourceOp, ImageConfig]

    def of(self, meta: Meta) -> Evaluated:
        """The values of a meta; nothing is kept, as most metas of a large graph are asked for once."""
        return evaluate(meta, self._config(meta))

    def env(self, meta: Meta) -> tuple[tuple[str, str], ...]:
        """The environment of a meta alone."""
        if not self.configs:
            return meta.env
        config = self._config(meta)
        return meta.env if config is None else overlay(config.env, meta.env)

    def _config(self, meta: Meta) -> ImageConfig | None:
        image = meta.settings.image
        return self.configs.get(image) if self.configs and image is not None else None


def evaluate(meta: Meta, config: ImageConfig | None) -> Evaluated:
    """The values of meta laid over the config of the image under it."""
    settings = meta.settings
    asked = None if settings.image is None else settings.image.constraints.platform
    if config is None:
        return Evaluated(meta.env, join("/", settings.dirs), settings.user or "", settings.platform or asked)
    user = config.user if settings.user is None else settings.user
    platform = settings.platform or config.platform or asked
    return Evaluated(overlay(config.env, meta.env), join("/", (config.dir, *settings.dirs)), user, platform)


def overlay(under: tuple[tuple[str, str], ...], over: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Pairs in the order of each name's last assignment, as Go's EnvList keeps them."""
    values: dict[str, str] = {}
    for name, value in (*under, *over):
        values.pop(name, None)
        values[name] = value
    return tuple(values.items())


def join(start: str, dirs: tuple[str, ...]) -> str:
    """start, then each of dirs: an absolute one replaces what was, as it is written; a relative one joins it."""
    path = start
    for part in dirs:
        path = part if part.startswith("/") else clean(f"{path}/{part}")
    return path


def clean(path: str) -> str:
    """Go's path.Clean: posixpath's normpath, but two leading slashes are one."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned
