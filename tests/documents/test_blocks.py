"""Every code block of the README and of docs/ is run: files are written, Python executed, shell lines run.

The blocks of a document run in order in one folder, with the testbed's daemon as BUILDKIT_HOST and its registry in the
place of localhost:5000. A block that is no code is marked ```text. `make` lines are only looked up in the Makefile:
running the tests inside the tests would not end.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from tests.documents.blocks import Block, blocks
from tests.testbed import Testbed

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "ARCHITECTURE.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
LANGUAGES = {"python", "sh", "text", "go", "json"}


def environment(testbed: Testbed) -> dict[str, str]:
    path = [str(Path(sys.executable).parent), str(Path(testbed.buildctl).parent), os.environ["PATH"]]
    return {
        **os.environ,
        "BUILDKIT_HOST": testbed.address,
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": str(ROOT),
    }


def run(block: Block, document: Path, folder: Path, env: dict[str, str]) -> None:
    """Write the block to its file, or execute it; a block that ends with a code other than 0 is a failure."""
    if block.file is not None:
        (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
        (folder / block.file).write_text(block.text)
        return
    lines = [line for line in block.text.splitlines() if line.startswith("make ")]
    for line in lines:
        subprocess.run(["make", "-n", *line.split("#")[0].split()[1:]], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    rest = "\n".join(line for line in block.text.splitlines() if line not in lines)
    command = [sys.executable, "-c", block.text] if block.language == "python" else ["bash", "-euc", rest]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{document}:{block.line}\n{block.text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.daemon
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_of_a_document_runs(document: Path, testbed: Testbed, tmp_path: Path) -> None:
    for block in blocks(document):
        assert block.language in LANGUAGES, f"{document}:{block.line}: a fence without a known language"
        if block.language in {"python", "sh"} or block.file is not None:
            meant = attrs.evolve(block, text=block.text.replace("localhost:5000", testbed.registry))
            run(meant, document, tmp_path, environment(testbed))


def test_the_documents_have_code() -> None:
    assert sum(block.language in {"python", "sh"} for document in DOCUMENTS for block in blocks(document)) >= 20
