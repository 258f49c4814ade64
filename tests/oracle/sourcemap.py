"""A build file whose source map is compared: where each call stands is written beside it by hand."""

from __future__ import annotations

from typing import Any

from pyllb.dsl.fs import FS
from pyllb.ir.platform import Platform
from pyllb.marshal.definition import Definition
from pyllb.marshal.lower import Lowered, lower
from tests.oracle import Program
from tests.oracle.cases import file, image, mkdir, program, run

FILENAME = "/project/build.py"
TEXT = """\
from pyllb import fs


def compiled(base, what):
    return base.run(["make", what], name="ü")


def default():
    made = (
        fs()
        .image("alpine")
        .mkdir("/src")
        .run(
            ["true"],
        )
    )
    for what in ("a", "b"):
        made = compiled(made, what)
    return made
"""


def _at(*ranges: tuple[int, int, int, int]) -> list[dict[str, Any]]:
    """Locations, the outermost call first."""
    return [{"filename": FILENAME, "language": "Python", "data": TEXT, "range": list(place)} for place in ranges]


# Of each call: first line and column, last line and column; lines from 1, columns from 0 and in bytes.
_IMAGE, _MKDIR, _RUN = (11, 9, 11, 24), (12, 9, 12, 22), (13, 9, 15, 9)
_HELPER, _LOOP = (5, 11, 5, 46), (18, 15, 18, 35)

PROGRAM: Program = program(
    "source map",
    image(locations=_at(_IMAGE)),
    file(0, mkdir("/src"), locations=_at(_MKDIR)),
    run(1, locations=_at(_RUN)),
    run(2, args=["make", "a"], name="ü", locations=_at(_LOOP, _HELPER)),
    run(3, args=["make", "b"], name="ü", locations=_at(_LOOP, _HELPER)),
)


def marshal() -> Definition:
    """What pyllb makes of the build file, which is the only file that is the user's."""
    amd64 = Platform("linux", "amd64")
    try:
        next(lower(build(), platform=amd64, local_unique_id="unique-id", resolve=False, read_text=read_text))
    except StopIteration as done:
        lowered: Lowered = done.value
        return lowered.definition
    raise AssertionError("lower asked for something")


def build() -> FS:
    """What the build file makes, its frames being those of a file of that name."""
    names: dict[str, Any] = {}
    exec(compile(TEXT, FILENAME, "exec"), names)
    made: FS = names["default"]()
    return made


def read_text(filename: str) -> str | None:
    return TEXT if filename == FILENAME else None
