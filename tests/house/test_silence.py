"""What silences a tool says why, in the same line."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path for top in ("pyllb", "tests", "benchmarks", "protos", "tools") for path in (ROOT / top).rglob("*.py")
)
_SILENT = re.compile(r"# *(?:type: *ignore|noqa)")
_BARE = re.compile(r"# *(?:type: *ignore(?:\[[\w, -]+\])?|noqa(?:: *[\w, ]+?)?)\s*\Z")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_silenced_says_why(path: Path) -> None:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    comments = [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    assert [(line, text) for line, text in comments if _SILENT.match(text) and _BARE.match(text)] == []
