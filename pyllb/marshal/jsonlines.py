"""JSON lines: a definition as `buildctl debug dump-llb` writes it (BuildKit 0.33.1), an op a line.

That is how encoding/json sees Go's structs, not protobuf's own JSON: fields by their names in ops.proto, in order of
number, left out when empty; enums as numbers; bytes as base64. Op, FileAction and UserOpt, which hold a oneof, have a
form of their own there.

One thing is told that buildctl cannot tell: a file action that makes a symlink has its fields under `symlink`, where
buildctl writes an `Action` with nothing in it. So has an action that neither knows.

It is read by protobuf's JSON reader, once those three have the form that it wants. An op is then written as Go writes
it, and has to have the digest that stands beside it: so nothing is lost on the way.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

from pyllb.errors import DefinitionError
from pyllb.marshal.canonical import canonical
from pyllb.marshal.check import digest_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pyllb._pb import ops_pb2
JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]
Object = dict[str, JSON]

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


def read_lines(text: str) -> Iterator[tuple[str, bytes, bytes]]:
    """The digest, the op and the metadata of each op, as bytes; an op may stand on several lines, as jq writes it.

    Raises DefinitionError for what is no JSON, is no op, or is an op that does not have its digest.
    """
    for number, value in enumerate(_values(text), 1):
        try:
            yield _read(value)
        except DefinitionError as error:
            raise DefinitionError(f"op {number} of the JSON: {error.message}") from error


def _values(text: str) -> Iterator[JSON]:
    decoder, at = json.JSONDecoder(), _past_space(text, 0)
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise DefinitionError(f"not the JSON of a definition: {error}") from error
        yield value
        at = _past_space(text, end)


def _past_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _read(value: JSON) -> tuple[str, bytes, bytes]:
    from pyllb._pb import ops_pb2

    line = _object(value, "it")
    if strange := sorted(set(line) - {"Op", "Digest", "OpMetadata"}):
        raise DefinitionError(f"it has {strange[0]!r}; an op has Op, Digest and OpMetadata")
    op = _read_op(_object(line.get("Op"), "Op"))
    meant = digest_of(op)
    if line.get("Digest") != meant:
        raise DefinitionError(
            f"its Digest is {line.get('Digest')!r}, and what it says has {meant}: it was changed, or does not tell "
            "all; buildctl leaves out what a symlink is"
        )
    return meant, op, _encoded(_object(line.get("OpMetadata"), "OpMetadata"), ops_pb2.OpMetadata())


def _read_op(op: Object) -> bytes:
    from pyllb._pb import ops_pb2

    flat = _within(_lifted(op, "Op"), "file", lambda file: _within(file, "actions", _read_action))
    return _encoded(flat, ops_pb2.Op())


def _read_action(action: Object) -> Object:
    flat = _lifted(action, "Action")
    for kind in ("copy", "mkfile", "mkdir", "symlink"):
        flat = _within(flat, kind, lambda made: _within(made, "owner", _read_owner))
    return flat


def _read_owner(owner: Object) -> Object:
    return _within(_within(owner, "user", _read_user), "group", _read_user)


def _read_user(user: Object) -> Object:
    """Go takes one who has no name for the one with an id, and leaves out that of root."""
    said = _object(user.get("User"), "User")
    return {"byName": said["byName"]} if said.get("byName") is not None else {"byID": said.get("byId") or 0}


def _within(value: Object, name: str, read: Callable[[Object], Object]) -> Object:
    """The same, with what stands under a name read, or each item of it; without it when there is nothing."""
    found = value.get(name)
    if found is None:
        return value
    if isinstance(found, list):
        return {**value, name: [read(_object(item, name)) for item in found]}
    return {**value, name: read(_object(found, name))}


def _lifted(value: Object, name: str) -> Object:
    """The same, with the fields of the object under a name in its place."""
    return {key: item for key, item in value.items() if key != name} | _object(value.get(name), name)


def _object(value: JSON, name: str) -> Object:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DefinitionError(f"{name} is {value!r:.80}; it would be an object")
    return value


def _encoded(value: Object, into: Message) -> bytes:
    from google.protobuf.json_format import ParseDict, ParseError

    try:
        return canonical(ParseDict(value, into))
    except (ParseError, ValueError, TypeError, OverflowError) as error:
        raise DefinitionError(str(error).partition("\n")[0]) from error
    except SystemError as error:  # protobuf's, of a field's name that is half a character
        raise DefinitionError(f"a name in it is no text: {error.__cause__}") from error
