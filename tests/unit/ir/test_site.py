"""Sites: the user's frames, kept once for each way in which a call was reached."""

from __future__ import annotations

from collections.abc import Callable

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
