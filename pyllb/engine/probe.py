"""A probe: whether something that speaks HTTP/2, as buildkitd does, answers at an address."""

from __future__ import annotations

import socket

# The client's preface and an empty SETTINGS frame (RFC 9113 sections 3.4 and 6.5); a server answers with its own.
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
FRAME_HEADER = 9
SETTINGS = 4


def answers(address: str, *, timeout: float = 2.0) -> bool:
    """Whether a server's SETTINGS frame comes back from "unix:///path" or "tcp://host:port" within timeout seconds.

    buildkitd listens before it is ready and serves only then, so connecting alone would say too little. False for
    any other scheme.
    """
    try:
        with _connect(address, timeout) as connection:
            connection.sendall(HELLO)
            return is_settings(read_head(connection))
    except OSError:
        return False


def read_head(connection: socket.socket) -> bytes:
    """The head of the frame that comes first, or what came before the end. Raises OSError."""
    head = b""
    while len(head) < FRAME_HEADER and (more := connection.recv(FRAME_HEADER - len(head))):
        head += more
    return head


def is_settings(head: bytes) -> bool:
    """Whether this is the whole head of a SETTINGS frame, with which a server of HTTP/2 begins."""
    return len(head) == FRAME_HEADER and head[3] == SETTINGS


def _connect(address: str, timeout: float) -> socket.socket:
    scheme, _, rest = address.partition("://")
    if scheme == "tcp":
        from urllib.parse import urlsplit

        parts = urlsplit(address)
        return socket.create_connection((parts.hostname or "", parts.port or 0), timeout)
    if scheme != "unix":
        raise OSError(f"no probe for {address!r}")
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout)
    try:
        connection.connect(rest)
    except OSError:
        connection.close()
        raise
    return connection
