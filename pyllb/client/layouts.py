"""OCI layouts of this side: the images that a build reads from them, found before the daemon is asked."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import attrs

from pyllb.client.gateway import Bridge
from pyllb.errors import PyllbError, RefError, UsageError, near
from pyllb.ir.image import ResolvedImage
from pyllb.ir.reference import parse_reference
from pyllb.marshal.lower import ResolveImage
from pyllb.session.layout import Layout


def read_layouts(given: Mapping[str, str | os.PathLike[str]]) -> dict[str, Layout]:
    """The layouts of `oci_layouts=`. Raises UsageError."""
    for name in given:
        if not (name.isascii() and name.isprintable()):  # the daemon puts it into a header
            raise UsageError(f"oci_layouts: the name {name!r} has more than printable ASCII, which the daemon refuses")
    # Another thread may change the working directory while the daemon reads.
    return {name: Layout(Path(os.path.abspath(directory))) for name, directory in given.items()}


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
