"""A target is a plain function with a record of its parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest

import pyllb
from pyllb.dsl.target import Parameter, describe, target_of
from pyllb.errors import OptionError

any_: Any = pyllb


@pyllb.target
def default(  # type: ignore[no-untyped-def]  # what has no annotation is the case
    version: str = "dev",
    jobs: int = 4,
    ratio: float = 0.5,
    debug: bool = False,
    tags: list[str] = [],  # noqa: B006  # a default that can be changed is the case
    src: Path = Path("."),
    mode: Literal["fast", "small"] = "fast",
    who: Optional[str] = None,  # noqa: UP045  # the old spelling is the case
    count: int | None = None,
    *,
    needed: Annotated[str, "what it is for"],
    plain=3,
) -> pyllb.FS:
    """The server's image.

    Args:
        version: what it calls itself,
            on two lines
        jobs (int): how many
    """
    return pyllb.fs().env(V=version, N=needed)


def test_calling_a_target_is_a_plain_call() -> None:
    assert default(needed="x").meta.env == (("V", "dev"), ("N", "x"))
    assert default.__name__ == "default"


def test_a_target_knows_its_parameters() -> None:
    record = target_of(default)

    assert record is not None
    assert record.name == "default"
    assert record.doc.startswith("The server's image.\n\nArgs:")
    assert record.function is default
    assert record.parameters == (
        Parameter(name="version", kind="str", default="dev", help="what it calls itself, on two lines"),
        Parameter(name="jobs", kind="int", default=4, help="how many"),
        Parameter(name="ratio", kind="float", default=0.5),
        Parameter(name="debug", kind="bool", default=False),
        Parameter(name="tags", kind="list", default=[]),
        Parameter(name="src", kind="path", default=Path(".")),
        Parameter(name="mode", kind="choice", default="fast", choices=("fast", "small")),
        Parameter(name="who", kind="str"),
        Parameter(name="count", kind="int"),
        Parameter(name="needed", kind="str", required=True, help="what it is for"),
        Parameter(name="plain", kind="int", default=3),
    )


def test_a_target_can_have_another_name() -> None:
    @pyllb.target(name="the-image")
    def image() -> pyllb.FS:
        return pyllb.fs()

    record = target_of(image)
    assert record is not None
    assert (record.name, record.doc, record.parameters) == ("the-image", "", ())


def test_parameters_are_described_in_sphinx_style_too() -> None:
    def image(a: str = "") -> None:
        """Text.

        :param a: the first
        """

    assert describe(image).parameters[0].help == "the first"


def test_a_plain_function_has_no_record() -> None:
    assert target_of(lambda: None) is None


def _rest(*args: str) -> None: ...
def _mapping(**kwargs: str) -> None: ...
def _positional(a: str, /) -> None: ...
def _numbers(a: list[int]) -> None: ...
def _two(a: int | str) -> None: ...
def _state(base: pyllb.FS) -> None: ...


@pytest.mark.parametrize(
    ("function", "part"),
    [
        (_rest, "'*args"),
        (_mapping, "'**kwargs"),
        (_positional, "'a"),
        (_numbers, "list[int]"),
        (_two, "int | str"),
        (_state, "FS"),
    ],
)
def test_a_parameter_that_no_flag_can_give_is_refused(function: Any, part: str) -> None:
    with pytest.raises(OptionError) as caught:
        pyllb.target(function)

    assert part in str(caught.value)
    assert function.__name__ in str(caught.value)


@pytest.mark.parametrize("wrong", [1, "default", None.__class__])
def test_only_a_function_is_a_target(wrong: object) -> None:
    with pytest.raises(OptionError, match="write a function"):
        any_.target(wrong)


def test_a_name_with_white_space_is_refused() -> None:
    with pytest.raises(OptionError, match="'a b'"):
        pyllb.target(name="a b")(lambda: None)
