"""The session against gRPC's own implementation: grpcio serves Control.Session and, through the tunnel, is the client.

The scripted peer shares its frame layer with the session; here nothing is shared, so an error that both ends of the
scripted peer make alike shows up.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from pyllb._pb import control_pb2, health_pb2, secrets_pb2
from pyllb.rpc.channel import Channel
from pyllb.rpc.status import Code, RpcError
from pyllb.session.call import Call
from pyllb.session.secrets import GET_SECRET, Secrets, ValueSecret
from pyllb.session.session import Session
from pyllb.session.tunnel import METHOD
from tests.wire.peer import channel_on
from tests.wire.test_session import Services, echo

_LIMITS = [("grpc.max_metadata_size", 16 << 20), ("grpc.max_receive_message_length", 32 << 20)]


class Daemon(grpc.GenericRpcHandler):
    """A grpcio server whose Session call is pumped to a unix socket, where a grpcio channel of its own connects."""

    def __init__(self, directory: Path) -> None:
        self.address = directory / "daemon.sock"
        self._inner_address = directory / "inner.sock"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._inner_address))
        self._listener.listen(1)
        self._server = grpc.server(futures.ThreadPoolExecutor(2, "daemon"), handlers=[self], options=_LIMITS)
        self._server.add_insecure_port(f"unix:{self.address}")
        self._server.start()
        self.metadata: dict[str, str] = {}
        self.channel: grpc.Channel | None = None
        self.started = threading.Event()
        self.ended = threading.Event()

    def service(
        self, details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[control_pb2.BytesMessage, control_pb2.BytesMessage] | None:
        if details.method != METHOD:
            return None
        return grpc.stream_stream_rpc_method_handler(
            self._session,
            request_deserializer=control_pb2.BytesMessage.FromString,
            response_serializer=control_pb2.BytesMessage.SerializeToString,
        )

    def _session(
        self, requests: Iterator[control_pb2.BytesMessage], context: grpc.ServicerContext
    ) -> Iterator[control_pb2.BytesMessage]:
        self.metadata = {key: str(value) for key, value in context.invocation_metadata()}
        self.channel = grpc.insecure_channel(f"unix:{self._inner_address}", options=_LIMITS)
        grpc.channel_ready_future(self.channel)
        inner, _ = self._listener.accept()
        pump = threading.Thread(target=self._pump, args=(requests, inner), name="daemon-pump")
        pump.start()
        self.started.set()
        while data := inner.recv(32 << 10):
            yield control_pb2.BytesMessage(data=data)
        pump.join()
        inner.close()

    def _pump(self, requests: Iterator[control_pb2.BytesMessage], inner: socket.socket) -> None:
        try:
            for message in requests:
                inner.sendall(message.data)
        finally:
            self.ended.set()
            inner.shutdown(socket.SHUT_RDWR)

    def unary(self, method: str) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
        return self._ready().unary_unary(method)

    def stream(self, method: str) -> grpc.StreamStreamMultiCallable[bytes, bytes]:
        return self._ready().stream_stream(method)

    def _ready(self) -> grpc.Channel:
        assert self.started.wait(10)
        assert self.channel is not None
        return self.channel

    def close(self) -> None:
        if self.channel is not None:
            self.channel.close()
        self._server.stop(1).wait()
        self._listener.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.close()


@pytest.fixture
def channel(daemon: Daemon) -> Iterator[Channel]:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(daemon.address))
    with channel_on(sock) as channel:
        yield channel


def test_grpcio_opens_calls_and_closes_a_session(daemon: Daemon, channel: Channel) -> None:
    def refuse(call: Call) -> None:
        raise RpcError(Code.NOT_FOUND, "no é, 100%")

    session = Session([Secrets({"x": ValueSecret(b"hunter2")}), Services(Echo=echo, Refuse=refuse)], id="me")
    session.start(channel)
    health = daemon.unary("/grpc.health.v1.Health/Check")(b"", timeout=10)
    assert health_pb2.HealthCheckResponse.FromString(health).status == health_pb2.HealthCheckResponse.SERVING
    assert daemon.metadata["x-docker-expose-session-uuid"] == "me"

    request = secrets_pb2.GetSecretRequest(ID="x").SerializeToString()
    answer = daemon.unary(GET_SECRET)(request, timeout=10)
    assert secrets_pb2.GetSecretResponse.FromString(answer).data == b"hunter2"

    with pytest.raises(grpc.RpcError) as caught:
        daemon.unary("/test.Service/Refuse")(b"", timeout=10)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "no é, 100%")
    with pytest.raises(grpc.RpcError) as caught:
        daemon.unary("/test.Service/Nothing")(b"", timeout=10)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED

    session.close()
    assert session.error is None
    assert daemon.ended.wait(10)


def test_grpcio_streams_both_ways_with_large_metadata(daemon: Daemon, channel: Channel) -> None:
    session = Session([Services(Echo=echo)])
    session.start(channel)
    requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    metadata = tuple(("exclude-patterns", f"**/build-{number}") for number in range(5000))
    answers = daemon.stream("/test.Service/Echo")(iter(requests.get, None), metadata=metadata, timeout=60)
    for size in (0, 1, 5, 16_384, 100_000, 3 << 20, 20 << 20):
        requests.put(bytes(size))
        assert next(answers) == bytes(size)
    requests.put(None)
    assert list(answers) == []
    session.close()


def test_grpcio_cancels_a_call(daemon: Daemon, channel: Channel) -> None:
    session = Session([Services(Echo=echo)])
    session.start(channel)
    endless: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    with pytest.raises(grpc.RpcError) as caught:
        list(daemon.stream("/test.Service/Echo")(iter(endless.get, None), timeout=0.3))
    endless.put(None)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert daemon.unary("/grpc.health.v1.Health/Check")(b"", timeout=10) == b"\x08\x01"
    session.close()
    assert [failure.method for failure in session.failures] == []
