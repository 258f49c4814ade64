"""Canonical bytes: a message of protobuf's as Go writes it, so that its digest is the one that Go has for it.

Mirrors google.golang.org/protobuf's deterministic encoder (1.36): fields by number, those of a oneof behind the others,
maps by the bytes of their keys. Python's protobuf does neither: of two keys with the same beginning its deterministic
order puts the longer one first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from pyllb.marshal.wire import message as prefixed
from pyllb.marshal.wire import varint

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

_LENGTH = 2  # the wire type of what has its length before it


def canonical(message: Message) -> bytes:
    """All that is known of a message; it nests as deep as protobuf reads, which is 100."""
    found = sorted(message.ListFields(), key=lambda pair: (pair[0].containing_oneof is not None, pair[0].number))
    return b"".join([_field(message, field, value) for field, value in found])


def _field(message: Message, field: FieldDescriptor, value: object) -> bytes:
    tag = varint(field.number << 3 | _LENGTH)
    if isinstance(value, Mapping):
        return b"".join([prefixed(tag, _entry(field, key, value[key])) for key in sorted(value, key=str.encode)])
    if field.message_type is None:
        return _plain(type(message)(), field, value)
    items = [value] if hasattr(value, "ListFields") else cast("Iterable[object]", value)
    return b"".join([prefixed(tag, canonical(cast("Message", item))) for item in items])


def _entry(field: FieldDescriptor, key: str, value: object) -> bytes:
    """An entry of a map by text, with its key and its value even when they are empty."""
    if hasattr(value, "ListFields"):
        data = prefixed(b"\x12", canonical(cast("Message", value)))
    elif isinstance(value, str):
        data = prefixed(b"\x12", value.encode())
    else:
        data = b"\x10" + varint(cast("int", value))
    return prefixed(b"\x0a", key.encode()) + data


def _plain(bare: Message, field: FieldDescriptor, value: object) -> bytes:
    """One field that holds no messages, as protobuf writes it."""
    if isinstance(value, str | bytes | int):
        setattr(bare, field.name, value)
    else:
        getattr(bare, field.name).extend(value)
    return bare.SerializeToString()
