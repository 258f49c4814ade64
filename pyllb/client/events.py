"""Events: the messages of the Status stream, turned into pyllb.status values."""

from __future__ import annotations

from pyllb._pb import control_pb2, timestamp_pb2
from pyllb.errors import SourceLine
from pyllb.status import ProgressGroup, SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning


def status_of(message: control_pb2.StatusResponse) -> SolveStatus:
    """One message as values. Mirrors client.NewSolveStatus of BuildKit 0.33.1."""
    return SolveStatus(
        vertexes=tuple(map(_vertex, message.vertexes)),
        statuses=tuple(map(_status, message.statuses)),
        logs=tuple(map(_log, message.logs)),
        warnings=tuple(map(_warning, message.warnings)),
    )


def seconds(time: timestamp_pb2.Timestamp) -> float:
    """Seconds since the epoch."""
    return time.seconds + time.nanos / 1e9


def _vertex(vertex: control_pb2.Vertex) -> Vertex:
    group = vertex.progressGroup
    return Vertex(
        digest=vertex.digest,
        name=vertex.name,
        inputs=tuple(vertex.inputs),
        started=seconds(vertex.started) if vertex.HasField("started") else None,
        completed=seconds(vertex.completed) if vertex.HasField("completed") else None,
        cached=vertex.cached,
        error=vertex.error,
        group=ProgressGroup(group.id, group.name, group.weak) if vertex.HasField("progressGroup") else None,
    )


def _status(status: control_pb2.VertexStatus) -> VertexStatus:
    return VertexStatus(
        id=status.ID,
        vertex=status.vertex,
        name=status.name,
        current=status.current,
        total=status.total,
        timestamp=seconds(status.timestamp) if status.HasField("timestamp") else None,
        started=seconds(status.started) if status.HasField("started") else None,
        completed=seconds(status.completed) if status.HasField("completed") else None,
    )


def _log(log: control_pb2.VertexLog) -> VertexLog:
    time = seconds(log.timestamp) if log.HasField("timestamp") else None
    return VertexLog(vertex=log.vertex, stream=log.stream, data=log.msg, timestamp=time)


def _warning(warning: control_pb2.VertexWarning) -> VertexWarning:
    text = warning.info.data.decode(errors="replace")
    places = [SourceLine(warning.info.filename, r.start.line, r.end.line, text) for r in warning.ranges]
    return VertexWarning(
        vertex=warning.vertex,
        level=warning.level,
        short=warning.short.decode(errors="replace"),
        detail=tuple(line.decode(errors="replace") for line in warning.detail),
        url=warning.url,
        sources=tuple(places),
    )
