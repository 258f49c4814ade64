"""Stores: the content stores that the session of one solve serves: layouts that are read, and those that are made.

Mirrors client.Solve and its parseCacheOptions of BuildKit 0.33.1.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import attrs

from pyllb.client.specs.cache import CacheSpec
from pyllb.client.specs.fields import parse_bool
from pyllb.client.specs.output import Export
from pyllb.errors import SessionError, UsageError
from pyllb.ir.reference import parse_reference
from pyllb.session.content import EXPORT, Content, cache_id, layout_id
from pyllb.session.filesend import check_destination
from pyllb.session.index import INDEX, put_image
from pyllb.session.ingest import Ingest
from pyllb.session.layout import Layout
from pyllb.status import VertexWarning
from pyllb.value import Value

_IMAGE = "containerimage.descriptor"
_CACHE = "cache.manifest"


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Made(Value):
    """A layout that a solve makes. what: "image" or "cache". names: of an image, "*" being those that it came with.

    tag: where there are no names. optional: whether what comes may be nothing, or not whole. collect: remove at the end
    what is no part of the index.
    """

    what: str
    ingest: Ingest
    names: tuple[str, ...] = ()
    tag: str = "latest"
    optional: bool = False
    collect: bool = False

    def finish(self, metadata: Mapping[str, str]) -> VertexWarning | None:
        """Put what came into the index. metadata: the exporters' response. Raises SessionError when that cannot be."""
        layout = self.ingest.layout
        try:
            descriptor = self._descriptor(metadata)
            if descriptor is not None:
                layout.mark()
                put_image(layout.path, descriptor, self._names(metadata), tag=self.tag)
        except (OSError, ValueError, UsageError) as error:
            text = f"the {self.what} in {str(layout.path)!r} is not whole: its index was not written: {error}"
            raise SessionError(text) from error
        self.ingest.release()
        return self._collected() if self.collect and descriptor is not None else None

    def _collected(self) -> VertexWarning | None:
        layout = self.ingest.layout
        try:
            layout.collect()
        except (OSError, UsageError) as error:
            text = (
                f"the {self.what} in {str(layout.path)!r} is whole, but what it does not need is still there: {error}"
            )
            return VertexWarning(vertex="", short=text)
        return None

    def _descriptor(self, metadata: Mapping[str, str]) -> Mapping[str, object] | None:
        """Of what came: the daemon's, when it speaks of this one. Several exporters answer in the same place."""
        layout, digest = self.ingest.layout, self.ingest.last
        found = _answer(metadata, self.what)
        if isinstance(found, dict) and found.get("digest") == digest:
            return found
        try:
            path = layout.blob(digest) if digest else layout.path
            kind = json.loads(path.read_bytes())["mediaType"]
        except (OSError, ValueError, KeyError, TypeError):
            if self.optional:
                return None
            raise ValueError(f"the blob that came last is {digest or 'none'}, and no manifest") from None
        return {"mediaType": kind, "digest": digest, "size": path.stat().st_size}

    def _names(self, metadata: Mapping[str, str]) -> list[str]:
        names = self.names
        if names == ("*",):
            names = tuple(metadata.get("image.name", "").split(","))
        return [str(parse_reference(name.strip())) for name in names if name.strip()]


def _answer(metadata: Mapping[str, str], what: str) -> object:
    """The descriptor of an image or a cache among the exporters' response; None when it has none."""
    text = metadata.get(_IMAGE if what == "image" else _CACHE)
    if not text:
        return None
    return json.loads(base64.b64decode(text) if what == "image" else text)


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Stores(Value):
    """What the session serves, by store id, and what is made of it. A context manager, which ends the making.

    caches: as the daemon takes them, by direction.

    warnings: of caches that are not there.
    """

    served: Mapping[str, Layout | Ingest]
    made: tuple[Made, ...]
    cache_from: tuple[CacheSpec, ...]
    cache_to: tuple[CacheSpec, ...]
    warnings: tuple[VertexWarning, ...]

    def content(self) -> Content:
        """The service."""
        return Content(self.served)

    def finish(self, metadata: Mapping[str, str]) -> tuple[VertexWarning, ...]:
        """Write the indices of what was made, and return all warnings. Raises SessionError."""
        told = [made.finish(metadata) for made in self.made]
        return (*self.warnings, *(warning for warning in told if warning is not None))

    def __enter__(self) -> Stores:
        return self

    def __exit__(self, *_: object) -> None:
        for made in self.made:
            made.ingest.release()


def stores_of(
    exports: Iterable[Export],
    layouts: Mapping[str, Layout],
    cache_from: Iterable[CacheSpec],
    cache_to: Iterable[CacheSpec],
) -> Stores:
    """The stores of a solve. Raises UsageError for what is there and is no layout."""
    served: dict[str, Layout | Ingest] = {layout_id(name): layout for name, layout in layouts.items()}
    made, sources, targets, warnings = [], [], [], []
    for spec in cache_from:
        if spec.type != "local":
            sources.append(spec)
        elif (source := _cache_source(spec)) is None:
            text = f"the build cache in {dict(spec.attributes)['src']!r} is not there; the build goes on without"
            warnings.append(VertexWarning(vertex="", short=text))
        else:
            sources.append(source[0])
            served[cache_id(dict(source[0].attributes)["src"])] = source[1]
    for spec in cache_to:
        if spec.type == "local":
            spec, cache = _cache_target(spec)
            made.append(cache)
            served[cache_id(dict(spec.attributes)["dest"])] = cache.ingest
        targets.append(spec)
    for export in exports:
        if export.is_layout:
            names = tuple(dict(export.attributes).get("name", "").split(","))
            made.append(Made(what="image", ingest=Ingest(_layout(export.dest or "")), names=names))
            served[EXPORT] = made[-1].ingest
    return Stores(
        served=served,
        made=tuple(made),
        cache_from=tuple(sources),
        cache_to=tuple(targets),
        warnings=tuple(warnings),
    )


def _cache_source(spec: CacheSpec) -> tuple[CacheSpec, Layout] | None:
    """A local cache as the daemon takes it, by the digest that its tag has now; None when it is not there."""
    attributes = dict(spec.attributes)
    layout = _layout(attributes["src"])
    if layout.path.is_file():
        raise UsageError(f"cache_from: {str(layout.path)!r} is a file; a build cache of type=local is a directory")
    if not (layout.path / INDEX).exists():
        return None
    digest = attributes.get("digest", "")
    if not digest:
        tag = attributes.get("tag", "latest")
        digest = next((entry.digest for entry in layout.manifests() if tag in (entry.name, entry.tag)), "")
    if not layout.has(digest):
        return None
    return CacheSpec("local", {**attributes, "src": _place(layout), "digest": digest}), layout


def _cache_target(spec: CacheSpec) -> tuple[CacheSpec, Made]:
    attributes = dict(spec.attributes)
    layout = _layout(attributes["dest"])
    try:
        check_destination(layout.path, directory=True)
        if (layout.path / INDEX).exists():
            layout.manifests()
    except UsageError as error:
        raise UsageError(f"cache_to: {error.message}") from None
    cache = Made(
        what="cache",
        ingest=Ingest(layout),
        tag=attributes.get("tag", "latest"),
        optional=True,  # of a build that has no layers, there is none
        collect=parse_bool("cache_to", "reset", attributes.get("reset", "false")),
    )
    return CacheSpec("local", {**attributes, "dest": _place(layout)}), cache


def _layout(directory: str | os.PathLike[str]) -> Layout:
    return Layout(Path(os.path.abspath(directory)))  # another thread may change the working directory meanwhile


def _place(layout: Layout) -> str:
    """The directory as the daemon is to name it in a header, which takes ASCII; it is this side's word alone."""
    return quote(os.fsencode(layout.path), safe="/ !#$&'()*+,:;=?@[]~^{|}`<>")
