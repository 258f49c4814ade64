"""Record: what a solve's events have said so far, merged."""

from __future__ import annotations

import threading
from collections import deque

import attrs

from pyllb.client.result import CacheUse, Step
from pyllb.status import SolveStatus, Vertex, VertexLog, VertexWarning

_LINES = 50  # the last lines of a vertex that are kept for an error
_LINE = 4096  # bytes of one of them


class Record:
    """The vertices, the last output of each, and the warnings. One thread updates it, any thread reads it.

    A vertex is reported again at each change, and may start again with another time; one of a digest is one step.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: dict[str, Step] = {}
        self._logs: dict[str, _Tail] = {}
        self._warnings: list[VertexWarning] = []
        self.heard = False

    def update(self, status: SolveStatus) -> None:
        """Take in one message."""
        with self._lock:
            self.heard = True
            for vertex in status.vertexes:
                self._merge(vertex)
            for log in status.logs:
                self._logs.setdefault(log.vertex, _Tail()).add(log)
            self._warnings.extend(status.warnings)

    def _merge(self, vertex: Vertex) -> None:
        old = self._steps.get(vertex.digest) or Step(digest=vertex.digest, name=vertex.name)
        started = [time for time in (old.started, vertex.started) if time is not None]
        self._steps[vertex.digest] = attrs.evolve(
            old,
            name=vertex.name or old.name,
            cached=old.cached or vertex.cached,
            started=min(started, default=None),
            completed=vertex.completed if vertex.completed is not None else old.completed,
            error=vertex.error or old.error,
        )
        if vertex.completed is not None and not vertex.error:
            self._logs.pop(vertex.digest, None)

    def steps(self) -> tuple[Step, ...]:
        """One per vertex, in the order they were first heard of."""
        with self._lock:
            return tuple(self._steps.values())

    def warnings(self) -> tuple[VertexWarning, ...]:
        """Each warning once, as they came."""
        with self._lock:
            return tuple(dict.fromkeys(self._warnings))

    def name(self, digest: str) -> str:
        """A vertex' name; "" when it was never heard of."""
        with self._lock:
            step = self._steps.get(digest)
            return step.name if step else ""

    def log(self, digest: str) -> tuple[str, ...]:
        """The last lines that a vertex wrote, at most fifty."""
        with self._lock:
            tail = self._logs.get(digest)
            return tail.lines() if tail else ()

    def running(self) -> tuple[str, ...]:
        """The names of the vertices that have started and not ended."""
        with self._lock:
            return tuple(step.name for step in self._steps.values() if step.started and step.completed is None)

    def failed(self) -> str:
        """The digest of the first vertex that failed on its own account; "" when none did."""
        with self._lock:
            failed = [step for step in self._steps.values() if step.error]
        alone = [step for step in failed if "context canceled" not in step.error]
        return next((step.digest for step in alone or failed), "")

    def cache_use(self, digests: frozenset[str]) -> CacheUse:
        """How many of these vertices were heard of, and how many of them were cached."""
        with self._lock:
            own = [step for step in self._steps.values() if step.digest in digests]
        return CacheUse(len(own), sum(step.cached for step in own))


class _Tail:
    """The end of what a vertex wrote, in lines. A line that the daemon cut is joined again."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque(maxlen=_LINES)
        self._open: dict[int, bytes] = {}

    def add(self, log: VertexLog) -> None:
        first, *rest = log.data.split(b"\n")
        line = (self._open.pop(log.stream, b"") + first)[:_LINE]
        for following in rest:
            self._lines.append(line)
            line = following[:_LINE]
        if line:
            self._open[log.stream] = line

    def lines(self) -> tuple[str, ...]:
        ended = [*self._lines, *self._open.values()][-_LINES:]
        return tuple(line.decode(errors="replace").rstrip("\r") for line in ended)
