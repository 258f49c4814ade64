"""Tty: progress drawn on a terminal, redrawn in place by rich."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import TextIO

import attrs
from rich.cells import cell_len, set_cell_size
from rich.color import Color, ColorParseError
from rich.console import Console
from rich.live import Live
from rich.text import Text

from pyllb.progress.lines import plain_lines, plain_text
from pyllb.progress.model import Model, Row
from pyllb.progress.plain import amount, failure_summary
from pyllb.progress.sink import Painter, put, refresh_seconds
from pyllb.status import SolveStatus

_LOG_LINES = 6
_NARROWEST = 12  # cells for a name; below, a job is not shown
_SUMMARY_LINES = 50  # what scrolled by in the drawing is gone, so more than plain repeats
_FAINT = "dim"


def tty(stream: TextIO, env: Mapping[str, str]) -> Painter:
    """A sink that draws on the terminal behind stream. env: NO_COLOR, BUILDKIT_COLORS, BUILDKIT_TTY_LOG_LINES."""
    lines = env.get("BUILDKIT_TTY_LOG_LINES", "")
    log_lines = max(int(lines), _LOG_LINES) if lines.isascii() and lines.isdigit() else _LOG_LINES
    display = TtyDisplay(stream, colors=Colors.from_environment(env), log_lines=log_lines)
    return Painter(display, interval=refresh_seconds(env))


@attrs.frozen
class Colors:
    """The style of a job that is over; "" leaves it as it is. Defaults: progressui's (0.33.1)."""

    run: str = "blue"
    cancel: str = "yellow"
    error: str = "red"

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Colors:
        """BUILDKIT_COLORS, as run=cyan:error=250,10,10; what cannot be read is passed over. NO_COLOR: none."""
        if env.get("NO_COLOR"):
            return cls("", "", "")
        given: dict[str, str] = {}
        for field in env.get("BUILDKIT_COLORS", "").split(":"):
            key, _, value = field.strip('"').partition("=")
            with contextlib.suppress(ColorParseError):
                if key.lower() in ("run", "cancel", "error"):
                    given[key.lower()] = _color(value.lower())
        return attrs.evolve(cls(), **given)


def _color(value: str) -> str:
    name = f"rgb({value})" if "," in value else value.replace("light-", "bright_")
    return Color.parse(name).name


@attrs.frozen
class Job:
    """One line of the drawing: its text, what stands on the right, its style, and the row whose output may follow."""

    name: str
    amount: str
    seconds: float
    style: str
    over: bool
    row: Row | None = None


@attrs.frozen
class Line:
    text: str
    style: str = ""


class Drawing:
    """The frames of a solve, as lines of text. Pure but for remembering which output it has shown how often.

    Mirrors progressui's ttyDisplay (0.33.1): the newest jobs, those that still run first of all, and under the busiest
    of them its last lines of output, as far as the screen goes.
    """

    def __init__(self, *, colors: Colors, log_lines: int = _LOG_LINES) -> None:
        self.model = Model()
        self._colors = colors
        self._log_lines = log_lines
        self._times_shown: dict[str, int] = {}

    def update(self, status: SolveStatus, now: float) -> None:
        """Fold an event in. A drawing shows only the last lines of output, so the others are not kept."""
        self.model.update(status, now)
        for key in self.model.changed:
            self.model.rows[key].log.shown()
        self.model.changed.clear()

    def frame(self, now: float, width: int, height: int, *, final: bool) -> list[Line]:
        """The lines to draw, none wider than width, no more than height - 1 unless it is the final frame."""
        jobs = self._jobs(now)
        tails = {} if final else self._tails(jobs, height)
        if not final:
            jobs = fit(jobs, height - 2 - sum(map(len, tails.values())))
        lines = [Line(self._header(now, width, final))]
        for job in jobs:
            if text := _job_text(job, width):
                lines.append(Line(text, job.style))
                tail = tails.get(job.row.key, ()) if job.row else ()
                lines += [Line(_cut(f" => => # {text}", width), _FAINT) for text in tail]
        return lines

    def _header(self, now: float, width: int, final: bool) -> str:
        done, total = self.model.counts()
        started = self.model.first
        taken = 0.0 if started is None else self.model.daemon_time(now) - started
        end = "FINISHED" if final and done == total and done else ""
        return _cut(f"[+] Building {taken:.1f}s ({done}/{total}) {end}".rstrip(), width)

    def _jobs(self, now: float) -> list[Job]:
        daemon_now = self.model.daemon_time(now)
        return [job for row in self.model.started for job in self._row_jobs(row, daemon_now)]

    def _row_jobs(self, row: Row, now: float) -> Iterable[Job]:
        prefix = ("CACHED " if row.cached else "") + ("CANCELED " if row.canceled else "ERROR " if row.error else "")
        style = self._colors.cancel if row.canceled else self._colors.error if row.error else self._colors.run
        over = row.completed
        yield Job(prefix + _one_line(row.name), "", row.seconds(now), style if over else "", over, row)
        for item in row.statuses.values():
            if item.started is not None:
                ended = item.completed is not None
                seconds = (now if item.completed is None else item.completed) - item.started
                yield Job(f"=> {item.id}", amount(item).strip(), seconds, self._colors.run if ended else "", ended)
        for short in row.warnings:
            yield Job(f"WARN: {_one_line(short)}", "", row.seconds(now), self._colors.cancel, True)

    def _tails(self, jobs: list[Job], height: int) -> dict[str, list[str]]:
        """The last lines of output of the busiest running vertices, for as many as there is room."""
        rows = [job.row for job in jobs if job.row is not None and not job.over and job.row.log.size]
        rows.sort(key=lambda row: -(row.log.size + 50 * self._times_shown.get(row.key, 0)))
        each = max(_LOG_LINES, min(self._log_lines, height - _LOG_LINES - 1))
        free = height - 2 - sum(not job.over for job in jobs)
        tails: dict[str, list[str]] = {}
        for row in rows:
            if free <= each + 3:
                break
            free -= each + 3
            tails[row.key] = _tail(row, each)
            self._times_shown[row.key] = self._times_shown.get(row.key, 0) + 1
        return tails


def _tail(row: Row, count: int) -> list[str]:
    lines = (plain_text(line.partition(" ")[2]) for line in list(row.log.last)[-count:])
    return [line for line in lines if line.strip()]


def fit(jobs: list[Job], limit: int) -> list[Job]:
    """The newest jobs that fit; of the older ones, those that still run take the place of the oldest that are over."""
    if len(jobs) <= limit:
        return jobs
    if limit <= 0:
        return []
    cut, kept = jobs[:-limit], jobs[-limit:]
    running = [job for job in cut if not job.over]
    room = min(len(running), sum(job.over for job in kept))
    for _ in range(room):
        kept.remove(next(job for job in kept if job.over))
    return running[len(running) - room :] + kept


def _job_text(job: Job, width: int) -> str:
    """` => NAME AMOUNT    1.2s`, one cell short of the edge, where some terminals wrap; "" if that is too narrow."""
    right = f"{job.seconds if job.seconds >= 0.05 else 0:3.1f}s"
    left = width - len(" => ") - len(right) - 2
    status = job.amount if left - len(job.amount) > _NARROWEST else ""
    room = left - (len(status) + 1 if status else 0)
    if room < _NARROWEST:
        return ""
    name = _cut(job.name, room) + (f" {status}" if status else "")
    return f" => {set_cell_size(name, left)} {right}"


def _one_line(text: str) -> str:
    return plain_text(" ".join(text.splitlines()) if "\n" in text else text)


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, max(width, 0))


class TtyDisplay:
    """Puts a drawing on a terminal, in place, and gives the terminal back in the end."""

    def __init__(self, stream: TextIO, *, colors: Colors, log_lines: int) -> None:
        self._stream = stream
        self._drawing = Drawing(colors=colors, log_lines=log_lines)
        self._console = Console(file=stream, force_terminal=True, highlight=False, markup=False, emoji=False)
        self._live: Live | None = None

    def update(self, status: SolveStatus, now: float) -> None:
        self._drawing.update(status, now)

    def paint(self, now: float, *, final: bool) -> None:
        if not self._drawing.model.rows:
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self._live.start()
        width, height = self._console.size
        lines = self._drawing.frame(now, width, height, final=final)
        if final:
            self._live.vertical_overflow = "visible"
        text = Text("\n", no_wrap=True, overflow="crop", end="").join(Text(line.text, line.style) for line in lines)
        # The last frame is drawn by stop(): drawn twice, one that is higher than the screen would stand there twice.
        self._live.update(text, refresh=not final)

    def finish(self) -> None:
        if self._live is not None:
            self._live.stop()
        put(self._stream, "".join(failure_summary(self._drawing.model, _SUMMARY_LINES, plain_lines)))
