"""Rare ops: the kinds of vertices that few builds have, apart so that the others need not load them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from pyllb.ir.constraints import NO_CONSTRAINTS, Constraints
from pyllb.ir.site import NOWHERE, Site
from pyllb.value import Shown

if TYPE_CHECKING:
    from pyllb.ir.ops import Output
    from pyllb.ir.platform import Platform


@attrs.frozen(eq=False, repr=False, kw_only=True)
class PassthroughOp(Shown):
    """Filesystems handed on as they are, once all of them are made.

    id: names it, and is in its digest. outputs: indices of the sources that are its results, in order.
    """

    id: str
    sources: tuple[Output, ...] = attrs.field(repr=False)
    outputs: tuple[int, ...]
    constraints: Constraints = NO_CONSTRAINTS
    site: Site = attrs.field(default=NOWHERE, repr=False)

    def inputs(self) -> tuple[Output, ...]:
        return self.sources

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"passthrough {self.id}"


@attrs.frozen(eq=False, repr=False, kw_only=True)
class BuildOp(Shown):
    """What the definition in a file of source makes. filename: "" is the usual one, buildkit.llb.definition."""

    source: Output = attrs.field(repr=False)
    filename: str = ""
    constraints: Constraints = NO_CONSTRAINTS
    site: Site = attrs.field(default=NOWHERE, repr=False)

    def inputs(self) -> tuple[Output, ...]:
        return (self.source,)

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"build of {self.filename or 'buildkit.llb.definition'}"


@attrs.frozen(eq=False, repr=False, kw_only=True)
class EncodedOp(Shown):
    """An op that was marshalled before, kept as its bytes. Mirrors client/llb.DefinitionOp.

    reads: what its inputs mean. caps, constraints, metadata: what stood beside it, read and as it stood. places: each a
    file of its source map and where in it, encoded. identifier, attributes: of a source; else empty. platform: None
    where it has none.
    """

    digest: str
    data: bytes = attrs.field(repr=False)
    title: str
    reads: tuple[Output, ...] = attrs.field(repr=False)
    caps: tuple[str, ...] = ()
    constraints: Constraints = NO_CONSTRAINTS
    metadata: bytes = attrs.field(default=b"", repr=False)
    places: tuple[tuple[bytes, bytes], ...] = attrs.field(default=(), repr=False)
    identifier: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    platform: Platform | None = None

    @property
    def site(self) -> Site:
        """Nowhere: the places are those of the build that made it."""
        return NOWHERE

    def inputs(self) -> tuple[Output, ...]:
        return self.reads
