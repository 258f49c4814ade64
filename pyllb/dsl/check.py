"""Checks: each takes what the value is for and the value, and returns it in its final form or raises OptionError."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from pyllb.errors import GraphError, MountError, OptionError, near

if TYPE_CHECKING:
    from datetime import datetime

T = TypeVar("T")

# Patterns are text all through this room: re compiles and keeps each at its first use, and start-up is measured.
_ENV_NAME = r"[^=\0]+\Z"
_SIZE = r"([0-9]{1,19})\s*([kmgt]?)(?:i?b)?\Z"
_SIZE_UNIT = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DURATION = r"(?:\d+(?:\.\d+)?(?:ms|us|ns|h|m|s))+\Z"
_DURATION_PART = r"(\d+(?:\.\d+)?)(ms|us|ns|h|m|s)"
_OCTAL = r"[0-7]{1,5}\Z"
_SYMBOLIC = r"[augo]*(?:[-+=][rwxXstugo]*)+(?:,[augo]*(?:[-+=][rwxXstugo]*)+)*\Z"
_INT64 = (1 << 63) - 1
_MAX_SECONDS = _INT64 // 1_000_000_000
_DURATION_UNIT = {"h": 3600e9, "m": 60e9, "s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1}


def show(value: object) -> str:
    """The value and, unless it is text, its type, for a message."""
    text = repr(value)
    if len(text) > 200:
        text = text[:197] + "..."
    return text if isinstance(value, str) else f"{text} ({type(value).__name__})"


def text(what: str, value: str, *, error: type[GraphError] = OptionError) -> str:
    """A str that is not empty, has no NUL, and can be UTF-8, which all text in LLB is."""
    if type(value) is str and value and value.isascii() and "\0" not in value:  # nearly always, and at once
        return value
    client_text(what, value, error=error)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as cause:
            raise error(f"{what} is {value!r}, which is not Unicode, as LLB needs it") from cause
    # An Enum that is also a str is formatted as its name, not as its value.
    return value if type(value) is str else str.__str__(value)


def client_text(what: str, value: str, *, error: type[GraphError] = OptionError) -> str:
    """A str that is not empty and has no NUL: a file name of the client may be no Unicode."""
    if not isinstance(value, str):
        raise error(f"{what} is {show(value)}; write a str{_spelling(value)}")
    if not value:
        raise error(f"{what} is empty; leave it out or give it a value")
    if "\0" in value:
        raise error(f"{what} is {value!r}, which has a NUL character; no program can take one")
    return value


def _spelling(value: object) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int | float) or hasattr(value, "__fspath__"):
        return f", {str(value)!r}"
    return f", {value.decode(errors='replace')!r}" if isinstance(value, bytes) else ""


def choice(what: str, value: T, choices: Sequence[T]) -> T:
    """One of the choices, which are strings."""
    if value not in choices:
        names = [str(name) for name in choices]
        raise OptionError(f"{what} is {show(value)}; it is one of {', '.join(map(repr, names))}{near(value, names)}")
    return choices[choices.index(value)]  # value may be equal and of a subclass of str


def integer(what: str, value: int, low: int, high: int) -> int:
    """A whole number from low to high."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise OptionError(f"{what} is {show(value)}; write a whole number")
    if not low <= value <= high:
        limit = f"at least {low}" if value < low else f"at most {high}"
        raise OptionError(f"{what} is {value}; it is {limit}")
    return int(value)


def flag(what: str, value: bool) -> bool:
    """True or False, and nothing that is merely true or false."""
    if not isinstance(value, bool):
        raise OptionError(f"{what} is {show(value)}; write True or False")
    return value


def texts(what: str, value: Iterable[str], *, empty: bool = True) -> tuple[str, ...]:
    """Several strings, none of them empty; a lone str is refused."""
    ordered(what, value, "a list of str" + _listed(value))
    items = tuple(text(f"an item of {what}", item) for item in value)
    if not items and not empty:
        raise OptionError(f"{what} is empty; leave it out or give it a value")
    return items


def patterns(what: str, value: Iterable[str], *, root: bool = False) -> tuple[str, ...]:
    """Patterns of paths below a directory, each of which can match one. root: "." may stand for the directory itself.

    What is refused here makes the daemon or its client fail, or silently matches nothing.
    """
    found = texts(what, value)
    for pattern in found:
        bare = pattern.strip().removeprefix("!")
        if not bare or "[" in bare or "\\" in bare:  # no other is spelled wrongly
            _spelled(f"a pattern of {what}", pattern)
        if bare.startswith("/"):
            inside = bare.lstrip("/")
            raise OptionError(f"a pattern of {what} is {pattern!r}; it is relative to the directory, {inside!r}")
        if ".." in bare.split("/"):
            raise OptionError(f"a pattern of {what} is {pattern!r}; it stays inside the directory, without '..'")
        if not root and posixpath.normpath(bare) == ".":
            raise OptionError(f"a pattern of {what} is {pattern!r}, which no path matches; '**' is all that is below")
    return found


def path(what: str, value: str, *, wildcard: bool = False) -> str:
    """A path. wildcard: its `*`, `?` and `[...]` stand for names."""
    text(what, value)
    if wildcard and ("[" in value or "\\" in value):
        _spelled(what, value, alone=True)
    return value


def _spelled(what: str, pattern: str, *, alone: bool = False) -> None:
    """Make sure that a pattern can be read. alone: as the path that Go's filepath.Match takes, not one of several."""
    from pyllb.pattern import BadPattern, PatternMatcher, check_syntax  # here: few builds have such, start-up counts

    try:
        if alone:
            check_syntax(pattern)
        else:
            PatternMatcher.parse([pattern])
    except BadPattern as error:
        raise OptionError(f"{what} is {pattern!r}, which is no pattern: {error.why}") from error


def ordered(what: str, value: object, right: str) -> None:
    """Several values, and not a set: it has another order in each process, and so would the op another digest."""
    if isinstance(value, set | frozenset):
        raise OptionError(f"{what} is {show(value)}, which has no order; write {right}")
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise OptionError(f"{what} is {show(value)}; write {right}")


def _listed(value: object) -> str:
    return f", [{value!r}]" if isinstance(value, str) else ""


def pairs(what: str, value: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """A mapping of strings, as pairs in its order; values may be empty."""
    if not isinstance(value, Mapping):
        raise OptionError(f"{what} is {show(value)}; write a mapping of str to str")
    return tuple((text(f"a name in {what}", name), value_text(f"{what}[{name!r}]", v)) for name, v in value.items())


def value_text(what: str, value: str) -> str:
    """A str that may be empty, without NUL."""
    return "" if isinstance(value, str) and not value else text(what, value)


def env_name(name: str) -> str:
    """The name of an environment variable: not empty, without `=`."""
    name = text("the name of an environment variable", name)
    if not re.match(_ENV_NAME, name):
        raise OptionError(f"the name of an environment variable is {name!r}; it has no '=', the value is an argument")
    return name


def environment(value: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Environment variables as pairs in the mapping's order."""
    if type(value) is not dict and not isinstance(value, Mapping):
        raise OptionError(f"env is {show(value)}; write a mapping, {{'NAME': 'value'}}")
    for name, text_ in value.items():
        plain = type(name) is str and type(text_) is str and name and name.isascii() and text_.isascii()
        if not plain or "=" in name or "\0" in name or "\0" in text_ or "$" in text_:
            return tuple([_variable(*pair) for pair in value.items()])
    return tuple(value.items())  # nearly always, without a message built for each


def _variable(name: str, value: str) -> tuple[str, str]:
    name = env_name(name)
    if value is None:
        raise OptionError(f"env {name!r} is None; write '' for an empty value, or leave it out")
    value = value_text(f"env {name!r}", value)
    if name == "PATH" and re.search(r"\$(?:PATH\b|\{PATH\b)", value):
        raise OptionError(f"env 'PATH' is {value!r}, and variables are kept as they are; write all its directories")
    return name, value


def absolute(what: str, value: str, *, error: type[GraphError] = MountError) -> str:
    """An absolute POSIX path in the container."""
    text(what, value, error=error)
    if not value.startswith("/"):
        hint = "/" + value.removeprefix("./")
        raise error(f"{what} is {value!r}, which is relative; write it absolute, {hint!r} say")
    return value


def mount_target(what: str, value: str) -> str:
    """An absolute path that is neither the root nor what Linux mounts itself."""
    absolute(what, value)
    place = posixpath.normpath(value).strip("/")
    if place == "":
        raise MountError(f"{what} is {value!r}, which is the root itself; call run on the filesystem that is to be it")
    if place == "proc":
        raise MountError(f"{what} is {value!r}, without which no command starts; mount it elsewhere")
    return value


def size(what: str, value: int | str) -> int:
    """Bytes: a whole number, or a str with a unit of 1024 such as "64m" or "2GiB"."""
    if isinstance(value, str):
        match = re.match(_SIZE, value.strip(), re.IGNORECASE)
        if match is None:
            raise OptionError(f"{what} is {value!r}; write bytes, or a number and k, m, g or t, such as '64m'")
        value = int(match.group(1)) * _SIZE_UNIT[match.group(2).lower()]
    return integer(what, value, 0, _INT64)


def duration(what: str, value: float | str) -> int:
    """Nanoseconds, from seconds or from text such as "1m30s"."""
    if isinstance(value, str):
        if not re.match(_DURATION, value):
            raise OptionError(f"{what} is {value!r}; write seconds, or a duration such as '30s' or '1m30s'")
        total = sum(float(n) * _DURATION_UNIT[unit] for n, unit in re.findall(_DURATION_PART, value))
        if total > _MAX_SECONDS * 1e9:
            raise OptionError(f"{what} is {value!r}; it is at most {_MAX_SECONDS} seconds")
        return round(total)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise OptionError(f"{what} is {show(value)}; write seconds, or a duration such as '30s'")
    if not 0 <= value < 1e9:
        raise OptionError(f"{what} is {value!r} seconds; it is not negative, and a number of seconds")
    return round(value * 1e9)


def created(what: str, value: datetime | float | None) -> int | None:
    """Unix nanoseconds, from a datetime with a zone or from seconds since the epoch."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not -_MAX_SECONDS <= value <= _MAX_SECONDS:
            raise OptionError(f"{what} is {value!r}; it is seconds since 1970, within {_MAX_SECONDS}")
        return value * 1_000_000_000 if isinstance(value, int) else round(value * 1e9)
    from datetime import UTC, datetime, timedelta  # here: few builds set times, and start-up is measured

    if not isinstance(value, datetime):
        raise OptionError(f"{what} is {show(value)}; write a datetime, or seconds since 1970-01-01 UTC")
    if value.tzinfo is None:
        raise OptionError(f"{what} is {value!r}, which has no zone; write datetime(..., tzinfo=UTC)")
    since = value - datetime(1970, 1, 1, tzinfo=UTC)
    if abs(since) > timedelta(seconds=_MAX_SECONDS):
        raise OptionError(f"{what} is {value!r}; it is between the years 1678 and 2262")
    return since // timedelta(microseconds=1) * 1000


def argv(what: str, value: Sequence[str | Sequence[str]], *, empty: bool = False) -> tuple[str, ...]:
    """A command's words: several strings, or one list of them; the first is not empty. empty: the list may be.

    A lone string with white space is refused: it would be taken as the name of one program.
    """
    if empty and len(value) == 1 and value[0] in ([], ()):
        return ()
    if len(value) == 1 and isinstance(value[0], list | tuple):
        return words(what, value[0])
    if len(value) == 1 and isinstance(value[0], str) and re.search(r"\s", value[0]):
        split = ", ".join(map(repr, value[0].split()))
        raise OptionError(f"{what} is {value[0]!r}, one word with white space; write {what}({split}), one str a word")
    return words(what, value)


def words(what: str, value: object) -> tuple[str, ...]:
    """A command's words as they are; the first is not empty."""
    if not isinstance(value, list | tuple):
        raise OptionError(f"{what} is {show(value)}; write a list of words")
    if not value:
        raise OptionError(f"{what} is empty; write the program and its arguments")
    text(f"the program of {what}", value[0])
    return tuple(value_text(f"argument {index} of {what}", word) for index, word in enumerate(value))


def permissions(mode: int | str) -> int:
    """Permission bits, from a number or octal digits."""
    number = file_mode(mode)
    if isinstance(number, str):
        raise OptionError(f"mode is {mode!r}; nothing is there yet to change, write the bits, 0o755 say")
    if number > 0o777:
        raise OptionError(f"mode is {number:#o}; permission bits go up to 0o777, run chmod for the others")
    return number


def file_mode(mode: int | str) -> int | str:
    """Mode bits from a number or octal digits; chmod's symbols stay text."""
    if isinstance(mode, str):
        if re.match(_OCTAL, mode):
            return integer("mode", int(mode, 8), 0, 0o7777)
        if not re.match(_SYMBOLIC, mode):
            raise OptionError(f"mode is {mode!r}; write 0o755, '755', or chmod's symbols such as 'u+x,go-w'")
        return text("mode", mode)
    bits = integer("mode", mode, 0, 0o7777)
    if bits > 0o777 and re.match(r"[0-7]{3}\Z", str(bits)):  # 755 is 0o1363: nobody means that
        raise OptionError(f"mode is {bits}, a decimal number; did you mean 0o{bits}?")
    return bits
