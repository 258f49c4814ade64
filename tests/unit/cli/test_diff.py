"""`pyllb diff`, and the text forms of `pyllb dump`, run as users run them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from pyllb.marshal.definition import Definition

ROOT = Path(__file__).resolve().parents[3]
BUILD = """
from helper import COMMAND

from pyllb import FS, fs, target


@target
def default(flags: str = "-v") -> FS:
    return fs().image("alpine").run(f"{COMMAND} {flags}", name="build it")


@target
def needs(name: str) -> FS:
    return fs().mkfile("/name", name)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two checkouts of one build, each with a module of its own."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "build.py").write_text(BUILD)
        (tmp_path / name / "helper.py").write_text(f"COMMAND = 'make {name}'\n")
    return tmp_path


def run(
    cwd: Path,
    *words: str,
    input: bytes | None = None,
    pass_fds: tuple[int, ...] = (),
    stdout: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "BUILDKIT_HOST": "unix:///nowhere"}
    command = [sys.executable, "-W", "error", "-m", "pyllb.cli", *words]
    return subprocess.run(
        command,
        cwd=cwd,
        env=env,
        input=input,
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
        pass_fds=pass_fds,
    )


def dumped(cwd: Path, place: str, *words: str) -> bytes:
    done = run(cwd, "dump", place, "--resolve=never", *words)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_two_checkouts_are_compared_op_by_op_and_end_with_one(project: Path) -> None:
    done = run(project, "diff", "old/build.py", "new/build.py:default")
    assert done.stdout.decode().splitlines() == [
        'exec "build it" changed (new/build.py:9)',
        "  command: /bin/sh -c 'make old -v' became /bin/sh -c 'make new -v'",
        "ops: 1 changed, 0 added, 0 removed",
    ]
    assert (done.returncode, done.stderr) == (1, b"")


def test_equal_builds_are_silent_and_end_with_zero(project: Path) -> None:
    (project / "old.pb").write_bytes(dumped(project, "old/build.py"))
    for words in (("old.pb", "old.pb"), ("old.pb", "old/build.py"), ("old/build.py", "old/build.py:default")):
        done = run(project, "diff", *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_definition_may_come_from_stdin_and_the_answer_be_json(project: Path) -> None:
    done = run(project, "diff", "-", "new/build.py", "--format=json", input=dumped(project, "old/build.py"))
    assert done.returncode == 1
    (change,) = json.loads(done.stdout)["changes"]
    assert (change["change"], change["kind"], change["name"]) == ("changed", "exec", "build it")
    assert change["fields"][0]["path"] == ["command"]


def test_a_definition_may_come_from_a_pipe_as_a_shell_gives_one(project: Path) -> None:
    read, write = os.pipe()
    os.write(write, dumped(project, "old/build.py"))
    os.close(write)
    done = run(project, "diff", f"/dev/fd/{read}", "new/build.py", pass_fds=(read,))
    os.close(read)
    assert (done.returncode, done.stdout.decode().splitlines()[-1:]) == (1, ["ops: 1 changed, 0 added, 0 removed"]), (
        done
    )


def test_a_definition_may_be_json(project: Path) -> None:
    text = dumped(project, "old/build.py", "--format=json")
    (project / "old.json").write_bytes(text)
    for words in (("old.json", "old/build.py"), ("-", "old.json")):
        done = run(project, "diff", *words, input=text)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert run(project, "diff", "old.json", "new/build.py").returncode == 1


def test_a_difference_may_be_that_of_image_configs(project: Path) -> None:
    (project / "old.pb").write_bytes(dumped(project, "old/build.py"))
    hint = b"add --resolve=auto\n"
    for words, told in ((("old.pb", "new/build.py"), True), (("old/build.py", "new/build.py"), False)):
        done = run(project, "diff", *words)
        assert (done.returncode, done.stderr.endswith(hint)) == (1, told)
    assert run(project, "diff", "old.pb", "old/build.py").stderr == b""


def test_another_platform_is_a_difference(project: Path) -> None:
    (project / "amd.pb").write_bytes(dumped(project, "old/build.py", "--platform=linux/amd64"))
    done = run(project, "diff", "amd.pb", "old/build.py", "--platform=linux/arm64")
    assert done.stdout.decode() == (
        'source "docker-image://docker.io/library/alpine:latest" changed (old/build.py:9)\n'
        'exec "build it" changed (old/build.py:9)\n'
        "  platform: linux/amd64 became linux/arm64\n"
        "ops: 2 changed, 0 added, 0 removed\n"
    )


def test_an_empty_file_is_scratch_and_that_is_said(project: Path) -> None:
    """Two dumps that failed would be no difference."""
    for name in ("a.pb", "b.pb"):
        (project / name).touch()
    done = run(project, "diff", "a.pb", "b.pb")
    assert (done.returncode, done.stdout) == (0, b"")
    assert [line[:16] for line in done.stderr.decode().splitlines()] == ["'a.pb' is empty,", "'b.pb' is empty,"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-", "-"), "stdin is read once"),
        (("", "old/build.py"), "a definition is ''; give a file of LLB"),
        (("rubbish.pb", "old/build.py"), "'rubbish.pb': not a definition"),
        (("-", "old/build.py"), "stdin: not a definition"),
        (("broken.json", "old/build.py"), "'broken.json': not the JSON of a definition"),
        (("nothing.pb", "old/build.py"), "there is no file 'nothing.pb'; give a file of LLB"),
        (("nothing.py", "old/build.py"), "no build file 'nothing.py'"),
        (("old/build.py:needs", "old/build.py"), "target 'needs' wants --name, and pyllb diff gives no parameters"),
        (("old/build.py:deflt", "old/build.py"), "has no target 'deflt'; did you mean 'default'?"),
        (("old/build.py",), "missing argument 'B'"),
        (("old/build.py", "old/build.py", "--format=xml"), "'xml' is not one of"),
    ],
)
def test_wrong_use_ends_with_two(project: Path, words: tuple[str, ...], says: str) -> None:
    (project / "rubbish.pb").write_bytes(b"rubbish")
    (project / "broken.json").write_bytes(b"{\xff")
    done = run(project, "diff", *words, input=b"rubbish")
    assert (done.returncode, done.stdout) == (2, b"")
    assert says in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_an_unreadable_file_is_wrong_use(project: Path) -> None:
    link = project / "loop.pb"
    link.symlink_to("/proc/self/mem")  # opened by its owner, and unreadable at its start
    done = run(project, "diff", "loop.pb", "old/build.py")
    assert done.returncode == 2, done.stderr.decode()
    assert "'loop.pb' cannot be read" in done.stderr.decode()


@pytest.mark.parametrize("format", ["json", "dot", "tree"])
def test_a_dump_is_written_as_text(project: Path, format: str) -> None:
    read = Definition.from_bytes(dumped(project, "old/build.py"))
    done = run(project, "dump", "old/build.py", "--resolve=never", "--format", format)
    meant = {"json": read.to_json, "dot": read.to_dot, "tree": read.to_tree}[format]()
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, meant, b"")


def test_text_may_go_to_a_terminal(project: Path) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "pyllb.cli", "dump", "old/build.py", "--resolve=never", "--format=dot"]
    done = subprocess.run(
        command, cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=follower, timeout=60, check=False
    )
    os.close(follower)
    assert done.returncode == 0
    assert os.read(leader, 10000).startswith(b"digraph {")
    os.close(leader)


def test_what_fails_does_not_end_as_a_difference_does(project: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = run(project, "diff", "old/build.py", "new/build.py", stdout=full)
    assert (done.returncode, done.stderr) == (2, b"error: No space left on device\n")
