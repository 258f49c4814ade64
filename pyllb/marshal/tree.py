"""Tree: a definition as indented text, one line per field, made for golden files and review."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

    from pyllb._pb import ops_pb2
    from pyllb.marshal.definition import Location, Source, SourceInfo

_LONG = 1000  # bytes of a file's content that are told in full


def tree(ops: Sequence[tuple[str, ops_pb2.Op, ops_pb2.OpMetadata]], source: Source) -> str:
    """Every op with its number, digest, fields and metadata; an input is `#N OUTPUT`. ops: with their digests."""
    numbers = {digest: number for number, (digest, _, _) in enumerate(ops)}
    lines = []
    for number, (digest, op, metadata) in enumerate(ops):
        lines.append(f"#{number} {_kind(op, number == len(ops) - 1)} {digest}")
        lines += [f"  input #{numbers[read.digest]} {read.index}" for read in op.inputs]
        op.ClearField("inputs")
        lines += fields(op)
        if metadata.ByteSize():
            lines.append("  metadata")
            lines += ["  " + line for line in fields(metadata)]
        lines += ["  at " + _place(place, source) for place in source.locations.get(digest, ())]
    lines += [_file(number, info) for number, info in enumerate(source.infos)]
    return printable("\n".join(lines) + "\n" if lines else "scratch\n")


def _kind(op: ops_pb2.Op, last: bool) -> str:
    return op.WhichOneof("op") or ("return" if last else "unknown")


def _place(place: Location, source: Source) -> str:
    """file:first-last, and the columns behind the lines where there are any."""
    start, end = str(place.start_line), str(place.end_line)
    if place.start_character or place.end_character:
        start, end = f"{start}:{place.start_character}", f"{end}:{place.end_character}"
    return f"{source.infos[place.source].filename}:{start}-{end}"


def _file(number: int, info: SourceInfo) -> str:
    digest = hashlib.sha256(info.data).hexdigest()
    return f"file {number} {info.filename} {info.language or '-'} {len(info.data)} bytes sha256:{digest}"


def fields(message: Message) -> list[str]:
    """The fields that are set, in order of number, each a line; a message's own fields stand under its name."""
    lines: list[str] = []
    stack: list[tuple[int, str, object, FieldDescriptor | None]] = [(0, "", message, None)]
    while stack:
        depth, name, value, field = stack.pop()
        indent = "  " * depth
        if not hasattr(value, "ListFields"):
            lines.append(f"{indent}{name}: {scalar(name, value, field)}")
            continue
        if name:
            lines.append(f"{indent}{name}")
        inner = cast("Message", value)
        lines += [f"{indent}  {line}" for line in _unknown(inner)]
        stack += reversed([child for f, v in inner.ListFields() for child in _children(depth + 1, f, v)])
    return lines


def _children(depth: int, field: FieldDescriptor, value: object) -> Iterator[tuple[int, str, object, FieldDescriptor]]:
    if isinstance(value, Mapping):
        yield from ((depth, f"{field.name}[{key}]", value[key], field) for key in sorted(value))
    elif isinstance(value, str | bytes | int | float) or hasattr(value, "ListFields"):
        yield depth, field.name, value, field
    else:
        yield from ((depth, field.name, item, field) for item in cast("Iterable[object]", value))


def _unknown(message: Message) -> list[str]:
    """What a later BuildKit wrote there, by number."""
    from google.protobuf.unknown_fields import UnknownFieldSet

    found = UnknownFieldSet(message)
    # An index for each: the stubs of protobuf do not say that it can be iterated over.
    return [f"unknown field {found[i].field_number}: {found[i].data!r}" for i in range(len(found))]


def printable(text: str) -> str:
    """Text with what a terminal would act on as an escape: a definition may be anybody's."""
    if text.replace("\n", " ").replace("\t", " ").isprintable():
        return text
    return "".join([c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text])


def scalar(name: str, value: object, field: FieldDescriptor | None) -> str:
    """A value as text: text in quotes, an enum by its name, a file's mode in octal."""
    if isinstance(value, bytes):
        if len(value) > _LONG:
            return f"{value[:64]!r}... {len(value):,} bytes sha256:{hashlib.sha256(value).hexdigest()}"
        return repr(value)
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int) and field is not None and field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else str(value)
    return f"{value:#o}" if name == "mode" and isinstance(value, int) and value >= 0 else str(value)
