"""A real buildkitd that speaks TLS, and lets in those whom its authority vouches for."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

import pyllb
from pyllb import Client, fs, local
from pyllb.client import Tls
from pyllb.client.address import parse_address
from pyllb.errors import ConnectError, UsageError
from pyllb.rpc import http2
from tests.testbed import Testbed

ROOT = Path(__file__).resolve().parents[2]


@attrs.frozen
class Secure:
    """address: of a daemon whose certificate is for 127.0.0.1 and `builder`. files: our ca.pem, cert.pem, key.pem."""

    address: str
    files: Path

    @property
    def tls(self) -> Tls:
        return Tls.of_directory(self.files)


def written(folder: Path, authority: trustme.CA, *names: str) -> Path:
    """A directory with a certificate for these names, its key, and the authority's."""
    folder.mkdir()
    made = authority.issue_cert(*names)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    made.private_key_pem.write_to_path(folder / "key.pem")
    return folder


@pytest.fixture(scope="module")
def secure(testbed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    with testbed.start_daemon(tls=written(folder / "daemon", authority, "127.0.0.1", "builder")) as daemon:
        yield Secure(daemon.tcp_address, written(folder / "me", authority, "me"))


def test_a_build_goes_over_tls_both_ways(secure: Secure, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/file").write_bytes(os.urandom(20 << 20))
    node = fs().copy(local(tmp_path / "context"), "/file", "/file")
    with Client(secure.address, tls=secure.tls) as client:
        for number in (1, 2):
            client.solve(node, output=f"type=local,dest={tmp_path}/out{number}")
        assert client.info().version
    for number in (1, 2):
        assert (tmp_path / f"out{number}/file").read_bytes() == (tmp_path / "context/file").read_bytes()


def test_the_name_may_be_another_than_the_hosts(secure: Secure) -> None:
    files = secure.files
    named = Tls(ca=files / "ca.pem", cert=files / "cert.pem", key=files / "key.pem", server_name="builder")
    assert pyllb.solve(fs().mkfile("/a", b""), addr=secure.address, tls=named).metadata == {}
    with pytest.raises(ConnectError, match=r"not to be trusted: Hostname mismatch.*'other'"):
        Client(secure.address, tls=attrs.evolve(named, server_name="other")).info()


@pytest.mark.parametrize("name", ["x" * 64, ".builder", "a..b", "a\0b"])
def test_a_name_that_no_host_can_have_is_told(name: str) -> None:
    with pytest.raises(UsageError, match=r"tls: server_name is .*, which no host can have"):
        Tls(server_name=name)


def short(authority: trustme.CA) -> bytes:
    """The authority's certificate with as little in it as `openssl req -x509` puts there."""
    whole = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    key = load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    made = x509.CertificateBuilder(whole.subject, whole.subject, key.public_key(), 1)
    made = made.not_valid_before(whole.not_valid_before_utc).not_valid_after(whole.not_valid_after_utc)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return made.sign(key, SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("which", ["short", "in the middle"])
def test_an_authority_that_go_takes_is_taken_under_each_python(
    which: str, testbed: Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA() if which == "short" else trustme.CA().create_child_ca()
    mine, theirs = written(tmp_path / "me", authority, "me"), written(tmp_path / "daemon", authority, "127.0.0.1")
    if which == "short":
        (mine / "ca.pem").write_bytes(short(authority))
    made = ssl.create_default_context

    def of_a_later_python(cafile: Path) -> ssl.SSLContext:
        context = made(cafile=cafile)
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # since 3.13
        return context

    monkeypatch.setattr(ssl, "create_default_context", of_a_later_python)
    with testbed.start_daemon(tls=theirs) as daemon:
        asked = [str(testbed.buildctl), "--addr", daemon.tcp_address, f"--tlsdir={mine}", "debug", "workers"]
        assert subprocess.run(asked, capture_output=True, check=False).returncode == 0
        with Client(daemon.tcp_address, tls=Tls.of_directory(mine)) as client:
            assert client.info().version


def test_a_host_that_accepts_and_says_nothing_is_told(secure: Secure) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        address = attrs.evolve(parse_address(f"tcp://127.0.0.1:{port}"), tls=secure.tls)
        with pytest.raises(ConnectError, match=r"it did not accept a connection and begin TLS within 0.1 s"):
            address.dial(0.1)


def test_a_daemon_that_nobody_vouches_for_is_not_trusted(secure: Secure, tmp_path: Path) -> None:
    for tls in (Tls(), Tls.of_directory(written(tmp_path / "else", trustme.CA(), "me"))):
        with pytest.raises(ConnectError, match="the certificate is not to be trusted: "):
            Client(secure.address, tls=tls).info()


def test_who_has_no_certificate_is_told_so(secure: Secure) -> None:
    with pytest.raises(ConnectError, match="certificate required"):
        Client(secure.address, tls=Tls(ca=secure.files / "ca.pem")).info()


def test_tls_on_one_side_alone_is_told(secure: Secure, testbed: Testbed) -> None:
    with pytest.raises(ConnectError, match=r"one that speaks TLS wants tls=Tls\(ca=...\), or --tlscacert"):
        Client(secure.address).info()
    with pytest.raises(ConnectError, match=r"no daemon at 'tcp://.*: wrong version number"):
        Client(testbed.tcp_address, tls=secure.tls).info()


def test_files_that_are_wrong_are_told(secure: Secure, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing\n")
    files = secure.files
    with pytest.raises(UsageError, match="there is a cert and no key"):
        Tls(cert=files / "cert.pem")
    with pytest.raises(UsageError, match=r"there is no file '.*/gone.pem'"):
        Tls(ca=tmp_path / "gone.pem")
    with pytest.raises(UsageError, match=r"in '.*' there is no ca.pem and no ca.crt"):
        Tls.of_directory(tmp_path)
    with pytest.raises(UsageError, match=r"no.pem' has no certificates: "):
        Client(secure.address, tls=Tls(ca=tmp_path / "no.pem")).info()
    with pytest.raises(UsageError, match="are no certificate with its key: "):
        Client(secure.address, tls=Tls(cert=files / "ca.pem", key=files / "key.pem")).info()
    with pytest.raises(UsageError, match="tls is for tcp://host:port, and the daemon is at 'unix:///x'"):
        Client("unix:///x", tls=secure.tls)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "pyllb.cli", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


BUILD = """
from pyllb import FS, fs, target

@target
def default() -> FS:
    return fs().image("busybox").run("true")
"""


def test_requests_say_that_they_go_over_tls(tmp_path: Path) -> None:
    """Proxies that look at it refuse others."""
    authority, seen = trustme.CA(), list[str]()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    def serve(listener: socket.socket) -> None:
        daemon = http2.Connection(client=False)
        with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.sendall(b"".join(daemon.take(1 << 20)))
            while not seen:
                found = [e for e in daemon.receive(connection.recv(1 << 16)) if isinstance(e, http2.HeadersReceived)]
                seen.extend(dict(event.headers)[":scheme"] for event in found)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ConnectError), Client(address, tls=Tls(ca=tmp_path / "ca.pem")) as client:
            client.info()  # which is not answered
        thread.join()
    assert seen == ["https"]


def test_the_command_has_buildctls_flags(secure: Secure, testbed: Testbed, tmp_path: Path) -> None:
    build = tmp_path / "build.py"
    build.write_text(BUILD)
    files = [
        f"--tls{name}={secure.files}/{file}.pem"
        for name, file in zip(("cacert", "cert", "key"), ("ca", "cert", "key"), strict=True)
    ]
    for flags in ([f"--tlsdir={secure.files}"], files, [*files, "--tlsservername=builder"]):
        done = run("solve", str(build), "--addr", secure.address, "--progress=quiet", *flags)
        assert (done.returncode, done.stderr) == (0, "")
        theirs = [str(testbed.buildctl), "--addr", secure.address, *flags, "debug", "workers"]
        assert subprocess.run(theirs, capture_output=True, check=False).returncode == 0
    dumped = run("dump", str(build), "--addr", secure.address, "--format=tree", f"--tlsdir={secure.files}")
    assert "PATH=" in dumped.stdout
    both = run("solve", str(build), "--addr", secure.address, f"--tlsdir={secure.files}", files[0])
    assert (both.returncode, "--tlsdir has all three files, and --tlscacert is one" in both.stderr) == (2, True)
