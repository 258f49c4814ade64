"""The same build is the same bytes: under every Python and hash seed, and when a hundred threads marshal it at once."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import pyllb
from pyllb.marshal.definition import Definition
from tests.determinism import build
from tests.determinism.dumps import SHAPES, at_once, shaped
from tests.testbed import pythons

_ROOT = Path(__file__).resolve().parents[2]
_NEEDED = ("attr", "attrs", "google.protobuf")  # protobuf's compiled part is for every version
Dumps = dict[str, bytes]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what pyllb needs to marshal and to read, and no more of this Python's packages."""
    place = tmp_path_factory.mktemp("packages")
    for name in _NEEDED:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        found = Path(spec.origin).parent
        top = found.parent if "." in name else found
        (place / top.name).symlink_to(top)
    return place


def dumps(command: Sequence[str], packages: Path, seed: str = "0") -> Dumps:
    """What tests/determinism/dumps.py says, run by a Python."""
    env = {name: os.environ[name] for name in ("HOME", "LANG", "PATH") if name in os.environ}
    env |= {"PYTHONPATH": f"{_ROOT}{os.pathsep}{packages}", "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
    script = [*command, "-P", "-s", "-m", "tests.determinism.dumps"]
    done = subprocess.run(script, env=env, cwd=packages, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name: base64.b64decode(data) for name, data in json.loads(done.stdout).items()}


@pytest.fixture(scope="module")
def usual(packages: Path) -> Dumps:
    """What this Python makes with a hash seed of 0."""
    made = dumps([sys.executable], packages)
    assert len(made) > 300
    return made


def assert_same(made: Dumps, usual: Dumps) -> None:
    assert made.keys() == usual.keys()
    for name in usual:
        assert tree(made[name]) == tree(usual[name]), name
        assert made[name] == usual[name], name


def tree(data: bytes) -> str:
    return Definition.from_bytes(data).to_tree()


@pytest.mark.parametrize("seed", ["1", "4294967295", "random"])
def test_a_build_is_the_same_under_every_hash_seed(seed: str, packages: Path, usual: Dumps) -> None:
    assert_same(dumps([sys.executable], packages, seed), usual)


@pytest.mark.parametrize("version", pythons.VERSIONS)
def test_a_build_is_the_same_under_every_python(version: str, packages: Path, usual: Dumps) -> None:
    try:
        command = pythons.command(version)
    except pythons.NoPython as error:
        pytest.skip(str(error))  # those that can be had are tested; the error says why this one cannot
    made = dumps(command, packages, "random")
    # Where Python itself calls (__enter__ and the like), versions of it differ in which place that is.
    ours, theirs = (Definition.from_bytes(found.pop("protocols")) for found in (dict(usual), made))
    assert ours.ops == theirs.ops
    assert ours.metadata == theirs.metadata
    assert ours.source.infos == theirs.source.infos
    assert_same(made, {name: data for name, data in usual.items() if name != "protocols"})


def assert_same_at_once(make: Callable[[], bytes]) -> None:
    (alone,) = at_once(make, threads=1)  # in a thread as well: how a build was reached is part of it
    assert at_once(make) == {alone}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_build_that_a_hundred_threads_make_at_once_is_the_same(shape: str) -> None:
    assert_same_at_once(lambda: shaped(shape))


def test_a_node_that_a_hundred_threads_marshal_at_once_is_the_same() -> None:
    node = build.default()
    assert_same_at_once(lambda: pyllb.dump(node, platform="linux/amd64").to_bytes())


@pytest.mark.parametrize("time", range(5))  # a definition is asked for its ops once, and one time may go well
def test_a_definition_that_a_hundred_threads_build_on_at_once_is_the_same(time: int) -> None:
    read = Definition.from_bytes(shaped("default"))
    made = at_once(lambda: pyllb.dump(pyllb.definition(read).run("more"), platform="linux/amd64").to_bytes())
    assert len(made) == 1
