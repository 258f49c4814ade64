"""Inputs: what an op reads, as pb.Input fields by the digests of the vertices behind them."""

from __future__ import annotations

from collections.abc import Mapping

from pyllb.errors import MountError
from pyllb.ir.ops import Output
from pyllb.marshal.wire import integer, message

Digests = Mapping[int, str]
"""The digest of each vertex encoded so far, by its id()."""
Inputs = dict[bytes, int]
"""The inputs of one op in order, each encoded once, and its index."""


def add_input(inputs: Inputs, digests: Digests, output: Output) -> int:
    """The index of an input, appended when it is new."""
    return inputs.setdefault(encode_input(digests, output), len(inputs))


def encode_input(digests: Digests, output: Output) -> bytes:
    """One Op.inputs."""
    digest = digests[id(output.vertex)].encode()
    if output.index == 0:
        return b"\x0a\x49\x0a\x47" + digest  # "sha256:" and 64 hex digits are 71 bytes
    if output.index < 0:
        raise MountError(f"output {output.index} of a vertex; outputs count from 0")
    return message(b"\x0a", message(b"\x0a", digest) + integer(b"\x10", output.index))
