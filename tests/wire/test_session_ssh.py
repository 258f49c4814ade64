"""The ssh agent: lent for listing and signing, through a real ssh-agent, and for nothing else."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyllb._pb import ssh_pb2
from pyllb.errors import NotThereYet, UsageError
from pyllb.rpc.status import Code
from pyllb.session.session import Session
from pyllb.session.ssh import CHECK_AGENT, FORWARD_AGENT, Ssh, SshAgent
from tests.wire.peer import Peer, PeerCall, peer_of

LIST = b"\x00\x00\x00\x01\x0b"
REMOVE_ALL = b"\x00\x00\x00\x01\x13"
FAILURE = b"\x00\x00\x00\x01\x05"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """A real ssh-agent with one key."""
    path = tmp_path / "agent.sock"
    child = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a comment", "-f", str(key)], check=True)
    for _ in range(200):
        if path.exists():
            break
        threading.Event().wait(0.01)
    environment = {**os.environ, "SSH_AUTH_SOCK": str(path)}
    subprocess.run(["ssh-add", "-q", str(key)], check=True, env=environment, stderr=subprocess.DEVNULL)
    yield path
    child.terminate()
    child.wait(10)


def conversation(peer: Peer, id: str = "default") -> PeerCall:
    return peer.call(FORWARD_AGENT, [("buildkit.ssh.id", id)])


def send(call: PeerCall, data: bytes) -> None:
    call.send(ssh_pb2.BytesMessage(data=data).SerializeToString())


def answer(call: PeerCall) -> bytes:
    message = call.receive()
    assert message is not None
    return ssh_pb2.BytesMessage.FromString(message).data


def test_a_step_sees_the_keys_of_the_agent_and_the_stream_ends_with_it(agent: Path) -> None:
    with peer_of(Session([Ssh({"default": SshAgent(agent)})])) as peer:
        call = conversation(peer)
        send(call, LIST)
        assert b"a comment" in answer(call)
        call.close_send()
        assert call.receive() is None
        assert call.status() == (0, "")


def test_a_request_may_come_in_pieces_and_several_at_once(agent: Path) -> None:
    with peer_of(Session([Ssh({"default": SshAgent(agent)})])) as peer:
        call = conversation(peer)
        send(call, LIST[:3])
        send(call, LIST[3:] + REMOVE_ALL + LIST)
        answers = [answer(call) for _ in range(3)]
        assert answers[0] == answers[2]
        assert answers[1] == FAILURE


def test_a_step_can_sign_with_a_key_of_the_agent(agent: Path) -> None:
    with peer_of(Session([Ssh({"default": SshAgent(agent)})])) as peer:
        call = conversation(peer)
        send(call, LIST)
        listed = answer(call)
        (size,) = struct.unpack_from(">I", listed, 9)
        key = listed[9 : 13 + size]
        body = b"\x0d" + key + struct.pack(">I", 5) + b"hello" + struct.pack(">I", 0)
        send(call, struct.pack(">I", len(body)) + body)
        assert answer(call)[4] == 14


def test_a_step_cannot_change_the_agent(agent: Path) -> None:
    with peer_of(Session([Ssh({"default": SshAgent(agent)})])) as peer:
        call = conversation(peer)
        for kind in (17, 18, 19, 20, 22, 23, 25, 27):
            send(call, b"\x00\x00\x00\x01" + bytes((kind,)))
            assert answer(call) == FAILURE
        send(call, LIST)
        assert b"a comment" in answer(call)


def test_several_agents_are_told_apart_by_id(agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    ssh = Ssh({"default": SshAgent(), "deploy": SshAgent(agent)})
    ssh.check()
    with peer_of(Session([ssh])) as peer:
        for id in ("", "default", "deploy"):
            assert peer.unary(CHECK_AGENT, ssh_pb2.CheckAgentRequest(ID=id).SerializeToString()) == b""
        request = ssh_pb2.CheckAgentRequest(ID="other").SerializeToString()
        assert peer.failed(CHECK_AGENT, request) == (Code.NOT_FOUND, "ssh 'other' was not given")
        assert conversation(peer, "other").status() == (Code.NOT_FOUND, "ssh 'other' was not given")


def test_what_is_not_an_agent_ends_the_stream(agent: Path) -> None:
    with peer_of(Session([Ssh({"default": SshAgent(agent)})])) as peer:
        call = conversation(peer)
        send(call, b"GET / HTTP/1.1\r\n\r\n")
        assert call.status() == (2, "ssh 'default': a message of 1195725856 bytes is not of an ssh agent")


def test_closing_the_session_ends_a_wait_for_the_agent(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "silent.sock"))
        listener.listen()
        session = Session([Ssh({"default": SshAgent(tmp_path / "silent.sock")})])
        with peer_of(session) as peer:
            call = conversation(peer)
            send(call, LIST)
            with listener.accept()[0] as silent:
                assert silent.recv(100) == LIST
                session.close()
    assert [thread.name for thread in threading.enumerate() if "session" in thread.name] == []


def test_an_agent_that_is_not_there_is_refused_before_the_solve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(UsageError, match="SSH_AUTH_SOCK is not set: start an ssh agent"):
        Ssh({"default": SshAgent()}).check()
    with pytest.raises(UsageError, match="cannot be used as an ssh agent: No such file or directory"):
        Ssh({"x": SshAgent(tmp_path / "none")}).check()
    with pytest.raises(UsageError, match="is not a socket"):
        Ssh({"x": SshAgent(tmp_path)}).check()
    (tmp_path / "id_ed25519").write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    with pytest.raises(NotThereYet, match="key files are not there yet, add the key with ssh-add"):
        Ssh({"x": SshAgent(tmp_path / "id_ed25519")}).check()
