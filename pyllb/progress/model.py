"""Model: a running solve as a display needs it, folded from status events. Pure: the caller says what time it is."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from pyllb.progress.lines import LineLog
from pyllb.status import ProgressGroup, SolveStatus, Vertex, VertexLog, VertexStatus

_CANCELED = "context canceled"


@attrs.frozen
class Span:
    """A time a vertex ran, in seconds by the daemon's clock; stop None while it runs."""

    start: float
    stop: float | None

    def seconds(self, now: float) -> float:
        return (now if self.stop is None else self.stop) - self.start


def merge_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same time with overlaps joined, in order; a span that has not ended swallows all that start later."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda s: s.start):
        last = merged[-1] if merged else None
        if last is None:
            merged.append(span)
        elif last.stop is None:
            break
        elif last.stop < span.start:
            merged.append(span)
        else:
            merged[-1] = Span(last.start, None if span.stop is None else max(last.stop, span.stop))
    return tuple(merged)


@attrs.define(eq=False)
class Row:
    """One line of a display: a vertex, or a progress group with all its vertices.

    key: the vertex's digest or the group's id. spans: when it ran, merged. hidden: a group whose members have not
    started yet. events, block_start: how much happened since the row was last current, and when that began.
    """

    key: str
    name: str
    log: LineLog = attrs.field(factory=LineLog)
    error: str = ""
    cached: bool = False
    hidden: bool = False
    spans: tuple[Span, ...] = ()
    statuses: dict[str, VertexStatus] = attrs.field(factory=dict)
    touched: set[str] = attrs.field(factory=set)
    warnings: list[str] = attrs.field(factory=list)
    events: int = 0
    block_start: float = 0.0
    _raw_spans: dict[float, Span] = attrs.field(factory=dict)

    @property
    def started(self) -> bool:
        return bool(self.spans)

    @property
    def completed(self) -> bool:
        return bool(self.spans) and self.spans[-1].stop is not None

    @property
    def canceled(self) -> bool:
        return self.error.endswith(_CANCELED)

    @property
    def failed(self) -> bool:
        return bool(self.error) and not self.canceled

    def seconds(self, now: float) -> float:
        """How long it ran in all. now: by the daemon's clock."""
        return sum(span.seconds(now) for span in self.spans)

    def add_span(self, start: float, stop: float | None) -> bool:
        """Note that it ran; True when that is news."""
        span = Span(start, stop)
        if self._raw_spans.get(start) == span:
            return False
        self._raw_spans[start] = span
        self.spans = merge_spans(self._raw_spans.values())
        return True

    def count(self, now: float) -> None:
        if self.events == 0:
            self.block_start = now
        self.events += 1


@attrs.define(eq=False)
class _Group:
    row: Row
    members: dict[str, Vertex] = attrs.field(factory=dict)

    def refresh(self) -> bool:
        """Fold the members into the row; True when it changed. Mirrors progressui's group rules (0.33.1)."""
        row, members = self.row, self.members.values()
        before = (row.cached, row.error, row.hidden)
        changed = False
        for member in members:
            if member.started is not None:
                changed |= row.add_span(member.started, member.completed)
        row.cached = all(member.cached for member in members)
        row.error = next((member.error for member in members if member.error), "")
        shown = any(m.started is not None and m.group is not None and not m.group.weak for m in members)
        row.hidden = row.hidden and not shown and not row.error
        return changed or before != (row.cached, row.error, row.hidden)


class Model:
    """All rows of a solve. Not thread-safe: its owner holds a lock.

    rows: by key, in the order they became known. started: the rows a display shows, in the order they first started.
    changed: keys of rows with news; a display removes what it has shown. shift: seconds to add to a daemon's time
    to get this machine's, and first: when, by the daemon's clock; both None until something started.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.started: list[Row] = []
        self.changed: dict[str, None] = {}
        self.shift: float | None = None
        self.first: float | None = None
        self._row_of: dict[str, Row] = {}
        self._groups: dict[str, _Group] = {}
        self._listed: set[str] = set()

    def update(self, status: SolveStatus, now: float) -> None:
        """Fold one message of the Status stream in. now: seconds since the epoch, by this machine's clock."""
        groups: dict[str, _Group] = {}
        for vertex in status.vertexes:
            if vertex.group is not None:
                groups[vertex.group.id] = self._member(vertex, vertex.group)
            else:
                self._vertex(vertex, now)
        for group in groups.values():
            if group.refresh() and not group.row.hidden:
                self._note(group.row, now)
            self._list(group.row, now)
        for item in status.statuses:
            self._status(item, now)
        for warning in status.warnings:
            if row := self._row_of.get(warning.vertex):
                row.warnings.append(warning.short)
                self._note(row, now)
        for log in status.logs:
            self._log(log, now)

    def counts(self) -> tuple[int, int]:
        """How many rows are completed, and how many there are, those not started included."""
        shown = [row for row in self.rows.values() if not row.hidden]
        return sum(row.completed for row in shown), len(shown)

    def daemon_time(self, now: float) -> float:
        """This machine's time as the daemon's clock has it."""
        return now - (self.shift or 0.0)

    def _note(self, row: Row, now: float) -> None:
        row.count(now)
        self.changed[row.key] = None

    def _list(self, row: Row, now: float) -> None:
        """Put a row that has started on the display."""
        if row.started and self.shift is None:
            self.first = row.spans[0].start
            self.shift = now - self.first
        if row.started and not row.hidden and row.key not in self._listed:
            self._listed.add(row.key)
            self.started.append(row)

    def _row(self, key: str, name: str) -> Row:
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = self._row_of[key] = Row(key, name)
        return row

    def _member(self, vertex: Vertex, group: ProgressGroup) -> _Group:
        held = self._groups.get(group.id)
        if held is None:
            row = self._row(group.id, group.name)
            row.hidden = True
            held = self._groups[group.id] = _Group(row)
        held.members[vertex.digest] = vertex
        self._row_of[vertex.digest] = held.row
        return held

    def _vertex(self, vertex: Vertex, now: float) -> None:
        row = self._row(vertex.digest, vertex.name)
        if vertex.started is None:
            if not row.started:  # the daemon announces a vertex again; that must not undo what it did meanwhile
                row.name, row.error, row.cached = vertex.name, vertex.error, vertex.cached
            return
        news = (vertex.name, vertex.error, vertex.cached) != (row.name, row.error, row.cached)
        row.name, row.error, row.cached = vertex.name, vertex.error, vertex.cached
        if row.add_span(vertex.started, vertex.completed) or news:
            self._note(row, now)
        self._list(row, now)

    def _status(self, item: VertexStatus, now: float) -> None:
        if row := self._row_of.get(item.vertex):
            row.statuses[item.id] = item
            row.touched.add(item.id)
            self._note(row, now)

    def _log(self, log: VertexLog, now: float) -> None:
        if row := self._row_of.get(log.vertex):
            since = 0.0
            if row.spans and log.timestamp is not None:
                since = log.timestamp - row.spans[-1].start
            row.log.feed(log.stream, log.data, since)
            self._note(row, now)
