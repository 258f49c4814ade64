"""OCI layouts of this side: the images that a build reads from them, and the one that it makes."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import attrs

from pyllb.client.gateway import Bridge
from pyllb.client.specs.output import Export
from pyllb.errors import PyllbError, RefError, SessionError, UsageError, near
from pyllb.ir.image import ResolvedImage
from pyllb.ir.reference import parse_reference
from pyllb.marshal.lower import ResolveImage
from pyllb.session.content import EXPORT, Content, layout_id
from pyllb.session.index import put_image
from pyllb.session.ingest import Ingest
from pyllb.session.layout import Layout
from pyllb.value import Value

_DESCRIPTOR = "containerimage.descriptor"


def read_layouts(value: object) -> dict[str, Layout]:
    """Read `oci_layouts=`, a mapping of names to directories. Raises UsageError."""
    if not isinstance(value, Mapping):
        raise UsageError(f"oci_layouts: {value!r} is not a mapping; write {{'NAME': DIRECTORY}}")
    for name, directory in value.items():
        if not isinstance(name, str) or not name or not isinstance(directory, str | os.PathLike):
            raise UsageError(f"oci_layouts: {name!r}: {directory!r} is not a name and its directory")
    # Another thread may change the working directory while the daemon reads.
    return {name: Layout(Path(os.path.abspath(directory))) for name, directory in value.items()}


def check_layouts(layouts: Mapping[str, Layout]) -> None:
    """Make sure that each is one. Raises UsageError, naming it."""
    for name, layout in layouts.items():
        try:
            layout.check()
        except UsageError as error:
            raise UsageError(f"OCI layout {name!r}: {error.message}") from None


def locate(layouts: Mapping[str, Layout], name: str, ref: str) -> str:
    """The reference with the digest of what it names in the layout of that name, which is there.

    ref: with a digest, or with a tag that the layout's index has: as the tag, as the whole name, or as that without
    what Docker leaves out. Raises UsageError.
    """
    if name not in layouts:
        raise UsageError(missing(name, layouts))
    layout, digest = layouts[name], ref.partition("@")[2]
    if not digest:
        return f"{ref}@{layout.find(_spellings(ref), ref.rpartition(':')[2])}"
    if not layout.has(digest):
        raise UsageError(f"the OCI layout {name!r} in {str(layout.path)!r} has no blob {digest}")
    return ref


def _spellings(ref: str) -> Iterable[str]:
    yield ref
    try:
        yield str(parse_reference(ref))
    except RefError:
        return


def missing(name: str, given: Collection[str]) -> str:
    """What to say of a layout that a build reads and nobody gave."""
    if not name:
        return "an OCI layout is read here that has no name; write store=NAME, and give oci_layouts={NAME: DIRECTORY}"
    return (
        f"OCI layout {name!r} is read here but was not given; give oci_layouts={{{name!r}: DIRECTORY}}, "
        f"or on the command line --oci-layout {name}=DIRECTORY{near(name, given)}"
    )


@attrs.frozen(eq=False, repr=False)
class LayoutMade(Value):
    """An OCI layout that a solve makes. ingest: takes its blobs."""

    export: Export
    ingest: Ingest

    @classmethod
    def of(cls, export: Export) -> LayoutMade:
        """The layout of an export that is one."""
        return cls(export, Ingest(Layout(Path(os.path.abspath(export.dest or "")))))

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Put the image that came into the index, under the export's names. metadata: the exporters' response.

        Raises SessionError when that cannot be. Mirrors client.Solve of BuildKit 0.33.1.
        """
        layout = self.ingest.layout
        try:
            layout.mark()
            put_image(layout.path, self._descriptor(metadata), self._names(metadata))
        except (OSError, ValueError, UsageError) as error:
            text = f"the image's blobs are in {str(layout.path)!r}, but its index was not written: {error}"
            raise SessionError(text) from error

    def _descriptor(self, metadata: Mapping[str, str]) -> Mapping[str, object]:
        """Of the image: the daemon's, when it speaks of this one. Several exporters answer in the same place."""
        text, digest = metadata.get(_DESCRIPTOR), self.ingest.last
        found: object = json.loads(base64.b64decode(text)) if text else None
        if isinstance(found, dict) and found.get("digest") == digest:
            return found
        if not digest:
            raise ValueError("no blob came")
        path = self.ingest.layout.blob(digest)
        return {"mediaType": json.loads(path.read_bytes())["mediaType"], "digest": digest, "size": path.stat().st_size}

    def _names(self, metadata: Mapping[str, str]) -> list[str]:
        names = dict(self.export.attributes).get("name", "")
        if names == "*":
            names = metadata.get("image.name", "")
        return [str(parse_reference(name.strip())) for name in names.split(",") if name.strip()]


def content(layouts: Mapping[str, Layout], made: LayoutMade | None) -> Content:
    """The service for the layouts of a solve, by the ids that the daemon has for them."""
    stores: dict[str, Layout | Ingest] = {layout_id(name): layout for name, layout in layouts.items()}
    if made is not None:
        stores[EXPORT] = made.ingest
    return Content(stores)


def resolve(
    bridge: Bridge, layouts: Mapping[str, Layout], wanted: Iterable[ResolveImage]
) -> Mapping[ResolveImage, ResolvedImage | PyllbError]:
    """As Bridge.resolve, for images of OCI layouts too, whose digest this side knows."""
    answers: dict[ResolveImage, ResolvedImage | PyllbError] = {}
    asked: dict[ResolveImage, ResolveImage] = {}
    for image in wanted:
        try:
            ref = image.ref if image.layout is None else locate(layouts, image.layout, image.ref)
            asked[image] = attrs.evolve(image, ref=ref)
        except UsageError as error:
            answers[image] = error
    found = bridge.resolve(frozenset(asked.values()))
    return answers | {image: _of_layout(located, found[located]) for image, located in asked.items()}


def _of_layout(image: ResolveImage, answer: ResolvedImage | PyllbError) -> ResolvedImage | PyllbError:
    """The answer with the digest of the image's own reference, which is what the index says."""
    if image.layout is None or isinstance(answer, PyllbError):
        return answer
    return attrs.evolve(answer, digest=image.ref.partition("@")[2])
