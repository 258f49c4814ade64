"""The quick constructor of frozen classes, beside their own."""

from __future__ import annotations

import attrs
import pytest

from pyllb.ir.record import constructor


@attrs.frozen(kw_only=True, weakref_slot=False)
class Named:
    name: str
    count: int = 0
    items: tuple[str, ...] = ()


@attrs.frozen(weakref_slot=False)
class Pair:
    left: int
    right: int = 2


make_named, make_pair = constructor(Named), constructor(Pair)


def test_an_instance_is_the_one_that_the_class_itself_makes() -> None:
    assert make_named(name="a", items=("x",)) == Named(name="a", items=("x",))
    assert type(make_named(name="a")) is Named
    assert make_pair(1) == Pair(1)
    assert make_pair(1, right=3) == Pair(1, 3)
    assert attrs.evolve(make_pair(1), left=5) == Pair(5)


def test_an_instance_is_closed() -> None:
    made = make_named(name="a")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.name = "b"  # type: ignore[misc]  # the wrong value is the case
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del made.count
    with pytest.raises(AttributeError):
        made.other = 1  # type: ignore[attr-defined]  # the wrong value is the case


def test_the_fields_may_be_those_of_a_base() -> None:
    class Sub(Pair):
        __slots__ = ()

    made = constructor(Sub)(1, right=3)

    assert type(made) is Sub
    assert (made.left, made.right) == (1, 3)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.left = 2  # type: ignore[misc]  # the wrong value is the case


def test_what_the_class_refuses_the_constructor_refuses() -> None:
    with pytest.raises(TypeError, match="name"):
        make_named()  # type: ignore[call-arg]  # the wrong value is the case
    with pytest.raises(TypeError, match="other"):
        make_named(name="a", other=1)  # type: ignore[call-arg]  # the wrong value is the case
    with pytest.raises(TypeError, match="positional"):
        make_named("a")  # type: ignore[call-arg]  # the wrong value is the case


def test_a_class_whose_init_does_more_is_refused() -> None:
    @attrs.frozen(weakref_slot=False)
    class Made:
        items: list[str] = attrs.field(factory=list)

    @attrs.frozen(weakref_slot=False)
    class Converted:
        count: int = attrs.field(converter=int)

    for cls in (Made, Converted):
        with pytest.raises(AssertionError):
            constructor(cls)
