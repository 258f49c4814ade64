"""LLB of a large graph, built, marshalled and serialised, beside Go's client/llb doing the same.

Both sides say themselves how long it took, so that neither counts the start of its process; the startup part does.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.process import Run, spawn
from tests import oracle

Comparisons = Iterable[tuple[str, dict[str, list[Run]]]]
"""What was compared, and the runs of each side, pyllb's first."""

GRAPH = Path(__file__).with_name("graph.py")
# Execs side by side, merged. In a chain Go looks every value up through the whole of it, which is quadratic.
SHAPES = (("wide", 1_000), ("wide", 10_000), ("wide", 100_000), ("chain", 1_000), ("chain", 10_000))


def compare(repeats: int, shapes: Sequence[tuple[str, int]] = SHAPES) -> Comparisons:
    """Run both sides in turn, `repeats` times each after one round that does not count."""
    for shape, n in shapes:
        go = [str(oracle.programs() / "bench"), shape, str(n), str(GRAPH)]
        python = [sys.executable, str(GRAPH), shape, str(n)]
        turns = 1 + (2 if (shape, n) == ("chain", 10_000) else repeats)  # Go takes half a minute for that one
        sides: dict[str, list[Run]] = {"pyllb": [], "go": []}
        heads = set()
        for turn in range(turns):
            for name, command in (("pyllb", python), ("go", go))[:: 1 if turn % 2 else -1]:
                run, head = measure(command)
                sides[name].append(run)
                heads.add(head)
        assert len(heads) == 1, f"the sides made different graphs: {heads}"
        yield f"{n:,} execs, {shape}", {name: runs[1:] for name, runs in sides.items()}


def measure(command: Sequence[str]) -> tuple[Run, str]:
    """What a side says of its run, and the digest of what it made."""
    said = json.loads(spawn(command, env={**os.environ, "PYTHONPATH": str(GRAPH.parents[2])})[1])
    return Run(said["seconds"], said["cpu"], said["rss"] / (1 << 20)), said["head"]
