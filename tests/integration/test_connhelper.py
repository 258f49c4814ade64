"""Daemons that are reached by a command: the commands are shell scripts here, and what they run is buildctl."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyllb import Client, fs, local
from pyllb.client.address import parse_address
from pyllb.errors import ConnectError
from tests.testbed import Testbed

# What stands before buildctl in its arguments is where the command would run it.
SCRIPT = """\
#!/bin/sh
echo "$$ $(basename "$0") $*" >> {log}
while [ "$1" != buildctl ]; do shift; done
shift
exec {buildctl} --addr {address} "$@"
"""


@pytest.fixture
def log(testbed: Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file to which each command writes its process and arguments. None of them is left at the end."""
    log = tmp_path / "log"
    (tmp_path / "bin").mkdir()
    for name in ("docker", "podman", "nerdctl", "kubectl", "ssh"):
        script = tmp_path / "bin" / name
        script.write_text(SCRIPT.format(log=log, buildctl=testbed.buildctl, address=testbed.address))
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    yield log
    assert [pid for pid in started(log) if Path(f"/proc/{pid}").exists()] == []


def started(log: Path) -> list[int]:
    return [int(line.split()[0]) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.mark.parametrize(
    ("address", "command"),
    [
        ("docker-container://buildkitd?context=c", "docker --context=c exec -i buildkitd buildctl dial-stdio"),
        ("podman-container://buildkitd", "podman exec -i buildkitd buildctl dial-stdio"),
        ("nerdctl-container://buildkitd", "nerdctl exec -i buildkitd buildctl dial-stdio"),
        ("kube-pod://pod", "kubectl --context= --namespace= exec --container= -i pod -- buildctl dial-stdio"),
        ("ssh://me@host", "ssh -l me -- host buildctl dial-stdio"),
    ],
)
def test_a_build_goes_through_one_command_both_ways(address: str, command: str, log: Path, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/file").write_bytes(os.urandom(5 << 20))
    node = fs().copy(local(tmp_path / "context"), "/file", "/file")
    with Client(address) as client:
        client.solve(node, output=f"type=local,dest={tmp_path}/out")
        assert client.info().version
    assert (tmp_path / "out/file").read_bytes() == (tmp_path / "context/file").read_bytes()
    assert [line.split(" ", 1)[1] for line in log.read_text().splitlines()] == [command]


def test_ssh_may_name_the_socket(testbed: Testbed, log: Path) -> None:
    with Client(f"ssh://host{testbed.address.removeprefix('unix://')}") as client:
        assert client.info().version
    assert log.read_text().endswith(f"buildctl --addr {testbed.address} dial-stdio\n")


def test_a_command_that_fails_is_told_with_what_it_says(log: Path, tmp_path: Path) -> None:
    (tmp_path / "bin/docker").write_text("#!/bin/sh\necho 'Error: No such container: nobody' >&2; exit 7\n")
    with pytest.raises(ConnectError) as caught, Client("docker-container://nobody") as client:
        client.info()
    assert str(caught.value) == (
        "no daemon at 'docker-container://nobody': `docker exec -i nobody buildctl dial-stdio` ended with exit code 7: "
        "Error: No such container: nobody"
    )


def test_a_shell_that_greets_is_told(log: Path, tmp_path: Path) -> None:
    (tmp_path / "bin/ssh").write_text("#!/bin/sh\necho 'This account is currently not available.'; cat\n")
    with pytest.raises(ConnectError) as caught:
        Client("ssh://nobody@host").info()
    assert str(caught.value) == (
        "no daemon at 'ssh://nobody@host': what 'ssh' ran there says 'This account is currently not available.'"
    )


def test_a_command_that_is_not_there_is_told(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConnectError, match="the command 'podman', which reaches it, cannot be run: No such file"):
        Client("podman-container://x").info()


def pings(client: Client) -> None:
    """Ask until a call fails: the first ones may come before the command's end is heard of."""
    for _ in range(100):
        client.info()
        time.sleep(0.02)


def test_a_command_that_dies_is_a_lost_connection(log: Path) -> None:
    with Client("docker-container://x") as client:
        assert client.info().version
        (pid,) = started(log)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ConnectError):
            pings(client)
        assert client.info().version
        assert len(started(log)) == 2


def test_what_a_command_says_when_it_dies_is_told(log: Path, tmp_path: Path, nonce: str) -> None:
    script = tmp_path / "bin/ssh"
    script.write_text(script.read_text().replace("exec /", "/") + "echo 'client_loop: Broken pipe' >&2; exit 255\n")
    with Client("ssh://host") as client:
        assert client.info().version
        (pid,) = started(log)
        threading.Timer(1, subprocess.run, [["pkill", "-KILL", "-P", str(pid)]]).start()
        with pytest.raises(ConnectError) as caught:
            client.solve(fs().image("busybox").run(f"sleep 60 # {nonce}"))
    assert str(caught.value).startswith("the connection to the daemon at 'ssh://host' was lost")
    assert ": `ssh -- host buildctl dial-stdio` ended with exit code 255: " in str(caught.value)
    assert str(caught.value).endswith("client_loop: Broken pipe")


def test_what_a_command_says_that_dies_while_it_is_written_to_is_told(log: Path, tmp_path: Path) -> None:
    script = tmp_path / "bin/ssh"
    script.write_text(script.read_text().replace("exec /", "/") + "echo 'client_loop: Broken pipe' >&2; exit 255\n")
    with Client("ssh://host") as client:
        assert client.info().version
        (pid,) = started(log)
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(child), signal.SIGSTOP)  # so that what is written stays unread
        threading.Timer(1, os.kill, [int(child), signal.SIGKILL]).start()
        with pytest.raises(ConnectError, match=r"ended with exit code 255: [^`]*client_loop: Broken pipe"):
            client.solve(fs().mkdir("/a"))


def test_a_daemon_that_dies_behind_a_command_closed_the_connection(
    testbed: Testbed, log: Path, tmp_path: Path, nonce: str
) -> None:
    script = tmp_path / "bin/docker"
    with testbed.start_daemon() as other:
        script.write_text(script.read_text().replace(testbed.address, other.address))
        threading.Timer(1, other.kill).start()
        with Client("docker-container://x") as client, pytest.raises(ConnectError) as caught:
            client.solve(fs().image("busybox").run(f"sleep 60 # {nonce}"))
    assert str(caught.value).endswith(": the daemon closed the connection")


def test_a_command_that_reaches_nothing_is_told_with_what_it_says(log: Path, tmp_path: Path) -> None:
    (tmp_path / "bin/ssh").write_text("#!/bin/sh\necho 'Waiting for a jump host' >&2; cat\n")
    address = parse_address("ssh://host")
    with address.dial() as connection, pytest.raises(ConnectError) as caught:
        address.greet(connection, b"", 0.2)
    assert str(caught.value) == (
        "no daemon at 'ssh://host': `ssh -- host buildctl dial-stdio` did not answer within 0.2 s: "
        "Waiting for a jump host"
    )


def test_a_command_ends_in_good_order_while_a_forked_child_has_its_socket(log: Path, tmp_path: Path) -> None:
    (tmp_path / "bin/docker").write_text(f"#!/bin/sh\ncat > /dev/null; echo $? > {tmp_path}/ended\n")
    connection = parse_address("docker-container://x").dial()
    copy = os.dup(connection.fileno())  # which is what a fork makes
    connection.close()
    os.close(copy)
    assert (tmp_path / "ended").read_text() == "0\n"


def test_an_interrupt_of_the_terminal_does_not_reach_the_command(log: Path) -> None:
    with Client("docker-container://x") as client:
        assert client.info().version
        (pid,) = started(log)
        assert os.getsid(pid) != os.getsid(0)


def test_a_command_that_lingers_is_ended(log: Path, tmp_path: Path) -> None:
    script = tmp_path / "bin/docker"
    script.write_text(script.read_text().replace("exec /", "trap '' TERM\n/") + "sleep 60\n")
    with Client("docker-container://x") as client:
        assert client.info().version
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert not Path(f"/proc/{started(log)[0]}").exists()  # for after a close() this process may end
    subprocess.run(["pkill", "-f", "^sleep 60$"], check=False)
