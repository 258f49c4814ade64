"""Evaluation: environment, directory, user and platform over an image config."""

from __future__ import annotations

import posixpath

from hypothesis import given
from hypothesis import strategies as st

from pyllb.ir.constraints import Constraints
from pyllb.ir.image import ImageConfig
from pyllb.ir.meta import Meta, Settings
from pyllb.ir.ops import ImageSource, SourceOp
from pyllb.ir.platform import Platform
from pyllb.marshal.evaluate import clean, evaluate, join, overlay

CONFIG = ImageConfig({}, (("A", "1"), ("B", "2")), "/app", "1000", Platform("linux", "arm64"))
PATHS = st.text("/.ab", max_size=12)
PAIRS = st.lists(st.tuples(st.sampled_from("ABC"), st.text(max_size=2)), max_size=6).map(tuple)


@given(PAIRS, PAIRS)
def test_a_name_stands_where_it_was_assigned_last(
    under: tuple[tuple[str, str], ...], over: tuple[tuple[str, str], ...]
) -> None:
    every = (*under, *over)
    found = overlay(under, over)
    assert dict(found) == dict(every)
    last = {name: index for index, (name, _) in enumerate(every)}
    assert [name for name, _ in found] == sorted(last, key=last.__getitem__)


@given(PATHS)
def test_a_clean_path_is_clean_once_and_for_all(path: str) -> None:
    found = clean(path)
    assert clean(found) == found
    assert "//" not in found
    assert found.startswith("/") == path.startswith("/")
    assert "." not in found.split("/") or found == "."
    assert not path.startswith("/") or ".." not in found.split("/")
    assert path.startswith("/") or posixpath.normpath(f"/x/{found}") == posixpath.normpath(f"/x/{path}")


def test_an_absolute_directory_is_kept_as_it_is_written_and_a_relative_one_is_joined() -> None:
    assert join("/", ("/a/../b//",)) == "/a/../b//"
    assert join("/", ("/a/../b", "c/")) == "/b/c"
    assert join("/", ("", "a", "../..")) == "/"


def test_a_config_lies_under_the_values_of_the_state() -> None:
    found = evaluate(Meta((("C", "3"), ("A", "4")), Settings(dirs=("src",))), CONFIG)
    assert found.env == (("B", "2"), ("C", "3"), ("A", "4"))
    assert (found.dir, found.user, found.platform) == ("/app/src", "1000", Platform("linux", "arm64"))


def test_the_values_of_the_state_win_over_the_config() -> None:
    found = evaluate(Meta((), Settings(dirs=("/x",), user="", platform=Platform("linux", "s390x"))), CONFIG)
    assert (found.dir, found.user, found.platform) == ("/x", "", Platform("linux", "s390x"))


def test_the_config_says_more_of_a_platform_than_what_the_image_was_asked_for() -> None:
    asked = Platform("windows", "amd64")
    source = SourceOp(identifier="x", image=ImageSource("x"), constraints=Constraints(platform=asked))
    config = ImageConfig({}, (), "", "", Platform("windows", "amd64", "", "10.0"))
    assert evaluate(Meta((), Settings(image=source)), config).platform == config.platform
    assert evaluate(Meta((), Settings(image=source)), None).platform == asked


def test_without_a_config_the_directory_is_the_root_and_the_platform_is_left_open() -> None:
    found = evaluate(Meta(), None)
    assert (found.env, found.dir, found.user, found.platform) == ((), "/", "", None)
