"""Constraints from options: platform, name, caching, group and resources of one vertex."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pyllb.dsl import check
from pyllb.errors import OptionError
from pyllb.ir.constraints import NO_CONSTRAINTS, Constraints, LinuxResources, ProgressGroup, make_constraints
from pyllb.ir.platform import Platform, given_platform, known_platform

_INT64 = (1 << 63) - 1
NOTHING = (None, (), None, False, None, None, None)
"""What an op that has no options but its name was given: platform, filters, description, and so on as below."""


def constraints(
    *,
    platform: str | Platform | None = None,
    filters: Iterable[str] = (),
    name: str | None = None,
    description: Mapping[str, str] | None = None,
    ignore_cache: bool = False,
    export_cache: bool | None = None,
    group: str | ProgressGroup | None = None,
    resources: LinuxResources | None = None,
) -> Constraints:
    """The options that every vertex has, as one value: that of `dump(constraints=...)`, which is for all of them.

    platform: None is the state's, then the call's. The others: see `FS.run`. Raises OptionError.

    LLB: Op.constraints, OpMetadata. Mirrors client/llb ConstraintsOpt (BuildKit 0.33.1).
    """
    if (platform, filters, description, ignore_cache, export_cache, group, resources) == NOTHING:
        return named(name)
    if resources is not None and not isinstance(resources, LinuxResources):
        raise OptionError(f"resources is {check.show(resources)}; write resources(memory='2g', ...)")
    return Constraints(
        platform=a_platform(platform),
        filters=check.texts("filters", filters),
        name="" if name is None else check.text("name", name),
        description=check.pairs("description", description) if description is not None else (),
        ignore_cache=check.flag("ignore_cache", ignore_cache),
        export_cache=None if export_cache is None else check.flag("export_cache", export_cache),
        group=_group(group),
        resources=resources,
    )


def named(name: str | None) -> Constraints:
    """The name alone: nearly every vertex; those of a large graph share one value, or differ in their names alone."""
    return NO_CONSTRAINTS if name is None else make_constraints(name=check.text("name", name))


def a_platform(value: str | Platform | None) -> Platform | None:
    """A platform from its text or itself, normalised; None stays None."""
    if value is None:
        return None
    if isinstance(value, Platform):
        return given_platform(value)
    return known_platform(check.text("platform", value))


def _group(value: str | ProgressGroup | None) -> ProgressGroup | None:
    if value is None or isinstance(value, ProgressGroup):
        return value
    if not isinstance(value, str):
        raise OptionError(f"group is {check.show(value)}; write a name, or progress_group(id, name)")
    return progress_group(value)


def progress_group(id: str, name: str | None = None, *, weak: bool = False) -> ProgressGroup:
    """Name a group of vertices that a progress display shows as one line; the value of `group=`.

    id: the same id is the same group. name: what is shown, None is the id. weak: the vertex joins the group but does
    not show it by itself. Raises OptionError.

    LLB: OpMetadata.progress_group. Mirrors client/llb ProgressGroup (BuildKit 0.33.1).
    """
    shown = id if name is None else name
    return ProgressGroup(check.text("group id", id), check.text("group name", shown), check.flag("weak", weak))


def resources(
    *,
    memory: int | str = 0,
    memory_swap: int | str = 0,
    cpu_shares: int = 0,
    cpu_period: int = 0,
    cpu_quota: int = 0,
    cpuset_cpus: str = "",
    cpuset_mems: str = "",
) -> LinuxResources:
    """Limit what a command may use; the value of `run(resources=...)`. 0 and "" leave the daemon's default.

    memory: bytes, or a str such as "2g". memory_swap: memory and swap together, -1 is no limit. cpu_shares: from 2 to
    262144. cpu_period, cpu_quota: microseconds, at least 1000. cpuset_cpus, cpuset_mems: lists such as "0-2,7". Raises
    OptionError.

    LLB: OpMetadata.linux_resources, which is not in the digest. Mirrors client/llb MemoryLimit, CPUShares and the
    others of WithLinuxResources (BuildKit 0.33.1).
    """
    bytes_ = check.size("memory", memory)
    both = -1 if memory_swap == -1 else check.size("memory_swap", memory_swap)
    if both > 0 and not 0 < bytes_ <= both:
        raise OptionError(
            f"memory_swap is {memory_swap!r} and memory {memory!r}; memory_swap is both together, so at least memory"
        )
    return LinuxResources(
        memory=bytes_,
        memory_swap=both,
        cpu_shares=_of_kernel("cpu_shares", cpu_shares, 2, 1 << 18),
        cpu_period=_of_kernel("cpu_period", cpu_period, 1000, 1_000_000),
        cpu_quota=-1 if cpu_quota == -1 else _of_kernel("cpu_quota", cpu_quota, 1000, _INT64),
        cpuset_cpus=_cpu_list("cpuset_cpus", cpuset_cpus),
        cpuset_mems=_cpu_list("cpuset_mems", cpuset_mems),
    )


def _of_kernel(what: str, value: int, low: int, high: int) -> int:
    """A number that Linux takes, or 0."""
    number = check.integer(what, value, 0, high)
    if 0 < number < low:
        raise OptionError(f"{what} is {number}; it is at least {low}, or 0 for the daemon's default")
    return number


def _cpu_list(what: str, value: str) -> str:
    check.value_text(what, value)
    for part in value.split(",") if value else ():
        match = re.match(r"([0-9]{1,5})(?:-([0-9]{1,5}))?\Z", part)
        if match is None or int(match.group(1)) > int(match.group(2) or match.group(1)):
            raise OptionError(f"{what} is {value!r}; write numbers and ranges, such as '0-2,7'")
    return value
