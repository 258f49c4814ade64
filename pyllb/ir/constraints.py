"""Constraints: what stands beside an op, and its platform. Mirrors client/llb.Constraints (BuildKit 0.33.1)."""

from __future__ import annotations

import attrs

from pyllb.ir.platform import Platform
from pyllb.ir.record import constructor
from pyllb.value import Value

CUSTOM_NAME = "llb.customname"
"""The key of a description whose value is the name that progress shows."""


@attrs.frozen(eq=False, repr=False)
class ProgressGroup(Value):
    """Vertices that a progress display shows as one line; a weak member alone does not show it."""

    id: str
    name: str
    weak: bool = False


@attrs.frozen(eq=False, repr=False, kw_only=True)
class LinuxResources(Value):
    """Limits of an exec's cgroup: bytes, microseconds, cpu lists; 0 and "" leave the daemon's default.

    memory_swap may be -1, which is no limit.
    """

    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""


@attrs.frozen(eq=False, repr=False, kw_only=True, weakref_slot=False)
class Constraints(Value):
    """platform and filters are in the op's digest; all else is metadata and is not.

    platform: None leaves it to the state, then to the marshal call. filters: containerd worker filters.
    name: shown by progress (`llb.customname`). export_cache: None has no opinion, False keeps it out of the
    build cache.
    """

    platform: Platform | None = None
    filters: tuple[str, ...] = ()
    name: str = ""
    description: tuple[tuple[str, str], ...] = ()
    ignore_cache: bool = False
    export_cache: bool | None = None
    group: ProgressGroup | None = None
    resources: LinuxResources | None = None

    def over(self, base: Constraints) -> Constraints:
        """These laid over those of a whole marshal call: filters and flags add up, else what is said here counts.

        Mirrors client/llb MarshalConstraints, but that what one op says of itself stays its own.
        """
        named = self.name or any(key == CUSTOM_NAME for key, _ in self.description)
        return Constraints(
            platform=self.platform or base.platform,
            filters=base.filters + self.filters,
            name=self.name if named else base.name,
            description=tuple({**dict(base.description), **dict(self.description)}.items()),
            ignore_cache=self.ignore_cache or base.ignore_cache,
            export_cache=base.export_cache if self.export_cache is None else self.export_cache,
            group=self.group or base.group,
            resources=self.resources or base.resources,
        )


make_constraints = constructor(Constraints)
NO_CONSTRAINTS = Constraints()
