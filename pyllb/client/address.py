"""Address: where a daemon answers, and how to reach it."""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

import attrs

from pyllb.engine.discovery import require
from pyllb.engine.probe import is_settings, read_head
from pyllb.errors import ConnectError, NotThereYet, UsageError
from pyllb.value import Value

if TYPE_CHECKING:
    from urllib.parse import SplitResult

CONNECT_TIMEOUT = 5.0
"""Seconds a daemon has to accept a connection and to answer; buildctl's --timeout has the same default."""

_LATER = (
    *("docker-container", "podman-container", "nerdctl-container", "kube-pod", "ssh", "npipe", "docker"),
    *("tcp+tls", "https", "fd"),
)


@attrs.frozen(eq=False, repr=False)
class Address(Value):
    """A daemon's address. text: as it was written. path: the socket of unix://; host, port: of tcp://."""

    text: str
    path: str = ""
    host: str = ""
    port: int = 0

    @property
    def authority(self) -> str:
        """The daemon's name in requests."""
        if self.path:
            return "localhost"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def dial(self, timeout: float = CONNECT_TIMEOUT) -> socket.socket:
        """A new connection, blocking, without a timeout of its own.

        timeout: seconds to connect in. Raises ConnectError.
        """
        try:
            return self._dial(timeout)
        except OSError as error:
            raise ConnectError(self._why(error, timeout), address=self.text) from error
        except UnicodeError as error:  # of a name that cannot be asked for
            text = f"no daemon at {self.text!r}: {self.host!r} is not the name of a host"
            raise ConnectError(text, address=self.text) from error

    def _dial(self, timeout: float) -> socket.socket:
        if self.path:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(timeout)
                connection.connect(self.path)
            except BaseException:
                connection.close()
                raise
        else:
            connection = socket.create_connection((self.host, self.port), timeout)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(connection)
        connection.settimeout(None)
        return connection

    def _why(self, error: OSError, timeout: float) -> str:
        where = f"no daemon at {self.text!r}: "
        if self.path and isinstance(error, FileNotFoundError):
            return (
                f"{where}there is no socket {self.path!r}; start buildkitd, or name another with addr or BUILDKIT_HOST"
            )
        if self.path and isinstance(error, PermissionError):
            return f"{where}no permission to open {self.path!r}; root may, or the group that the daemon's config names"
        if self.path and isinstance(error, ConnectionRefusedError):
            what = "a socket that nobody listens on" if _is_socket(self.path) else "not a socket"
            return f"{where}{self.path!r} is {what}; start buildkitd, or name another with addr or BUILDKIT_HOST"
        if isinstance(error, TimeoutError):
            return f"{where}it did not accept a connection within {timeout:g} s"
        return f"{where}{error.strerror or error}"

    def greet(self, connection: socket.socket, hello: bytes, timeout: float = CONNECT_TIMEOUT) -> bytes:
        """Open HTTP/2 with hello, and return the first bytes of the answer, a frame's head.

        timeout: in seconds. Raises ConnectError when nothing answers that speaks HTTP/2, as buildkitd does.
        """
        connection.settimeout(timeout)
        try:
            connection.sendall(hello)
            header = read_head(connection)
        except TimeoutError as error:
            message = f"{self.text!r} accepts connections but did not answer within {timeout:g} s; is it buildkitd?"
            raise ConnectError(message, address=self.text) from error
        except OSError as error:
            raise ConnectError(f"{self.text!r} closed the connection: {error.strerror}", address=self.text) from error
        self._check_hello(header)
        return header

    def _check_hello(self, header: bytes) -> None:
        if is_settings(header):
            return
        if header.startswith(b"HTTP/1"):
            what = "speaks HTTP/1, not HTTP/2; Docker's own socket, say, is not buildkitd's"
        elif header[:1] == b"\x15":
            what = "wants TLS, which pyllb does not speak yet"
        else:
            what = "closed the connection" if not header else "does not speak HTTP/2"
        raise ConnectError(f"{self.text!r} {what}; an address of buildkitd is wanted", address=self.text)

    def __str__(self) -> str:
        return self.text


def _keep_alive(connection: socket.socket) -> None:
    """Have the kernel ask whether a silent host is still there, or a call would wait for one that lost its power.

    After 30 s, then each 10 s, three times; Linux' own patience is two hours. Go's dialer asks by default too.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):  # not on every system
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def parse_address(text: str) -> Address:
    """Read `unix:///path` or `tcp://host:port`.

    Raises NotThereYet for the other schemes that buildctl knows, and UsageError for what is no address.
    """
    scheme, mark, rest = text.partition("://")
    if scheme in _LATER and mark:
        raise NotThereYet(
            f"addresses of the scheme {scheme!r}, as in {text!r}; unix:///path and tcp://host:port are there"
        )
    if scheme == "unix" and mark and rest:
        return Address(text, path=rest)
    if scheme == "tcp" and mark:
        return _tcp(text)
    raise UsageError(f"{text!r} is not a daemon's address; write unix:///path/to/buildkitd.sock or tcp://host:port")


def _tcp(text: str) -> Address:
    from urllib.parse import urlsplit

    parts = urlsplit(text)
    host, port = parts.hostname, _port(parts)
    if not host or not port or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise UsageError(f"{text!r} is not a daemon's address; tcp:// takes a host and a port, as tcp://localhost:1234")
    return Address(text, host=host, port=port)


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or 0
    except ValueError:  # out of range, or no number
        return 0


def find_address(addr: str | None = None) -> Address:
    """addr when it is given, else BUILDKIT_HOST, else where a daemon answers: BuildKit's usual sockets, pyllb's engine.

    Raises UsageError and NotThereYet for what is no address, NoDaemonError when there is none.
    """
    return parse_address(require(addr))
