"""The command against a real daemon: what it shows, what it writes, how it ends."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import pty
import re
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from pyllb import Client
from tests.integration.waiting import emptied
from tests.testbed import Testbed

ROOT = Path(__file__).resolve().parents[2]
BUILD = """
import time
from pyllb import FS, fs, secret, target


def step(base: FS, n: int, run: str) -> FS:
    return base.run(f"for i in $(seq 30); do echo out {n}.$i; done; test {n} != 2  # {run}")


@target
def loop(run: str = "0") -> FS:
    base = fs().image("busybox")
    for n in range(4):
        base = step(base, n, run)
    return base


@target
def missing() -> FS:
    return fs().image("localhost/no-such-image:1").run("true")


@target
def hello() -> FS:
    return fs().mkfile("/hello", "hello").entrypoint("/hello")


@target
def several() -> dict[str, FS]:
    return {"one": fs().mkfile("/n", "1"), "two": fs().mkfile("/n", "2")}


@target
def secretive(run: str) -> FS:
    return fs().image("busybox").run(f"wc -c < /run/secrets/token  # {run}", mounts=[secret("token")])


@target
def slow(run: str) -> FS:
    return fs().image("busybox").run(f"echo started; sleep 60  # {run}")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "build.py").write_text(BUILD)
    return tmp_path


def command(*words: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "pyllb.cli", *words]


def environment(address: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "BUILDKIT_HOST": address, "BUILDKIT_PROGRESS": ""}


def run(project: Path, address: str, *words: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    env = {**environment(address), **env}
    return subprocess.run(command(*words), cwd=project, env=env, capture_output=True, check=False, timeout=120)


def fresh() -> str:
    """A text that no build has had before, so that nothing of it is cached."""
    return str(time.time_ns())


def test_a_failing_step_shows_its_output_once_and_both_frames_and_ends_with_1(project: Path, address: str) -> None:
    done = run(project, address, "solve", ":loop", "--run", fresh(), "--progress=plain")

    text = done.stderr.decode()
    assert (done.returncode, done.stdout) == (1, b""), text
    head, summary, rest = text.split("------\n")
    assert re.search(r"^#\d+ ERROR: process .* exit code: 1$", head, re.MULTILINE)
    assert re.findall(r"out 2\.(\d+)", summary) == [str(n) for n in range(21, 31)]
    assert "out 2.3" not in rest
    lines = rest.splitlines()
    assert lines[0] == "build.py:7 in step"
    assert [line.split("|")[1].strip() for line in lines if line.startswith(" >")] == [
        'return base.run(f"for i in $(seq 30); do echo out {n}.$i; done; test {n} != 2  # {run}")',
        "base = step(base, n, run)",
    ]
    assert lines[-1].startswith("error: ")
    assert lines[-1].endswith("exit code 1")


def test_quiet_shows_the_output_of_what_failed_and_nothing_else(project: Path, address: str) -> None:
    failed = run(project, address, "solve", ":loop", "--run", fresh(), "--progress=quiet").stderr.decode()
    assert failed.startswith("------\n > ")
    assert re.findall(r"out 2\.(\d+)", failed)[-1] == "30"

    fine = run(project, address, "solve", ":hello", "--progress=quiet")
    assert (fine.returncode, fine.stdout, fine.stderr) == (0, b"", b"")


def test_rawjson_is_one_object_per_line_and_has_the_output(project: Path, address: str) -> None:
    done = run(project, address, "solve", ":loop", "--run", fresh(), "--progress=rawjson")

    rows = [json.loads(line) for line in done.stderr.decode().splitlines() if line.startswith("{")]
    names = {vertex["name"] for row in rows for vertex in row.get("vertexes", [])}
    assert any("out 2." in name for name in names)
    assert any(row.get("logs") for row in rows)


def test_a_missing_image_is_one_message_at_its_line(project: Path, address: str) -> None:
    done = run(project, address, "solve", ":missing", "--progress=quiet")

    text = done.stderr.decode()
    assert done.returncode == 1, text
    assert 'return fs().image("localhost/no-such-image:1").run("true")' in text
    assert text.splitlines()[-1].startswith("error: image 'localhost/no-such-image:1'")
    assert "Traceback" not in text


def test_metadata_is_written_as_buildctl_writes_it(project: Path, address: str) -> None:
    words = ("--output", "type=oci,dest=out.tar", "--metadata-file", "meta.json")
    done = run(project, address, "solve", ":hello", *words)
    assert done.returncode == 0, done.stderr.decode()

    metadata = json.loads((project / "meta.json").read_text())
    assert metadata["containerimage.digest"].startswith("sha256:")
    assert metadata["containerimage.descriptor"]["digest"] == metadata["containerimage.digest"]


def test_metadata_of_several_filesystems_is_by_their_names(project: Path, address: str) -> None:
    words = ("--output", "type=oci,dest={target}.tar", "--metadata-file", "meta.json")
    done = run(project, address, "solve", ":several", *words)
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads((project / "meta.json").read_text())
    assert list(found) == ["one", "two"]
    for name, answer in found.items():
        with tarfile.open(project / f"{name}.tar") as tar:
            index = json.load(tar.extractfile("index.json") or io.BytesIO())
        assert answer["containerimage.digest"] == index["manifests"][0]["digest"]


def test_a_tar_on_stdout_is_all_there_is_on_stdout(project: Path, address: str) -> None:
    done = run(project, address, "solve", ":hello", "--output", "type=tar,dest=-")
    assert done.returncode == 0, done.stderr.decode()

    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        member = archive.extractfile("hello")
        assert member is not None
        assert member.read() == b"hello"


def test_a_pushed_image_is_named_with_its_digest(project: Path, testbed: Testbed) -> None:
    registry = f"localhost:{testbed.auth_registry.rpartition(':')[2]}"
    login = base64.b64encode(f"{testbed.auth_user}:{testbed.auth_password}".encode()).decode()
    (project / "config.json").write_text(json.dumps({"auths": {registry: {"auth": login}}}))
    output = f'type=image,"name={registry}/hello-{fresh()}:1,{registry}/hello-{fresh()}:2",push=true'
    words = ("solve", ":hello", "--output", output, "--metadata-file", "meta.json")
    done = run(project, testbed.address, *words, DOCKER_CONFIG=str(project))

    said = done.stderr.decode()
    assert done.returncode == 0, said
    metadata = json.loads((project / "meta.json").read_text())
    names = metadata["image.name"].split(",")
    digest = metadata["containerimage.digest"]
    assert said.splitlines()[-2:] == [f"pushed {name}@{digest}" for name in names]
    raw = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", "--authfile", "config.json", f"docker://{names[1]}"],
        cwd=project,
        capture_output=True,
        check=True,
    )
    assert f"sha256:{hashlib.sha256(raw.stdout).hexdigest()}" == digest
    quiet = run(project, testbed.address, *words, "--progress=quiet", DOCKER_CONFIG=str(project))
    assert (quiet.returncode, quiet.stderr) == (0, b"")


def test_several_filesystems_go_each_to_its_place(project: Path, address: str) -> None:
    done = run(project, address, "solve", ":several", "--output", "type=local,dest=out/{target}")
    assert done.returncode == 0, done.stderr.decode()

    assert [(project / "out" / name / "n").read_text() for name in ("one", "two")] == ["1", "2"]
    done = run(project, address, "solve", ":hello", "--output", "type=local,dest=out/{target}")
    assert (done.returncode, (project / "out/hello/hello").read_text()) == (0, "hello")
    clash = run(project, address, "solve", ":several", "--output", "type=local,dest=out")
    assert (clash.returncode, b"{target}" in clash.stderr) == (2, True)


def test_a_local_cache_that_is_not_there_is_told_once(project: Path, address: str) -> None:
    words = ("solve", ":several", "--cache-from", f"type=local,src={project}/cache")
    told = f"warning: the build cache in '{project}/cache' is not there; the build goes on without\n"
    done = run(project, address, *words)
    assert (done.returncode, done.stderr.decode().count(told)) == (0, 1)
    quiet = run(project, address, *words, "--progress=quiet")
    assert (quiet.returncode, quiet.stderr) == (0, b"")


def test_a_secret_that_was_not_given_fails_before_any_step_at_its_line(project: Path, address: str) -> None:
    done = run(project, address, "solve", ":secretive", "--run", fresh(), "--progress=plain")

    text = done.stderr.decode()
    assert done.returncode == 2, text
    assert "#1 " not in text
    assert "> " in text
    assert "mounts=[secret(" in text


def test_a_secret_reaches_the_step_and_is_nowhere_in_what_is_shown(project: Path, address: str) -> None:
    (project / "token").write_text("very-hidden")
    words = ("--run", fresh(), "--secret", "id=token,src=token", "--progress=rawjson", "--debug")
    done = run(project, address, "solve", ":secretive", *words)

    assert done.returncode == 0, done.stderr.decode()
    assert b"very-hidden" not in done.stderr
    assert b"MTEK" in done.stderr  # base64 of the step's own output: its length, 11


def test_every_step_is_cached_from_the_registry_after_the_daemon_was_emptied(project: Path, testbed: Testbed) -> None:
    ref = f"localhost:{testbed.registry.rpartition(':')[2]}/cache-{fresh()}:x"
    (project / "fine.py").write_text(BUILD.replace("test {n} != 2", "test {n} != 9"))
    words = ("solve", "fine.py:loop", "--run", fresh(), "--progress=rawjson")

    def cached(done: subprocess.CompletedProcess[bytes]) -> dict[str, bool]:
        """By name, whether a step was, as the Status stream says in the end."""
        assert done.returncode == 0, done.stderr.decode()
        rows = [json.loads(line) for line in done.stderr.splitlines()]
        steps = [vertex for row in rows for vertex in row.get("vertexes", []) if vertex["name"].startswith("/bin/sh")]
        return {step["name"]: step.get("cached", False) for step in steps}

    with testbed.start_daemon() as daemon:
        first = run(project, daemon.address, *words, "--cache-to", f"type=registry,ref={ref},mode=max")
        assert list(cached(first).values()) == [False] * 4
        with Client(daemon.address) as client:
            emptied(client)
        second = run(project, daemon.address, *words, "--cache-from", f"type=registry,ref={ref}")
        assert cached(second) == dict.fromkeys(cached(first), True)


def test_a_secret_is_in_nothing_that_is_kept(project: Path, testbed: Testbed) -> None:
    hidden = f"hidden-{fresh()}"
    (project / "token").write_text(hidden)
    run_id, began = fresh(), time.time() - 1
    words = (":secretive", "--run", run_id)
    secret = ("--secret", "id=token,src=token")
    with testbed.start_daemon() as daemon:
        dumped = run(project, daemon.address, "dump", *words)
        cache = ("--cache-to", f"localhost:{testbed.registry.rpartition(':')[2]}/secretive-{run_id}:x")
        done = run(project, daemon.address, "solve", *words, *secret, *cache, "--progress=plain")
        assert (dumped.returncode, done.returncode) == (0, 0), (dumped.stderr + done.stderr).decode()
        kept = [path for place in (daemon.root, testbed.home) for path in place.rglob("*") if since(path, began)]
        with_id = [path for path in kept if run_id.encode() in contents(path)]
        assert with_id, "the search finds what is there"
        assert not [path for path in kept if hidden.encode() in contents(path)]
    assert hidden.encode() not in dumped.stdout + dumped.stderr + done.stdout + done.stderr


def since(path: Path, time: float) -> bool:
    """Whether it is a file that was written since then."""
    try:
        return path.is_file() and path.stat().st_mtime > time
    except OSError:
        return False


def contents(path: Path) -> bytes:
    """What is in a file, also when it is packed; nothing when it has just gone."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except OSError:
        return b""


def test_a_timeout_ends_with_1(project: Path, address: str) -> None:
    began = time.monotonic()
    done = run(project, address, "solve", ":slow", "--run", fresh(), "--timeout", "1s")

    assert done.returncode == 1
    assert b"timeout of 1 s" in done.stderr
    assert time.monotonic() - began < 10


def test_a_daemon_that_is_killed_ends_it_with_3_within_five_seconds(project: Path, testbed: Testbed) -> None:
    with testbed.start_daemon() as daemon:
        words = command("solve", ":slow", "--run", fresh(), "--progress=plain")
        with subprocess.Popen(words, cwd=project, env=environment(daemon.address), stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            said = b""
            while b" started\n" not in said:
                line = process.stderr.readline()
                assert line, said.decode()
                said += line
            daemon.kill()
            killed = time.monotonic()
            said += process.stderr.read()
            code = process.wait(30)
        assert time.monotonic() - killed < 5
    assert code == 3, said.decode()
    assert b"Traceback" not in said


def test_a_terminal_gets_a_drawing_and_is_given_back(project: Path, address: str) -> None:
    leader, follower = pty.openpty()
    received = bytearray()

    def read() -> None:
        try:
            while chunk := os.read(leader, 4096):
                received.extend(chunk)
        except OSError:  # EIO: the other end was closed
            pass

    reader = threading.Thread(target=read, name="test-pty-reader")
    reader.start()
    env = {**environment(address), "TERM": "xterm"}
    done = subprocess.run(command("solve", ":hello"), cwd=project, env=env, stderr=follower, check=False, timeout=60)
    os.close(follower)
    reader.join(10)
    os.close(leader)

    text = received.decode()
    assert done.returncode == 0, text
    assert re.search(r"\[\+\] Building \d+\.\ds \(\d+/\d+\) FINISHED", text)
    assert " => " in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
