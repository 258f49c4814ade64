"""Job: one build of ours on the daemon, with all that it holds open; everything is closed when its block ends."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType

from pyllb._pb import control_pb2, gateway_pb2
from pyllb.client.connection import Connection, Pending
from pyllb.client.faults import fault, refusal, session_lost
from pyllb.client.feed import Feed
from pyllb.client.gateway import Bridge, BridgeStopped
from pyllb.client.options import Options
from pyllb.client.record import Record
from pyllb.client.task import Cancellation
from pyllb.errors import PyllbError, SessionError, SolveError
from pyllb.ir.platform import Platform
from pyllb.marshal.definition import Definition
from pyllb.rpc.status import CallCancelled, Code, RpcError
from pyllb.session.auth import Auth
from pyllb.session.call import Attachable
from pyllb.session.dockerconfig import DockerConfig
from pyllb.session.ids import new_id
from pyllb.session.session import SILENCE, Session

_SOLVE = "/moby.buildkit.v1.Control/Solve"
# What the daemon may take to end a build that was given an error; Go's client waits as long.
_ENDING = 5.0


class Job:
    """Control.Solve in gateway mode, with a session, the Status stream, and the bridge. A context manager.

    Mirrors client.Build of BuildKit 0.33.1: the request has no definition; what is built goes through the bridge.
    attachables: what the session serves beside registry logins. platforms: what the result is to be for, () is the
    daemon's own; it warns of another. internal: kept out of the daemon's history. silence: seconds after which a daemon
    that sends nothing is taken for lost.
    """

    def __init__(
        self,
        connection: Connection,
        options: Options,
        cancellation: Cancellation,
        *,
        attachables: Iterable[Attachable] = (),
        shared_key: str = "",
        annotations: Iterable[tuple[str, str]] = (),
        platforms: Iterable[Platform] = (),
        internal: bool = False,
        silence: float = SILENCE,
    ) -> None:
        self.ref = new_id()
        self.record = Record()
        self.bridge = Bridge(connection, self.ref, cancellation)
        self.definitions: tuple[Definition, ...] = ()
        self._connection = connection
        self._cancellation = cancellation
        self._logins = DockerConfig(options.docker_config)
        self._auth = Auth(self._logins)
        self._session = Session(
            (self._auth, *attachables), shared_key=shared_key, silence=silence, on_lost=self._on_lost
        )
        self._feed = Feed(connection, self.ref, self.record, options.sink, cancellation.cancel)
        self._request = _request(self.ref, self._session.id, options, annotations, platforms, internal)
        self._control: Pending[control_pb2.SolveResponse] | None = None
        self._ended = threading.Event()

    def __enter__(self) -> Job:
        try:
            self._cancellation.check()
            self._session.start(self._connection.channel)
            self._control = self._connection.pending(_SOLVE, self._request, control_pb2.SolveResponse)
            self._control.on_end(self._on_end)
            self._cancellation.on_cancel(self._control.cancel)
            self._feed.start()
        except BaseException:
            self._close(failed=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(failed=error is not None)

    def _close(self, *, failed: bool) -> None:
        """End the build if it has not, hear its last events, close the session."""
        if failed and self._control is not None:
            self._control.cancel()
        self.bridge.stop()
        self._feed.finish(cancelled=failed)
        self._session.close()

    def _on_end(self) -> None:
        # A build that failed answers no bridge call any more; one that did not, answers the Return that ended it.
        if self._control is not None and self._control.error() is not None:
            self.bridge.stop()
        self._ended.set()

    def _on_lost(self, error: Exception) -> None:
        # No call ends by it: each would wait for as long as the build may take, or until the daemon misses the session.
        self._cancellation.cancel(session_lost(error, address=self._connection.address.text, record=self.record))

    def finish(self, result: gateway_pb2.Result) -> Mapping[str, str]:
        """Let the build export its result, and return the exporters' response."""
        assert self._control is not None  # by __enter__
        self.bridge.finish(result)
        try:
            return dict(self._control.result().ExporterResponse)
        except CallCancelled:
            raise BridgeStopped from None

    def fault(self, error: RpcError | BridgeStopped) -> BaseException:
        """What to raise for a call of this build that failed: the build ends with it, and its last events are heard."""
        cause = self._cause(error)
        if isinstance(cause, RpcError) and self._connection.alive and self._alive():
            self.bridge.fail(cause)
            self._ended.wait(_ENDING)
        self._feed.finish(cancelled=self._alive() or self._cancellation.error is not None)
        if self._cancellation.error is not None:
            return self._cancellation.error
        if not isinstance(cause, RpcError) or self._connection.closed:
            return self._connection.lost()
        found = fault(cause, address=self._connection.address.text, definitions=self.definitions, record=self.record)
        made = self._of_this_side(found)
        self.add_logins(made)
        return made

    def end(self, error: PyllbError) -> None:
        """Have the build end with an error of this side, so that the daemon's history has it."""
        if self._connection.alive and self._alive() and self._cancellation.error is None:
            self.bridge.fail(RpcError(Code.UNKNOWN, error.message))
            self._ended.wait(_ENDING)

    def add_logins(self, error: PyllbError) -> None:
        """Say in the message of a registry that refused as whom it was asked."""
        error.message += refusal(error.message, self._auth.given, self._logins.path())
        error.args = (error.message,)

    def _cause(self, error: RpcError | BridgeStopped) -> RpcError | None:
        """The build's own error when a call was ended because of it, or lost its build to it; else the call's."""
        gone = isinstance(error, BridgeStopped) or (
            isinstance(error, RpcError) and error.code == Code.NOT_FOUND and not self._alive()
        )
        if gone and self._control is not None and self._ended.wait(_ENDING):
            own = self._control.error()
            if isinstance(own, RpcError):
                return own
        return error if isinstance(error, RpcError) else None

    def _alive(self) -> bool:
        return not self._ended.is_set()

    def _of_this_side(self, error: PyllbError) -> PyllbError:
        """error as a SessionError when its text is that of a call that failed here."""
        if type(error) is not SolveError:
            return error
        for failure in self._session.failures:
            text = str(failure.error)
            if text and text in error.message:
                return _session_error(error, failure.error)
        return error


# What each hop puts before the text of a call that failed; the code is in the error already.
_RPC = re.compile(r"rpc error: code = \w+ desc = ")


def _session_error(error: SolveError, cause: BaseException) -> SessionError:
    made = SessionError(
        _RPC.sub("", error.message),
        sources=error.sources,
        vertex=error.vertex,
        digest=error.digest,
        logs=error.logs,
        code=error.code,
    )
    made.__cause__ = cause
    return made


def _request(
    ref: str,
    session: str,
    options: Options,
    annotations: Iterable[tuple[str, str]],
    platforms: Iterable[Platform],
    internal: bool,
) -> control_pb2.SolveRequest:
    entries = [export.entry(annotations) for export in options.exports]
    exporters = [control_pb2.Exporter(Type=kind, Attrs=attributes) for kind, attributes in entries]
    first, attributes = entries[0] if entries else ("", {})
    asked = ",".join(map(str, platforms))
    return control_pb2.SolveRequest(
        Ref=ref,
        Session=session,
        Exporters=exporters,
        # Daemons before 0.13 know these two only, and would export nothing without an error.
        ExporterDeprecated=first,
        ExporterAttrsDeprecated=attributes,
        # There is no frontend, but exporters compare this with what they are given, and warn where it is another.
        FrontendAttrs={"platform": asked} if asked else {},
        Cache=control_pb2.CacheOptions(
            Exports=[control_pb2.CacheOptionsEntry(Type=s.type, Attrs=dict(s.attributes)) for s in options.cache_to],
            Imports=[control_pb2.CacheOptionsEntry(Type=s.type, Attrs=dict(s.attributes)) for s in options.cache_from],
        ),
        Entitlements=options.allow,
        Internal=internal,
    )
