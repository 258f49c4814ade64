"""Built: what a build gives to its exporters: a filesystem, or one for each platform, with its image config."""

from __future__ import annotations

import json
from collections.abc import Mapping

import attrs

from pyllb._pb import gateway_pb2
from pyllb.ir.platform import Platform
from pyllb.value import Value

_CONFIG = "containerimage.config"
_PLATFORMS = "refs.platforms"


@attrs.frozen(eq=False, repr=False)
class Built(Value):
    """What was built for one platform. ref: its id on the daemon, "" for an empty filesystem. image: config as JSON."""

    ref: str
    image: bytes | None


def nothing() -> gateway_pb2.Result:
    """The result of a build that makes nothing."""
    return gateway_pb2.Result(ref=gateway_pb2.Ref())


def result_of(built: Mapping[Platform, Built]) -> gateway_pb2.Result:
    """The result of a build. Several platforms are a map, which exporters make an image index, or directories, of.

    Mirrors what exptypes calls a platforms index (BuildKit 0.33.1).
    """
    if len(built) == 1:
        (one,) = built.values()
        return gateway_pb2.Result(ref=gateway_pb2.Ref(id=one.ref), metadata=_config(one, ""))
    refs = {str(platform): gateway_pb2.Ref(id=one.ref) for platform, one in built.items()}
    metadata = {_PLATFORMS: _index(built)}
    for platform, one in built.items():
        metadata |= _config(one, f"/{platform}")
    return gateway_pb2.Result(refs=gateway_pb2.RefMap(refs=refs), metadata=metadata)


def _config(one: Built, suffix: str) -> dict[str, bytes]:
    return {} if one.image is None else {f"{_CONFIG}{suffix}": one.image}


def _index(platforms: Mapping[Platform, Built]) -> bytes:
    entries = [{"ID": str(platform), "Platform": _object(platform)} for platform in platforms]
    return json.dumps({"Platforms": entries}).encode()


def _object(platform: Platform) -> dict[str, object]:
    """As OCI's JSON has it."""
    said = {
        "architecture": platform.architecture,
        "os": platform.os,
        "os.version": platform.os_version,
        "os.features": list(platform.os_features),
        "variant": platform.variant,
    }
    return {name: value for name, value in said.items() if value}
