"""Failures: the near names that messages end with, and the lines that they show."""

from __future__ import annotations

import pytest

from pyllb.errors import SourceLine, near, nearest


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


@pytest.mark.parametrize("mark", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_lines_are_counted_as_python_counts_them(mark: str) -> None:
    text = f"one{mark}\ntwo\r\nthree\n"
    assert SourceLine("f.py", 2, text=text).excerpt(0) == " >    2 | two"
    assert SourceLine("f.py", 3, text=text).excerpt(1) == "      2 | two\n >    3 | three"
    assert SourceLine("f.py", 4, text=text).excerpt() == SourceLine("f.py", 1).excerpt() == ""
