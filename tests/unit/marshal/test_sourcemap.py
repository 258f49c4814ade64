"""Source maps: which lines are told, in which order, how often."""

from __future__ import annotations

from typing import Any

import pyllb
from pyllb._pb import ops_pb2
from pyllb.ir.platform import Platform
from pyllb.marshal.sourcemap import source_lines
from tests.oracle.sourcemap import FILENAME, TEXT, marshal, read_text
from tests.unit.marshal.nodes import lowered

AMD64 = Platform("linux", "amd64")


def built(text: str, filename: str = FILENAME) -> pyllb.FS:
    names: dict[str, Any] = {"pyllb": pyllb}
    exec(compile(text, filename, "exec"), names)
    made: pyllb.FS = names["made"]
    return made


def test_a_person_is_shown_the_innermost_line_first() -> None:
    definition = marshal()
    assert [(line.filename, line.line) for line in definition.source_lines(definition.digest)] == [
        (FILENAME, 5),
        (FILENAME, 18),
    ]


def test_a_file_is_told_once_with_its_text() -> None:
    [info] = marshal().source.infos
    assert (info.filename, info.data.decode(), info.language) == (FILENAME, TEXT, "Python")


def test_every_op_but_the_return_has_its_places_even_when_there_are_none() -> None:
    definition = lowered(pyllb.fs().image("alpine").mkdir("/a")).definition
    assert definition.source.infos == ()
    assert definition.source.locations == {digest: () for digest, _ in definition.ops[:-1]}


def test_a_frame_whose_file_is_not_the_users_is_left_out() -> None:
    node = built("def helper():\n    return pyllb.fs().mkdir('/a')\nmade = helper()\n")
    assert node.output is not None
    assert [(line.line, line.function) for line in source_lines(node.output.vertex.site, read_text)] == [
        (2, "helper"),
        (3, "<module>"),
    ]
    assert lowered(node, read_text=lambda name: None).definition.source.infos == ()


def test_a_helper_that_is_called_by_with_has_its_callers_line_too() -> None:
    node = built("""\
def helper(fs, name):
    return fs.mkdir(name)
made = pyllb.fs()
for name in ("/a", "/b"):
    made = made.with_(helper, name)
""")
    assert node.output is not None
    assert [line.line for line in source_lines(node.output.vertex.site, read_text)] == [2, 5]


def test_a_file_name_that_is_no_unicode_is_told_as_far_as_it_is() -> None:
    filename = "/b\udcfcild.py"
    source = lowered(built("made = pyllb.image('a')\n", filename), read_text=lambda name: "made").definition.source
    assert [info.filename for info in source.infos if info.filename.startswith("/b")] == ["/b?ild.py"]


def test_equal_ops_of_two_lines_are_told_both() -> None:
    node = built("one = pyllb.fs().image('a')\ntwo = pyllb.fs().image('a')\nmade = pyllb.merge(one, two)\n")
    definition = lowered(node, read_text=read_text).definition
    assert [place.start_line for place in definition.source.locations[definition.ops[0][0]]] == [1, 2]


def test_equal_ops_made_in_a_loop_have_each_its_place_and_an_error_tells_it_once() -> None:
    """As with Go, where each of them adds its own."""
    text = """\
def base():
    return pyllb.fs().image("a").run("b")
made = pyllb.merge(*[base().mkdir(f"/{number}") for number in range(9)], base())
"""
    definition = lowered(built(text), read_text=read_text).definition
    for vertex in definition.vertices[:2]:
        lines = [place.start_line for place in definition.source.locations[vertex.digest]]
        assert lines.count(2) == 10
        assert [line.line for line in definition.source_lines(vertex.digest) if line.line == 2] == [2, 2]


def test_files_are_numbered_as_they_are_met() -> None:
    names: dict[str, Any] = {"pyllb": pyllb}
    exec(compile("def base():\n    return pyllb.fs().image('a')\n", "helper.py", "exec"), names)
    exec(compile("made = base().mkdir('/a')\n", "build.py", "exec"), names)
    texts = {"helper.py": "the helper", "build.py": "the build"}
    source = lowered(names["made"], read_text=texts.get).definition.source
    assert [info.filename for info in source.infos] == ["build.py", "helper.py"]
    assert sorted([place.source for place in places] for places in source.locations.values()) == [[0], [0, 1]]


def test_an_op_of_several_files_and_calls_has_each_place_by_the_number_of_its_file() -> None:
    names: dict[str, Any] = {"pyllb": pyllb}
    for filename, code in (
        ("foo.py", "def inner():\n    return pyllb.image('a')\n"),
        ("bar.py", "def outer():\n    return inner()\n"),
        ("foo.py", "\n\none = outer()\ntwo = pyllb.image('a')\n"),
    ):
        exec(compile(code, filename, "exec"), names)
    texts = {"foo.py": "text of foo", "bar.py": "text of bar"}
    one, places = names["one"], [(0, 3), (1, 2), (0, 2)]
    for node, expected in ((one, places), (pyllb.merge(one, names["two"]), [*places, (0, 4)])):
        made = lowered(node, read_text=texts.get).definition
        found = [(place.source, place.start_line) for place in made.source.locations[made.ops[0][0]]]
        assert (found, len(made.source.locations)) == (expected, len(made.ops) - 1)
        infos = ops_pb2.Definition.FromString(made.to_bytes()).Source.infos
        assert [(info.filename, info.data.decode(), info.language) for info in infos] == [
            (filename, text, "Python") for filename, text in texts.items()
        ]
        assert not any(info.HasField("definition") for info in infos)


def test_a_file_that_two_frontends_were_given_in_two_ways_is_told_once() -> None:
    def given(by: str) -> pyllb.Definition:
        message = ops_pb2.Definition.FromString(lowered(pyllb.fs().mkdir(f"/{by}")).definition.to_bytes())
        info = message.Source.infos.add(filename="Dockerfile", language="Dockerfile", data=b"FROM x\n")
        getattr(info.definition, "def").append(by.encode())
        for places in message.Source.locations.values():
            places.locations.add().ranges.add().start.line = 1
        return pyllb.Definition.from_bytes(message.SerializeToString())

    def text_of_none(filename: str) -> None:
        return None

    one, other = given("one"), given("other")
    made = lowered(pyllb.merge(pyllb.definition(one), pyllb.definition(other)), read_text=text_of_none).definition
    assert made.source.infos == one.source.infos
    written = ops_pb2.Definition.FromString(made.to_bytes()).Source.infos
    assert [getattr(info.definition, "def") for info in written] == [[b"one"]]
    assert [len(made.source_lines(digest)) for digest, _ in made.ops[:2]] == [1, 1]
