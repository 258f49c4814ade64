"""Failures: every public exception of pyllb, as one tree.

    PyllbError
      BuildFileError       the user's build file: missing, does not import, no such target       exit 2
      GraphError           the build as described is wrong; has .site                            exit 2
        OptionError        a value out of range or of the wrong kind (also a ValueError)
        RefError           an image, git or digest reference that does not parse (also a ValueError)
        MountError         a mount that does not exist, stands twice, or has no output
        DefinitionError    LLB bytes that cannot be read
      NotThereYet          a part of BuildKit that pyllb does not reach yet                      exit 2
      UsageError           an option of solve, or of the command, that cannot be read            exit 2
      ConnectError         no daemon at the address, or the connection was lost                  exit 3
        NoDaemonError      no daemon was found at all
      UnsupportedError     the daemon lacks what the build needs                                 exit 3
      SolveError           the build ran and failed                                              exit 1
        ExecError          a command ended with an exit code that is not allowed
        ResolveError       an image's config could not be had
        SessionError       the daemon asked something of this side that failed
        SolveTimeout       the solve took longer than timeout
        SolveCanceled      the daemon, or another client, canceled the solve

Each says what happened, with which value, what would be right, and where. Nothing here knows protobuf or grpc.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from pyllb.value import Value


def nearest(word: object, known: Iterable[str], *, alike: float = 0.6) -> str:
    """The known word closest to a mistaken one, whatever the case of their letters; "" when none is close.

    alike: how much of the two has to be the same, from 0 to 1.
    """
    import difflib  # here: only a message needs it, and start-up is measured

    folded = {name.lower(): name for name in known}
    found = difflib.get_close_matches(str(word).lower(), list(folded), n=1, cutoff=alike)
    return folded[found[0]] if found else ""


def near(word: object, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for a word close to a known one, else "": the end of a message."""
    found = nearest(word, known)
    return f"; did you mean {found!r}?" if found else ""


@attrs.frozen(eq=False, repr=False)
class SourceLine(Value):
    """A place in the user's build file, as an error shows it.

    filename: as it was given to Python. line, end_line: 1-based, inclusive. text: the whole file's text, or "" when
    it could not be had. function: the enclosing function's name, "" when unknown.
    """

    filename: str
    line: int
    end_line: int = 0
    text: str = attrs.field(default="", repr=False)
    function: str = ""

    def excerpt(self, context: int = 2) -> str:
        """The lines around, numbered, the meant ones marked `>`; "" when the text is not known."""
        lines = self.text.removesuffix("\n").split("\n") if self.text else []  # a form feed ends no line in Python
        end = max(self.line, self.end_line)
        if not 1 <= self.line <= len(lines):
            return ""
        first, last = max(1, self.line - context), min(len(lines), end + context)
        rows = ((n, ">" if self.line <= n <= end else " ", lines[n - 1]) for n in range(first, last + 1))
        return "\n".join(f" {mark} {n:>4} | {line}".rstrip() for n, mark, line in rows)

    def __str__(self) -> str:
        return f"{self.filename}:{self.line}" + (f" in {self.function}" if self.function else "")


class PyllbError(Exception):
    """Anything pyllb raises on purpose. exit_code is what the command ends with.

    sources: the places in the user's build file, innermost first; empty when none is known.
    """

    exit_code = 1

    def __init__(self, message: str, *, sources: Sequence[SourceLine] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.sources = tuple(sources)


class BuildFileError(PyllbError):
    """The user's build file cannot be used: it is missing, does not import, or has no such target."""

    exit_code = 2


class GraphError(PyllbError):
    """The build as described is wrong. Raised where the value is given, so the traceback ends at the user's line."""

    exit_code = 2


class OptionError(GraphError, ValueError):
    """A value that is out of range or of the wrong kind."""


class RefError(GraphError, ValueError):
    """An image, git or digest reference that does not parse."""


class MountError(GraphError, LookupError):
    """A mount that does not exist, that stands twice, or whose result cannot be used."""

    def __str__(self) -> str:  # LookupError's subclasses would show a quoted repr
        return self.message


class DefinitionError(GraphError, ValueError):
    """LLB bytes that cannot be read: truncated, corrupted, or with a cycle."""


class NotThereYet(PyllbError, NotImplementedError):
    """A part of BuildKit that pyllb does not reach yet; the message names it."""

    exit_code = 2


class UsageError(PyllbError, ValueError):
    """An option of solve, or of the command, that cannot be read."""

    exit_code = 2


class ConnectError(PyllbError, ConnectionError):
    """No daemon answers at the address, or the connection to it was lost."""

    exit_code = 3

    def __init__(self, message: str, *, address: str = "", sources: Sequence[SourceLine] = ()) -> None:
        super().__init__(message, sources=sources)
        self.address = address

    def __str__(self) -> str:  # ConnectionError would format an errno
        return self.message


class NoDaemonError(ConnectError):
    """No daemon was found: none was named, none answers at the usual sockets, none of pyllb's own runs."""


class UnsupportedError(PyllbError):
    """The daemon lacks a capability that the build needs."""

    exit_code = 3


class SolveError(PyllbError):
    """The build ran and failed.

    vertex: name of the failed vertex, "" when none is to blame; digest: its digest. logs: the last lines the vertex
    wrote, stdout and stderr as they came. code: the gRPC status name, such as "UNKNOWN" or "NOT_FOUND".
    """

    def __init__(
        self,
        message: str,
        *,
        sources: Sequence[SourceLine] = (),
        vertex: str = "",
        digest: str = "",
        logs: Sequence[str] = (),
        code: str = "",
    ) -> None:
        super().__init__(message, sources=sources)
        self.vertex = vertex
        self.digest = digest
        self.logs = tuple(logs)
        self.code = code


class ExecError(SolveError):
    """A command ended with an exit code that is not allowed.

    command: the argv as one line. process_exit_code: what it ended with; 255 when the daemon does not know.
    """

    def __init__(
        self,
        message: str,
        *,
        command: str,
        process_exit_code: int,
        sources: Sequence[SourceLine] = (),
        vertex: str = "",
        digest: str = "",
        logs: Sequence[str] = (),
        code: str = "",
    ) -> None:
        super().__init__(message, sources=sources, vertex=vertex, digest=digest, logs=logs, code=code)
        self.command = command
        self.process_exit_code = process_exit_code


class ResolveError(SolveError):
    """An image's config could not be had from its registry."""


class SessionError(SolveError):
    """The daemon asked something of this side (a file, a secret, a login) that failed."""


class SolveTimeout(SolveError, TimeoutError):
    """The solve took longer than its timeout."""

    def __str__(self) -> str:  # TimeoutError would format an errno
        return self.message


class SolveCanceled(SolveError):
    """The daemon, or another client, canceled the solve."""
