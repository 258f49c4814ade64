"""Progress on a terminal: the frames, and a real pseudo-terminal."""

from __future__ import annotations

import io
import os
import pty
import threading

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pyllb.progress import make
from pyllb.progress.tty import Colors, Drawing, Job, TtyDisplay, fit
from pyllb.status import SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning


def _vertex(digest: str, name: str = "", **state: object) -> SolveStatus:
    return SolveStatus(vertexes=(Vertex(digest=digest, name=name or digest, **state),))  # type: ignore[arg-type]  # options of any kind, by name


def _frame(*events: SolveStatus, width: int = 40, height: int = 30, final: bool = False) -> list[str]:
    drawing = Drawing(colors=Colors())
    for status in events:
        drawing.update(status, 100.0)
    return [line.text for line in drawing.frame(102.0, width, height, final=final)]


def test_a_frame_has_a_header_and_a_line_for_each_thing_going_on() -> None:
    lines = _frame(
        _vertex("z", "not yet"),
        _vertex("a", "FROM base", started=50.0, completed=50.5, cached=True),
        _vertex("b", "make", started=50.5),
        SolveStatus(statuses=(VertexStatus(id="layer", vertex="b", current=5, total=9, started=51.0),)),
        SolveStatus(warnings=(VertexWarning(vertex="b", short="careful"),)),
        SolveStatus(logs=(VertexLog(vertex="b", stream=1, data=b"\x1b[31mhello\x1b[0m\n\nwor", timestamp=51.0),)),
    )

    assert lines == [
        "[+] Building 2.0s (1/3)",
        " => CACHED FROM base               0.5s",
        " => make                           1.5s",
        " => => # hello",
        " => => # wor",
        " => => layer 5B / 9B               1.0s",
        " => WARN: careful                  1.5s",
    ]


def test_the_last_frame_says_finished_and_marks_what_failed() -> None:
    done = _frame(_vertex("a", started=1.0, completed=2.0), final=True)
    bad = _frame(
        _vertex("a", started=1.0, completed=2.0, error="exit code: 2"),
        _vertex("b", started=1.0, completed=2.0, error="context canceled"),
        final=True,
    )

    assert done[0].endswith("(1/1) FINISHED")
    assert [line.split()[1] for line in bad[1:]] == ["ERROR", "CANCELED"]


def test_times_of_a_daemon_whose_clock_is_off_are_shifted() -> None:
    drawing = Drawing(colors=Colors())
    drawing.update(_vertex("a", started=5_000_000.0), 100.0)

    assert drawing.frame(101.5, 40, 10, final=False)[1].text.endswith(" 1.5s")


@given(
    st.lists(st.text(min_size=1), min_size=1, max_size=40),
    st.integers(1, 120),
    st.integers(3, 40),
    st.sets(st.integers(0, 39)),
)
def test_no_line_is_wider_than_the_screen_and_no_frame_higher(
    names: list[str], width: int, height: int, over: set[int]
) -> None:
    drawing = Drawing(colors=Colors())
    for i, name in enumerate(names):
        end = 2.0 if i in over else None
        drawing.update(_vertex(str(i), name, started=1.0, completed=end), 100.0)
        log = VertexLog(vertex=str(i), stream=1, data=name.encode("utf-8", "replace") * 9, timestamp=1.0)
        drawing.update(SolveStatus(logs=(log,)), 100.0)

    lines = [line.text for line in drawing.frame(101.0, width, height, final=False)]

    assert len(lines) <= height - 1
    assert all(cell_len(line) <= width and "\n" not in line for line in lines)


def test_output_that_scrolled_by_is_not_kept() -> None:
    drawing = Drawing(colors=Colors())
    drawing.update(_vertex("a", started=1.0), 100.0)
    for _ in range(1000):
        drawing.update(
            SolveStatus(logs=(VertexLog(vertex="a", stream=1, data=b"x" * 99 + b"\n", timestamp=1.0),)), 100.0
        )

    log = drawing.model.rows["a"].log
    assert (log.size, len(log.fresh), len(log.last)) == (100_000, 0, 50)


def _job(name: str, over: bool) -> Job:
    return Job(name, "", 0.0, "", over)


def test_jobs_that_still_run_take_the_place_of_the_oldest_that_are_over() -> None:
    jobs = [_job("a", False), _job("b", True), _job("c", True), _job("d", False), _job("e", True)]

    assert [job.name for job in fit(jobs, 3)] == ["a", "d", "e"]
    assert [job.name for job in fit(jobs, 9)] == ["a", "b", "c", "d", "e"]
    assert fit(jobs, 0) == []


def test_colors_are_read_as_buildctl_reads_them() -> None:
    assert Colors.from_environment({}) == Colors("blue", "yellow", "red")
    assert Colors.from_environment({"NO_COLOR": "1", "BUILDKIT_COLORS": "run=red"}) == Colors("", "", "")
    given = Colors.from_environment({"BUILDKIT_COLORS": 'run=light-cyan:"error=250,10,10":cancel=nonsense:oops'})
    assert given == Colors("bright_cyan", "yellow", "rgb(250,10,10)")


def test_a_real_terminal_is_drawn_on_and_given_back() -> None:
    leader, follower = pty.openpty()
    received = bytearray()

    def read() -> None:
        try:
            while chunk := os.read(leader, 4096):
                received.extend(chunk)
        except OSError:  # EIO: the other end was closed
            pass

    reader = threading.Thread(target=read, name="test-pty-reader")
    reader.start()
    with open(follower, "w", encoding="utf-8") as stream:
        sink = make("auto", stream, {"TERM": "xterm", "TTY_DISPLAY_RATE": "5"})
        sink.update(_vertex("a", "compile", started=1.0))
        sink.update(SolveStatus(logs=(VertexLog(vertex="a", stream=1, data=b"boom\n", timestamp=1.5),)))
        sink.update(_vertex("a", "compile", started=1.0, completed=2.0, error="exit code: 1"))
        sink.close()
    reader.join(10)
    os.close(leader)

    text = received.decode()
    assert "[+] Building" in text
    assert "ERROR compile" in text
    assert text.endswith("------\r\n > compile:\r\n0.500 boom\r\n------\r\n")
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_the_last_frame_is_drawn_once_so_that_a_long_one_does_not_stand_twice_above_the_screen() -> None:
    stream = io.StringIO()
    display = TtyDisplay(stream, colors=Colors(), log_lines=6)
    for number in range(99):
        display.update(_vertex(str(number), f"job {number}.", started=1.0, completed=2.0), 100.0)
    display.paint(101.0, final=False)
    before = stream.tell()
    display.paint(102.0, final=True)
    display.finish()

    last = stream.getvalue()[before:]
    assert [last.count(f"job {number}.") for number in range(99)] == [1] * 99
