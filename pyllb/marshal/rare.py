"""Rare ops on the wire, as client/llb writes them (BuildKit 0.33.1); apart so that the others need not load them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyllb.errors import GraphError
from pyllb.ir.rare import PassthroughOp
from pyllb.marshal.inputs import encode_input
from pyllb.marshal.ops import filters
from pyllb.marshal.wire import message, packed, text

if TYPE_CHECKING:
    from pyllb.ir.ops import RareOp
    from pyllb.marshal.ops import Encoded, OpEncoder

_PASSTHROUGH = ("passthroughop",)


def encode(op: RareOp, encoder: OpEncoder) -> Encoded:
    """Raises GraphError for what client/llb refuses."""
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
    return b"".join((*inputs, filters(op.constraints), message(b"\x42", body))), _PASSTHROUGH
