"""Result: what a solve that succeeded gave."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from pyllb.status import VertexWarning
from pyllb.value import Value


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Step(Value):
    """One vertex of the solve as it ended. Times are seconds since the epoch by the daemon's clock, None means never.

    cached: the daemon had its result. error: "" when it has none.
    """

    digest: str
    name: str
    cached: bool = False
    started: float | None = None
    completed: float | None = None
    error: str = ""

    @property
    def duration(self) -> float:
        """Seconds from start to end; 0.0 when it did not run."""
        return max(0.0, self.completed - self.started) if self.started and self.completed else 0.0


@attrs.frozen(eq=False, repr=False)
class CacheUse(Value):
    """How many of the build's steps there were, and how many of them the daemon had the results of.

    Steps are commands, file actions, merges and diffs: what can be CACHED. Sources are looked up at each solve.
    """

    total: int = 0
    cached: int = 0

    @property
    def ratio(self) -> float:
        """cached / total; 0.0 when there were none."""
        return self.cached / self.total if self.total else 0.0


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Result(Value):
    """What a solve that succeeded gave.

    metadata: the exporters' response, such as "containerimage.digest" (client.SolveResponse.ExporterResponse of
    BuildKit 0.33.1); empty when nothing was exported. steps: one per vertex, in the order they were first heard of, the
    daemon's own (exports, cache imports, logins) among them. cache: of the build's own steps. duration: seconds
    from the call to its end. targets: the name and result of each target, when several were solved; the other fields
    then are of all of them together, later targets' metadata over earlier ones'.
    """

    metadata: Mapping[str, str] = attrs.field(factory=dict)
    steps: tuple[Step, ...] = ()
    warnings: tuple[VertexWarning, ...] = ()
    cache: CacheUse = CacheUse()
    duration: float = 0.0
    targets: Mapping[str, Result] = attrs.field(factory=dict, repr=False)

    @property
    def digest(self) -> str | None:
        """The image's digest, "sha256:..."; None when no image was made, or several were."""
        return None if len(self.targets) > 1 else self.metadata.get("containerimage.digest")


def together(results: Mapping[str, Result]) -> Result:
    """The result of several targets solved by one call."""
    steps = {step.digest: step for result in results.values() for step in result.steps}
    return Result(
        metadata={key: value for result in results.values() for key, value in result.metadata.items()},
        steps=tuple(steps.values()),
        warnings=tuple(warning for result in results.values() for warning in result.warnings),
        cache=CacheUse(
            sum(result.cache.total for result in results.values()),
            sum(result.cache.cached for result in results.values()),
        ),
        duration=sum(result.duration for result in results.values()),
        targets=dict(results),
    )
