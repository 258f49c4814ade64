"""A definition's JSON and dot beside those of `buildctl debug dump-llb`, which needs no daemon."""

from __future__ import annotations

import subprocess
from collections.abc import MutableMapping
from typing import cast

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from pyllb._pb import ops_pb2
from pyllb.errors import DefinitionError
from pyllb.marshal.check import digest_of
from pyllb.marshal.definition import Definition
from tests.oracle import OracleError, ask
from tests.oracle.cases import CASES
from tests.oracle.draw import drawn
from tests.testbed import tools

ODD = '<&>\u2028\u2029"\\\a\b\f\n\r\t\v\x00\x1b\x7f\u0085\u00a0\u200b\ue000ü日\U0001f600\U000e0001'

KINDS = ("exec", "source", "build", "merge", "diff", "passthrough", "file", "return")


def buildctl(data: bytes, *flags: str) -> str:
    """What dump-llb writes for a definition."""
    command = [str(tools.programs() / "buildctl"), "debug", "dump-llb", *flags]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode()


def assert_equal(data: bytes) -> Definition:
    definition = Definition.from_bytes(data)
    assert definition.to_json() == buildctl(data)
    assert definition.to_dot() == buildctl(data, "--dot")
    return definition


def assert_read_back(data: bytes) -> None:
    """What buildctl tells of a definition of Go's is all of it, but for the source map."""
    read, meant = Definition.from_json(buildctl(data)), Definition.from_bytes(data)
    assert (read.ops, read.metadata, read.digest) == (meant.ops, meant.metadata, meant.digest)


@pytest.fixture(scope="module")
def answers() -> dict[str, bytes]:
    found = dict(zip([str(case["name"]) for case in CASES], ask(CASES), strict=True))
    return {name: answer.definition for name, answer in found.items() if not isinstance(answer, OracleError)}


def symlinks(data: bytes) -> bool:
    return any(
        action.WhichOneof("action") == "symlink"
        for op in getattr(ops_pb2.Definition.FromString(data), "def")
        for action in ops_pb2.Op.FromString(op).file.actions
    )


@pytest.mark.parametrize("name", [str(case["name"]) for case in CASES])
def test_json_and_dot_are_those_of_buildctl(name: str, answers: dict[str, bytes]) -> None:
    data = answers[name]
    if not symlinks(data):
        assert_equal(data)
        assert_read_back(data)
        return
    definition = Definition.from_bytes(data)
    assert definition.to_dot() == buildctl(data, "--dot")
    assert '"Action":{"symlink":{"oldpath":' in definition.to_json()
    assert Definition.from_json(definition.to_json()).ops == definition.ops
    with pytest.raises(DefinitionError, match="buildctl leaves out what a symlink is"):
        Definition.from_json(buildctl(data))


def test_json_and_dot_of_random_programs_are_those_of_buildctl() -> None:
    for answer in ask([drawn(seed) for seed in range(40)]):
        assert not isinstance(answer, OracleError)
        if not symlinks(answer.definition):
            assert_equal(answer.definition)
            assert_read_back(answer.definition)


def filled(message: Message) -> None:
    """Set every field of a message that is in no oneof, and of the messages in it."""
    stack: list[tuple[Message, int]] = [(message, 0)]
    while stack:
        at, depth = stack.pop()
        for field in at.DESCRIPTOR.fields:
            if field.containing_oneof is None and depth < 6:
                stack += [(inner, depth + 1) for inner in fill(at, cast("FieldDescriptor", field))]


def fill(message: Message, field: FieldDescriptor) -> list[Message]:
    """Set one field, twice where it may be; what it holds that is to be filled in turn."""
    value = getattr(message, field.name)
    if isinstance(value, MutableMapping):
        return fill_map(value, field)
    if hasattr(value, "add"):
        return [value.add(), value.add()]
    if hasattr(value, "append"):
        value.extend([plain(field), plain(field)])
    elif field.message_type is not None:
        value.SetInParent()
        return [value]
    else:
        setattr(message, field.name, plain(field))
    return []


def fill_map(value: MutableMapping[str, object], field: FieldDescriptor) -> list[Message]:
    assert field.message_type is not None
    held = field.message_type.fields_by_name["value"]
    for key in (ODD, "a", "ab"):
        if held.message_type is None:
            value[key] = plain(held)
    return [] if held.message_type is None else [cast("Message", value[key]) for key in (ODD, "a", "ab")]


def plain(field: FieldDescriptor) -> object:
    values = {field.CPPTYPE_STRING: ODD, field.CPPTYPE_BOOL: True, field.CPPTYPE_ENUM: 1, field.CPPTYPE_INT64: -1}
    return b"\x00\xff" if field.type == field.TYPE_BYTES else values.get(field.cpp_type, 2)


def oneofs() -> list[ops_pb2.Op]:
    """Ops in which, together, every member of every oneof is set."""
    ops = [ops_pb2.Op() for _ in range(7)]
    for op, kind in zip(ops, KINDS[:6], strict=False):
        getattr(op, kind).SetInParent()
        filled(getattr(op, kind))
    for kind in ("copy", "mkfile", "mkdir", "rm"):
        action = ops[-1].file.actions.add()
        getattr(action, kind).SetInParent()
        filled(getattr(action, kind))
        if kind != "rm":
            owner = getattr(action, kind).owner
            owner.user.byName.name, owner.user.byName.input = ODD, 3
            owner.group.byID = 0
    ops[-1].file.actions.add().input = 4
    return ops


def test_every_field_of_every_op_is_told_as_buildctl_tells_it() -> None:
    definition = ops_pb2.Definition()
    ops = oneofs()
    metadata = ops_pb2.OpMetadata()
    filled(metadata)
    for op in ops:
        op.platform.SetInParent()
        filled(op.platform)
        op.constraints.filter.append(ODD)
        definition.metadata[digest_of(op.SerializeToString())].CopyFrom(metadata)
    last = ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest_of(ops[0].SerializeToString()), index=1)])
    getattr(definition, "def").extend([op.SerializeToString() for op in [*ops, last]])
    read = assert_equal(definition.SerializeToString())
    assert {vertex.kind for vertex in read.vertices} == set(KINDS)
    assert '"validExitCodes":[2,2]' in read.to_json()


def test_what_is_empty_is_told_as_buildctl_tells_it() -> None:
    """Ops, actions and owners that say nothing of their kind, and some that have none."""
    ops = [ops_pb2.Op() for _ in KINDS]
    for op, kind in zip(ops, KINDS[:-1], strict=False):
        getattr(op, kind).SetInParent()
    chown = ops_pb2.ChownOpt(user=ops_pb2.UserOpt(), group=ops_pb2.UserOpt(byName=ops_pb2.NamedUserOpt()))
    actions = [ops_pb2.FileAction(), ops_pb2.FileAction(mkdir=ops_pb2.FileActionMkDir(owner=chown))]
    for kind in ("copy", "mkfile", "mkdir", "rm"):
        actions.append(ops_pb2.FileAction())
        getattr(actions[-1], kind).SetInParent()
    ops.append(ops_pb2.Op(file=ops_pb2.FileOp(actions=actions)))
    ops.append(ops_pb2.Op(exec=ops_pb2.ExecOp(meta=ops_pb2.Meta(), mounts=[ops_pb2.Mount()])))
    ops.append(ops_pb2.Op(diff=ops_pb2.DiffOp(lower=ops_pb2.LowerDiffInput(), upper=ops_pb2.UpperDiffInput())))
    ops.append(ops_pb2.Op(constraints=ops_pb2.WorkerConstraints(), platform=ops_pb2.Platform()))
    getattr(ops[-1].build, "def").SetInParent()
    encoded = list(dict.fromkeys(op.SerializeToString() for op in ops))
    definition = ops_pb2.Definition(**{"def": encoded})  # type: ignore[arg-type]  # `def` is a word of Python
    getattr(definition, "def").append(
        ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest_of(encoded[0]))]).SerializeToString()
    )
    data = definition.SerializeToString()
    assert Definition.from_bytes(data).to_json() == buildctl(data)  # of an exec without meta it draws no graph
