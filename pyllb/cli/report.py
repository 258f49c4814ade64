"""Report: what went wrong as a few lines for stderr, and the exit code. The only place that shows an error."""

from __future__ import annotations

import os
import re

import click

from pyllb.cli.source import show
from pyllb.errors import ExecError, NotThereYet, PyllbError, SolveError, nearest

_LOG_LINES = 20


def exit_code(error: BaseException, *, answers: bool = False) -> int:
    """0 done, 1 the build failed, 2 wrong use or a wrong build file, 3 no daemon or connection lost.

    answers: 1 is an answer of the command's own, so no failure is to end with it; those end with 2.
    """
    code = error.exit_code if isinstance(error, PyllbError | click.ClickException) else 1
    return 2 if answers and code == 1 else code


def lines(error: BaseException, *, logs_shown: bool = False, debug: bool = False) -> list[str]:
    """The error as lines of text, the message itself last, where a terminal leaves it in sight.

    logs_shown: the progress has shown the last output of what failed, so it is not repeated. debug: the whole traceback
    comes first.
    """
    return [_plain(line) for part in _lines(error, logs_shown, debug) for line in part.split("\n")]


def _plain(line: str) -> str:
    """Without what a terminal would take for more than text: a build file may hold it, and a daemon's message."""
    from pyllb.progress.lines import plain_text

    return plain_text(line.rstrip("\r").replace("\r", " ").expandtabs())  # it overwrites nothing here


def _lines(error: BaseException, logs_shown: bool, debug: bool) -> list[str]:
    out = _traceback(error) if debug else []
    if isinstance(error, PyllbError):
        if isinstance(error, SolveError) and not logs_shown:
            out += _output(error)
        out += show(error.sources)
        return out + _message(error)
    if isinstance(error, click.ClickException):
        return out + _usage(error)
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f"{os.fspath(error.filename)!r}: "
        return [*out, f"error: {place}{error.strerror}"]
    text = f": {error}" if str(error) else ""
    out.append(f"error: unexpected {type(error).__name__}{text}")
    return out if debug else [*out, "this is a fault in pyllb, not in the build; --debug shows where"]


def _message(error: PyllbError) -> list[str]:
    kind = "not there yet: " if isinstance(error, NotThereYet) else ""
    out = [f"error: {kind}{error.message}"]
    if isinstance(error, ExecError):
        if error.command not in error.message:
            out.append(f"command: {error.command}")
        if not re.search(rf"exit code:? {error.process_exit_code}\b", error.message):
            out.append(f"exit code: {error.process_exit_code}")
    return out


def _output(error: SolveError) -> list[str]:
    if not error.logs:
        return []
    from pyllb.progress.lines import plain_text

    return ["------", f" > {error.vertex}:", *map(plain_text, error.logs[-_LOG_LINES:]), "------"]


def _usage(error: click.ClickException) -> list[str]:
    """A mistake in the arguments, in the shape of all other messages."""
    if isinstance(error, click.NoSuchOption):
        close = nearest(error.option_name, error.possibilities or ())
        text = f"no such option {error.option_name!r}" + (f"; did you mean {close!r}?" if close else "")
    else:
        text = error.format_message().rstrip(".")
        text = re.sub(r"\. \(?Did you mean(.*?)\)?$", r"; did you mean\1", text)
    out = f"error: {text[:1].lower()}{text[1:]}".splitlines()
    context = getattr(error, "ctx", None)
    return [*out, f"see {context.command_path} --help"] if context is not None else out


def _traceback(error: BaseException) -> list[str]:
    import traceback

    return "".join(traceback.format_exception(error)).splitlines()
