"""The testbed: what the other tests rely on, and that nothing of it outlives its maker."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyllb.engine.probe import answers
from pyllb.engine.process import Process, of, serving, with_root_below
from tests.conftest import Buildctl
from tests.testbed import Testbed, store, up

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ("buildkitd", "docker-registry")


def dockerfile(directory: Path, text: str) -> list[str]:
    """The arguments of a build by the daemon's own Dockerfile frontend."""
    (directory / "Dockerfile").write_text(text)
    locals_ = [f"--local=context={directory}", f"--local=dockerfile={directory}"]
    return ["build", "--frontend=dockerfile.v0", "--progress=plain", *locals_]


def test_the_daemon_is_buildkit_0_33_1_at_both_of_its_addresses(testbed: Testbed) -> None:
    for address in (testbed.address, testbed.tcp_address):
        said = subprocess.check_output([testbed.buildctl, "--addr", address, "debug", "info"], text=True)
        assert "v0.33.1" in said


@pytest.mark.parametrize(
    ("image", "command", "said"),
    [
        ("debian", "cat /etc/debian_version", b"12."),
        ("debian:bookworm-slim", "apt-get --version", b"apt "),
        ("golang", "env && go version && git --version && gcc --version", b"PATH=/go/bin:/usr/local/go/bin:"),
        ("golang:1.25", "pwd && go env GOPATH", b"/go"),
        ("python:3.11", "python -m pip --version", b"pip "),
        ("busybox", "busybox && vi --help 2>&1", b"BusyBox"),
        ("alpine", "echo ready | tr a-z A-Z", b"READY"),
    ],
)
def test_an_image_of_docker_hub_comes_from_the_mirror_and_runs(
    buildctl: Buildctl, tmp_path: Path, image: str, command: str, said: bytes
) -> None:
    done = buildctl(*dockerfile(tmp_path, f"FROM {image}\nRUN {command}\n"), "--no-cache")
    assert said in done.stderr


def test_a_step_downloads_a_go_module_and_compiles_with_it(buildctl: Buildctl, tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text(
        'package main\nimport ("fmt"; "golang.org/x/text/cases"; "golang.org/x/text/language")\n'
        'func main() { fmt.Println(cases.Title(language.English).String("built and run")) }\n'
    )
    text = "FROM golang\nWORKDIR /src\nCOPY main.go .\nRUN go mod init x && go mod tidy && go run .\n"
    assert b"Built And Run" in buildctl(*dockerfile(tmp_path, text)).stderr


def test_a_step_installs_a_python_package(buildctl: Buildctl, tmp_path: Path) -> None:
    text = "FROM python\nRUN pip install --quiet six && python -c 'import six; print(six.__name__ * 2)'\n"
    assert b"sixsix" in buildctl(*dockerfile(tmp_path, text)).stderr


def test_the_second_registry_takes_a_push_with_its_login_only(
    testbed: Testbed, buildctl: Buildctl, tmp_path: Path
) -> None:
    host = testbed.auth_registry.replace("127.0.0.1", "localhost")
    push = [*dockerfile(tmp_path, "FROM busybox\nENV A=b\n"), f"--output=type=image,name={host}/app:1,push=true"]
    (tmp_path / "without").mkdir()
    refused = buildctl(*push, check=False, env={"DOCKER_CONFIG": str(tmp_path / "without")})
    assert refused.returncode != 0
    assert b"401 Unauthorized" in refused.stderr
    login = base64.b64encode(f"{testbed.auth_user}:{testbed.auth_password}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": login}}}))
    buildctl(*push, env={"DOCKER_CONFIG": str(tmp_path)})
    inspect = ["skopeo", "inspect", "--config", "--tls-verify=false"]
    pushed = subprocess.check_output(
        [*inspect, "--creds", f"{testbed.auth_user}:{testbed.auth_password}", f"docker://{host}/app:1"]
    )
    assert "A=b" in json.loads(pushed)["config"]["Env"]


def test_a_push_to_the_open_registry_changes_nothing_for_the_next_testbed(
    testbed: Testbed, buildctl: Buildctl, tmp_path: Path
) -> None:
    before = digest(testbed.registry, "library/alpine:3.20")
    name = f"{testbed.registry}/library/alpine:3.20"
    buildctl(*dockerfile(tmp_path, "FROM busybox\nENV A=b\n"), f"--output=type=image,name={name},push=true")
    assert digest(testbed.registry, "library/alpine:3.20") != before
    with up() as other:
        assert digest(other.registry, "library/alpine:3.20") == before


def digest(registry: str, name: str) -> str:
    inspect = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{registry}/{name}"]
    return subprocess.check_output(inspect, text=True)


# Another clone's tests may run on this machine at the same time, and a step is a process that all of it can see.
SECONDS = 345678 + 10 * os.getpid()


def sleeping(address: str, testbed: Testbed, directory: Path, seconds: int) -> subprocess.Popen[bytes]:
    """A client whose step sleeps; returns once it does."""
    arguments = dockerfile(directory, f"FROM busybox\nRUN sleep {seconds}\n")
    client = subprocess.Popen(
        [testbed.buildctl, "--addr", address, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while not sleeps(seconds):
        assert time.monotonic() < deadline, "the step never ran"
        time.sleep(0.05)
    return client


def sleeps(seconds: int) -> bool:
    commands = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    return f"sleep\0{seconds}\0".encode() in commands


def test_a_daemon_of_a_test_s_own_can_be_killed_and_leaves_nothing(testbed: Testbed, tmp_path: Path) -> None:
    with testbed.start_daemon() as extra:
        assert extra.address != testbed.address
        client = sleeping(extra.address, testbed, tmp_path, SECONDS)
        extra.kill()
        assert client.wait(10) != 0
        assert not answers(extra.address)
    assert not sleeps(SECONDS)
    assert not extra.root.exists()
    assert answers(testbed.address)


def test_a_killed_daemon_comes_back_at_the_same_socket() -> None:
    with up() as testbed:
        address, pid = testbed.address, testbed.pid
        testbed.kill_daemon()
        assert not answers(address)
        testbed.restart_daemon()
        assert answers(address)
        assert (testbed.address, testbed.pid) != (address, pid)
        assert testbed.address == address


def test_closing_ends_every_process_and_mount_and_removes_the_directory(tmp_path: Path) -> None:
    testbed = up()
    client = sleeping(testbed.address, testbed, tmp_path, SECONDS + 1)
    assert len(serving(testbed.home, SERVERS)) == 3
    testbed.close()
    client.wait(10)
    gone(testbed.home, SECONDS + 1)
    testbed.close()


def test_killing_the_maker_leaves_nothing_either(tmp_path: Path) -> None:
    script = "import sys, tests.testbed as t; t = t.up(); print(t.home, t.address, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as maker:
        assert maker.stdout is not None
        home, address = maker.stdout.readline().split()
        with up() as programs:
            client = sleeping(address, programs, tmp_path, SECONDS + 2)
        maker.kill()
    client.wait(20)
    deadline = time.monotonic() + 20
    while Path(home).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    gone(Path(home), SECONDS + 2)


def gone(home: Path, seconds: int) -> None:
    assert not home.exists()
    assert not serving(home, SERVERS)
    assert not with_root_below(home)
    assert not sleeps(seconds)
    assert str(home) not in Path("/proc/self/mountinfo").read_text()


def test_what_a_killed_caretaker_has_left_the_next_testbed_removes() -> None:
    testbed = up()
    kill_caretaker(testbed)
    assert answers(testbed.address)
    with up():
        gone(testbed.home, 0)
    testbed.close()


def test_closing_does_without_a_caretaker_that_was_killed() -> None:
    testbed = up()
    kill_caretaker(testbed)
    testbed.close()
    gone(testbed.home, 0)


def kill_caretaker(testbed: Testbed) -> None:
    (caretaker,) = [one for one in namesakes(testbed.home.name) if one.alive()]
    caretaker.signal(signal.SIGKILL)
    assert caretaker.wait(5)


def namesakes(name: str) -> list[Process]:
    """The caretaker of a testbed, by the name it was given."""
    paths = Path("/proc").glob("[0-9]*/cmdline")
    return [of(int(path.parts[2])) for path in paths if f"caretaker\0{name}\0".encode() in path.read_bytes()]


@pytest.fixture
def own_store() -> Iterator[Path]:
    """A store whose artefacts are the shared ones. Its name is short, for sockets are kept in it."""
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "artefacts").symlink_to(store.directory() / "artefacts")
        yield Path(place)


def test_the_command_leaves_one_running_and_stops_it(own_store: Path) -> None:
    env = {**os.environ, "PYLLB_TESTBED": str(own_store)}  # its own, for `down` stops all that run in a store
    command = [sys.executable, "-m", "tests.testbed"]
    started = subprocess.run([*command, "up"], cwd=ROOT, env=env, check=True, capture_output=True, text=True)
    told = subprocess.run([*command, "env"], cwd=ROOT, env=env, check=True, capture_output=True, text=True)
    assert told.stdout == started.stdout
    variables = dict(line.removeprefix("export ").split("=", 1) for line in told.stdout.splitlines())
    assert answers(variables["BUILDKIT_HOST"])
    subprocess.run([*command, "down"], cwd=ROOT, env=env, check=True, capture_output=True)
    assert not answers(variables["BUILDKIT_HOST"])
    assert not list((own_store / "run").iterdir())
    none = subprocess.run([*command, "env"], cwd=ROOT, env=env, check=False, capture_output=True)
    assert none.returncode == 3


def test_an_artefact_is_made_once_however_many_want_it(tmp_path: Path) -> None:
    script = (
        "from tests.testbed import store; import time\n"
        "def make(place):\n"
        "    time.sleep(0.3)\n"
        "    (store.directory() / 'made').open('a').write('x')\n"
        "    (place / 'file').write_text('whole')\n"
        "print((store.artefact('part', 'inputs', make) / 'file').read_text())"
    )
    env = {**os.environ, "PYLLB_TESTBED": str(tmp_path)}
    several = [
        subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=env, stdout=subprocess.PIPE) for _ in range(3)
    ]
    assert [one.communicate()[0] for one in several] == [b"whole\n"] * 3
    assert (tmp_path / "made").read_text() == "x"


def test_what_nobody_has_used_for_a_week_is_removed_when_the_next_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLLB_TESTBED", str(tmp_path))
    old, young = (store.artefact("part", inputs, lambda place: None) for inputs in ("old", "young"))
    other = store.artefact("other", "old", lambda place: None)
    used = store.artefact("part", "used", lambda place: None)
    for place in (old, other, used):
        os.utime(place, (time.time() - 8 * 24 * 3600,) * 2)
    assert store.artefact("part", "used", lambda place: None) == used
    new = store.artefact("part", "new", lambda place: None)
    assert {place.name for place in (tmp_path / "artefacts").iterdir()} == {
        *(place.name for place in (young, other, used, new)),
    }


def test_a_relative_cache_directory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYLLB_TESTBED", "somewhere")
    with pytest.raises(ValueError, match="'somewhere', which is relative"):
        store.directory()
