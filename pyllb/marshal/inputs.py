"""Inputs: what an op reads, as pb.Input fields by the digests of the vertices behind them."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from pyllb.errors import MountError
from pyllb.ir.ops import Output
from pyllb.marshal.wire import integer, message


@attrs.frozen(eq=False)
class Inputs:
    """The inputs of one op in order, equal ones once. digests: by the id() of a vertex. fields: encoded, to index."""

    digests: Mapping[int, str]
    fields: dict[bytes, int] = attrs.field(factory=dict, init=False)

    def add(self, output: Output) -> int:
        """The index of an input, appended when it is new."""
        return self.fields.setdefault(encode_input(self.digests, output), len(self.fields))


def encode_input(digests: Mapping[int, str], output: Output) -> bytes:
    """One Op.inputs."""
    digest = digests[id(output.vertex)].encode()
    if output.index == 0:
        return b"\x0a\x49\x0a\x47" + digest  # "sha256:" and 64 hex digits are 71 bytes
    if output.index < 0:
        raise MountError(f"output {output.index} of a vertex; outputs count from 0")
    return message(b"\x0a", message(b"\x0a", digest) + integer(b"\x10", output.index))
