"""JSON lines: a definition as `buildctl debug dump-llb` writes it (BuildKit 0.33.1), an op a line.

That is how encoding/json sees Go's structs, not protobuf's own JSON: fields by their names in ops.proto, in order of
number, left out when empty; enums as numbers; bytes as base64. Op, FileAction and UserOpt, which hold a oneof, have a
form of their own there.

One thing is told that buildctl cannot tell: a file action that makes a symlink has its fields under `symlink`, where
buildctl writes an `Action` with nothing in it. So has an action that neither knows.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pyllb._pb import ops_pb2

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]

# encoding/json writes these so that the text may stand in HTML and in JavaScript.
_ESCAPED = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


def json_line(op: ops_pb2.Op, digest: str, metadata: ops_pb2.OpMetadata) -> str:
    """One op as a line of text."""
    value: JSON = {"Op": json_value(op), "Digest": digest, "OpMetadata": json_value(metadata)}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPED) + "\n"


def json_value(message: Message) -> JSON:
    """A message as encoding/json sees Go's struct of it."""
    special = _SPECIAL.get(message.DESCRIPTOR.full_name)
    return special(message) if special is not None else _fields(message)


def _fields(message: Message) -> dict[str, JSON]:
    """The fields that are set, or are messages that are there. They nest as deep as protobuf reads, which is 100."""
    found = sorted(message.ListFields(), key=lambda pair: pair[0].number)
    return {field.name: _value(value) for field, value in found}


def _value(value: object) -> JSON:
    if isinstance(value, Mapping):
        return {key: _single(value[key]) for key in sorted(value)}
    if isinstance(value, str | bytes | int) or hasattr(value, "ListFields"):
        return _single(value)
    return [_single(item) for item in cast("Iterable[object]", value)]


def _single(value: object) -> JSON:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, bool | int | str):
        return value
    return json_value(cast("Message", value))


def _oneof(message: Message, name: str) -> dict[str, JSON]:
    """The member of a oneof that is set, under its name."""
    member = message.WhichOneof(name)
    return {} if member is None else {member: _single(getattr(message, member))}


def _op(message: Message) -> JSON:
    op = cast("ops_pb2.Op", message)
    fields = _fields(op)
    member = _oneof(op, "op")
    out: dict[str, JSON] = {"inputs": fields["inputs"]} if "inputs" in fields else {}
    out["Op"] = member
    return out | {name: fields[name] for name in ("platform", "constraints") if name in fields}


def _action(message: Message) -> JSON:
    action = cast("ops_pb2.FileAction", message)
    numbers: dict[str, JSON] = {
        "input": action.input,
        "secondaryInput": action.secondaryInput,
        "output": action.output,
    }
    return {**numbers, "Action": _oneof(action, "action")}


def _user(message: Message) -> JSON:
    user = cast("ops_pb2.UserOpt", message)
    if user.WhichOneof("user") == "byName":
        return {"User": {"byName": json_value(user.byName)}}
    return {"User": {"byId": user.byID} if user.byID else {}}


_SPECIAL: Mapping[str, Callable[[Message], JSON]] = {"pb.Op": _op, "pb.FileAction": _action, "pb.UserOpt": _user}
