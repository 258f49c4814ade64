"""A definition that was read is a node: its ops stay as they are, and others are built on it."""

from __future__ import annotations

from typing import Any

import pytest

import pyllb
from pyllb._pb import ops_pb2
from pyllb.errors import DefinitionError, OptionError
from pyllb.ir.graph import postorder
from pyllb.ir.image import EMPTY_SPEC
from pyllb.ir.platform import Platform
from pyllb.marshal.definition import Definition
from tests.unit.marshal.nodes import lowered

BUILT = pyllb.image("alpine", platform="linux/arm64").run(["make"], name="make it", ignore_cache=True)
any_: Any = pyllb  # wrong types are the point below


def own_text(filename: str) -> str | None:
    return "the text" if filename == __file__ else None


def again(definition: Definition) -> Definition:
    """As it comes from another process."""
    return Definition.from_bytes(definition.to_bytes())


def read(message: ops_pb2.Definition) -> Definition:
    return Definition.from_bytes(message.SerializeToString())


def test_a_definition_is_marshalled_as_what_it_is() -> None:
    made = lowered(BUILT, read_text=own_text).definition
    assert lowered(pyllb.definition(again(made)), read_text=own_text).definition == made
    assert lowered(again(made), read_text=own_text).definition == made  # type: ignore[arg-type]  # the reader knows this file alone
    assert again(made).spec is EMPTY_SPEC


NODES = {
    "scratch": pyllb.fs(),
    "image": pyllb.image("ref"),
    "exec": pyllb.image("ref").run(["args"]),
    "local": pyllb.local("name"),
    "git": pyllb.git("host/remote", ref="ref"),
    "http": pyllb.http("https://url"),
    "file": pyllb.fs().file(
        pyllb.mkdir("foo", mode=0o600), pyllb.mkfile("foo/bar", "data"), pyllb.copy(pyllb.image("a"), "src", "dst")
    ),
    "platform": pyllb.image("ref", platform="linux/arm64"),
    "mount": pyllb.image("busybox").run("echo foo > /out/foo", mounts=[pyllb.bind(pyllb.fs(), "/out")]).mount("/out"),
    "merge": pyllb.merge(pyllb.image("a"), pyllb.image("b"), name="n"),
    "diff": pyllb.diff(pyllb.image("a"), pyllb.fs(), ignore_cache=True),
    "requires": pyllb.image("a").requires(pyllb.image("b"), id="x", group="g"),
    "build": pyllb.image("a").solve_definition("f", export_cache=False),
}


@pytest.mark.parametrize("node", NODES.values(), ids=NODES.keys())
def test_ops_metadata_result_and_platform_of_every_kind_stay(node: pyllb.FS) -> None:
    made = lowered(node, read_text=own_text).definition
    state = pyllb.definition(again(made))
    back = lowered(state, read_text=own_text).definition
    assert (back.ops, back.metadata, back.source, back.digest) == (made.ops, made.metadata, made.source, made.digest)
    again(made).check()
    vertex = made.vertex(made.digest) if made.ops else None
    assert state.meta.settings.platform == (vertex.platform if vertex else None)


def test_what_is_read_by_several_is_one_vertex() -> None:
    src = pyllb.http("https://url")
    a, b = (pyllb.fs().run([name], mounts=[pyllb.bind(src, "/mnt")]) for name in "AB")
    mounts = [pyllb.bind(a, "/a"), pyllb.bind(a.mount("/mnt"), "/a2")]
    mounts += [pyllb.bind(b, "/b"), pyllb.bind(b.mount("/mnt"), "/b2")]
    state = pyllb.definition(again(lowered(pyllb.fs().run(["args"], mounts=mounts)).definition))
    assert state.output is not None
    assert len(postorder(state.output)) == 4  # Go has one more for each result that is read beside another


def test_the_definition_of_a_source_file_is_carried() -> None:
    """A Dockerfile's own definition, with which the daemon can read it again."""
    message = ops_pb2.Definition.FromString(lowered(BUILT, read_text=own_text).definition.to_bytes())
    getattr(message.Source.infos[0].definition, "def").append(b"op")
    message.Source.infos.append(ops_pb2.SourceInfo(filename="Dockerfile", language="Dockerfile", data=b"FROM a"))
    digest = _digest(getattr(message, "def")[0])
    place = message.Source.locations[digest].locations.add(sourceIndex=1)
    place.ranges.add(start=ops_pb2.Position(line=1), end=ops_pb2.Position(line=1))
    back = lowered(pyllb.definition(read(message)).mkdir("/a"), read_text=own_text).definition
    written = ops_pb2.Definition.FromString(back.to_bytes())
    assert list(written.Source.infos)[:2] == list(message.Source.infos)
    assert written.Source.locations[digest] == message.Source.locations[digest]


def test_its_ops_keep_their_lines_and_share_a_file_with_those_made_here() -> None:
    made = lowered(BUILT, read_text=own_text).definition
    more = lowered(pyllb.definition(again(made)).run(["more"]), read_text=own_text).definition
    assert len(more.source.infos) == 1
    for digest, _ in made.ops[:-1]:
        assert more.source_lines(digest) == made.source_lines(digest) != ()
    assert more.source_lines(more.digest)[0].filename == __file__


def test_without_a_source_map_its_lines_are_left_out_too() -> None:
    made = again(lowered(BUILT, read_text=own_text).definition)
    assert lowered(pyllb.definition(made)).definition.source.infos == ()


def test_its_values_are_those_of_the_state_and_the_platform_of_its_result() -> None:
    made = again(lowered(BUILT).definition)
    state = pyllb.fs().env(A="1").label("l", "1").definition(made)
    assert state.meta.settings.platform == Platform("linux", "arm64")
    assert (state.meta.env, state.spec.labels) == ((("A", "1"),), (("l", "1"),))
    assert repr(state) == "<FS make it>"
    kept = pyllb.fs().platform("linux/386").definition(again(lowered(pyllb.local(".")).definition))
    assert kept.meta.settings.platform == Platform("linux", "386")


def test_one_that_is_empty_is_an_empty_filesystem() -> None:
    assert pyllb.definition(Definition.from_bytes(b"")).output is None


def test_its_local_sources_are_asked_for_by_name() -> None:
    made = again(lowered(pyllb.merge(pyllb.local("a/src"), pyllb.local("b", session="s"))).definition)
    (use,) = lowered(pyllb.definition(made)).locals
    assert (use.name, use.dir) == ("src", None)
    (known,) = lowered(pyllb.merge(pyllb.definition(made), pyllb.local("src"))).locals
    assert known.dir is not None


def test_what_is_not_known_here_is_kept() -> None:
    op = b"\x5a\x00" + b"\xfa\x01\x03new"  # field 31, a kind of op of a later BuildKit
    message = ops_pb2.Definition(**{"def": [op]})  # type: ignore[arg-type]  # `def` is a word of Python
    digest = pyllb.Definition.from_bytes(b"").digest or _digest(op)
    message.metadata[digest].MergeFromString(b"\x08\x01\xfa\x01\x03new")
    getattr(message, "def").append(ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest)]).SerializeToString())
    made = lowered(pyllb.definition(read(message)).mkdir("/a")).definition
    assert made.ops[0] == (digest, op)
    assert b"new" in made.encoded_metadata(digest)
    assert "meta.ignorecache" in made.metadata[made.ops[-1][0]].caps


def _digest(data: bytes) -> str:
    from hashlib import sha256

    return "sha256:" + sha256(data).hexdigest()


def test_ops_may_stand_before_what_they_read_and_those_that_nothing_reads_are_left_out() -> None:
    made = lowered(BUILT.mkdir("/a")).definition
    stray = ops_pb2.Op(source=ops_pb2.SourceOp(identifier="docker-image://stray")).SerializeToString()
    first, second, third, result = (data for _, data in made.ops)
    message = ops_pb2.Definition(**{"def": [third, second, stray, first, result]})  # type: ignore[arg-type]  # `def` is a word of Python
    assert lowered(pyllb.definition(read(message))).definition.ops == made.ops


def test_ops_that_read_each_other_are_refused() -> None:
    a, b = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    ops = [
        (name, ops_pb2.Op(inputs=[ops_pb2.Input(digest=reads)]).SerializeToString())
        for name, reads in ((a, b), (b, a), ("sha256:" + "c" * 64, a))
    ]
    with pytest.raises(DefinitionError, match=r"reads itself"):
        pyllb.definition(Definition(tuple(ops), {}))


@pytest.mark.parametrize("cut", [1, 40, 100, -1, -30])
def test_a_definition_that_is_cut_short_is_refused(cut: int) -> None:
    data = lowered(BUILT).definition.to_bytes()
    with pytest.raises(DefinitionError):
        pyllb.definition(Definition.from_bytes(data[:cut]))


def test_what_is_no_definition_is_refused() -> None:
    with pytest.raises(OptionError, match="bytes; write Definition"):
        any_.definition(b"")
    with pytest.raises(OptionError, match=r"'x.pb'; write Definition.from_bytes"):
        any_.definition("x.pb")
    with pytest.raises(OptionError, match="this one has content"):
        BUILT.definition(again(lowered(BUILT).definition))


def test_a_deep_and_wide_definition_is_walked_once() -> None:
    state = pyllb.image("alpine")
    for number in range(2000):
        state = pyllb.merge(state.mkdir(f"/{number}"), state)
    made = lowered(state).definition
    assert lowered(pyllb.definition(again(made))).definition.ops == made.ops
