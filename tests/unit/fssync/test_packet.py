"""Packets: what is encoded by hand reads back, also as protobuf reads it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyllb._pb import wire_pb2
from pyllb.rpc.status import RpcError
from pyllb.session.fssync.packet import (
    END_OF_STATS,
    FIN,
    Packet,
    PacketType,
    decode,
    decode_bytes_message,
    encode_data_header,
    encode_error,
    encode_request,
    encode_stat,
    varint,
)
from pyllb.session.fssync.stat import Stat

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
STATS = st.builds(
    Stat,
    path=st.binary(min_size=1, max_size=300),
    mode=st.integers(0, (1 << 32) - 1),
    size=st.integers(0, 1 << 62),
    mtime=INT64,
    linkname=st.binary(max_size=300),
    devmajor=st.integers(0, 1 << 12),
    devminor=st.integers(0, 1 << 20),
    xattrs=st.none() | st.dictionaries(st.binary(min_size=1, max_size=20), st.binary(max_size=200), min_size=1),
)


@given(STATS)
def test_a_stat_reads_back(stat: Stat) -> None:
    assert decode(encode_stat(stat)) == Packet(PacketType.STAT, stat)


@given(STATS, st.text(max_size=50), st.text(max_size=50))
def test_a_stat_is_what_protobuf_writes(stat: Stat, path: str, linkname: str) -> None:
    stat = stat._replace(path=path.encode(), linkname=linkname.encode(), xattrs=None)
    read = wire_pb2.Packet.FromString(encode_stat(stat))
    assert int(read.type) == 0
    assert (read.stat.path, read.stat.mode, read.stat.size) == (stat.path, stat.mode, stat.size)
    assert (read.stat.modTime, read.stat.linkname) == (stat.mtime, stat.linkname)
    assert (read.stat.devmajor, read.stat.devminor) == (stat.devmajor, stat.devminor)
    assert decode(read.SerializeToString()) == Packet(PacketType.STAT, stat)


def test_owner_and_unknown_fields_of_a_stat_are_passed_over() -> None:
    body = b"\x0a\x01a" + b"\x18\xe8\x07" + b"\x20\x05" + b"\x10\xa4\x03"
    assert decode(b"\x12" + varint(len(body)) + body) == Packet(PacketType.STAT, Stat(b"a", 0o644))


@given(st.integers(0, (1 << 32) - 1), st.binary(max_size=3000))
def test_data_reads_back_in_either_order_of_its_fields(file_id: int, content: bytes) -> None:
    packet = encode_data_header(file_id, len(content)) + content
    assert decode(packet) == Packet(PacketType.DATA, None, file_id, memoryview(content))
    turned = b"\x22" + varint(len(content)) + content + b"\x18" + varint(file_id) + b"\x08\x02"
    assert decode(turned) == Packet(PacketType.DATA, None, file_id, memoryview(content))


def test_the_other_packets_read_back() -> None:
    assert decode(END_OF_STATS) == Packet(PacketType.STAT, None)
    assert decode(FIN) == Packet(PacketType.FIN)
    assert [decode(encode_request(n)) for n in (0, 1, 1 << 31)] == [
        Packet(PacketType.REQ, None, n) for n in (0, 1, 1 << 31)
    ]
    assert decode(encode_error("für \udcff")).data == "für ".encode() + b"\xff"


@given(st.binary(max_size=60))
def test_bytes_that_are_no_packet_are_an_error_and_nothing_else(message: bytes) -> None:
    for read in (decode, decode_bytes_message):
        with contextlib.suppress(RpcError):
            assert read(message) is not None


@given(STATS, st.integers(1, 50))
def test_a_truncated_stat_is_an_error(stat: Stat, cut: int) -> None:
    whole = encode_stat(stat)
    with pytest.raises(RpcError):
        decode(whole[: max(1, len(whole) - cut)])


@given(st.binary(max_size=3000))
def test_a_bytes_message_is_read_without_a_copy(content: bytes) -> None:
    message = b"\x0a" + varint(len(content)) + content
    data = decode_bytes_message(message)
    assert data == content
    assert data.obj is message
    assert decode_bytes_message(b"\x10\x05" + message) == content
    assert len(decode_bytes_message(b"")) == 0
