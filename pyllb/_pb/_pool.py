"""The descriptor pool: every message class and enum of this package, in a pool that no other package shares.

Nothing is read, and protobuf is not imported, before the first name of a `*_pb2` module is asked for.
"""

from __future__ import annotations

import functools
import pkgutil
import threading
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.descriptor import Descriptor, FileDescriptor
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message import Message

# Two threads that both miss must not make two pools: a message of one is no message to the other.
_making = threading.RLock()


def attribute(module: str, names: dict[str, object], name: str) -> object:
    """What `name` is in the .proto file behind `module`, kept in `names` (the module's globals) for the next time.

    A message class, an enum, the number of an enum's value, or `DESCRIPTOR`. Raises AttributeError for anything else.
    """
    # Import machinery, inspect and doctest ask modules for dunder names; that is no reason to load protobuf.
    if not name.startswith("__"):
        with _making:
            if (made := names.get(name)) is None:
                made = _make(_file(module), name)
            if made is not None:
                names[name] = made
                return made
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def listing(module: str, names: dict[str, object]) -> list[str]:
    """What `dir()` of `module` shows: its globals, and everything of its .proto file."""
    file = _file(module)
    values = (value.name for enum in file.enum_types_by_name.values() for value in enum.values)
    return sorted({*names, *file.message_types_by_name, *file.enum_types_by_name, *values, "DESCRIPTOR"})


def _make(file: FileDescriptor, name: str) -> object | None:
    from pyllb._pb._enum import Enum, with_callable_enums

    if name == "DESCRIPTOR":
        return file
    if message := file.message_types_by_name.get(name):
        return with_callable_enums(_message_class(message), message)
    if enum := file.enum_types_by_name.get(name):
        return Enum(enum)
    values = (enum.values_by_name.get(name) for enum in file.enum_types_by_name.values())
    return next((value.number for value in values if value), None)


def _file(module: str) -> FileDescriptor:
    base = module.rpartition(".")[2].removesuffix("_pb2")
    pool, paths = _pool()
    return pool.FindFileByName(paths[base])


@functools.cache
def _pool() -> tuple[DescriptorPool, dict[str, str]]:
    data = pkgutil.get_data(__package__, "descriptors.binpb")
    if data is None:
        raise ImportError(f"cannot read descriptors.binpb of {__package__}, which is part of the installed package")
    pool = _empty_pool()
    paths = {}
    for name, file in _files(data):
        pool.AddSerializedFile(file)
        paths[name.rpartition("/")[2].removesuffix(".proto")] = name
    return pool, paths


# protobuf's public modules for pools and classes load its pure-Python implementation too: 6 ms of a solve's start, and
# of no use to the compiled one, which has both itself. What is asked of it here, those modules ask of it (protobuf 5 to
# 7). Where it has not got it, the public way is taken.


def _compiled(name: str) -> Callable[..., object] | None:
    from google.protobuf import descriptor

    found: Callable[..., object] | None = getattr(getattr(descriptor, "_message", None), name, None)
    return found


def _empty_pool() -> DescriptorPool:
    make = _compiled("DescriptorPool")
    if make is None:
        from google.protobuf.descriptor_pool import DescriptorPool

        return DescriptorPool()
    return cast("DescriptorPool", make())


def _message_class(message: Descriptor) -> type[Message]:
    meta = _compiled("MessageMeta")
    if meta is None:
        from google.protobuf.message_factory import GetMessageClass

        return GetMessageClass(message)
    from google.protobuf.message import Message

    known = getattr(message, "_concrete_class", None)  # of a message that another has a field of
    return known or cast("type[Message]", meta(message.name, (Message,), {"DESCRIPTOR": message, "__module__": None}))


def _files(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The name and the bytes of each file in a serialised FileDescriptorSet, whose only field is `file = 1`.

    A file's own first field is its name. Taken apart by hand because descriptor_pb2 is 2 ms of a solve's start.
    """
    position = 0
    while position < len(data):
        begin, position = _field(data, position)
        name, end = _field(data, begin)
        yield data[name:end].decode(), data[begin:position]


def _field(data: bytes, position: int) -> tuple[int, int]:
    """Where the bytes of the field 1 that stands at position begin, and where they end."""
    if data[position] != 0x0A:
        raise ImportError(f"descriptors.binpb of {__package__} is damaged at byte {position}")
    size = shift = 0
    while True:
        position += 1
        size |= (data[position] & 0x7F) << shift
        shift += 7
        if data[position] < 0x80:
            return position + 1, position + 1 + size
