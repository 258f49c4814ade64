"""The HTTP/2 layer: what goes in comes out, whatever the pieces and the windows."""

from __future__ import annotations

import contextlib
import itertools
import struct
from collections.abc import Sequence

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyllb.rpc import http2
from pyllb.rpc.http2 import (
    Connection,
    DataReceived,
    ErrorCode,
    Event,
    GoawayReceived,
    HeadersReceived,
    ProtocolError,
    StreamEnded,
    StreamReset,
)

REQUEST = ((":method", "POST"), (":path", "/a.B/C"), ("dir-name", "context"))


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame by hand, so that the reader is not checked by its own writer."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def block(headers: Sequence[tuple[str, str]]) -> bytes:
    return bytes(hpack.Encoder().encode(list(headers)))


OPENING = http2.PREFACE + frame(http2.SETTINGS, 0, 0)


def server(**options: int) -> Connection:
    connection = Connection(client=False, **options)
    connection.receive(OPENING)
    connection.take(1 << 20)
    return connection


def taken(connection: Connection, limit: int = 1 << 20) -> bytes:
    return b"".join(connection.take(limit))


def frames(data: bytes) -> list[tuple[int, int, int, bytes]]:
    found = []
    while data:
        size = int.from_bytes(data[:3], "big")
        found.append((data[3], data[4], struct.unpack(">I", data[5:9])[0], data[9 : 9 + size]))
        data = data[9 + size :]
    return found


def joined(events: Sequence[Event]) -> list[Event | tuple[int, bytes]]:
    """Events with the data of one stream in one piece: where it was cut has no meaning."""
    out: list[Event | tuple[int, bytes]] = []
    for event in events:
        if isinstance(event, DataReceived):
            data = b"".join(event.parts)
            last = out[-1] if out else None
            if isinstance(last, tuple) and last[0] == event.stream:
                out[-1] = (event.stream, last[1] + data)
            else:
                out.append((event.stream, data))
        else:
            out.append(event)
    return out


CONVERSATION = b"".join(
    (
        OPENING,
        frame(http2.HEADERS, http2.END_HEADERS, 1, block(REQUEST)),
        frame(http2.DATA, 0, 1, b"first"),
        frame(http2.PING, 0, 0, b"12345678"),
        frame(http2.DATA, http2.PADDED, 1, b"\x03padded\0\0\0"),
        frame(http2.HEADERS, http2.HAS_PRIORITY, 3, bytes(5) + block(REQUEST)[:4]),
        frame(http2.CONTINUATION, 0, 3, block(REQUEST)[4:9]),
        frame(http2.CONTINUATION, http2.END_HEADERS, 3, block(REQUEST)[9:]),
        frame(http2.DATA, 0, 1, b""),
        frame(http2.WINDOW_UPDATE, 0, 1, struct.pack(">I", 10)),
        frame(http2.DATA, 0, 3, bytes(http2.MAX_FRAME)),
        frame(0xFA, 0, 0, b"a type of the future"),
        frame(http2.DATA, http2.END_STREAM, 3, b"last"),
        frame(http2.RST_STREAM, 0, 1, struct.pack(">I", 8)),
        frame(http2.DATA, 0, 1, b"too late"),
        frame(http2.GOAWAY, 0, 0, struct.pack(">II", 0, 0) + b"bye"),
    )
)
EXPECTED = [
    HeadersReceived(1, REQUEST),
    (1, b"firstpadded"),
    HeadersReceived(3, REQUEST),
    (3, bytes(http2.MAX_FRAME) + b"last"),
    StreamEnded(3),
    StreamReset(1, 8),
    GoawayReceived(0, 0, "bye"),
]


@given(st.lists(st.integers(1, len(CONVERSATION) - 1), max_size=40))
def test_any_split_of_the_bytes_gives_the_same_events(cuts: list[int]) -> None:
    connection = Connection(client=False)
    edges = [0, *sorted(set(cuts)), len(CONVERSATION)]
    events: list[Event] = []
    for start, stop in itertools.pairwise(edges):
        events += connection.receive(CONVERSATION[start:stop])
    assert joined(events) == EXPECTED


def test_one_byte_at_a_time_gives_the_same_events() -> None:
    connection = Connection(client=False)
    events = [event for byte in CONVERSATION for event in connection.receive(bytes((byte,)))]
    assert joined(events) == EXPECTED


def test_a_ping_and_settings_are_acknowledged() -> None:
    connection = server()
    connection.receive(frame(http2.PING, 0, 0, b"abcdefgh") + frame(http2.SETTINGS, 0, 0, struct.pack(">HI", 3, 100)))
    assert frames(taken(connection)) == [(http2.PING, 1, 0, b"abcdefgh"), (http2.SETTINGS, 1, 0, b"")]


def test_an_acknowledged_ping_is_not_answered() -> None:
    connection = server()
    connection.receive(frame(http2.PING, http2.ACK, 0, b"abcdefgh"))
    assert taken(connection) == b""


@given(
    st.lists(st.binary(max_size=40_000), max_size=8),
    st.integers(1, 70_000),
    st.integers(1_000, 70_000),
    st.integers(1, 1 << 20),
)
def test_data_leaves_in_order_and_never_past_a_window(
    parts: list[bytes], stream_window: int, step: int, limit: int
) -> None:
    connection = server()
    connection.receive(frame(http2.SETTINGS, 0, 0, struct.pack(">HI", http2.INITIAL_WINDOW_SIZE, stream_window)))
    connection.receive(frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, 1, block(REQUEST)))
    connection.send_data(1, parts)
    connection.send_end(1, (("grpc-status", "0"),))
    out, allowed_stream, allowed = b"", stream_window, http2.DEFAULT_WINDOW
    ended = False
    while not ended:
        while batch := taken(connection, limit):
            for kind, flags, stream, payload in frames(batch):
                assert not ended
                if kind == http2.DATA:
                    assert stream == 1
                    assert len(payload) <= http2.MAX_FRAME
                    out += payload
                ended = bool(flags & http2.END_STREAM) and kind in (http2.DATA, http2.HEADERS)
        assert len(out) <= min(allowed_stream, allowed)
        update = struct.pack(">I", step)
        connection.receive(frame(http2.WINDOW_UPDATE, 0, 1, update) + frame(http2.WINDOW_UPDATE, 0, 0, update))
        allowed_stream, allowed = allowed_stream + step, allowed + step
    assert out == b"".join(parts)


def test_a_smaller_initial_window_holds_back_streams_that_are_open() -> None:
    connection = server()
    connection.receive(frame(http2.HEADERS, http2.END_HEADERS, 1, block(REQUEST)))
    connection.send_data(1, [bytes(100)])
    taken(connection)
    connection.receive(frame(http2.SETTINGS, 0, 0, struct.pack(">HI", http2.INITIAL_WINDOW_SIZE, 50)))
    taken(connection)
    connection.send_data(1, [b"x"])
    assert taken(connection) == b""
    connection.receive(frame(http2.WINDOW_UPDATE, 0, 1, struct.pack(">I", 51)))
    assert frames(taken(connection)) == [(http2.DATA, 0, 1, b"x")]


def client(streams: int | None = None) -> Connection:
    """A client whose peer has said how many streams it takes at once; None: not a word of it."""
    connection = Connection(client=True)
    said = struct.pack(">HI", http2.MAX_CONCURRENT_STREAMS, streams) if streams is not None else b""
    connection.receive(frame(http2.SETTINGS, 0, 0, said))
    connection.take(1 << 20)
    return connection


def called(connection: Connection, times: int) -> list[int]:
    streams = [connection.open(REQUEST) for _ in range(times)]
    for stream in streams:
        connection.send_data(stream, [b"asked"])
        connection.send_end(stream)
    return streams


def answered(connection: Connection, stream: int) -> None:
    connection.receive(frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, stream, block(REQUEST)))


def begun(connection: Connection) -> list[int]:
    """The streams that begin with what is sent now."""
    data = taken(connection).removeprefix(http2.PREFACE)
    return [stream for kind, _, stream, _ in frames(data) if kind == http2.HEADERS]


def test_no_more_streams_are_open_than_the_peer_takes() -> None:
    connection = client(2)
    called(connection, 5)
    asked = [(kind, stream) for kind, _, stream, _ in frames(taken(connection))]
    assert sorted(asked) == sorted((kind, stream) for stream in (1, 3) for kind in (0, 0, 1))
    assert taken(connection) == b""
    answered(connection, 3)
    assert begun(connection) == [5]
    connection.reset(1, ErrorCode.CANCEL)
    assert begun(connection) == [7]


def test_a_stream_that_is_ended_before_it_began_is_never_heard_of() -> None:
    connection = client(1)
    called(connection, 3)
    assert begun(connection) == [1]
    connection.reset(3, ErrorCode.CANCEL)
    assert taken(connection) == b""
    answered(connection, 1)
    assert begun(connection) == [5]


def test_a_peer_may_take_more_streams_later_and_fewer() -> None:
    connection = client(0)
    called(connection, 4)
    assert begun(connection) == []
    connection.receive(frame(http2.SETTINGS, 0, 0, struct.pack(">HI", http2.MAX_CONCURRENT_STREAMS, 2)))
    assert begun(connection) == [1, 3]
    connection.receive(frame(http2.SETTINGS, 0, 0, struct.pack(">HI", http2.MAX_CONCURRENT_STREAMS, 1)))
    answered(connection, 1)
    assert begun(connection) == []
    answered(connection, 3)
    assert begun(connection) == [5]


def test_a_hundred_streams_begin_before_the_peer_has_said_anything() -> None:
    connection = Connection(client=True)
    called(connection, 101)
    assert begun(connection) == list(range(1, 200, 2))
    said = frame(http2.SETTINGS, 0, 0, struct.pack(">HI", http2.MAX_CONCURRENT_STREAMS, 101))
    connection.receive(said[:9])  # a frame's head says nothing of it
    assert begun(connection) == []
    connection.receive(said[9:])
    assert begun(connection) == [201]


def test_a_peer_that_has_no_limit_takes_all_streams() -> None:
    connection = client()
    called(connection, 300)
    assert begun(connection) == list(range(1, 600, 2))


@given(st.integers(1, 5), st.lists(st.integers(0, 3), max_size=40))
def test_every_stream_has_its_turn_in_the_order_of_their_numbers(limit: int, acts: list[int]) -> None:
    connection = client(limit)
    seen: list[int] = []
    live: set[int] = set()
    asked = 0
    for act in [*acts, *[3] * (len(acts) + 1)]:
        if act < 3:
            asked += len(called(connection, act))
        elif live:
            answered(connection, live.pop())
        for stream in begun(connection):
            seen.append(stream)
            live.add(stream)
        assert len(live) <= limit
    assert seen == list(range(1, 2 * asked, 2))[: len(seen)]
    assert len(live) == min(limit, asked - (len(seen) - len(live)))


def test_streams_take_turns() -> None:
    connection = server()
    connection.receive(frame(http2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 30)))
    connection.receive(frame(http2.SETTINGS, 0, 0, struct.pack(">HI", http2.INITIAL_WINDOW_SIZE, 1 << 30)))
    taken(connection)
    for stream in (1, 3):
        connection.receive(frame(http2.HEADERS, http2.END_HEADERS, stream, block(REQUEST)))
        connection.send_data(stream, [bytes(4 << 20)])
    first = {stream for _, _, stream, _ in frames(taken(connection, 1 << 20))}
    assert first == {1, 3}


def test_an_ended_stream_sends_its_trailers_even_when_the_connection_window_is_shut() -> None:
    connection = server()
    for stream in (1, 3):
        connection.receive(frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, stream, block(REQUEST)))
    connection.send_data(1, [bytes(http2.DEFAULT_WINDOW + 1)])
    connection.send_end(3, (("grpc-status", "0"),))
    assert (http2.HEADERS, 3) in {(kind, stream) for kind, _, stream, _ in frames(taken(connection))}


def test_a_server_that_ends_first_tells_the_client_to_stop_sending() -> None:
    connection = server()
    connection.receive(frame(http2.HEADERS, http2.END_HEADERS, 1, block(REQUEST)))
    connection.send_end(1, (("grpc-status", "0"),))
    assert [kind for kind, _, _, _ in frames(taken(connection))] == [http2.HEADERS, http2.RST_STREAM]
    assert connection.receive(frame(http2.DATA, 0, 1, b"under way")) == []


def test_long_headers_are_cut_into_continuations_and_read_back() -> None:
    client, other = Connection(client=True), Connection(client=False)
    headers = (*REQUEST, *(("exclude-patterns", f"**/node_modules/{n}/é*") for n in range(20_000)))
    client.open(headers)
    assert other.receive(taken(client, 1 << 30)) == [HeadersReceived(1, headers)]


def test_headers_with_huffman_codes_and_a_dynamic_table_are_read() -> None:
    connection, encoder = server(), hpack.Encoder()
    for stream in (1, 3):
        encoded = bytes(encoder.encode(list(REQUEST), huffman=True))
        (event,) = connection.receive(frame(http2.HEADERS, http2.END_HEADERS, stream, encoded))
        assert event == HeadersReceived(stream, REQUEST)


def test_credit_opens_the_window_by_what_was_used() -> None:
    connection = server(stream_window=1000)
    connection.receive(frame(http2.HEADERS, http2.END_HEADERS, 1, block(REQUEST)) + frame(http2.DATA, 0, 1, bytes(900)))
    connection.credit(1, 400)
    assert taken(connection) == b""
    connection.credit(1, 200)
    assert frames(taken(connection)) == [(http2.WINDOW_UPDATE, 0, 1, struct.pack(">I", 600))]
    connection.receive(frame(http2.DATA, 0, 1, bytes(700)))
    with pytest.raises(ProtocolError, match="overran the window of stream 1"):
        connection.receive(frame(http2.DATA, 0, 1, b"x"))


WRONG = {
    "no preface": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", ErrorCode.PROTOCOL_ERROR),
    "no settings": (http2.PREFACE + frame(http2.PING, 0, 0, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "large frame": (OPENING + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", ErrorCode.FRAME_SIZE_ERROR),
    "short ping": (OPENING + frame(http2.PING, 0, 0, b"1"), ErrorCode.FRAME_SIZE_ERROR),
    "data on stream 0": (OPENING + frame(http2.DATA, 0, 0, b"1"), ErrorCode.PROTOCOL_ERROR),
    "even stream": (OPENING + frame(http2.HEADERS, 4, 2, block(REQUEST)), ErrorCode.PROTOCOL_ERROR),
    "push": (OPENING + frame(http2.PUSH_PROMISE, 4, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    "lone continuation": (OPENING + frame(http2.CONTINUATION, 4, 1, b"x"), ErrorCode.PROTOCOL_ERROR),
    "frame inside headers": (
        OPENING + frame(http2.HEADERS, 0, 1, b"") + frame(http2.PING, 0, 0, bytes(8)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "unreadable headers": (OPENING + frame(http2.HEADERS, 4, 1, b"\xff" * 9), ErrorCode.COMPRESSION_ERROR),
    "padding past the end": (OPENING + frame(http2.HEADERS, 4 | 8, 1, b"\x09x"), ErrorCode.FRAME_SIZE_ERROR),
    "huge window": (
        OPENING + frame(http2.WINDOW_UPDATE, 0, 0, struct.pack(">I", http2.MAX_WINDOW)),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "huge initial window": (
        OPENING + frame(http2.SETTINGS, 0, 0, struct.pack(">HI", http2.INITIAL_WINDOW_SIZE, 1 << 31)),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_broken_rule_ends_the_connection_with_a_goaway_that_says_why(name: str) -> None:
    data, code = WRONG[name]
    connection = Connection(client=False)
    with pytest.raises(ProtocolError) as caught:
        connection.receive(data)
    assert caught.value.code == code
    last = frames(taken(connection))[-1]
    assert last[0] == http2.GOAWAY
    assert struct.unpack_from(">II", last[3])[1] == code


@pytest.mark.parametrize(
    "asking", [frame(http2.PING, 0, 0, b"question"), frame(http2.SETTINGS, 0, 0, b"")], ids=["ping", "settings"]
)
def test_a_peer_that_asks_and_asks_and_never_reads_is_cut_off(asking: bytes) -> None:
    connection = server()
    for _ in range(100):
        connection.receive(asking * 1000)
        taken(connection)
    with pytest.raises(ProtocolError, match="does not read") as caught:
        connection.receive(asking * 20_000)
    assert caught.value.code == ErrorCode.ENHANCE_YOUR_CALM


@given(st.binary(max_size=300))
def test_random_bytes_are_events_or_a_protocol_error(noise: bytes) -> None:
    connection = server()
    with contextlib.suppress(ProtocolError):
        connection.receive(noise)
    assert all(len(part) <= http2.MAX_FRAME + 9 for part in connection.take(1 << 20))
