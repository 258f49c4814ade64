"""Random programs: graphs with sharing, over every op and option, drawn from a seed."""

from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from typing import Any

from tests.oracle import Program
from tests.oracle.cases import (
    COMMIT,
    GOLANG,
    PGP,
    SHA,
    WINDOWS,
    bind,
    cache,
    copy,
    file,
    image,
    mkdir,
    mkfile,
    passthrough,
    program,
    run,
    secret,
    ssh,
)

Fields = dict[str, Any]

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm", "windows/amd64", "darwin", "linux/386")
PATHS = ("/", "/a", "a", "a/../b", "./c/", "/d/", "..", ".", "/e/.", "f/.", "ü", "/g//h")
WORDS = ("x", "two words", "", "ü", "<&>", "a=b")
OWNERS = ("root", "app", "0", "1000:1000", "app:root", "7:app")


class Drawing:
    """One program being drawn. nodes: made so far; mounts: those to take; chains: those that have a key."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.resolves = self.pick(True, False)
        self.nodes: list[Fields] = []
        self.mounts: list[tuple[int, str]] = []
        self.chains: list[Fields] = []

    def some(self, **options: Any) -> Fields:
        """Each option or not."""
        return {name: value for name, value in options.items() if self.random.random() < 0.25}

    def pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def node(self) -> int | None:
        """A node made before, or none, which is scratch."""
        return None if not self.nodes or self.random.random() < 0.1 else self.random.randrange(len(self.nodes))

    def full(self) -> int:
        """A node made before that is a source, or was read, and so not empty."""
        return self.random.choice([i for i, node in enumerate(self.nodes) if node["op"] in SOURCES or node.get("data")])

    def constraints(self) -> Fields:
        return self.some(
            filters=["a==b", "c"][: self.pick(1, 2)],
            name=f"name {self.pick(1, 2)}",
            description={"k": "v", "a": self.pick("", "b")},
            ignore_cache=True,
            export_cache=self.pick(True, False),
            group={"id": "g", "name": self.pick("G", "H"), "weak": self.pick(True, False)},
        )

    def platform(self) -> Fields:
        return self.some(platform=self.pick(*PLATFORMS))


def drawn(seed: int, stored: Sequence[bytes] = ()) -> Program:
    """The program of a seed. stored: definitions, none of them empty, of which it builds on one or two."""
    drawing = Drawing(seed)
    drawing.nodes.append(_image(drawing))
    for data in drawing.random.sample(stored, min(drawing.pick(1, 2), len(stored))) if stored else ():
        drawing.nodes.append({"op": "definition", "data": base64.b64encode(data).decode()})
    for _ in range(drawing.random.randrange(1, 12)):
        make = drawing.pick(_image, _source, _state, _state, _run, _run, _run, _file, _file, _graph, _mount)
        drawing.nodes.append(make(drawing))
    if drawing.pick(True, False):  # else few commands have several results that are read
        drawing.nodes += [{"op": "mount", "on": on, "target": target} for on, target in drawing.mounts]
    result = drawing.some(result=drawing.random.randrange(len(drawing.nodes)))
    if drawing.pick(True, False):  # else most nodes would be no part of the result
        drawing.nodes.append({"op": "merge", "states": list(range(len(drawing.nodes)))})
    resolve = {
        "golang": {"config": GOLANG, "user": drawing.pick("", "1000")},
        "w": {"config": WINDOWS},
        "alpine": {"config": {}},
    }
    every = {**drawing.constraints(), **drawing.some(resources={"memory": 5})}
    every.pop("description", None)  # Go hands those of an op on to the ops after it
    if not {"name"} & set(every) or any("name" in node or "description" in node for node in drawing.nodes):
        every.pop("name", None)
    options = drawing.some(
        platform=drawing.pick(*PLATFORMS), every=every, sets_default_path=drawing.pick(True, False)
    ) | ({"resolve": resolve} if drawing.resolves else {})
    return program(f"seed {seed}", *drawing.nodes, **options, **result)


def _image(drawing: Drawing) -> Fields:
    options = drawing.some(resolve_mode=drawing.pick("pull", "local"), layer_limit=2, checksum=SHA, internal=True)
    options |= drawing.some(resolve_digest=True)
    ref = drawing.pick("golang", "w", "alpine")
    # After a run with a read-only root Go puts an image's platform over the state's again, but only where no configs
    # are resolved; we never do.
    platform = drawing.platform() if drawing.resolves else {}
    return image(ref, **options, **platform, **drawing.constraints())


def _local(drawing: Drawing) -> Fields:
    options = drawing.some(
        include=["a", "**/*.go"],
        exclude=["<&>", "ü"],
        follow=["x/y"],
        shared_key="k",
        differ=drawing.pick("none", "metadata"),
        metadata_only=True,
        session="s",
    )
    if "session" not in options:
        options |= drawing.some(unique_id="u")
    if "differ" in options:
        options |= drawing.some(differ_alone=True)
    if "metadata_only" in options:
        options |= drawing.some(metadata_except=["a", "<&>"])
    return {"op": "local", "source": drawing.pick("context", "web"), **options}


def _git(drawing: Drawing) -> Fields:
    options = drawing.some(
        ref="main",
        subdir="a/b",
        keep_git_dir=True,
        no_submodules=True,
        checksum=COMMIT,
        mtime="commit",
        advice=True,
        auth_token_secret="t",
        auth_header_secret=drawing.pick("", "h"),
    )
    if "checksum" in options:
        blob = f"docker-image+blob://a/b@{SHA}"
        layout = {"bundle": f"oci-layout+blob://a/b@{SHA}", **drawing.some(bundle_store="s", bundle_session="x")}
        options |= drawing.pick({}, {"fetch_by_commit": True}, {"bundle": blob}, layout)
    if not {"keep_git_dir", "subdir"} & set(options):
        options |= drawing.some(checkout_bundle=True)
    if drawing.random.random() < 0.3:
        options |= {"known_hosts": ["k"], **drawing.some(ssh_id="work")}
        return {"op": "git", "url": "git@github.com:a/b.git", **options}
    return {"op": "git", "url": drawing.pick("https://github.com/a/b.git", "example.com:8443/a/b"), **options}


def _http(drawing: Drawing) -> Fields:
    options = drawing.some(
        checksum=SHA,
        filename="f",
        mode=0o640,
        owner=[1, drawing.pick(0, 2)],
        auth_secret="s",
        accept="a",
        user_agent="u",
        pgp=list(PGP),
    )
    return {"op": "http", "url": drawing.pick("https://example.com/a", "http://example.com/b?c=d"), **options}


def _stored(drawing: Drawing) -> Fields:
    kind = drawing.pick("oci_layout", "image_blob", "oci_layout_blob")
    store = drawing.some(store="s", session="x") if kind != "image_blob" else {}
    options = drawing.some(filename="f", mode=0o640, owner=[1, drawing.pick(0, 2)])
    if kind == "oci_layout":
        options = drawing.some(layer_limit=3)
    return {"op": kind, "ref": f"a/b@{SHA}", **store, **options}


def _source(drawing: Drawing) -> Fields:
    return {**drawing.pick(_local, _git, _http, _stored)(drawing), **drawing.platform(), **drawing.constraints()}


SOURCES = ("image", "local", "git", "http", "oci_layout", "image_blob", "oci_layout_blob")


def _state(drawing: Drawing) -> Fields:
    on = drawing.node()
    fields: Fields = drawing.pick(
        {"op": "env", "key": drawing.pick("A", "B", "PATH"), "value": drawing.pick(*WORDS)},
        {"op": "dir", "value": drawing.pick(*PATHS)},
        {"op": "user", "value": drawing.pick("app", "0:0")},
        {"op": "hostname", "value": "box"},
        {"op": "network", "value": drawing.pick("host", "none", "sandbox")},
        {"op": "security", "value": drawing.pick("insecure", "sandbox")},
        {"op": "ulimit", "key": drawing.pick("nofile", "core"), "soft": 1, "hard": drawing.pick(1, -1)},
        {"op": "extra_host", "key": "h", "value": drawing.pick("10.0.0.1", "::1", "fe80::0:1")},
        {"op": "cgroup_parent", "value": "cg"},
        {"op": "platform", "value": drawing.pick(*PLATFORMS)},
        _reset(drawing),
    )
    return {**fields, "on": on}


def _reset(drawing: Drawing) -> Fields:
    """Go asks a resolved image for its platform only when it is marshalled, and then resets it as one without."""
    if any("platform" in node for node in drawing.nodes if node["op"] == "image"):
        return {"op": "dir", "value": "/"}
    return {"op": "reset", "states": [drawing.random.randrange(len(drawing.nodes))]}


def _run(drawing: Drawing) -> Fields:
    mounts = _mounts(drawing)
    options = drawing.some(
        env=[["A", drawing.pick(*WORDS)], ["C", "1"]],
        dir=drawing.pick(*PATHS),
        user="u",
        hostname="h",
        network=drawing.pick("host", "none"),
        security="insecure",
        extra_hosts=[["e", "1.2.3.4"]],
        ulimits=[{"name": "stack", "soft": 5, "hard": 6}],
        cgroup_parent="p",
        ok_codes=[0, drawing.pick(1, 200)],
        proxy={"http": "h", **drawing.some(https="s", ftp="f", no="n", all="a")},
        devices=[{"name": "v.com/d=0", "optional": drawing.pick(True, False)}],
        resources={**drawing.some(memory=5, memory_swap=-1, cpu_shares=3), **_processors(drawing)},
    )
    taken = [m for m in mounts if m["type"] == "bind" and not m.get("no_output")]
    if any(not m.get("readonly") for m in taken):
        options |= drawing.some(readonly_root=True)
    drawing.mounts += [(len(drawing.nodes), m["target"]) for m in taken]
    args = [drawing.pick(*WORDS) for _ in range(drawing.pick(0, 1, 3))]
    made = run(drawing.node(), *mounts, **options, **drawing.platform(), **drawing.constraints())
    made.pop("args")
    return {**made, **drawing.pick({"args": ["cmd", *args]}, {"command": "cmd a 'b c'"})}


def _processors(drawing: Drawing) -> Fields:
    return {"cpu_quota": 7000, **drawing.some(cpu_period=9000, cpuset_cpus="0", cpuset_mems="0-1")}


def _mounts(drawing: Drawing) -> list[Fields]:
    targets = ["/z", "/a", "/m/n", "/m", "/ü", "/c", "/s", "/t"]
    drawing.random.shuffle(targets)
    return [_one_mount(drawing, targets.pop()) for _ in range(drawing.pick(0, 0, 1, 2, 4))]


def _one_mount(drawing: Drawing, target: str) -> Fields:
    access = drawing.some(uid=1, gid=2, optional=True)
    kind = drawing.pick("bind", "bind", "cache", "tmpfs", "secret", "ssh")
    if kind == "bind":
        options = drawing.some(selector="s/t", content_cache=drawing.pick("on", "off"))
        kinds: list[Fields] = [{}, {"readonly": True}, {"no_output": True}]
        if "selector" in options and options.get("content_cache") == "on":  # the daemon refuses it if it can be written
            kinds.remove({})
        options |= drawing.pick(*kinds)
        return bind(target, drawing.node(), **options)
    if kind == "cache":
        options = drawing.some(
            sharing=drawing.pick("private", "locked"), readonly=True, set_env=[["A", "9"], ["D", target]]
        )
        if drawing.random.random() < 0.3:
            options |= {"source": drawing.full(), "selector": "sub"}
            options |= drawing.some(content_cache=drawing.pick("on", "off"))
        return cache(target, drawing.pick("c", "d", "/c"), **options)
    if kind == "tmpfs":
        return {"type": "tmpfs", "target": target, **drawing.some(size=1 << 20)}
    if kind == "secret":
        variable = f"S{target}"
        where = drawing.pick({"target": target}, {"env": variable}, {"target": target, "env": variable})
        return secret(drawing.pick("i", "j"), mode=drawing.pick(0o400, 0), **where, **access)
    return ssh(drawing.pick("default", "k"), **drawing.some(target=target), **access)


def _mount(drawing: Drawing) -> Fields:
    if not drawing.mounts:
        return _state(drawing)
    on, target = drawing.random.choice(drawing.mounts)
    return {"op": "mount", "on": on, "target": target}


def _file(drawing: Drawing) -> Fields:
    actions = [_action(drawing, 2) for _ in range(drawing.pick(1, 1, 2, 4))]
    return file(drawing.node(), *actions, **drawing.constraints())


def _action(drawing: Drawing, depth: int) -> Fields:
    made = drawing.some(owner=drawing.pick(*OWNERS), created=drawing.pick(0, 1234567890, -5))
    path = drawing.pick(*PATHS)
    match drawing.pick("mkdir", "mkfile", "symlink", "rm", "copy", "copy"):
        case "mkdir":
            if "owner" not in made:
                made |= drawing.some(ids=[drawing.pick(0, 3_000_000_000), 5])
            return mkdir(path, drawing.pick(0, 0o700), **drawing.some(parents=True), **made)
        case "mkfile":
            return mkfile(path, drawing.pick(b"", b"\0\xff", b"x" * 200), drawing.pick(0o644, 0), **made)
        case "symlink":
            return {"kind": "symlink", "oldpath": path, "newpath": "/n", **made}
        case "rm":
            return {"kind": "rm", "path": path, **drawing.some(allow_not_found=True, wildcard=True)}
    flags = ("follow_symlinks", "contents_only", "unpack", "create_dest", "wildcard", "always_replace")
    options = drawing.some(**dict.fromkeys(flags, True), include=["i"], exclude=["e", "f"], required=["/r"])
    if options.get("wildcard"):
        options |= drawing.some(allow_empty_wildcard=True)
    options |= drawing.pick({}, {"mode": drawing.pick(0, 0o755)}, {"mode_str": "u+x"})
    inner = tuple(_action(drawing, depth - 1) for _ in range(drawing.pick(0, 1, 2) if depth else 0))
    on = drawing.node() if inner else drawing.full()
    copied = copy(on, path, drawing.pick(*PATHS), actions=inner, **options, **made)
    if inner and drawing.pick(True, False):
        copied["from"]["key"] = f"chain {len(drawing.chains)}"
        drawing.chains.append(copied["from"])
    elif drawing.chains and drawing.pick(True, False):
        copied["from"] = drawing.pick(*drawing.chains)
    return copied


def _graph(drawing: Drawing) -> Fields:
    states = [drawing.random.randrange(len(drawing.nodes)) for _ in range(drawing.pick(1, 2, 3))]
    match drawing.pick("scratch", "merge", "merge", "diff", "diff", "requires", "passthrough", "definition", "build"):
        case "build":
            fields = {**drawing.some(filename="f"), **drawing.platform(), **drawing.constraints()}
            return {"op": "build", "on": drawing.full(), **fields}
        case "scratch":
            return {"op": "scratch"}
        case "definition":
            return {"op": "definition", "on": drawing.full()}
        case "merge":
            return {"op": "merge", "states": states, **drawing.constraints()}
        case "diff":
            return {"op": "diff", "lower": drawing.node(), "upper": drawing.node(), **drawing.constraints()}
        case "requires":
            return {"op": "requires", "on": drawing.full(), "states": states, "key": drawing.pick("r", "s")}
    states.insert(0, drawing.full())
    states.append(drawing.full())
    outputs = drawing.pick([0], [0, len(states) - 1])
    index = drawing.random.randrange(len(outputs))
    return passthrough(*states, outputs=outputs, index=index, **drawing.constraints())
