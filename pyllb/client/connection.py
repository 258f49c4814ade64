"""Connection: the grpc channel to a daemon, and calls on it by their full method path."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from pyllb.client.address import Address
from pyllb.client.faults import fault
from pyllb.errors import ConnectError

Reply = TypeVar("Reply", bound=Message)
Got = TypeVar("Got", covariant=True)

_LIMIT = 16 << 20  # what the daemon takes and sends; grpc's own limit for receiving is 4 MiB
_OPTIONS = (
    ("grpc.max_receive_message_length", _LIMIT),
    ("grpc.max_send_message_length", _LIMIT),
    # Error details come as metadata and hold the build file and the definition. grpc takes 16 KiB of it and makes
    # RESOURCE_EXHAUSTED of any more.
    ("grpc.max_metadata_size", _LIMIT),
    ("grpc.absolute_max_metadata_size", _LIMIT),
    # A daemon is not behind the proxy of the web, and http_proxy is often set for the build.
    ("grpc.enable_http_proxy", 0),
    # Two daemons at one address, one after the other, are not one: no state is shared between channels.
    ("grpc.use_local_subchannel_pool", 1),
    # No keepalive: below five minutes the daemon ends the connection with GOAWAY too_many_pings.
)


class Pending(Protocol[Got]):
    """A call with one answer, under way."""

    def result(self) -> Got:
        """Wait for the answer. Raises grpc.RpcError, or grpc.FutureCancelledError after a cancel() of ours."""

    def exception(self) -> BaseException | None:
        """Wait for the end: what result() would raise, or None."""

    def cancelled(self) -> bool: ...
    def cancel(self) -> bool: ...
    def add_done_callback(self, fn: Callable[[object], None]) -> None: ...


class Incoming(Protocol[Got]):
    """A call with many answers, under way."""

    def __iter__(self) -> Iterator[Got]: ...
    def cancel(self) -> bool | None: ...


class Connection:
    """A channel to the daemon at an address. Opening it checks that one answers, and raises ConnectError if not.

    Its errors are pyllb's, but for a Pending's, which fault() turns into one when more is known.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.pid = os.getpid()
        address.probe()
        self._channel = grpc.insecure_channel(address.target, options=_OPTIONS)
        self._closed = False

    def pending(
        self,
        method: str,
        request: Message,
        reply: type[Reply],
        *,
        metadata: tuple[tuple[str, str], ...] = (),
        timeout: float | None = None,
    ) -> Pending[Reply]:
        """Start a call with one answer. timeout: seconds after which it fails with DEADLINE_EXCEEDED.

        Raises ConnectError when the connection was closed.
        """
        try:
            call = self._channel.unary_unary(
                method, request_serializer=_serialize, response_deserializer=reply.FromString
            )
            return call.future(request, timeout=timeout, metadata=metadata)
        except ValueError:  # what grpc says of a closed channel
            raise self.lost() from None

    def call(self, method: str, request: Message, reply: type[Reply], *, timeout: float | None = None) -> Reply:
        """A call with one answer, which is waited for. Raises PyllbError."""
        pending = self.pending(method, request, reply, timeout=timeout)
        try:
            return pending.result()
        except grpc.FutureCancelledError:
            raise self.lost() from None
        except grpc.RpcError as error:
            raise fault(error, address=self.address.text) from None
        finally:
            pending.cancel()

    def stream(self, method: str, request: Message, reply: type[Reply]) -> Incoming[Reply]:
        """Start a call with many answers, to be iterated over. grpc.RpcError comes out of the iteration."""
        try:
            call = self._channel.unary_stream(
                method, request_serializer=_serialize, response_deserializer=reply.FromString
            )
            return call(request)
        except ValueError:
            raise self.lost() from None

    def all(self, method: str, request: Message, reply: type[Reply]) -> Iterator[Reply]:
        """The answers of a call with many, as they come. Raises PyllbError."""
        incoming = self.stream(method, request, reply)
        try:
            yield from incoming
        except grpc.RpcError as error:
            raise fault(error, address=self.address.text) from None
        finally:
            incoming.cancel()

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    def lost(self) -> ConnectError:
        """The error of a call on a connection that was closed."""
        return ConnectError(
            f"the connection to {self.address.text!r} was closed by its client", address=self.address.text
        )

    def close(self) -> None:
        """End all calls and the channel. May be called again."""
        self._closed = True
        self._channel.close()


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
