"""Connection: one HTTP/2 connection as a value without I/O: bytes in, events out; frames asked for, bytes out.

It serves both ends that the session has: the client of the daemon's socket, and the server inside the tunnel. What
gRPC does not use (push, priorities) is refused or ignored. Nothing here locks: the owner does.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import TypeAlias

import attrs
import hpack

from pyllb.value import Value

Buffer: TypeAlias = bytes | bytearray | memoryview
Headers: TypeAlias = tuple[tuple[str, str], ...]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 65_535
MAX_FRAME = 16_384
# Exclude patterns arrive as request headers: 20,000 of them are a few MiB, and hpack's own limit is 64 KiB.
MAX_HEADERS = 64 << 20
# Frames that wait to be taken before a peer that makes more of them is cut off: the daemon asks once, then reads.
_MAX_WAITING = 10_000
# Streams at once until the peer has said how many it takes: what RFC 9113 6.5.2 calls the least that it should.
_FIRST_STREAMS = 100
# The share of one stream before the next has its turn.
_TURN = 256 << 10

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, HAS_PRIORITY = 0x4, 0x8, 0x20
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 0x3, 0x4, 0x5

# A frame's head: length and type share the first four bytes, then flags, then the stream.
_HEAD = struct.Struct(">IBI")
_WORD = struct.Struct(">I")
_SETTING = struct.Struct(">HI")


class ErrorCode(IntEnum):
    """HTTP/2's error codes, RFC 9113 section 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    ENHANCE_YOUR_CALM = 0xB


class ProtocolError(Exception):
    """The peer broke HTTP/2's rules: the connection is of no more use. A GOAWAY with the code is queued."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@attrs.frozen(eq=False, repr=False)
class HeadersReceived(Value):
    """A whole header block of a stream: a request, a response, or trailers."""

    stream: int
    headers: Headers


@attrs.frozen(eq=False, repr=False)
class DataReceived(Value):
    """Bytes of a stream, in order. The parts are views of the buffer that was handed in: use them, do not keep them."""

    stream: int
    parts: list[memoryview]


@attrs.frozen(eq=False, repr=False)
class StreamEnded(Value):
    """The peer sends nothing more on this stream."""

    stream: int


@attrs.frozen(eq=False, repr=False)
class StreamReset(Value):
    """The stream is gone, in both directions."""

    stream: int
    code: int


@attrs.frozen(eq=False, repr=False)
class GoawayReceived(Value):
    """The peer opens or takes no more streams; those up to `last` go on."""

    last: int
    code: int
    text: str


Event: TypeAlias = HeadersReceived | DataReceived | StreamEnded | StreamReset | GoawayReceived


@attrs.define(eq=False, repr=False)
class _Stream:
    send_window: int
    receive_window: int
    pending: deque[Buffer] = attrs.field(factory=deque)
    pending_size: int = 0
    consumed: int = 0
    trailers: Headers | None = None
    ending: bool = False
    ended: bool = False
    peer_ended: bool = False


class Connection:
    """One end of an HTTP/2 connection.

    client: whether this end opens the streams. stream_window: bytes that the peer may send on one stream before
    credit() is called; the connection's own window is as large as can be, so that only streams hold the peer back.
    """

    def __init__(self, *, client: bool, stream_window: int = MAX_WINDOW) -> None:
        self._client = client
        self._streams: dict[int, _Stream] = {}
        self._stream_window = stream_window
        self._last_peer_stream = 0
        self._next_stream = 1
        self._max_streams: float | None = None  # the peer has not said yet
        self._unopened: dict[int, Headers] = {}  # the request headers of streams that wait their turn
        # what came
        self._held = bytearray()
        self._preface_due = not client
        self._settings_due = True
        self._head: tuple[int, int, int, int] | None = None
        self._data_left = 0
        self._data_stream = 0
        self._data_ends = False
        self._block: list[bytes] | None = None
        self._block_stream = 0
        self._block_ends = False
        self._block_size = 0
        self._decoder = hpack.Decoder(max_header_list_size=MAX_HEADERS)
        self._receive_window = MAX_WINDOW
        # what goes
        self._control: list[Buffer] = []
        self._ready: dict[int, None] = {}
        self._send_window = DEFAULT_WINDOW
        self._peer_window = DEFAULT_WINDOW
        self._max_frame = MAX_FRAME
        self._open()

    def _open(self) -> None:
        settings = _SETTING.pack(INITIAL_WINDOW_SIZE, self._stream_window)
        self._control.append(PREFACE if self._client else b"")
        self._frame(SETTINGS, 0, 0, settings)
        self._frame(WINDOW_UPDATE, 0, 0, _WORD.pack(MAX_WINDOW - DEFAULT_WINDOW))

    # --- bytes in -------------------------------------------------------------------------------------------------

    def receive(self, data: Buffer) -> list[Event]:
        """The events that these bytes complete. Data is passed on at once, without waiting for its frame's end.

        Raises ProtocolError.
        """
        events: list[Event] = []
        view = memoryview(data)
        position, end = 0, len(view)
        try:
            while position < end:
                if self._data_left:
                    step = min(self._data_left, end - position)
                    self._on_data(view[position : position + step], events)
                    position += step
                else:
                    position = self._on_bytes(view, position, events)
        except ProtocolError as error:
            self.goaway(error.code, str(error))
            raise
        return events

    def _on_bytes(self, view: memoryview, position: int, events: list[Event]) -> int:
        """Reads a preface, a frame's head, or a frame's payload; returns the new position."""
        if self._head is not None:
            kind, flags, stream, length = self._head
            payload, position = self._gather(view, position, length)
            if payload is not None:
                self._head = None
                self._on_frame(kind, flags, stream, bytes(payload), events)
            return position
        size = len(PREFACE) if self._preface_due else _HEAD.size
        head, position = self._gather(view, position, size)
        if head is None:
            return position
        if self._preface_due:
            self._preface_due = False
            if head != PREFACE:
                raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"the peer opened with {bytes(head)!r}, not as HTTP/2")
        else:
            self._on_head(head, events)
        return position

    def _gather(self, view: memoryview, position: int, size: int) -> tuple[Buffer | None, int]:
        held = self._held
        stop = position + size - len(held)
        if not held and stop <= len(view):
            return view[position:stop], stop
        held += view[position:stop]
        if len(held) < size:
            return None, len(view)
        whole = bytes(held)
        held.clear()
        return whole, stop

    def _on_head(self, head: Buffer, events: list[Event]) -> None:
        word, flags, stream = _HEAD.unpack(head)
        length, kind = word >> 8, word & 0xFF
        stream &= MAX_WINDOW
        if self._settings_due:
            if kind != SETTINGS or flags & ACK or length > MAX_FRAME:
                raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"the peer opened with {bytes(head)!r}, not as HTTP/2")
            self._settings_due = False
        if length > MAX_FRAME:
            raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes, the limit is {MAX_FRAME}")
        if self._block is not None and (kind != CONTINUATION or stream != self._block_stream):
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"frame type {kind} inside a header block")
        if kind == DATA:
            self._account(stream, length)
            if not flags & PADDED:
                self._data_left, self._data_stream, self._data_ends = length, stream, bool(flags & END_STREAM)
                if not length and self._data_ends:
                    self._end_peer(stream, events)
                return
        if length:
            self._head = (kind, flags, stream, length)
        else:
            self._on_frame(kind, flags, stream, b"", events)

    def _account(self, stream: int, length: int) -> None:
        if not stream:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "DATA on stream 0")
        self._receive_window -= length
        if self._receive_window < 0:
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "the peer overran the connection's window")
        if self._receive_window < MAX_WINDOW // 2:
            self._frame(WINDOW_UPDATE, 0, 0, _WORD.pack(MAX_WINDOW - self._receive_window))
            self._receive_window = MAX_WINDOW
        state = self._streams.get(stream)
        if state is not None:
            state.receive_window -= length
            if state.receive_window < 0:
                raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, f"the peer overran the window of stream {stream}")

    def _on_data(self, part: memoryview, events: list[Event]) -> None:
        stream = self._data_stream
        self._data_left -= len(part)
        if stream in self._streams:  # else it was reset by this end, and the rest of it is still under way
            last = events[-1] if events else None
            if type(last) is DataReceived and last.stream == stream:
                last.parts.append(part)
            else:
                events.append(DataReceived(stream, [part]))
        if self._data_ends and not self._data_left:
            self._end_peer(stream, events)

    def _end_peer(self, stream: int, events: list[Event]) -> None:
        state = self._streams.get(stream)
        if state is None or state.peer_ended:
            return
        state.peer_ended = True
        events.append(StreamEnded(stream))
        if state.ended:
            del self._streams[stream]

    def _on_frame(self, kind: int, flags: int, stream: int, payload: bytes, events: list[Event]) -> None:
        if kind == DATA:
            body = _unpadded(payload)
            if stream in self._streams:
                if body:
                    events.append(DataReceived(stream, [memoryview(body)]))
                self.credit(stream, len(payload) - len(body))
            if flags & END_STREAM:
                self._end_peer(stream, events)
        elif kind == HEADERS:
            self._on_headers(flags, stream, payload, events)
        elif kind == CONTINUATION:
            self._on_continuation(flags, payload, events)
        elif kind == SETTINGS:
            self._on_settings(flags, payload)
        elif kind == PING:
            _expect(len(payload) == 8, "PING", payload)
            if not flags & ACK:
                self._acknowledge(PING, payload)
        elif kind == WINDOW_UPDATE:
            _expect(len(payload) == 4, "WINDOW_UPDATE", payload)
            self._on_window(stream, _WORD.unpack(payload)[0] & MAX_WINDOW, events)
        elif kind == RST_STREAM:
            _expect(len(payload) == 4, "RST_STREAM", payload)
            if self._drop(stream):
                events.append(StreamReset(stream, _WORD.unpack(payload)[0]))
        elif kind == GOAWAY:
            _expect(len(payload) >= 8, "GOAWAY", payload)
            last, code = struct.unpack_from(">II", payload)
            events.append(GoawayReceived(last & MAX_WINDOW, code, payload[8:].decode(errors="replace")))
        elif kind == PUSH_PROMISE:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which no gRPC peer sends")

    def _on_headers(self, flags: int, stream: int, payload: bytes, events: list[Event]) -> None:
        block = _unpadded(payload) if flags & PADDED else payload
        if flags & HAS_PRIORITY:
            _expect(len(block) >= 5, "HEADERS", payload)
            block = block[5:]
        self._block = []
        self._block_stream, self._block_ends, self._block_size = stream, bool(flags & END_STREAM), 0
        self._on_continuation(flags, block, events)

    def _on_continuation(self, flags: int, block: bytes, events: list[Event]) -> None:
        if self._block is None:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        self._block.append(block)
        self._block_size += len(block) + _HEAD.size
        if self._block_size > MAX_HEADERS:
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, f"more than {MAX_HEADERS} bytes of headers")
        if flags & END_HEADERS:
            whole, self._block = b"".join(self._block), None
            self._on_block(self._block_stream, self._decode(whole), events)

    def _decode(self, block: bytes) -> Headers:
        try:
            fields = self._decoder.decode(block, raw=True)
        except hpack.HPACKError as error:
            raise ProtocolError(ErrorCode.COMPRESSION_ERROR, f"headers that cannot be read: {error}") from error
        return tuple((_text(name), _text(value)) for name, value in fields)

    def _on_block(self, stream: int, headers: Headers, events: list[Event]) -> None:
        if stream not in self._streams:
            if self._client or stream <= self._last_peer_stream:
                return  # of a stream that is over
            if not stream & 1:
                raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"a client opened stream {stream}")
            self._last_peer_stream = stream
            self._streams[stream] = self._new_stream()
        events.append(HeadersReceived(stream, headers))
        if self._block_ends:
            self._end_peer(stream, events)

    def _new_stream(self) -> _Stream:
        return _Stream(send_window=self._peer_window, receive_window=self._stream_window)

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if flags & ACK:
            return
        _expect(len(payload) % _SETTING.size == 0, "SETTINGS", payload)
        if self._max_streams is None:
            self._max_streams = math.inf
        for key, value in _SETTING.iter_unpack(payload):
            if key == MAX_CONCURRENT_STREAMS:
                self._max_streams = value
            elif key == INITIAL_WINDOW_SIZE:
                self._resize(value)
            elif key == MAX_FRAME_SIZE:
                if not MAX_FRAME <= value < 1 << 24:
                    raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"SETTINGS with a frame size of {value}")
                self._max_frame = value
        self._acknowledge(SETTINGS, b"")

    def _acknowledge(self, kind: int, payload: bytes) -> None:
        if len(self._control) >= _MAX_WAITING:
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, "the peer asks, and does not read what is answered")
        self._frame(kind, ACK, 0, payload)

    def _resize(self, window: int) -> None:
        """The new initial window holds for open streams too: what they have already used may leave them below zero."""
        if window > MAX_WINDOW:
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, f"SETTINGS with a window of {window}")
        change = window - self._peer_window
        self._peer_window = window
        for number, state in self._streams.items():
            state.send_window += change
            self._mark(number, state)

    def _on_window(self, stream: int, increment: int, events: list[Event]) -> None:
        if not stream:
            self._send_window += increment
            if not increment or self._send_window > MAX_WINDOW:
                raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, f"WINDOW_UPDATE by {increment}")
            return
        state = self._streams.get(stream)
        if state is None:
            return
        state.send_window += increment
        if not increment or state.send_window > MAX_WINDOW:
            self.reset(stream, ErrorCode.FLOW_CONTROL_ERROR)
            events.append(StreamReset(stream, ErrorCode.FLOW_CONTROL_ERROR))
            return
        self._mark(stream, state)

    # --- what this end asks for -----------------------------------------------------------------------------------

    def open(self, headers: Iterable[tuple[str, str]]) -> int:
        """Open a stream with these request headers, once the peer takes another; returns its number."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        self._streams[stream] = self._new_stream()
        self._unopened[stream] = tuple(headers)
        return stream

    def _begin(self) -> None:
        """Let streams begin, in the order of their numbers, as HTTP/2 wants it."""
        limit = _FIRST_STREAMS if self._max_streams is None else self._max_streams
        while self._unopened and len(self._streams) - len(self._unopened) < limit:
            stream = next(iter(self._unopened))
            self.send_headers(stream, self._unopened.pop(stream))
            self._mark(stream, self._streams[stream])

    def send_headers(self, stream: int, headers: Iterable[tuple[str, str]]) -> None:
        """Queue a header block. It overtakes waiting data: send_end is the way to send trailers."""
        self._header_frames(stream, headers, 0)

    def send_data(self, stream: int, parts: Sequence[Buffer]) -> None:
        """Queue bytes, to leave as the windows allow; they must not change until then. Ignored on a gone stream."""
        state = self._streams.get(stream)
        if state is None or state.ending:
            return
        state.pending.extend(parts)
        state.pending_size += sum(map(len, parts))
        self._mark(stream, state)

    def send_end(self, stream: int, trailers: Iterable[tuple[str, str]] = ()) -> None:
        """End this direction after what is queued, with trailers if there are any. Ignored on a gone stream."""
        state = self._streams.get(stream)
        if state is None or state.ending:
            return
        state.ending, state.trailers = True, tuple(trailers)
        self._mark(stream, state)

    def reset(self, stream: int, code: ErrorCode) -> None:
        """End a stream in both directions at once; what is queued for it is dropped."""
        begun = stream not in self._unopened
        if self._drop(stream) and begun:
            self._frame(RST_STREAM, 0, stream, _WORD.pack(code))

    def credit(self, stream: int, size: int) -> None:
        """This many bytes of the stream were used up: lets the peer send as many again."""
        state = self._streams.get(stream)
        if state is None or state.peer_ended:
            return
        state.consumed += size
        # An update for every half window costs nothing and is never late.
        if state.consumed >= self._stream_window // 2:
            state.receive_window += state.consumed
            self._frame(WINDOW_UPDATE, 0, stream, _WORD.pack(state.consumed))
            state.consumed = 0

    def goaway(self, code: ErrorCode, text: str = "") -> None:
        """Tell the peer that this end takes no more streams."""
        payload = struct.pack(">II", self._last_peer_stream, code) + text.encode()[:1024]
        self._frame(GOAWAY, 0, 0, payload)

    def pending(self, stream: int) -> int:
        """Bytes queued on a stream that have not left; 0 when the stream is gone."""
        state = self._streams.get(stream)
        return state.pending_size if state else 0

    # --- bytes out ------------------------------------------------------------------------------------------------

    def take(self, limit: int) -> list[Buffer]:
        """The bytes to write now, about `limit` of them; [] when there are none or the windows are shut."""
        self._begin()
        out, self._control = self._control, []
        size = sum(map(len, out))
        while self._ready and size < limit:
            stream = next(iter(self._ready))
            del self._ready[stream]
            size += self._take_stream(stream, self._streams[stream], min(_TURN, limit - size), out)
            if self._send_window <= 0 and not self._can_finish():
                break
        return out

    def _can_finish(self) -> bool:
        return any(not self._streams[stream].pending for stream in self._ready)

    def _take_stream(self, stream: int, state: _Stream, limit: int, out: list[Buffer]) -> int:
        budget = min(limit, self._send_window, state.send_window)
        taken = 0
        if budget > 0 and state.pending:
            blob = memoryview(_pull(state.pending, budget))
            taken = len(blob)
            for start in range(0, taken, self._max_frame):
                part = blob[start : start + self._max_frame]
                out.append(_HEAD.pack(len(part) << 8 | DATA, 0, stream))
                out.append(part)
            state.pending_size -= taken
            state.send_window -= taken
            self._send_window -= taken
        if state.ending and not state.pending:
            self._finish(stream, state, out)
        else:
            self._mark(stream, state)
        return taken

    def _finish(self, stream: int, state: _Stream, out: list[Buffer]) -> None:
        if state.trailers:
            self._header_frames(stream, state.trailers, END_STREAM)
        else:
            self._frame(DATA, END_STREAM, stream, b"")
        state.ended = True
        if state.peer_ended:
            del self._streams[stream]
        elif not self._client:
            # A server that is done does not want the rest of the request (RFC 9113 8.1).
            self.reset(stream, ErrorCode.NO_ERROR)
        out += self._control
        self._control = []

    def _mark(self, stream: int, state: _Stream) -> None:
        """Put a stream in line if it has something that its own window lets go."""
        if state.ended or stream in self._unopened:
            return
        if state.send_window > 0 if state.pending else state.ending:
            self._ready[stream] = None

    def _drop(self, stream: int) -> bool:
        self._ready.pop(stream, None)
        self._unopened.pop(stream, None)
        return self._streams.pop(stream, None) is not None

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self._control.append(_HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload)

    def _header_frames(self, stream: int, headers: Iterable[tuple[str, str]], flags: int) -> None:
        block = encode_headers(headers)
        rest = range(self._max_frame, len(block), self._max_frame)
        self._frame(HEADERS, flags | (0 if rest else END_HEADERS), stream, block[: self._max_frame])
        for start in rest:
            last = start + self._max_frame >= len(block)
            self._frame(CONTINUATION, END_HEADERS if last else 0, stream, block[start : start + self._max_frame])


def encode_headers(headers: Iterable[tuple[str, str]]) -> bytes:
    """A header block of literals that are not indexed: no state to keep in step, and legal after any SETTINGS."""
    block = bytearray()
    for name, value in headers:
        block.append(0)
        for text in (name, value):
            raw = text.encode("utf-8", "surrogateescape")
            block += hpack.hpack.encode_integer(len(raw), 7)
            block += raw
    return bytes(block)


def grouped(headers: Headers) -> Mapping[str, tuple[str, ...]]:
    """Headers as name to values, in the order they came."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value)
    return {name: tuple(values) for name, values in found.items()}


def _pull(pending: deque[Buffer], size: int) -> bytes:
    """Takes up to size bytes off the front. One join: DATA frames need not end where messages do."""
    parts: list[Buffer] = []
    while pending and size > 0:
        part = pending.popleft()
        if len(part) > size:
            view = memoryview(part)
            pending.appendleft(view[size:])
            part = view[:size]
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _unpadded(payload: bytes) -> bytes:
    padding = payload[0] if payload else 256
    _expect(padding < len(payload), "padded", payload)
    return payload[1 : len(payload) - padding]


def _expect(condition: bool, kind: str, payload: bytes) -> None:
    if not condition:
        raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, f"a {kind} frame of {len(payload)} bytes")


def _text(raw: bytes | str) -> str:
    return raw if isinstance(raw, str) else raw.decode("utf-8", "surrogateescape")
