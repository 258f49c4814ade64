"""Record: a solve's events, merged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyllb.client.record import Record
from pyllb.status import SolveStatus, Vertex, VertexLog, VertexWarning


def vertexes(*events: Vertex) -> Record:
    record = Record()
    for event in events:
        record.update(SolveStatus(vertexes=(event,)))
    return record


def test_a_vertex_that_starts_again_is_one_step() -> None:
    record = vertexes(
        Vertex(digest="a", name="pull"),
        Vertex(digest="a", name="pull", started=1.0),
        Vertex(digest="a", name="pull", started=1.0, completed=2.0),
        Vertex(digest="b", name="run", started=2.0),
        Vertex(digest="a", name="pull", started=3.0, completed=5.0, cached=True),
    )
    pull, run = record.steps()
    assert (pull.started, pull.completed, pull.cached, pull.duration) == (1.0, 5.0, True, 4.0)
    assert (run.duration, run.cached) == (0.0, False)
    assert record.running() == ("run",)
    assert record.name("b") == "run"
    assert record.name("unknown") == ""
    use = record.cache_use(frozenset(("a", "b", "never")))
    assert (use.total, use.cached, use.ratio) == (2, 1, 0.5)


def test_the_step_to_blame_is_the_one_that_was_not_canceled() -> None:
    record = vertexes(
        Vertex(digest="a", name="a", error="process: context canceled"),
        Vertex(digest="b", name="b", error="exit code: 1"),
    )
    assert record.failed() == "b"
    assert vertexes().failed() == ""


@given(
    st.lists(st.binary(min_size=1, max_size=20).filter(lambda line: b"\n" not in line and b"\r" not in line)), st.data()
)
def test_lines_are_whole_however_they_were_cut(lines: list[bytes], data: st.DataObject) -> None:
    text = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=5)))
    record = Record()
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        record.update(SolveStatus(logs=(VertexLog(vertex="a", stream=1, data=text[start:end]),)))
    assert record.log("a") == tuple(line.decode(errors="replace") for line in lines)[-50:]


def test_two_streams_do_not_mix_in_a_line() -> None:
    record = Record()
    for stream, data in ((1, b"out"), (2, b"err\n"), (1, b"put\nmore")):
        record.update(SolveStatus(logs=(VertexLog(vertex="a", stream=stream, data=data),)))
    assert record.log("a") == ("err", "output", "more")


def test_what_is_kept_of_a_log_is_bounded() -> None:
    record = Record()
    for _ in range(100):
        record.update(SolveStatus(logs=(VertexLog(vertex="a", stream=1, data=b"x" * 100_000),)))
    record.update(SolveStatus(logs=(VertexLog(vertex="a", stream=1, data=b"\n" * 1000 + b"last\n"),)))
    assert len(record.log("a")) == 50
    assert record.log("a")[-1] == "last"
    record.update(SolveStatus(vertexes=(Vertex(digest="a", name="a", completed=1.0),)))
    assert record.log("a") == ()  # of what succeeded nobody asks


def test_a_warning_is_kept_once() -> None:
    record = Record()
    for _ in range(2):
        record.update(SolveStatus(warnings=(VertexWarning(vertex="a", short="careful"),)))
    assert [warning.short for warning in record.warnings()] == ["careful"]
