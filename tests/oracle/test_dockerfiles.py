"""Definitions of the Dockerfile frontend: read, written back, told, and built on as Go's NewDefinitionOp has them."""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping

import pytest

import pyllb
from pyllb._pb import ops_pb2
from pyllb.marshal.definition import Definition
from tests.oracle import Answer, Program, ask, test_buildctl
from tests.oracle.dockerfiles import DOCKERFILES, dockerfile, from_text, on_top, together
from tests.oracle.dockerfiles.draw import drawn_dockerfile
from tests.oracle.draw import drawn
from tests.oracle.dsl import marshal
from tests.oracle.test_cases import assert_equal, metadata
from tests.unit.marshal.nodes import lowered

NAMES = [str(made["name"]) for made in DOCKERFILES]
FULL = [name for name in NAMES if name != "config of nothing"]  # Go builds on no definition that is empty
Answers = Mapping[str, Answer]

each = pytest.mark.parametrize("name", NAMES)


def text_of_none(filename: str) -> None:
    """No file is the user's, and still there is a source map: that of what is built on."""


def made_by_go(programs: list[Program]) -> list[Answer]:
    answers = []
    for answer in ask(programs):
        if not isinstance(answer, Answer):
            raise answer
        answers.append(answer)
    return answers


@pytest.fixture(scope="module")
def answers() -> Answers:
    return dict(zip(NAMES, made_by_go(DOCKERFILES), strict=True))


def test_the_dockerfiles_become_ops_of_every_kind_that_the_frontend_makes(answers: Answers) -> None:
    read = [Definition.from_bytes(answer.definition) for answer in answers.values()]
    assert {vertex.kind for made in read for vertex in made.vertices} == {"source", "exec", "file", "merge", "return"}
    sources = [ops_pb2.Op.FromString(op).source.identifier for made in read for _, op in made.ops]
    assert {name.partition("://")[0] for name in sources if name} == {"docker-image", "local", "https", "git"}
    caps = {cap for made in read for said in made.metadata.values() for cap in said.caps}
    assert len(caps) > 35, sorted(caps)
    assert len(set(NAMES)) == len(NAMES) > 20
    assert sum(len(made.ops) for made in read) > 270


def test_a_cache_has_the_id_that_a_dockerfile_gives_it() -> None:
    mounts = "--mount=type=cache,id=name,target=/x --mount=type=cache,target=/root/.cache/"
    (answer,) = made_by_go([from_text("caches", f"FROM busybox\nRUN {mounts} make\n")])
    execs = [ops_pb2.Op.FromString(op).exec for _, op in answer.ops]
    made = [(m.cacheOpt.ID, m.dest) for e in execs for m in e.mounts if m.HasField("cacheOpt")]
    ours = [pyllb.cache("/root/.cache/"), pyllb.cache("/x", id="/name")]
    assert sorted(made) == sorted((mount.id, mount.target) for mount in ours)


@each
def test_it_is_read_and_written_back_equal(name: str, answers: Answers) -> None:
    assert_read_and_written_back(answers[name])


def assert_read_and_written_back(answer: Answer) -> None:
    read = Definition.from_bytes(answer.definition)
    assert read.ops == answer.ops
    assert metadata(read) == answer.metadata
    assert tuple((info.filename, info.language, info.data) for info in read.source.infos) == answer.infos
    places = {
        digest: [[p.source, p.start_line, p.start_character, p.end_line, p.end_character] for p in found]
        for digest, found in read.source.locations.items()
    }
    assert places == answer.locations
    assert read.to_bytes() == answer.definition
    shuffled = ops_pb2.Definition.FromString(answer.definition).SerializeToString()
    assert Definition.from_bytes(shuffled) == read
    read.check()


@each
def test_it_is_marshalled_anew_as_what_it_is(name: str, answers: Answers) -> None:
    """But that two files of one COPY may change places among the ops, as they do with Go's NewDefinitionOp."""
    read = Definition.from_bytes(answers[name].definition)
    made = lowered(pyllb.definition(read), read_text=text_of_none).definition
    assert Definition.from_bytes(made.to_bytes()) == made
    assert made.digest == read.digest
    assert sorted(made.ops) == sorted(read.ops)
    assert (made.metadata, made.source) == (read.metadata, read.source)


@each
def test_its_json_and_dot_are_those_of_buildctl(name: str, answers: Answers) -> None:
    test_buildctl.assert_equal(answers[name].definition)


@each
def test_its_tree_tells_each_op_and_its_lines_of_the_dockerfile(name: str, answers: Answers) -> None:
    read = Definition.from_bytes(answers[name].definition)
    tree = read.to_tree()
    for digest, _ in read.ops:
        assert digest in tree
        for line in read.source_lines(digest):
            assert line.filename == "Dockerfile"
            assert f"at Dockerfile:{line.line}" in tree


@pytest.mark.parametrize("name", FULL)
def test_what_is_built_on_it_is_what_go_builds_on_it(name: str, answers: Answers) -> None:
    programs = on_top(answers[name].definition)
    for made, answer in zip(programs, made_by_go(programs), strict=True):
        compare(made, answer)


def test_what_is_built_on_several_is_what_go_builds_on_them(answers: Answers) -> None:
    stored = [answers[name].definition for name in FULL]
    programs = [together(one, other) for one, other in zip(stored, stored[1:] + stored[:1], strict=True)]
    programs.append(together(*stored))
    for made, answer in zip(programs, made_by_go(programs), strict=True):
        compare(made, answer)


def test_random_programs_on_definitions_of_dockerfiles_equal_those_of_go(answers: Answers) -> None:
    stored = [answers[name].definition for name in FULL]
    programs = [drawn(random.Random(7).getrandbits(60) + seed, stored) for seed in range(300)]
    for made, answer in zip(programs, made_by_go(programs), strict=True):
        try:
            compare(made, answer)
        except Exception as error:
            raise AssertionError(f"{made['name']} differs") from error


@pytest.mark.parametrize("seed", [1, secrets.randbits(40)], ids=["a fixed seed", "a new seed"])
def test_random_dockerfiles_are_read_written_back_and_built_on(seed: int) -> None:
    seeds = range(seed, seed + 150)
    answers = made_by_go([drawn_dockerfile(number) for number in seeds])
    programs = []
    for number, answer in zip(seeds, answers, strict=True):
        try:
            assert_read_and_written_back(answer)
        except Exception as error:
            raise AssertionError(f"the Dockerfile of seed {number} differs") from error
        if answer.ops:
            ways = on_top(answer.definition)
            programs += [drawn(number, [answer.definition]), {**ways[number % len(ways)], "name": f"seed {number}"}]
    for made, answer in zip(programs, made_by_go(programs), strict=True):
        try:
            compare(made, answer)
        except Exception as error:
            raise AssertionError(f"{made['name']} differs") from error
    for answer in answers[:20]:
        test_buildctl.assert_equal(answer.definition)


def compare(program: Program, answer: Answer) -> None:
    made = marshal(program, text_of_none).definition
    assert_equal(made, answer)
    assert made.source == Definition.from_bytes(answer.definition).source, program["name"]
    assert Definition.from_bytes(made.to_bytes()) == Definition.from_bytes(answer.definition), program["name"]


def test_one_dockerfile_of_two_sessions_is_one_file_of_the_source_map(answers: Answers) -> None:
    (other,) = made_by_go([{**dockerfile("service"), "unique": "another session"}])
    program = together(answers["service"].definition, other.definition)
    (answer,) = made_by_go([program])
    compare(program, answer)


def test_the_difference_of_two_is_told(answers: Answers) -> None:
    read = {name: Definition.from_bytes(answer.definition) for name, answer in answers.items()}
    for definition in read.values():
        assert not definition.diff(definition).changes
    told = read["heredocs"].diff(read["heredocs with an argument"]).to_text()
    assert "hello ü <&>" in told
    told = read["mounts"].diff(read["mounts with all that a client may set"]).to_text()
    for word in ("hostname", "10.0.0.1", "nofile", "parent", "/dev/shm"):
        assert word in told
