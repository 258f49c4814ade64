"""Wire: what is written by hand is what protobuf writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyllb._pb import ops_pb2
from pyllb.ir.constraints import LinuxResources, ProgressGroup
from pyllb.marshal.metadata import OpMetadata
from pyllb.marshal.wire import flag, integer, message, packed, text, text_map, texts

INT64 = st.integers(min_value=-(1 << 63), max_value=(1 << 63) - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
PAIRS = st.dictionaries(TEXT, TEXT, max_size=5)


@given(INT64, INT64)
def test_integers_are_those_of_protobuf(one: int, two: int) -> None:
    limit = ops_pb2.Ulimit(Soft=one, Hard=two)
    assert integer(b"\x10", one) + integer(b"\x18", two) == limit.SerializeToString()


@given(TEXT, st.lists(TEXT, max_size=4), st.lists(st.integers(0, 1 << 31 - 1), max_size=4), st.booleans())
def test_texts_and_lists_are_those_of_protobuf(one: str, many: list[str], numbers: list[int], stubs: bool) -> None:
    meta = ops_pb2.Meta(args=many, cwd=one, removeMountStubsRecursive=stubs, validExitCodes=numbers)
    made = texts(b"\x0a", many) + text(b"\x1a", one) + flag(b"\x58", stubs) + packed(b"\x62", tuple(numbers))
    assert made == meta.SerializeToString()


@given(PAIRS)
def test_entries_of_maps_are_those_of_protobuf_in_the_order_of_go(pairs: dict[str, str]) -> None:
    ordered = sorted(pairs, key=str.encode)  # as Go orders them; protobuf for Python has a rule of its own
    entries = [ops_pb2.SourceOp(attrs={name: pairs[name]}).SerializeToString() for name in ordered]
    assert text_map(b"\x12", tuple(pairs.items())) == b"".join(entries)


@given(st.binary(max_size=40_000))
def test_long_messages_have_their_length_before_them(data: bytes) -> None:
    assert ops_pb2.FileActionMkFile.FromString(message(b"\x1a", data)).data == data


@given(PAIRS, st.booleans(), st.none() | st.booleans(), st.sets(TEXT, max_size=3), st.booleans(), st.booleans())
def test_metadata_is_that_of_protobuf_and_is_read_back(
    described: dict[str, str],
    ignore: bool,
    export: bool | None,
    caps: set[str],
    grouped: bool,
    limited: bool,
) -> None:
    made = OpMetadata(
        ignore_cache=ignore,
        description=tuple(sorted(described.items())),
        export_cache=export,
        caps=tuple(sorted(caps)),
        group=ProgressGroup("id", "name", ignore) if grouped else None,
        resources=LinuxResources(memory=5, memory_swap=-1, cpuset_cpus="0-1") if limited else None,
    )
    message = ops_pb2.OpMetadata.FromString(made.to_bytes())
    assert len(message.SerializeToString()) == len(made.to_bytes())
    assert (dict(message.description), message.ignore_cache, dict(message.caps)) == (
        described,
        ignore,
        dict.fromkeys(caps, True),
    )
    assert message.HasField("export_cache") == (export is not None)
    assert message.HasField("progress_group") == grouped
    assert message.linux_resources.memorySwap == (-1 if limited else 0)
