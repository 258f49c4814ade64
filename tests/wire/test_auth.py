"""Registry logins: from docker's configuration to the daemon's question."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyllb._pb import auth_pb2
from pyllb.rpc.status import Code
from pyllb.session import helper
from pyllb.session.auth import CREDENTIALS, Auth
from pyllb.session.dockerconfig import ANONYMOUS, Credentials, CredentialsError, DockerConfig
from pyllb.session.session import Session
from tests.unit.fssync.ends import unprivileged
from tests.wire.peer import Peer, peer_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of the test's own, and its `bin` on the PATH."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.delenv("DOCKER_AUTH_CONFIG", raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def write_config(directory: Path, config: object) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))


def write_helper(home: Path, name: str, script: str) -> None:
    path = home / "bin" / f"docker-credential-{name}"
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(stat.S_IRWXU)


def encoded(login: str) -> str:
    return base64.b64encode(login.encode()).decode()


@pytest.fixture
def peer() -> Iterator[Peer]:
    with peer_of(Session([Auth()])) as peer:
        yield peer


def ask(peer: Peer, host: str) -> tuple[str, str]:
    request = auth_pb2.CredentialsRequest(Host=host).SerializeToString()
    answer = auth_pb2.CredentialsResponse.FromString(peer.unary(CREDENTIALS, request))
    return answer.Username, answer.Secret


def test_only_credentials_is_announced_so_that_the_daemon_fetches_tokens_itself() -> None:
    assert list(Auth().methods()) == ["/moby.filesync.v1.Auth/Credentials"]


def test_without_a_configuration_everybody_is_anonymous(peer: Peer) -> None:
    assert ask(peer, "registry.example.com") == ("", "")


def test_a_login_of_the_configuration_reaches_the_daemon(home: Path, peer: Peer) -> None:
    write_config(home / ".docker", {"auths": {"localhost:5000": {"auth": encoded("me:pa:ss")}}})
    assert ask(peer, "localhost:5000") == ("me", "pa:ss")


AUTHS = {
    "user and password": ("r.io", {"r.io": {"username": "me", "password": "pw"}}, Credentials("me", "pw")),
    "identity token": ("r.io", {"r.io": {"auth": encoded("me:"), "identitytoken": "tok"}}, Credentials("", "tok")),
    "another host": ("r.io", {"s.io": {"auth": encoded("me:pw")}}, ANONYMOUS),
    "another port": ("r.io:1", {"r.io:2": {"auth": encoded("me:pw")}}, ANONYMOUS),
    "an old URL": ("r.io", {"https://r.io/v1/": {"auth": encoded("me:pw")}}, Credentials("me", "pw")),
    "a path": ("r.io:5000", {"r.io:5000/v2": {"auth": encoded("me:pw")}}, Credentials("me", "pw")),
    "Docker Hub": (
        "registry-1.docker.io",
        {"https://index.docker.io/v1/": {"auth": encoded("me:pw")}},
        Credentials("me", "pw"),
    ),
    "an entry that is kept by a helper": ("r.io", {"r.io": {}}, ANONYMOUS),
}


@pytest.mark.parametrize("name", AUTHS)
def test_logins_are_found_as_docker_finds_them(tmp_path: Path, name: str) -> None:
    host, auths, expected = AUTHS[name]
    write_config(tmp_path, {"auths": auths})
    assert DockerConfig(tmp_path).credentials(host) == expected


def test_docker_config_names_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(tmp_path / "elsewhere", {"auths": {"r.io": {"auth": encoded("me:pw")}}})
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "elsewhere"))
    assert DockerConfig().credentials("r.io") == Credentials("me", "pw")


def test_docker_auth_config_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auths = {"r.io": {"auth": encoded("file:1")}, "s.io": {"auth": encoded("file:2")}}
    write_config(tmp_path, {"auths": auths})
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {"r.io": {"auth": encoded("env:1")}}}))
    assert DockerConfig(tmp_path).credentials("r.io") == Credentials("env", "1")
    assert DockerConfig(tmp_path).credentials("s.io") == Credentials("file", "2")


def test_a_helper_is_asked_for_its_registry_and_the_store_for_the_rest(home: Path) -> None:
    answer = """read host; echo "{\\"ServerURL\\":\\"$host\\",\\"Username\\":\\"%s\\",\\"Secret\\":\\"$1-$host\\"}" """
    write_helper(home, "one", answer % "one")
    write_helper(home, "rest", answer % "rest")
    write_config(home / ".docker", {"credHelpers": {"r.io": "one"}, "credsStore": "rest"})
    assert DockerConfig().credentials("r.io") == Credentials("one", "get-r.io")
    assert DockerConfig().credentials("docker.io") == Credentials("rest", "get-https://index.docker.io/v1/")


def test_a_helper_may_hold_an_identity_token(home: Path) -> None:
    write_helper(home, "x", """echo '{"Username":"<token>","Secret":"tok"}'""")
    write_config(home / ".docker", {"credsStore": "x"})
    assert DockerConfig().credentials("r.io") == Credentials("", "tok")


def test_a_helper_that_knows_no_login_means_anonymous(home: Path, peer: Peer) -> None:
    write_helper(home, "x", "echo credentials not found in native keychain; exit 1")
    write_config(home / ".docker", {"credsStore": "x"})
    assert ask(peer, "r.io") == ("", "")


WRONG = {
    "not JSON": ("{", None, "config.json is not JSON"),
    "a list": ("[]", None, "config.json is not a JSON object"),
    "auths a list": ({"auths": [1]}, None, "auths in .*config.json is not a JSON object"),
    "a bad login": (
        {"auths": {"r.io": {"auth": "***"}}},
        None,
        "the login for r.io in .* is not base64 of user:password",
    ),
    "a missing helper": ({"credsStore": "nope"}, None, "docker-credential-nope, .*, is not on the PATH"),
    "a failing helper": ({"credsStore": "x"}, "echo locked >&2; exit 3", "docker-credential-x ended with 3 .*: locked"),
    "a helper that babbles": ({"credsStore": "x"}, "echo s3cret", "answered for r.io with something else than"),
    "a helper that tells and fails": (
        {"credsStore": "x"},
        """echo '{"Username":"me","Secret":"s3cret"}'; echo disk full >&2; exit 1""",
        "ended with 1 .*: disk full",
    ),
    "a helper without an end": ({"credsStore": "x"}, "exec yes s3cret", "docker-credential-x .* more than"),
    "a helper that is noisy without an end": ({"credsStore": "x"}, "exec yes >&2", "docker-credential-x .* more than"),
    "a helper that answers a number": ({"credsStore": "x"}, "echo 7", "answered for r.io with something else than"),
    "a helper without a secret": ({"credsStore": "x"}, """echo '{"Username":"me","Secret":null}'""", "something else"),
    "a helper that is no program": ({"credsStore": {"a": "b"}}, None, "credsStore in .*config.json is not a string"),
    "a helper that is a list": ({"credHelpers": {"r.io": ["x"]}}, None, "credHelpers in .*config.json is not a string"),
    "brackets without an end": ("[" * 100_000, None, "config.json is not JSON"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_configuration_that_cannot_be_used_is_an_error_with_its_name(home: Path, name: str) -> None:
    config, script, message = WRONG[name]
    write_config(home / ".docker", config)
    if script:
        write_helper(home, "x", script)
    with pytest.raises(CredentialsError, match=message) as caught:
        DockerConfig().credentials("r.io")
    assert "s3cret" not in str(caught.value)


def test_a_helper_that_is_killed_or_does_not_listen_is_an_error_of_its_own(home: Path) -> None:
    write_config(home / ".docker", {"credsStore": "x"})
    write_helper(home, "x", "kill -9 $$")
    with pytest.raises(
        CredentialsError, match=r"docker-credential-x ended with -9 when asked for r.io, and said: nothing"
    ):
        DockerConfig().credentials("r.io")
    write_helper(home, "x", """exec <&-; sleep 0.1; echo '{"Username":"me","Secret":"pw"}'""")
    assert DockerConfig().credentials("r.io" * 100_000) == Credentials("me", "pw")


def test_a_helper_that_leaves_a_child_behind_has_answered(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "TIMEOUT", 5.0)
    write_helper(home, "x", """echo '{"Username":"me","Secret":"pw"}'; sleep 8 &""")
    write_config(home / ".docker", {"credsStore": "x"})
    assert DockerConfig().credentials("r.io") == Credentials("me", "pw")


def test_a_helper_that_takes_too_long_is_named_and_ended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "TIMEOUT", 0.3)
    write_helper(home, "x", 'echo $$ > "$HOME/pid"; exec sleep 60')
    write_config(home / ".docker", {"credsStore": "x"})
    with pytest.raises(CredentialsError, match="docker-credential-x did not answer"):
        DockerConfig().credentials("r.io")
    with pytest.raises(ProcessLookupError):
        os.kill(int((home / "pid").read_text()), 0)


def test_an_odd_address_in_the_configuration_is_in_nobodys_way(home: Path) -> None:
    write_config(home / ".docker", {"auths": {"https://[odd": {}, "https://r.io/v1/": {"auth": encoded("me:pw")}}})
    assert DockerConfig().credentials("r.io") == Credentials("me", "pw")
    assert DockerConfig().credentials("s.io") == ANONYMOUS


def test_a_user_without_a_home_is_anonymous() -> None:
    code = "import os; from pyllb.session.dockerconfig import *"
    code += "; os.setuid(54321); print(DockerConfig().credentials('r.io') == ANONYMOUS)"
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "DOCKER_CONFIG")}
    command = [sys.executable, "-c", code]
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_configuration_that_may_not_be_read_is_an_error() -> None:
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        write_config(Path(name), {})
        (Path(name) / "config.json").chmod(0)
        with unprivileged(), pytest.raises(CredentialsError, match=r"config.json cannot be read: .*Permission denied"):
            DockerConfig(Path(name)).credentials("r.io")


def test_the_daemon_is_told_why_there_is_no_login(home: Path, peer: Peer) -> None:
    write_config(home / ".docker", {"credsStore": "nope"})
    code, text = peer.failed(CREDENTIALS, auth_pb2.CredentialsRequest(Host="r.io").SerializeToString())
    assert code == Code.UNKNOWN
    assert text.startswith("no login for r.io: docker-credential-nope")


def test_a_helper_is_asked_once_for_a_while(home: Path, peer: Peer) -> None:
    write_helper(home, "x", """echo x >> "$HOME/asked"; echo '{"Username":"me","Secret":"pw"}'""")
    write_config(home / ".docker", {"credsStore": "x"})
    assert [ask(peer, "r.io") for _ in range(3)] == [("me", "pw")] * 3
    assert (home / "asked").read_text() == "x\n"


def test_closing_the_session_ends_a_helper_that_hangs(home: Path) -> None:
    write_helper(home, "x", 'echo $$ > "$HOME/pid"; exec sleep 60')
    write_config(home / ".docker", {"credsStore": "x"})
    session = Session([Auth()])
    with peer_of(session) as peer:
        peer.call(CREDENTIALS).send(b"")
        call = peer.call(CREDENTIALS)
        call.send(auth_pb2.CredentialsRequest(Host="r.io").SerializeToString())
        call.close_send()
        _until((home / "pid").exists)
        started = time.monotonic()
        session.close()
        assert time.monotonic() - started < 3
    pid = int((home / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_login_is_not_shown() -> None:
    assert "pw" not in repr(Credentials("me", "pw"))


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
