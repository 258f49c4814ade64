"""Wheel and sdist: built, installed into an empty virtual environment, and used."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = """
from pyllb import cache, fs, target

@target
def default():
    return fs().image("golang").run("go build", mounts=[cache("go-build", sharing="shared")])
"""

EVERY_MODULE = """
import importlib, pkgutil, sys
import pyllb
for module in pkgutil.walk_packages(pyllb.__path__, "pyllb."):
    importlib.import_module(module.name)
assert "grpc" not in sys.modules
"""


def run(*command: str | Path, cwd: Path) -> bytes:
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout.decode()}{done.stderr.decode()}"
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of this checkout."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    return out


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_a_distribution_installs_into_an_empty_environment_and_dumps(
    pattern: str, distributions: Path, tmp_path: Path
) -> None:
    [package] = distributions.glob(pattern)
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env/bin/python"
    run(python, "-m", "pip", "install", "--quiet", package, cwd=tmp_path)
    (tmp_path / "build.py").write_text(BUILD)
    assert b"solve" in run(tmp_path / "env/bin/pyllb", "--help", cwd=tmp_path)
    dumped = run(tmp_path / "env/bin/pyllb", "dump", "build.py:default", "--resolve=never", cwd=tmp_path)
    assert b"docker-image://docker.io/library/golang:latest" in dumped
    assert b"/root/.cache/go-build" in dumped
    read = "import pyllb, sys; d = pyllb.Definition.from_bytes(sys.stdin.buffer.read()); print(len(d.ops), d.digest)"
    done = subprocess.run([python, "-c", read], input=dumped, capture_output=True, cwd=tmp_path, check=True)
    assert done.stdout.startswith(b"3 sha256:")
    run(python, "-c", EVERY_MODULE, cwd=tmp_path)  # so nothing needs more than what is named as a dependency


@pytest.mark.parametrize("version", ["5", "6", "7"])
def test_the_golden_tests_pass_with_each_protobuf(version: str, tmp_path: Path) -> None:
    """The package directory that comes first on the path wins over the environment's own protobuf."""
    where = tmp_path / "protobuf"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(where)]
    run(*pip, f"protobuf=={version}.*", cwd=tmp_path)
    check = f"import google.protobuf as p; assert p.__version__.startswith('{version}.'), p.__version__"
    arguments = ["-q", "-p", "no:cacheprovider", "tests/golden", "tests/unit/marshal", "tests/unit/client"]
    tests = f"import sys, pytest; sys.exit(pytest.main({arguments!r}))"
    code = f"import sys; sys.path.insert(0, {str(where)!r}); {check}; {tests}"
    run(sys.executable, "-c", code, cwd=ROOT)
