"""Events of a running solve, as frozen values: what the daemon's Status stream says, without protobuf.

Times are seconds since the epoch as floats, by the daemon's clock; None means not yet.
"""

from __future__ import annotations

import attrs

from pyllb.errors import SourceLine
from pyllb.value import Value


@attrs.frozen(eq=False, repr=False)
class ProgressGroup(Value):
    """Vertices shown as one line. Mirrors pb.ProgressGroup."""

    id: str
    name: str
    weak: bool = False


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Vertex(Value):
    """A vertex's state, sent anew at each change. Mirrors moby.buildkit.v1.Vertex."""

    digest: str
    name: str
    inputs: tuple[str, ...] = ()
    started: float | None = None
    completed: float | None = None
    cached: bool = False
    error: str = ""
    group: ProgressGroup | None = None


@attrs.frozen(eq=False, repr=False, kw_only=True)
class VertexStatus(Value):
    """Progress of one thing a vertex does, such as a layer it pulls. Mirrors moby.buildkit.v1.VertexStatus."""

    id: str
    vertex: str
    name: str = ""
    current: int = 0
    total: int = 0
    timestamp: float | None = None
    started: float | None = None
    completed: float | None = None


@attrs.frozen(eq=False, repr=False, kw_only=True)
class VertexLog(Value):
    """Output of a vertex, cut anywhere. stream: 1 stdout, 2 stderr. Mirrors moby.buildkit.v1.VertexLog."""

    vertex: str
    stream: int
    data: bytes
    timestamp: float | None = None


@attrs.frozen(eq=False, repr=False, kw_only=True)
class VertexWarning(Value):
    """A warning about a vertex. Mirrors moby.buildkit.v1.VertexWarning."""

    vertex: str
    level: int = 0
    short: str = ""
    detail: tuple[str, ...] = ()
    url: str = ""
    sources: tuple[SourceLine, ...] = ()


@attrs.frozen(eq=False, repr=False)
class SolveStatus(Value):
    """One message of the Status stream. Mirrors client.SolveStatus (BuildKit 0.33.1)."""

    vertexes: tuple[Vertex, ...] = ()
    statuses: tuple[VertexStatus, ...] = ()
    logs: tuple[VertexLog, ...] = ()
    warnings: tuple[VertexWarning, ...] = ()
