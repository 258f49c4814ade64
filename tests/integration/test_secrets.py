"""Secrets: they reach the step that asks for them, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

import pyllb
from pyllb import Client, fs, secret, ssh
from pyllb.errors import ExecError, SolveError, UsageError
from pyllb.status import SolveStatus
from tests.testbed import Testbed

pytestmark = pytest.mark.usefixtures("nothing_left")


class Heard:
    """A sink that keeps what it was told, as text."""

    def __init__(self) -> None:
        self.text = ""

    def update(self, status: SolveStatus) -> None:
        self.text += repr(status)

    def close(self) -> None: ...


def test_a_file_and_an_environment_secret_reach_the_step_and_are_nowhere_else(
    testbed: Testbed, client: Client, nonce: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_file, in_env = f"file-{nonce}", f"env-{nonce}"
    (tmp_path / "token").write_text(in_file)
    monkeypatch.setenv("PYLLB_TEST_SECRET", in_env)
    node = (
        fs()
        .image("busybox")
        .run(
            'set -e; mkdir /out; wc -c < /run/secrets/token > /out/sizes; printf %s "$TOKEN" | wc -c >> /out/sizes; '
            "stat -c %a /run/secrets/token >> /out/sizes; cat /run/secrets/token | md5sum > /out/sum",
            mounts=[secret("token", "/run/secrets/token"), secret("api", env="TOKEN")],
        )
        .run(f'test ! -e /run/secrets/token && test -z "$TOKEN" && echo {nonce[:4]}')
    )
    heard = Heard()
    client.solve(
        node,
        secrets=[f"id=token,src={tmp_path}/token", "id=api,env=PYLLB_TEST_SECRET"],
        output=f"type=local,dest={tmp_path}/out",
        progress=heard,
    )
    sizes = (tmp_path / "out" / "out" / "sizes").read_text().split()
    assert sizes == [str(len(in_file)), str(len(in_env)), "400"]
    definition = client.dump(node)
    for secret_text in (in_file, in_env):
        assert secret_text not in heard.text
        assert secret_text.encode() not in definition.to_bytes()
        assert not any(secret_text in record.description for record in client.disk_usage())
        assert secret_text not in testbed.log.read_text(errors="replace")


def test_values_paths_and_functions_are_secrets_too(client: Client, nonce: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"from a path")
    node = (
        fs()
        .image("busybox")
        .run(
            f"echo {nonce}; cat /run/secrets/* > /all",
            mounts=[secret(name) for name in ("a-bytes", "b-text", "c-path", "d-function", "e-function")],
        )
    )
    client.solve(
        node,
        secrets={
            "a-bytes": b"from bytes\n",
            "b-text": "from text\n",
            "c-path": tmp_path / "file",
            "d-function": lambda: b"\nfrom a function\n",
            "e-function": lambda: "of text",
        },
        output=f"type=local,dest={tmp_path}/out",
    )
    lines = (tmp_path / "out" / "all").read_text().splitlines()
    assert lines == ["from bytes", "from text", "from a path", "from a function", "of text"]


def test_an_unknown_id_fails_before_the_first_step_at_the_users_line(nonce: str) -> None:
    node = fs().image("busybox").run(f"echo {nonce}", mounts=[secret("token"), secret("other", env="OTHER")])
    with pytest.raises(UsageError, match=r"secret 'token'.*'other' at .*secrets=.*--secret id=token") as caught:
        pyllb.solve(node, addr="unix:///nowhere", secrets={"tokens": b"x"})  # so early that no daemon is needed
    assert "did you mean 'tokens'?" in caught.value.message
    assert caught.value.sources[0].filename == __file__
    assert 'secret("token")' in caught.value.sources[0].excerpt(0)


def test_an_optional_secret_may_be_missing(client: Client, nonce: str) -> None:
    node = fs().image("busybox").run(f"echo {nonce}; test ! -e /t", mounts=[secret("token", "/t", optional=True)])
    client.solve(node)
    client.solve(node.run("true"), secrets={"another": b""})


def test_an_error_of_a_step_does_not_show_its_secrets(client: Client, nonce: str) -> None:
    node = fs().image("busybox").run('test -n "$TOKEN"; exit 7', mounts=[secret("token", env="TOKEN")])
    with pytest.raises(ExecError) as caught:
        client.solve(node, secrets={"token": nonce})
    shown = [str(caught.value), repr(caught.value), *caught.value.logs, caught.value.command]
    assert not any(nonce in text for text in shown)
    assert caught.value.process_exit_code == 7


def test_a_changed_secret_does_not_run_the_step_again(client: Client, nonce: str) -> None:
    node = fs().image("busybox").run(f"echo {nonce}", mounts=[secret("token", env="TOKEN")])
    client.solve(node, secrets={"token": "one"})
    assert client.solve(node, secrets={"token": "two"}).cache.cached == 1


def test_a_function_that_fails_fails_the_step_without_its_text(client: Client, nonce: str) -> None:
    def broken() -> bytes:
        raise RuntimeError(f"the vault said {nonce}")

    node = fs().image("busybox").run("true", mounts=[secret("token", env=f"T{nonce}")])
    with pytest.raises(SolveError, match="'token'") as caught:
        client.solve(node, secrets={"token": broken})
    assert nonce not in str(caught.value)


def test_places_that_have_no_secret_are_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (501 << 10))
    node = fs().image("busybox").run("true", mounts=[secret("token")])
    for spec, message in (
        (f"id=token,src={tmp_path}/missing", "No such file"),
        (f"id=token,src={tmp_path}", "is a directory"),
        (f"id=token,src={tmp_path}/large", "512"),
        ("id=token,env=PYLLB_TEST_UNSET", "'PYLLB_TEST_UNSET' is not set"),
    ):
        with pytest.raises(UsageError, match=message):
            pyllb.solve(node, addr="unix:///nowhere", secrets=spec)


def test_an_agent_that_was_not_given_is_told_at_the_users_line() -> None:
    node = fs().image("busybox").run("true", mounts=[ssh()])
    with pytest.raises(UsageError, match=r"ssh agent 'default'.*--ssh default") as caught:
        pyllb.solve(node, addr="unix:///nowhere")
    assert "ssh()" in caught.value.sources[0].excerpt(0)


@pytest.mark.timeout(120)
def test_a_secret_asked_for_40_seconds_into_a_build_is_still_served(client: Client, nonce: str, tmp_path: Path) -> None:
    node = (
        fs()
        .image("busybox")
        .run(f"echo {nonce}; sleep 41")
        .run("cat /run/secrets/token > /late", mounts=[secret("token")])
    )
    result = client.solve(node, secrets={"token": nonce}, output=f"type=local,dest={tmp_path}")
    assert (tmp_path / "late").read_text() == nonce
    assert max(step.duration for step in result.steps) > 40
