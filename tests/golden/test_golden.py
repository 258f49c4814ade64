"""pyllb's definitions beside the golden ones."""

from __future__ import annotations

import pytest

from pyllb.marshal.definition import Definition
from tests.golden import FILES, GOLDEN, path
from tests.oracle import dsl, sourcemap


def golden(name: str) -> Definition:
    return Definition.from_bytes(path(name, ".pb").read_bytes())


@pytest.mark.parametrize("name", GOLDEN)
def test_a_program_becomes_the_golden_definition(name: str) -> None:
    made = sourcemap.marshal() if name == "source map" else dsl.marshal(GOLDEN[name]).definition
    assert made.to_tree() == path(name, ".txt").read_text()
    assert made.ops == golden(name).ops
    assert made.metadata == golden(name).metadata
    if name == "source map":
        assert made.source == golden(name).source


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_definition_is_read_and_written_back_as_it_is(name: str) -> None:
    data = path(name, ".pb").read_bytes()
    assert Definition.from_bytes(data).to_bytes() == data
    assert golden(name).to_tree() == path(name, ".txt").read_text()


def test_every_golden_file_belongs_to_a_program() -> None:
    assert {file.name for file in FILES.iterdir()} == {
        path(name, ext).name for name in GOLDEN for ext in (".pb", ".txt")
    }


def test_the_build_of_the_readme_has_the_digest_that_go_gives_it() -> None:
    digest = "sha256:d1a0135ccfbf8bef7d4aa40f2761f8ff298093e9754de8a6ff0ac3931f6bc409"
    assert golden("one cached build").digest == digest
