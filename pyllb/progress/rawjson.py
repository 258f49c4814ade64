"""RawJson: every event as one JSON object per line, under the names Go's client gives them."""

from __future__ import annotations

import base64
import json
import math
import threading
import time
from typing import TextIO

from pyllb.errors import SourceLine
from pyllb.progress.sink import put
from pyllb.status import SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning

_Json = dict[str, object]
_ZERO_TIME = "0001-01-01T00:00:00Z"  # Go's zero time.Time


class RawJson:
    """A Sink that writes client.SolveStatus as Go's encoding/json does (0.33.1): absent where it says nothing, times
    RFC 3339 in UTC, bytes in base64."""

    shows_logs = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._broken = False

    def update(self, status: SolveStatus) -> None:
        line = json.dumps(to_json(status), ensure_ascii=False, separators=(",", ":")) + "\n"
        with self._lock:
            if self._broken:
                return
            try:
                put(self._stream, line)
            except (OSError, ValueError):
                self._broken = True

    def close(self) -> None:
        pass


def to_json(status: SolveStatus) -> _Json:
    """A status as the object that rawjson writes; lists that are empty are left out."""
    lists: _Json = {
        "vertexes": [_vertex(v) for v in status.vertexes],
        "statuses": [_status(s) for s in status.statuses],
        "logs": [_log(entry) for entry in status.logs],
        "warnings": [_warning(w) for w in status.warnings],
    }
    return {key: value for key, value in lists.items() if value}


def _vertex(vertex: Vertex) -> _Json:
    group = vertex.group
    return _without_empty(
        {
            "digest": vertex.digest,
            "inputs": list(vertex.inputs),
            "name": vertex.name,
            "started": _time(vertex.started),
            "completed": _time(vertex.completed),
            "cached": vertex.cached,
            "error": vertex.error,
            "progressGroup": group and _without_empty({"id": group.id, "name": group.name, "weak": group.weak}),
        }
    )


def _status(item: VertexStatus) -> _Json:
    return {
        "id": item.id,
        "vertex": item.vertex,
        **({"name": item.name} if item.name else {}),
        **({"total": item.total} if item.total else {}),
        "current": item.current,
        "timestamp": _time(item.timestamp) or _ZERO_TIME,
        **_without_empty({"started": _time(item.started), "completed": _time(item.completed)}),
    }


def _log(log: VertexLog) -> _Json:
    head = _without_empty({"vertex": log.vertex, "stream": log.stream})
    return {**head, "data": base64.b64encode(log.data).decode(), "timestamp": _time(log.timestamp) or _ZERO_TIME}


def _warning(warning: VertexWarning) -> _Json:
    return _without_empty(
        {
            "vertex": warning.vertex,
            "level": warning.level,
            "short": base64.b64encode(warning.short.encode()).decode(),
            "detail": [base64.b64encode(line.encode()).decode() for line in warning.detail],
            "url": warning.url,
            "sourceInfo": _source(warning.sources),
            "range": [_range(source) for source in warning.sources],
        }
    )


def _source(sources: tuple[SourceLine, ...]) -> _Json | None:
    if not sources:
        return None
    data = base64.b64encode(sources[0].text.encode()).decode()
    return _without_empty({"filename": sources[0].filename, "data": data})


def _range(source: SourceLine) -> _Json:
    return {"start": {"line": source.line}, "end": {"line": max(source.line, source.end_line)}}


def _without_empty(values: _Json) -> _Json:
    return {key: value for key, value in values.items() if value}


def _time(value: float | None) -> str | None:
    """RFC3339Nano, as Go writes it: no trailing zeros. A float holds about a quarter of a microsecond of these days."""
    if value is None:
        return None
    whole = math.floor(value)
    nanos = round((value - whole) * 1_000_000) * 1000
    if nanos == 1_000_000_000:
        whole, nanos = whole + 1, 0
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return text + (f".{nanos:09d}".rstrip("0") if nanos else "") + "Z"
