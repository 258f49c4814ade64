"""What the daemon would refuse is refused before it is sent, and the message names the op."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import pyllb
from pyllb._pb import ops_pb2
from pyllb.errors import DefinitionError
from pyllb.marshal.check import digest_of, first_loop
from pyllb.marshal.definition import Definition
from tests.golden import GOLDEN, path

SOURCE = ops_pb2.Op(source=ops_pb2.SourceOp(identifier="docker-image://docker.io/library/alpine:latest"))


def reading(*digests: str) -> list[ops_pb2.Input]:
    return [ops_pb2.Input(digest=digest) for digest in digests]


def definition(*ops: ops_pb2.Op) -> bytes:
    """The ops, and one that returns the last of them."""
    data = [op.SerializeToString() for op in ops]
    data.append(ops_pb2.Op(inputs=reading(digest_of(data[-1]))).SerializeToString())
    message = ops_pb2.Definition()
    getattr(message, "def").extend(data)
    return message.SerializeToString()


def on_source(change: Callable[[ops_pb2.Op], object], inputs: int = 1) -> bytes:
    op = ops_pb2.Op(inputs=reading(*[digest_of(SOURCE.SerializeToString())] * inputs))
    change(op)
    return definition(SOURCE, op)


def executed(*mounts: ops_pb2.Mount, **fields: object) -> bytes:
    op = ops_pb2.ExecOp(meta=ops_pb2.Meta(args=["true"]), mounts=[ops_pb2.Mount(dest="/"), *mounts])
    op.MergeFrom(ops_pb2.ExecOp(**fields))  # type: ignore[arg-type]  # fields of any kind, by name
    return on_source(lambda made: made.exec.CopyFrom(op))


def filed(*actions: ops_pb2.FileAction, inputs: int = 1) -> bytes:
    return on_source(lambda made: made.file.CopyFrom(ops_pb2.FileOp(actions=actions)), inputs)


def action(input: int, secondaryInput: int, output: int, **does: object) -> ops_pb2.FileAction:
    return ops_pb2.FileAction(input=input, secondaryInput=secondaryInput, output=output, **does)  # type: ignore[arg-type]  # an action of any kind, by name


def made_dir(input: int = 0, secondaryInput: int = 0, output: int = 0) -> ops_pb2.FileAction:
    made = ops_pb2.FileActionMkDir(path="/a")
    return ops_pb2.FileAction(mkdir=made, input=input, secondaryInput=secondaryInput, output=output)


def owned(number: int, input: int = 0) -> ops_pb2.FileAction:
    user = ops_pb2.UserOpt(byName=ops_pb2.NamedUserOpt(name="ada", input=number))
    made = ops_pb2.FileActionMkDir(path="/a", owner=ops_pb2.ChownOpt(user=user))
    return ops_pb2.FileAction(mkdir=made, input=input)


def linked(number: int, who: str) -> ops_pb2.FileAction:
    user = ops_pb2.UserOpt(byName=ops_pb2.NamedUserOpt(name="ada", input=number))
    link = ops_pb2.FileActionSymlink(oldpath="a", newpath="/b", owner=ops_pb2.ChownOpt(**{who: user}))
    return ops_pb2.FileAction(symlink=link)


def named(user: int, group: int) -> ops_pb2.ChownOpt:
    """A user and a group that are looked up in two places."""
    names = [ops_pb2.UserOpt(byName=ops_pb2.NamedUserOpt(name="ada", input=number)) for number in (user, group)]
    return ops_pb2.ChownOpt(user=names[0], group=names[1])


def by_id(user: int) -> ops_pb2.ChownOpt:
    return ops_pb2.ChownOpt(user=ops_pb2.UserOpt(byID=user))


def passed(**fields: object) -> bytes:
    return on_source(lambda op: op.passthrough.CopyFrom(ops_pb2.PassthroughOp(**fields)))  # type: ignore[arg-type]  # fields of any kind, by name


def sides(inputs: int = 1, **fields: object) -> bytes:
    return on_source(lambda op: op.diff.CopyFrom(ops_pb2.DiffOp(**fields)), inputs)  # type: ignore[arg-type]  # fields of any kind, by name


def merged(*inputs: int) -> bytes:
    merge = ops_pb2.MergeOp(inputs=[ops_pb2.MergeInput(input=number) for number in inputs])
    return on_source(lambda op: op.merge.CopyFrom(merge))


def built(**fields: object) -> bytes:
    return on_source(lambda op: op.build.CopyFrom(ops_pb2.BuildOp(**fields)))  # type: ignore[arg-type]  # fields of any kind, by name


def rooted(**fields: object) -> ops_pb2.ExecOp:
    mount = ops_pb2.Mount(dest="/", **fields)  # type: ignore[arg-type]  # fields of any kind, by name
    return ops_pb2.ExecOp(meta=ops_pb2.Meta(args=["true"]), mounts=[mount])


ROOTLESS = ops_pb2.ExecOp(meta=ops_pb2.Meta(args=["true"]), mounts=[ops_pb2.Mount(dest="/src")])
NESTED = {"buildkit.llb.definition": ops_pb2.BuildInput(input=3)}
LOWER, UPPER = ops_pb2.LowerDiffInput(), ops_pb2.UpperDiffInput(input=-1)
NO_LOWER = ops_pb2.LowerDiffInput(input=-1)
COPY, MKFILE = ops_pb2.FileActionCopy(src="/src", dest="/dest"), ops_pb2.FileActionMkFile(path="/foo/bar/baz")
MKDIR, RM = ops_pb2.FileActionMkDir(path="/foo/bar", makeParents=True), ops_pb2.FileActionRm(path="/foo/bar/baz")
WRONG = [
    (on_source(lambda op: op.source.CopyFrom(SOURCE.source)), r"has 1 input\(s\); a source has none"),
    (definition(ops_pb2.Op(source=ops_pb2.SourceOp(identifier="alpine"))), "identifier 'alpine'"),
    (on_source(lambda op: op.exec.SetInParent()), "has no meta"),
    (on_source(lambda op: op.exec.meta.SetInParent()), "has no arguments"),
    (on_source(lambda op: op.exec.meta.args.append("true")), "has no mounts"),
    (
        on_source(lambda op: op.exec.MergeFrom(ROOTLESS)),
        "no mount is at '/'",
    ),
    (executed(ops_pb2.Mount(dest="/a", input=1)), r"mounts input 1 at '/a'; it has 1 input\(s\)"),
    (executed(ops_pb2.Mount(dest="/a", input=-2)), "mounts input -2"),
    (on_source(lambda op: op.exec.MergeFrom(rooted(input=-2))), "mounts input -2 at '/'"),
    (executed(ops_pb2.Mount(dest="/a", input=1, mountType=ops_pb2.TMPFS)), "mounts input 1 at '/a'"),
    (executed(ops_pb2.Mount(dest="/a", input=-2, mountType=ops_pb2.TMPFS)), "mounts input -2"),
    (
        on_source(lambda op: op.exec.MergeFrom(rooted(mountType=ops_pb2.TMPFS, input=-1))),
        "has a root that is no filesystem",
    ),
    (
        on_source(lambda op: op.exec.MergeFrom(rooted(input=-1, output=-1, readonly=True))),
        "a read-only root of nothing",
    ),
    (executed(ops_pb2.Mount(dest="/a", input=-1, mountType=ops_pb2.CACHE)), "a cache at '/a'"),
    (executed(ops_pb2.Mount(dest="/a", input=-1, mountType=ops_pb2.SECRET)), "a secret without id at '/a'"),
    (executed(ops_pb2.Mount(dest="/a", input=-1, mountType=ops_pb2.SSH)), "an ssh agent at '/a'"),
    (executed(secretenv=[ops_pb2.SecretEnv(name="A")]), "the variable 'A' of a secret without id"),
    (on_source(lambda op: op.file.SetInParent()), "has no actions"),
    (filed(made_dir(input=2)), r"action 0, which reads 2; it has 1 input\(s\) and 1 action\(s\)"),
    (filed(made_dir(input=-2)), "action 0, which reads -2"),
    (filed(made_dir(secondaryInput=9)), "action 0, which reads 9"),
    (filed(made_dir(secondaryInput=-2)), "action 0, which reads -2"),
    (filed(action(0, -2, 0, copy=COPY)), "action 0, which reads -2"),
    (filed(made_dir(input=1)), "action 0, which reads its own result"),
    (filed(made_dir(input=0), inputs=0), "action 0, which reads its own result"),
    (filed(made_dir(input=2, output=-1), made_dir(input=1)), "which reads its own result"),
    (filed(action(1, -1, -1, mkdir=MKDIR), action(0, -1, 0, mkfile=MKFILE), inputs=0), "which reads its own result"),
    (filed(made_dir(output=-1)), "keeps the result of none"),
    (filed(made_dir(output=0), made_dir(output=0)), r"the outputs \[0, 0\]"),
    (filed(made_dir(output=1)), r"the outputs \[1\]"),
    (filed(owned(-1)), "of the owner 'ada', on nothing that has names; write numbers"),
    (filed(owned(1_000_000)), "owner 'ada' is looked up in 1000000; it has"),
    (definition(ops_pb2.Op(file=ops_pb2.FileOp(actions=[owned(0, -1)]))), "owner 'ada' is looked up in 0; it has 0"),
    (filed(linked(1, "user")), "owner 'ada' is looked up in 1; it has"),
    (filed(linked(1, "group")), "owner 'ada' is looked up in 1; it has"),
    (
        filed(
            action(-1, -1, -1, mkfile=MKFILE), action(1, 0, 0, copy=ops_pb2.FileActionCopy(owner=named(1, 2))), inputs=2
        ),
        "action 1, whose owner 'ada' is looked up in 2; it has",
    ),
    (filed(action(0, -1, 0, mkfile=ops_pb2.FileActionMkFile(path="/a/.."))), "action 0, which writes a file at '/'"),
    (filed(action(0, -1, 0, symlink=ops_pb2.FileActionSymlink(oldpath="a"))), "action 0, which makes a link at '/'"),
    (filed(action(0, -1, 0, rm=ops_pb2.FileActionRm(path="/", allowWildcard=True))), "action 0, which removes '/'"),
    (merged(0, 0), r"merges 2 filesystem\(s\); it has 1 input\(s\)"),
    (merged(1), "merges input 1"),
    (sides(lower=LOWER), "lacks its lower or its upper side"),
    (sides(upper=UPPER), "lacks its lower or its upper side"),
    (sides(0, upper=UPPER), "lacks its lower or its upper side"),
    (sides(0, lower=NO_LOWER), "lacks its lower or its upper side"),
    (sides(0, lower=LOWER, upper=UPPER), r"has 1 side\(s\) that are not scratch; it has 0 input\(s\)"),
    (sides(lower=NO_LOWER, upper=UPPER), r"has 0 side\(s\) that are not scratch; it has 1 input\(s\)"),
    (sides(lower=LOWER, upper=ops_pb2.UpperDiffInput()), "has 2 side"),
    (sides(lower=ops_pb2.LowerDiffInput(input=4), upper=UPPER), "reads input 4"),
    (passed(outputs=[0]), "has no id"),
    (passed(id="a"), "has no outputs"),
    (passed(id="a", outputs=[1]), "passes on input 1"),
    (passed(id="a", outputs=[-1]), "passes on input -1"),
    (built(), "has builder 0"),
    (built(builder=-1), "has no input 'buildkit.llb.definition'"),
    (built(builder=-1, inputs=NESTED), "reads input 3"),
]


@pytest.mark.parametrize(("data", "says"), WRONG, ids=[says for _, says in WRONG])
def test_an_op_that_the_daemon_would_refuse_is_refused_by_its_digest(data: bytes, says: str) -> None:
    read = Definition.from_bytes(data)
    with pytest.raises(DefinitionError, match=says) as caught:
        read.check()
    assert read.digest in caught.value.message


@pytest.mark.parametrize("data", [data for data, _ in WRONG], ids=[says for _, says in WRONG])
def test_an_op_that_is_refused_can_be_looked_at(data: bytes) -> None:
    """Whatever its indices are: a name, a text and a picture follow none of them."""
    read = Definition.from_bytes(data)
    assert all(vertex.name for vertex in read.vertices)
    assert read.digest in read.to_tree()
    assert read.digest in read.to_json()
    assert read.to_dot()
    assert pyllb.definition(read).output is not None


@pytest.mark.parametrize("name", GOLDEN)
def test_what_go_makes_is_not_refused(name: str) -> None:
    Definition.from_bytes(path(name, ".pb").read_bytes()).check()


TAKEN = {
    "an action on another": filed(action(0, -1, -1, mkdir=MKDIR), action(1, -1, 0, mkfile=MKFILE)),
    "actions on nothing": filed(action(-1, -1, -1, mkdir=MKDIR), action(0, -1, 0, mkfile=MKFILE), inputs=0),
    "an owner of another input, and one by number": filed(
        action(0, -1, -1, mkdir=ops_pb2.FileActionMkDir(path="/foo/bar", owner=named(1, 1))),
        action(2, -1, 0, mkfile=ops_pb2.FileActionMkFile(path="/a", owner=by_id(100))),
        inputs=2,
    ),
    "owners of two inputs": filed(action(1, 0, 0, copy=ops_pb2.FileActionCopy(owner=named(0, 1))), inputs=2),
    "a copy onto the later input": filed(action(1, 0, 0, copy=COPY), inputs=2),
    "a copy out of an action": filed(
        *(action(0, -1, -1, mkdir=MKDIR), action(1, 2, -1, copy=COPY), action(3, -1, 0, rm=RM)), inputs=2
    ),
    "a copy from one action onto another": filed(
        action(0, -1, -1, mkdir=MKDIR), action(0, -1, -1, mkfile=MKFILE), action(2, 1, 0, copy=COPY)
    ),
    "several outputs": filed(action(0, -1, 0, mkdir=MKDIR), action(1, -1, 1, mkfile=MKFILE)),
    "outputs in another order": filed(made_dir(output=1), made_dir(output=0), made_dir(input=1, output=-1)),
    "a diff of nothing and nothing": sides(0, lower=NO_LOWER, upper=UPPER),
}


@pytest.mark.parametrize("data", TAKEN.values(), ids=TAKEN.keys())
def test_what_the_daemons_own_tests_take_is_not_refused(data: bytes) -> None:
    """Also what no client makes."""
    Definition.from_bytes(data).check()


@pytest.mark.parametrize(
    ("mount", "taken"),
    [
        (ops_pb2.Mount(dest="/foo", selector="/bar"), False),
        (ops_pb2.Mount(dest="/foo", selector="/bar", readonly=True), True),
        (ops_pb2.Mount(dest="/foo", selector="/bar", output=-1), True),
        (ops_pb2.Mount(dest="/foo", selector="/"), True),
        (ops_pb2.Mount(dest="/foo", selector="x/.."), True),
        (ops_pb2.Mount(dest="/", selector="/bar"), False),
        (ops_pb2.Mount(dest="/", selector="/bar", readonly=True), True),
        (ops_pb2.Mount(dest="/", selector="/bar", output=-1), True),
        (ops_pb2.Mount(dest="/", selector="/"), True),
        (ops_pb2.Mount(dest="/foo", selector="/bar", input=-1), True),
    ],
)
def test_a_part_that_can_be_written_is_not_cached_by_its_content(mount: ops_pb2.Mount, taken: bool) -> None:
    for setting in (ops_pb2.DEFAULT, ops_pb2.OFF, ops_pb2.ON):
        mount.contentCache = setting
        read = Definition.from_bytes(executed(mount))
        if taken or setting != ops_pb2.ON:
            read.check()
            continue
        with pytest.raises(DefinitionError, match=f"caches '{mount.dest}' by the content of '/bar'"):
            read.check()


def test_what_pyllb_makes_is_not_refused() -> None:
    image = pyllb.fs().image("alpine")
    pyllb.dump(pyllb.fs()).check()
    pyllb.dump(pyllb.merge(image, pyllb.diff(image, image.run("a")), image.mkdir("/a", owner="ada"))).check()


def test_what_the_dsl_lets_through_and_no_daemon_takes_is_told_at_the_users_line() -> None:
    mounts = [pyllb.bind(pyllb.fs(), "/out"), pyllb.bind(pyllb.image("busybox"), "/b", readonly=True)]
    node = pyllb.fs().run(["/b/true"], readonly_root=True, mounts=mounts)
    with pytest.raises(DefinitionError, match="has a read-only root of nothing") as caught:
        pyllb.dump(node.mount("/out")).check()
    assert "readonly_root=True" in caught.value.sources[0].excerpt(0)


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (pyllb.image("a").mkfile("/", "x"), "writes a file at '/'"),
        (pyllb.image("a").mkfile(".", "x"), "writes a file at '/'"),
        (pyllb.image("a").symlink("a", "//"), "makes a link at '/'"),
        (pyllb.image("a").dir("/b").rm(".."), "removes '/'"),
    ],
)
def test_what_can_only_fail_once_all_is_known_is_told_at_the_users_line(node: pyllb.FS, says: str) -> None:
    """Where a relative path leads is known when the image's config is."""
    with pytest.raises(DefinitionError, match=says) as caught:
        pyllb.dump(node).check()
    assert caught.value.sources[0].filename == __file__


def test_a_command_on_nothing_may_have_its_program_from_elsewhere() -> None:
    """From a cache or a secret, or a device: the daemon mounts more for one than LLB says."""
    pyllb.dump(pyllb.fs().run("make", devices=["vendor.com/device=0"])).check()


def test_a_wrong_op_is_told_at_the_users_line() -> None:
    data = pyllb.dump(pyllb.fs().image("alpine").run("make")).to_bytes()
    message = ops_pb2.Definition.FromString(data)
    op = ops_pb2.Op.FromString(getattr(message, "def")[1])
    before = digest_of(getattr(message, "def")[1])
    op.exec.ClearField("mounts")
    after = digest_of(op.SerializeToString())
    message.Source.locations[after].CopyFrom(message.Source.locations[before])
    getattr(message, "def")[1] = op.SerializeToString()
    getattr(message, "def")[2] = ops_pb2.Op(inputs=reading(after)).SerializeToString()
    with pytest.raises(DefinitionError) as caught:
        Definition.from_bytes(message.SerializeToString()).check()
    assert caught.value.sources[0].filename == __file__


def test_a_cycle_made_by_hand_reads_what_is_not_there() -> None:
    """Each op is made to read the other's digest, which is another one as soon as that is done."""
    one, other = (ops_pb2.Op(inputs=reading("sha256:" + "0" * 64), merge=ops_pb2.MergeOp()) for _ in range(2))
    for _ in range(3):
        one.inputs[0].digest = digest_of(other.SerializeToString())
        other.inputs[0].digest = digest_of(one.SerializeToString())
    with pytest.raises(DefinitionError, match="which is not in the definition") as caught:
        Definition.from_bytes(definition(one, other))
    assert one.inputs[0].digest in caught.value.message


def test_digests_that_are_not_those_of_the_ops_are_refused_so_there_is_no_cycle() -> None:
    a, b = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    ops = tuple(
        (digest, ops_pb2.Op(inputs=reading(read)).SerializeToString()) for digest, read in ((a, b), (b, a), ("c", a))
    )
    with pytest.raises(DefinitionError, match=f"op {a} is not what its digest says"):
        Definition(ops, {}).check()


@pytest.mark.parametrize("index", [-1, 1])
def test_a_place_in_a_file_that_the_source_map_lacks_is_refused(index: int) -> None:
    message = ops_pb2.Definition.FromString(definition(SOURCE))
    digest = digest_of(SOURCE.SerializeToString())
    message.Source.infos.add(filename="Dockerfile")
    message.Source.locations[digest].locations.add(sourceIndex=index)
    with pytest.raises(DefinitionError, match=rf"op {digest} was made in file {index} .* has 1 file\(s\)"):
        Definition.from_bytes(message.SerializeToString())


def test_ops_of_a_later_buildkit_are_kept_and_not_refused() -> None:
    op = ops_pb2.Op.FromString(b"\x4a\x03abc")  # a oneof member of number 9
    data = definition(SOURCE, op)
    read = Definition.from_bytes(data)
    read.check()
    assert read.to_bytes() == data
    assert [vertex.kind for vertex in read.vertices] == ["source", "unknown", "return"]
    assert "unknown field 9: b'abc'" in read.to_tree()


def test_an_op_may_stand_before_what_it_reads() -> None:
    message = ops_pb2.Definition.FromString(pyllb.dump(pyllb.fs().image("alpine").run("make")).to_bytes())
    ops = getattr(message, "def")
    ops[0], ops[1] = ops[1], ops[0]
    read = Definition.from_bytes(message.SerializeToString())
    read.check()
    assert [vertex.kind for vertex in read.vertices] == ["exec", "source", "return"]
    assert read.to_tree().startswith("#0 exec")


def test_loops_of_many_actions_are_found_without_recursion() -> None:
    line = [[number + 1] for number in range(100_000)]
    assert first_loop([*line, []]) is None
    assert first_loop([*line, [99_990]]) in range(99_990, 100_001)
