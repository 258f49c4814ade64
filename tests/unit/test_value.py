"""Value: beside what attrs generates."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyllb.value import Shown, Value


@attrs.frozen(eq=False, repr=False)
class Ours(Value):
    number: int
    text: str = attrs.field(default="", repr=False)
    note: str = attrs.field(default="", eq=False)


@attrs.frozen
class Theirs:
    number: int
    text: str = attrs.field(default="", repr=False)
    note: str = attrs.field(default="", eq=False)


@attrs.frozen(eq=False, repr=False)
class Other(Value):
    number: int
    text: str = ""
    note: str = ""


@attrs.frozen(eq=False, repr=False)
class Alone(Shown):
    number: int


fields = st.tuples(st.integers(0, 2), st.sampled_from("ab"), st.sampled_from("xy"))


@given(one=fields, two=fields)
def test_values_are_equal_hashed_and_shown_as_attrs_own_are(
    one: tuple[int, str, str], two: tuple[int, str, str]
) -> None:
    equal = Theirs(*one) == Theirs(*two)
    assert (Ours(*one) == Ours(*two)) is equal
    assert (Ours(*one) != Ours(*two)) is not equal
    if equal:
        assert hash(Ours(*one)) == hash(Ours(*two))
    assert repr(Ours(*one)) == repr(Theirs(*one)).replace("Theirs", "Ours")


def test_values_of_two_classes_differ() -> None:
    mine: object = Ours(1)
    assert mine != Other(1)
    assert mine != (1, "", "")


def test_what_is_only_shown_equals_itself_alone() -> None:
    one = Alone(1)
    assert one == one
    assert one != Alone(1)
    assert repr(one) == "Alone(number=1)"


def test_values_stay_frozen_and_have_no_dict() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Ours(1).number = 2  # type: ignore[misc]  # the wrong value is the case
    assert not hasattr(Ours(1), "__dict__")
