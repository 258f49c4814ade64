"""Content service: the daemon reads blobs out of OCI layouts of this side.

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
from pyllb.session.layout import Layout, is_digest
from pyllb.session.unary import read_request

SERVICE = "/containerd.services.content.v1.Content/"
STORE = "buildkit-attachable-store-id"
"""The metadata key by which a call says which store it means."""

_WRITES = ("Write", "Abort", "Update", "Delete")
_CHUNK = 1 << 20
_INFOS = 100  # in one message of List, as containerd does

Request = TypeVar("Request", bound=Message)


def layout_id(name: str) -> str:
    """The store id by which the daemon asks for the OCI layout that a build calls name."""
    return f"oci:{name}"


class Content:
    """Serves the blobs of layouts, and takes none.

    stores: by store id. The daemon calls Info and Read; List is there for completeness, and what would write is
    refused.
    """

    def __init__(self, stores: Mapping[str, Layout]) -> None:
        self.stores: Mapping[str, Layout] = MappingProxyType(dict(stores))

    def methods(self) -> Mapping[str, Handler]:
        """The methods to announce."""
        served = {"Info": self._info, "Read": self._read, "List": self._list}
        served |= {"Status": self._status, "ListStatuses": self._list_statuses}
        served |= dict.fromkeys(_WRITES, self._refuse)
        return {SERVICE + name: handler for name, handler in served.items()}

    def _info(self, call: Call) -> None:
        layout = self._store(call)
        digest = _request(call, content_pb2.InfoRequest).digest
        with _opened(layout, digest) as fd:
            info = _info_of(digest, os.fstat(fd))
        call.send([content_pb2.InfoResponse(info=info).SerializeToString()])

    def _read(self, call: Call) -> None:
        layout = self._store(call)
        request = _request(call, content_pb2.ReadContentRequest)
        with _opened(layout, request.digest) as fd:
            size = os.fstat(fd).st_size
            begin = max(request.offset, 0)
            if begin > size:
                raise RpcError(Code.OUT_OF_RANGE, f"{request.digest} has {size} bytes, none at {begin}")
            end = min(size, begin + request.size) if request.size > 0 else size
            _send(call, fd, begin, end)

    def _list(self, call: Call) -> None:
        layout = self._store(call)
        if _request(call, content_pb2.ListContentRequest).filters:
            raise RpcError(Code.UNIMPLEMENTED, "filters of a list of blobs")
        for infos in _batches(_infos(layout)):
            call.send([content_pb2.ListContentResponse(info=infos).SerializeToString()])

    def _status(self, call: Call) -> None:
        self._store(call)
        ref = _request(call, content_pb2.StatusRequest).ref
        raise RpcError(Code.NOT_FOUND, f"nothing is written as {ref!r}")

    def _list_statuses(self, call: Call) -> None:
        self._store(call)
        call.send([content_pb2.ListStatusesResponse().SerializeToString()])

    def _refuse(self, call: Call) -> None:
        layout = self._store(call)
        raise RpcError(Code.PERMISSION_DENIED, f"the OCI layout {str(layout.path)!r} is only read")

    def _store(self, call: Call) -> Layout:
        id = next(iter(call.metadata.get(STORE, ())), None)
        if id is None:
            raise RpcError(Code.INVALID_ARGUMENT, f"{call.method} without {STORE}, which says the store")
        store = self.stores.get(id)
        if store is None:
            raise RpcError(Code.NOT_FOUND, f"store {id!r} was not given")
        return store


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
        call.send([content_pb2.ReadContentResponse(offset=position - begin, data=data).SerializeToString()])
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
    seconds, nanoseconds = divmod(found.st_mtime_ns, 1_000_000_000)
    time = timestamp_pb2.Timestamp(seconds=seconds, nanos=nanoseconds)
    return content_pb2.Info(digest=digest, size=found.st_size, created_at=time, updated_at=time)


def _request(call: Call, kind: type[Request]) -> Request:
    """The one request of a unary call. Raises RpcError."""
    try:
        return kind.FromString(read_request(call))
    except DecodeError as error:
        raise RpcError(Code.INTERNAL, f"{call.method}: a request that cannot be read: {error}") from error
