"""OpMetadata: what stands beside an op and is not in its digest. Mirrors pb.OpMetadata (BuildKit 0.33.1)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import attrs

from pyllb.ir.constraints import CUSTOM_NAME, NO_CONSTRAINTS, Constraints, LinuxResources, ProgressGroup
from pyllb.marshal.wire import flag, integer, message, text, text_map, varint
from pyllb.value import Shown, Value


@attrs.frozen(eq=False, repr=False, kw_only=True)
class OpMetadata(Value):
    """description: sorted pairs; `llb.customname` is the name that progress shows. caps: sorted capability ids.

    export_cache: None has no opinion.
    """

    ignore_cache: bool = False
    description: tuple[tuple[str, str], ...] = ()
    export_cache: bool | None = None
    caps: tuple[str, ...] = ()
    group: ProgressGroup | None = None
    resources: LinuxResources | None = None

    @classmethod
    def of(cls, constraints: Constraints, caps: Iterable[str]) -> OpMetadata:
        """The metadata of an op that has these constraints and uses these capabilities."""
        return cls(
            ignore_cache=constraints.ignore_cache,
            description=description(constraints),
            export_cache=constraints.export_cache,
            caps=tuple(sorted(set(caps))),
            group=constraints.group,
            resources=constraints.resources,
        )

    def merged(self, other: OpMetadata) -> OpMetadata:
        """Of two equal vertices: what the later one says wins, flags and capabilities add up."""
        return OpMetadata(
            ignore_cache=self.ignore_cache or other.ignore_cache,
            description=tuple(sorted({**dict(self.description), **dict(other.description)}.items())),
            export_cache=self.export_cache if other.export_cache is None else other.export_cache,
            caps=tuple(sorted({*self.caps, *other.caps})),
            group=other.group or self.group,
            resources=other.resources or self.resources,
        )

    def to_bytes(self) -> bytes:
        """As pb.OpMetadata on the wire."""
        return encode(
            self.ignore_cache, self.description, self.export_cache, encode_caps(self.caps), self.group, self.resources
        )


def description(constraints: Constraints) -> tuple[tuple[str, str], ...]:
    """The description's pairs, the name among them, sorted."""
    if not constraints.description:
        return ((CUSTOM_NAME, constraints.name),) if constraints.name else ()
    named = {CUSTOM_NAME: constraints.name} if constraints.name else {}
    return tuple(sorted({**dict(constraints.description), **named}.items()))


def encode(
    ignore_cache: bool,
    description: tuple[tuple[str, str], ...],
    export_cache: bool | None,
    caps: bytes,
    group: ProgressGroup | None,
    resources: LinuxResources | None,
) -> bytes:
    """The fields of OpMetadata in order; caps as encode_caps made them."""
    data = text_map(b"\x12", description) if description else b""
    if ignore_cache:
        data = flag(b"\x08", ignore_cache) + data
    if export_cache is not None:
        data += message(b"\x22", flag(b"\x08", export_cache))
    data += caps
    if group is not None:
        data += _group(group)
    return data if resources is None else data + _resources(resources)


def _named(name: str) -> bytes:
    """A description of the name alone."""
    data = name.encode()
    return _name_head(len(data)) + data


@lru_cache(maxsize=512)
def _name_head(size: int) -> bytes:
    """What stands before a name of this many bytes."""
    value = b"\x12" + varint(size)
    key = b"\x0a\x0ellb.customname"
    return b"\x12" + varint(len(key) + len(value) + size) + key + value


def encode_caps(caps: Iterable[str]) -> bytes:
    """The map of capabilities, each true; caps sorted."""
    return b"".join([message(b"\x2a", message(b"\x0a", cap.encode()) + b"\x10\x01") for cap in caps])


def _group(group: ProgressGroup) -> bytes:
    data = text(b"\x0a", group.id) + text(b"\x12", group.name) + flag(b"\x18", group.weak)
    return message(b"\x32", data)


def _resources(limits: LinuxResources) -> bytes:
    return message(
        b"\x3a",
        b"".join(
            (
                integer(b"\x08", limits.memory),
                integer(b"\x10", limits.memory_swap),
                integer(b"\x18", limits.cpu_shares),
                integer(b"\x20", limits.cpu_period),
                integer(b"\x28", limits.cpu_quota),
                text(b"\x32", limits.cpuset_cpus),
                text(b"\x3a", limits.cpuset_mems),
            )
        ),
    )


@attrs.frozen(eq=False, repr=False)
class MetadataTable(Shown):
    """The metadata of one marshal call, encoded, by op digest."""

    encoded: dict[str, bytes] = attrs.field(factory=dict, init=False)
    _given: dict[str, tuple[Constraints, tuple[str, ...]]] = attrs.field(factory=dict, init=False)
    _merged: dict[str, OpMetadata] = attrs.field(factory=dict, init=False)
    _caps: dict[tuple[str, ...], tuple[tuple[str, ...], bytes]] = attrs.field(factory=dict, init=False)
    _seen: dict[str, None] = attrs.field(factory=dict, init=False)

    def add(self, digest: str, constraints: Constraints, caps: tuple[str, ...]) -> None:
        """Add the metadata of a vertex; what another vertex of the same digest said is merged with it."""
        if digest in self.encoded:
            self._note(constraints)
            self._merge(digest, constraints, caps)
            return
        known = self._caps.get(caps)
        if known is None:
            known = self._caps[caps] = caps, encode_caps(sorted(set(caps)))
        self._given[digest] = constraints, known[0]
        self.encoded[digest] = known[1] if constraints is NO_CONSTRAINTS else self._encode(constraints, known[1])

    def _encode(self, constraints: Constraints, caps: bytes) -> bytes:
        special = constraints.description or constraints.ignore_cache or constraints.group or constraints.resources
        if not special and constraints.export_cache is None:  # a name is what most ops have, and all they have
            if not constraints.name:
                return caps
            self._seen["meta.description"] = None
            return _named(constraints.name) + caps
        self._note(constraints)
        return encode(
            constraints.ignore_cache,
            description(constraints),
            constraints.export_cache,
            caps,
            constraints.group,
            constraints.resources,
        )

    def add_encoded(self, digest: str, constraints: Constraints, caps: tuple[str, ...], encoded: bytes) -> None:
        """Add metadata that is encoded already, and kept so, with what is not known here. The rest: what it says."""
        known = digest in self.encoded
        self.add(digest, constraints, caps)
        if not known:
            self.encoded[digest] = encoded

    def add_return(self, digest: str, caps: tuple[str, ...]) -> None:
        """Add the metadata of the return op, which needs what any other op's metadata needs."""
        self.encoded[digest] = encode_caps(sorted({*caps, *self._seen}))

    def _note(self, constraints: Constraints) -> None:
        if constraints.ignore_cache:
            self._seen["meta.ignorecache"] = None
        if constraints.name or constraints.description:
            self._seen["meta.description"] = None
        if constraints.export_cache is not None:
            self._seen["meta.exportcache"] = None

    def _merge(self, digest: str, constraints: Constraints, caps: tuple[str, ...]) -> None:
        before = self._merged.get(digest) or OpMetadata.of(*self._given[digest])
        merged = self._merged[digest] = before.merged(OpMetadata.of(constraints, caps))
        self.encoded[digest] = merged.to_bytes()
