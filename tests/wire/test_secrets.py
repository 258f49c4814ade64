"""Secrets: served when asked for, checked before, shown never."""

from __future__ import annotations

import os
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from pyllb._pb import secrets_pb2
from pyllb.errors import UsageError
from pyllb.rpc.status import Code
from pyllb.session.secrets import (
    GET_SECRET,
    MAX_SECRET,
    CallableSecret,
    EnvSecret,
    FileSecret,
    Secrets,
    SecretSource,
    ValueSecret,
)
from pyllb.session.session import Session
from tests.unit.fssync.ends import unprivileged
from tests.wire.peer import peer_of


def request(id: str) -> bytes:
    return secrets_pb2.GetSecretRequest(ID=id).SerializeToString()


def test_every_kind_of_source_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_bytes(b"from a file\0\xff")
    monkeypatch.setenv("TOKEN", "from the environment")
    secrets = Secrets(
        {
            "file": FileSecret(tmp_path / "token"),
            "env": EnvSecret("TOKEN"),
            "value": ValueSecret(b"given"),
            "callable": CallableSecret(lambda: b"called"),
            "empty": ValueSecret(b""),
            "large": ValueSecret(bytes(MAX_SECRET)),
        }
    )
    secrets.check()
    with peer_of(Session([secrets])) as peer:
        got = {
            id: secrets_pb2.GetSecretResponse.FromString(peer.unary(GET_SECRET, request(id))).data for id in secrets.ids
        }
    assert got == {
        "file": b"from a file\0\xff",
        "env": b"from the environment",
        "value": b"given",
        "callable": b"called",
        "empty": b"",
        "large": bytes(MAX_SECRET),
    }


def test_a_file_is_read_when_the_daemon_asks(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"old")
    secrets = Secrets({"x": FileSecret(path)})
    secrets.check()
    path.write_bytes(b"new")
    with peer_of(Session([secrets])) as peer:
        assert secrets_pb2.GetSecretResponse.FromString(peer.unary(GET_SECRET, request("x"))).data == b"new"


def test_an_unknown_id_is_not_found() -> None:
    with peer_of(Session([Secrets({})])) as peer:
        assert peer.failed(GET_SECRET, request("x")) == (Code.NOT_FOUND, "secret 'x' was not given")


def _fail() -> bytes:
    raise RuntimeError("the value is hunter2")


WRONG: dict[str, tuple[SecretSource, str]] = {
    "missing file": (FileSecret(Path("/nowhere/x")), "'/nowhere/x' cannot be read: No such file or directory"),
    "directory": (FileSecret(Path("/")), "'/' is a directory, not a file"),
    "unset": (EnvSecret("PYLLB_TEST_NOT_SET"), "the environment variable 'PYLLB_TEST_NOT_SET' is not set"),
    "too large": (ValueSecret(bytes(MAX_SECRET + 1)), "has 512001 bytes or more, a secret may have 512000"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_served_is_refused_before_the_solve(name: str) -> None:
    source, message = WRONG[name]
    with pytest.raises(UsageError) as caught:
        Secrets({"good": ValueSecret(b"x"), "bad": source}).check()
    assert str(caught.value) == f"secret 'bad': {message}"


def test_a_file_that_is_too_large_is_refused_before_the_solve(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(MAX_SECRET + 1))
    with pytest.raises(UsageError, match="a secret may have 512000"):
        Secrets({"x": FileSecret(path)}).check()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (FileSecret(Path("/nowhere/x")), "'/nowhere/x' cannot be read: No such file or directory"),
        (CallableSecret(_fail), "the function that should return it raised RuntimeError"),
        (CallableSecret(lambda: "text"), "the function that should return bytes returned str"),  # type: ignore[arg-type, return-value]  # the wrong value is the case
        (CallableSecret(lambda: bytes(MAX_SECRET + 1)), "has 512001 bytes or more, a secret may have 512000"),
    ],
)
def test_what_fails_when_asked_is_told_without_the_value(source: SecretSource, message: str) -> None:
    with peer_of(Session([Secrets({"x": source})])) as peer:
        assert peer.failed(GET_SECRET, request("x")) == (Code.UNKNOWN, f"secret 'x': {message}")


def test_repr_shows_no_value() -> None:
    sources: dict[str, SecretSource] = {
        "a": ValueSecret(b"hunter2"),
        "b": CallableSecret(_fail),
        "c": EnvSecret("TOKEN"),
    }
    assert "hunter2" not in repr(Secrets(sources))
    assert "EnvSecret(name='TOKEN')" in repr(Secrets(sources))


def _exit() -> bytes:
    raise SystemExit("the value is hunter2")


class OwnSource:
    """A source that is not of this package."""

    def check(self) -> None:
        """Nothing is known before."""

    def read(self, *, check: Callable[[], None]) -> bytes:
        raise LookupError("no such key in hunter2")


class Odd:
    """A source that breaks its promise."""

    def check(self) -> None:
        """Nothing is known before."""

    def read(self, *, check: Callable[[], None]) -> bytes:
        return "hunter2"  # type: ignore[return-value]  # the wrong value is the case


@pytest.mark.parametrize("source", [CallableSecret(_fail), CallableSecret(_exit), OwnSource(), Odd()])
def test_a_failure_shows_the_value_neither_to_the_daemon_nor_in_its_traceback(source: SecretSource) -> None:
    session = Session([Secrets({"x": source})])
    with peer_of(session) as peer:
        code, text = peer.failed(GET_SECRET, request("x"))
    (failure,) = session.failures
    told = "".join(traceback.format_exception(failure.error))
    assert code == Code.UNKNOWN
    assert text.startswith("secret 'x': ")
    assert "hunter2" not in text
    assert "hunter2" not in told
    seen: BaseException | None = failure.error
    while seen is not None:
        assert "hunter2" not in repr(seen)
        seen = seen.__context__


def test_a_value_that_is_no_bytes_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError, match=r"^a secret's value is bytes, not str$"):
        ValueSecret("hunter2")  # type: ignore[arg-type]  # the wrong value is the case


def test_a_variable_that_is_too_large_is_refused_before_the_solve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "x" * (MAX_SECRET + 1))
    with pytest.raises(UsageError, match="a secret may have 512000"):
        Secrets({"x": EnvSecret("TOKEN")}).check()


def test_a_file_that_may_not_be_read_is_refused_before_the_solve() -> None:
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        path = Path(name) / "token"
        path.write_bytes(b"x")
        path.chmod(0)
        with unprivileged(), pytest.raises(UsageError, match=r"token' cannot be read: Permission denied"):
            Secrets({"x": FileSecret(path)}).check()


def test_a_named_pipe_is_a_secret_too_and_looking_at_it_before_takes_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    secrets = Secrets({"x": FileSecret(tmp_path / "pipe")})
    secrets.check()
    with peer_of(Session([secrets])) as peer:
        call = peer.call(GET_SECRET)
        call.send(request("x"))
        call.close_send()
        (tmp_path / "pipe").write_bytes(b"through a pipe")
        assert [secrets_pb2.GetSecretResponse.FromString(m).data for m in call.receive_all()] == [b"through a pipe"]


def test_a_named_pipe_that_nobody_writes_to_ends_with_the_session(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    session = Session([Secrets({"x": FileSecret(tmp_path / "pipe")})])
    with peer_of(session) as peer:
        call = peer.call(GET_SECRET)
        call.send(request("x"))
        call.close_send()
        assert peer.healthy()
        started = time.monotonic()
        session.close()
        assert time.monotonic() - started < 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pyllb-session-GetSecret")]
