"""Golden definitions: made by Go's client/llb through the oracle, committed, and read where there is no Go.

`python -m tests.golden` makes them anew.
"""

from __future__ import annotations

from pathlib import Path

from tests.oracle import Program
from tests.oracle.cases import CASES
from tests.oracle.sourcemap import PROGRAM

HERE = Path(__file__).resolve().parent
FILES = HERE / "files"
NAMES = (
    "one cached build",
    "image of a state with a platform",
    "local patterns",
    "git ssh",
    "http options",
    "config and dir",
    "extra hosts",
    "bind order",
    "secret both",
    "ssh and cache variables",
    "resources",
    "equal ops",
    "copy options",
    "copies in copies",
    "diff to scratch",
    "diamond",
    "scratch",
)
_BY_NAME = {str(case["name"]): case for case in CASES}
GOLDEN: dict[str, Program] = {**{name: _BY_NAME[name] for name in NAMES}, "source map": PROGRAM}


def path(name: str, suffix: str) -> Path:
    """The file of a golden definition: .pb is the bytes, .txt the same for people."""
    return FILES / (name.replace(" ", "-") + suffix)
