"""Failures: the near names that messages end with."""

from __future__ import annotations

import pytest

from pyllb.errors import near, nearest


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("biuld.py", ["build.py", "other.py"], "build.py"),
        ("SHARED", ("shared", "private"), "shared"),
        ("makefil", {"Makefile": 1}, "Makefile"),  # as it is spelled, not as it was compared
        ("toaster", ["linux"], ""),
        ("x", [], ""),
        (5, ["five"], ""),
    ],
)
def test_a_mistaken_word_is_close_to_a_known_one_or_to_none(word: object, known: list[str], found: str) -> None:
    assert nearest(word, known) == found
    assert near(word, known) == (f"; did you mean {found!r}?" if found else "")
