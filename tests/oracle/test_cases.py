"""pyllb's definitions beside those of BuildKit's Go client/llb, op for op."""

from __future__ import annotations

import attrs
import pytest

import pyllb
from pyllb.marshal.definition import Definition
from tests.oracle import JSON, Answer, OracleError, Program, ask, sourcemap
from tests.oracle.cases import CASES, bind, image, program, run
from tests.oracle.dockerfiles import stored
from tests.oracle.dsl import marshal
from tests.unit.marshal.nodes import lowered


@pytest.fixture(scope="module")
def answers() -> dict[str, Answer | OracleError]:
    return {str(case["name"]): answer for case, answer in zip(CASES, ask(CASES), strict=True)}


def metadata(definition: Definition) -> dict[str, dict[str, JSON]]:
    """The metadata in the oracle's form."""
    return {
        digest: {
            "ignore_cache": item.ignore_cache,
            "description": dict(item.description) or None,
            "export_cache": item.export_cache,
            "caps": list(item.caps),
            "group": attrs.asdict(item.group) if item.group else None,
            "resources": attrs.asdict(item.resources) if item.resources else None,
        }
        for digest, item in definition.metadata.items()
    }


def assert_equal(definition: Definition, answer: Answer | OracleError) -> None:
    if isinstance(answer, OracleError):
        raise answer
    go = Definition.from_bytes(answer.definition)
    assert definition.to_tree() == go.to_tree()
    assert definition.ops == answer.ops
    assert definition.digest == go.digest
    assert metadata(definition) == answer.metadata


def test_names_of_cases_are_unique() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES) > 60


@pytest.mark.parametrize("case", CASES, ids=[str(case["name"]) for case in CASES])
def test_a_program_becomes_the_ops_digests_and_metadata_of_go(
    case: Program, answers: dict[str, Answer | OracleError]
) -> None:
    definition = marshal(case).definition
    assert_equal(definition, answers[str(case["name"])])
    read = Definition.from_bytes(definition.to_bytes())
    assert (read.ops, read.metadata, read.source) == (definition.ops, definition.metadata, definition.source)


def test_a_definition_that_is_built_on_carries_its_source_map_as_gos_does() -> None:
    again: Program = {
        **sourcemap.PROGRAM,
        "nodes": [*sourcemap.PROGRAM["nodes"], {"op": "definition", "on": 4}, {"op": "run", "on": 5, "args": ["x"]}],  # type: ignore[misc]  # a program is JSON
    }
    (answer,) = ask([again])
    assert isinstance(answer, Answer)
    node = pyllb.definition(Definition.from_bytes(sourcemap.marshal().to_bytes())).run(["x"])
    made = lowered(node, read_text=sourcemap.read_text).definition
    assert made.ops == answer.ops
    assert made.source == Definition.from_bytes(answer.definition).source


def test_an_op_of_a_definition_has_its_places_once_for_each_result_that_is_read() -> None:
    """As with Go, and again each time that the definition is built on; an error tells them once."""
    place = [{"filename": "f", "language": "Go", "data": "x", "range": [1, 0, 1, 4]}]
    taken = [{"op": "mount", "on": 1, "target": target} for target in ("/a", "/b")]
    made = program("results", image(), run(0, bind("/a"), bind("/b"), locations=place), *taken)
    made["nodes"] = [*made["nodes"], {"op": "merge", "states": [1, 2, 3]}]  # type: ignore[misc]  # a program is JSON
    (first,) = ask([made])
    assert isinstance(first, Answer)
    before, command = first.definition, first.ops[1][0]
    for count in (3, 9):
        on_it = program("built on it", stored(before), run(0))
        (answer,) = ask([on_it])
        assert isinstance(answer, Answer)
        ours = marshal(on_it, lambda filename: None).definition
        theirs = Definition.from_bytes(answer.definition)
        assert ours == theirs
        assert len(ours.source.locations[command]) == count
        assert len(ours.source_lines(command)) == 1
        before = answer.definition
