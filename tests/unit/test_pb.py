"""The generated messages: what their stubs promise holds at run time, lazily, and in a pool of their own."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf.message import Message

import pyllb._pb
from pyllb._pb import control_pb2, ops_pb2, stat_pb2, timestamp_pb2, wire_pb2

PACKAGE = Path(pyllb._pb.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*_pb2.pyi"))


def in_fresh_python(code: str) -> str:
    """What `code` prints, in an interpreter that has loaded nothing yet and in which a warning is an error."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE.parents[1], check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def module_of(name: str) -> ModuleType:
    return importlib.import_module(f"pyllb._pb.{name}")


@pytest.mark.parametrize("name", MODULES)
def test_every_name_of_a_stub_is_there_at_run_time(name: str) -> None:
    module = module_of(name)
    for node in ast.parse((PACKAGE / f"{name}.pyi").read_text()).body:
        match node:
            case ast.ClassDef(bases=[ast.Name(id="int"), *_]):
                enum = getattr(module, node.name)
                assert _declared(node) == enum.keys()
            case ast.ClassDef():
                _same_message(node, getattr(module, node.name))
            case ast.AnnAssign(target=ast.Name(id=constant), annotation=ast.Name(id=enum_name)):
                assert getattr(module, constant) == getattr(module, enum_name).Value(constant)


def _same_message(stub: ast.ClassDef, made: type[Message]) -> None:
    """`made` has every field, enum, enum value and nested message that `stub` declares."""
    assert made.DESCRIPTOR.name == stub.name
    declared = set(_declared(stub))
    nested = {item.name for item in stub.body if isinstance(item, ast.ClassDef)}
    assert set(made.DESCRIPTOR.fields_by_name) - {"def"} <= declared
    instance = made()
    assert [name for name in declared | nested if not hasattr(instance, name)] == []


def _declared(stub: ast.ClassDef) -> list[str]:
    """The names that `stub` annotates, in order."""
    targets = [item.target for item in stub.body if isinstance(item, ast.AnnAssign)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


@pytest.mark.parametrize("name", MODULES)
def test_every_message_and_enum_of_a_file_has_a_stub(name: str) -> None:
    file = module_of(name).DESCRIPTOR
    stubs = {n.name for n in ast.parse((PACKAGE / f"{name}.pyi").read_text()).body if isinstance(n, ast.ClassDef)}
    assert stubs == {*file.message_types_by_name, *file.enum_types_by_name}


def test_importing_a_module_loads_no_protobuf_until_a_message_is_asked_for() -> None:
    code = """
import sys
from pyllb._pb import control_pb2, ops_pb2
hasattr(ops_pb2, "__wrapped__")
before = sorted({m.partition(".")[0] for m in sys.modules} & {"google", "grpc", "asyncio"})
ops_pb2.Op
print(before, "google.protobuf" in sys.modules, "grpc" in sys.modules)
"""
    assert in_fresh_python(code) == "[] True False"


def test_a_name_asked_for_once_is_a_plain_attribute_from_then_on() -> None:
    code = """
from pyllb._pb import ops_pb2
assert "Op" not in vars(ops_pb2)
first, number = ops_pb2.Op, ops_pb2.UNSET
print(vars(ops_pb2)["Op"] is first, vars(ops_pb2)["UNSET"])
"""
    assert in_fresh_python(code) == "True 0"


def test_a_name_that_is_not_in_the_file_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'pyllb\._pb\.ops_pb2' has no attribute 'SolveRequest'"):
        _ = ops_pb2.SolveRequest  # type: ignore[attr-defined]  # the wrong value is the case


def test_dir_lists_messages_enums_and_values_before_they_are_made() -> None:
    assert {"Op", "NetMode", "HOST", "DESCRIPTOR"} <= set(dir(ops_pb2))


def test_threads_that_ask_at_once_get_one_and_the_same_class() -> None:
    code = """
import threading
from pyllb._pb import control_pb2, ops_pb2
barrier, seen = threading.Barrier(8), []
def ask(number):
    barrier.wait()
    definition = ops_pb2.Definition() if number % 2 else control_pb2.SolveRequest().Definition
    seen.append(type(definition))
threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(seen), len(set(seen)))
"""
    assert in_fresh_python(code) == "8 1"


@pytest.mark.parametrize("ours_first", [True, False])
def test_other_messages_of_the_same_names_in_the_process_are_no_clash(ours_first: bool) -> None:
    ours = """
from pyllb._pb import ops_pb2, status_pb2
op = ops_pb2.Op(inputs=[ops_pb2.Input(digest="d")])
assert status_pb2.Status(code=5).code == 5
"""
    theirs = """
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
pool = descriptor_pool.Default()
for package, name, path in (("pb", "Op", "other/ops.proto"), ("google.rpc", "Status", "google/rpc/status.proto")):
    file = descriptor_pb2.FileDescriptorProto(name=path, package=package, syntax="proto3")
    file.message_type.add(name=name).field.add(name="theirs", number=1, type=5, label=1)
    pool.AddSerializedFile(file.SerializeToString())
    other = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
    assert other(theirs=3).theirs == 3
"""
    order = [ours, theirs] if ours_first else [theirs, ours]
    assert in_fresh_python("".join(order) + "print(op.inputs[0].digest)") == "d"


def test_messages_of_one_file_are_fields_of_another() -> None:
    definition = ops_pb2.Definition()
    getattr(definition, "def").append(b"op")
    request = control_pb2.SolveRequest(Ref="r", Definition=definition)
    again = control_pb2.SolveRequest.FromString(request.SerializeToString())
    assert getattr(again.Definition, "def") == [b"op"]
    assert type(again.Definition) is ops_pb2.Definition


def test_a_timestamp_is_made_of_our_own_class() -> None:
    vertex = control_pb2.Vertex(started=timestamp_pb2.Timestamp(seconds=1, nanos=5))
    assert vertex.started.ToNanoseconds() == 1_000_000_005
    assert not vertex.HasField("completed")


def test_a_file_name_that_is_not_utf8_goes_over_the_wire() -> None:
    packet = wire_pb2.Packet(type=wire_pb2.Packet.PACKET_STAT, stat=stat_pb2.Stat(path=b"caf\xe9", linkname=b"\xff"))
    again = wire_pb2.Packet.FromString(packet.SerializeToString())
    assert (again.stat.path, again.stat.linkname) == (b"caf\xe9", b"\xff")


def test_an_enum_is_called_named_and_listed() -> None:
    assert ops_pb2.CacheSharingOpt(2) == ops_pb2.LOCKED == ops_pb2.CacheSharingOpt.LOCKED == 2
    assert ops_pb2.CacheSharingOpt.Name(2) == "LOCKED"
    assert ops_pb2.CacheSharingOpt.items() == [("SHARED", 0), ("PRIVATE", 1), ("LOCKED", 2)]
    assert wire_pb2.Packet.PacketType(4) == wire_pb2.Packet.PACKET_ERR == wire_pb2.Packet.PacketType.PACKET_ERR


def test_an_enum_number_of_a_newer_daemon_is_kept() -> None:
    mount = ops_pb2.Mount.FromString(bytes([6 << 3, 99]))
    assert mount.mountType == ops_pb2.MountType(99) == 99
