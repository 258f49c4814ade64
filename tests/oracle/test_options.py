"""The table of Go's names has every option and method that client/llb exports."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tools import options

_RESULT = (
    r"(?:llb\.)?(?:\w*Option|ConstraintsOpt|State|CreatedTime|\*FileAction|\*SourceMap|\(\*DefinitionOp, error\)) {"
)
_MADE = rf"^func ([A-Z]\w*)\(.*\) {_RESULT}"
_METHOD = r"^func \(\w+ \*?(?:State|ExecState|FileAction|SourceMap)\) ([A-Z]\w*)\("
_VALUE = r"^\t?(?:var )?([A-Z]\w*) += (?:\w*[oO]ptionFunc|constraintsOptFunc|Platform\()"
_MOUNT = r"^func ([A-Z]\w*)\(m \*mount\)"


def exported() -> set[str]:
    """The names by which client/llb and llbbuild make states and options."""
    find = [
        "go",
        "list",
        "-f",
        "{{.Dir}}",
        "github.com/moby/buildkit/client/llb",
        "github.com/moby/buildkit/client/llb/llbbuild",
    ]
    folders = subprocess.run(find, cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout.split()
    texts = [file.read_text() for folder in folders for file in Path(folder).glob("*.go")]
    return {
        name
        for text in texts
        if not re.search(r"^func Test", text, re.MULTILINE)
        for pattern in (_MADE, _METHOD, _VALUE, _MOUNT)
        for name in re.findall(pattern, text, re.MULTILINE)
    }


def test_every_name_of_go_is_in_the_table() -> None:
    known = set(options.OPTIONS) | set(options.OTHERWISE)
    found = exported()
    assert len(found) > 140
    assert found - known == set()
    # Made in other ways than those the patterns find.
    assert known - found <= {"ChmodOpt", "ResolveMode", "LinuxArm"}
