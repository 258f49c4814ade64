"""Plain: progress as lines of text, in the format of buildctl's --progress=plain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TextIO

from pyllb.progress.lines import plain_lines, size
from pyllb.progress.model import Model, Row
from pyllb.progress.sink import Painter, put, refresh_seconds
from pyllb.status import SolveStatus, VertexStatus

# progressui's constants (0.33.1), in seconds and as a share of the total
_ANTI_FLICKER = 5.0
_MAX_DELAY = 10.0
_MIN_TIME_DELTA = 5.0
_MIN_PROGRESS_DELTA = 0.05
_SUMMARY_LINES = 10
_SHORT_NAME = 72


def plain(stream: TextIO, env: Mapping[str, str]) -> Painter:
    """A sink of plain lines. env: PROGRESS_NO_TRUNC, TTY_DISPLAY_RATE."""
    display = PlainDisplay(stream, no_trunc=env.get("PROGRESS_NO_TRUNC", ""))
    return Painter(display, interval=refresh_seconds(env))


class PlainDisplay:
    """Writes blocks of lines, one vertex at a time: #N NAME, its statuses and output, then DONE, CACHED or ERROR.

    Mirrors progressui's textMux (0.33.1): which vertex is shown next, and when, follows the same rules.
    no_trunc: PROGRESS_NO_TRUNC; only the value "0" cuts names.
    """

    def __init__(self, stream: TextIO, *, no_trunc: str = "") -> None:
        self._stream = stream
        self._clean = plain_lines if stream.isatty() else str  # a file gets every byte, a terminal no cursor codes
        self._short = no_trunc == "0"
        self._model = Model()
        self._out: list[str] = []
        self._numbers: dict[str, int] = {}
        self._current: Row | None = None
        self._begun = False
        self._printed: dict[tuple[str, str], VertexStatus] = {}
        self._warned: dict[str, int] = {}

    def update(self, status: SolveStatus, now: float) -> None:
        self._model.update(status, now)

    def paint(self, now: float, *, final: bool) -> None:
        self._schedule(now)
        self._flush()

    def finish(self) -> None:
        self._out += failure_summary(self._model, _SUMMARY_LINES, self._clean)
        self._flush()

    def _flush(self) -> None:
        text, self._out = "".join(self._out), []
        put(self._stream, text)

    def _schedule(self, now: float) -> None:
        """Print what has news: all that completed, and one of those still running."""
        news = [row for key in self._model.changed if not (row := self._model.rows[key]).hidden]
        completed = [row for row in news if row.completed]
        running = [row for row in news if not row.completed]
        current = self._current
        ended = current is None or current in completed
        completed.sort(key=lambda row: (row is not current, row.spans[-1].stop or 0.0))
        for row in completed:
            self._print(row)
        if not running:
            self._open_any(current)
        else:
            self._share_out(running, current, ended, now)

    def _open_any(self, current: Row | None) -> None:
        if current is not None and current.started and not current.completed:
            return
        for row in self._model.started:
            if not row.completed:
                self._print(row)
                return

    def _share_out(self, running: list[Row], current: Row | None, ended: bool, now: float) -> None:
        """Keep to the current one, unless another has waited too long or says more."""
        if current is not None and current in running:
            self._print(current)
        elif current is not None and not ended:
            running.append(current)
        waited = {row.key: now - row.block_start for row in running}
        speed = {row.key: row.events / max(waited[row.key], 1e-9) for row in running}
        late = [row for row in running if waited[row.key] > _MAX_DELAY and row is not current]
        best = late[-1] if late else max(running, key=lambda row: speed[row.key])
        if ended or current is None:
            self._print(best)
        elif late:
            self._print(late[0])
        else:
            total = sum(speed.values())
            others = 1.0 - (speed[current.key] / total if total else 0.0)
            if waited[current.key] * others > _ANTI_FLICKER:
                self._print(best)

    def _print(self, row: Row) -> None:
        number = self._numbers.setdefault(row.key, len(self._numbers) + 1)
        if row is not self._current:
            self._switch(row, number)
        still_open = self._statuses(row, number)
        seen = self._warned.get(row.key, 0)
        self._out += [f"#{number} WARN: {self._clean(short)}\n" for short in row.warnings[seen:]]
        self._warned[row.key] = len(row.warnings)
        self._log(row, number)
        self._current = row
        if row.completed and not still_open:
            self._current = None
            row.events = 0
            if row.log.open:
                self._out.append("\n")
            self._out.append(f"#{number} {self._clean(_outcome(row))}\n")
        self._model.changed.pop(row.key, None)

    def _switch(self, row: Row, number: int) -> None:
        if (old := self._current) is not None:
            if old.log.open:
                self._out.append("\n")
            old.log.restart()
            old.events = 0
            self._out.append(f"#{self._numbers[old.key]} ...\n")
        if self._begun:
            self._out.append("\n")
        self._begun = True
        name = self._clean(row.name)
        if self._short and len(name) > _SHORT_NAME:
            name = name[:_SHORT_NAME] + "..."
        self._out.append(f"#{number} {name}\n")

    def _statuses(self, row: Row, number: int) -> bool:
        """Print the statuses that moved far enough; True when one of those printed goes on."""
        still_open = False
        for item in row.statuses.values():
            if item.id not in row.touched or item.started is None:
                continue
            if not _worth_a_line(item, self._printed.get((row.key, item.id))):
                continue
            self._printed[row.key, item.id] = item
            self._out.append(f"#{number} {item.id}{amount(item)}{_elapsed(item)}\n")
            still_open |= item.completed is None
        row.touched.clear()
        return still_open

    def _log(self, row: Row, number: int) -> None:
        log = row.log
        last = len(log.fresh) - 1
        for i, line in enumerate(log.fresh):
            text = self._clean(line[log.offset :] if i == 0 and log.offset else f"#{number} {line}")
            self._out.append(text if i == last and log.open else f"{text}\n")
        log.shown()


def _worth_a_line(item: VertexStatus, last: VertexStatus | None) -> bool:
    if last is None or item.completed is not None:
        return True
    progress = (item.current - last.current) / item.total if item.total > 0 else 0.0
    return progress >= _MIN_PROGRESS_DELTA or (item.timestamp or 0.0) - (last.timestamp or 0.0) >= _MIN_TIME_DELTA


def amount(item: VertexStatus) -> str:
    """How far a status is, with a space in front; "" when it counts nothing."""
    if item.total:
        return f" {size(item.current)} / {size(item.total)}"
    return f" {size(item.current)}" if item.current else ""


def _elapsed(item: VertexStatus) -> str:
    end = item.completed if item.completed is not None else item.timestamp
    taken = end - item.started if end is not None and item.started is not None else 0.0
    return (f" {taken:.1f}s" if taken > 0.01 else "") + (" done" if item.completed is not None else "")


def _outcome(row: Row) -> str:
    if row.canceled:
        return "CANCELED"
    if row.error:
        return f"ERROR: {row.error}"
    return "CACHED" if row.cached else f"DONE {row.seconds(0.0):.1f}s"


def failure_summary(model: Model, lines: int, clean: Callable[[str], str]) -> list[str]:
    """The last lines of each failed vertex, between dashes; nothing for a vertex that was canceled.

    clean: what a text goes through before it is shown.
    """
    out: list[str] = []
    for row in model.started:
        if row.failed:
            out += ["------\n", f" > {clean(row.name)}:\n"]
            out += [f"{clean(line)}\n" for line in list(row.log.last)[-lines:]]
            out.append("------\n")
    return out
