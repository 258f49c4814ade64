"""A state is an immutable value, cheap to make, to copy and to drop, however long its chain."""

from __future__ import annotations

import copy
import gc
import pickle
import posixpath
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyllb
from pyllb._pb import ops_pb2
from pyllb.ir.image import Healthcheck
from pyllb.marshal.evaluate import Evaluator
from pyllb.marshal.vertex import Input

NAMES = st.sampled_from(["A", "B", "C", "D"])
PAIRS = st.dictionaries(NAMES, st.sampled_from(["", "1", "2"]))


@given(st.lists(PAIRS))
def test_env_is_in_the_order_of_each_names_last_assignment(steps: list[dict[str, str]]) -> None:
    state = pyllb.fs()
    expected: list[tuple[str, str]] = []
    for step in steps:
        state = state.env(**step)
        for name, value in step.items():
            expected = [pair for pair in expected if pair[0] != name] + [(name, value)]

    assert state.meta.env == tuple(expected)


@given(st.lists(st.sampled_from(["a", "/b", "..", ".", "c/d", "/e/../f", "g/"]), max_size=6))
def test_a_relative_dir_joins_the_one_before(steps: list[str]) -> None:
    state = pyllb.fs()
    expected = "/"
    for step in steps:
        state = state.dir(step)
        joined = "/" + posixpath.normpath(posixpath.join(expected, step)).lstrip("/")
        expected = step if step.startswith("/") else joined  # Go keeps an absolute one as it is written

    assert Evaluator({}).of(state.meta).dir == expected


def test_every_method_returns_a_new_state_and_leaves_the_old_one() -> None:
    base = pyllb.image("a")
    changed = base.env(A="1").dir("/w").user("u").hostname("h").network("none").security("insecure")
    changed = changed.ulimit("core", 0).extra_host("h", "::1").cgroup_parent("/c").platform("arm64").shell("sh", "-c")

    assert base.meta.env == ()
    assert base.output is changed.output
    meta, settings = changed.meta, changed.meta.settings
    assert (meta.env, settings.dirs, settings.user, settings.hostname) == ((("A", "1"),), ("/w",), "u", "h")
    assert (settings.network, settings.security, settings.cgroup_parent) == ("none", "insecure", "/c")
    assert settings.shell == ("sh", "-c")
    assert str(meta.settings.platform) == "linux/arm64"


def test_the_image_config_is_collected() -> None:
    state = (
        pyllb.image("a")
        .entrypoint("/app", "-v")
        .cmd("serve")
        .label("a", "1")
        .label("b", "")
        .label("a", "2")
        .expose(8080, "53/udp", "8080/tcp")
        .volume("/data")
        .stop_signal("SIGINT")
        .healthcheck("curl -f localhost", interval="1m30s", timeout=0.5, retries=3)
        .onbuild("RUN true")
        .author("me")
        .annotate("x", "y")
    )

    spec = state.spec
    assert (spec.entrypoint, spec.cmd) == (("/app", "-v"), ("serve",))
    assert spec.labels == (("b", ""), ("a", "2"))
    assert spec.ports == ("8080/tcp", "53/udp")
    assert (spec.volumes, spec.stop_signal, spec.onbuild) == (("/data",), "SIGINT", ("RUN true",))
    test = ("CMD-SHELL", "curl -f localhost")
    assert spec.healthcheck == Healthcheck(test=test, interval=90 * 10**9, timeout=500_000_000, retries=3)
    assert (spec.author, spec.annotations) == ("me", (("annotation.x", "y"),))
    assert state.run("x").spec is spec


def test_a_healthcheck_may_be_argv_or_off() -> None:
    off, argv = pyllb.fs().healthcheck(None).spec.healthcheck, pyllb.fs().healthcheck(["x", "y z"]).spec.healthcheck

    assert off == Healthcheck(test=())
    assert argv == Healthcheck(test=("CMD", "x", "y z"))


def test_with_calls_a_function_in_the_chain() -> None:
    def add(state: pyllb.FS, name: str, *, value: str) -> pyllb.FS:
        return state.env(**{name: value})

    assert pyllb.fs().with_(add, "A", value="1").meta.env == (("A", "1"),)


def test_a_function_in_the_chain_sees_the_state_and_gives_its_values_to_what_comes_after() -> None:
    """As Go's State.Async does when it marshals, but at once; nothing waits."""

    def prepare(state: pyllb.FS) -> pyllb.FS:
        return state.run(["cmd1"]).dir("sub")

    made = pyllb.dump(pyllb.image("alpine").dir("/foo").with_(prepare).run(["cmd2"]))
    _, first, second, _ = (ops_pb2.Op.FromString(op).exec.meta for _, op in made.ops)
    assert made.vertices[3].inputs == (Input(made.ops[2][0], 0),)
    assert [(list(meta.args), meta.cwd) for meta in (first, second)] == [(["cmd1"], "/foo"), (["cmd2"], "/foo/sub")]


def test_values_are_kept_as_they_are_written() -> None:
    state = pyllb.image("foo").env(FOO="ab%sc {x}").dir("/foo/bar%d{y}")
    assert state.meta.env == (("FOO", "ab%sc {x}"),)
    assert Evaluator({}).of(state.meta).dir == "/foo/bar%d{y}"


def test_a_directory_is_joined_collapsed_or_replaced() -> None:
    state, found = pyllb.fs(), []
    for step in ("foo", "bar", "..", "/baz", "../../.."):
        state = state.dir(step)
        found.append(Evaluator({}).of(state.meta).dir)
    assert found == ["/foo", "/foo/bar", "/foo", "/baz", "/"]


def test_merge_leaves_out_what_is_empty_and_keeps_the_first_values() -> None:
    a, b = pyllb.image("a").env(A="1").label("l", "a"), pyllb.image("b")
    empty = pyllb.fs().env(E="1")
    merged = pyllb.merge(empty, a, b, a)

    assert pyllb.merge().output is None
    assert pyllb.merge(empty).output is pyllb.merge(empty, pyllb.fs()).output is None
    assert pyllb.merge(b) is pyllb.merge(empty, b, empty) is b
    assert pyllb.merge(empty, b) is b
    assert merged.output is not None
    assert merged.output.vertex.inputs() == (a.output, b.output, a.output)
    assert (merged.meta, merged.spec) == (a.meta, a.spec)


def test_diff_follows_gos_rules_for_scratch() -> None:
    a, b, empty = pyllb.image("a").env(A="1"), pyllb.image("b"), pyllb.fs()
    changed = pyllb.diff(a, b)

    assert pyllb.diff(empty, empty).output is None
    assert pyllb.diff(empty, b) is b
    assert changed.meta is a.meta
    assert changed.output is not None
    assert changed.output.vertex.inputs() == (a.output, b.output)
    removed = pyllb.diff(a, empty).output
    assert removed is not None
    assert removed.vertex.inputs() == (a.output,)


def test_repr_is_one_line_with_the_place() -> None:
    state = pyllb.image("a").run("x" * 99)
    line = test_repr_is_one_line_with_the_place.__code__.co_firstlineno + 1

    assert repr(pyllb.fs()) == "<FS scratch>"
    assert repr(state) == f"<FS exec '{'x' * 51}... at {__file__}:{line}>"
    assert repr(state.run(["a", "b c"])).startswith("<FS exec 'a b c' at ")
    assert repr(state.mkdir("/a").file(pyllb.rm("/b"), pyllb.mkdir("/c"))).startswith("<FS file rm, mkdir at ")
    assert repr(pyllb.merge(state, state)).startswith("<FS merge of 2 at ")
    assert repr(pyllb.diff(state, state)).startswith("<FS diff at ")


def test_the_site_of_a_vertex_is_every_frame_of_the_users() -> None:
    def helper() -> pyllb.FS:
        return pyllb.image("a").run("x")

    ran = helper()
    assert ran.exec is not None
    assert [frame.function.rpartition(".")[2] for frame in ran.exec.site.frames[:2]] == [
        "helper",
        "test_the_site_of_a_vertex_is_every_frame_of_the_users",
    ]


def test_a_filesystem_is_its_own_copy_and_cannot_be_pickled() -> None:
    state = pyllb.image("a").run("x")

    assert copy.copy(state) is state
    assert copy.deepcopy([state])[0] is state
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(state)
    with pytest.raises(AttributeError):
        state.output = None  # type: ignore[misc]  # the wrong value is the case


def test_two_states_are_equal_only_when_they_are_the_same() -> None:
    state = pyllb.image("a")

    assert state != pyllb.image("a")
    assert len({state, state, state.env(A="1")}) == 2


@pytest.mark.parametrize("grow", ["run", "mkdir", "copy", "merge"])
def test_a_chain_of_100_000_is_made_shown_copied_and_dropped_without_recursion(grow: str) -> None:
    side = pyllb.local(".")
    state = pyllb.image("a")
    for _ in range(100_000 if grow == "run" else 30_000):
        if grow == "run":
            state = state.run("x", mounts=[pyllb.cache("go-build")])
        elif grow == "mkdir":
            state = state.mkdir("/a")
        elif grow == "copy":
            state = side.copy(state, "/", "/")
        else:
            state = pyllb.merge(state, side)

    assert repr(state).startswith("<FS ")
    assert copy.deepcopy({"state": [state, state.output]})["state"][0] is state
    gc.collect()
    del state  # each value is freed by the one above it: deep enough to end the process if that recursed in C
    gc.collect()


LOADED = """
import sys, pyllb
fs = pyllb.fs().image("golang").run("go build", mounts=[pyllb.cache("go-build", sharing="shared")])
heavy = {"grpc", "asyncio", "rich", "click", "json", "pathlib", "difflib", "textwrap", "ipaddress", "datetime",
         "urllib.parse", "google.protobuf", "pyllb.client", "pyllb.marshal", "tempfile", "subprocess", "ssl", "socket"}
print(*sorted(heavy & set(sys.modules)))
"""


def test_a_build_file_loads_nothing_but_attrs() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_every_public_name_is_there_sorted_and_documented() -> None:
    assert pyllb.__all__ == sorted(pyllb.__all__)
    assert [name for name in pyllb.__all__ if not (getattr(pyllb, name).__doc__ or "").strip()] == []
    assert set(pyllb.__all__) <= set(dir(pyllb))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pyllb.nothing  # noqa: B018  # the look-up is what raises


@pytest.mark.parametrize("cls", [pyllb.FS])
def test_every_public_method_is_documented(cls: type) -> None:
    methods = [name for name in dir(cls) if not name.startswith("_") and callable(getattr(cls, name))]

    assert [name for name in methods if not (getattr(cls, name).__doc__ or "").strip()] == []
    assert len(methods) >= 34
