"""Ops: the vertices of a build as frozen records, and Output, one result of one of them.

Two ops that look alike are two vertices (identity, not value): they become one when their digests agree, in marshal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import attrs

from pyllb.ir.constraints import NO_CONSTRAINTS, Constraints
from pyllb.ir.files import Chain, FileAction
from pyllb.ir.image import ImageSpec
from pyllb.ir.meta import Meta
from pyllb.ir.mounts import BindMount, PlacedMount, SecretMount, SshMount
from pyllb.ir.record import constructor
from pyllb.ir.site import NOWHERE, Site
from pyllb.value import Shown, Value

if TYPE_CHECKING:
    from pyllb.ir.platform import Platform
    from pyllb.ir.rare import BuildOp, EncodedOp, PassthroughOp


@attrs.frozen(eq=False, repr=False, weakref_slot=False)
class Output(Shown):
    """One result of a vertex. index counts the vertex' results."""

    vertex: Vertex = attrs.field(repr=False)
    index: int = 0

    def __copy__(self) -> Output:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Output:  # every way to another vertex leads through an Output
        return self


make_output = constructor(Output)


@attrs.frozen(eq=False, repr=False)
class LocalDir(Value):
    """The client directory behind a local source. path: as written. relative_to: the file it was written in."""

    path: str
    relative_to: str = ""


ResolveMode = Literal["default", "pull", "local"]
RESOLVE_MODES: tuple[ResolveMode, ...] = ("default", "pull", "local")


@attrs.frozen(eq=False, repr=False)
class ImageSource(Value):
    """What the resolver needs to know of an image source. ref: normalised. mode: default, pull or local.

    pin: whether the digest that the resolver found becomes part of the identifier. layout: the name of the OCI layout
    that the client serves the image from, whose ref is as it was written; None for an image of a registry.
    """

    ref: str
    mode: str = "default"
    pin: bool = False
    layout: str | None = None


@attrs.frozen(eq=False, repr=False, kw_only=True)
class SourceOp(Shown):
    """Content from outside. identifier: with its scheme. attributes: SourceOp.attrs. caps: as Go's client sets them.

    image: set for docker-image sources, and for those of OCI layouts that this client serves. local: set for local
    sources, None when only the name is known.
    """

    identifier: str
    attributes: tuple[tuple[str, str], ...] = ()
    caps: tuple[str, ...] = ()
    constraints: Constraints = NO_CONSTRAINTS
    site: Site = attrs.field(default=NOWHERE, repr=False)
    image: ImageSource | None = None
    local: LocalDir | None = None

    def inputs(self) -> tuple[Output, ...]:
        return ()


@attrs.frozen(eq=False, repr=False)
class ProxyEnv(Value):
    """Proxy variables of a command that are not part of its cache key."""

    http_proxy: str = ""
    https_proxy: str = ""
    ftp_proxy: str = ""
    no_proxy: str = ""
    all_proxy: str = ""


@attrs.frozen(eq=False, repr=False, kw_only=True, weakref_slot=False)
class ExecOp(Shown):
    """A command in a container.

    mounts: sorted by target, the root among them. ok_codes: None is only 0. devices: (CDI name, optional).
    """

    args: tuple[str, ...]
    meta: Meta
    mounts: tuple[PlacedMount, ...] = attrs.field(repr=False)
    secrets: tuple[SecretMount, ...] = ()
    ssh: tuple[SshMount, ...] = ()
    ok_codes: tuple[int, ...] | None = None
    proxy: ProxyEnv | None = None
    devices: tuple[tuple[str, bool], ...] = ()
    constraints: Constraints = NO_CONSTRAINTS
    site: Site = attrs.field(default=NOWHERE, repr=False)

    def inputs(self) -> tuple[Output, ...]:
        """Sources of the sorted mounts, each output object once (Go's ExecOp.Inputs)."""
        found = [m.source for m in self.mounts if m.source is not None]
        return tuple(found) if len(found) < 2 else tuple(unique(iter(found)))

    def output_of(self, mount: PlacedMount) -> Output | None:
        """The result of a mount; its own source when it is read-only; None for scratch. mount must make one."""
        if isinstance(mount, BindMount) and mount.readonly:
            return mount.source
        writable = [m for m in self.mounts if makes_output(m)]
        return Output(self, next(index for index, m in enumerate(writable) if m is mount))


make_exec = constructor(ExecOp)


def makes_output(mount: PlacedMount) -> bool:
    """Whether what a command leaves in the mount is a result of the exec."""
    return isinstance(mount, BindMount) and not mount.readonly and not mount.no_output


@attrs.frozen(eq=False, repr=False, kw_only=True)
class FileOp(Shown):
    """File actions done by the daemon itself, all in one op; the last action's tree is the result."""

    chain: Chain = attrs.field(repr=False)
    constraints: Constraints = NO_CONSTRAINTS
    site: Site = attrs.field(default=NOWHERE, repr=False)

    def inputs(self) -> tuple[Output, ...]:
        """From the last action back: its base, its copy source, then the action before (Go's FileOp.Inputs)."""
        return tuple(unique(self.chain.outputs()))

    @property
    def actions(self) -> tuple[FileAction, ...]:
        return self.chain.actions


@attrs.frozen(eq=False, repr=False, kw_only=True)
class MergeOp(Shown):
    """Filesystems laid over each other, the last on top; at least two."""

    sources: tuple[Output, ...] = attrs.field(repr=False)
    constraints: Constraints = NO_CONSTRAINTS
    site: Site = attrs.field(default=NOWHERE, repr=False)

    def inputs(self) -> tuple[Output, ...]:
        return self.sources


@attrs.frozen(eq=False, repr=False, kw_only=True)
class DiffOp(Shown):
    """What upper changes in lower; None is scratch, and not both are."""

    lower: Output | None = attrs.field(repr=False)
    upper: Output | None = attrs.field(repr=False)
    constraints: Constraints = NO_CONSTRAINTS
    site: Site = attrs.field(default=NOWHERE, repr=False)

    def inputs(self) -> tuple[Output, ...]:
        return tuple(output for output in (self.lower, self.upper) if output is not None)


RareOp: TypeAlias = "PassthroughOp | BuildOp | EncodedOp"
"""Kinds that few builds have: pyllb.ir.rare."""
Vertex: TypeAlias = "SourceOp | ExecOp | FileOp | MergeOp | DiffOp | RareOp"


class Node(Protocol):
    """What can be marshalled and solved: a state. The dsl's FS is one."""

    @property
    def output(self) -> Output | None: ...
    @property
    def meta(self) -> Meta: ...
    @property
    def spec(self) -> ImageSpec: ...


def made_for(vertex: Vertex) -> Platform | None:
    """The platform that a vertex was made for by name, which its results carry; None when it names none."""
    if isinstance(vertex, SourceOp | ExecOp):
        return vertex.constraints.platform
    carried: Platform | None = getattr(vertex, "platform", None)  # of an op that was read from a definition
    return carried


def unique(outputs: Iterator[Output]) -> Iterator[Output]:
    """Each output object once, in order."""
    seen: set[int] = set()
    for output in outputs:
        if id(output) not in seen:
            seen.add(id(output))
            yield output
