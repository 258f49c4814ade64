"""Client: a connection to a daemon, and all that can be asked over it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar, Unpack

import attrs

from pyllb.client.address import Address, find_address
from pyllb.client.compile import as_platform, check_node
from pyllb.client.options import Options, Platforms, Reading, read_options
from pyllb.client.result import Result, together
from pyllb.client.sink import Sink, closed
from pyllb.client.specs.cache import Caches
from pyllb.client.specs.fields import has_utf8, one_or_many
from pyllb.client.specs.output import Outputs
from pyllb.client.task import Cancellation, Task
from pyllb.errors import ConnectError, OptionError, PyllbError, RefError, UsageError, near
from pyllb.ir.image import ResolvedImage
from pyllb.ir.ops import RESOLVE_MODES, Node
from pyllb.ir.platform import Platform
from pyllb.ir.reference import parse_reference
from pyllb.marshal.definition import Definition
from pyllb.marshal.lower import Lowered, ResolveImage

if TYPE_CHECKING:  # these load protobuf, which waits until something connects
    from pyllb.client.connection import Connection
    from pyllb.client.daemon import Info, UsageRecord, Worker
    from pyllb.client.reading import FileStat, Question
    from pyllb.client.solving import Plan
    from pyllb.client.specs.secret import SecretSpecs
    from pyllb.client.specs.ssh import SshSpecs
    from pyllb.client.tls import Tls

Targets = Node | Iterable[Node] | Mapping[str, Node]
"""What can be solved: one filesystem, several, or several by name."""

T = TypeVar("T")

_CONTROL = "/moby.buildkit.v1.Control/"
_CALL_TIMEOUT = 30.0


def solve(
    target: Targets,
    *,
    addr: str | Address | None = None,
    output: Outputs = None,
    cache_from: Caches = None,
    cache_to: Caches = None,
    platform: Platforms = None,
    secrets: SecretSpecs = None,
    ssh: SshSpecs = None,
    no_cache: bool = False,
    allow: str | Iterable[str] | None = (),
    progress: Sink | None = None,
    timeout: float | None = None,
    local: Mapping[str, str | os.PathLike[str]] | None = None,
    oci_layouts: Mapping[str, str | os.PathLike[str]] | None = None,
    tls: Tls | None = None,
    docker_config: str | os.PathLike[str] | None = None,
) -> Result:
    """Build on a daemon, over a connection of this call's own. Client.solve says what each option is.

    addr: such as "unix:///run/buildkit/buildkitd.sock" or "tcp://host:1234"; None is BUILDKIT_HOST, else the usual
    sockets. tls: how the daemon at tcp:// is known, and how it knows this side; None is plain. Raises as Client.solve
    does, and ConnectError when no daemon answers.
    """
    with Client(addr, tls=tls, docker_config=docker_config) as client:
        return client.solve(
            target,
            output=output,
            cache_from=cache_from,
            cache_to=cache_to,
            platform=platform,
            secrets=secrets,
            ssh=ssh,
            no_cache=no_cache,
            allow=allow,
            progress=progress,
            timeout=timeout,
            local=local,
            oci_layouts=oci_layouts,
        )


class Client:
    """A connection to a daemon. A context manager; it connects at the first call that needs it.

    addr, tls: as in solve(). docker_config: the directory of the config.json with registry logins; None is
    $DOCKER_CONFIG, else ~/.docker. Its methods may be called from several threads, and in a forked child, which
    connects anew. It prints nothing.
    """

    def __init__(
        self,
        addr: str | Address | None = None,
        *,
        tls: Tls | None = None,
        docker_config: str | os.PathLike[str] | None = None,
    ) -> None:
        _check_settings(tls, docker_config)
        address = addr if isinstance(addr, Address) else find_address(addr)
        self.address = address if tls is None else attrs.evolve(address, tls=tls)
        self._docker_config = docker_config
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._connection: Connection | None = None
        self._retired: list[Connection] = []

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; a solve that still runs in another thread fails."""
        with self._guard():
            self._retire()
            connections, self._retired = self._retired, []
        for connection in connections:
            connection.close()

    def _guard(self) -> threading.Lock:
        """The lock of what this client holds; a forked child has its own, for its parent's may be taken for ever."""
        if self._pid != os.getpid():
            self._lock, self._pid = threading.Lock(), os.getpid()
        return self._lock

    def _own(self) -> Connection | None:
        """The connection that is of use to this process. A forked child's copy of one has no thread behind it."""
        connection = self._connection
        if connection is not None and (connection.pid != os.getpid() or not connection.alive):
            self._retire()
        return self._connection

    def _retire(self) -> None:
        """Make no more calls on the connection. A solve of another thread may still go on with it: a daemon that was
        told to stop lets it."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.pid != os.getpid():
            connection.close()
        elif connection is not None:
            self._retired = [*(one for one in self._retired if not one.over), connection]

    @contextmanager
    def _connected(self, cancellation: Cancellation | None = None) -> Iterator[Connection]:
        """The connection, made if there is none. One that was lost is dropped, so that the next call makes another."""
        with self._guard():
            connection = self._own()
        if connection is None:
            connection = self._connect(cancellation)
        try:
            yield connection
        except ConnectError:
            with self._guard():
                if self._connection is connection:
                    self._retire()
            raise

    def _connect(self, cancellation: Cancellation | None) -> Connection:
        """Make the connection. The lock is free meanwhile: of several threads that do, one gives its to all."""
        from pyllb.client.connection import Connection

        made = Connection(self.address, cancellation)
        with self._guard():
            connection = self._connection = self._own() or made
        if connection is not made:
            made.close()
        return connection

    def solve(
        self,
        target: Targets,
        *,
        output: Outputs = None,
        cache_from: Caches = None,
        cache_to: Caches = None,
        platform: Platforms = None,
        secrets: SecretSpecs = None,
        ssh: SshSpecs = None,
        no_cache: bool = False,
        allow: str | Iterable[str] | None = (),
        progress: Sink | None = None,
        timeout: float | None = None,
        local: Mapping[str, str | os.PathLike[str]] | None = None,
        oci_layouts: Mapping[str, str | os.PathLike[str]] | None = None,
    ) -> Result:
        """Build a filesystem, and export it.

        target: what is built; of several, a list or a mapping by name, one after the other.
        output: one of buildctl's strings (`type=local,dest=out`), an Export, or a list of these; None keeps the result
        in the daemon's cache. With several targets, `{target}` in a dest or a name becomes the target's name or index.
        cache_from, cache_to: the build cache; see parse_cache_from and parse_cache_to in pyllb.client.specs.cache for
        the strings. platform: "linux/arm64", say; None is the daemon's own. Several, as a list or with commas, make an
        image index, or a directory for each in a local or tar output. secrets: a mapping of id to value, Path or
        function, or buildctl's strings. ssh: "default", "id=socket", or a mapping of id to socket. no_cache: run every
        step anew; the cache mounts it uses then start empty, which is what BuildKit does. allow: "network.host",
        "security.insecure". progress: takes the events, and is closed at the end; None is silence. timeout: seconds for
        all of it. local: another directory for a local source, by its name. oci_layouts: the directory of each OCI
        layout, by the name that the build has for it.

        Raises UsageError for an option, GraphError for the graph, ConnectError, UnsupportedError, SolveError when the
        build fails (ExecError for a command), SolveTimeout. KeyboardInterrupt ends the build on the daemon too.
        """
        with closed(progress):
            options = read_options(
                output=output,
                cache_from=cache_from,
                cache_to=cache_to,
                platform=platform,
                secrets=secrets,
                ssh=ssh,
                no_cache=no_cache,
                allow=allow,
                progress=progress,
                local=local,
                oci_layouts=oci_layouts,
                docker_config=self._docker_config,
            )
            return self._solve(target, options, timeout)

    def _solve(self, target: Targets, options: Options, timeout: float | None) -> Result:
        from pyllb.client.solving import plan

        nodes = named(target)
        several = len(nodes) > 1
        plans = {name: plan(node, _for_target(options, name, several)) for name, node in nodes.items()}
        results = Task(_Solving(self, plans), name="pyllb-solve").run(timeout)
        return results[""] if list(results) == [""] else together(results)

    def read_file(
        self,
        node: Node,
        path: str,
        *,
        offset: int = 0,
        length: int | None = None,
        timeout: float | None = None,
        **options: Unpack[Reading],
    ) -> bytes:
        """The content of a file of what a node builds, which is exported nowhere.

        path: from the root, symlinks followed. offset, length: of the part that is wanted; None is all from offset on.
        timeout, options: as in solve(), of which those about the build are taken. Raises as solve() does; SolveError
        when there is no such file, GraphError when the filesystem is empty.

        Mirrors gateway client Reference.ReadFile (BuildKit 0.33.1), in pieces, so that a file may be of any size.
        """
        from pyllb.client.reading import ReadFile

        return self._read("read_file", node, ReadFile(path, offset, length), timeout, options)

    def read_dir(
        self,
        node: Node,
        path: str = "/",
        *,
        pattern: str = "",
        timeout: float | None = None,
        **options: Unpack[Reading],
    ) -> tuple[FileStat, ...]:
        """What a directory of what a node builds holds, by name.

        pattern: of the names, such as "*.so"; "" is all. path, timeout, options: as in read_file(), which says what is
        raised. Mirrors Reference.ReadDir (BuildKit 0.33.1).
        """
        from pyllb.client.reading import ReadDir

        return self._read("read_dir", node, ReadDir(path, pattern), timeout, options)

    def stat(self, node: Node, path: str, *, timeout: float | None = None, **options: Unpack[Reading]) -> FileStat:
        """What a path of what a node builds is; a symlink is followed, inside that filesystem.

        path, timeout, options: as in read_file(), which says what is raised. Mirrors Reference.StatFile (BuildKit
        0.33.1).
        """
        from pyllb.client.reading import StatFile

        return self._read("stat", node, StatFile(path), timeout, options)

    def _read(self, what: str, node: Node, question: Question[T], timeout: float | None, options: Reading) -> T:
        from pyllb.client.solving import plan

        check_node(what, node)
        with closed(options.get("progress")):
            made = plan(node, read_options(**options, docker_config=self._docker_config))
            return Task(_Reading(self, made, question), name="pyllb-read").run(timeout)

    def compile(
        self,
        node: Node,
        *,
        platform: str | Platform | None = None,
        source_map: bool = True,
        local_unique_id: str | None = None,
        oci_layouts: Mapping[str, str | os.PathLike[str]] | None = None,
        timeout: float | None = None,
    ) -> Lowered:
        """As compile_node, with image configs from the daemon. platform: None is the daemon's own.

        oci_layouts: as in solve().
        """
        options = self._options(platform, oci_layouts)
        options.check()
        return Task(_Compiling(self, node, options, source_map, local_unique_id), name="pyllb-compile").run(timeout)

    def dump(
        self,
        node: Node,
        *,
        platform: str | Platform | None = None,
        source_map: bool = True,
        local_unique_id: str | None = None,
        oci_layouts: Mapping[str, str | os.PathLike[str]] | None = None,
        timeout: float | None = None,
    ) -> Definition:
        """The LLB that solve would send, image configs applied; see pyllb.dump.

        platform: None is the daemon's own. oci_layouts: as in solve().
        """
        return self.compile(
            node,
            platform=platform,
            source_map=source_map,
            local_unique_id=local_unique_id,
            oci_layouts=oci_layouts,
            timeout=timeout,
        ).definition

    def resolve(
        self, ref: str, *, platform: str | Platform | None = None, mode: str = "default", timeout: float | None = None
    ) -> ResolvedImage:
        """The config and digest of an image, as the daemon sees it.

        ref, mode: as in `FS.image`, whose resolve_mode is mode. platform: None is linux on this machine's
        architecture. Raises RefError and OptionError, ResolveError when the image cannot be had.
        """
        if not isinstance(ref, str):
            raise RefError(f"ref is {ref!r}; write the name of an image, 'golang:1.25' say")
        if mode not in RESOLVE_MODES:
            known = ", ".join(map(repr, RESOLVE_MODES))
            raise OptionError(f"mode is {mode!r}; it is one of {known}{near(mode, RESOLVE_MODES)}")
        image = ResolveImage(str(parse_reference(ref)), as_platform(platform), mode)
        answer = Task(_Resolving(self, image, self._options(None)), name="pyllb-resolve").run(timeout)
        if isinstance(answer, PyllbError):
            raise answer
        return answer

    def _options(
        self,
        platform: str | Platform | None,
        oci_layouts: Mapping[str, str | os.PathLike[str]] | None = None,
    ) -> Options:
        return read_options(platform=platform, oci_layouts=oci_layouts, docker_config=self._docker_config)

    def info(self) -> Info:
        """Which program answers. Raises UnsupportedError for daemons before 0.11, which do not say."""
        from pyllb._pb import control_pb2
        from pyllb.client.daemon import Info

        request, reply = control_pb2.InfoRequest(), control_pb2.InfoResponse
        with self._connected() as connection:
            version = connection.call(f"{_CONTROL}Info", request, reply, timeout=_CALL_TIMEOUT).buildkitVersion
        return Info(version.package, version.version, version.revision)

    def workers(self) -> tuple[Worker, ...]:
        """The daemon's workers, the one that builds first."""
        from pyllb._pb import control_pb2
        from pyllb.client.daemon import worker_of

        request, reply = control_pb2.ListWorkersRequest(), control_pb2.ListWorkersResponse
        with self._connected() as connection:
            answer = connection.call(f"{_CONTROL}ListWorkers", request, reply, timeout=_CALL_TIMEOUT)
        return tuple(map(worker_of, answer.record))

    def disk_usage(self, *, filters: Iterable[str] = ()) -> tuple[UsageRecord, ...]:
        """What the daemon keeps.

        filters: containerd's, such as "type==exec.cachemount"; a comma in one is and, several are or.
        """
        from pyllb._pb import control_pb2
        from pyllb.client.daemon import usage_of

        request, reply = control_pb2.DiskUsageRequest(filter=_texts(filters)), control_pb2.DiskUsageResponse
        with self._connected() as connection:
            return tuple(map(usage_of, connection.call(f"{_CONTROL}DiskUsage", request, reply).record))

    def prune(self, *, filters: Iterable[str] = (), all: bool = False) -> tuple[UsageRecord, ...]:
        """Remove what the daemon keeps and nothing uses, cache mounts among it; returns what was removed.

        filters: as in disk_usage; none is everything. all: internal and frontend records too.
        """
        from pyllb._pb import control_pb2
        from pyllb.client.daemon import usage_of

        request = control_pb2.PruneRequest(filter=_texts(filters), all=all)
        with self._connected() as connection:
            return tuple(map(usage_of, connection.all(f"{_CONTROL}Prune", request, control_pb2.UsageRecord)))


def _check_settings(tls: object, docker_config: object) -> None:
    """Make sure of what a client is told beside its address. Raises UsageError."""
    if tls is not None:
        from pyllb.client.tls import Tls  # here: most have none, and start-up is measured

        if not isinstance(tls, Tls):
            raise UsageError(f"tls: {tls!r} is none; write Tls(ca='ca.pem', ...)")
    if docker_config is not None and not isinstance(docker_config, str | os.PathLike):
        raise UsageError(f"docker_config: {docker_config!r} is not a directory; write a str or a Path")


def _texts(filters: Iterable[str]) -> list[str]:
    """Filters as the daemon takes them. Raises UsageError."""
    texts = []
    for text in one_or_many("filters", filters, str):
        if not isinstance(text, str) or not has_utf8(text):
            raise UsageError(f"filters: {text!r} is none; write 'type==exec.cachemount', say")
        texts.append(text)
    return texts


def named(target: Targets) -> dict[str, Node]:
    """The nodes of a target by name: a single one's is "", a list's are its indices. Raises OptionError, UsageError."""
    if isinstance(target, Mapping):
        nodes = {str(name): node for name, node in target.items()}
    elif hasattr(target, "output"):
        nodes = {"": target}
    elif isinstance(target, Iterable) and not isinstance(target, str):
        nodes = {str(index): node for index, node in enumerate(target)}
    else:
        nodes = {"": target}
    if isinstance(target, Mapping) and len(nodes) < len(target):
        twice = next(name for name in nodes if sum(str(key) == name for key in target) > 1)
        raise UsageError(f"solve: of the targets {', '.join(map(repr, target))} two have the name {twice!r}")
    for node in nodes.values():
        check_node("solve", node)
    if not nodes:
        raise UsageError("solve: there is no target in an empty list")
    return nodes


def _for_target(options: Options, name: str, several: bool) -> Options:
    """The options of one of the targets; "" is one that has no name."""
    if not name and not several:
        return options
    exports = tuple(export.for_target(name, several=several) for export in options.exports)
    return attrs.evolve(options, exports=exports)


@attrs.frozen(eq=False, repr=False)
class _Solving:
    """The work of solve(): the plans, one after the other."""

    client: Client
    plans: Mapping[str, Plan]

    def __call__(self, cancellation: Cancellation) -> dict[str, Result]:
        from pyllb.client.solving import solve_plan

        with self.client._connected(cancellation) as connection:
            return {name: solve_plan(connection, plan, cancellation) for name, plan in self.plans.items()}


@attrs.frozen(eq=False, repr=False)
class _Reading(Generic[T]):
    """The work of read_file(), read_dir() and stat()."""

    client: Client
    plan: Plan
    question: Question[T]

    def __call__(self, cancellation: Cancellation) -> T:
        from pyllb.client.solving import read_plan

        with self.client._connected(cancellation) as connection:
            return read_plan(connection, self.plan, self.question, cancellation)


@attrs.frozen(eq=False, repr=False)
class _Compiling:
    """The work of compile()."""

    client: Client
    node: Node
    options: Options
    source_map: bool
    local_unique_id: str | None

    def __call__(self, cancellation: Cancellation) -> Lowered:
        from pyllb.client.solving import compile_with_daemon

        with self.client._connected(cancellation) as connection:
            return compile_with_daemon(
                connection,
                self.node,
                self.options,
                cancellation,
                source_map=self.source_map,
                local_unique_id=self.local_unique_id,
            )


@attrs.frozen(eq=False, repr=False)
class _Resolving:
    """The work of resolve()."""

    client: Client
    image: ResolveImage
    options: Options

    def __call__(self, cancellation: Cancellation) -> ResolvedImage | PyllbError:
        from pyllb.client.solving import resolve_images

        with self.client._connected(cancellation) as connection:
            return resolve_images(connection, [self.image], self.options, cancellation)[self.image]
