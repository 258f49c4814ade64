"""Definition: a marshalled build, as ops by digest with what stands beside them.

Mirrors pb.Definition (BuildKit 0.33.1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from io import BytesIO
from itertools import chain
from typing import TYPE_CHECKING

import attrs

from pyllb.errors import DefinitionError, GraphError, SourceLine
from pyllb.ir.constraints import LinuxResources, ProgressGroup
from pyllb.ir.image import EMPTY_SPEC, ImageSpec
from pyllb.marshal.check import check_digests, check_graph, check_locations, check_op, digest_of
from pyllb.marshal.metadata import OpMetadata
from pyllb.marshal.wire import message, varint
from pyllb.value import Value

if TYPE_CHECKING:
    from pyllb._pb import ops_pb2
    from pyllb.ir.meta import Meta
    from pyllb.ir.ops import Output
    from pyllb.marshal.diff import DefinitionDiff
    from pyllb.marshal.vertex import DefinitionVertex, Input

_LOCAL = "local://"
_SHOWN = 60  # letters of an op's name in a message

MAX_SIZE = 16 << 20
"""Bytes of a definition that the daemon still takes: the limit of a gRPC message."""


@attrs.frozen(eq=False, repr=False)
class SourceInfo(Value):
    """A file of a source map. language: as github/linguist names it."""

    filename: str
    data: bytes = attrs.field(repr=False)
    language: str


@attrs.frozen(eq=False, repr=False)
class Location(Value):
    """A place of an op. source: index of its file. Lines 1-based and inclusive, characters 0-based.

    The places that pyllb makes count characters in bytes of the file's UTF-8 text, as Python does.
    """

    source: int
    start_line: int
    start_character: int
    end_line: int
    end_character: int


@attrs.frozen(eq=False, repr=False)
class Source(Value):
    """The source map of a definition. locations: by op digest, in the order the daemon is told them."""

    infos: tuple[SourceInfo, ...]
    locations: Mapping[str, tuple[Location, ...]]


@attrs.frozen(eq=False, repr=False)
class SecretUse(Value):
    """A secret that an op asks for."""

    id: str
    optional: bool
    digest: str


@attrs.frozen(eq=False, repr=False)
class Definition(Value):
    """Ops in an order in which inputs come first; the last is the return op, whose input is the result.

    ops: (digest, op bytes) pairs; the bytes are those that were read, or that Go's client would write. No ops is
    scratch. Two are equal when they say the same, whatever order their maps were written in.
    """

    ops: tuple[tuple[str, bytes], ...]
    _metadata: Mapping[str, bytes]
    _infos: tuple[bytes, ...] = ()
    _locations: Mapping[str, bytes] = attrs.field(factory=dict)
    _wire: bytes | None = attrs.field(default=None, eq=False)
    _known: dict[str, DefinitionVertex] = attrs.field(factory=dict, init=False, eq=False)
    _result: list[Output | None] = attrs.field(factory=list, init=False, eq=False)

    @classmethod
    def from_bytes(cls, data: bytes) -> Definition:
        """Read a pb.Definition, whoever wrote it. Ops and fields that are not known here are kept.

        Raises DefinitionError when it is truncated or corrupt, when an op reads one that is not there, and when its
        source map names a file that it does not have.
        """
        from google.protobuf.message import DecodeError

        from pyllb._pb import ops_pb2

        if not isinstance(data, bytes):
            raise DefinitionError(f"a definition is {data!r}; write its bytes, such as Path('x.pb').read_bytes()")
        try:
            read = ops_pb2.Definition.FromString(data)
            ops = tuple((digest_of(op), op) for op in getattr(read, "def"))
            parsed = {digest: ops_pb2.Op.FromString(op) for digest, op in ops}
        except DecodeError as error:
            raise DefinitionError(f"not a definition: {error}; it is truncated, or no LLB at all") from error
        check_graph(ops[-1][0] if ops else "", parsed)
        check_locations(read.Source.locations, len(read.Source.infos))
        # Written anew, in our order: so that two definitions that say the same are equal, whoever made them.
        metadata = {digest: _canonical(meta) for digest, meta in read.metadata.items()}
        locations = {
            digest: found.SerializeToString(deterministic=True) for digest, found in read.Source.locations.items()
        }
        infos = tuple(info.SerializeToString(deterministic=True) for info in read.Source.infos)
        return cls(ops, metadata, infos, locations, data)

    @classmethod
    def from_json(cls, text: str) -> Definition:
        """Read what `to_json` and `buildctl debug dump-llb` write (BuildKit 0.33.1), also as jq lays it out.

        The source map is not in it. Raises DefinitionError for what is no such JSON, for an op that does not have the
        digest beside it, so that none was changed or told in part, and as from_bytes does.
        """
        from pyllb.marshal.jsonlines import read_lines

        if not isinstance(text, str):
            raise DefinitionError(
                f"the JSON of a definition is {text!r}; write it as text, such as Path(...).read_text()"
            )
        read = list(read_lines(text))
        metadata = {digest: data for digest, _, data in read}
        return cls.from_bytes(cls(tuple((digest, op) for digest, op, _ in read), metadata).to_bytes())

    def to_bytes(self) -> bytes:
        """As pb.Definition on the wire; what was read comes out as it was."""
        if self._wire is not None:
            return self._wire
        written = BytesIO()  # b"".join would first make 80 bytes for each part, as much memory as all of it takes
        written.writelines(self._parts())
        return written.getvalue()

    def _parts(self) -> Iterator[bytes]:
        parts: list[Iterable[bytes]] = [
            (message(b"\x0a", op) for _, op in self.ops),
            _entries(b"\x12", self._metadata),
        ]
        if self._infos or self._locations:
            infos = [message(b"\x12", info) for info in self._infos]
            size = _entries_size(b"\x0a", self._locations) + sum(map(len, infos))
            parts += ((b"\x1a" + varint(size),), _entries(b"\x0a", self._locations), infos)
        return chain.from_iterable(parts)

    @property
    def digest(self) -> str:
        """The digest of the op whose output is the result; "" for scratch. Mirrors llb.Definition.Head."""
        if not self.ops:
            return ""
        last = self.ops[-1][1]
        if self._wire is None:
            return last[4:75].decode()
        from pyllb._pb import ops_pb2

        return ops_pb2.Op.FromString(last).inputs[0].digest

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return len(self._wire) if self._wire is not None else sum(map(len, self._parts()))

    def check(self) -> None:
        """Make sure of all that the daemon would find wrong by itself, for a definition that is to be sent.

        Each kind of op says what it needs and reads inputs that it has; every op stands under its digest, so that none
        reads itself; and the whole is not too large. Raises DefinitionError, naming the digest, with the user's lines
        of the op as its sources; GraphError for the size. Mirrors what llbsolver validates (BuildKit 0.33.1).
        """
        self.check_size()
        check_digests(self.ops)
        parsed = dict(self._parsed())
        check_graph(self.ops[-1][0] if self.ops else "", parsed)
        for digest, op in parsed.items():
            try:
                check_op(digest, op)
            except DefinitionError as error:
                error.sources = self.source_lines(digest)
                raise

    def check_size(self) -> None:
        """Raise GraphError, naming the largest ops, when the daemon would refuse the definition for its size."""
        size = self.size
        if size <= MAX_SIZE:
            return
        largest = sorted(self.ops[:-1], key=lambda op: len(op[1]), reverse=True)[:3]
        ops = "; ".join(f"{len(data):,} bytes: {self._title(digest)}" for digest, data in largest)
        sources = self.source_lines(largest[0][0])
        raise GraphError(
            f"the definition has {size:,} bytes and the daemon takes {MAX_SIZE:,}; the largest ops are {ops}",
            sources=sources,
        )

    def _title(self, digest: str) -> str:
        return f"{self.vertex(digest).name[:_SHOWN]!r} ({digest[:19]})"

    @property
    def vertices(self) -> tuple[DefinitionVertex, ...]:
        """The ops as they were read, in their order; an op that stands twice comes once."""
        return tuple(self._vertices().values())

    def vertex(self, digest: str) -> DefinitionVertex:
        """The op of a digest. Raises DefinitionError when there is none."""
        found = self._vertices().get(digest) if isinstance(digest, str) else None
        if found is None:
            raise DefinitionError(f"no op {digest!r} in the definition; its result is {self.digest or 'scratch'}")
        return found

    def inputs(self, digest: str) -> tuple[Input, ...]:
        """What an op reads, in its order. Raises DefinitionError when there is no such op."""
        return self.vertex(digest).inputs

    def _vertices(self) -> dict[str, DefinitionVertex]:
        if not self._known:
            from pyllb.marshal.vertex import DefinitionVertex

            data, last = dict(self.ops), self.ops[-1][0] if self.ops else ""
            known = {}
            for digest, op in self._parsed():
                description = self.raw_metadata(digest).description
                known[digest] = DefinitionVertex.of(digest, op, data[digest], description, digest == last)
            self._known.update(known)  # at once: another thread may ask meanwhile, and takes what is there for all
        return self._known

    @property
    def output(self) -> Output | None:
        """The result, to be solved or built on; None is scratch. With `meta` and `spec`, a definition is a node.

        Marshalled again, each op is the bytes that it is here. Raises DefinitionError when an op reads itself.
        """
        from pyllb.marshal.encoded import encoded_output

        if not self._result:
            self._result.append(encoded_output(self))
        return self._result[0]

    @property
    def meta(self) -> Meta:
        """The values of the result: its platform; LLB says nothing of others."""
        from pyllb.marshal.encoded import encoded_meta

        return encoded_meta(self)

    @property
    def spec(self) -> ImageSpec:
        """What it sets in an image config, which is nothing."""
        return EMPTY_SPEC

    def encoded_metadata(self, digest: str) -> bytes:
        """What stands beside an op, as pb.OpMetadata; b"" when nothing does."""
        return self._metadata.get(digest, b"")

    def encoded_places(self, digest: str) -> tuple[tuple[bytes, bytes], ...]:
        """Where an op was made: each a pb.SourceInfo, and a pb.Location without the index of its file."""
        from pyllb._pb import ops_pb2

        places = []
        for place in ops_pb2.Locations.FromString(self._locations.get(digest, b"")).locations:
            if 0 <= place.sourceIndex < len(self._infos):
                info = self._infos[place.sourceIndex]
                place.ClearField("sourceIndex")
                places.append((info, place.SerializeToString(deterministic=True)))
        return tuple(places)

    @property
    def metadata(self) -> Mapping[str, OpMetadata]:
        """What stands beside each op, by digest."""
        from pyllb._pb import ops_pb2

        return {digest: _metadata(ops_pb2.OpMetadata.FromString(data)) for digest, data in self._metadata.items()}

    @property
    def source(self) -> Source:
        """The source map; empty when there is none."""
        from pyllb._pb import ops_pb2

        infos = [ops_pb2.SourceInfo.FromString(data) for data in self._infos]
        return Source(
            tuple(SourceInfo(info.filename, info.data, info.language) for info in infos),
            {digest: self._places(digest) for digest in self._locations},
        )

    def _places(self, digest: str) -> tuple[Location, ...]:
        from pyllb._pb import ops_pb2

        found = ops_pb2.Locations.FromString(self._locations.get(digest, b"")).locations
        return tuple(
            Location(place.sourceIndex, r.start.line, r.start.character, r.end.line, r.end.character)
            for place in found
            for r in place.ranges
        )

    def source_lines(self, digest: str) -> tuple[SourceLine, ...]:
        """The user's lines that made an op, innermost first; () when the source map has none.

        An instruction that a frontend tells line by line is one place, from its first line to its last.
        """
        from pyllb.marshal.sourcemap import place_lines

        return place_lines(self.encoded_places(digest))

    def secrets(self) -> tuple[SecretUse, ...]:
        """The secrets that execs and http sources ask for, in order; one that is asked for twice comes twice.

        Those of git sources are not among them: git is tried without when there are none.
        """
        return tuple(use for digest, op in self._parsed() for use in _secrets(digest, op))

    def ssh_ids(self) -> tuple[str, ...]:
        """The ids of the ssh agents that execs and git sources ask for, each once."""
        return tuple(dict.fromkeys(id for _, op in self._parsed() for id in _ssh_ids(op)))

    def local_names(self) -> tuple[str, ...]:
        """The names of the local sources, each once."""
        sources = (op.source.identifier for _, op in self._parsed() if op.source.identifier.startswith(_LOCAL))
        return tuple(dict.fromkeys(identifier.removeprefix(_LOCAL) for identifier in sources))

    def to_json(self) -> str:
        """As `buildctl debug dump-llb` writes it (BuildKit 0.33.1): an op a line, with its digest and metadata.

        An action that makes a symlink is told in full, where buildctl leaves out what it is.
        """
        from pyllb.marshal.jsonlines import json_line

        return "".join(json_line(op, digest, self.raw_metadata(digest)) for digest, op in self._parsed())

    def to_dot(self) -> str:
        """As a graph for graphviz, as `buildctl debug dump-llb --dot` writes it (BuildKit 0.33.1)."""
        from pyllb.marshal.dot import dot_lines

        return "".join(dot_lines(self._parsed()))

    def to_tree(self) -> str:
        """Every op as indented text, inputs by their number, for golden files and review.

        All that is there is told: options, metadata, the places in the user's files, those files, and fields that are
        not known here. Bytes of more than 1,000 are cut, and told by their digest.
        """
        from pyllb.marshal.tree import tree

        ops = [(digest, op, self.raw_metadata(digest)) for digest, op in self._parsed()]
        return tree(ops, self.source)

    def diff(self, after: Definition) -> DefinitionDiff:
        """What another definition does otherwise, in words; source maps are not compared. Raises DefinitionError."""
        from pyllb.marshal.diff import diff

        if not isinstance(after, Definition):
            raise DefinitionError(f"diff is given {after!r}; write another definition, dump(fs) say")
        return diff(self, after)

    def raw_metadata(self, digest: str) -> ops_pb2.OpMetadata:
        """The metadata of an op as protobuf reads it, with what is not known here; empty when it has none."""
        from pyllb._pb import ops_pb2

        return ops_pb2.OpMetadata.FromString(self._metadata.get(digest, b""))

    def _parsed(self) -> Iterator[tuple[str, ops_pb2.Op]]:
        from pyllb._pb import ops_pb2

        return ((digest, ops_pb2.Op.FromString(data)) for digest, data in self.ops)

    def __hash__(self) -> int:
        return hash(self.ops)

    def __repr__(self) -> str:
        return f"Definition({len(self.ops)} ops, {self.digest or 'scratch'})"


def _entries(tag: bytes, values: Mapping[str, bytes]) -> Iterator[bytes]:
    """The entries of a map by digest, one at a time: together they are new memory, which is what costs here."""
    for digest, value in values.items():
        begin, middle = _around(tag, len(value))
        yield b"".join((begin, digest.encode(), middle, value))


def _entries_size(tag: bytes, values: Mapping[str, bytes]) -> int:
    """Bytes of all the entries; values have few sizes, for ops made at one place have one."""
    sizes = Counter(map(len, values.values()))
    return sum(count * (sum(map(len, _around(tag, size))) + 71 + size) for size, count in sizes.items())


@lru_cache(maxsize=1024)
def _around(tag: bytes, size: int) -> tuple[bytes, bytes]:
    """What stands before the key of an entry, and between it and a value of this size."""
    length = varint(size)
    # The key is 71 bytes of sha256 digest, which is 73 with its tag and size; the value's tag is one more.
    return tag + varint(74 + len(length) + size) + b"\x0a\x47", b"\x12" + length


def _canonical(read: ops_pb2.OpMetadata) -> bytes:
    """Metadata in Go's order, which is ours; with what is not known here, in protobuf's."""
    from pyllb.marshal.canonical import canonical

    known = canonical(read)
    return known if len(known) == read.ByteSize() else read.SerializeToString(deterministic=True)


def _metadata(read: ops_pb2.OpMetadata) -> OpMetadata:
    group, limits = read.progress_group, read.linux_resources
    return OpMetadata(
        ignore_cache=read.ignore_cache,
        description=tuple(sorted(read.description.items())),
        export_cache=read.export_cache.Value if read.HasField("export_cache") else None,
        caps=tuple(sorted(cap for cap, needed in read.caps.items() if needed)),
        group=ProgressGroup(group.id, group.name, group.weak) if read.HasField("progress_group") else None,
        resources=_limits(limits) if read.HasField("linux_resources") else None,
    )


def _limits(read: ops_pb2.LinuxResources) -> LinuxResources:
    return LinuxResources(
        memory=read.memory,
        memory_swap=read.memorySwap,
        cpu_shares=read.cpuShares,
        cpu_period=read.cpuPeriod,
        cpu_quota=read.cpuQuota,
        cpuset_cpus=read.cpusetCpus,
        cpuset_mems=read.cpusetMems,
    )


def _secrets(digest: str, op: ops_pb2.Op) -> Iterator[SecretUse]:
    for mount in op.exec.mounts:
        if mount.HasField("secretOpt"):
            yield SecretUse(mount.secretOpt.ID, mount.secretOpt.optional, digest)
    for variable in op.exec.secretenv:
        yield SecretUse(variable.ID, variable.optional, digest)
    if op.source.identifier.startswith(("http://", "https://")) and op.source.attrs.get("http.authheadersecret"):
        yield SecretUse(op.source.attrs["http.authheadersecret"], False, digest)


def _ssh_ids(op: ops_pb2.Op) -> Iterator[str]:
    for mount in op.exec.mounts:
        if mount.HasField("SSHOpt"):
            yield mount.SSHOpt.ID or "default"
    if "git.mountsshsock" in op.source.attrs:
        yield op.source.attrs["git.mountsshsock"]
