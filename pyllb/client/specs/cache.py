"""CacheSpec: where the build cache is read from, or written to."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from pyllb.client.specs.fields import (
    attribute_pairs,
    check_attributes,
    check_ref,
    one_or_many,
    parse_bool,
    parse_fields,
)
from pyllb.client.specs.output import IMAGES, Export
from pyllb.errors import NotThereYet, UsageError, near
from pyllb.value import Value

_EXAMPLE = "'type=registry,ref=registry/app:cache', 'registry/app:cache', 'inline' or 'max'"
_TYPES = ("registry", "inline", "local")
_LATER = ("gha", "s3", "azblob")
_SHORT = ("inline", "max")
# As distribution/reference writes it: a name with an optional registry before it, then a tag, then a digest.
_REFERENCE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._\-]*(:\d+)?(/[a-z0-9._\-]+)*(:\w[\w.\-]{0,127})?(@sha256:[0-9a-f]{64})?\Z"
)
_TAG = "buildcache"
_TRUTHS = ("image-manifest", "oci-mediatypes", "ignore-error", "registry.insecure", "force-compression", "reset")
_ATTRIBUTES = (*_TRUTHS, "ref", "mode", "dest", "src", "tag", "digest", "compression", "compression-level")


@attrs.frozen(eq=False, repr=False)
class CacheSpec(Value):
    """A build cache. Mirrors client.CacheOptionsEntry of BuildKit 0.33.1.

    type: registry, which takes ref=...; inline, which is in the image itself; or local, a directory of this side, which
    takes dest=... to be written and src=... to be read. attributes: mode (min, the default of a long form, keeps the
    result's layers; max those of every step), image-manifest, oci-mediatypes, compression, ignore-error,
    registry.insecure; of local, tag (latest, when it is not said), digest instead of it to read one, and reset=true,
    which removes what the directory has of caches before.
    Raises UsageError for what no cache is, NotThereYet for the back ends gha, s3 and azblob.
    """

    type: str
    attributes: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=attribute_pairs)

    def __attrs_post_init__(self) -> None:
        if self.type in _LATER:
            raise NotThereYet(f"the build cache of type={self.type}; {', '.join(_TYPES)} are there")
        if self.type not in _TYPES:
            raise UsageError(f"{self.type!r} is not a build cache; write it as {_EXAMPLE}{near(self.type, _TYPES)}")
        check_attributes("build cache", self.attributes, _ATTRIBUTES)
        attributes = dict(self.attributes)
        if self.type == "registry" and not attributes.get("ref"):
            raise UsageError("a build cache of type=registry needs ref=REGISTRY/NAME:TAG")
        if self.type == "registry":
            check_ref(f"ref={attributes['ref']} of a build cache", attributes["ref"])
        if attributes.get("mode", "min") not in ("min", "max"):
            raise UsageError(f"mode={attributes['mode']!r} of a build cache is neither min nor max")
        for name in _TRUTHS:
            if name in attributes:
                parse_bool("build cache", name, attributes[name])


Caches = str | CacheSpec | Iterable[str | CacheSpec] | None
"""What `cache_from=` and `cache_to=` take."""


def parse_cache_to(value: Caches, exports: Iterable[Export] = ()) -> tuple[CacheSpec, ...]:
    """Read `cache_to=`: strings, CacheSpec values, or a list of them.

    The long form is buildctl's, `type=registry,ref=...,mode=max`, and its mode is min unless it says more. Short forms:
    a bare reference is a registry cache with mode=max, `inline` puts the cache into the image, and `max` is a
    registry cache with mode=max beside the image: in its repository, under the tag `buildcache`, never the image's own.
    A short form asks for an OCI image manifest by name, which more registries take and daemons before 0.21 do not
    write of themselves. exports: the solve's outputs; `inline` and `max` need an image among them.
    """
    images = [export for export in exports if export.entry()[0] in IMAGES]
    specs = tuple(_to(item, images) for item in _items("cache_to", value))
    if any(spec.type == "inline" for spec in specs) and not images:
        raise UsageError(
            "cache_to: an inline cache stands in the image, and no output is one; add type=image, oci or docker"
        )
    return specs


def parse_cache_from(value: Caches, exports: Iterable[Export] = ()) -> tuple[CacheSpec, ...]:
    """Read `cache_from=`: strings, CacheSpec values, or a list of them.

    The long form is buildctl's, `type=registry,ref=...`. Short forms: a bare reference is a registry cache or an image
    with an inline cache; `inline` is the image that this solve outputs, as it was before; `max` is what
    `cache_to="max"` wrote. A cache that is not there is no error: the daemon goes on without.
    """
    images = [export for export in exports if export.entry()[0] in IMAGES]
    return tuple(_from(item, images) for item in _items("cache_from", value))


def _items(option: str, value: Caches) -> list[str | CacheSpec]:
    items: list[str | CacheSpec] = []
    for item in one_or_many(option, value, (str, CacheSpec)):
        if not isinstance(item, str | CacheSpec):
            raise UsageError(f"{option}: {item!r} is neither a string nor a CacheSpec; write it as {_EXAMPLE}")
        items.append(item)
    return items


def _to(item: str | CacheSpec, images: list[Export]) -> CacheSpec:
    if item == "inline":
        return CacheSpec("inline")
    if isinstance(item, CacheSpec) or _is_long(item):
        spec = item if isinstance(item, CacheSpec) else _long("cache_to", item)
        _check_directory("cache_to", spec, "dest")
        return CacheSpec(spec.type, {"mode": "min", **dict(spec.attributes)})
    ref = _beside("cache_to", images) if item == "max" else item
    _check_reference("cache_to", ref)
    return CacheSpec("registry", {"ref": ref, "mode": "max", "image-manifest": "true", "oci-mediatypes": "true"})


def _from(item: str | CacheSpec, images: list[Export]) -> CacheSpec:
    if isinstance(item, CacheSpec):
        spec = item
    elif _is_long(item):
        spec = _long("cache_from", item)
    else:
        ref = {"inline": _image, "max": _beside}[item]("cache_from", images) if item in _SHORT else item
        _check_reference("cache_from", ref)
        spec = CacheSpec("registry", {"ref": ref})
    _check_directory("cache_from", spec, "src")
    if spec.type == "inline":
        raise UsageError(
            "cache_from: an inline cache is read from its image; write type=registry,ref=IMAGE, or 'inline'"
        )
    return spec


def _check_directory(option: str, spec: CacheSpec, key: str) -> None:
    if spec.type == "local" and not dict(spec.attributes).get(key):
        raise UsageError(f"{option}: a build cache of type=local needs a directory; write type=local,{key}=DIRECTORY")


def _is_long(text: str) -> bool:
    return "=" in text or "," in text


def _long(option: str, text: str) -> CacheSpec:
    pairs = parse_fields(option, text, _EXAMPLE)
    if "type" not in pairs:
        raise UsageError(f"{option}: {text!r} does not say its type; write it as {_EXAMPLE}")
    return CacheSpec(pairs.pop("type"), pairs)


def _image(option: str, images: list[Export]) -> str:
    for export in images:
        if export.name and export.name != "*":
            return export.name
    raise UsageError(f"{option}: 'inline' and 'max' mean the image that is output; give it a name, as {_NAMED}")


_NAMED = "output='type=image,name=registry/app:1,push=true'"


def _beside(option: str, images: list[Export]) -> str:
    name = _image(option, images).partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}:{_TAG}"


def _check_reference(option: str, text: str) -> None:
    if text in (*_TYPES, *_LATER, "min"):
        raise UsageError(f"{option}: {text!r} alone says too little; write it as {_EXAMPLE}")
    if not _REFERENCE.match(text):
        raise UsageError(f"{option}: {text!r} is not an image reference; write it as {_EXAMPLE}")
