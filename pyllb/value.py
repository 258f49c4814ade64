"""Value: equality and repr for frozen attrs classes, inherited instead of generated for each.

    @attrs.frozen(eq=False, repr=False)
    class Platform(Value): ...       # equal when its fields are
    @attrs.frozen(eq=False, repr=False)
    class ExecOp(Shown): ...         # equal to itself only

attrs writes and compiles the methods of every class when it is imported: 0.22 ms for one of four fields, 0.10 ms when
only __init__ is left to make (Python 3.11). A command that ends in 50 ms loads 60 of them. Generated equality is the
faster one at run time: 0.3 us a comparison against 1.5 us. Values compared in the thousands keep it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import attrs


class Shown:
    """An attrs instance whose repr names its fields, but for those declared with repr=False."""

    __slots__ = ()
    if TYPE_CHECKING:
        __attrs_attrs__: tuple[attrs.Attribute[object], ...]

    def __repr__(self) -> str:
        fields = (f"{field.name}={getattr(self, field.name)!r}" for field in self.__attrs_attrs__ if field.repr)
        return f"{type(self).__name__}({', '.join(fields)})"


class Value(Shown):
    """An attrs instance that equals those of its own class with equal fields, and hashes as they do."""

    __slots__ = ()

    def _fields(self) -> tuple[object, ...]:
        return tuple([getattr(self, field.name) for field in self.__attrs_attrs__ if field.eq])

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self is other or self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), self._fields()))
