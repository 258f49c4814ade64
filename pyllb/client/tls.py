"""Tls: how a daemon proves who it is over tcp, and how this side does."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

import attrs

from pyllb.errors import UsageError
from pyllb.value import Value

_FILES = (("ca.pem", "ca.crt"), ("cert.pem", "tls.crt"), ("key.pem", "tls.key"))
# What gRPC's servers want to hear before they speak HTTP/2 (RFC 9113 3.2).
_PROTOCOLS = ("h2",)


def _path(value: str | os.PathLike[str] | None) -> Path | None:
    return None if value is None else Path(value)


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Tls(Value):
    """TLS with a daemon at tcp://. Mirrors client.WithServerConfig and WithCredentials (BuildKit 0.33.1).

    ca: the certificates that vouch for the daemon's, None is the system's. cert, key: this side's own, for a daemon
    that asks for one; both or neither. server_name: the name that the daemon's certificate has, None is the address'
    host. Files are PEM. Raises UsageError.
    """

    ca: Path | None = attrs.field(default=None, converter=_path)
    cert: Path | None = attrs.field(default=None, converter=_path)
    key: Path | None = attrs.field(default=None, converter=_path)
    server_name: str | None = None

    def __attrs_post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            there, missing = ("cert", "key") if self.key is None else ("key", "cert")
            raise UsageError(f"tls: there is a {there} and no {missing}; give both, or neither")
        for file in (self.ca, self.cert, self.key):
            if file is not None and not file.is_file():
                raise UsageError(f"tls: there is no file {str(file)!r}")
        if self.server_name and not _is_name(self.server_name):
            raise UsageError(f"tls: server_name is {self.server_name!r}, which no host can have")

    @classmethod
    def of_directory(cls, directory: str | os.PathLike[str], *, server_name: str | None = None) -> Tls:
        """As buildctl's --tlsdir: ca.pem or ca.crt, cert.pem or tls.crt, key.pem or tls.key of one directory."""
        ca, cert, key = (_one_of(Path(directory), names) for names in _FILES)
        return cls(ca=ca, cert=cert, key=key, server_name=server_name)

    def wrap(self, sock: socket.socket, host: str) -> ssl.SSLSocket:
        """The connection, encrypted; it is closed when that fails. Raises OSError, UsageError for what a file holds."""
        try:
            return self._context().wrap_socket(sock, server_hostname=self.server_name or host)
        except BaseException:
            sock.close()
            raise

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except OSError as error:
            raise UsageError(f"tls: {str(self.ca)!r} has no certificates: {said(error)}") from error
        # Python 3.13 adds both; Go asks for no extensions, and any certificate of ca ends a chain.
        context.verify_flags = context.verify_flags & ~ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(list(_PROTOCOLS))
        if self.cert is not None:
            try:
                context.load_cert_chain(self.cert, self.key, password=_no_password)
            except (OSError, ValueError) as error:
                text = f"tls: {str(self.cert)!r} and {str(self.key)!r} are no certificate with its key: {said(error)}"
                raise UsageError(text) from error
        return context


def _one_of(directory: Path, names: Iterable[str]) -> Path:
    for name in names:
        if (directory / name).exists():
            return directory / name
    raise UsageError(f"tls: in {str(directory)!r} there is no {' and no '.join(names)}")


def _is_name(text: str) -> bool:
    try:
        return b"\0" not in text.encode("idna")
    except UnicodeError:
        return False


def _no_password() -> str:
    raise ValueError("the key is encrypted; write it without a password, as `openssl pkey` does")


def said(error: Exception) -> str:
    """What OpenSSL says, in words, without its own file and line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return getattr(error, "strerror", None) or str(error)
