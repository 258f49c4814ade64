"""Stored sources: images of an OCI layout, and single blobs of a registry or of a layout."""

from __future__ import annotations

import re

from pyllb.dsl import check
from pyllb.dsl.sources import MAX_LAYERS, Attributes, a_digest, file_attributes, file_name
from pyllb.errors import OptionError, RefError
from pyllb.ir.constraints import Constraints
from pyllb.ir.ops import ImageSource, SourceOp
from pyllb.ir.reference import parse_reference
from pyllb.ir.site import Site

_LETTER = r"[^\s/@:%?#]"  # what is none is something else in a URL, as which the daemon reads it
_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?"
_NAMED = rf"{_HOST}/(?:{_LETTER}|[/:])*{_LETTER}(?::{_LETTER}+|(?::{_LETTER}+)?@[^\s@]+)\Z"


def oci_layout_op(
    ref: str,
    constraints: Constraints,
    site: Site,
    *,
    store: str | None,
    session: str | None,
    layer_limit: int | None,
) -> SourceOp:
    """An oci-layout source. Mirrors client/llb OCILayout."""
    if not re.match(_NAMED, check.text("the reference of oci_layout", ref, error=RefError)):
        raise RefError(
            f"{ref!r} names no image of an OCI layout; write 'layouts/NAME@sha256:...' or 'layouts/NAME:TAG'"
        )
    if "@" in ref:
        a_digest("the digest of oci_layout", ref.partition("@")[2])
    attributes = Attributes("source.ocilayout")
    _store(attributes, store, session)
    if layer_limit is not None:
        attributes.set("oci.layerlimit", str(check.integer("layer_limit", layer_limit, 1, MAX_LAYERS)))
    # What another client's session has, this one cannot ask for; the daemon finds images of a layout by digest alone.
    image = None if session is not None else ImageSource(ref, pin="@" not in ref, layout=store or "")
    return attributes.op("oci-layout://" + ref, constraints, site, image=image)


def blob_op(
    ref: str,
    constraints: Constraints,
    site: Site,
    *,
    filename: str | None,
    mode: int | str | None,
    owner: str | int | None,
    layout: bool,
    store: str | None,
    session: str | None,
) -> SourceOp:
    """A blob of a repository. Mirrors client/llb ImageBlob, and OCILayoutBlob where layout is set."""
    what = "oci_layout_blob" if layout else "image_blob"
    name = parse_reference(check.text(f"the reference of {what}", ref, error=RefError))
    if not name.digest or name.tag:
        raise RefError(f"{ref!r} names no blob; write NAME@sha256:..., without a tag: a blob is found by its digest")
    attributes = Attributes("source.imageblob")
    if filename is not None:
        attributes.set("http.filename", file_name(filename))
    file_attributes(attributes, mode, owner)
    if layout:
        _store(attributes, store, session)
    return attributes.op(("oci-layout+blob://" if layout else "docker-image+blob://") + str(name), constraints, site)


def _store(attributes: Attributes, store: str | None, session: str | None) -> None:
    for key, value in (("session", session), ("store", store)):
        if value is not None:
            attributes.set(f"oci.{key}", check.text(key, value))


def bundle_store(attributes: Attributes, bundle: str, store: str | None, session: str | None) -> None:
    """Where the OCI layout of a git bundle is. Mirrors client/llb GitBundleOCIStore."""
    if bundle.startswith("oci-layout+blob://"):
        _store(attributes, store, session)
    elif store is not None or session is not None:
        raise OptionError(f"bundle_store and bundle_session are for 'oci-layout+blob://...', and bundle is {bundle!r}")
