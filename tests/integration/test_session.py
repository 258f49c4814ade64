"""The session against a real buildkitd: what it asks during a solve is served, and both ends close in good order."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import grpc
import pytest

from pyllb._pb import control_pb2, ops_pb2
from pyllb.client.address import parse_address
from pyllb.client.connection import Connection
from pyllb.rpc.channel import Channel
from pyllb.session.auth import Auth
from pyllb.session.dockerconfig import DockerConfig
from pyllb.session.health import CHECK, check
from pyllb.session.ids import new_id
from pyllb.session.secrets import CallableSecret, Secrets, ValueSecret
from pyllb.session.server import Server
from pyllb.session.session import Session
from pyllb.session.ssh import Ssh, SshAgent
from pyllb.session.tunnel import METHOD, Tunnel
from tests.testbed import Testbed

SECRET, SSH = ops_pb2.SECRET, ops_pb2.SSH


@pytest.fixture
def channel(testbed: Testbed) -> Iterator[Channel]:
    with contextlib.closing(Connection(parse_address(testbed.address))) as connection:
        yield connection.channel


def digest(op: ops_pb2.Op) -> str:
    return "sha256:" + hashlib.sha256(op.SerializeToString(deterministic=True)).hexdigest()


def step(script: str, *mounts: ops_pb2.Mount) -> ops_pb2.Definition:
    """One shell command with these mounts."""
    return command("busybox", ["/bin/sh", "-ec", script], mounts)


def command(image_name: str, args: Sequence[str], mounts: Sequence[ops_pb2.Mount]) -> ops_pb2.Definition:
    """One command in an image of the testbed; never cached."""
    image = ops_pb2.Op(source=ops_pb2.SourceOp(identifier=f"docker-image://docker.io/library/{image_name}:latest"))
    meta = ops_pb2.Meta(args=args, cwd="/", env=["PATH=/usr/local/bin:/bin:/usr/bin", f"NONCE={new_id()}"])
    exec_op = ops_pb2.ExecOp(meta=meta, mounts=[ops_pb2.Mount(dest="/"), *mounts])
    run = ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest(image))], exec=exec_op)
    last = ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest(run))])
    ops = [op.SerializeToString(deterministic=True) for op in (image, run, last)]
    definition = ops_pb2.Definition()
    getattr(definition, "def").extend(ops)
    return definition


def secret_mount(id: str, *, optional: bool = False) -> ops_pb2.Mount:
    option = ops_pb2.SecretOpt(ID=id, mode=0o400, optional=optional)
    return ops_pb2.Mount(dest=f"/run/secrets/{id}", input=-1, output=-1, mountType=SECRET, secretOpt=option)


def solve(
    address: str, session: str, definition: ops_pb2.Definition, exporter: str = "", attrs: Mapping[str, str] = {}
) -> None:
    """Raises grpc.RpcError."""
    request = control_pb2.SolveRequest(
        Ref=new_id(),
        Definition=definition,
        Session=session,
        ExporterDeprecated=exporter,
        ExporterAttrsDeprecated=dict(attrs),
    )
    with grpc.insecure_channel(address) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/moby.buildkit.v1.Control/Solve")
        call(request.SerializeToString(), timeout=120)


@pytest.fixture(autouse=True)
def _nothing_left(testbed: Testbed) -> Iterator[None]:
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("pyllb-session")] == []


def test_a_secret_reaches_the_step_that_mounts_it(testbed: Testbed, channel: Channel) -> None:
    value = os.urandom(100_000)
    seen = hashlib.sha256(value).hexdigest()
    session = Session([Secrets({"token": ValueSecret(value)})])
    with session:
        session.start(channel)
        script = f'test "$(sha256sum < /run/secrets/token)" = "{seen}  -"; test ! -e /run/secrets/other'
        solve(testbed.address, session.id, step(script, secret_mount("token"), secret_mount("other", optional=True)))
        assert session.error is None


def test_an_unknown_secret_fails_the_step_and_not_the_session(testbed: Testbed, channel: Channel) -> None:
    session = Session([Secrets({"good": ValueSecret(b"x")})])
    with session:
        session.start(channel)
        with pytest.raises(grpc.RpcError, match="secret bad: not found"):
            solve(testbed.address, session.id, step("true", secret_mount("bad")))
        solve(testbed.address, session.id, step("true", secret_mount("good")))
        assert session.error is None


def test_the_daemon_keeps_a_session_whose_handlers_are_slow(testbed: Testbed, channel: Channel) -> None:
    """With this header the daemon ends a session that leaves one health check unanswered for a second."""

    def slow() -> bytes:
        time.sleep(5)
        return b"late"

    secrets, id = Secrets({"slow": CallableSecret(slow)}), new_id()
    server = Server({CHECK: check, **secrets.methods()}, inline=(CHECK,), wake=channel.wake)
    announced = [("x-docker-expose-session-grpc-method", method) for method in (CHECK, *secrets.methods())]
    head = [("x-docker-expose-session-uuid", id), ("x-buildkit-session-health-custom-timeout", "1000")]
    stream = channel.carry(METHOD, Tunnel(server), metadata=[*head, *announced])
    solve(testbed.address, id, step('test "$(cat /run/secrets/slow)" = late', secret_mount("slow")))
    assert stream.error is None
    stream.close(5)
    assert server.join(5) == ()


def test_a_step_talks_to_the_ssh_agent(testbed: Testbed, channel: Channel, tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        while not path.exists():
            time.sleep(0.01)
        mount = ops_pb2.Mount(
            dest="/run/agent.sock", input=-1, output=-1, mountType=SSH, SSHOpt=ops_pb2.SSHOpt(ID="default", mode=0o600)
        )
        # The agent has no key: it answers with its length, its type 12, and a count of 0.
        script = (
            "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/agent.sock'); "
            r"s.sendall(b'\0\0\0\1\x0b'); assert s.recv(100) == b'\0\0\0\5\x0c\0\0\0\0'"
        )
        with Session([Ssh({"default": SshAgent(path)})]) as session:
            session.start(channel)
            solve(testbed.address, session.id, command("python", ["python3", "-c", script], [mount]))
    finally:
        agent.terminate()
        agent.wait(10)


def test_the_login_of_a_registry_lets_the_daemon_push(testbed: Testbed, channel: Channel, tmp_path: Path) -> None:
    login = b64encode(f"{testbed.auth_user}:{testbed.auth_password}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {testbed.auth_registry: {"auth": login}}}))
    attrs = {"name": f"{testbed.auth_registry}/session/test:1", "push": "true"}
    with Session([Auth(DockerConfig(tmp_path))]) as session:
        session.start(channel)
        solve(testbed.address, session.id, step("echo x > /x"), "image", attrs)
    with Session([Auth(DockerConfig(tmp_path / "none"))]) as session:
        session.start(channel)
        with pytest.raises(grpc.RpcError, match=r"401|authorization|no basic auth"):
            solve(testbed.address, session.id, step("echo y > /x"), "image", {**attrs, "name": attrs["name"] + "2"})


def test_the_daemon_ends_its_side_when_the_session_is_closed(testbed: Testbed, channel: Channel) -> None:
    session = Session([])
    session.start(channel)
    time.sleep(0.2)
    started = time.monotonic()
    session.close()
    assert time.monotonic() - started < 0.9
    assert session.error is None
