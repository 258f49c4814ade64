"""Load: a user's build file, run as Python runs a script's imports, and what can be wrong with it."""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from types import CodeType, ModuleType

import attrs

from pyllb.cli.source import shown_path, user_frames
from pyllb.errors import BuildFileError, PyllbError, nearest
from pyllb.value import Value

DEFAULT_FILE = "build.py"
DEFAULT_TARGET = "default"
_TARGET = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")  # as dsl.target has it
_numbers = itertools.count(1)


@attrs.frozen(eq=False, repr=False)
class Place(Value):
    """What FILE[:TARGET] names: a path as it was given, and a target's name."""

    file: str
    target: str


def parse_place(text: str) -> Place:
    """Read FILE[:TARGET]; FILE is build.py and TARGET default where they are left out."""
    file, colon, target = text.rpartition(":")
    if not colon or not _TARGET.match(target) or os.path.exists(text):
        file, target = text.removesuffix(":"), ""
    return Place(file or DEFAULT_FILE, target or DEFAULT_TARGET)


@attrs.frozen(eq=False, repr=False)
class BuildFile(Value):
    """A build file that was run. path: absolute. module: what it defined."""

    path: str
    module: ModuleType

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path)


def load(file: str) -> BuildFile:
    """Run a build file as a module of its own name; the working directory stays as it is.

    The text is read once: what is compiled is what tracebacks and source maps show, whatever happens to the file
    afterwards. Raises BuildFileError when it is missing, does not parse or raises; errors of pyllb's own pass.
    """
    path = os.path.abspath(file)
    text = _read(file, path)
    code = _compile(file, path, text)
    module = ModuleType(f"pyllb_build_{next(_numbers)}")
    module.__file__ = path
    _remember(path, text)
    sys.modules[module.__name__] = module  # dataclasses, pickle and get_type_hints look a class's module up there
    try:
        with running(path):
            exec(code, module.__dict__)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return BuildFile(path, module)


@contextmanager
def running(path: str) -> Iterator[None]:
    """While a user's code runs: its folder is first on sys.path, what it prints goes to stderr, and what it raises
    becomes a BuildFileError. The folder is that of the file itself, not of a link to it, as Python has it for a script.

    Errors of pyllb's own keep their type and are told the lines of the user's that led to them.
    """
    folder = os.path.dirname(os.path.realpath(path))
    sys.path.insert(0, folder)
    try:
        with _no_stdout():
            yield
    except PyllbError as error:
        error.sources = error.sources or user_frames(error.__traceback__)
        raise
    except SystemExit as error:
        raise _raised(path, error, f"{shown_path(path)} ended Python with exit code {error.code!r}") from error
    except Exception as error:
        if isinstance(error, SyntaxError) and os.path.isfile(error.filename or ""):  # of a file that it imports
            raise BuildFileError(_syntax_message(error)) from error
        raise _raised(path, error, f"{shown_path(path)} raised {type(error).__name__}{_said(error)}") from error
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


@contextmanager
def _no_stdout() -> Iterator[None]:
    """Stdout is for what was asked for, such as a dump's bytes; what is printed here, and what programs started here
    write, goes to stderr."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _said(error: Exception) -> str:
    """What an exception says, after a colon; "" when that is nothing, or its own code for it fails."""
    try:
        text = str(error)
    except Exception:
        return ""
    return f": {text}" if text else ""


def _raised(path: str, error: BaseException, message: str) -> BuildFileError:
    return BuildFileError(message, sources=user_frames(error.__traceback__))


def _remember(path: str, text: str) -> None:
    """Give tracebacks and source maps this text. mtime None: linecache never looks at the file again."""
    import io
    import linecache

    lines = list(io.StringIO(text))  # str.splitlines would end a line at a form feed too
    linecache.cache[path] = (len(text), None, lines, path)


def _read(file: str, path: str) -> str:
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except FileNotFoundError as error:
        raise BuildFileError(_missing(file, path)) from error
    except IsADirectoryError as error:
        inside = os.path.join(file, DEFAULT_FILE)
        hint = f"; did you mean {inside!r}?" if os.path.isfile(inside) else "; name a Python file in it"
        raise BuildFileError(f"{file!r} is a directory{hint}") from error
    except OSError as error:
        raise BuildFileError(f"{file!r} cannot be read: {error.strerror}") from error
    return _decode(file, data)


def _decode(file: str, data: bytes) -> str:
    import io
    import tokenize

    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise BuildFileError(f"{file!r} is not a Python file: {error}") from error
    return io.IncrementalNewlineDecoder(None, True).decode(text, True)


def _missing(file: str, path: str) -> str:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return f"no build file {file!r}: there is no directory {shown_path(folder)!r}"
    names = sorted(name for name in os.listdir(folder) if name.endswith(".py"))
    name = os.path.basename(path)
    if close := nearest(name, names):
        return f"no build file {file!r}; did you mean {os.path.join(os.path.dirname(file), close)!r}?"
    return f"no build file {file!r}; write FILE[:TARGET], such as build.py:default"


def _compile(file: str, path: str, text: str) -> CodeType:
    try:
        return compile(text, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:  # a null byte is one or the other, by Python's version, at no line
        if isinstance(error, SyntaxError) and error.lineno is not None:
            raise BuildFileError(_syntax_message(error)) from error
        raise BuildFileError(f"{file!r} is not a Python file: {error}") from error


def _syntax_message(error: SyntaxError) -> str:
    """file:line, what is wrong, the line, and a caret below the place."""
    where = f"{shown_path(error.filename or '?')}:{error.lineno}: {error.msg}"
    line = (error.text or "").rstrip("\n")
    if not line.strip():
        return where
    stripped = line.lstrip()
    column = max((error.offset or 1) - 1 - (len(line) - len(stripped)), 0)
    return f"{where}\n    {stripped}\n    {' ' * min(column, len(stripped))}^"
