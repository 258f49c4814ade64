"""Export: one thing a solve makes of its result, and where that goes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from pyllb.client.specs.fields import (
    attribute_pairs,
    check_attributes,
    check_ref,
    one_or_many,
    parse_bool,
    parse_fields,
)
from pyllb.errors import NotThereYet, UsageError, near
from pyllb.value import Value

if TYPE_CHECKING:
    from pathlib import Path

    from pyllb.session.filesend import Target

_OPTION = "output"
_EXAMPLE = "'type=local,dest=out' or 'type=image,name=registry/app:1,push=true'"
_TYPES = ("local", "tar", "oci", "docker", "image", "registry")
_FILES = ("tar", "oci", "docker")
IMAGES = ("image", "oci", "docker")
_INDEX_ANNOTATIONS = tuple(f"annotation-{place}{mark}" for place in ("index", "index-descriptor") for mark in ".[")
_OCI_ANNOTATIONS = (*_INDEX_ANNOTATIONS, "annotation-manifest-descriptor.", "annotation-manifest-descriptor[")
_TRUTHS = (
    *("push", "push-by-digest", "unpack", "store", "oci-mediatypes", "force-compression", "rewrite-timestamp"),
    *("registry.insecure", "name-canonical", "prefer-nondist-layers"),
)
_ATTRIBUTES = (
    *_TRUTHS,
    *("name", "dangling-name-prefix", "danging-name-empty-only"),  # the last is upstream's spelling
    *("source-date-epoch", "compression", "compression-level", "oci-artifact", "attestation-inline", "tar"),
    *("attestation-prefix", "platform-split", "mode"),
)


@attrs.frozen(eq=False, repr=False)
class Export(Value):
    """One exporter of a solve. Mirrors client.ExportEntry of BuildKit 0.33.1.

    type: local, tar, oci, docker or image. dest: the directory of local, and of oci and docker with tar=false, which
    make an OCI layout there; the file of tar, oci and docker, "-" being standard output; None for image, which stays
    with the daemon or is pushed. attributes: the exporter's own, such as name, push, compression.
    Raises UsageError for a type or a dest that does not fit; NotThereYet for mode=delete.
    """

    type: str
    dest: str | os.PathLike[str] | None = None
    attributes: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=attribute_pairs)

    def __attrs_post_init__(self) -> None:
        if self.type not in _TYPES:
            raise UsageError(
                f"{_OPTION}: {self.type!r} is not an exporter; there are {', '.join(_TYPES)}{near(self.type, _TYPES)}"
            )
        check_attributes(_OPTION, self.attributes, _ATTRIBUTES)
        self._check_dest()
        self._check_attributes()

    def _check_dest(self) -> None:
        try:
            place = os.fsencode(self.dest or "")
        except (TypeError, UnicodeEncodeError):
            raise UsageError(f"{_OPTION}: dest={self.dest!r} is no path; write a str or a Path") from None
        if b"\0" in place:
            raise UsageError(f"{_OPTION}: dest={os.fspath(self.dest or '')!r} has a NUL character, which no path has")
        if self.type == "local" and not self.dest:
            raise UsageError(f"{_OPTION}: type=local needs a directory; write type=local,dest=DIRECTORY")
        if self.type == "local" and self.dest == "-":
            raise UsageError(f"{_OPTION}: type=local cannot go to standard output; type=tar,dest=- can")
        if self.is_layout and (not self.dest or self.dest == "-"):
            raise UsageError(
                f"{_OPTION}: type={self.type} with tar=false is a directory; write type={self.type},tar=false,dest=DIR"
            )
        if self.type in _FILES and not self.dest:
            raise UsageError(f"{_OPTION}: type={self.type} needs a file; write type={self.type},dest=FILE, or dest=-")
        if self.type in ("image", "registry") and self.dest is not None:
            raise UsageError(
                f"{_OPTION}: type={self.type} takes no dest, here {os.fspath(self.dest)!r}; type=oci and type=docker "
                "write an image to a file"
            )

    def _check_attributes(self) -> None:
        attributes = dict(self.attributes)
        for name in _TRUTHS:
            if name in attributes:
                parse_bool(_OPTION, name, attributes[name])
        if self.pushes and not attributes.get("name"):
            raise UsageError(
                f"{_OPTION}: an image is pushed by its name; write type=image,name=REGISTRY/NAME:TAG,push=true"
            )
        if self.type == "local" and attributes.get("mode", "copy") != "copy":
            _check_mode(attributes["mode"])

    @property
    def pushes(self) -> bool:
        """Whether the image is sent to its registry."""
        push = dict(self.attributes).get("push")
        return self.type == "registry" or (
            self.type == "image" and push is not None and parse_bool(_OPTION, "push", push)
        )

    @property
    def is_layout(self) -> bool:
        """Whether it is an OCI layout in a directory."""
        return _is_layout(self.type, dict(self.attributes))

    @property
    def name(self) -> str:
        """The first name of the image; "" when it has none."""
        return dict(self.attributes).get("name", "").split(",")[0].strip()

    def entry(self, annotations: Iterable[tuple[str, str]] = ()) -> tuple[str, dict[str, str]]:
        """The exporter's type and attributes, as the daemon takes them.

        annotations: attributes of what the build says of the image, for an exporter that makes an OCI one; the user's
        own attribute counts more.
        """
        attributes = {}
        if self.type in ("image", "registry", "oci"):
            attributes = dict(annotations)
        attributes |= dict(self.attributes)
        if self.type != "registry":
            return self.type, attributes
        return "image", {**attributes, "push": "true"}

    def for_target(self, target: str, *, several: bool = True) -> Export:
        """This export for a target that has a name, which takes the place of `{target}` in dest and name.

        several: there are others, whose place has to be another. Raises UsageError.
        """
        places = [str(os.fspath(self.dest or "")), dict(self.attributes).get("name", "")]
        if several and any(places) and not any("{target}" in place for place in places):
            raise UsageError(
                f"{_OPTION}: several targets would overwrite each other at {(places[0] or places[1])!r}; "
                "write {target} in it, as in dest=out/{target}, or solve one target"
            )
        dest = None if self.dest is None else places[0].replace("{target}", target)
        return Export(self.type, dest, [(key, value.replace("{target}", target)) for key, value in self.attributes])


def _is_layout(kind: str, attributes: Mapping[str, str]) -> bool:
    return kind in ("oci", "docker") and not parse_bool(_OPTION, "tar", attributes.get("tar", ""))


def _check_mode(mode: str) -> None:
    if mode == "delete":
        raise NotThereYet(f"{_OPTION}: type=local with mode=delete; mode=copy is there")
    raise UsageError(f"{_OPTION}: mode={mode!r} of type=local is neither copy nor delete")


def parse_export(text: str, *, terminal: bool = False) -> Export:
    """Read buildctl's form, such as `type=tar,dest=app.tar`; no dest of tar, oci and docker is standard output.

    buildx's short forms too: a directory alone is type=local, and `-` is a tar on standard output. terminal: whether
    standard output is one, which gets no tar. Raises as Export does.
    """
    pairs = _short(text) or parse_fields(_OPTION, text, _EXAMPLE)
    if "type" not in pairs:
        raise UsageError(f"{_OPTION}: {text!r} does not say its type; write it as {_EXAMPLE}")
    kind = pairs.pop("type")
    if "output" in pairs:
        raise UsageError(f"{_OPTION}: there is no output= in {text!r}; write dest={pairs['output']}")
    dest = pairs.pop("dest", None)
    if kind in _FILES and dest in (None, "", "-") and not _is_layout(kind, pairs):
        if terminal:
            raise UsageError(f"{_OPTION}: type={kind} is not written to a terminal; write dest=FILE, or redirect it")
        dest = "-"
    return Export(kind, dest, pairs)


def _short(text: str) -> dict[str, str]:
    if not text or any(mark in text for mark in '=,"'):
        return {}
    if text in _TYPES:
        raise UsageError(
            f"{_OPTION}: {text!r} alone says too little; write it as {_EXAMPLE}, "
            f"or a directory of that name as './{text}'"
        )
    return {"type": "tar"} if text == "-" else {"type": "local", "dest": text}


Outputs = str | Export | Iterable[str | Export] | None
"""What `output=` takes."""


def parse_exports(value: Outputs, *, terminal: bool = False) -> tuple[Export, ...]:
    """Read `output=`. Raises UsageError, also when two of them go to one place."""
    exports = []
    for item in one_or_many(_OPTION, value, (str, Export)):
        if not isinstance(item, str | Export):
            raise UsageError(f"{_OPTION}: {item!r} is neither a string nor an Export; write it as {_EXAMPLE}")
        exports.append(parse_export(item, terminal=terminal) if isinstance(item, str) else item)
    _check_distinct(exports)
    if len(layouts := [export for export in exports if export.is_layout]) > 1:
        first, second = (os.fspath(export.dest or "") for export in layouts[:2])
        raise UsageError(
            f"{_OPTION}: two OCI layouts, {first!r} and {second!r}, and the daemon writes one in a solve; "
            "make the other with a solve of its own, or as a tar"
        )
    return tuple(exports)


def _check_distinct(exports: list[Export]) -> None:
    seen = set()
    for export in exports:
        if export.dest is None:
            continue
        place = "-" if export.dest == "-" else os.path.abspath(export.dest)
        if place in seen:
            raise UsageError(f"{_OPTION}: two outputs go to {os.fspath(export.dest)!r}; give each its own dest")
        seen.add(place)


def check_names(export: Export) -> None:
    """Make sure, before anything runs, that an image can have its names. Raises UsageError."""
    names = dict(export.attributes).get("name", "") if export.type in (*IMAGES, "registry") else ""
    for name in filter(None, map(str.strip, names.split(","))):
        if name == "*":  # the names that it comes with
            continue
        check_ref(f"{_OPTION}: name={name}", name)


def check_place(export: Export) -> None:
    """Make sure, before anything runs, that the output can go to its dest. Raises UsageError."""
    if export.dest is None or export.dest == "-":
        return
    from pathlib import Path

    from pyllb.session.filesend import check_destination

    try:
        check_destination(Path(export.dest), directory=export.type == "local" or export.is_layout)
        if export.is_layout:
            _check_layout(Path(export.dest))
    except UsageError as error:
        raise UsageError(f"{_OPTION}: {error.message}") from None


def check_annotations(
    exports: Iterable[Export], annotations: Iterable[tuple[str, str]], *, several: bool = False
) -> None:
    """Make sure, before anything runs, that each annotation has a place in each output. Raises UsageError.

    annotations: as Export.entry has them. several: whether there are several platforms, and so an index. Mirrors what
    the image writer finds at the end of a build (BuildKit 0.33.1).
    """
    said = tuple(annotations)
    for export in exports:
        kind, attributes = export.entry(said)
        if several and kind == "docker":
            raise UsageError(f"{_OPTION}: type=docker is an image for one platform; type=oci may be for several")
        if kind not in IMAGES:
            continue
        oci = kind != "docker" if "oci-mediatypes" not in attributes else _is_true(attributes, "oci-mediatypes")
        for name in attributes:
            if not oci and name.startswith(_OCI_ANNOTATIONS):
                why = f"type={export.type} is not" if "oci-mediatypes" not in attributes else "oci-mediatypes=false"
                raise UsageError(f"{_OPTION}: {name!r} is for an image in OCI's form, and {why}; leave it out")
            if name.startswith(_INDEX_ANNOTATIONS) and not several:
                raise UsageError(
                    f"{_OPTION}: {name!r} of type={export.type} is for an index, and what is made for one platform has "
                    "none; annotate on='manifest'"
                )


def _is_true(attributes: Mapping[str, str], name: str) -> bool:
    return parse_bool(_OPTION, name, attributes[name])


def _check_layout(path: Path) -> None:
    from pyllb.session.index import INDEX, read_index

    if (path / INDEX).exists():
        read_index(path)


def target_of(export: Export) -> Target | None:
    """Where the session puts what the daemon sends of this export; None when it sends nothing, or single blobs."""
    if export.dest is None or export.is_layout:
        return None
    from pathlib import Path

    from pyllb.session.filesend import FileTarget, LocalTarget, StreamTarget

    if export.dest == "-":
        stream = getattr(sys.stdout, "buffer", None)
        if stream is None:  # a notebook's, say
            raise UsageError(f"{_OPTION}: standard output takes text only here; write dest=FILE")
        return StreamTarget(stream)
    path = Path(os.path.abspath(export.dest))  # another thread may change the working directory meanwhile
    return LocalTarget(path) if export.type == "local" else FileTarget(path)
