"""Connection: the way to a daemon, and calls on it by their full method path."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import attrs
from google.protobuf.message import DecodeError, Message

from pyllb.client.address import Address
from pyllb.client.faults import fault
from pyllb.client.task import Cancellation
from pyllb.errors import ConnectError
from pyllb.rpc.channel import Channel
from pyllb.rpc.link import Link
from pyllb.rpc.outgoing import Outgoing
from pyllb.rpc.status import CallCancelled, Code, RpcError
from pyllb.rpc.wakeup import Wakeup

Reply = TypeVar("Reply", bound=Message)
Got = TypeVar("Got", bound=Message, covariant=True)

# The link takes a second for its goodbye, and two for a command that has to be killed.
_CLOSE_TIMEOUT = 4.0
_OPENING = 1 << 10


@attrs.frozen(eq=False, repr=False)
class _Started(Generic[Got]):
    """A call under way, and what its answers are."""

    call: Outgoing
    reply: type[Got]

    def cancel(self) -> bool:
        """End it at once; whether it had not ended before."""
        return self.call.cancel()


@attrs.frozen(eq=False, repr=False)
class Pending(_Started[Got]):
    """A call with one answer, under way."""

    def result(self) -> Got:
        """Wait for the answer. Raises RpcError, or CallCancelled after a cancel() of ours."""
        return _decode(self.reply, self.call.answer())

    def error(self) -> RpcError | CallCancelled | None:
        """Wait for the end: why there is no answer, None when there is one."""
        return self.call.error()

    def on_end(self, callback: Callable[[], object]) -> None:
        """Call this when it has ended; it must not block."""
        self.call.on_end(callback)


@attrs.frozen(eq=False, repr=False)
class Incoming(_Started[Got]):
    """A call with many answers, under way. Iterating over it raises RpcError, or CallCancelled after a cancel()."""

    def __iter__(self) -> Iterator[Got]:
        while (messages := self.call.receive()) is not None:
            for message in messages:
                yield _decode(self.reply, message)


def _decode(kind: type[Reply], data: bytes) -> Reply:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise RpcError(Code.INTERNAL, f"the daemon's answer is no {kind.DESCRIPTOR.full_name}: {error}") from None


class _Greeting:
    """The wait for a daemon's first bytes, which stop() ends from another thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.over = False

    def stop(self) -> None:
        if not self.over:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class Connection:
    """A channel to the daemon at an address, with the socket and the thread behind it. Opening it checks that a daemon
    answers, and raises ConnectError if not.

    Its errors are pyllb's, but for a Pending's and an Incoming's, which fault() turns into one when more is known.
    cancellation: ends the wait for an answer.
    """

    def __init__(self, address: Address, cancellation: Cancellation | None = None) -> None:
        self.address = address
        self.pid = os.getpid()
        self.closed = False
        """Whether close() was called."""
        with contextlib.ExitStack() as held:
            sock = held.enter_context(address.dial())
            wakeup = held.enter_context(Wakeup())
            self.channel = Channel(address.authority, wakeup.wake, scheme="https" if address.tls else "http")
            greeting = _Greeting(sock)
            if cancellation is not None:
                cancellation.on_cancel(greeting.stop)
            self.channel.receive(address.greet(sock, b"".join(self.channel.take(_OPENING))))
            greeting.over = True
            hangup = functools.partial(address.hangup, sock)
            self._link = Link(sock, self.channel, wakeup, name="pyllb-client-io", hangup=hangup)
            held.pop_all()  # the link's thread closes them
            self._link.start()

    @property
    def alive(self) -> bool:
        """Whether calls can be made: the daemon has neither gone nor said that it goes."""
        return self.channel.alive

    @property
    def over(self) -> bool:
        """Whether nothing is under way any more, and the socket is closed."""
        return self._link.join(0)

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
        return Pending(self._call(method, request, metadata=metadata, timeout=timeout), reply)

    def call(self, method: str, request: Message, reply: type[Reply], *, timeout: float | None = None) -> Reply:
        """A call with one answer, which is waited for. Raises PyllbError."""
        pending = self.pending(method, request, reply, timeout=timeout)
        try:
            return pending.result()
        except CallCancelled:
            raise self.lost() from None
        except RpcError as error:
            raise fault(error, address=self.address.text) from None
        finally:
            pending.cancel()

    def stream(self, method: str, request: Message, reply: type[Reply]) -> Incoming[Reply]:
        """Start a call with many answers, to be iterated over."""
        return Incoming(self._call(method, request), reply)

    def all(self, method: str, request: Message, reply: type[Reply]) -> Iterator[Reply]:
        """The answers of a call with many, as they come. Raises PyllbError."""
        incoming = self.stream(method, request, reply)
        try:
            yield from incoming
        except CallCancelled:
            raise self.lost() from None
        except RpcError as error:
            raise fault(error, address=self.address.text) from None
        finally:
            incoming.cancel()

    def _call(
        self,
        method: str,
        request: Message,
        *,
        metadata: tuple[tuple[str, str], ...] = (),
        timeout: float | None = None,
    ) -> Outgoing:
        if self.closed:
            raise self.lost()
        return self.channel.call(method, request.SerializeToString(), metadata=metadata, timeout=timeout)

    def lost(self) -> ConnectError:
        """The error of a call on a connection that was closed."""
        return ConnectError(
            f"the connection to {self.address.text!r} was closed by its client", address=self.address.text
        )

    def close(self) -> None:
        """End all calls and the connection. May be called again."""
        self.closed = True
        if self.pid == os.getpid():
            self._link.close()
            self._link.join(_CLOSE_TIMEOUT)
        else:
            self._link.abandon()
