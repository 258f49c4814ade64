"""Faults: what a failed call says, as one of pyllb's errors.

The daemon puts typed details beside a status: a google.rpc.Status in the trailer grpc-status-details-bin whose details
are JSON, not protobuf, under the type names of errdefs (BuildKit 0.33.1).
"""

from __future__ import annotations

import base64
import contextlib
import json
import posixpath
import re
from collections.abc import Iterable, Mapping

import attrs
from google.protobuf.message import DecodeError

from pyllb._pb import ops_pb2, status_pb2
from pyllb.client.record import Record
from pyllb.errors import (
    ConnectError,
    ExecError,
    PyllbError,
    SolveCanceled,
    SolveError,
    SourceLine,
    UnsupportedError,
)
from pyllb.marshal.definition import Definition
from pyllb.rpc.status import RpcError
from pyllb.session.dockerconfig import Credentials
from pyllb.session.tunnel import why
from pyllb.value import Value

_UNKNOWN_EXIT = 255
_SHOWN = 160  # letters of a command in a message


@attrs.frozen(eq=False, repr=False)
class Blame(Value):
    """What the details of a failed call say, read.

    digest: of the failed vertex, "" when none is to blame. exit_code: of a command, None when none failed. sources: as
    the daemon has them, innermost first.
    """

    message: str
    code: str
    digest: str = ""
    exit_code: int | None = None
    sources: tuple[SourceLine, ...] = ()
    typed: bool = False


def read_status(error: RpcError) -> status_pb2.Status:
    """The whole status of a failed call, its details among it; just code and message when it has none."""
    if error.details:
        with contextlib.suppress(DecodeError):
            return status_pb2.Status.FromString(error.details)
    return status_pb2.Status(code=error.code, message=error.message)


def read_blame(error: RpcError) -> Blame:
    """What a failed call says."""
    status = read_status(error)
    digest, exit_code = "", None
    sources: list[SourceLine] = []
    for detail in status.details:
        kind = detail.type_url.rpartition("/")[2]
        value = _json(detail.value)
        if kind == "errdefs.Vertex+json":
            digest = digest or str(value.get("digest", ""))
        elif kind == "errdefs.Source+json":
            sources += _source(value)
        elif kind == "gatewayapi.ExitMessage+json":
            exit_code = _number(value.get("Code", 0), _UNKNOWN_EXIT)  # 0 is left out, as Go's omitempty does
    return Blame(status.message, error.code.name, digest, exit_code, tuple(sources), typed=bool(status.details))


def _json(data: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _source(value: Mapping[str, object]) -> Iterable[SourceLine]:
    info = value.get("info")
    ranges = value.get("ranges")
    if not isinstance(info, dict) or not isinstance(ranges, list):
        return
    try:
        text = base64.b64decode(str(info.get("data", ""))).decode(errors="replace")
    except ValueError:
        text = ""
    starts = [_line(entry, "start") for entry in ranges]
    ends = [_line(entry, "end") for entry in ranges]
    if any(starts):
        yield SourceLine(str(info.get("filename", "")), min(filter(None, starts)), max(ends), text)


def _line(entry: object, which: str) -> int:
    place = entry.get(which) if isinstance(entry, dict) else None
    return _number(place.get("line"), 0) if isinstance(place, dict) else 0


def fault(
    error: RpcError, *, address: str, definitions: Iterable[Definition] = (), record: Record | None = None
) -> PyllbError:
    """The error of pyllb for a failed call.

    address: of the daemon. definitions, record: of the solve it belongs to; they give the command, the user's lines
    and the last output of the failed vertex.
    """
    blame = read_blame(error)
    # The daemon's own errors have details, a stack at least; a status made on this side has none.
    if blame.code == "UNAVAILABLE" and not blame.typed:
        return _lost(blame, address, record)
    if blame.code == "DEADLINE_EXCEEDED" and not blame.typed:
        return ConnectError(f"the daemon at {address!r} does not answer: {blame.message}", address=address)
    if blame.code == "UNIMPLEMENTED" and not blame.digest:
        return UnsupportedError(f"the daemon at {address!r} is too old for this: {blame.message}")
    return solve_error(blame, definitions=definitions, record=record)


def _lost(blame: Blame, address: str, record: Record | None) -> ConnectError:
    return ConnectError(
        f"the connection to the daemon at {address!r} was lost{_during(record)}: {blame.message}", address=address
    )


def session_lost(error: Exception, *, address: str, record: Record) -> ConnectError:
    """The error of a build whose session ended before it. error: what ended the session's stream."""
    return ConnectError(
        f"the session with the daemon at {address!r} was lost{_during(record)}: {why(error)}", address=address
    )


def _during(record: Record | None) -> str:
    running = record.running() if record else ()
    return f", while {', '.join(map(repr, running[:3]))} ran" if running else ""


def solve_error(blame: Blame, *, definitions: Iterable[Definition] = (), record: Record | None = None) -> SolveError:
    """The error of a build that failed as blame says."""
    digest = blame.digest or (record.failed() if record else "")
    definition = next((one for one in definitions if digest in dict(one.ops)), None)
    sources = (definition.source_lines(digest) if definition and digest else ()) or blame.sources
    vertex = record.name(digest) if record else ""
    logs = record.log(digest) if record else ()
    if blame.exit_code is not None:
        command = _command(definition, digest) or vertex
        known = blame.exit_code != _UNKNOWN_EXIT
        ended = f"ended with exit code {blame.exit_code}" if known else f"failed: {blame.message}"
        return ExecError(
            f"{_short(command)!r} {ended}",
            command=command,
            process_exit_code=blame.exit_code,
            sources=sources,
            vertex=vertex,
            digest=digest,
            logs=logs,
            code=blame.code,
        )
    kind = SolveCanceled if blame.code == "CANCELLED" else SolveError
    said = _without_dest(_CHECKSUM.sub("", blame.message), definition, digest)
    message = _with_step(vertex, said) if sources else said
    return kind(message, sources=sources, vertex=vertex, digest=digest, logs=logs, code=blame.code)


def _with_step(vertex: str, message: str) -> str:
    """With the step in front: the daemon says "invalid response status 404", and not of which URL."""
    step = _short(vertex)
    return message if not step or step in message else f"{step}: {message}"


# What the daemon says before a path that is not there: which of its snapshots it looked at, by an id of its own.
_CHECKSUM = re.compile(r"failed to compute cache key: failed to calculate checksum of ref \S+: ")
_NO_DEST = re.compile(r"failed to stat (?P<dest>.+?): lstat .+: no such file or directory\Z")


def _without_dest(message: str, definition: Definition | None, digest: str) -> str:
    """For a copy into a directory that is not there, where the daemon names a place of its own, what would do."""
    match = _NO_DEST.search(message)
    data = dict(definition.ops).get(digest) if definition and match else None
    if match is None or data is None:
        return message
    copies = [action.copy for action in ops_pb2.Op.FromString(data).file.actions if action.HasField("copy")]
    if not any(copy.dest == match["dest"] and not copy.createDestPath for copy in copies):
        return message
    return f"there is no directory {posixpath.dirname(match['dest'].rstrip('/'))!r}; create_dest=True makes it"


_REFUSED = re.compile(r"\b40[13]\b|unauthorized|authorization failed|access denied", re.IGNORECASE)


def refusal(message: str, given: Mapping[str, Credentials], config: str) -> str:
    """What to add to a message when a registry refused: as whom it was asked. config: the file the logins are from."""
    if not _REFUSED.search(message):
        return ""
    return "".join(f"\n{host} was asked {_as_whom(login)} ({config})" for host, login in given.items())


def _as_whom(login: Credentials) -> str:
    if login.username:
        return f"as {login.username!r}, with the login of the docker configuration"
    return "with the token of the docker configuration" if login.secret else "anonymously: there is no login for it"


def _short(command: str) -> str:
    """A command for a message; a script's first line says which it is, and the error has all of it."""
    line, mark, _ = command.strip().partition("\n")
    return f"{line[:_SHOWN]}..." if mark or len(line) > _SHOWN else line


def _command(definition: Definition | None, digest: str) -> str:
    """The argv of an exec as one line; a shell's script as it stands, without the quotes a shell would need."""
    data = dict(definition.ops).get(digest) if definition else None
    if data is None:
        return ""
    import shlex

    args = list(ops_pb2.Op.FromString(data).exec.meta.args)
    return f"{args[0]} -c {args[2]}" if len(args) == 3 and args[1] == "-c" else shlex.join(args)
