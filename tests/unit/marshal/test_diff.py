"""The difference of two definitions, in words."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyllb
from pyllb import FS
from pyllb._pb import ops_pb2
from pyllb.ir.constraints import ProgressGroup
from pyllb.ir.files import FileAction
from pyllb.marshal.check import digest_of
from pyllb.marshal.definition import Definition
from pyllb.marshal.diff import DefinitionDiff, FieldChange
from tests.golden import GOLDEN, path
from tests.unit.marshal.nodes import calls


def base() -> FS:
    return pyllb.fs().image("golang:1.25").env(GOFLAGS="-mod=mod").dir("/src")


def compare(before: FS, after: FS) -> DefinitionDiff:
    # Also as read from bytes: the same words, whoever made the definition.
    one, other = (pyllb.dump(node, source_map=False) for node in (before, after))
    found = one.diff(other)
    assert Definition.from_bytes(one.to_bytes()).diff(Definition.from_bytes(other.to_bytes())) == found
    return found


def told(before: FS, after: FS) -> list[str]:
    """The lines, without the last, which counts."""
    lines = compare(before, after).to_text().splitlines()
    assert not lines or lines[-1].startswith("ops: ")
    return lines[:-1]


def below(before: FS, after: FS) -> list[str]:
    """What is said of the one op that changed."""
    first, *lines = told(before, after)
    assert first.endswith(" changed")
    assert all(line.startswith("  ") for line in lines)
    return [line.strip() for line in lines]


def test_equal_definitions_have_no_difference() -> None:
    found = compare(base().run("make"), base().run("make"))
    assert (found.changes, found.to_text(), json.loads(found.to_json())) == ((), "", {"changes": []})


def test_source_maps_are_not_compared() -> None:
    def build() -> FS:
        return base().run("make")

    one, other = pyllb.dump(build()), pyllb.dump(build().with_(lambda fs: fs), source_map=False)
    assert one != other
    assert one.diff(other).changes == ()


SRC = pyllb.fs().local("src")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            base().run("make a"),
            base().run("make b"),
            ["command: /bin/sh -c 'make a' became /bin/sh -c 'make b'"],
        ),
        (
            base().run("make"),
            base().env(GOFLAGS="-x", CC="clang").run("make"),
            ["env GOFLAGS: -mod=mod became -x", "env CC added: clang"],
        ),
        (base().env(A="1").run("make"), base().run("make"), ["env A removed: 1"]),
        (
            base().env(A="1").env(B="2").run("make"),
            base().env(B="2").env(A="1").run("make"),
            ["env order: GOFLAGS, A, B became GOFLAGS, B, A"],
        ),
        (base().run("make"), base().dir("/x").run("make"), ["cwd: /src became /x"]),
        (base().run("make"), base().user("ada").run("make"), ["user added: ada"]),
        (
            base().run("make"),
            base().run("make", network="host"),
            ["network: sandbox became host", "capability exec.meta.network added"],
        ),
        (base().run("make"), base().run("make", name="it"), ["name added: it"]),
        (base().run("make"), base().run("make", ignore_cache=True), ["ignore cache: false became true"]),
        (
            base().run("make", mounts=[pyllb.cache("a", target="/c")]),
            base().run("make", mounts=[pyllb.cache("b", target="/c", sharing="locked")]),
            ["mount /c id: a became b", "mount /c sharing: shared became locked"],
        ),
        (
            base().run("make", mounts=[pyllb.bind(SRC, "/in")]),
            base().run("make", mounts=[pyllb.bind(SRC, "/in", readonly=True)]),
            ["mount /in readonly: false became true", "mount /in result: kept became not kept"],
        ),
        (
            base().run("make"),
            base().run("make", mounts=[pyllb.tmpfs("/tmp", size=1024)]),
            [
                "mount /tmp added: type tmpfs, size 1024",
                "capability exec.mount.tmpfs added",
                "capability exec.mount.tmpfs.size added",
            ],
        ),
        (
            base().run("make", mounts=[pyllb.secret("a", env="TOKEN")]),
            base().run("make", mounts=[pyllb.secret("b", env="TOKEN")]),
            ["secret variable TOKEN id: a became b"],
        ),
        (
            pyllb.fs().image("golang:1.25"),
            pyllb.fs().image("golang:1.26"),
            [
                "identifier: docker-image://docker.io/library/golang:1.25 became "
                "docker-image://docker.io/library/golang:1.26"
            ],
        ),
        (
            pyllb.fs().local("src", include=["*.go"]),
            pyllb.fs().local("src", include=["*.py"]),
            ['attribute local.includepattern: ["*.go"] became ["*.py"]'],
        ),
        (
            pyllb.fs().mkdir("/a", mode=0o755),
            pyllb.fs().mkdir("/b", mode=0o700),
            ["action 1 mkdir path: /a became /b", "action 1 mkdir mode: 0o755 became 0o700"],
        ),
        (
            pyllb.fs().mkfile("/a", "one\ntwo\nthree\n"),
            pyllb.fs().mkfile("/a", "one\n2\nthree\n"),
            ["action 1 mkfile data:", "- two", "+ 2"],
        ),
        (
            pyllb.fs().mkfile("/a", b"\xff"),
            pyllb.fs().mkfile("/a", b"\xfe"),
            [
                f"action 1 mkfile data: 1 bytes with {digest_of(bytes([0xFF]))} became "
                f"1 bytes with {digest_of(bytes([0xFE]))}"
            ],
        ),
        (
            pyllb.fs().copy(SRC, "/", "/x"),
            pyllb.fs().copy(SRC, "/", "/x", owner="1:2", exclude=["a"]),
            ['action 1 copy exclude added: "a"', "action 1 copy user added: 1", "action 1 copy group added: 2"],
        ),
    ],
)
def test_a_change_of_one_op_is_told_field_by_field(before: FS, after: FS, words: list[str]) -> None:
    assert sorted(below(before, after)) == sorted(words)


LONG = "same\n" * 900
SUM = digest_of(b"\xff\x00")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("a\nb\n", "a\r\nb\r\n", ["- a", "- b", "+ a\\r", "+ b\\r"]),
        ("a\nb\n", "a\nb", ["- b", "+ b (no newline at the end)"]),
        ("x", "x\n", ["- x (no newline at the end)", "+ x"]),
        ("a\nb", "a\nc", ["- b", "+ c"]),
        ("a\n\nb\n", "a\nb\n", ["-"]),
        ("a\nb\n", "a\x0c\nb\n", ["- a", "+ a\\x0c"]),
        ("a\nb\n", "a\nb\n\u2028c\n", ["+ \\u2028c"]),
        ("\n" * 1500, "\n" * 1500 + "more\n", ["+ more"]),
        (None, "a\n\nb\n", ["+ a", "+", "+ b"]),
        ("a\n", None, ["- a"]),
        ("a\n", f"2 bytes with {SUM}", ["- a", f"+ 2 bytes with {SUM}"]),
        (LONG + "end\n", LONG + LONG, ["- end", *["+ same"] * 900]),
    ],
)
def test_every_difference_of_a_text_of_several_lines_is_told(
    before: str | None, after: str | None, words: list[str]
) -> None:
    lines = FieldChange(("data",), before, after).to_text().split("\n")
    assert lines[0] in ("data:", "data added:", "data removed:")
    assert [line.strip() for line in lines[1:]] == words


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (pyllb.mkfile("/a", "x"), pyllb.mkfile("/a", "x", created=0), "mkfile timestamp added: 0"),
        (pyllb.mkdir("/a", created=0), pyllb.mkdir("/a", created=1), "mkdir timestamp: 0 became 1000000000"),
        (pyllb.symlink("/a", "/b", created=0), pyllb.symlink("/a", "/b"), "symlink timestamp removed: 0"),
        (pyllb.mkfile("/a", "x"), pyllb.mkfile("/a", "x", mode=0), "mkfile mode: 0o644 became 0o0"),
        (pyllb.copy(SRC, "/", "/"), pyllb.copy(SRC, "/", "/", mode=0), "copy mode added: 0o0"),
        (pyllb.copy(SRC, "/", "/", mode=0), pyllb.copy(SRC, "/", "/", mode="u+x"), "copy mode: 0o0 became u+x"),
    ],
)
def test_a_time_and_a_mode_of_0_are_told(before: FileAction, after: FileAction, words: str) -> None:
    assert f"action 1 {words}" in below(pyllb.fs().file(before), pyllb.fs().file(after))


def test_an_action_that_came_is_one_line_whatever_it_writes() -> None:
    before, after = pyllb.fs().mkdir("/d"), pyllb.fs().file(pyllb.mkdir("/d"), pyllb.mkfile("/f", "a\nb\n"))
    told = "action mkfile /f added: path /f, mode 0o644, data a\\nb, onto action mkdir /d, output 0"
    assert told in below(before, after)


def test_of_two_very_long_texts_it_is_said_how_far_they_are_compared() -> None:
    before, after = ("".join(f"{word} {number}\n" for number in range(3000)) for word in ("a", "b"))
    lines = FieldChange(("data",), before, after).to_text().split("\n")
    assert len(lines) == 2002
    assert lines[-1] == "  (1,000 lines of each are compared)"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("/a", "/a ", 'env A: /a became "/a "'),
        ("\t", "", 'env A: "\t" became (empty)'),
        (" ", None, 'env A removed: " "'),
        (None, "", "env A added"),
    ],
)
def test_space_at_an_end_is_seen(before: str | None, after: str | None, words: str) -> None:
    assert FieldChange(("env", "A"), before, after).to_text() == words


def test_only_the_op_that_changed_is_told_and_none_that_reads_it() -> None:
    def build(version: str) -> FS:
        return base().run(f"fetch {version}").run("make").run("make test").run("make install")

    assert told(build("1"), build("2")) == [
        'exec "/bin/sh -c fetch 2" changed',
        "  command: /bin/sh -c 'fetch 1' became /bin/sh -c 'fetch 2'",
    ]


def test_an_op_put_in_between_is_added_and_the_one_behind_reads_it() -> None:
    assert told(base().run("a").run("b"), base().run("a").run("new").run("b")) == [
        'exec "/bin/sh -c new" added',
        'exec "/bin/sh -c b" changed',
        '  mount / from: exec "/bin/sh -c a" became exec "/bin/sh -c new"',
    ]


def test_an_input_that_became_another_op_of_its_name_is_told_as_that() -> None:
    date = 'exec "/bin/sh -c date"'
    before = base().run("date").run("date")
    assert told(before, before.run("date")) == [
        f"{date} added",
        "result changed",
        f"  input: {date} became another {date}",
    ]


@pytest.mark.parametrize("place", range(4))
def test_of_equal_steps_the_one_that_changed_is_told_alone(place: int) -> None:
    steps = ["date"] * 4
    changed = [*steps[:place], "ls", *steps[place + 1 :]]
    before, after = (functools.reduce(FS.run, words, base()) for words in (steps, changed))
    assert told(before, after) == [
        'exec "/bin/sh -c ls" changed',
        "  command: /bin/sh -c date became /bin/sh -c ls",
    ]


def test_an_op_left_out_is_removed_also_where_everything_below_changed() -> None:
    before = pyllb.fs().image("debian").run("a").run("left out").run("b")
    after = pyllb.fs().image("alpine").run("a").run("b")
    assert [(op.change, op.vertex.name) for op in compare(before, after).changes] == [
        ("changed", "docker-image://docker.io/library/alpine:latest"),
        ("changed", "/bin/sh -c b"),
        ("removed", "/bin/sh -c left out"),
    ]


def test_ops_are_found_by_name_though_they_have_nothing_in_common() -> None:
    before = pyllb.merge(base().run("aa", name="n"), base().run("bb"))
    after = pyllb.merge(base().run("cc dd", name="n"), base().run("bb"))
    assert [(op.change, op.vertex.name) for op in compare(before, after).changes] == [("changed", "n")]


def test_a_merge_tells_which_inputs_came_and_went_and_their_order() -> None:
    a, b, c = (pyllb.fs().image(name) for name in "abc")
    image = 'source "docker-image://docker.io/library/{}:latest"'.format
    assert told(pyllb.merge(a, b, c), pyllb.merge(a, c))[:2] == [
        'merge "merge of 2" changed',
        f"  input removed: {image('b')}",
    ]
    assert told(pyllb.merge(a, b), pyllb.merge(b, a))[1] == (
        f"  input order: {image('a')}, {image('b')} became {image('b')}, {image('a')}"
    )


# Of kinds that have nothing in common, so that one that goes is never taken for one that comes.
INPUTS = {
    "a": pyllb.fs().image("a"),
    "b": pyllb.fs().mkdir("/b"),
    "c": base().run(["/c"]),
    "d": pyllb.diff(pyllb.fs().mkdir("/x"), pyllb.fs().mkdir("/y"), name="d"),
}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("abc", "cabd", ["input added: d", "input order: a, b, c became c, a, b, d"]),
        ("abc", "dba", ["input: c became d", "input order: a, b, c became d, b, a"]),
        ("abc", "dbc", ["input: a became d"]),
        ("abc", "bdc", ["input: a became d", "input order: a, b, c became b, d, c"]),
        ("abc", "cb", ["input removed: a", "input order: a, b, c became c, b"]),
        ("abc", "bc", ["input removed: a"]),
        ("abc", "abcd", ["input added: d"]),
    ],
)
def test_a_merge_whose_inputs_came_and_went_tells_the_order_of_the_others(
    before: str, after: str, words: list[str]
) -> None:
    one, other = (pyllb.merge(*map(INPUTS.__getitem__, names)) for names in (before, after))
    text = next(change.to_text() for change in compare(one, other).changes if change.vertex.kind == "merge")
    titles = re.compile(r"""[a-z]+ "(?:[^"]*/)?([abcd])[^"]*\"""")
    assert titles.sub(r"\1", text).splitlines()[1:] == [f"  {line}" for line in words]


def test_the_order_of_what_stayed_is_told_though_something_came() -> None:
    after = pyllb.fs().image("golang:1.25").env(A="1", GOFLAGS="-mod=mod", B="2").dir("/src")
    assert below(base().env(A="1").run("make"), after.run("make")) == [
        "env order: GOFLAGS, A became A, GOFLAGS, B",
        "env B added: 2",
    ]


def test_a_diff_tells_its_sides() -> None:
    upper = base().run("make")
    before, after = pyllb.diff(base(), upper), pyllb.diff(pyllb.fs().image("alpine"), upper)
    assert [op.vertex.kind for op in compare(before, after).changes] == ["source", "diff"]
    assert "  lower: source" in compare(before, after).to_text()
    lines = told(pyllb.diff(base(), pyllb.fs()), pyllb.diff(base(), upper))
    assert '  upper: scratch became exec "/bin/sh -c make"' in lines


def test_from_and_to_scratch_everything_comes_and_goes() -> None:
    assert {op.change for op in compare(pyllb.fs(), base().run("make")).changes} == {"added"}
    assert {op.change for op in compare(base().run("make"), pyllb.fs()).changes} == {"removed"}


def test_a_change_says_where_it_was_made() -> None:
    (change,) = pyllb.dump(base().run("a")).diff(pyllb.dump(base().run("b"))).changes
    filename, _, line = change.place.rpartition(":")
    assert filename == __file__
    assert "pyllb.dump(base()" in Path(__file__).read_text().splitlines()[int(line) - 1]


def test_what_a_terminal_would_act_on_is_escaped() -> None:
    text = compare(base().run("a"), base().run("\x1b[2J", name="\x1b]0;x\x07")).to_text()
    assert "\x1b" not in text
    assert "\\x1b[2J" in text


def changed_op(definition: Definition, change: str) -> Definition:
    """With one thing about its last op but one that no option of ours says."""
    message = ops_pb2.Definition.FromString(definition.to_bytes())
    ops = getattr(message, "def")
    op, last = ops_pb2.Op.FromString(ops[-2]), ops_pb2.Op.FromString(ops[-1])
    if change == "an unknown field":
        op.MergeFromString(b"\xba\x3e\x03abc")
    elif change == "an unknown option":
        op.exec.meta.MergeFromString(b"\xba\x3e\x03abc")
    elif change == "a number":
        op.exec.mounts[0].output = 7
    last.inputs[0].digest = digest_of(op.SerializeToString())
    for position, new in ((-2, op), (-1, last)):
        data = new.SerializeToString()
        message.metadata[digest_of(data)].CopyFrom(message.metadata[digest_of(ops[position])])
        ops[position] = data
    return Definition.from_bytes(message.SerializeToString())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("an unknown field", "field 999 added: b'abc'"),
        ("an unknown option", "field 999 added: b'abc'"),
        ("a number", "numbering: 1 input(s), 0>0 became 1 input(s), 0>7"),
        ("another order of fields", "encoding: "),
    ],
)
def test_no_difference_of_an_op_goes_untold(change: str, words: str) -> None:
    definition = pyllb.dump(base().run("make"), source_map=False)
    (found,) = definition.diff(changed_op(definition, change)).changes
    assert found.fields[0].to_text().startswith(words)


@given(st.sampled_from(sorted(GOLDEN)), st.sampled_from(sorted(GOLDEN)))
def test_definitions_differ_exactly_when_their_ops_or_metadata_do(one: str, other: str) -> None:
    before, after = (Definition.from_bytes(path(name, ".pb").read_bytes()) for name in (one, other))
    found = before.diff(after)
    same = set(before.ops) == set(after.ops) and before.metadata == after.metadata
    assert (found.changes == ()) == same
    assert found == before.diff(after)
    assert {op.after.digest for op in found.changes if op.after} <= set(dict(after.ops))
    assert all(op.fields for op in found.changes if op.change == "changed")
    json.loads(found.to_json())


def test_long_chains_and_wide_merges_are_compared_in_linear_time() -> None:
    def chain(length: int, image: str) -> Definition:
        node = pyllb.fs().image(image)
        for number in range(length):
            node = node.run(f"step {number}")
        return pyllb.dump(node, source_map=False)

    def wide(width: int, word: str) -> Definition:
        parts = [pyllb.fs().image("alpine").run(f"{word} {number}") for number in range(width)]
        return pyllb.dump(pyllb.merge(*parts), source_map=False)

    def work(before: Definition, after: Definition, changes: int) -> int:
        before.diff(before)  # both are read before it counts
        after.diff(after)
        assert len(before.diff(after).changes) == changes
        return calls(lambda: before.diff(after))

    for build, changes in ((chain, 1), (wide, None)):
        small, large = (work(build(size, "alpine"), build(size, "debian"), changes or size) for size in (500, 2000))
        assert 3.8 < large / small < 4.2


def test_ops_that_changed_alike_stand_together_above_what_changed() -> None:
    def steps(version: str) -> FS:
        node = base().run("first").mkfile("/version", version).env(VERSION=version)
        for number in range(3):
            node = node.run(f"step {number}")
        return node.run("last", user=f"u{version}")

    changes = compare(steps("1"), steps("2"))
    assert re.sub(r" \([^)]*\)", "", changes.to_text()).splitlines() == [
        'file "mkfile /version" changed',
        "  action 1 mkfile data: 1 became 2",
        *(f'exec "/bin/sh -c step {number}" changed' for number in range(3)),
        "  env VERSION: 1 became 2",
        'exec "/bin/sh -c last" changed',
        "  env VERSION: 1 became 2",
        "  user: u1 became u2",
        "ops: 5 changed, 0 added, 0 removed",
    ]
    assert "".join(change.to_text() for change in changes.changes).count("env VERSION") == 4


def test_the_id_of_a_progress_group_is_no_difference_its_name_is_one() -> None:
    def grouped(id: str, name: str) -> FS:
        return base().run("make", group=ProgressGroup(id, name, False))

    assert compare(grouped("a", "n"), grouped("b", "n")).changes == ()
    assert below(grouped("a", "n"), grouped("b", "m")) == ["progress group name: n became m"]
