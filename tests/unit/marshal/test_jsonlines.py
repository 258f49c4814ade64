"""JSON lines: the cases of pb/json_test.go (BuildKit 0.33.1), and definitions read back from their JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import cast

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from pyllb._pb import ops_pb2 as pb
from pyllb.errors import DefinitionError
from pyllb.marshal.canonical import canonical
from pyllb.marshal.check import digest_of
from pyllb.marshal.definition import Definition
from tests.unit.marshal.test_definition import MADE

EXEC = pb.ExecOp(meta=pb.Meta(args=["echo", "Hello", "World"]), mounts=[pb.Mount(dest="/", readonly=True)])
COPY = pb.FileActionCopy(src="/foo", dest="/bar")
OPS = {
    "exec": (
        pb.Op(exec=EXEC),
        {"Op": {"exec": {"meta": {"args": ["echo", "Hello", "World"]}, "mounts": [{"dest": "/", "readonly": True}]}}},
    ),
    "source": (
        pb.Op(source=pb.SourceOp(identifier="local://context"), constraints=pb.WorkerConstraints()),
        {"Op": {"source": {"identifier": "local://context"}}, "constraints": {}},
    ),
    "build": (pb.Op(build=pb.BuildOp(**{"def": pb.Definition()})), {"Op": {"build": {"def": {}}}}),  # type: ignore[arg-type]  # `def` is a word of Python
    "merge": (
        pb.Op(merge=pb.MergeOp(inputs=[pb.MergeInput(input=0), pb.MergeInput(input=1)])),
        {"Op": {"merge": {"inputs": [{}, {"input": 1}]}}},
    ),
    "diff": (
        pb.Op(diff=pb.DiffOp(lower=pb.LowerDiffInput(input=0), upper=pb.UpperDiffInput(input=1))),
        {"Op": {"diff": {"lower": {}, "upper": {"input": 1}}}},
    ),
    "passthrough": (
        pb.Op(passthrough=pb.PassthroughOp(id="x", outputs=[0, 2])),
        {"Op": {"passthrough": {"id": "x", "outputs": [0, 2]}}},
    ),
    "nothing of a kind": (pb.Op(exec=pb.ExecOp()), {"Op": {"exec": {}}}),
    "a platform": (
        pb.Op(platform=pb.Platform(OS="linux"), merge=pb.MergeOp()),
        {"Op": {"merge": {}}, "platform": {"OS": "linux"}},
    ),
}
ACTIONS = {
    "copy": (pb.FileAction(input=1, output=2, copy=COPY), {"copy": {"src": "/foo", "dest": "/bar"}}),
    "mkfile": (
        pb.FileAction(mkfile=pb.FileActionMkFile(path="/foo", data=b"Hello, World!")),
        {"mkfile": {"path": "/foo", "data": "SGVsbG8sIFdvcmxkIQ=="}},
    ),
    "mkdir": (
        pb.FileAction(mkdir=pb.FileActionMkDir(path="/foo/bar", makeParents=True)),
        {"mkdir": {"path": "/foo/bar", "makeParents": True}},
    ),
    "rm": (
        pb.FileAction(rm=pb.FileActionRm(path="/foo", allowNotFound=True)),
        {"rm": {"path": "/foo", "allowNotFound": True}},
    ),
    "symlink": (
        pb.FileAction(symlink=pb.FileActionSymlink(oldpath="/a", newpath="/b", timestamp=-1)),
        {"symlink": {"oldpath": "/a", "newpath": "/b", "timestamp": -1}},
    ),
    "none": (pb.FileAction(input=-1, secondaryInput=-1, output=-1), {}),
}
USERS = {
    "by name": (pb.UserOpt(byName=pb.NamedUserOpt(name="foo", input=1)), {"byName": {"name": "foo", "input": 1}}),
    "a name that is empty": (pb.UserOpt(byName=pb.NamedUserOpt()), {"byName": {}}),
    "by id": (pb.UserOpt(byID=2), {"byId": 2}),
    "root": (pb.UserOpt(byID=0), {}),
}


def definition(op: pb.Op, metadata: pb.OpMetadata | None = None) -> Definition:
    """One op, and the op that returns it."""
    data = canonical(op)
    digest = digest_of(data)
    result = canonical(pb.Op(inputs=[pb.Input(digest=digest)]))
    message = pb.Definition(**{"def": [data, result]})  # type: ignore[arg-type]  # `def` is a word of Python
    for one in (digest, digest_of(result)):
        message.metadata[one].CopyFrom(metadata if metadata is not None else pb.OpMetadata())
    return Definition.from_bytes(message.SerializeToString())


def assert_round_trip(made: Definition) -> dict[str, object]:
    """The first op as JSON, once the definition was read back from its own."""
    text = made.to_json()
    read = Definition.from_json(text)
    assert (read.ops, read.metadata, read.to_json()) == (made.ops, made.metadata, text)
    first: dict[str, object] = json.loads(text.split("\n", 1)[0])["Op"]
    return first


@pytest.mark.parametrize("kind", OPS)
def test_an_op_of_each_kind_is_written_and_read(kind: str) -> None:
    op, told = OPS[kind]
    assert assert_round_trip(definition(op)) == told


@pytest.mark.parametrize("kind", ACTIONS)
def test_a_file_action_of_each_kind_is_written_and_read(kind: str) -> None:
    action, told = ACTIONS[kind]
    numbers = {"input": action.input, "secondaryInput": action.secondaryInput, "output": action.output}
    found = assert_round_trip(definition(pb.Op(file=pb.FileOp(actions=[action]))))
    assert found == {"Op": {"file": {"actions": [{**numbers, "Action": told}]}}}


@pytest.mark.parametrize("kind", ["copy", "mkfile", "mkdir", "symlink"])
@pytest.mark.parametrize("who", USERS)
def test_an_owner_is_written_and_read(who: str, kind: str) -> None:
    user, told = USERS[who]
    action = pb.FileAction()
    getattr(action, kind).owner.user.CopyFrom(user)
    getattr(action, kind).owner.group.CopyFrom(user)
    found = assert_round_trip(definition(pb.Op(file=pb.FileOp(actions=[action]))))
    (line,) = found["Op"]["file"]["actions"]  # type: ignore[index]  # JSON of which the test knows the form
    assert line["Action"] == {kind: {"owner": {"user": {"User": told}, "group": {"User": told}}}}


def test_what_this_library_makes_is_read_back_but_for_its_source_map() -> None:
    assert_round_trip(MADE)
    read = Definition.from_json(MADE.to_json())
    assert MADE.source.infos
    assert (read.source.infos, read.output is not None, read.digest) == ((), True, MADE.digest)


def test_scratch_has_no_lines() -> None:
    assert Definition.from_json("") == Definition.from_json(" \n") == Definition.from_bytes(b"")
    assert Definition.from_bytes(b"").to_json() == ""


def test_what_is_null_is_not_there() -> None:
    lines = [json.loads(line) for line in MADE.to_json().splitlines()]
    for line in lines:
        line["Op"] |= {"constraints": line["Op"].get("constraints"), "platform": line["Op"].get("platform")}
        line["Op"]["Op"] |= {kind: line["Op"]["Op"].get(kind) for kind in ("exec", "file", "diff")}
        line["OpMetadata"] = line["OpMetadata"] or None
    assert Definition.from_json("".join(map(json.dumps, lines))).ops == MADE.ops


@pytest.mark.parametrize("indent", [None, 1, "\t"])
def test_an_op_may_be_laid_out_in_any_way(indent: str | int | None) -> None:
    lines = [json.loads(line) for line in MADE.to_json().splitlines()]
    read = Definition.from_json("\r\n".join(json.dumps(line, indent=indent, sort_keys=True) for line in lines) + "\n\n")
    assert (read.ops, read.metadata) == (MADE.ops, MADE.metadata)


def changed(line: int, change: Callable[[dict[str, object]], object]) -> str:
    """The JSON of MADE, with one of its ops another."""
    values = [json.loads(text) for text in MADE.to_json().splitlines()]
    change(values[line])
    return "\n".join(json.dumps(value) for value in values)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"{}", "the JSON of a definition is b'{}'; write it as text"),
        ("{", "not the JSON of a definition: Expecting property name"),
        ("nonsense", "not the JSON of a definition: Expecting value"),
        ('{"Op":' * 100_000, "not the JSON of a definition: maximum recursion depth"),
        ("1" * 5000, "not the JSON of a definition: Exceeds the limit"),
        ("[]", "op 1 of the JSON: it is []; it would be an object"),
        ("NaN", "op 1 of the JSON: it is nan; it would be an object"),
        ("{}", "op 1 of the JSON: its Digest is None"),
        ('{"ops":[]}', "op 1 of the JSON: it has 'ops'; an op has Op, Digest and OpMetadata"),
        (changed(1, lambda op: op.update(Digest="sha256:" + "0" * 64)), "op 2 of the JSON: its Digest is 'sha256:000"),
        (changed(0, lambda op: op.update(Op={"Op": {"exec": {"args": []}}})), 'has no field named "args" at "Op.exec"'),
        (changed(0, lambda op: op.update(Op={"Op": {"exec": 1}})), "op 1 of the JSON: "),
        (changed(0, lambda op: op.update(Op={"Op": 1})), "op 1 of the JSON: Op is 1; it would be an object"),
        (
            changed(0, lambda op: op.update(Op={"Op": {"file": {"actions": [1]}}})),
            "actions is 1; it would be an object",
        ),
        (changed(0, lambda op: op.update(Op={"Op": {"exec": {}, "file": {}}})), 'multiple "op" oneof fields'),
        (changed(0, lambda op: op.update(Op={"Op": {"source": {"identifier": "\ud800"}}})), "Unpaired surrogate"),
        (changed(0, lambda op: op.update(OpMetadata={"caps": {"x": 1}})), "op 1 of the JSON: "),
        (changed(0, lambda op: op.update(OpMetadata={"\ud800": 1})), "op 1 of the JSON: "),
        (changed(0, lambda op: op.update(Op={"Op": {"exec": {"network": 1}}})).replace("1}}}", "1e999}}}"), "infinity"),
        (changed(0, lambda op: op.update(OpMetadata=[])), "op 1 of the JSON: OpMetadata is []; it would be an object"),
        (MADE.to_json().split("\n", 1)[1], "which is not in the definition"),
        (MADE.to_json().split("\n", 1)[0], "a definition of one op"),
    ],
)
def test_what_is_no_definition_is_refused(text: str, says: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        Definition.from_json(text)
    assert says in caught.value.message
    assert "\n" not in caught.value.message


SCALARS: dict[int, st.SearchStrategy[object]] = {
    FieldDescriptor.CPPTYPE_STRING: st.text(max_size=5),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_ENUM: st.integers(0, 2),
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
}


def drawn(draw: st.DrawFn, message: Message) -> None:
    """Fill a message with what may stand in it; a user is always told, as by all who write LLB."""
    stack = [(message, 0)]
    while stack:
        at, depth = stack.pop()
        for field in chosen(draw, at, depth):
            stack += [(inner, depth + 1) for inner in fill(draw, at, field)]


def chosen(draw: st.DrawFn, message: Message, depth: int) -> list[FieldDescriptor]:
    described = cast("list[FieldDescriptor]", message.DESCRIPTOR.fields)
    fields = [f for f in described if depth < 5 or f.message_type is None]
    plain = [f for f in fields if f.containing_oneof is None]
    found = [f for f in plain if draw(st.booleans())]
    members = [f for f in fields if f.containing_oneof is not None]
    empty = message.DESCRIPTOR.full_name != "pb.UserOpt"
    if members and not (empty and draw(st.booleans())):
        found.append(draw(st.sampled_from(members)))
    return found


def fill(draw: st.DrawFn, message: Message, field: FieldDescriptor) -> list[Message]:
    """Set one field; the messages in it, which are to be filled in turn."""
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        held = field.message_type.fields_by_name["value"]
        for key in draw(st.lists(st.text(max_size=3), max_size=3, unique=True)):
            if held.message_type is None:
                value[key] = draw(scalar(held))
            else:
                value[key].SetInParent()
        return [] if held.message_type is None else [value[key] for key in value]
    if hasattr(value, "add"):
        return [value.add() for _ in range(draw(st.integers(0, 2)))]
    if hasattr(value, "append"):
        value.extend(draw(st.lists(scalar(field), max_size=3)))
    elif field.message_type is not None:
        value.SetInParent()
        return [value]
    else:
        setattr(message, field.name, draw(scalar(field)))
    return []


def scalar(field: FieldDescriptor) -> st.SearchStrategy[object]:
    return st.binary(max_size=5) if field.type == field.TYPE_BYTES else SCALARS[field.cpp_type]


@st.composite
def messages(draw: st.DrawFn) -> tuple[pb.Op, pb.OpMetadata]:
    op, metadata = pb.Op(), pb.OpMetadata()
    drawn(draw, op)
    drawn(draw, metadata)
    op.ClearField("inputs")
    return op, metadata


@given(messages())
@settings(max_examples=200)
def test_whatever_an_op_and_its_metadata_say_is_read_back(made: tuple[pb.Op, pb.OpMetadata]) -> None:
    assert_round_trip(definition(*made))


@given(messages())
def test_canonical_bytes_say_all_that_the_message_says(made: tuple[pb.Op, pb.OpMetadata]) -> None:
    for message in made:
        data = canonical(message)
        assert (type(message).FromString(data), len(data)) == (message, message.ByteSize())


def test_canonical_bytes_have_keys_in_order_and_the_kind_last() -> None:
    attrs = {"ab": "1", "a": "2", "": "", "é": "3", "z": "4"}
    op = pb.Op(source=pb.SourceOp(attrs=attrs), platform=pb.Platform(OS="x"))
    entries = [b"\n\0\x12\0", b"\n\1a\x12\0012", b"\n\2ab\x12\0011", b"\n\1z\x12\0014", b"\n\2\xc3\xa9\x12\0013"]
    held = b"".join(b"\x12" + bytes([len(entry)]) + entry for entry in entries)
    assert canonical(op) == b"\x52\3\x12\1x" + b"\x1a" + bytes([len(held)]) + held
