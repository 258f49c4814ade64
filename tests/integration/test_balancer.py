"""Behind a balancer that gives each connection to another daemon: a build is whole, for it has one connection."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyllb import Client, fs, local, secret
from pyllb.client.address import parse_address
from tests.testbed import Testbed


class Balancer:
    """Listens on a port of loopback, and joins the n-th connection to the n-th of the addresses, round and round.

    It owns two threads a connection, named `balancer`, and one that accepts; close() ends them all.
    """

    def __init__(self, *addresses: str) -> None:
        self.connections = 0
        self._targets = itertools.cycle(addresses)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="balancer", daemon=True)]
        self._threads[0].start()

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"tcp://{host}:{port}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                near, _ = self._listener.accept()
                self.connections += 1
                far = parse_address(next(self._targets)).dial()
                self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=self._pipe, args=(source, sink), name="balancer"))
                    self._threads[-1].start()

    def _pipe(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the other direction has ended both
            while data := source.recv(1 << 18):
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        for one in self._open:
            one.close()


@pytest.fixture
def balancer(testbed: Testbed) -> Iterator[Balancer]:
    with testbed.start_daemon() as other, contextlib.closing(Balancer(testbed.address, other.address)) as balancer:
        yield balancer


def test_a_build_that_asks_for_files_and_secrets_uses_one_connection(
    balancer: Balancer, nonce: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text(nonce)
    node = fs().image("busybox").copy(local(tmp_path), "/file", "/file")
    node = node.run("cat /file /run/secrets/token > /out", mounts=[secret("token")])
    for number in (1, 2, 3):
        out = tmp_path / f"out{number}"
        with Client(balancer.address) as client:
            client.solve(
                fs().copy(node, "/out", "/out"), secrets={"token": "word"}, output=f"type=local,dest={out}", timeout=60
            )
            client.info()
        assert (out / "out").read_text() == f"{nonce}word"
        assert balancer.connections == number
