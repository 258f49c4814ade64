"""Vertex: an op of a definition as it was read: what it does, what it reads, and what a person calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from pyllb.ir.constraints import CUSTOM_NAME
from pyllb.ir.platform import Platform
from pyllb.value import Value

if TYPE_CHECKING:
    from pyllb._pb import ops_pb2

RETURN = "return"
UNKNOWN = "unknown"


@attrs.frozen(eq=False, repr=False)
class Input(Value):
    """An output of another op. index: which of its outputs, from 0."""

    digest: str
    index: int


@attrs.frozen(eq=False, repr=False)
class DefinitionVertex(Value):
    """An op of a definition.

    kind: exec, source, file, merge, diff, build or passthrough; "return" for the last one, which says what the result
    is; "unknown" for one of a later BuildKit. name: what its metadata calls it, else what it does. platform: None where
    the op has none. data: the op as it stands in the definition.
    """

    digest: str
    kind: str
    name: str
    inputs: tuple[Input, ...]
    platform: Platform | None
    data: bytes = attrs.field(repr=False)

    @classmethod
    def of(
        cls, digest: str, op: ops_pb2.Op, data: bytes, description: Mapping[str, str], last: bool
    ) -> DefinitionVertex:
        """The vertex of a message. description: that of its metadata. last: whether it is the definition's last op."""
        kind = op.WhichOneof("op") or (RETURN if last else UNKNOWN)
        name = description.get(CUSTOM_NAME) or op_name(op) or kind
        inputs = tuple([Input(read.digest, read.index) for read in op.inputs])
        return cls(digest, kind, name, inputs, _platform(op), data)


def _platform(op: ops_pb2.Op) -> Platform | None:
    if not op.HasField("platform"):
        return None
    found = op.platform
    return Platform(found.OS, found.Architecture, found.Variant, found.OSVersion, tuple(found.OSFeatures))


def op_name(op: ops_pb2.Op) -> str:
    """What an op does, as the daemon shows one that has no name of its own; "" for what it has no words for.

    A merge and a diff are told without the names of what they read, which may themselves be merges.
    """
    match op.WhichOneof("op"):
        case "source":
            return op.source.identifier
        case "exec":
            return " ".join(op.exec.meta.args)
        case "file":
            return ", ".join(filter(None, map(_action_name, op.file.actions)))
        case "merge":
            return f"merge of {len(op.inputs)}"
        case "passthrough":
            return f"passthrough {op.passthrough.id}"
        case other:
            return other or ""


def _action_name(action: ops_pb2.FileAction) -> str:
    match action.WhichOneof("action"):
        case "copy":
            return f"copy {action.copy.src} {action.copy.dest}"
        case "mkfile":
            return f"mkfile {action.mkfile.path}"
        case "mkdir":
            return f"mkdir {action.mkdir.path}"
        case "rm":
            return f"rm {action.rm.path}"
        case "symlink":
            return f"symlink {action.symlink.newpath} -> {action.symlink.oldpath}"
        case _:
            return ""
