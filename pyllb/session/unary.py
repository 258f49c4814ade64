"""Unary calls: one request message, one response message."""

from __future__ import annotations

from pyllb.rpc.status import Code, RpcError
from pyllb.session.call import Call


def read_request(call: Call) -> bytes:
    """The one request message of a unary call. Raises RpcError(INTERNAL) when the daemon sent none or several."""
    messages: list[bytes] = []
    while (arrived := call.receive()) is not None:
        messages += arrived
    if len(messages) != 1:
        raise RpcError(Code.INTERNAL, f"{call.method} takes one message, {len(messages)} came")
    return messages[0]
