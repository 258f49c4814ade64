"""Table: medians and ratios as Markdown, the same text that docs/benchmarks.md records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.process import Run, median

HEAD = """\
| what | pyllb | {peer} | ratio | CPU | ratio | peak memory |
|---|---|---|---|---|---|---|"""


def head(peer: str) -> str:
    return HEAD.format(peer=peer)


def row(what: str, runs: Mapping[str, Sequence[Run]]) -> str:
    """One comparison: the first side over the second."""
    (ours, theirs) = (median(side) for side in runs.values())
    cells = [
        what,
        _seconds(ours.wall),
        _seconds(theirs.wall),
        f"**{ours.wall / theirs.wall:.2f}**",
        f"{_seconds(ours.cpu)} / {_seconds(theirs.cpu)}",
        f"{ours.cpu / theirs.cpu:.2f}",
        f"{ours.peak:.0f} / {theirs.peak:.0f} MiB",
    ]
    return f"| {' | '.join(cells)} |"


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
