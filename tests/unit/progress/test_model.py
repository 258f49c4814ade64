"""The display model: what it makes of the daemon's events."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pyllb.progress.lines import LineLog, plain_text, size
from pyllb.progress.model import Model, Span, merge_spans
from pyllb.status import ProgressGroup, SolveStatus, Vertex, VertexLog

_spans = st.lists(
    st.builds(
        lambda start, length: Span(start, None if length is None else start + length),
        st.integers(0, 50).map(float),
        st.none() | st.integers(0, 20).map(float),
    )
)


def _covered(spans: list[Span] | tuple[Span, ...], moment: float) -> bool:
    return any(span.start <= moment and (span.stop is None or moment <= span.stop) for span in spans)


@given(_spans)
def test_merged_spans_cover_the_same_moments_without_overlap(spans: list[Span]) -> None:
    merged = merge_spans(spans)

    assert all(_covered(spans, t / 2) == _covered(merged, t / 2) for t in range(160))
    assert all(a.stop is not None and a.stop < b.start for a, b in itertools.pairwise(merged))


def test_a_vertex_that_runs_twice_counts_both_times() -> None:
    model = Model()
    for start, stop in ((10.0, 12.0), (20.0, 21.5)):
        model.update(SolveStatus(vertexes=(Vertex(digest="a", name="a", started=start, completed=stop),)), 100.0)

    (row,) = model.started
    assert row.seconds(0.0) == 3.5
    assert row.completed


def test_vertices_are_listed_in_the_order_they_start_and_those_that_did_not_are_counted() -> None:
    model = Model()
    model.update(SolveStatus(vertexes=tuple(Vertex(digest=d, name=d) for d in "abc")), 50.0)
    model.update(SolveStatus(vertexes=(Vertex(digest="b", name="b", started=1.0, completed=2.0),)), 50.0)
    model.update(SolveStatus(vertexes=(Vertex(digest="a", name="a", started=3.0),)), 52.0)

    assert [row.key for row in model.started] == ["b", "a"]
    assert model.counts() == (1, 3)
    assert model.shift == 49.0


def test_a_second_announcement_without_times_does_not_undo_a_start() -> None:
    model = Model()
    model.update(SolveStatus(vertexes=(Vertex(digest="a", name="a", started=1.0, completed=2.0, cached=True),)), 5.0)
    model.update(SolveStatus(vertexes=(Vertex(digest="a", name="other"),)), 6.0)

    assert (model.rows["a"].name, model.rows["a"].cached) == ("a", True)


def _member(digest: str, *, weak: bool = False, **state: object) -> Vertex:
    group = ProgressGroup("g", "the group", weak)
    return Vertex(digest=digest, name=digest, group=group, **state)  # type: ignore[arg-type]  # options of any kind, by name


def test_a_group_is_one_row_cached_only_when_all_its_members_are() -> None:
    model = Model()
    model.update(SolveStatus(vertexes=(_member("a", started=1.0, completed=2.0, cached=True), _member("b"))), 5.0)

    assert [row.name for row in model.started] == ["the group"]
    assert not model.started[0].cached

    model.update(SolveStatus(vertexes=(_member("b", started=2.0, completed=4.0, cached=True),)), 6.0)

    assert model.started[0].cached
    assert model.started[0].seconds(0.0) == 3.0
    assert model.counts() == (1, 1)


def test_a_weak_group_stays_hidden_until_a_member_that_is_not_weak_starts_or_one_fails() -> None:
    model = Model()
    model.update(SolveStatus(vertexes=(_member("a", weak=True, started=1.0),)), 5.0)
    assert model.started == []

    model.update(SolveStatus(vertexes=(_member("a", weak=True, started=1.0, completed=2.0, error="no"),)), 5.0)
    assert [row.error for row in model.started] == ["no"]


def test_output_of_a_member_goes_to_its_group() -> None:
    model = Model()
    model.update(SolveStatus(vertexes=(_member("a", started=1.0),)), 5.0)
    model.update(SolveStatus(logs=(VertexLog(vertex="a", stream=1, data=b"hi\n", timestamp=1.5),)), 5.0)

    assert model.started[0].log.fresh == ["0.500 hi"]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.lists(st.integers(0, 30), max_size=5))
def test_output_cut_anywhere_reads_as_if_it_came_whole(text: str, cuts: list[int]) -> None:
    data = text.encode()
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    whole, parts = LineLog(), LineLog()
    whole.feed(1, data, 0.0)
    for start, end in itertools.pairwise(places):
        parts.feed(1, data[start:end], 0.0)

    assert parts.fresh == whole.fresh
    assert parts.open == whole.open
    assert list(parts.last) == list(whole.last)


def test_a_line_that_never_ends_is_broken_so_that_memory_stays_bounded() -> None:
    log = LineLog()
    for _ in range(200):
        log.feed(1, b"x" * 8192, 0.0)
        log.shown()

    assert sum(map(len, log.last)) <= 50 * 16 * 1024
    assert sum(map(len, log.fresh)) < 64 * 1024


def test_bytes_that_are_not_text_are_replaced() -> None:
    log = LineLog()
    log.feed(2, b"\xff\xfe ok\n", 12.3456)

    assert log.fresh == ["12.35 \ufffd\ufffd ok"]


def test_text_for_a_drawing_has_no_cursor_codes() -> None:
    assert plain_text("\x1b[2J\x1b[31mred\x1b[0m\tx\x07") == "red x"
    assert plain_text(" 10%\r 20%\r 30%\r") == " 30%"
    assert plain_text("\x1b]0;title\x07text") == "text"


def test_sizes_are_in_powers_of_a_thousand() -> None:
    assert [size(n) for n in (0, 999, 1000, 23_040_000, 5 * 10**15)] == ["0B", "999B", "1.00kB", "23.04MB", "5000.00TB"]
