"""Dumps: what a Python makes of many builds, as JSON on stdout. It is run by every version, and must say the same."""

from __future__ import annotations

import base64
import json
import random
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyllb
from tests.determinism import build
from tests.oracle.cases import CASES
from tests.oracle.draw import drawn
from tests.oracle.dsl import marshal

SHAPES = ("default", "loaded", "protocols")
_TESTS = str(Path(__file__).parent.parent)


def dumps() -> dict[str, str]:
    """Of each build its definition, in base64."""
    programs = [*CASES, *(drawn(random.Random(3).getrandbits(40) + number) for number in range(100))]
    made = {str(program["name"]): marshal(program, text).definition.to_bytes() for program in programs}
    made |= {shape: shaped(shape) for shape in SHAPES}
    return {name: base64.b64encode(data).decode() for name, data in made.items()}


def text(filename: str) -> str | None:
    """That of a file of the tests, in short; what else is there differs from one Python to the next."""
    return f"the text of {Path(filename).name}" if filename.startswith(_TESTS) else None


def shaped(shape: str) -> bytes:
    """A target of the build file, built anew."""
    made: pyllb.FS = getattr(build, shape)()
    return pyllb.dump(made, platform="linux/amd64").to_bytes()


def at_once(make: Callable[[], bytes], threads: int = 100) -> set[bytes]:
    """What threads make when they all start together, and are interrupted far more often than is usual."""
    barrier = threading.Barrier(threads)

    def one(_: int) -> bytes:
        barrier.wait()
        return make()

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="test-at-once") as pool:
            return set(pool.map(one, range(threads)))
    finally:
        sys.setswitchinterval(usual)


if __name__ == "__main__":
    json.dump(dumps(), sys.stdout)
