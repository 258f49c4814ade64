"""Sites: the user's frames, kept once for each way in which a call was reached."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyllb.ir.site import Site, here

HELPER = "from pyllb.ir.site import here\ndef step(): return here()\n"
BUILD = "def build(step): return step()\n"


def load(filename: str, text: str) -> dict[str, Callable[..., Site]]:
    names: dict[str, Callable[..., Site]] = {}
    exec(compile(text, filename, "exec"), names)
    return names


def test_a_call_in_a_loop_has_one_site() -> None:
    first, second = [here() for _ in range(2)]
    assert first is second
    assert first is not here()


def test_two_files_of_the_same_text_have_sites_of_their_own() -> None:
    step = load("helper.py", HELPER)["step"]
    sites = [load(name, BUILD)["build"](step) for name in ("a/build.py", "b/build.py")]
    assert [[frame.filename for frame in site.frames[:2]] for site in sites] == [
        ["helper.py", "a/build.py"],
        ["helper.py", "b/build.py"],
    ]


def test_sites_are_right_when_code_comes_and_goes() -> None:
    for number in range(3000):
        site = load(f"{number}.py", HELPER)["step"]()
        assert site.frames[0].filename == f"{number}.py"


def test_the_innermost_eight_frames_are_kept() -> None:
    def deep(depth: int) -> Site:
        return deep(depth - 1) if depth else here()

    assert [frame.function.rpartition(".")[2] for frame in deep(20).frames] == ["deep"] * 8


COMPREHENSIONS = """\
def step(): return here()
def many():
    listed = [step() for _ in "a"]
    nested = [{0: {step() for _ in "a"} for _ in "a"} for _ in "a"]
    lazy = list([step() for _ in "a"] for _ in "a")
    called = [(lambda: [step() for _ in "a"])() for _ in "a"]
    return [*listed, *nested[0][0], *lazy[0], *called[0]]
"""


def test_a_comprehension_is_a_part_of_the_function_it_stands_in_whatever_python_makes_of_it() -> None:
    names: dict[str, Callable[..., list[Site]]] = {"here": here}  # type: ignore[dict-item]  # exec puts functions in
    exec(compile(COMPREHENSIONS, "build.py", "exec"), names)
    ranges = [[frame.range() for frame in site.frames if frame.filename == "build.py"] for site in names["many"]()]
    places = [[(place.start_line, place.start_column) for place in found[1:]] for found in ranges]
    assert places == [[(3, 14)], [(4, 19)], [(5, 17), (5, 11)], [(6, 24), (6, 14)]]


def test_eight_frames_are_kept_of_calls_in_comprehensions_too() -> None:
    def deep(depth: int) -> Site:
        (site,) = [deep(depth - 1) if depth else here() for _ in "a"]
        return site

    assert [frame.function.split(".<locals>.")[1] for frame in deep(20).frames] == ["deep"] * 8


def test_frames_of_the_standard_library_are_none_of_the_eight() -> None:
    async def inner() -> Site:
        return here()

    async def outer() -> Site:
        return await inner()

    def build() -> Site:
        return asyncio.run(outer())

    functions = [frame.function.rpartition(".")[2] for frame in build().frames]
    assert functions[:4] == ["inner", "outer", "build", "test_frames_of_the_standard_library_are_none_of_the_eight"]


def test_frames_of_an_installed_package_are_kept() -> None:
    """Outside of a virtual environment they lie below the standard library."""
    filename = f"{Path(os.__file__).parent}/site-packages/helpers.py"
    names: dict[str, Any] = {}
    exec(compile(HELPER, filename, "exec"), names)
    assert names["step"]().frames[0].filename == filename


def test_a_module_that_is_imported_has_the_line_that_imports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in {"one": "import two", "two": "import three", "three": HELPER + "SITE = step()"}.items():
        (tmp_path / f"{name}.py").write_text(text)
    site = importlib.import_module("one").two.three.SITE
    assert [Path(frame.filename).stem for frame in site.frames[:4]] == ["three", "three", "two", "one"]
