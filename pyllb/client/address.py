"""Address: where a daemon answers, and how to reach it."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from typing import TYPE_CHECKING

import attrs

from pyllb.engine.discovery import require
from pyllb.engine.probe import is_settings, read_head
from pyllb.errors import ConnectError, NotThereYet, UsageError, near
from pyllb.value import Value

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from pyllb.client.connhelper import HelperSocket
    from pyllb.client.tls import Tls

CONNECT_TIMEOUT = 5.0
"""Seconds a daemon has to accept a connection and to answer; buildctl's --timeout has the same default."""

# A command has to start, and often to log in somewhere, before a daemon hears of us.
_COMMAND_TIMEOUT = 30.0
_TLS = "tls=Tls(ca=...), or --tlscacert"
_HELPERS = ("docker-container", "podman-container", "nerdctl-container", "kube-pod", "ssh")
_LATER = ("npipe", "docker", "tcp+tls", "https", "fd")


@attrs.frozen(eq=False, repr=False)
class Address(Value):
    """A daemon's address.

    text: as it was written. path: the socket of unix://. host, port: of tcp://. command: what is run to reach it, of
    docker-container:// and the like; () is none. tls: of tcp://; None is plain.
    """

    text: str
    path: str = ""
    host: str = ""
    port: int = 0
    command: tuple[str, ...] = ()
    tls: Tls | None = None

    def __attrs_post_init__(self) -> None:
        if self.tls is not None and not self.host:
            raise UsageError(f"tls is for tcp://host:port, and the daemon is at {self.text!r}")

    @property
    def authority(self) -> str:
        """The daemon's name in requests."""
        if self.tls is not None and self.tls.server_name:
            return self.tls.server_name
        if not self.host:
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
        if self.command:
            from pyllb.client.connhelper import HelperSocket

            return HelperSocket.start(self.command)
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
            if self.tls is not None:
                connection = self.tls.wrap(connection, self.host)
        connection.settimeout(None)
        return connection

    def _why(self, error: OSError, timeout: float) -> str:
        where = f"no daemon at {self.text!r}: "
        if self.command:
            return f"{where}the command {self.command[0]!r}, which reaches it, cannot be run: {error.strerror}"
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
            begun = "accept a connection" if self.tls is None else "accept a connection and begin TLS"
            return f"{where}it did not {begun} within {timeout:g} s"
        return where + self._said(error)

    def _said(self, error: OSError) -> str:
        if self.tls is None:
            return error.strerror or str(error)
        from pyllb.client.tls import said

        return said(error)

    def greet(self, connection: socket.socket, hello: bytes, timeout: float | None = None) -> bytes:
        """Open HTTP/2 with hello, and return the first bytes of the answer, a frame's head.

        timeout: in seconds; None is 5, and 30 where a command is run. Raises ConnectError when nothing answers that
        speaks HTTP/2, as buildkitd does.
        """
        if timeout is None:
            timeout = _COMMAND_TIMEOUT if self.command else CONNECT_TIMEOUT
        connection.settimeout(timeout)
        try:
            connection.sendall(hello)
            header = read_head(connection)
        except TimeoutError as error:
            raise ConnectError(self._silent(connection, timeout), address=self.text) from error
        except OSError as error:
            raise ConnectError(self._closed(connection, self._said(error)), address=self.text) from error
        if not is_settings(header):
            raise ConnectError(self._no_daemon(connection, header), address=self.text)
        return header

    def hangup(self, connection: socket.socket) -> str:
        """Why an open connection has ended, when that was a command's doing; else ""."""
        helper = self._helper(connection)
        return helper.why() if helper is not None and helper.exit_code() else ""

    def _helper(self, connection: socket.socket) -> HelperSocket | None:
        if not self.command:
            return None
        from pyllb.client.connhelper import HelperSocket

        assert isinstance(connection, HelperSocket)  # it is what dial() gives
        return connection

    def _silent(self, connection: socket.socket, timeout: float) -> str:
        late = f"did not answer within {timeout:g} s"
        helper = self._helper(connection)
        if helper is not None:
            return f"no daemon at {self.text!r}: {helper.why(late)}"
        return f"{self.text!r} accepts connections but {late}; is it buildkitd?"

    def _closed(self, connection: socket.socket, why: str | None = None) -> str:
        helper = self._helper(connection)
        if helper is not None:
            return f"no daemon at {self.text!r}: {helper.why()}"
        if why:
            return f"{self.text!r} closed the connection: {why}"
        hint = f"; one that speaks TLS wants {_TLS}" if self.host and self.tls is None else ""
        return f"{self.text!r} closed the connection; an address of buildkitd is wanted{hint}"

    def _no_daemon(self, connection: socket.socket, header: bytes) -> str:
        if not header:
            return self._closed(connection)
        if self.command:  # such as a shell that greets, or one that nobody may use
            return f"no daemon at {self.text!r}: what {self.command[0]!r} ran there says {_more(connection, header)!r}"
        if header.startswith(b"HTTP/1"):
            what = "speaks HTTP/1, not HTTP/2; Docker's own socket, say, is not buildkitd's"
        elif header[:1] == b"\x15":
            what = f"wants TLS; give {_TLS}"
        else:
            what = "does not speak HTTP/2"
        return f"{self.text!r} {what}; an address of buildkitd is wanted"

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


def _more(connection: socket.socket, begun: bytes) -> str:
    """What came, with what comes at once, as text."""
    connection.settimeout(0.2)
    with contextlib.suppress(OSError):
        begun += connection.recv(200)
    return begun.decode(errors="replace").strip()


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def parse_address(text: str) -> Address:
    """Read `unix:///path`, `tcp://host:port`, `docker-container://name`, `podman-container://name`,
    `nerdctl-container://name`, `kube-pod://pod` or `ssh://user@host`.

    The last five run the command that their name says, and need `buildctl` where the daemon is. Raises NotThereYet for
    the other schemes that are known, and UsageError for what is no address.
    """
    scheme, mark, rest = text.partition("://")
    if scheme in _LATER and mark:
        raise NotThereYet(
            f"addresses of the scheme {scheme!r}, as in {text!r}; unix, tcp, {', '.join(_HELPERS)} are there"
        )
    if scheme in _HELPERS and mark:
        from pyllb.client.connhelper import command_of

        return Address(text, command=command_of(text))
    if scheme == "unix" and mark and rest:
        return Address(text, path=rest)
    if scheme == "tcp" and mark:
        return _tcp(text)
    raise UsageError(
        f"{text!r} is not a daemon's address; write unix:///path/to/buildkitd.sock or tcp://host:port"
        f"{near(scheme, (*_HELPERS, 'unix', 'tcp')) if mark else ''}"
    )


def _tcp(text: str) -> Address:
    from urllib.parse import urlsplit

    wrong = f"{text!r} is not a daemon's address; tcp:// takes a host and a port, as tcp://localhost:1234"
    try:
        parts = urlsplit(text)
    except ValueError as error:  # half a pair of brackets, say
        raise UsageError(wrong) from error
    host, port = parts.hostname, _port(parts)
    if not host or not port or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise UsageError(wrong)
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
    if addr is not None and not isinstance(addr, str):
        raise UsageError(f"{addr!r} is not a daemon's address; write a str, such as 'unix:///run/buildkitd.sock'")
    return parse_address(require(addr))
