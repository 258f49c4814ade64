"""ImageConfig: what an image says of itself, read from a base image and laid over by the build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import attrs

from pyllb.errors import OptionError
from pyllb.ir.platform import Platform
from pyllb.value import Value

T = TypeVar("T")
JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]


@attrs.frozen(eq=False, repr=False)
class ResolvedImage(Value):
    """An image config as the registry gave it. config: the JSON bytes. digest: of the manifest or index."""

    ref: str
    digest: str
    config: bytes = attrs.field(repr=False)


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Healthcheck(Value):
    """How an engine asks whether a container is well. test: () takes the base image's off.

    Durations in nanoseconds, 0 is the engine's default.
    """

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@attrs.frozen(eq=False, repr=False, kw_only=True)
class ImageSpec(Value):
    """What the build sets in the image config; None and empty leave the base image's value.

    annotations: pairs of an exporter's attributes, such as ("annotation.title", ...) for the manifest's title. created:
    unix nanoseconds. history: entries to add, each as the pairs of its JSON object.
    """

    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    labels: tuple[tuple[str, str], ...] = ()
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    onbuild: tuple[str, ...] = ()
    author: str = ""
    annotations: tuple[tuple[str, str], ...] = ()
    created: int | None = None
    history: tuple[tuple[tuple[str, str | bool], ...], ...] = ()


EMPTY_SPEC = ImageSpec()


def rfc3339(nanoseconds: int) -> str:
    """A time since the epoch as image configs have it, in UTC, as Go writes it: without zeros at the end."""
    from datetime import UTC, datetime, timedelta  # here: few builds set times, and start-up is measured

    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    text = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (f".{rest:09d}".rstrip("0") if rest else "") + "Z"


@attrs.frozen(eq=False, repr=False)
class ImageConfig(Value):
    """A base image's config, parsed. raw: the whole JSON object, for the fields that nobody here reads."""

    raw: Mapping[str, JSON] = attrs.field(repr=False)
    env: tuple[tuple[str, str], ...]
    dir: str
    user: str
    platform: Platform | None

    @classmethod
    def parse(cls, data: bytes) -> ImageConfig:
        """Read an OCI or Docker image config. Raises OptionError when it is none."""
        import json  # here: a graph that resolves nothing needs none of it, and start-up is measured

        try:
            raw = json.loads(data)
        except ValueError as error:
            raise OptionError(f"an image config that is not JSON: {error}") from error
        if not isinstance(raw, dict):
            raise OptionError(f"an image config that is a JSON {type(raw).__name__}, not an object")
        config = _field(raw, "config", dict) or {}
        entries = _field(config, "Env", list) or []
        if not all(isinstance(entry, str) for entry in entries):
            raise OptionError(f"an image config whose Env is {entries!r}, not text")
        env = tuple((name, value) for name, _, value in (entry.partition("=") for entry in entries) if name)
        directory, user = _field(config, "WorkingDir", str) or "", _field(config, "User", str) or ""
        return cls(raw, env, directory, user, _platform(raw))


def _field(of: Mapping[str, JSON], name: str, kind: type[T]) -> T | None:
    value = of.get(name)
    if value is not None and not isinstance(value, kind):
        raise OptionError(f"an image config whose {name} is {value!r}, not a {kind.__name__}")
    return value


def _platform(raw: Mapping[str, JSON]) -> Platform | None:
    os, arch = raw.get("os"), raw.get("architecture")
    if not (os and arch):
        return None
    features = raw.get("os.features")
    names = tuple(str(name) for name in features) if isinstance(features, list) else ()
    variant, version = str(raw.get("variant") or ""), str(raw.get("os.version") or "")
    return Platform(str(os), str(arch), variant, version, names).normalized()
