"""Bridge: the calls of BuildKit's LLB bridge, by which this side is the frontend of a build of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TypeVar

from google.protobuf.message import Message

from pyllb._pb import gateway_pb2, ops_pb2
from pyllb.client.connection import Connection, Pending
from pyllb.client.faults import read_blame, read_status
from pyllb.client.specs.cache import CacheSpec
from pyllb.client.task import Cancellation
from pyllb.errors import ConnectError, PyllbError, ResolveError, UnsupportedError
from pyllb.ir.image import ResolvedImage
from pyllb.ir.platform import Platform
from pyllb.marshal.lower import ResolveImage
from pyllb.rpc.status import CallCancelled, RpcError

Reply = TypeVar("Reply", bound=Message)
Resolving = Pending[gateway_pb2.ResolveSourceMetaResponse] | Pending[gateway_pb2.ResolveImageConfigResponse]

_SERVICE = "/moby.buildkit.v1.frontend.LLBBridge/"
_BUILD_ID = "buildkit-controlapi-buildid"
# A ping waits for the build to be registered, which a busy daemon does late; Go's client gives it as long.
_PING_TIMEOUT = 15.0
_RETURN_TIMEOUT = 5.0
_METARESOLVER = "source.metaresolver"
_LAYOUT_RESOLVER = 1  # sourceresolver.ResolverTypeOCILayout
# What daemons had before they told: grpcclient.defaultLLBCaps of BuildKit 0.33.1.
_OLD_LLB_CAPS = frozenset(
    (
        *("source.image", "source.local", "source.local.unique", "source.local.sessionid"),
        *("source.local.includepatterns", "source.local.followpaths", "source.local.excludepatterns"),
        *("source.local.sharedkeyhint", "source.git", "source.git.keepgitdir", "source.git.fullurl", "source.http"),
        *("source.http.checksum", "source.http.perm", "source.http.uidgid", "source.buildop.llbfilename"),
        *("exec.meta.base", "exec.meta.proxyenv", "exec.mount.bind", "exec.mount.cache", "exec.mount.cache.sharing"),
        *("exec.mount.selector", "exec.mount.tmpfs", "exec.mount.secret", "constraints", "platform"),
        *("meta.ignorecache", "meta.description", "meta.exportcache"),
    )
)


class BridgeStopped(Exception):
    """A call of the bridge was ended because its build is over."""


class Bridge:
    """The bridge of the build `ref`. Calls end, with BridgeStopped, when stop() is called or the work is cancelled."""

    def __init__(self, connection: Connection, ref: str, cancellation: Cancellation) -> None:
        self._connection = connection
        self._metadata = ((_BUILD_ID, ref),)
        self._lock = threading.Lock()
        self._running: set[Pending[Message]] = set()
        self._stopped = False
        self.llb_caps: frozenset[str] = frozenset()
        self.llb_disabled: Mapping[str, str] = {}
        self.caps: frozenset[str] = frozenset()
        self.platform = Platform("linux", "amd64")
        cancellation.on_cancel(self.stop)

    def stop(self) -> None:
        """End all calls. It does not block."""
        with self._lock:
            self._stopped = True
            running = tuple(self._running)
        for pending in running:
            pending.cancel()

    def ping(self) -> None:
        """Ask what the daemon can: fills caps, llb_caps, llb_disabled and platform, which is its first worker's own.

        llb_disabled: why, by the capabilities that it knows and does not grant; "" when it does not say.
        """
        pong = self._call("Ping", gateway_pb2.PingRequest(), gateway_pb2.PongResponse, timeout=_PING_TIMEOUT)
        self.caps = frozenset(cap.ID for cap in pong.FrontendAPICaps if cap.Enabled)
        granted = frozenset(cap.ID for cap in pong.LLBCaps if cap.Enabled)
        self.llb_caps = granted if pong.LLBCaps else _OLD_LLB_CAPS
        self.llb_disabled = {cap.ID: cap.DisabledReasonMsg for cap in pong.LLBCaps if not cap.Enabled}
        for worker in pong.Workers[:1]:
            for platform in worker.platforms[:1]:
                self.platform = platform_of(platform)

    def resolve(self, wanted: Iterable[ResolveImage]) -> Mapping[ResolveImage, ResolvedImage | PyllbError]:
        """The configs of images, asked for all at once; a ResolveError where there is none."""
        starts = {image: self._start_resolve(image) for image in wanted}
        return {image: self._resolved(image, pending) for image, pending in starts.items()}

    def _start_resolve(
        self, image: ResolveImage
    ) -> Pending[gateway_pb2.ResolveSourceMetaResponse] | Pending[gateway_pb2.ResolveImageConfigResponse]:
        name = f"resolve image config for {image.ref}"
        if _METARESOLVER in self.caps:
            request = gateway_pb2.ResolveSourceMetaRequest(
                Source=_source(image),
                Platform=platform_message(image.platform),
                LogName=name,
                ResolveMode=image.mode,
            )
            return self._start("ResolveSourceMeta", request, gateway_pb2.ResolveSourceMetaResponse)
        return self._start(
            "ResolveImageConfig",
            gateway_pb2.ResolveImageConfigRequest(
                Ref=image.ref,
                Platform=platform_message(image.platform),
                LogName=name,
                ResolveMode=image.mode,
                ResolverType=0 if image.layout is None else _LAYOUT_RESOLVER,
                StoreID=image.layout or "",
            ),
            gateway_pb2.ResolveImageConfigResponse,
        )

    def _resolved(self, image: ResolveImage, pending: Resolving) -> ResolvedImage | PyllbError:
        try:
            answer = self._finish(pending)
        except RpcError as error:
            blame = read_blame(error)
            if blame.code in ("UNAVAILABLE", "CANCELLED") and not blame.typed:
                raise  # the connection is lost, which is no fault of this image
            return ResolveError(f"image {image.ref!r} ({image.platform}): {blame.message}", code=blame.code)
        if isinstance(answer, gateway_pb2.ResolveSourceMetaResponse):
            return ResolvedImage(image.ref, answer.Image.Digest, answer.Image.Config)
        assert isinstance(answer, gateway_pb2.ResolveImageConfigResponse)  # it is one of the two
        return ResolvedImage(image.ref, answer.Digest, answer.Config)

    def solve(self, definition: ops_pb2.Definition, imports: Iterable[CacheSpec]) -> str:
        """Load a definition, and return the id of its result, "" for an empty filesystem; finish() has it built.

        Nothing waits here for the build, so that a daemon which is told to stop meanwhile, and takes no new call, can
        end it in good order; buildctl 0.33.1 does the same.
        """
        entries = [gateway_pb2.CacheOptionsEntry(Type=spec.type, Attrs=dict(spec.attributes)) for spec in imports]
        request = gateway_pb2.SolveRequest(
            Definition=definition,
            allowResultReturn=True,
            allowResultArrayRef=True,
            CacheImports=entries,
        )
        answer = self._call("Solve", request, gateway_pb2.SolveResponse)
        return answer.result.ref.id or answer.ref

    def ask(self, method: str, cap: str, request: Message, reply: type[Reply]) -> Reply:
        """Ask something of a result, which is built for it. Raises UnsupportedError when the daemon lacks cap."""
        if cap not in self.caps:
            address = self._connection.address.text
            raise UnsupportedError(
                f"the daemon at {address!r} lacks {method}, which is needed here; a newer one has it"
            )
        return self._call(method, request, reply)

    def finish(self, result: gateway_pb2.Result) -> None:
        """Give the build its result, which it then makes and exports."""
        self._call("Return", gateway_pb2.ReturnRequest(result=result), gateway_pb2.ReturnResponse)

    def fail(self, error: RpcError) -> None:
        """Give the build the error it fails with, so that the daemon's history has it. Its own failure is no matter."""
        status = read_status(error)
        # Each hop turns the order of details about; Go's client sends them as if it had wrapped the error itself.
        details = list(status.details)[::-1]
        del status.details[:]
        status.details.extend(details)
        request = gateway_pb2.ReturnRequest(error=status)
        try:
            self._call("Return", request, gateway_pb2.ReturnResponse, timeout=_RETURN_TIMEOUT)
        except (RpcError, BridgeStopped, ConnectError):
            return

    def _call(self, method: str, request: Message, reply: type[Reply], timeout: float | None = None) -> Reply:
        return self._finish(self._start(method, request, reply, timeout))

    def _start(self, method: str, request: Message, reply: type[Reply], timeout: float | None = None) -> Pending[Reply]:
        path = _SERVICE + method
        pending = self._connection.pending(path, request, reply, metadata=self._metadata, timeout=timeout)
        with self._lock:
            self._running.add(pending)
            stopped = self._stopped
        if stopped:
            pending.cancel()
        return pending

    def _finish(self, pending: Pending[Reply]) -> Reply:
        try:
            return pending.result()
        except CallCancelled:
            raise BridgeStopped from None
        finally:
            with self._lock:
                self._running.discard(pending)


def _source(image: ResolveImage) -> ops_pb2.SourceOp:
    if image.layout is None:
        return ops_pb2.SourceOp(identifier=f"docker-image://{image.ref}")
    return ops_pb2.SourceOp(identifier=f"oci-layout://{image.ref}", attrs={"oci.store": image.layout})


def platform_of(message: ops_pb2.Platform) -> Platform:
    """A worker's platform."""
    features = tuple(message.OSFeatures)
    return Platform(message.OS, message.Architecture, message.Variant, message.OSVersion, features).normalized()


def platform_message(platform: Platform) -> ops_pb2.Platform:
    """A platform as the daemon takes it."""
    return ops_pb2.Platform(
        OS=platform.os,
        Architecture=platform.architecture,
        Variant=platform.variant,
        OSVersion=platform.os_version,
        OSFeatures=platform.os_features,
    )
