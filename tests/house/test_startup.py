"""What a start-up may cost: the modules that must not be loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"grpc", "asyncio", "rich", "hpack", "google.protobuf"}
BUILD = """
from pyllb import cache, fs, target

@target
def default():
    return fs().image("golang").run("go build", mounts=[cache("go-build", sharing="shared")])
"""


def loaded(code: str, cwd: Path) -> set[str]:
    """The names in sys.modules after code has run in a fresh interpreter."""
    program = f"{code}\nimport sys\nsys.stderr.write('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines())


def test_importing_pyllb_loads_nothing_heavy(tmp_path: Path) -> None:
    assert not loaded("import pyllb", tmp_path) & HEAVY


def test_dump_without_resolving_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "build.py").write_text(BUILD)
    code = """
import os, sys
from pyllb.cli.__main__ import main
sys.stdout = open(os.devnull, "w")
sys.argv = ["pyllb", "dump", "build.py:default", "--resolve=never"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
    assert not loaded(code, tmp_path) & HEAVY


@pytest.mark.parametrize("name", ["pyllb.ir.ops", "pyllb.dsl", "pyllb.marshal.lower", "pyllb.errors", "pyllb.status"])
def test_the_pure_rooms_load_nothing_heavy(name: str, tmp_path: Path) -> None:
    assert not loaded(f"import {name}", tmp_path) & HEAVY
