"""Faults: what a failed call is to the user."""

from __future__ import annotations

import pytest

import pyllb
from pyllb.client.faults import Blame, fault, session_lost, solve_error
from pyllb.client.record import Record
from pyllb.errors import ConnectError, PyllbError, SolveError, UnsupportedError
from pyllb.rpc.duplex import Closed
from pyllb.rpc.status import Code, RpcError
from pyllb.session.tunnel import TunnelError
from pyllb.status import SolveStatus, Vertex

ADDRESS = "tcp://builder:1234"


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (Code.UNAVAILABLE, ConnectError, "the connection to the daemon at 'tcp://builder:1234' was lost: why"),
        (Code.DEADLINE_EXCEEDED, ConnectError, "the daemon at 'tcp://builder:1234' does not answer: why"),
        (Code.UNIMPLEMENTED, UnsupportedError, "the daemon at 'tcp://builder:1234' is too old for this: why"),
        (Code.UNKNOWN, SolveError, "why"),
    ],
)
def test_a_status_of_this_side_names_the_daemon(code: Code, kind: type[PyllbError], message: str) -> None:
    found = fault(RpcError(code, "why"), address=ADDRESS)
    assert type(found) is kind
    assert found.message == message


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("invalid response status 404", "https://x.y/z: invalid response status 404"),
        ("https://x.y/z is gone", "https://x.y/z is gone"),
        (
            'failed to compute cache key: failed to calculate checksum of ref mzgq::p9bj: "/x": not found',
            'https://x.y/z: "/x": not found',
        ),
    ],
)
def test_a_step_that_failed_is_named(said: str, message: str) -> None:
    definition = pyllb.dump(pyllb.fs().http("https://x.y/z"))
    digest = definition.ops[0][0]
    record = Record()
    record.update(SolveStatus(vertexes=(Vertex(digest=digest, name="https://x.y/z", error=said),)))
    found = solve_error(Blame(said, "UNKNOWN"), definitions=[definition], record=record)
    assert (found.message, found.vertex) == (message, "https://x.y/z")


def test_a_session_that_is_lost_says_how() -> None:
    head = f"the session with the daemon at '{ADDRESS}' was lost: "
    for error, text in (
        (Closed("the stream"), "the daemon closed the session"),
        (RpcError(Code.PERMISSION_DENIED, "not you"), "the daemon ended the session: not you (gRPC status 7)"),
        (TunnelError("the daemon sent nonsense"), "the daemon sent nonsense"),
    ):
        assert session_lost(error, address=ADDRESS, record=Record()).message == head + text
