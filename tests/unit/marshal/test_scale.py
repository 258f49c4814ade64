"""Large graphs: no recursion, and four times the graph is four times the work and the memory."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable

import pytest

import pyllb
from pyllb._pb.ops_pb2 import Location, Range, SourceInfo
from pyllb.client.needs import find_needs
from pyllb.errors import GraphError
from pyllb.marshal.definition import MAX_SIZE, Definition
from pyllb.marshal.sourcemap import ReadText, place_lines
from tests.unit.marshal.nodes import calls, lowered

CACHE = pyllb.cache("go-build")
Shape = Callable[[int], pyllb.FS]


def chain(length: int) -> pyllb.FS:
    """Commands one after the other, each with an environment, a cache and a name."""
    state = pyllb.image("alpine")
    for number in range(length):
        state = state.env(N=str(number)).run(["step", str(number)], mounts=[CACHE], name=f"step {number}")
    return state


def wide(width: int) -> pyllb.FS:
    """A merge of many filesystems."""
    return pyllb.merge(*[pyllb.fs().mkdir(f"/{number}") for number in range(width)])


def diamonds(depth: int) -> pyllb.FS:
    """Two commands on what was merged before, merged: 2 ** depth ways lead to the image."""
    state = pyllb.image("alpine")
    for number in range(depth):
        state = pyllb.merge(state.run(["a", str(number)]), state.run(["b", str(number)]))
    return state


def files(depth: int) -> pyllb.FS:
    """Files copied from what was made before, by two ways."""
    state = pyllb.image("alpine")
    for number in range(depth):
        state = state.mkdir(f"/{number}").copy(state, "/", f"/{number}/")
    return state


def own_text(filename: str) -> str | None:
    return "the text\n" if filename == __file__ else None


@pytest.mark.parametrize(
    ("shape", "size", "ops"),
    [(chain, 100_000, 100_002), (wide, 20_000, 20_002), (diamonds, 10_000, 30_002), (files, 10_000, 20_002)],
)
def test_a_large_graph_is_made_marshalled_and_asked_without_recursion(shape: Shape, size: int, ops: int) -> None:
    assert sys.getrecursionlimit() < size
    node = shape(size)
    definition = lowered(node, read_text=own_text).definition
    assert len(definition.ops) == ops
    assert find_needs(node).secrets == ()
    assert (definition.size > MAX_SIZE) == (shape is chain)
    if definition.size <= MAX_SIZE:
        definition.check()


def test_a_chain_that_is_too_large_for_the_daemon_names_its_largest_ops_and_their_lines() -> None:
    node = chain(100).run(["x" * 9_000_000], name="the long one").run(["y" * 8_000_000])
    definition = lowered(node, read_text=own_text).definition
    with pytest.raises(
        GraphError, match=r"9,000,\d\d\d bytes: 'the long one' \(sha256:\w+\); 8,000,\d\d\d bytes: 'y{60}'"
    ) as caught:
        definition.check()
    assert caught.value.sources[0].filename == __file__


@pytest.mark.parametrize("shape", [chain, wide, diamonds, files])
def test_a_definition_of_a_large_graph_is_read_and_built_on_without_recursion(shape: Shape) -> None:
    data = lowered(shape(5_000), read_text=own_text).definition.to_bytes()
    read = Definition.from_bytes(data)
    read.check()
    again = lowered(pyllb.definition(read), read_text=own_text).definition
    assert again.ops == read.ops
    assert find_needs(pyllb.definition(read)).secrets == ()


@pytest.mark.parametrize("shape", [chain, wide, diamonds, files])
def test_four_times_the_graph_is_four_times_the_work_and_the_memory(shape: Shape) -> None:
    for read_text in (own_text, lambda name: None):
        (called, peak), (more_called, more_peak) = (measured(shape(size), read_text) for size in (250, 1_000))
        assert 3.8 < more_called / called < 4.1
        assert more_peak / peak < 6  # tables and buffers grow in steps


def measured(node: pyllb.FS, read_text: ReadText) -> tuple[int, int]:
    """How many functions are called to marshal a node, and how many bytes that takes at most."""
    tracemalloc.start()
    try:
        called = calls(lambda: lowered(node, read_text=read_text).definition.to_bytes())
        return called, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class _Location(bytes):
    """A pb.Location that counts how often one is compared with another."""

    compared = 0
    __hash__ = bytes.__hash__

    def __eq__(self, other: object) -> bool:
        _Location.compared += 1
        return bytes.__eq__(self, other)


def test_the_places_of_equal_ops_are_told_with_work_and_memory_in_proportion_to_them() -> None:
    """A generated build file may name a directory on thousands of its lines; a helper called by all stands in each."""
    info = SourceInfo(filename="build.py", data=b"the text\n" * 10_000).SerializeToString()

    def measured(count: int) -> int:
        starts = [start for line in range(1, count + 1) for start in (1, line + 1)]
        places = [
            (info, _Location(Location(ranges=[Range(start={"line": line})]).SerializeToString())) for line in starts
        ]
        _Location.compared = 0
        lines = place_lines(places)
        assert len(lines) == len(places)
        assert len({id(line.text) for line in lines}) == 1
        return _Location.compared

    assert 3.8 < measured(4_000) / measured(1_000) < 4.3
