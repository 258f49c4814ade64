"""Content service: the daemon reads blobs out of OCI layouts of this side, and writes them into those that take them.

Mirrors `containerd.services.content.v1.Content` and session/content, BuildKit 0.33.1.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from pyllb._pb import content_pb2, timestamp_pb2
from pyllb.rpc.status import Code, RpcError
from pyllb.session.call import Call, Handler
from pyllb.session.digest import is_digest
from pyllb.session.fssync.packet import varint
from pyllb.session.ingest import Ingest, Write
from pyllb.session.layout import Layout
from pyllb.session.unary import read_request

SERVICE = "/containerd.services.content.v1.Content/"
STORE = "buildkit-attachable-store-id"
"""The metadata key by which a call says which store it means."""

_CHUNK = 1 << 20
_DATA = b"\x12"  # the tag of ReadContentResponse.data
_INFOS = 100  # in one message of List, as containerd does

Request = TypeVar("Request", bound=Message)


EXPORT = "export"
"""The store id of the layout that an exporter makes; a solve has one."""


def layout_id(name: str) -> str:
    """The store id by which the daemon asks for the OCI layout that a build calls name."""
    return f"oci:{name}"


def cache_id(directory: str) -> str:
    """The store id of a local cache, whose directory the daemon was told."""
    return f"local:{directory}"


class Content:
    """Serves the blobs of layouts.

    stores: by store id; a Layout is only read, an Ingest takes blobs too. The daemon calls Info and Read, and to write
    Write. The other questions are answered; no blob is deleted, and none has labels.
    """

    def __init__(self, stores: Mapping[str, Layout | Ingest]) -> None:
        self.stores: Mapping[str, Layout | Ingest] = MappingProxyType(dict(stores))

    def methods(self) -> Mapping[str, Handler]:
        """The methods to announce."""
        served = {"Info": self._info, "Read": self._read, "List": self._list}
        served |= {"Status": self._status, "ListStatuses": self._list_statuses}
        served |= {"Write": self._write, "Abort": self._abort, "Update": self._refuse, "Delete": self._refuse}
        return {SERVICE + name: handler for name, handler in served.items()}

    def _info(self, call: Call) -> None:
        layout = self._layout(call)
        digest = _request(call, content_pb2.InfoRequest).digest
        with _opened(layout, digest) as fd:
            info = _info_of(digest, os.fstat(fd))
        call.send([content_pb2.InfoResponse(info=info).SerializeToString()])

    def _read(self, call: Call) -> None:
        layout = self._layout(call)
        request = _request(call, content_pb2.ReadContentRequest)
        with _opened(layout, request.digest) as fd:
            size = os.fstat(fd).st_size
            begin = max(request.offset, 0)
            if begin > size:
                raise RpcError(Code.OUT_OF_RANGE, f"{request.digest} has {size} bytes, none at {begin}")
            end = min(size, begin + request.size) if request.size > 0 else size
            _send(call, fd, begin, end)

    def _list(self, call: Call) -> None:
        layout = self._layout(call)
        if _request(call, content_pb2.ListContentRequest).filters:
            raise RpcError(Code.UNIMPLEMENTED, "filters of a list of blobs")
        for infos in _batches(_infos(layout)):
            call.send([content_pb2.ListContentResponse(info=infos).SerializeToString()])

    def _status(self, call: Call) -> None:
        store = self._store(call)
        ref = _request(call, content_pb2.StatusRequest).ref
        for write in store.writes if isinstance(store, Ingest) else ():
            if write.ref == ref:
                call.send([content_pb2.StatusResponse(status=_status_of(write)).SerializeToString()])
                return
        raise RpcError(Code.NOT_FOUND, f"nothing is written as {ref!r}")

    def _list_statuses(self, call: Call) -> None:
        store = self._store(call)
        if _request(call, content_pb2.ListStatusesRequest).filters:
            raise RpcError(Code.UNIMPLEMENTED, "filters of a list of writes")
        statuses = [_status_of(write) for write in store.writes] if isinstance(store, Ingest) else []
        call.send([content_pb2.ListStatusesResponse(statuses=statuses).SerializeToString()])

    def _write(self, call: Call) -> None:
        ingest = self._ingest(call)
        requests = _requests(call, content_pb2.WriteContentRequest)
        first = next(requests, None)
        if first is None:
            raise RpcError(Code.INVALID_ARGUMENT, "a write without a message")
        with ingest.begin(first.ref, first.total, first.expected) as write:
            for request in itertools.chain((first,), requests):
                call.send([_written(ingest, write, request).SerializeToString()])
                if request.action == content_pb2.COMMIT:
                    return

    def _abort(self, call: Call) -> None:
        """Nothing to do: what was not committed went with the call that wrote it."""
        self._ingest(call)
        _request(call, content_pb2.AbortRequest)
        call.send([b""])

    def _refuse(self, call: Call) -> None:
        self._ingest(call)
        raise RpcError(Code.FAILED_PRECONDITION, "an OCI layout keeps its blobs, and no labels of them")

    def _layout(self, call: Call) -> Layout:
        store = self._store(call)
        return store.layout if isinstance(store, Ingest) else store

    def _ingest(self, call: Call) -> Ingest:
        store = self._store(call)
        if isinstance(store, Ingest):
            return store
        raise RpcError(Code.PERMISSION_DENIED, f"the OCI layout {str(store.path)!r} is only read")

    def _store(self, call: Call) -> Layout | Ingest:
        id = next(iter(call.metadata.get(STORE, ())), None)
        if id is None:
            raise RpcError(Code.INVALID_ARGUMENT, f"{call.method} without {STORE}, which says the store")
        store = self.stores.get(id)
        if store is None:
            raise RpcError(Code.NOT_FOUND, f"store {id!r} was not given")
        return store


def _written(
    ingest: Ingest, write: Write, request: content_pb2.WriteContentRequest
) -> content_pb2.WriteContentResponse:
    """Do one step of a write, and say where it is."""
    ingest.check_expected(request.expected)
    write.total = request.total or write.total
    if request.action != content_pb2.STAT:
        if request.offset and request.offset != write.offset:
            raise RpcError(Code.OUT_OF_RANGE, f"a write at {request.offset}, and {write.ref} is at {write.offset}")
        if not request.offset and write.offset:
            write.truncate()
        write.write(request.data)
    if request.action == content_pb2.COMMIT:
        ingest.last = write.digest  # also when it is there already, which is told as an error
        write.commit(request.expected)
    return content_pb2.WriteContentResponse(
        action=request.action,
        offset=write.offset,
        total=write.total,
        digest=write.digest,
        started_at=_timestamp(write.started),
        updated_at=_timestamp(write.updated),
    )


def _status_of(write: Write) -> content_pb2.Status:
    return content_pb2.Status(
        ref=write.ref,
        offset=write.offset,
        total=write.total,
        started_at=_timestamp(write.started),
        updated_at=_timestamp(write.updated),
    )


@contextlib.contextmanager
def _opened(layout: Layout, digest: str) -> Iterator[int]:
    """A blob's descriptor, for a block. Raises RpcError for what is no digest, or not there."""
    if not is_digest(digest):
        raise RpcError(Code.INVALID_ARGUMENT, f"{digest!r} is not a digest")
    try:
        fd = layout.open(digest)
    except (FileNotFoundError, NotADirectoryError):
        raise RpcError(Code.NOT_FOUND, f"the OCI layout {str(layout.path)!r} has no blob {digest}") from None
    except OSError as error:
        raise RpcError(Code.UNKNOWN, f"{str(layout.blob(digest))!r} cannot be read: {error.strerror}") from error
    try:
        yield fd
    finally:
        os.close(fd)


def _send(call: Call, fd: int, begin: int, end: int) -> None:
    """The bytes from begin to end, in messages whose offsets count from begin."""
    position = begin
    while position < end:
        data = os.pread(fd, min(_CHUNK, end - position), position)
        if not data:
            raise RpcError(Code.DATA_LOSS, f"the blob ended at {position}, before {end}, while it was read")
        head = content_pb2.ReadContentResponse(offset=position - begin).SerializeToString()
        call.send([(head + _DATA + varint(len(data)), data)])  # the data itself is copied by nobody
        position += len(data)


def _infos(layout: Layout) -> Iterator[content_pb2.Info]:
    try:
        for digest in layout.digests():
            with contextlib.suppress(FileNotFoundError):  # gone since
                yield _info_of(digest, layout.blob(digest).stat())
    except OSError as error:
        raise RpcError(Code.UNKNOWN, f"{str(layout.path)!r} cannot be read: {error.strerror}") from error


def _batches(infos: Iterator[content_pb2.Info]) -> Iterator[list[content_pb2.Info]]:
    while batch := list(itertools.islice(infos, _INFOS)):
        yield batch


def _info_of(digest: str, found: os.stat_result) -> content_pb2.Info:
    time = _timestamp(found.st_mtime_ns)
    return content_pb2.Info(digest=digest, size=found.st_size, created_at=time, updated_at=time)


def _timestamp(nanoseconds: int) -> timestamp_pb2.Timestamp:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=rest)


def _request(call: Call, kind: type[Request]) -> Request:
    """The one request of a unary call. Raises RpcError."""
    return _decoded(call, kind, read_request(call))


def _requests(call: Call, kind: type[Request]) -> Iterator[Request]:
    """The requests of a stream, as they come. Raises RpcError."""
    while (messages := call.receive()) is not None:
        yield from (_decoded(call, kind, message) for message in messages)


def _decoded(call: Call, kind: type[Request], message: bytes) -> Request:
    try:
        return kind.FromString(message)
    except DecodeError as error:
        raise RpcError(Code.INTERNAL, f"{call.method}: a request that cannot be read: {error}") from error
