"""Lowering: what it asks for, what it refuses, and graphs that are large."""

from __future__ import annotations

import json
import subprocess
import sys

import attrs
import pytest

import pyllb
from pyllb.errors import GraphError, OptionError, ResolveError
from pyllb.ir.meta import EMPTY_META
from pyllb.ir.ops import DiffOp, ExecOp, LocalDir, MergeOp, Output
from pyllb.ir.platform import Platform
from pyllb.marshal.lower import ResolveImage
from pyllb.marshal.vertex import Input
from tests.unit.marshal.nodes import AMD64, lowered, requests

GOLANG = "docker.io/library/golang:latest"
ALPINE = "docker.io/library/alpine:latest"
CONFIG = json.dumps(
    {"os": "linux", "architecture": "amd64", "config": {"Env": ["PATH=/go/bin"], "User": "app"}}
).encode()


def own_text(filename: str) -> str | None:
    return "the text" if filename == __file__ else None


def test_all_images_of_a_graph_are_asked_for_at_once() -> None:
    tool = pyllb.fs().image("golang", platform="linux/arm64", resolve_mode="pull")
    node = pyllb.fs().image("alpine").copy(tool.run("make"), "/out", "/out")
    assert requests(node) == {
        ResolveImage(ALPINE, AMD64, "default"),
        ResolveImage(GOLANG, Platform("linux", "arm64"), "pull"),
    }


def test_the_image_of_the_result_is_asked_for_even_when_nothing_runs_on_it() -> None:
    assert requests(pyllb.fs().image("alpine")) == {ResolveImage(ALPINE, AMD64, "default")}


def test_an_image_whose_values_nobody_sees_is_not_asked_for() -> None:
    node = pyllb.fs().image("alpine").run("x", mounts=[pyllb.bind(pyllb.fs().image("golang"), "/go", readonly=True)])
    assert {request.ref for request in requests(node)} == {ALPINE}


def test_an_image_whose_digest_is_wanted_is_asked_for_and_named_with_it() -> None:
    tool = pyllb.fs().image("golang", resolve_digest=True)
    node = pyllb.fs().mkdir("/a").run(["x"], mounts=[pyllb.bind(tool, "/go", readonly=True)])
    assert {request.ref for request in requests(node)} == {GOLANG}
    assert f"docker-image://{GOLANG}@sha256:{'0' * 64}" in lowered(node, {GOLANG: CONFIG}).definition.to_tree()
    assert f'docker-image://{GOLANG}"' in lowered(node).definition.to_tree()


@pytest.mark.parametrize(("wanted", "suffix"), [(False, ""), (True, f"@sha256:{'0' * 64}")])
def test_an_image_alone_is_one_op_and_its_directory_is_that_of_its_config(wanted: bool, suffix: str) -> None:
    node, platform = pyllb.image("alpine", resolve_digest=wanted), Platform("linux", "ppc64le")
    assert requests(node, platform) == {ResolveImage(ALPINE, platform, "default")}
    made = lowered(node, {ALPINE: b'{"config": {"WorkingDir": "/bar"}}'}, platform=platform)
    source, result = made.definition.vertices
    assert (source.name, source.platform) == (f"docker-image://{ALPINE}{suffix}", platform)
    assert result.inputs == (Input(source.digest, 0),)
    assert json.loads(made.image or b"")["config"]["WorkingDir"] == "/bar"


def test_a_directory_of_another_session_is_not_served_by_this_client() -> None:
    node = pyllb.merge(pyllb.local("a", name="c", session="s"), pyllb.local("b", name="c"))
    (use,) = lowered(node).locals
    assert use.dir is not None
    assert use.dir.path == "b"


def test_a_graph_without_images_asks_for_nothing() -> None:
    lowered(pyllb.fs().mkdir("/a"), {})


def test_the_config_of_an_image_gives_environment_and_user_to_commands() -> None:
    tree = lowered(pyllb.fs().image("golang").run("go build"), {GOLANG: CONFIG}).definition.to_tree()
    assert 'env: "PATH=/go/bin"' in tree
    assert 'user: "app"' in tree


def test_an_image_that_cannot_be_resolved_is_raised_with_the_line_that_names_it() -> None:
    node = pyllb.fs().image("golang")
    with pytest.raises(ResolveError, match="not found") as caught:
        lowered(node, {GOLANG: ResolveError("golang: not found")}, read_text=own_text)
    assert caught.value.sources[0].filename == __file__


def test_the_variables_of_a_cache_win_over_those_of_the_image_and_lose_to_what_the_build_sets() -> None:
    config = b'{"config": {"Env": ["PATH=/bin", "A=image", "B=image", "C=image", "D=image"]}}'
    cache = pyllb.cache("x", "/x", env={"A": "cache", "B": "cache", "C": "cache", "E": "cache"})
    node = pyllb.fs().env(B="state").image("golang").run("true", mounts=[cache], env={"C": "run"})
    (op,) = [op for _, op in lowered(node, {GOLANG: config}).definition._parsed() if op.HasField("exec")]
    assert list(op.exec.meta.env) == ["PATH=/bin", "D=image", "B=state", "C=run", "A=cache", "E=cache"]


def test_an_image_that_nobody_resolves_is_an_error_and_not_a_wait() -> None:
    with pytest.raises(GraphError, match="nobody resolved"):
        lowered(pyllb.fs().image("golang"), {})


def test_a_config_that_is_no_json_is_raised_with_the_line_of_the_image() -> None:
    with pytest.raises(OptionError, match="not JSON") as caught:
        lowered(pyllb.fs().image("golang"), {GOLANG: b"{"}, read_text=own_text)
    assert caught.value.sources[0].text == "the text"


def test_the_local_directories_of_a_graph_are_told_one_per_name() -> None:
    one = pyllb.fs().local(".", include=["a"])
    node = pyllb.merge(one, pyllb.fs().local(".", include=["b"]), pyllb.fs().local("web"))
    uses = lowered(node).locals
    assert [(use.name, use.dir) for use in uses] == [
        ("context", LocalDir(".", __file__)),
        ("web", LocalDir("web", __file__)),
    ]


def test_one_name_for_two_directories_is_an_error_at_the_second_one() -> None:
    first = pyllb.fs().local("a", name="src")
    second = pyllb.fs().local("b", name="src")
    with pytest.raises(GraphError, match="local source 'src' is both 'a' and 'b'") as caught:
        lowered(pyllb.merge(first, second), read_text=own_text)
    assert caught.value.sources[0].line == second.output.vertex.site.frames[0].range().start_line  # type: ignore[union-attr]  # an exec has an output


def test_one_name_for_one_directory_written_in_two_ways_is_no_error() -> None:
    node = pyllb.merge(pyllb.fs().local("a/../b", name="src"), pyllb.fs().local("./b", name="src"))
    assert [use.name for use in lowered(node).locals] == ["src"]


def test_text_that_is_no_unicode_is_an_error_at_its_line() -> None:
    node = pyllb.fs().image("golang").run("true")
    with pytest.raises(GraphError, match="UTF-8") as caught:
        lowered(node, {GOLANG: b'{"config": {"Env": ["A=\\udcff"]}}'}, read_text=own_text)
    assert caught.value.sources


@pytest.mark.parametrize(
    "vertex",
    [
        ExecOp(args=(), meta=EMPTY_META, mounts=()),
        MergeOp(sources=()),
        DiffOp(lower=None, upper=None),
    ],
)
def test_what_the_go_client_refuses_is_refused(vertex: ExecOp | MergeOp | DiffOp) -> None:
    with pytest.raises(GraphError):
        lowered(attrs.evolve(pyllb.fs(), output=Output(vertex)))


def test_a_chain_that_is_copied_from_twice_is_walked_once() -> None:
    made = pyllb.chain(pyllb.fs().image("alpine"), pyllb.mkdir("/x"))
    for _ in range(100):  # 2 ** 100 ways lead to the first one
        made = pyllb.chain(pyllb.fs(), pyllb.copy(made, "/x", "/a"), pyllb.copy(made, "/x", "/b"))
    assert len(lowered(pyllb.fs().copy(made, "/a", "/"), {ALPINE: b"{}"}).definition.ops) == 3


def test_two_vertices_of_one_digest_are_one_op_with_the_metadata_of_both() -> None:
    one, two = pyllb.fs().image("alpine", name="one"), pyllb.fs().image("alpine", ignore_cache=True)
    definition = lowered(pyllb.merge(one, two)).definition
    assert len(definition.ops) == 3
    merged = definition.metadata[definition.ops[0][0]]
    assert (merged.description, merged.ignore_cache) == ((("llb.customname", "one"),), True)
    assert {"meta.ignorecache", "meta.description"} < set(definition.metadata[definition.ops[-1][0]].caps)


def test_marshalling_needs_no_protobuf_and_does_not_depend_on_the_hash_seed() -> None:
    code = """
import sys, pyllb
from tests.unit.marshal.nodes import lowered
a = pyllb.fs().image("alpine")
mounts = [pyllb.cache("go-build"), pyllb.secret("s", env="S")]
node = a.run("x", mounts=mounts, name="n", description={"b": "1", "a": "2"})
data = lowered(pyllb.merge(node, pyllb.fs().mkdir("/a"))).definition.to_bytes()
assert "google.protobuf" not in sys.modules
sys.stdout.buffer.write(data)
"""
    made = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, env={"PYTHONHASHSEED": seed, "PATH": ""}
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(made) == 1


def test_constraints_of_a_call_lie_under_those_of_each_op() -> None:
    node = pyllb.image("alpine", filters=["b"]).run(["x"], name="own", export_cache=True)
    every = pyllb.constraints(filters=["a"], name="all", description={"k": "v"}, ignore_cache=True, export_cache=False)
    made = pyllb.dump(node, platform="linux/amd64", constraints=every)
    image, run = (made.metadata[digest] for digest, _ in made.ops[:-1])
    assert dict(image.description) == {"k": "v", "llb.customname": "all"}
    assert dict(run.description) == {"k": "v", "llb.customname": "own"}
    assert [(item.ignore_cache, item.export_cache) for item in (image, run)] == [(True, False), (True, True)]
    tree = made.to_tree()
    assert tree.count('filter: "a"') == 2
    assert tree.index('filter: "a"') < tree.index('filter: "b"')


def test_an_image_of_an_oci_layout_is_asked_for_by_the_layouts_name() -> None:
    tagged, pinned = "layouts/app:1", f"layouts/app@sha256:{'1' * 64}"
    node = pyllb.fs().oci_layout(tagged, store="base", platform="linux/arm64").run("x")
    assert requests(node) == {ResolveImage(tagged, Platform("linux", "arm64"), "default", "base")}
    config = json.dumps({"config": {"Env": ["A=1"], "WorkingDir": "/work", "User": "me"}}).encode()
    found = lowered(node, {tagged: config}).definition
    digest = "0" * 64  # as the answer has it
    assert found.vertices[0].name == f"oci-layout://{tagged}@sha256:{digest}"
    tree = found.to_tree()
    for text in ('env: "A=1"', 'cwd: "/work"', 'user: "me"'):
        assert text in tree
    other = pyllb.fs().oci_layout(pinned, store="base").run("x")
    assert lowered(other, {pinned: config}).definition.vertices[0].name == f"oci-layout://{pinned}"
    assert requests(pyllb.fs().image("alpine").copy(pyllb.oci_layout(pinned, session="x"), "/", "/")) == {
        ResolveImage(ALPINE, AMD64, "default")
    }
