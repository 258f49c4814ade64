"""An enum as the stubs declare it: a class of int, so that it can be called with a number."""

from google.protobuf.descriptor import Descriptor
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message


class Enum(EnumTypeWrapper):
    """protobuf's wrapper of an enum, and `Enum(number)`: the number itself, known to the enum or not, as in proto3."""

    def __call__(self, number: int) -> int:
        return int(number)


def with_callable_enums(message: type[Message], descriptor: Descriptor) -> type[Message]:
    """`message` itself, the enums that `descriptor` declares inside it made callable as those of a file are."""
    for name, enum in descriptor.enum_types_by_name.items():
        setattr(message, name, Enum(enum))
    return message
