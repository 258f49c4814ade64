"""Tree: a definition as indented text, one line per field, made for golden files and review."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

    from pyllb.marshal.definition import Definition


def tree(definition: Definition) -> str:
    """Every op with its number, digest, fields and metadata; an input is `#N OUTPUT`."""
    from pyllb._pb import ops_pb2

    numbers = {digest: number for number, (digest, _) in enumerate(definition.ops)}
    metadata, lines = definition.metadata, []
    for digest, data in definition.ops:
        op = ops_pb2.Op.FromString(data)
        lines.append(f"#{numbers[digest]} {op.WhichOneof('op') or 'return'} {digest}")
        lines += [f"  input #{numbers[read.digest]} {read.index}" for read in op.inputs]
        op.ClearField("inputs")
        lines += _fields(op)
        if digest in metadata:
            lines += _metadata(metadata[digest].to_bytes())
        lines += [
            f"  at {definition.source.infos[place.source].filename}:{place.start_line}-{place.end_line}"
            for place in definition.source.locations.get(digest, ())
        ]
    return "\n".join(lines) + "\n" if lines else "scratch\n"


def _metadata(data: bytes) -> Iterator[str]:
    from pyllb._pb import ops_pb2

    yield "  metadata"
    yield from ("  " + line for line in _fields(ops_pb2.OpMetadata.FromString(data)))


def _fields(message: Message) -> list[str]:
    """The fields that are set, in order of number; a message's own fields stand under its name."""
    lines: list[str] = []
    stack: list[tuple[int, str, object, FieldDescriptor | None]] = [(0, "", message, None)]
    while stack:
        depth, name, value, field = stack.pop()
        indent = "  " * depth
        if not hasattr(value, "ListFields"):
            lines.append(f"{indent}{name}: {_scalar(value, field)}")
            continue
        if name:
            lines.append(f"{indent}{name}")
        children = [child for f, v in value.ListFields() for child in _children(depth + 1, f, v)]
        stack += reversed(children)
    return lines


def _children(depth: int, field: FieldDescriptor, value: object) -> Iterator[tuple[int, str, object, FieldDescriptor]]:
    if isinstance(value, Mapping):
        yield from ((depth, f"{field.name}[{key}]", value[key], field) for key in sorted(value))
    elif isinstance(value, str | bytes | int | float) or hasattr(value, "ListFields"):
        yield depth, field.name, value, field
    else:
        yield from ((depth, field.name, item, field) for item in cast("Iterable[object]", value))


def _scalar(value: object, field: FieldDescriptor | None) -> str:
    if isinstance(value, bytes):
        return repr(value)
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int) and field is not None and field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else str(value)
    return str(value)
