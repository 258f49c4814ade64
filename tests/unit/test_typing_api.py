"""The file that mypy checks also runs."""

from __future__ import annotations

import runpy
from pathlib import Path

from pyllb import FS


def test_what_type_checks_also_runs() -> None:
    names = runpy.run_path(str(Path(__file__).with_name("typing_api.py")))

    assert isinstance(names["default"](), FS)
    made = names["everything"](["1"], Path("src"))
    assert {name: isinstance(state, FS) for name, state in made.items()} == dict.fromkeys(made, True)
