"""Op encoders: one method per kind of vertex, giving the bytes that Go's client/llb gives (BuildKit 0.33.1).

Every op is inputs, platform, constraints, and then its kind; the kind comes last because it is a oneof in Go.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from pyllb.errors import GraphError
from pyllb.ir.constraints import NO_CONSTRAINTS, Constraints
from pyllb.ir.ops import DiffOp, ExecOp, FileOp, MergeOp, SourceOp, Vertex
from pyllb.ir.platform import Platform
from pyllb.marshal import caps
from pyllb.marshal.evaluate import Evaluator
from pyllb.marshal.exec import ExecEncoder, encode_platform
from pyllb.marshal.files import encode_file
from pyllb.marshal.inputs import Inputs, encode_input
from pyllb.marshal.wire import integer, message, text, text_map, texts, varint
from pyllb.value import Shown

_NO_INPUT = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # -1
_UPLOADS = ("local.session", "local.unique")  # each says whose upload a local source may be
_NO_FILTERS = b"\x5a\x00"
_PLATFORM_SCHEMES = ("docker-image://", "oci-layout://")

Encoded = tuple[bytes, tuple[str, ...]]
"""An op's bytes, and the capabilities it needs."""


@attrs.frozen(eq=False, repr=False)
class OpEncoder(Shown):
    """Encodes the vertices of one marshal call, inputs before those that read them.

    platform: of vertices that name none. local_unique_id: keeps two solves from sharing an upload of a local source.
    digests: of each vertex encoded so far, by its id(); filled by the caller. pins: the identifiers of image sources
    whose digest was resolved, by id() too. base: constraints of every vertex. sets_default_path: see `lower`.
    """

    platform: Platform
    local_unique_id: str
    evaluator: Evaluator
    digests: dict[int, str]
    pins: Mapping[int, str] = attrs.field(factory=dict)
    base: Constraints = NO_CONSTRAINTS
    sets_default_path: bool | None = None
    _exec: ExecEncoder = attrs.field(init=False)
    _platforms: dict[Platform, bytes] = attrs.field(factory=dict, init=False)

    @_exec.default
    def _make_exec(self) -> ExecEncoder:
        return ExecEncoder(self.evaluator, self.digests, self.platform, self.sets_default_path is False)

    def encode(self, vertex: Vertex) -> Encoded:
        """Raises GraphError for what client/llb refuses."""
        if isinstance(vertex, ExecOp):
            return self.exec(vertex)
        if isinstance(vertex, SourceOp):
            return self.source(vertex)
        if isinstance(vertex, FileOp):
            return self.file(vertex)
        if isinstance(vertex, MergeOp):
            return self.merge(vertex)
        if isinstance(vertex, DiffOp):
            return self.diff(vertex)
        from pyllb.marshal import rare  # here: few builds have one of these, and start-up is measured

        return rare.encode(vertex, self)

    def exec(self, op: ExecOp) -> Encoded:
        """A command. Its platform is its own, else the state's, else the call's."""
        inputs: Inputs = {}
        body, platform = self._exec.encode(op, inputs)
        constraints = op.constraints
        if constraints is not NO_CONSTRAINTS and constraints.platform is not None:
            platform = self.platform_field(constraints.platform)
        data = b"".join((*inputs, platform, self.filters(constraints), b"\x12", varint(len(body)), body))
        needs = caps.exec_caps(op)
        return data, (*needs, caps.DEFAULT_PATH) if self.sets_default_path else needs

    def source(self, op: SourceOp) -> Encoded:
        """Content from outside. Only images and OCI layouts keep their platform."""
        attributes, needs = op.attributes, op.caps
        if op.identifier.startswith("local://") and not any(name in _UPLOADS for name, _ in attributes):
            attributes = (*attributes, ("local.unique", self.local_unique_id))
            needs = (*needs, caps.LOCAL_UNIQUE)
        platform = b""
        if op.identifier.startswith(_PLATFORM_SCHEMES):
            platform = self.platform_field(op.constraints.platform or self.platform)
        identifier = self.pins.get(id(op)) or op.identifier if self.pins else op.identifier
        body = text(b"\x0a", identifier) + text_map(b"\x12", attributes)
        return platform + self.filters(op.constraints) + message(b"\x1a", body), needs

    def file(self, op: FileOp) -> Encoded:
        """File actions. The platform is left out."""
        inputs: Inputs = {}
        body = encode_file(op.chain, self.evaluator, self.digests, inputs)
        return b"".join([*inputs, self.filters(op.constraints), message(b"\x22", body)]), caps.FILE

    def merge(self, op: MergeOp) -> Encoded:
        """Filesystems over each other. Equal inputs are kept apart."""
        if len(op.sources) < 2:
            raise GraphError(f"a merge of {len(op.sources)} filesystem(s); it takes two or more")
        inputs = [encode_input(self.digests, source) for source in op.sources]
        body = b"".join([message(b"\x0a", integer(b"\x08", index)) for index in range(len(inputs))])
        return b"".join([*inputs, self.filters(op.constraints), message(b"\x32", body)]), caps.MERGE

    def diff(self, op: DiffOp) -> Encoded:
        """What upper changes in lower; scratch is input -1."""
        if op.lower is None and op.upper is None:
            raise GraphError("a diff of nothing and nothing; one of the two is a filesystem")
        inputs = [encode_input(self.digests, output) for output in op.inputs()]
        lower = b"\x08" + _NO_INPUT if op.lower is None else b""
        upper = b"\x08" + _NO_INPUT if op.upper is None else integer(b"\x08", len(inputs) - 1)
        body = message(b"\x0a", lower) + message(b"\x12", upper)
        return b"".join([*inputs, self.filters(op.constraints), message(b"\x3a", body)]), caps.DIFF

    def platform_field(self, platform: Platform) -> bytes:
        """Op.platform; a call has few, so each is encoded once."""
        found = self._platforms.get(platform)
        if found is None:
            found = self._platforms[platform] = encode_platform(platform)
        return found

    def filters(self, constraints: Constraints) -> bytes:
        """Op.constraints, which is there even when it says nothing."""
        if not constraints.filters and not self.base.filters:
            return _NO_FILTERS
        return message(b"\x5a", texts(b"\x0a", self.base.filters + constraints.filters))
