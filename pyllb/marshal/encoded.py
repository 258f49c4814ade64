"""Encoded graph: a definition that was marshalled before as vertices that others can be built on.

Mirrors client/llb.NewDefinitionOp (BuildKit 0.33.1): bytes and metadata stay what they are, the source map is carried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyllb.errors import DefinitionError
from pyllb.ir.constraints import Constraints
from pyllb.ir.meta import Meta, Settings
from pyllb.ir.ops import Output
from pyllb.ir.rare import EncodedOp

if TYPE_CHECKING:
    from pyllb.marshal.definition import Definition
    from pyllb.marshal.metadata import OpMetadata


def encoded_output(definition: Definition) -> Output | None:
    """The result of a definition; None when it is empty. Raises DefinitionError for one whose inputs go in a circle."""
    if not definition.ops:
        return None
    (result,) = definition.inputs(definition.ops[-1][0])
    return Output(_vertices(definition, result.digest)[result.digest], result.index)


def encoded_meta(definition: Definition) -> Meta:
    """The values of a definition's result: the platform of the op that made it, and no others."""
    platform = definition.vertex(definition.digest).platform if definition.ops else None
    return Meta((), Settings(platform=None if platform is None else platform.normalized()))


def _vertices(definition: Definition, root: str) -> dict[str, EncodedOp]:
    """Every op under root, inputs first; a loop, as graphs may be deep."""
    made: dict[str, EncodedOp] = {}
    waiting: set[str] = set()
    metadata = definition.metadata
    stack = [root]
    while stack:
        digest = stack[-1]
        missing = [read.digest for read in definition.inputs(digest) if read.digest not in made]
        if digest in made or not missing:
            stack.pop()
            if digest not in made:
                made[digest] = _vertex(definition, digest, made, metadata.get(digest))
            continue
        if digest in waiting:
            raise DefinitionError(f"op {digest} reads itself through others")
        waiting.add(digest)
        stack += dict.fromkeys(reversed(missing))
    return made


def _vertex(definition: Definition, digest: str, made: dict[str, EncodedOp], metadata: OpMetadata | None) -> EncodedOp:
    from pyllb._pb import ops_pb2

    vertex = definition.vertex(digest)
    source = ops_pb2.Op.FromString(vertex.data).source
    return EncodedOp(
        digest=digest,
        data=vertex.data,
        title=vertex.name,
        reads=tuple([Output(made[read.digest], read.index) for read in vertex.inputs]),
        caps=metadata.caps if metadata is not None else (),
        constraints=_constraints(metadata) if metadata is not None else Constraints(),
        metadata=definition.encoded_metadata(digest),
        places=definition.encoded_places(digest),
        identifier=source.identifier,
        attributes=tuple(sorted(source.attrs.items())),
        platform=vertex.platform,
    )


def _constraints(metadata: OpMetadata) -> Constraints:
    return Constraints(
        description=metadata.description,
        ignore_cache=metadata.ignore_cache,
        export_cache=metadata.export_cache,
        group=metadata.group,
        resources=metadata.resources,
    )
