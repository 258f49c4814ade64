"""Plain progress, against texts written after buildctl's format."""

from __future__ import annotations

import io
import threading

from pyllb.progress import make
from pyllb.progress.plain import PlainDisplay
from pyllb.status import SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning


def _vertex(digest: str, name: str = "", **state: object) -> SolveStatus:
    return SolveStatus(vertexes=(Vertex(digest=digest, name=name or digest, **state),))  # type: ignore[arg-type]  # options of any kind, by name


def _log(vertex: str, data: bytes, timestamp: float, stream: int = 1) -> SolveStatus:
    return SolveStatus(logs=(VertexLog(vertex=vertex, stream=stream, data=data, timestamp=timestamp),))


def _layer(current: int, timestamp: float, **state: object) -> SolveStatus:
    item = VertexStatus(id="sha256:aa", vertex="p", current=current, total=2000, timestamp=timestamp, **state)  # type: ignore[arg-type]  # options of any kind, by name
    return SolveStatus(statuses=(item,))


def _play(*events: tuple[float, SolveStatus], no_trunc: str = "") -> str:
    stream = io.StringIO()
    display = PlainDisplay(stream, no_trunc=no_trunc)
    for now, status in events:
        display.update(status, now)
        display.paint(now, final=False)
    display.paint(events[-1][0], final=True)
    display.finish()
    return stream.getvalue()


def test_a_whole_build_reads_as_buildctl_prints_it() -> None:
    text = _play(
        (0.0, _vertex("p", "docker-image://docker.io/library/alpine:latest", started=0.0)),
        (0.1, _layer(0, 0.1, started=0.1)),
        (0.2, _layer(10, 0.2, started=0.1)),
        (0.3, _layer(1500, 0.3, started=0.1)),
        (0.4, _layer(2000, 0.4, started=0.1, completed=0.4)),
        (0.5, _vertex("p", "docker-image://docker.io/library/alpine:latest", started=0.0, completed=0.5)),
        (0.6, _vertex("c", "copy / /", started=0.5, completed=0.6, cached=True)),
        (1.0, _vertex("r", "/bin/sh -c make", started=1.0)),
        (1.5, _log("r", b"one\ntw", 1.5)),
        (1.7, _log("r", b"o\n", 1.7, stream=2)),
        (1.8, SolveStatus(warnings=(VertexWarning(vertex="r", short="old compiler"),))),
        (3.0, _vertex("r", "/bin/sh -c make", started=1.0, completed=3.0)),
    )

    assert text == (
        "#1 docker-image://docker.io/library/alpine:latest\n"
        "#1 sha256:aa 0B / 2.00kB\n"
        "#1 sha256:aa 1.50kB / 2.00kB 0.2s\n"
        "#1 sha256:aa 2.00kB / 2.00kB 0.3s done\n"
        "#1 DONE 0.5s\n"
        "\n"
        "#2 copy / /\n"
        "#2 CACHED\n"
        "\n"
        "#3 /bin/sh -c make\n"
        "#3 0.500 one\n"
        "#3 0.500 two\n"
        "#3 WARN: old compiler\n"
        "#3 DONE 2.0s\n"
    )


def test_a_vertex_that_ends_while_another_is_shown_gets_its_block_and_the_open_one_comes_back() -> None:
    text = _play(
        (0.0, _vertex("a", "first", started=0.0)),
        (0.1, _log("a", b"half a li", 0.1)),
        (0.2, _vertex("b", "second", started=0.1, completed=0.2)),
        (0.3, _log("a", b"ne\n", 0.3)),
        (0.4, _vertex("a", "first", started=0.0, completed=0.4)),
    )

    assert text == (
        "#1 first\n#1 0.100 half a li\n#1 ...\n\n"
        "#2 second\n#2 DONE 0.1s\n\n"
        "#1 first\n#1 0.100 half a line\n#1 DONE 0.4s\n"
    )


def test_a_running_vertex_that_waited_ten_seconds_is_shown() -> None:
    text = _play(
        (0.0, _vertex("a", "first", started=0.0)),
        (0.1, _vertex("b", "second", started=0.1)),
        (5.0, _log("a", b"x\n", 5.0)),
        (10.5, _log("b", b"y\n", 10.5)),
    )

    assert text == "#1 first\n#1 5.000 x\n#1 ...\n\n#2 second\n#2 10.40 y\n"


def test_a_failure_is_summed_up_with_its_last_ten_lines_and_a_canceled_vertex_is_not() -> None:
    lines = b"".join(b"line %d\n" % n for n in range(15))
    text = _play(
        (0.0, _vertex("a", "bad", started=0.0)),
        (0.1, _vertex("b", "other", started=0.1)),
        (0.5, _log("a", lines, 0.5)),
        (1.0, _vertex("a", "bad", started=0.0, completed=1.0, error="exit code: 1")),
        (1.0, _vertex("b", "other", started=0.1, completed=1.0, error="x: context canceled")),
    )

    assert "#1 ERROR: exit code: 1\n" in text
    assert "#2 CANCELED\n" in text
    summary = text[text.index("------") :]
    assert summary == "------\n > bad:\n" + "".join(f"0.500 line {n}\n" for n in range(5, 15)) + "------\n"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_cursor_codes_of_a_step_reach_a_file_and_not_a_terminal() -> None:
    shown = []
    for stream in (io.StringIO(), _Terminal()):
        display = PlainDisplay(stream)
        display.update(_vertex("a", "\x1b[2Jecho \\\na", started=0.0), 0.0)
        display.update(_log("a", b"\x1b[2Jhello\n", 0.5), 0.5)
        display.update(_vertex("a", "\x1b[2Jecho \\\na", started=0.0, completed=1.0, error="\x1b[2Jno"), 1.0)
        display.paint(1.0, final=True)
        display.finish()
        shown.append(stream.getvalue())

    plain = "#1 echo \\\na\n#1 0.500 hello\n#1 ERROR: no\n------\n > echo \\\na:\n0.500 hello\n------\n"
    assert (shown[0].replace("\x1b[2J", ""), shown[0].count("\x1b[2J"), shown[1]) == (plain, 5, plain)


def test_long_names_are_cut_only_when_asked() -> None:
    event = (0.0, _vertex("a", "n" * 100, started=0.0, completed=1.0))

    assert f"#1 {'n' * 100}\n" in _play(event)
    assert f"#1 {'n' * 72}...\n" in _play(event, no_trunc="0")


def test_the_painter_writes_between_events_and_leaves_no_thread() -> None:
    stream = io.StringIO()
    sink = make("plain", stream, {"TTY_DISPLAY_RATE": "5"})
    sink.update(_vertex("a", "only", started=1.0))
    painted = threading.Event()
    for _ in range(400):
        if stream.getvalue():
            break
        painted.wait(0.005)
    assert stream.getvalue() == "#1 only\n"

    sink.update(_vertex("a", "only", started=1.0, completed=1.25))
    sink.close()
    sink.close()

    assert stream.getvalue() == "#1 only\n#1 DONE 0.2s\n"
    assert not [t for t in threading.enumerate() if t.name == "pyllb-progress"]


def test_a_reader_that_went_away_does_not_fail_the_build() -> None:
    stream = io.StringIO()
    sink = make("plain", stream, {})
    stream.close()

    sink.update(_vertex("a", "only", started=1.0, completed=2.0))
    sink.close()
