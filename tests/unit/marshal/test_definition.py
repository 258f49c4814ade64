"""Definition as a value: read, written, asked."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyllb
from pyllb._pb import ops_pb2
from pyllb.errors import DefinitionError, GraphError
from pyllb.marshal.check import digest_of
from pyllb.marshal.definition import Definition, SecretUse
from pyllb.marshal.vertex import DefinitionVertex, Input
from tests.unit.marshal.nodes import lowered


def made() -> Definition:
    node = (
        pyllb.fs()
        .image("alpine")
        .run(
            "make",
            mounts=[
                pyllb.bind(pyllb.fs().local("."), "/src"),
                pyllb.secret("token", "/t"),
                pyllb.secret("pw", env="PW", optional=True),
                pyllb.ssh("work"),
                pyllb.ssh(),
            ],
            name="make it",
        )
    )
    return lowered(node, read_text=lambda name: "text\n" if name == __file__ else None).definition


MADE = made()
DATA = MADE.to_bytes()


def test_a_definition_is_read_back_as_it_was_made() -> None:
    read = Definition.from_bytes(DATA)
    assert (read.ops, read.metadata, read.source, read.digest) == (
        MADE.ops,
        MADE.metadata,
        MADE.source,
        MADE.digest,
    )
    assert read.to_bytes() == DATA
    assert read.size == MADE.size == len(DATA)


def test_definitions_that_say_the_same_are_equal_whoever_wrote_them() -> None:
    written = ops_pb2.Definition.FromString(DATA).SerializeToString()
    assert Definition.from_bytes(written) == MADE == Definition.from_bytes(DATA)
    assert len({Definition.from_bytes(written), MADE}) == 1
    assert lowered(pyllb.fs().image("alpine")).definition != MADE


def test_what_protobuf_writes_in_another_order_is_read_the_same() -> None:
    message = ops_pb2.Definition.FromString(DATA)
    read = Definition.from_bytes(message.SerializeToString(deterministic=True))
    assert (read.ops, read.metadata, read.source) == (MADE.ops, MADE.metadata, MADE.source)


def test_ops_that_another_encoder_wrote_keep_their_bytes_and_the_digests_of_these() -> None:
    message, digests = ops_pb2.Definition(), dict[str, str]()
    for digest, data in MADE.ops:
        op = ops_pb2.Op.FromString(data)
        for asked in op.inputs:
            asked.digest = digests[asked.digest]
        written = op.SerializeToString()  # by the numbers of the fields, as Go does not
        digests[digest] = digest_of(written)
        getattr(message, "def").append(written)
        message.metadata[digests[digest]].CopyFrom(MADE.raw_metadata(digest))
    read = Definition.from_bytes(message.SerializeToString())
    read.check()
    assert {*digests}.isdisjoint(digest for digest, _ in read.ops)
    assert [vertex.name for vertex in read.vertices] == [vertex.name for vertex in MADE.vertices]
    again = lowered(pyllb.definition(read)).definition
    assert (again.ops, again.metadata) == (read.ops, read.metadata)


def test_metadata_that_is_empty_may_be_written_out_or_left_out() -> None:
    op = ops_pb2.Op(source=ops_pb2.SourceOp(identifier="docker-image://docker.io/library/busybox:latest"))
    first = op.SerializeToString()
    last = ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest_of(first))]).SerializeToString()
    message = ops_pb2.Definition(**{"def": [first, last]})  # type: ignore[arg-type]  # `def` is a word of Python
    bare = message.SerializeToString()
    for data in (first, last):
        message.metadata[digest_of(data)].SetInParent()
    for data in (bare, message.SerializeToString()):
        read = Definition.from_bytes(data)
        read.check()
        assert (read.ops, read.to_bytes()) == (((digest_of(first), first), (digest_of(last), last)), data)
        assert read.raw_metadata(read.digest) == ops_pb2.OpMetadata()


def test_no_bytes_are_scratch() -> None:
    assert Definition.from_bytes(b"").ops == ()
    assert Definition.from_bytes(b"").digest == ""
    assert lowered(pyllb.fs()).definition.to_bytes() == b""
    assert lowered(pyllb.fs()).definition.to_tree() == "scratch\n"


@given(st.integers(min_value=1, max_value=len(DATA) - 1))
def test_a_truncated_definition_is_refused_or_read_whole_fields_only(size: int) -> None:
    try:
        read = Definition.from_bytes(DATA[:size])
    except DefinitionError:
        return
    assert set(read.ops) <= set(MADE.ops)


@given(st.integers(min_value=0, max_value=len(DATA) - 1), st.integers(min_value=0, max_value=255))
def test_a_corrupted_definition_raises_nothing_but_definition_error(at: int, byte: int) -> None:
    data = bytearray(DATA)
    data[at] = byte
    try:
        read = Definition.from_bytes(bytes(data))
    except DefinitionError:
        return
    assert read.digest in read.to_tree()
    assert read.metadata
    assert all(line.filename for line in read.source_lines(read.digest))
    assert len(read.secrets()) <= 3


@given(st.binary(max_size=200))
def test_bytes_that_are_no_definition_raise_nothing_but_definition_error(data: bytes) -> None:
    with contextlib.suppress(DefinitionError):
        Definition.from_bytes(data)


def broken(change: str) -> bytes:
    message = ops_pb2.Definition.FromString(DATA)
    ops = getattr(message, "def")
    if change == "one op":
        del ops[1:]
    elif change == "no return op":
        del ops[-1]
    elif change == "an input is missing":
        del ops[0]
    elif change == "a negative output":
        last = ops_pb2.Op.FromString(ops[-1])
        last.inputs[0].index = -1
        ops[-1] = last.SerializeToString()
    elif change == "a negative output of an op in the middle":
        middle, last = (ops_pb2.Op.FromString(op) for op in ops[-2:])
        middle.inputs[0].index = -1
        last.inputs[0].digest = digest_of(middle.SerializeToString())
        ops[-2:] = [middle.SerializeToString(), last.SerializeToString()]
    return message.SerializeToString()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("one op", "of one op"),
        ("no return op", "the last op of a definition returns"),
        ("an input is missing", "which is not in the definition"),
        ("a negative output", "output -1"),
        ("a negative output of an op in the middle", "output -1"),
    ],
)
def test_a_definition_that_the_daemon_would_refuse_is_refused(change: str, says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        Definition.from_bytes(broken(change))


def test_unknown_fields_are_kept() -> None:
    data = DATA + b"\xba\x3e\x03abc"
    assert Definition.from_bytes(data).to_bytes() == data


def test_a_definition_says_which_secrets_agents_and_directories_it_asks_for() -> None:
    for definition in (MADE, Definition.from_bytes(DATA)):
        assert definition.secrets() == (
            SecretUse("token", False, definition.digest),
            SecretUse("pw", True, definition.digest),
        )
        assert definition.ssh_ids() == ("work", "default")
        assert definition.local_names() == ("context",)


def test_sources_ask_for_secrets_and_agents_too() -> None:
    git = pyllb.fs().git("git@github.com:a/b.git", known_hosts="key", ssh_id="deploy", auth_token_secret="tok")
    http = pyllb.fs().http("https://example.com/a", auth_secret="hdr")
    definition = lowered(pyllb.merge(git, http)).definition
    assert definition.ssh_ids() == ("deploy",)
    assert [use.id for use in definition.secrets()] == ["hdr"]


def test_a_definition_gives_the_lines_of_an_op() -> None:
    lines = MADE.source_lines(MADE.digest)
    assert [line.filename for line in lines] == [__file__] * len(lines)
    assert lines[0].text == "text\n"
    assert MADE.source_lines("sha256:none") == ()


def test_an_instruction_of_many_lines_is_one_place_as_the_daemon_tells_it() -> None:
    message = ops_pb2.Definition.FromString(lowered(pyllb.fs().mkdir("/a")).definition.to_bytes())
    message.Source.infos.add(filename="Dockerfile", data=b"FROM x\nRUN a \\\n  b\nRUN c\n")
    (digest,) = message.Source.locations
    places = message.Source.locations[digest].locations
    for lines in ([(4, 4)], [(2, 2), (3, 0)], []):
        ranges = places.add().ranges
        for start, end in lines:
            ranges.add(start=ops_pb2.Position(line=start), end=ops_pb2.Position(line=end))
    found = Definition.from_bytes(message.SerializeToString()).source_lines(digest)
    assert [(place.line, place.end_line) for place in found] == [(2, 3), (4, 4)]
    assert found[0].excerpt(0) == " >    2 | RUN a \\\n >    3 |   b"


def test_a_definition_too_large_for_the_daemon_names_its_largest_ops() -> None:
    node = pyllb.fs().mkfile("/small", b"").mkfile("/large", b"x" * (17 << 20)).mkdir("/d", name="n" * 9999)
    definition = lowered(node, read_text=lambda name: "" if name == __file__ else None).definition
    largest = (
        r"the largest ops are 17,825,\d\d\d bytes: 'mkfile /large' \(sha256:\w+\); \d+ bytes: 'n{60}' \(sha256:\w+\);"
    )
    with pytest.raises(GraphError, match=largest) as caught:
        definition.check_size()
    assert caught.value.sources[0].filename == __file__
    MADE.check_size()


def test_the_tree_of_a_definition_names_every_field() -> None:
    tree = MADE.to_tree()
    for part in ("#0 source", "input #0 0", 'dest: "/src"', "mountType: SSH", 'description[llb.customname]: "make it"'):
        assert part in tree


def test_the_vertices_of_a_definition_say_what_they_are_and_read() -> None:
    for definition in (MADE, Definition.from_bytes(DATA)):
        image, local, make, result = definition.vertices
        assert [image.kind, local.kind, make.kind, result.kind] == ["source", "source", "exec", "return"]
        assert (image.name, local.name) == ("docker-image://docker.io/library/alpine:latest", "local://context")
        assert (make.name, result.name) == ("make it", "return")
        assert [read.digest for read in make.inputs] == [image.digest, local.digest]
        assert result.inputs == definition.inputs(result.digest) == (Input(make.digest, 0),)
        assert (str(image.platform), local.platform) == ("linux/amd64", None)
        assert definition.vertex(make.digest) == make
        assert (make.digest, make.data) in definition.ops
        assert definition.digest == make.digest


def test_a_definition_that_one_thread_reads_is_whole_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    definition, make = Definition.from_bytes(DATA), DefinitionVertex.of
    made: list[DefinitionVertex] = []
    asked: list[DefinitionVertex] = []

    def of(*arguments: Any) -> DefinitionVertex:
        vertex = make(*arguments)
        made.append(vertex)
        if len(made) == 2:  # another thread asks when the first op is known and the second is not
            asked.append(definition.vertex(definition.digest))
        return vertex

    monkeypatch.setattr(DefinitionVertex, "of", of)
    assert len(definition.vertices) == 4
    assert [vertex.name for vertex in asked] == ["make it"]


def test_an_op_that_is_not_there_is_asked_for_in_vain() -> None:
    with pytest.raises(DefinitionError, match=f"no op 'sha256:none' in the definition; its result is {MADE.digest}"):
        MADE.inputs("sha256:none")


def test_metadata_that_says_more_than_is_known_here_counts() -> None:
    message = ops_pb2.Definition.FromString(DATA)
    message.metadata[MADE.digest].MergeFromString(b"\xba\x3e\x03abc")
    more = Definition.from_bytes(message.SerializeToString())
    assert more != MADE
    assert "unknown field 999: b'abc'" in more.to_tree()


def test_the_tree_tells_modes_in_octal_long_contents_by_digest_and_nothing_a_terminal_acts_on() -> None:
    tree = lowered(pyllb.fs().mkfile("/\x9b31m", b"x" * 5000, mode=0o640)).definition.to_tree()
    assert "mode: 0o640" in tree
    assert "... 5,000 bytes sha256:" in tree
    assert "\\x9b31m" in tree
    assert "\x9b" not in tree
