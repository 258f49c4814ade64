"""Status: how a gRPC call ends, and how the trailers of HTTP/2 say so."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

# The HTTP statuses of something that is no gRPC server: a proxy, or another program at the address.
_HTTP = {"400": 13, "401": 16, "403": 7, "404": 12, "429": 14, "502": 14, "503": 14, "504": 14}
_PLAIN = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_MAX_TEXT = 32 << 10


class Code(IntEnum):
    """The gRPC status codes."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """A call that ended with another status than OK; a handler raises it to end its call so.

    details: a google.rpc.Status on the wire, as the trailer grpc-status-details-bin has it; b"" is none.
    """

    def __init__(self, code: Code, message: str, details: bytes = b"") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


class CallCancelled(Exception):
    """The call is gone before its end: cancelled by whoever made it, over time, or without its connection."""


def is_head(headers: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether these headers only begin an answer; others are all of it, or its trailers, and outcome() reads them."""
    return "grpc-status" not in headers and headers.get(":status") == ("200",)


def outcome(trailers: Mapping[str, tuple[str, ...]]) -> RpcError | None:
    """What these trailers, or the headers of an answer that has nothing else, make of a call; None is OK."""
    http = _first(trailers, ":status", "200")
    code = _first(trailers, "grpc-status", "")
    if not code and http != "200":
        return RpcError(Code(_HTTP.get(http, 2)), f"HTTP status {http}, which is no answer of a gRPC server")
    if not code:
        return RpcError(Code.INTERNAL, "the answer ended without a status")
    if code == "0":
        return None
    return RpcError(_code(code), _message(_first(trailers, "grpc-message", "")), _details(trailers))


def _first(trailers: Mapping[str, tuple[str, ...]], name: str, default: str) -> str:
    return trailers.get(name, (default,))[0]


def _code(text: str) -> Code:
    try:
        return Code(int(text))
    except ValueError:
        return Code.UNKNOWN


def _message(text: str) -> str:
    from urllib.parse import unquote

    return unquote(text)


def _details(trailers: Mapping[str, tuple[str, ...]]) -> bytes:
    text = _first(trailers, "grpc-status-details-bin", "")
    if not text:
        return b""
    from base64 import b64decode

    try:
        return b64decode(text + "=" * (-len(text) % 4))
    except ValueError:  # the error stands without them
        return b""


def quote_message(text: str) -> str:
    """A text as a grpc-message header holds it: percent-encoded but for printable ASCII.

    Bytes that are no UTF-8 are written out: the peer could not pass the message on in protobuf.
    """
    if not text:
        return ""
    from urllib.parse import quote

    if len(text) > _MAX_TEXT:
        text = f"{text[:_MAX_TEXT]}... ({len(text)} characters)"
    return quote(text, safe=_PLAIN, errors="backslashreplace")
