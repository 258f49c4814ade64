"""Rare ops on the wire, as client/llb writes them (BuildKit 0.33.1); apart so that the others need not load them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyllb.errors import GraphError
from pyllb.ir.rare import BuildOp, PassthroughOp
from pyllb.marshal.inputs import encode_input
from pyllb.marshal.wire import message, packed, text, text_map

if TYPE_CHECKING:
    from pyllb.ir.ops import RareOp
    from pyllb.marshal.ops import Encoded, OpEncoder

_PASSTHROUGH = ("passthroughop",)
_BUILD = ("source.buildop.llbfilename",)
_LLB_BUILDER = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # BuildOp.builder -1, the only one there is
_FILE_INPUT = b"buildkit.llb.definition"  # the input that the file is in, which is the op's first


def encode(op: RareOp, encoder: OpEncoder) -> Encoded:
    """Raises GraphError for what client/llb refuses."""
    if isinstance(op, BuildOp):
        return _build(op, encoder)
    assert isinstance(op, PassthroughOp)  # an EncodedOp is emitted as it is
    return _passthrough(op, encoder)


def _passthrough(op: PassthroughOp, encoder: OpEncoder) -> Encoded:
    """Filesystems handed on. Equal inputs are kept apart."""
    if not op.id:
        raise GraphError("a passthrough without id; it is part of its cache key")
    if not op.outputs or not all(0 <= index < len(op.sources) for index in op.outputs):
        raise GraphError(f"a passthrough with outputs {op.outputs} of {len(op.sources)} input(s)")
    inputs = [encode_input(encoder.digests, source) for source in op.sources]
    body = text(b"\x0a", op.id) + packed(b"\x12", op.outputs)
    return b"".join((*inputs, encoder.filters(op.constraints), message(b"\x42", body))), _PASSTHROUGH


def _build(op: BuildOp, encoder: OpEncoder) -> Encoded:
    """A definition in a file. The platform is its own or the call's; that of the state is not asked."""
    platform = encoder.platform_field(op.constraints.platform or encoder.platform)
    reads = message(b"\x12", message(b"\x0a", _FILE_INPUT) + message(b"\x12", b""))
    attributes = text_map(b"\x22", (("llbbuild.filename", op.filename),)) if op.filename else b""
    head = encode_input(encoder.digests, op.source) + platform + encoder.filters(op.constraints)
    return head + message(b"\x2a", _LLB_BUILDER + reads + attributes), _BUILD
