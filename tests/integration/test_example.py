"""The example: a web service whose program runs, and whose caches are used again."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.manifest import manifest
from tests.testbed import Testbed

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/go-service"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the example that a test may change."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "go-service"))


def pyllb(testbed: Testbed, cwd: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "BUILDKIT_HOST": testbed.address, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pyllb.cli", *words]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done


@contextmanager
def serving(program: Path) -> Iterator[str]:
    """The base address of the running service."""
    with subprocess.Popen([program, "-listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def test_the_service_that_was_built_runs_and_answers(project: Path, testbed: Testbed) -> None:
    pyllb(testbed, project, "solve", "build.py:default", "--version", "1.2", "--output", "type=local,dest=out")
    assert subprocess.check_output([project / "out/app", "-version"], text=True) == "go-service 1.2\n"
    with serving(project / "out/app") as address, urllib.request.urlopen(f"{address}/hello/ada") as answer:
        said = json.load(answer)
    assert (said["hello"], said["version"]) == ("ada", "1.2")


def compiled(log: bytes) -> set[str]:
    """The packages that go compiled, by its own -x log (`compile ... -p PACKAGE`)."""
    return set(re.findall(r"/compile\S* .*?-p (\S+)", log.decode()))


def test_a_solve_after_a_one_line_change_uses_both_caches_again(project: Path, testbed: Testbed) -> None:
    words = ("solve", "build.py:default", "--verbose", "--progress=plain", "--version")
    source = (project / "main.go").read_text()
    (project / "main.go").write_text(source.replace('"go-service"', f'"{project}"'))
    first = pyllb(testbed, project, *words, "first").stderr
    assert compiled(first), "the first solve compiles at least the program itself"
    (project / "main.go").write_text(source.replace('"go-service"', '"changed"'))
    second = pyllb(testbed, project, *words, "first").stderr
    assert compiled(second) == {"main"}, "every other package came from the build cache"
    assert b"go: downloading" not in second, "every module came from the module cache"


def test_dump_piped_into_buildctl_gives_the_same_tree(project: Path, testbed: Testbed) -> None:
    pyllb(testbed, project, "solve", "build.py:default", "--output", "type=local,dest=out")
    dumped = pyllb(testbed, project, "dump", "build.py:default")
    assert b"--local context=" in dumped.stderr
    buildctl = [str(testbed.buildctl), "--addr", testbed.address]
    build = [*buildctl, "build", "--local", "context=.", "--output", "type=local,dest=out2"]
    subprocess.run(build, input=dumped.stdout, cwd=project, check=True, capture_output=True)
    ours, theirs = manifest(str(project / "out")), manifest(str(project / "out2"))
    assert [row[0] for row in ours] == ["app"]
    assert ours == theirs
    read = subprocess.run([*buildctl, "debug", "dump-llb"], input=dumped.stdout, check=True, capture_output=True)
    assert [json.loads(line) for line in read.stdout.splitlines()]
