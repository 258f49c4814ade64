"""What the documents name is there: files, links, exceptions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyllb import errors

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
_PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*)`")
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_files_that_a_document_links_to_are_there(document: Path) -> None:
    missing = [link for link in _LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert not missing


def test_the_files_that_the_architecture_names_are_there() -> None:
    named = _PATH.findall((ROOT / "ARCHITECTURE.md").read_text())
    missing = [path for path in named if not ((ROOT / path).exists() or (ROOT / "pyllb" / path).exists())]
    assert len(named) > 10
    assert not missing


def test_every_exception_is_in_the_reference() -> None:
    text = (ROOT / "docs/reference/errors.md").read_text()
    classes = {n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, errors.PyllbError)}
    assert {name for name in classes - {"PyllbError"} if f"`{name}`" not in text} == set()
