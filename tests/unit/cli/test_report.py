"""What a person reads when something went wrong, and the exit code that says it to a program."""

from __future__ import annotations

import click
import pytest

from pyllb import errors
from pyllb.cli.report import exit_code, lines

TEXT = "from pyllb import fs\n\ndef step(n):\n    return fs().run(f'step {n}')\n\nfor n in range(3):\n    step(n)\n"


def _exec_error(**more: object) -> errors.ExecError:
    sources = (
        errors.SourceLine("/src/build.py", 4, text=TEXT, function="step"),
        errors.SourceLine("/src/build.py", 7, text=TEXT),
    )
    return errors.ExecError(
        'process "/bin/sh -c step 1" did not complete successfully: exit code: 7',
        command="/bin/sh -c step 1",
        process_exit_code=7,
        sources=sources,
        vertex="step 1",
        logs=[f"line {n}" for n in range(30)],
        **more,  # type: ignore[arg-type]  # options of any kind, by name
    )


def test_a_failed_command_shows_its_output_both_frames_and_the_message_last() -> None:
    shown = lines(_exec_error())

    assert shown == [
        "------",
        " > step 1:",
        *(f"line {n}" for n in range(10, 30)),
        "------",
        "/src/build.py:4 in step",
        "      2 |",
        "      3 | def step(n):",
        " >    4 |     return fs().run(f'step {n}')",
        "      5 |",
        "      6 | for n in range(3):",
        "called from /src/build.py:7",
        " >    7 |     step(n)",
        'error: process "/bin/sh -c step 1" did not complete successfully: exit code: 7',
    ]


def test_output_that_the_progress_has_shown_is_not_repeated() -> None:
    shown = lines(_exec_error(), logs_shown=True)

    assert not [line for line in shown if line.startswith("line ")]
    assert shown[0] == "/src/build.py:4 in step"


def test_a_form_feed_ends_no_line_of_a_build_file() -> None:
    """Python numbers no line for it, str.splitlines does."""
    source = errors.SourceLine("/src/build.py", 3, text="one = 1\n\x0c\nthree = 3\n")

    assert lines(errors.OptionError("no", sources=[source])) == [
        "/src/build.py:3",
        "      1 | one = 1",
        "      2 |",
        " >    3 | three = 3",
        "error: no",
    ]


def test_what_a_terminal_would_act_on_is_not_shown() -> None:
    source = errors.SourceLine("/src/build.py", 1, text="\trun('\x1b[2J\x07')\n", function="a\x1b[31mb")

    assert lines(errors.OptionError("bad \x1b[31mvalue\x9b", sources=[source])) == [
        "/src/build.py:1 in ab",
        " >    1 |       run('')",
        "error: bad value",
    ]


def test_command_and_exit_code_are_told_when_the_message_does_not() -> None:
    error = errors.ExecError("failed to solve", command="make all", process_exit_code=2)

    assert lines(error) == ["error: failed to solve", "command: make all", "exit code: 2"]


def test_two_frames_on_one_line_are_shown_once() -> None:
    frames = [errors.SourceLine("f.py", line, text="x\n" * 9) for line in (3, 3, 5)]

    shown = lines(errors.GraphError("no", sources=frames))

    assert [line for line in shown if "f.py" in line] == ["f.py:3", "called from f.py:5"]


def test_a_long_way_to_the_line_is_cut() -> None:
    sources = [errors.SourceLine("f.py", n + 1, text="x\n" * 9) for n in range(9)]

    shown = lines(errors.GraphError("no", sources=sources))

    assert shown[-2:] == ["(3 more calls)", "error: no"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SolveError("x"), 1),
        (_exec_error(), 1),
        (errors.SolveTimeout("x"), 1),
        (errors.BuildFileError("x"), 2),
        (errors.OptionError("x"), 2),
        (errors.UsageError("x"), 2),
        (errors.NotThereYet("x"), 2),
        (click.UsageError("x"), 2),
        (errors.ConnectError("x"), 3),
        (errors.NoDaemonError("x"), 3),
        (errors.UnsupportedError("x"), 3),
        (KeyError("x"), 1),
    ],
)
def test_exit_codes_are_as_listed(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def test_a_carriage_return_in_a_message_hides_nothing_of_it() -> None:
    """In a step's output what stands before one was overwritten; in a message it is a part of it."""
    source = errors.SourceLine("/src/build.py", 1, text="run('a\rb')\n")
    error = errors.SolveError("echo 'a\rb' failed\r\nwhy", sources=[source], logs=["10%\r20%\r"])

    assert lines(error)[2:] == [
        "20%",
        "------",
        "/src/build.py:1",
        " >    1 | run('a b')",
        "error: echo 'a b' failed",
        "why",
    ]
    assert lines(ValueError("one\r\ntwo"))[:2] == ["error: unexpected ValueError: one", "two"]


def test_where_1_is_an_answer_no_failure_ends_with_it() -> None:
    failures = [errors.ResolveError("x"), KeyError("x"), errors.UsageError("x"), errors.ConnectError("x")]
    assert [exit_code(error, answers=True) for error in failures] == [2, 2, 2, 3]


def test_a_fault_of_our_own_is_short_and_debug_shows_where() -> None:
    try:
        dict[str, str]()["missing"]
    except KeyError as caught:
        error = caught

    assert lines(error) == [
        "error: unexpected KeyError: 'missing'",
        "this is a fault in pyllb, not in the build; --debug shows where",
    ]
    shown = lines(error, debug=True)
    assert shown[0] == "Traceback (most recent call last):"
    assert shown[-1] == "error: unexpected KeyError: 'missing'"


def test_what_the_system_refuses_is_no_fault_of_ours() -> None:
    assert lines(OSError(28, "No space left on device")) == ["error: No space left on device"]
    assert lines(PermissionError(13, "Permission denied", "/a")) == ["error: '/a': Permission denied"]


def test_what_is_to_come_says_so() -> None:
    assert lines(errors.NotThereYet("the build cache of type=s3")) == [
        "error: not there yet: the build cache of type=s3"
    ]


def test_a_message_of_several_lines_keeps_them() -> None:
    assert lines(errors.NoDaemonError("none found\nuse --addr\nor start one")) == [
        "error: none found",
        "use --addr",
        "or start one",
    ]
