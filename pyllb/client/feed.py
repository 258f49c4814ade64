"""Feed: the thread that reads a solve's events."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pyllb._pb import control_pb2
from pyllb.client.connection import Connection, Incoming
from pyllb.client.events import status_of
from pyllb.client.record import Record
from pyllb.client.sink import Sink
from pyllb.rpc.status import CallCancelled, RpcError

# Go's client waits as long for the stream's end, after the solve's, while no event comes.
_IDLE = 5.0
# A solve that failed before it had events (a bad option) has no stream: the daemon needs 6 s to say so.
_NO_EVENTS = 0.3
_CANCELLED = 0.5


class Feed:
    """Reads Control.Status of one solve into a record and a sink, from start() to finish().

    broken: called once, from the thread, with what the sink raised; the sink gets no event after that.
    """

    def __init__(
        self,
        connection: Connection,
        ref: str,
        record: Record,
        sink: Sink | None,
        broken: Callable[[BaseException], None],
    ) -> None:
        self._connection = connection
        self._ref = ref
        self._record = record
        self._sink = sink
        self._broken = broken
        self._beat = threading.Event()
        self._over = threading.Event()
        self._incoming: Incoming[control_pb2.StatusResponse] | None = None
        self._thread = threading.Thread(target=self._run, name="pyllb-status", daemon=True)

    def start(self) -> None:
        """Begin to read; the daemon waits for a solve of this ref to begin."""
        request = control_pb2.StatusRequest(Ref=self._ref)
        method = "/moby.buildkit.v1.Control/Status"
        self._incoming = self._connection.stream(method, request, control_pb2.StatusResponse)
        self._thread.start()

    def finish(self, *, cancelled: bool) -> None:
        """Read what still comes, then end the stream and join the thread.

        cancelled: the solve was ended from this side, whose last events come at once or never.
        """
        if self._incoming is None:
            return
        patience = _IDLE if self._record.heard else _NO_EVENTS
        patience = min(patience, _CANCELLED) if cancelled else patience
        while True:
            self._beat.clear()  # before the look at the end, whose own beat would be cleared else
            if self._over.is_set() or not self._beat.wait(patience):
                break
        self._incoming.cancel()
        self._thread.join(_IDLE)  # only a sink that hangs takes longer

    def _run(self) -> None:
        assert self._incoming is not None  # by start()
        try:
            for message in self._incoming:
                self._take(message)
                self._beat.set()
        except (RpcError, CallCancelled):
            pass  # the solve itself fails too, with the better error
        finally:
            self._over.set()
            self._beat.set()

    def _take(self, message: control_pb2.StatusResponse) -> None:
        status = status_of(message)
        self._record.update(status)
        if self._sink is None:
            return
        try:
            self._sink.update(status)
        except BaseException as error:  # what would end this thread alone, such as SystemExit, too
            self._sink = None
            self._broken(error)
