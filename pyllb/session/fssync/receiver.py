"""Receiver: the half of a transfer that is told of a tree, asks for files' content, and writes it all to disk.

Mirrors fsutil's ReceiveRoot with Merge, BuildKit 0.33.1. Where it differs: files of size 0 are not asked for, and no
more content is asked for at a time than should lie in memory when the disk is slow.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

import attrs

from pyllb.rpc.framing import Message
from pyllb.rpc.status import Code, RpcError
from pyllb.session.call import Call
from pyllb.session.fssync.disk import Disk, Growing
from pyllb.session.fssync.order import OrderCheck
from pyllb.session.fssync.packet import FIN, Packet, PacketType, decode, encode_error, encode_request
from pyllb.session.fssync.stat import TYPE, Stat

_MAX_ASKED = 64 * 1024 * 1024  # bytes asked for and not here yet
_WRITE_SIZE = 256 * 1024  # pieces of a file are gathered up to this much before a write


def receive(call: Call, destination: Path) -> None:
    """Receive a tree into destination, an existing directory; what is in it and not received stays as it is.

    Raises RpcError when the sender fails or breaks the protocol, or when something cannot be written; CallCancelled.
    """
    try:
        disk = Disk(destination)
    except OSError as error:
        raise _failure(call, _reason(error, destination)) from error
    try:
        _Receiver(call, disk).run()
    except OSError as error:
        raise _failure(call, _reason(error, destination)) from error
    except RpcError as error:
        raise _failure(call, error.message, error.code) from error
    finally:
        disk.close()


@attrs.define
class _Arriving:
    """A file whose content was asked for. held: pieces that are not written yet."""

    stat: Stat
    held: list[memoryview] = attrs.Factory(list)
    held_bytes: int = 0
    growing: Growing | None = None


@attrs.define
class _Receiver:
    call: Call
    disk: Disk
    order: OrderCheck = attrs.Factory(OrderCheck)
    next_id: int = 0
    listed: bool = False  # the end of the list has come
    wanted: deque[tuple[int, Stat]] = attrs.Factory(deque)  # to be asked for
    arriving: dict[int, _Arriving] = attrs.Factory(dict)  # asked for
    asked_bytes: int = 0

    def run(self) -> None:
        """Until all is on disk and the sender has said goodbye."""
        while not self.listed or self.wanted or self.arriving:
            for packet in self.next():
                self.take(packet)
            self.ask()
        self.disk.finish()
        self.call.send([FIN])
        while (messages := self.call.receive()) is not None:
            self.check_farewell(messages)

    def next(self) -> list[Packet]:
        messages = self.call.receive()
        if messages is None:
            raise RpcError(Code.ABORTED, "the sender ended the transfer before it was complete")
        return list(map(decode, messages))

    def take(self, packet: Packet) -> None:
        kind = packet.type
        if kind == PacketType.DATA:
            self.take_data(packet.id, packet.data)
        elif kind == PacketType.STAT:
            if packet.stat is None:
                self.listed = True
            else:
                self.take_stat(packet.stat)
        elif kind == PacketType.ERR:
            raise RpcError(Code.UNKNOWN, f"error from sender: {bytes(packet.data).decode('utf-8', 'replace')}")
        else:
            raise RpcError(Code.INTERNAL, f"a sender does not send packets of type {kind} here")

    def take_stat(self, stat: Stat) -> None:
        file_id = self.next_id
        self.next_id += 1
        self.order.add(stat)
        if stat.mode & TYPE or stat.linkname:
            self.disk.add(stat)
        elif stat.size:
            self.wanted.append((file_id, stat))
        else:
            self.disk.create(stat, ())

    def take_data(self, file_id: int, data: memoryview) -> None:
        file = self.arriving.get(file_id)
        if file is None:
            raise RpcError(Code.INVALID_ARGUMENT, f"invalid file request {file_id}")
        if not len(data):
            self.finish_file(file_id, file)
            return
        file.held.append(data)
        file.held_bytes += len(data)
        # A file that is whole before this much has come is made in one go.
        if file.held_bytes >= _WRITE_SIZE:
            if file.growing is None:
                file.growing = self.disk.start(file.stat)
            self.disk.append(file.growing, file.held)
            file.held, file.held_bytes = [], 0

    def finish_file(self, file_id: int, file: _Arriving) -> None:
        if file.growing is None:
            self.disk.create(file.stat, file.held)
        else:
            self.disk.finish_file(file.growing, file.held)
        self.asked_bytes -= file.stat.size
        del self.arriving[file_id]

    def ask(self) -> None:
        requests: list[Message] = []
        while self.wanted and (not self.arriving or self.asked_bytes < _MAX_ASKED):
            file_id, stat = self.wanted.popleft()
            requests.append(encode_request(file_id))
            self.arriving[file_id] = _Arriving(stat)
            self.asked_bytes += stat.size
        if requests:
            self.call.send(requests)

    def check_farewell(self, messages: list[bytes]) -> None:
        for packet in map(decode, messages):
            if packet.type == PacketType.ERR:
                self.take(packet)


def _failure(call: Call, text: str, code: Code = Code.UNKNOWN) -> RpcError:
    call.send([encode_error(text)])
    return RpcError(code, text)


def _reason(error: OSError, destination: Path) -> str:
    name = os.fsdecode(error.filename) if isinstance(error.filename, bytes | str) else ""
    where = f" in {os.fspath(destination)!r}" if name not in ("", os.fspath(destination)) else ""
    return f"cannot write {name or os.fspath(destination)!r}{where}: {error.strerror or error}"
