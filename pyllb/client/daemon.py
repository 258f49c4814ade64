"""Daemon values: what a daemon says of itself, its workers and its disk."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from pyllb._pb import control_pb2, worker_pb2
from pyllb.client.events import seconds
from pyllb.client.gateway import platform_of
from pyllb.ir.platform import Platform


@attrs.frozen
class Info:
    """Which program answers. Mirrors client.Info of BuildKit 0.33.1."""

    package: str
    version: str
    revision: str


@attrs.frozen(kw_only=True)
class Worker:
    """One of the daemon's workers; the first is the one that builds. platforms: the first is its own."""

    id: str
    labels: Mapping[str, str]
    platforms: tuple[Platform, ...]


@attrs.frozen(kw_only=True)
class UsageRecord:
    """Something the daemon keeps. Mirrors client.UsageInfo of BuildKit 0.33.1.

    type: regular, source.local, source.git.checkout, exec.cachemount, frontend or internal. size: bytes. Times are
    seconds since the epoch, last_used None when it never was.
    """

    id: str
    type: str
    description: str
    size: int
    mutable: bool
    in_use: bool
    shared: bool
    created: float
    last_used: float | None
    usage_count: int
    parents: tuple[str, ...]


def worker_of(record: worker_pb2.WorkerRecord) -> Worker:
    """A worker from its message."""
    return Worker(id=record.ID, labels=dict(record.Labels), platforms=tuple(map(platform_of, record.platforms)))


def usage_of(record: control_pb2.UsageRecord) -> UsageRecord:
    """A record from its message."""
    return UsageRecord(
        id=record.ID,
        type=record.RecordType,
        description=record.Description,
        size=record.Size,
        mutable=record.Mutable,
        in_use=record.InUse,
        shared=record.Shared,
        created=seconds(record.CreatedAt),
        last_used=seconds(record.LastUsedAt) if record.HasField("LastUsedAt") else None,
        usage_count=record.UsageCount,
        parents=tuple(record.Parents) or ((record.Parent,) if record.Parent else ()),
    )
