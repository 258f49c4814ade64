"""The reference pages are what the docstrings say."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pyllb

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, "tools/reference.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there_and_documented() -> None:
    assert pyllb.__all__ == sorted(pyllb.__all__, key=lambda name: (name[0].islower(), name))
    for name in pyllb.__all__:
        value = getattr(pyllb, name)
        assert inspect.getdoc(value), f"pyllb.{name} has no docstring"
