"""The table of Go's names: all of pyllb's are there."""

from __future__ import annotations

from tools import options


def test_every_place_of_the_table_is_there() -> None:
    assert options.missing() == []
    assert not set(options.OPTIONS) & set(options.OTHERWISE)
