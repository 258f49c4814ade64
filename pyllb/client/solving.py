"""Solving: a node from its graph to its outputs."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

import attrs

from pyllb._pb import ops_pb2
from pyllb.client.built import Built, nothing, result_of
from pyllb.client.compile import Resolver, compile_node
from pyllb.client.connection import Connection
from pyllb.client.gateway import Bridge, BridgeStopped
from pyllb.client.job import Job
from pyllb.client.needs import check_given, check_in_layouts, find_needs, resolve_locals, shared_key
from pyllb.client.options import Options
from pyllb.client.result import Result
from pyllb.client.specs.output import check_annotations, target_of
from pyllb.client.task import Cancellation
from pyllb.errors import GraphError, PyllbError, ResolveError, SolveError, SourceLine, UnsupportedError
from pyllb.ir.graph import postorder
from pyllb.ir.image import ResolvedImage
from pyllb.ir.ops import Node
from pyllb.ir.platform import Platform
from pyllb.marshal.definition import Definition
from pyllb.marshal.evaluate import evaluate
from pyllb.marshal.lower import Lowered, ResolveImage
from pyllb.rpc.status import RpcError
from pyllb.session.ids import new_id
from pyllb.status import VertexWarning
from pyllb.value import Value

if TYPE_CHECKING:
    from pathlib import Path

    from pyllb.client.reading import Question
    from pyllb.client.stores import Stores
    from pyllb.session.call import Attachable
    from pyllb.session.filesend import Target

T = TypeVar("T")

_EXPORTERS = "exporter.multiple"


@attrs.frozen(eq=False, repr=False)
class Plan(Value):
    """A node that can be solved: what it needs was given, what it reads and writes is there."""

    node: Node
    options: Options
    attachables: tuple[Attachable, ...]
    shared_key: str


def plan(node: Node, options: Options) -> Plan:
    """Make every check of a solve that needs no daemon. Raises UsageError, GraphError, NotThereYet."""
    needs = find_needs(node)
    check_given(needs, secrets=options.secrets, ssh=options.ssh, allow=options.allow)
    options.check()
    check_annotations(options.exports, node.spec.annotations, several=len(options.platforms) > 1)
    check_in_layouts(needs.layouts, options.oci_layouts)
    directories = resolve_locals(needs.locals, options.local)
    targets = {index: target_of(export) for index, export in enumerate(options.exports)}
    sends = {index: target for index, target in targets.items() if target is not None}
    _stores(options)  # what is wrong with them now is told now; each solve looks again, after those before it
    return Plan(node, options, tuple(_attachables(options, directories, sends)), shared_key(directories))


def _stores(options: Options) -> Stores | None:
    """The content stores of a solve that has any, as they are now. Raises UsageError."""
    caches = any(spec.type == "local" for spec in (*options.cache_from, *options.cache_to))
    if not (options.oci_layouts or caches or any(export.is_layout for export in options.exports)):
        return None
    from pyllb.client.stores import stores_of

    return stores_of(options.exports, options.oci_layouts, options.cache_from, options.cache_to)


def _attachables(
    options: Options,
    directories: Mapping[str, Path],
    sends: Mapping[int, Target],
) -> Iterator[Attachable]:
    """The services that are of use. One that is not offered is never asked, and not loaded: all are 10 ms."""
    if directories:
        from pyllb.session.filesync import FileSync

        yield FileSync(directories)
    if sends:
        from pyllb.session.filesend import FileSend

        yield FileSend(sends)
    if options.secrets:
        from pyllb.session.secrets import Secrets

        yield Secrets(options.secrets)
    if options.ssh:
        from pyllb.session.ssh import Ssh

        yield Ssh(options.ssh)


def solve_plan(connection: Connection, plan: Plan, cancellation: Cancellation) -> Result:
    """Solve on a connection. Raises PyllbError, or the reason of the cancellation."""
    begin = time.monotonic()
    with contextlib.ExitStack() as held:
        stores = _stores(plan.options)
        if stores is not None:
            held.enter_context(stores)
            plan = _with_stores(plan, stores)
        job, metadata = _solve(connection, plan, cancellation)
        warnings = stores.finish(metadata) if stores is not None else ()
    return Result(
        metadata=metadata,
        steps=job.record.steps(),
        warnings=(*warnings, *_misnamed(plan), *job.record.warnings()),
        cache=job.record.cache_use(frozenset(itertools.chain.from_iterable(map(_steps, job.definitions)))),
        duration=time.monotonic() - begin,
    )


def _with_stores(plan: Plan, stores: Stores) -> Plan:
    options = attrs.evolve(plan.options, cache_from=stores.cache_from, cache_to=stores.cache_to)
    return attrs.evolve(plan, options=options, attachables=(*plan.attachables, stores.content()))


def _solve(connection: Connection, plan: Plan, cancellation: Cancellation) -> tuple[Job, Mapping[str, str]]:
    """The finished job, and the exporters' response."""
    job = _job(connection, plan, cancellation)

    def body() -> Mapping[str, str]:
        job.bridge.ping()
        _check_exports(plan.options, job.bridge.llb_caps, connection.address.text)
        platforms = plan.options.platforms or (job.bridge.platform,)
        return job.finish(result_of(_load(job, plan, platforms, connection.address.text)))

    with _naming_functions(plan.node):
        return job, _within(job, body)


def read_plan(connection: Connection, plan: Plan, question: Question[T], cancellation: Cancellation) -> T:
    """Ask something of what a plan builds, and export nothing. Raises as solve_plan does."""
    stores = _stores(plan.options)  # which are read alone, so that there is nothing to finish
    if stores is not None:
        plan = _with_stores(plan, stores)
    job = _job(connection, plan, cancellation)

    def body() -> T:
        job.bridge.ping()
        platform = plan.options.platform or job.bridge.platform
        (built,) = _load(job, plan, (platform,), connection.address.text).values()
        if not built.ref:
            raise GraphError("the filesystem is empty: there is nothing to read")
        answer = question(job.bridge, built.ref)
        job.finish(nothing())
        return answer

    with _naming_functions(plan.node):
        return _within(job, body)


def _job(connection: Connection, plan: Plan, cancellation: Cancellation) -> Job:
    own = filter(None, [_own_platform(plan.node)])
    return Job(
        connection,
        plan.options,
        cancellation,
        attachables=plan.attachables,
        shared_key=plan.shared_key,
        annotations=plan.node.spec.annotations,
        platforms=plan.options.platforms or own,
    )


def _own_platform(node: Node) -> Platform | None:
    """The platform that a build names for its result, if it does."""
    return evaluate(node.meta, None).platform


def _misnamed(plan: Plan) -> Iterator[VertexWarning]:
    """Warnings of one image that an index names for several platforms, of which the daemon says nothing."""
    asked, own = plan.options.platforms, _own_platform(plan.node)
    if plan.options.exports and len(asked) > 1 and own is not None:
        made = own.normalized()
        for platform in asked:
            if platform.normalized() != made:
                text = f"what is made for {platform} is for {made}: the build names that platform for its result"
                yield VertexWarning(vertex="", short=text)


def _load(job: Job, plan: Plan, platforms: Iterable[Platform], address: str) -> Mapping[Platform, Built]:
    """Give the daemon a plan's definition for each platform; what is to be built of it."""
    unique_id, built = new_id(), {}
    for platform in platforms:
        lowered = compile_node(
            plan.node, platform=platform, resolver=_resolver(job.bridge, plan.options), local_unique_id=unique_id
        )
        job.definitions += (lowered.definition,)
        message = _message(lowered.definition, plan.options)
        _check_caps(lowered.definition, message, job.bridge, address)
        built[platform] = Built(job.bridge.solve(message, plan.options.cache_from), lowered.image)
    return built


@contextlib.contextmanager
def _naming_functions(node: Node) -> Iterator[None]:
    """Have the places of a SolveError say which functions they stand in."""
    try:
        yield
    except SolveError as error:
        error.sources = _with_functions(error.sources, node)
        raise


def _with_functions(sources: tuple[SourceLine, ...], node: Node) -> tuple[SourceLine, ...]:
    """These places with the functions they stand in, which a definition's source map has no field for."""
    files = {source.filename for source in sources if not source.function}
    ops = postorder(node.output) if files and node.output is not None else ()
    frames = {(id(f.code), f.instruction): f for op in ops for f in op.site.frames if f.filename in files}
    functions = {(frame.filename, frame.range().start_line): frame.function for frame in frames.values()}
    return tuple(
        source if source.function else attrs.evolve(source, function=functions.get((source.filename, source.line), ""))
        for source in sources
    )


def compile_with_daemon(
    connection: Connection,
    node: Node,
    options: Options,
    cancellation: Cancellation,
    *,
    source_map: bool = True,
    local_unique_id: str | None = None,
) -> Lowered:
    """Lower a node with image configs from the daemon, in a build that makes nothing."""
    job = _quiet_job(connection, options, cancellation)

    def body() -> Lowered:
        job.bridge.ping()
        lowered = compile_node(
            node,
            platform=options.platform or job.bridge.platform,
            resolver=_resolver(job.bridge, options),
            source_map=source_map,
            local_unique_id=local_unique_id,
        )
        job.finish(nothing())
        return lowered

    return _within(job, body)


def resolve_images(
    connection: Connection, wanted: Iterable[ResolveImage], options: Options, cancellation: Cancellation
) -> Mapping[ResolveImage, ResolvedImage | PyllbError]:
    """The configs of images, in a build that makes nothing."""
    job = _quiet_job(connection, options, cancellation)

    def body() -> Mapping[ResolveImage, ResolvedImage | PyllbError]:
        job.bridge.ping()
        answers = job.bridge.resolve(wanted)
        job.finish(nothing())
        return answers

    return _within(job, body)


def _quiet_job(connection: Connection, options: Options, cancellation: Cancellation) -> Job:
    stores = _stores(options)
    attachables = () if stores is None else (stores.content(),)
    return Job(connection, options, cancellation, attachables=attachables, internal=True)


def _resolver(bridge: Bridge, options: Options) -> Resolver:
    def resolver(wanted: frozenset[ResolveImage]) -> Mapping[ResolveImage, ResolvedImage | PyllbError]:
        if all(image.layout is None for image in wanted):
            return bridge.resolve(wanted)
        from pyllb.client.layouts import resolve

        return resolve(bridge, options.oci_layouts, wanted)

    return resolver


def _within(job: Job, body: Callable[[], T]) -> T:
    with job:
        try:
            return body()
        except PyllbError as error:
            if isinstance(error, ResolveError):
                job.add_logins(error)
            job.end(error)
            raise
        except (RpcError, BridgeStopped) as error:
            raise job.fault(error) from None


def _message(definition: Definition, options: Options) -> ops_pb2.Definition:
    definition.check()
    message = ops_pb2.Definition.FromString(definition.to_bytes())
    if options.no_cache:
        for metadata in message.metadata.values():
            metadata.ignore_cache = True
    return message


def _check_exports(options: Options, known: frozenset[str], address: str) -> None:
    """A daemon before 0.13 would take the first of several exporters, and say nothing of the others."""
    if len(options.exports) > 1 and _EXPORTERS not in known:
        raise UnsupportedError(
            f"the daemon at {address!r} makes one output of a solve, and {len(options.exports)} are asked for; "
            "BuildKit 0.13 or newer makes several"
        )


def _check_caps(definition: Definition, message: ops_pb2.Definition, bridge: Bridge, address: str) -> None:
    for digest, metadata in message.metadata.items():
        for cap in sorted(metadata.caps):  # also one that is said not to be needed: the daemon looks at names alone
            if cap not in bridge.llb_caps:
                raise UnsupportedError(_lacks(cap, bridge, address), sources=definition.source_lines(digest))


def _lacks(cap: str, bridge: Bridge, address: str) -> str:
    if cap not in bridge.llb_disabled:
        return f"the daemon at {address!r} lacks the capability {cap!r}, which is needed here; a newer one has it"
    why = bridge.llb_disabled[cap] or "it does not say why"
    return f"the daemon at {address!r} has disabled the capability {cap!r}, which is needed here: {why}"


def _steps(definition: Definition) -> Iterator[str]:
    """The vertices that do something: sources are looked up at each solve, and are never reported as cached."""
    ops = definition.ops[:-1]  # the last only says which of them is the result
    return (digest for digest, op in ops if op[:1] == _INPUT or not _is_source(op))


# The tag of Op.inputs, the first field; what has inputs is no source, so a large graph need not be parsed for this.
_INPUT = b"\x0a"


def _is_source(op: bytes) -> bool:
    return ops_pb2.Op.FromString(op).HasField("source")
