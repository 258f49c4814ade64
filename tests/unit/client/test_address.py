"""Addresses: read, and found."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pyllb.client.address import find_address, parse_address
from pyllb.client.connection import Connection
from pyllb.errors import ConnectError, NoDaemonError, NotThereYet, UsageError


@pytest.mark.parametrize(
    ("text", "authority"),
    [
        ("unix:///run/buildkit/buildkitd.sock", "localhost"),
        ("unix://relative.sock", "localhost"),
        ("tcp://localhost:1234", "localhost:1234"),
        ("tcp://[::1]:1234", "[::1]:1234"),
    ],
)
def test_an_address_gives_the_daemon_its_name_in_requests(text: str, authority: str) -> None:
    address = parse_address(text)
    assert address.authority == authority
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", "x", "unix://", "tcp://", "tcp://h", "tcp://h:0", "tcp://h:99999", "tcp://h:1/p", "tcp://u@h:1", "ftp://x"],
)
def test_what_is_no_address_is_told_with_its_text(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)
    assert "tcp://" in str(caught.value)


@pytest.mark.parametrize(
    "scheme", ["ssh", "docker-container", "podman-container", "nerdctl-container", "kube-pod", "npipe"]
)
def test_the_schemes_that_buildctl_knows_more_are_not_there_yet(scheme: str) -> None:
    with pytest.raises(NotThereYet, match=scheme):
        parse_address(f"{scheme}://x")


def test_an_address_is_found_as_the_command_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDKIT_HOST", "tcp://env:1")
    assert find_address("tcp://arg:1").host == "arg"
    assert find_address().host == "env"
    monkeypatch.delenv("BUILDKIT_HOST")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("PYLLB_ENGINE_HOME", str(tmp_path))
    if not Path("/run/buildkit/buildkitd.sock").exists():
        with pytest.raises(NoDaemonError) as caught:
            find_address()
        assert f"{tmp_path}/run/buildkitd.sock" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 3


def test_a_dialled_socket_is_connected_and_blocks() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = parse_address(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        with address.dial() as connection:
            assert connection.gettimeout() is None
            assert connection.getpeername() == server.getsockname()
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@pytest.mark.parametrize("host", ["foo..bar", "x" * 64])
def test_what_can_be_no_host_is_told(host: str) -> None:
    with pytest.raises(ConnectError, match=f"'{host}' is not the name of a host"):
        parse_address(f"tcp://{host}:1234").dial()


def test_a_peer_that_closes_at_once_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = parse_address(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        server.close()
        with pytest.raises(ConnectError, match="refused"):
            Connection(address)
