"""Which progress is shown: the mode, the stream and the environment."""

from __future__ import annotations

import io
import json

import pytest

from pyllb.errors import SourceLine, UsageError
from pyllb.progress import make
from pyllb.progress.quiet import Quiet
from pyllb.progress.rawjson import RawJson
from pyllb.progress.sink import Painter
from pyllb.status import ProgressGroup, SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning


@pytest.mark.parametrize(
    ("mode", "env", "kind"),
    [
        ("quiet", {}, Quiet),
        ("rawjson", {}, RawJson),
        ("auto", {}, Painter),
        ("", {"BUILDKIT_PROGRESS": "quiet"}, Quiet),
        ("auto", {"BUILDKIT_PROGRESS": "rawjson"}, RawJson),
        ("plain", {"BUILDKIT_PROGRESS": "rawjson"}, Painter),
    ],
)
def test_the_mode_wins_and_the_environment_decides_for_auto(mode: str, env: dict[str, str], kind: type) -> None:
    assert isinstance(make(mode, io.StringIO(), env), kind)


@pytest.mark.parametrize(
    ("mode", "env", "message"),
    [
        ("fancy", {}, "^'fancy' is not a progress mode"),
        ("auto", {"BUILDKIT_PROGRESS": "fancy"}, "^BUILDKIT_PROGRESS: 'fancy' is not a progress mode"),
        ("tty", {}, "^progress mode 'tty' needs a terminal"),
        ("auto", {"BUILDKIT_PROGRESS": "tty"}, "^BUILDKIT_PROGRESS: progress mode 'tty' needs a terminal"),
    ],
)
def test_a_mode_that_cannot_be_is_refused(mode: str, env: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make(mode, io.StringIO(), env)


def test_rawjson_has_go_field_names_and_leaves_out_what_is_empty() -> None:
    stream = io.StringIO()
    sink = make("rawjson", stream, {})
    group = ProgressGroup("g", "group")
    sink.update(SolveStatus(vertexes=(Vertex(digest="d", name="n", started=1.5, completed=2.0, group=group),)))
    sink.update(
        SolveStatus(
            statuses=(VertexStatus(id="i", vertex="d", timestamp=3.0, started=0.25),),
            logs=(VertexLog(vertex="d", stream=2, data=b"hi\n", timestamp=4.125),),
            warnings=(VertexWarning(vertex="d", short="w", sources=(SourceLine("f", 3, text="x"),)),),
        )
    )
    sink.close()

    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == {
        "vertexes": [
            {
                "digest": "d",
                "name": "n",
                "started": "1970-01-01T00:00:01.5Z",
                "completed": "1970-01-01T00:00:02Z",
                "progressGroup": {"id": "g", "name": "group"},
            }
        ]
    }
    assert second == {
        "statuses": [
            {
                "id": "i",
                "vertex": "d",
                "current": 0,
                "timestamp": "1970-01-01T00:00:03Z",
                "started": "1970-01-01T00:00:00.25Z",
            }
        ],
        "logs": [{"vertex": "d", "stream": 2, "data": "aGkK", "timestamp": "1970-01-01T00:00:04.125Z"}],
        "warnings": [
            {
                "vertex": "d",
                "short": "dw==",
                "sourceInfo": {"filename": "f", "data": "eA=="},
                "range": [{"start": {"line": 3}, "end": {"line": 3}}],
            }
        ],
    }
