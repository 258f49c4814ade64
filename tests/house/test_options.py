"""The table of Go's names: all of pyllb's are there."""

from __future__ import annotations

import inspect
import operator

import pytest

import pyllb
from tools import options


def test_every_place_of_the_table_is_there() -> None:
    assert options.missing() == []
    assert not set(options.OPTIONS) & set(options.OTHERWISE)


SOURCES = ("image", "local", "git", "http", "oci_layout", "image_blob", "oci_layout_blob")
PLATFORM = (*SOURCES, *(f"FS.{name}" for name in SOURCES), "FS.run", "FS.solve_definition")
OTHERS = ("FS.file", "FS.requires", "merge", "diff", "passthrough")


@pytest.mark.parametrize("place", [*PLATFORM, *OTHERS])
def test_what_stands_beside_every_op_can_be_said_of_each(place: str) -> None:
    every = set(inspect.signature(pyllb.constraints).parameters)
    if place != "FS.run":
        every -= {"resources"}
    if place in OTHERS:
        every -= {"platform"}
    if place.endswith("local"):  # of which name is the source's
        every = every - {"name"} | {"custom_name"}
    function = operator.attrgetter(place)(pyllb)
    assert every <= set(inspect.signature(function).parameters)
