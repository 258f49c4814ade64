"""Start-up: `pyllb dump` without a daemon beside the imports that it cannot do without."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.process import PYLLB, Run, Side, interleave

BUILD = """
from pyllb import cache, fs, target

@target
def default():
    return fs().image("golang").run("go build", mounts=[cache("go-build", sharing="shared")])
"""


def compare(work: Path, repeats: int, env: dict[str, str]) -> dict[str, list[Run]]:
    (work / "card.py").write_text(BUILD)
    dump = [*PYLLB, "dump", f"{work}/card.py:default", "--resolve=never"]
    return interleave(
        [
            Side("pyllb dump", lambda turn: dump),
            Side("python", lambda turn: [sys.executable, "-c", "import attrs, google.protobuf"]),
        ],
        repeats,
        env,
        lambda: None,
    )
