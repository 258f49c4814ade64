"""Blocks: the fenced code of a Markdown file, in order."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"#+ (?P<name>[\w./-]+\.\w+)$|# (?P<plain>Makefile|Dockerfile)$")


@attrs.frozen
class Block:
    """One fenced block. language: the word after the fence. line: where it begins."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file that the block's first line says it is (`# build.py`), or None."""
        match = _FILE.match(self.text.split("\n", 1)[0])
        return match and (match["name"] or match["plain"])


def blocks(document: Path) -> list[Block]:
    text = document.read_text()
    return [
        Block(match["info"].strip(), match["text"], text.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(text)
    ]
