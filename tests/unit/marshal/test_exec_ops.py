"""Execs and the rarer ops: results of mounts, limits, what is in the digest, and the same bytes each time.

The first graphs are those of client/llb's own tests (BuildKit 0.33.1).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import pyllb
from pyllb import bind, cache, fs, image, secret, ssh, tmpfs
from pyllb._pb import ops_pb2
from pyllb.errors import MountError
from pyllb.marshal.definition import Definition
from tests.unit.marshal.nodes import lowered

BASE = image("alpine")


def made(node: pyllb.FS) -> ops_pb2.Op:
    """The op that made a node."""
    definition = lowered(node).definition
    return ops_pb2.Op.FromString(dict(definition.ops)[definition.digest])


@pytest.mark.parametrize("other", ["/c", "/a"])
def test_a_tmpfs_before_or_after_a_mount_does_not_count_among_the_results(other: str) -> None:
    node = image("foo").run(["args"], mounts=[bind(fs(), "/b"), tmpfs(other)]).mount("/b")
    assert node.output is not None
    assert node.output.index == 1
    last = ops_pb2.Op.FromString(lowered(node).definition.ops[-1][1])
    assert last.inputs[0].index == 1
    assert [(mount.dest, mount.output) for mount in made(node).exec.mounts] == sorted(
        [("/", 0), ("/b", 1), (other, -1)]
    )


def test_a_tmpfs_is_of_scratch_and_cannot_be_built_on() -> None:
    node = image("foo").run(["args"], mounts=[tmpfs("/tmp")])
    assert [mount.input for mount in made(node).exec.mounts] == [0, -1]
    with pytest.raises(MountError, match="a tmpfs is gone when the command ends"):
        node.mount("/tmp")


def test_limits_stand_beside_the_op_and_those_not_said_are_zero() -> None:
    limits = pyllb.resources(
        memory="64m", cpu_shares=512, cpu_quota=50_000, cpu_period=100_000, cpuset_cpus="0-3", cpuset_mems="0"
    )
    plain, limited, other = (
        lowered(image("busybox").run(["true"], resources=resources)).definition
        for resources in (None, limits, pyllb.resources(memory="128m", cpu_shares=512))
    )
    assert plain.ops[:-1] == limited.ops[:-1] == other.ops[:-1]
    assert plain.ops == limited.ops
    found = limited.raw_metadata(limited.digest).linux_resources
    assert (found.memory, found.cpuShares, found.cpuQuota, found.cpuPeriod) == (64 << 20, 512, 50_000, 100_000)
    assert (found.cpusetCpus, found.cpusetMems, found.memorySwap) == ("0-3", "0", 0)
    found = other.raw_metadata(other.digest).linux_resources
    assert (found.memory, found.cpuShares, found.cpuQuota, found.cpuPeriod) == (128 << 20, 512, 0, 0)
    assert not plain.raw_metadata(plain.digest).HasField("linux_resources")


OPTIONS: dict[str, dict[str, Any]] = {
    "command": {"command": ["false"]},
    "env": {"env": {"A": "1"}},
    "dir": {"dir": "/w"},
    "user": {"user": "app"},
    "hostname": {"hostname": "box"},
    "cgroup_parent": {"cgroup_parent": "cg"},
    "extra_hosts": {"extra_hosts": {"a": "10.0.0.1"}},
    "ulimits": {"ulimits": {"nofile": 10}},
    "ok_codes": {"ok_codes": [0, 1]},
    "proxy": {"proxy": pyllb.proxy(http="http://p")},
    "network": {"network": "none"},
    "security": {"security": "insecure"},
    "devices": {"devices": ["vendor.com/gpu=0"]},
    "platform": {"platform": "linux/arm64"},
    "filters": {"filters": ["a==b"]},
    "readonly_root": {"readonly_root": True, "mounts": [bind(fs(), "/out")]},
    **{
        f"mount {number}": {"mounts": [mount]}
        for number, mount in enumerate(
            (
                *(bind(fs(), "/a"), bind(fs(), "/b"), bind(fs(), "/a", readonly=True), bind(BASE, "/a")),
                *(
                    bind(BASE, "/a", selector="x"),
                    bind(fs(), "/a", no_output=True),
                    bind(fs(), "/a", content_cache="on"),
                ),
                *(cache("/a"), cache("id", "/a"), cache("/a", sharing="locked"), cache("/a", source=BASE)),
                *(tmpfs("/a"), tmpfs("/a", size=5), secret("s"), secret("t"), secret("s", "/t"), secret("s", env="S")),
                *(secret("s", uid=1), secret("s", gid=1), secret("s", mode=0o444), secret("s", optional=True)),
                *(ssh(), ssh("id"), ssh(target="/t"), ssh(uid=1), ssh(gid=1), ssh(mode=0o666), ssh(optional=True)),
            )
        )
    },
}
BESIDE: list[dict[str, Any]] = [
    {"name": "n"},
    {"description": {"a": "b"}},
    {"ignore_cache": True},
    {"export_cache": False},
    {"group": "g"},
    {"resources": pyllb.resources(memory=1)},
]


def exec_digest(options: dict[str, Any]) -> str:
    """The digest of the one exec of a command with these options."""
    definition = lowered(BASE.run(**{"command": ["true"], **options})).definition
    if options.get("readonly_root"):
        definition = lowered(BASE.run(**{"command": ["true"], **options}).mount("/out")).definition
    (digest,) = [digest for digest, data in definition.ops if ops_pb2.Op.FromString(data).HasField("exec")]
    return digest


def test_what_a_command_does_is_in_its_digest() -> None:
    digests = {name: exec_digest(options) for name, options in OPTIONS.items()}
    assert len({*digests.values(), exec_digest({})}) == len(digests) + 1


@pytest.mark.parametrize("options", BESIDE, ids=lambda options: next(iter(options)))
def test_what_stands_beside_a_command_is_not_in_its_digest(options: dict[str, Any]) -> None:
    assert exec_digest(options) == exec_digest({})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"env": {"A": "1", "B": "2"}}, {"env": {"B": "2", "A": "1"}}),
        ({"extra_hosts": {"a": "::1", "b": "::2"}}, {"extra_hosts": {"b": "::2", "a": "::1"}}),
        ({"ulimits": {"core": 1, "nproc": 1}}, {"ulimits": {"nproc": 1, "core": 1}}),
        ({"mounts": [secret("a"), secret("b")]}, {"mounts": [secret("b"), secret("a")]}),
    ],
)
def test_where_the_order_counts_it_is_in_the_digest(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert exec_digest(one) != exec_digest(other)


def test_the_order_in_which_mounts_are_given_does_not_count() -> None:
    first, second = bind(fs(), "/a"), cache("/b")
    assert exec_digest({"mounts": [first, second]}) == exec_digest({"mounts": [second, first]})


def test_a_command_marshals_to_the_same_bytes_each_time() -> None:
    one, two = (fs().mkfile(f"file{number}", f"file{number} contents") for number in (1, 2))
    node = image("busybox").run(["ls /a; ls /b"], mounts=[bind(one, "/b"), bind(two, "/a")]).mount("/a")
    assert len({lowered(node).definition.to_bytes() for _ in range(100)}) == 1


def test_one_node_is_marshalled_by_many_threads_at_once_for_several_platforms() -> None:
    node = image("alpine").run(["a"], mounts=[cache("go-build"), bind(fs().mkfile("/tmp", "tmp 1"), "/b")]).mount("/b")
    platforms = ["linux/amd64", "linux/arm64", "windows/amd64", "linux/arm/v6"]
    alone = [pyllb.dump(node, platform=platform).to_bytes() for platform in platforms]
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda n: pyllb.dump(node, platform=platforms[n % 4]).to_bytes(), range(100)))
    assert found == alone * 25


def test_one_definition_that_was_read_is_walked_by_many_threads_at_once() -> None:
    layers = [[bind(fs().run([f"{i}-{j}"]), f"/{j}") for j in range(20)] for i in range(20)]
    node = fs().run(["all"], mounts=[bind(fs().run([str(i)], mounts=m), f"/{i}") for i, m in enumerate(layers)])
    read = Definition.from_bytes(lowered(node).definition.to_bytes())

    def walk(_: int) -> int:
        waiting, seen = [read.digest], 0
        while waiting:
            waiting += [asked.digest for asked in read.inputs(waiting.pop())]
            seen += 1
        return seen if lowered(pyllb.definition(read)).definition.ops == read.ops else 0

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(walk, range(32))) == {1 + 20 + 400}


def test_what_others_wait_for_is_handed_on() -> None:
    base, one, two = image("base").dir("/work"), image("one"), image("two")
    op = made(base.requires(one, two, id="test.requires"))
    assert (len(op.inputs), op.passthrough.id, list(op.passthrough.outputs)) == (3, "test.requires", [0])
    assert made(base.requires(one, id="x").run(["a"])).exec.meta.cwd == "/work"
    assert not any(vertex.kind == "passthrough" for vertex in lowered(base.requires(id="x")).definition.vertices)
    second = pyllb.passthrough(base, one, two, id="test.multi", outputs=[0, 2])[1]
    op = made(second)
    assert (len(op.inputs), op.passthrough.id, list(op.passthrough.outputs)) == (3, "test.multi", [0, 2])
    assert ops_pb2.Op.FromString(lowered(second).definition.ops[-1][1]).inputs[0].index == 1


def test_a_definition_in_a_file_is_an_input_by_its_name() -> None:
    out = BASE.run(["make"], mounts=[bind(fs(), "/out")]).mount("/out")
    op = made(out.solve_definition("myfilename"))
    assert (op.build.builder, dict(op.build.attrs)) == (-1, {"llbbuild.filename": "myfilename"})
    assert [(read.digest, read.index) for read in op.inputs] == [(lowered(out).definition.digest, 1)]
    assert {name: found.input for name, found in op.build.inputs.items()} == {"buildkit.llb.definition": 0}
    assert dict(made(BASE.solve_definition()).build.attrs) == {}
