"""Plain progress beside buildctl's own, from the same events."""

from __future__ import annotations

import io
import json
import re
import time
from base64 import b64decode
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import pyllb
from pyllb.progress.plain import PlainDisplay
from pyllb.progress.rawjson import to_json
from pyllb.status import SolveStatus, Vertex, VertexLog, VertexStatus
from tests.conftest import Buildctl

Json = dict[str, Any]


def test_the_events_of_a_build_read_as_buildctl_prints_them(tmp_path: Path, buildctl: Buildctl) -> None:
    events, theirs = _built(
        tmp_path, buildctl, f"echo one; printf two; echo; echo three >&2; false  # {time.time_ns()}"
    )

    stream = io.StringIO()
    display = PlainDisplay(stream)
    for event in events:
        display.update(event, time.time())
        display.paint(time.time(), final=False)
    display.paint(time.time(), final=True)
    display.finish()

    summary = re.search(r"^------\n.*?^------\n", theirs, re.MULTILINE | re.DOTALL)
    assert summary is not None, theirs
    theirs = theirs[: summary.end()]  # buildctl's own error follows
    assert "three" in theirs
    assert _steady(stream.getvalue()) == _steady(theirs)


def test_rawjson_has_the_fields_of_buildctls_trace(tmp_path: Path, buildctl: Buildctl) -> None:
    _built(tmp_path, buildctl, f"echo one; echo two  # {time.time_ns()}")
    for line in (tmp_path / "trace").read_text().splitlines():
        theirs = json.loads(line)
        ours = json.loads(json.dumps(to_json(_event(theirs))))
        assert _with_times(ours, float) == _with_times(theirs, _about)


def _built(folder: Path, buildctl: Buildctl, command: str) -> tuple[list[SolveStatus], str]:
    """What buildctl heard of a build of two steps, and what it printed."""
    trace = folder / "trace"
    node = pyllb.fs().image("busybox").run("echo first").run(command)
    words = ("build", "--progress=plain", "--trace", str(trace))
    done = buildctl(*words, input=pyllb.dump(node).to_bytes(), check=False)
    return [_event(json.loads(line)) for line in trace.read_text().splitlines()], done.stderr.decode()


def _steady(text: str) -> list[str]:
    """The lines but buildctl's log and those of the image, which comes in several goes: each prints what it sees."""
    return [line for line in text.splitlines() if line and not line.startswith(("#1 ", "time="))]


def _event(data: Json) -> SolveStatus:
    """A line of buildctl's trace as our event."""
    return SolveStatus(
        vertexes=tuple(
            Vertex(
                digest=v["digest"],
                name=v["name"],
                inputs=tuple(v.get("inputs", ())),
                started=_time(v.get("started")),
                completed=_time(v.get("completed")),
                cached=v.get("cached", False),
                error=v.get("error", ""),
            )
            for v in data.get("vertexes", ())
        ),
        statuses=tuple(
            VertexStatus(
                id=s["id"],
                vertex=s["vertex"],
                name=s.get("name", ""),
                current=s["current"],
                total=s.get("total", 0),
                timestamp=_time(s["timestamp"]),
                started=_time(s.get("started")),
                completed=_time(s.get("completed")),
            )
            for s in data.get("statuses", ())
        ),
        logs=tuple(
            VertexLog(
                vertex=entry["vertex"],
                stream=entry["stream"],
                data=b64decode(entry["data"]),
                timestamp=_time(entry["timestamp"]),
            )
            for entry in data.get("logs", ())
        ),
    )


_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)\Z")


def _time(text: str | None) -> float | None:
    if text is None:
        return None
    match = _TIME.match(text)
    assert match is not None, text
    zone = "+00:00" if match[3] == "Z" else match[3]
    return datetime.fromisoformat(match[1] + zone).timestamp() + float(f"0.{match[2] or 0}")


def _about(moment: float) -> object:
    """Equal to a time less than a microsecond away: we hold times in a float, Go to the nanosecond."""
    return pytest.approx(moment, abs=1e-6, rel=0)


def _with_times(value: Any, convert: Callable[[float], object]) -> Any:
    """The same with times as numbers."""
    if isinstance(value, dict):
        return {key: _with_times(item, convert) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_times(item, convert) for item in value]
    if isinstance(value, str) and _TIME.match(value):
        moment = _time(value)
        assert moment is not None
        return convert(moment)
    return value
