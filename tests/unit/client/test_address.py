"""Addresses: read, and found."""

from __future__ import annotations

import re
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
    [
        *("", "x", "unix://", "tcp://", "tcp://h", "tcp://h:0", "tcp://h:99999", "tcp://h:1/p", "tcp://u@h:1"),
        *("tcp://[::1", "tcp://\u2100:1", "ftp://x"),
    ],
)
def test_what_is_no_address_is_told_with_its_text(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)
    assert "tcp://" in str(caught.value)


DIAL = ("buildctl", "dial-stdio")


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("docker-container://containername", ("docker", "exec", "-i", "containername", *DIAL)),
        (
            "docker-container://Name?context=ctxname",
            ("docker", "--context=ctxname", "exec", "-i", "Name", *DIAL),
        ),
        ("podman-container://name", ("podman", "exec", "-i", "name", *DIAL)),
        ("nerdctl-container://name", ("nerdctl", "exec", "-i", "name", *DIAL)),
        ("nerdctl-container://name?namespace=ns", ("nerdctl", "exec", "--namespace", "ns", "-i", "name", *DIAL)),
        (
            "kube-pod://podname",
            ("kubectl", "--context=", "--namespace=", "exec", "--container=", "-i", "podname", "--", *DIAL),
        ),
        (
            "kube-pod://pod.name-1?container=c&namespace=ns&context=user@cluster",
            (
                *("kubectl", "--context=user@cluster", "--namespace=ns", "exec", "--container=c", "-i", "pod.name-1"),
                *("--", *DIAL),
            ),
        ),
        ("ssh://foo", ("ssh", "--", "foo", *DIAL)),
        (
            "ssh://me@foo:10022/s/o/c/k/e/t.sock",
            (
                *("ssh", "-l", "me", "-p", "10022", "--", "foo"),
                *("buildctl", "--addr", "unix:///s/o/c/k/e/t.sock", "dial-stdio"),
            ),
        ),
        ("ssh://foo/bar", ("ssh", "--", "foo", "buildctl", "--addr", "unix:///bar", "dial-stdio")),
        (
            "ssh://foo/my%20run/$(id).sock",  # which the host's shell reads once more
            ("ssh", "--", "foo", "buildctl", "--addr", "'unix:///my run/$(id).sock'", "dial-stdio"),
        ),
        ("ssh://Foo:22", ("ssh", "-p", "22", "--", "Foo", *DIAL)),
        ("ssh://[::1]:22", ("ssh", "-p", "22", "--", "::1", *DIAL)),
    ],
)
def test_an_address_of_a_container_a_pod_or_a_host_is_a_command(text: str, command: tuple[str, ...]) -> None:
    address = parse_address(text)
    assert (address.command, address.authority, str(address)) == (command, "localhost", text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("docker-container://", "names nothing; write docker-container://NAME"),
        ("docker-container://-it", "names '-it'"),
        ("docker-container://a/b", "more than a name"),
        ("docker-container://me@a", "more than a name"),
        ("docker-container://[a", "cannot be read; write docker-container://NAME"),
        ("docker-container://a?context=%00", "has a null byte in it; write docker-container://NAME"),
        ("docker-container://a?contxt=x", "has 'contxt'; did you mean 'context'?"),
        ("podman-container://", "names nothing"),
        ("podman-container://a?context=x", "has 'context'; write podman-container://NAME"),
        ("nerdctl-container://", "names nothing"),
        ("kube-pod://", "names nothing; write kube-pod://POD"),
        ("kube-pod://unsupported_pod_name", "'unsupported_pod_name' is not the name of a pod"),
        ("kube-pod://p?container=c_c&namespace=n", "'c_c' is not the name of a container"),
        ("kube-pod://p?container=c&namespace=n_n", "'n_n' is not the name of a namespace"),
        ("ssh://me:passw0rd@foo", "has a password in it"),
        ("ssh://me:passw0rd@foo?bar", "has a password in it"),
        ("ssh://me:passw0rd@[foo", "cannot be read; write ssh://HOST"),
        ("ssh://me:passw0rd@\u2100", "cannot be read"),
        ("ssh://a%00b@foo", "has a null byte in it"),
        ("ssh://foo/%00", "has a null byte in it"),
        ("ssh://foo?bar", "'bar' follows the host"),
        ("ssh://foo#bar", "'bar' follows the host"),
        ("ssh://", "names nothing"),
        ("ssh://-oProxyCommand=x", "names '-oProxyCommand=x'"),
        ("ssh://foo:bar", "does not name a host"),
        ("doker-container://x", "did you mean 'docker-container'?"),
    ],
)
def test_an_address_that_is_no_container_pod_or_host_is_told(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert says in str(caught.value)
    assert "passw0rd" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["npipe", "docker", "tcp+tls", "https", "fd"])
def test_the_other_schemes_are_not_there_yet(scheme: str) -> None:
    with pytest.raises(NotThereYet, match=re.escape(scheme)):
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
