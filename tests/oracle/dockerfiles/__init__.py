"""Dockerfiles of which BuildKit's frontend makes LLB, so that not only that of client/llb is read and built on."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from tests.oracle import Program
from tests.oracle.cases import (
    GOLANG,
    SHA,
    WINDOWS,
    Fields,
    bind,
    cache,
    copy,
    env,
    file,
    image,
    mkdir,
    mkfile,
    passthrough,
    program,
    run,
    secret,
    state,
)

_HERE = Path(__file__).parent

_CONTEXT: Fields = {"op": "local", "source": "context"}
_LAYERS: Fields = {"rootfs": {"type": "layers", "diff_ids": [SHA]}}  # an image without them is scratch to the frontend
_NOTHING: Fields = {"architecture": "amd64", "os": "linux"}
_SMALL: Fields = {**_NOTHING, **_LAYERS, "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]}}
_TEMPLATE: Fields = {
    **_NOTHING,
    **_LAYERS,
    "config": {
        "User": "builder",
        "WorkingDir": "/app",
        "OnBuild": ["COPY . /app", "RUN --mount=type=cache,target=/c make", 'ENV X="1 2"'],
        "Labels": {"from": "template"},
    },
}
IMAGES: Fields = {
    **{ref: {"config": _SMALL} for ref in ("alpine", "alpine:3.20", "busybox", "debian")},
    **{ref: {"config": {**GOLANG, **_LAYERS}} for ref in ("golang", "golang:1.25")},
    "template": {"config": _TEMPLATE},
    "nothing": {"config": _NOTHING},
    "w": {"config": {**WINDOWS, **_LAYERS}},
}
"""What the registry answers; nobody asks one."""


def dockerfile(file: str, what: str = "", **options: Any) -> Program:
    """A program that the frontend makes of a Dockerfile beside this module. options: as from_text has them."""
    return from_text(f"{file} {what}".strip(), (_HERE / f"{file}.Dockerfile").read_text(), **options)


def from_text(name: str, text: str, *, platform: str = "linux/amd64", **options: Any) -> Program:
    """A program that the frontend makes of a text. options: as the fields of tests/oracle/dockerfile.go."""
    made = {"text": text, **options}
    return {"name": name, "platform": platform, "unique": "unique-id", "resolve": IMAGES, "dockerfile": made}


DOCKERFILES = [
    dockerfile("tiny"),
    dockerfile("config"),
    dockerfile("config", "of nothing", args={"BASE": "nothing"}),
    dockerfile("service"),
    dockerfile("service", "for a machine of another kind", platform="linux/arm64", args={"VARIANT": "debug"}),
    dockerfile("service", "for many", platform="linux/arm/v7", many_targets=True, platforms=["linux/arm64"]),
    dockerfile("service", "up to a target", target="binary"),
    dockerfile("heredocs"),
    dockerfile("heredocs", "with an argument", args={"NAME": "ü <&>"}),
    dockerfile("copies"),
    dockerfile("copies", "up to a target", target="files"),
    dockerfile("copies", "of an old daemon", old_daemon=True),
    dockerfile("copies", "at a time", args={"SOURCE_DATE_EPOCH": "1750000000"}),
    dockerfile("remote"),
    dockerfile("remote", "up to a target", target="fetch"),
    dockerfile("mounts"),
    dockerfile(
        "mounts",
        "with all that a client may set",
        cache_namespace="ns",
        network="host",
        hostname="box",
        extra_hosts=[["one", "10.0.0.1"], ["six", "::1"]],
        ulimits=[{"name": "nofile", "soft": 1024, "hard": 2048}],
        cgroup_parent="parent",
        resources={"memory": 1 << 30, "cpu_shares": 5, "cpuset_cpus": "0"},
        shm_size=1 << 20,
    ),
    dockerfile("onbuild"),
    dockerfile("platforms"),
    dockerfile("platforms", "for another", platform="linux/arm64/v8", resolve_mode="pull"),
    dockerfile("stages"),
    dockerfile("variables", args={"PASSWORD": "p", "HTTP_PROXY": "http://proxy:1", "NO_PROXY": "x"}),
    dockerfile("variables", "of another time", args={"TAG": "1.25", "SOURCE_DATE_EPOCH": "5", "A": "7"}),
    dockerfile("escapes", platform="windows/amd64"),
]


def on_top(data: bytes) -> list[Program]:
    """Programs that build on a definition in each way there is; it is node 0."""
    made: list[tuple[str, list[Fields]]] = [
        ("as it is", []),
        ("run", [run(0, cache("/c"), secret(target="/s"), env=[["A", "1"]], name="own")]),
        ("state", [env(0, "A", "1"), state("dir", 1, "sub"), state("user", 2, "app"), run(3)]),
        ("run elsewhere", [state("platform", 0, "linux/riscv64"), run(1), run(0, platform="linux/386")]),
        ("copy from", [image(), file(1, copy(0, "/a", "/b", wildcard=True), copy(0, "/c", "/d"))]),
        ("local over it", [_CONTEXT, file(0, copy(1, "/", "/src/", contents_only=True, owner="app"))]),
        ("written into", [file(0, mkdir("/a", owner="app:root"), mkfile("/a/b"), {"kind": "rm", "path": "/c"})]),
        ("mounted", [image(), run(1, bind("/ro", 0, readonly=True), bind("/rw", 0, selector="x"))]),
        ("a mount of it", [image(), run(1, bind("/rw", 0)), {"op": "mount", "on": 2, "target": "/rw"}, run(3)]),
        ("cache from it", [image(), run(1, cache("/c", source=0))]),
        ("merge", [_CONTEXT, image(), {"op": "merge", "states": [2, 0, 1, 0]}]),
        ("lower", [run(0), {"op": "diff", "lower": 0, "upper": 1}]),
        ("upper", [image(), {"op": "diff", "lower": 1, "upper": 0}]),
        ("requires", [image(), {"op": "requires", "on": 1, "states": [0], "key": "r"}]),
        ("passthrough", [image(), passthrough(1, 0, outputs=[0, 1], index=1), run(2)]),
        ("a nested build", [{"op": "build", "on": 0}]),
        ("read twice", [stored(data), {"op": "merge", "states": [0, 1]}]),
        ("read of what is on it", [run(0), {"op": "definition", "on": 1}, run(2), {"op": "merge", "states": [0, 3]}]),
        ("its output and its parts", [run(0), run(0, name="the same under another name", ignore_cache=True)]),
    ]
    every = {"filters": ["a==b"], "ignore_cache": True, "group": {"id": "g", "name": "G"}}
    on = [program(name, stored(data), *nodes) for name, nodes in made]
    return [*on, program("constraints of every op", stored(data), run(0), every=every)]


def together(*data: bytes) -> Program:
    """A program that merges definitions, and has a command see each of them."""
    count = len(data)
    mounts = [bind(f"/{number}", number, readonly=True) for number in range(count)]
    nodes = [*map(stored, data), {"op": "merge", "states": list(range(count))}]
    return program(f"{count} together", *nodes, run(count, *mounts))


def stored(data: bytes) -> Fields:
    """A definition as a node."""
    return {"op": "definition", "data": base64.b64encode(data).decode()}
