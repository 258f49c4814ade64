"""Cases: programs over every op and option, each small enough that its difference can be read."""

from __future__ import annotations

import base64
from typing import Any

from tests.oracle import Program

Fields = dict[str, Any]

SHA = "sha256:" + "ab" * 32
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PGP = ("-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----BEGIN PGP SIGNATURE-----")
GOLANG: Fields = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Env": ["PATH=/usr/local/go/bin:/usr/bin:/bin", "GOPATH=/go", "EMPTY", "=odd"], "WorkingDir": "/go"},
}
WINDOWS: Fields = {
    "architecture": "amd64",
    "os": "windows",
    "os.version": "10.0.20348.1",
    "os.features": ["win32k"],
    "config": {"Env": ["W=1"]},
}
CONFIGS: dict[str, Fields] = {
    "a relative directory": {"config": {"WorkingDir": "app/../x"}},
    "a directory that is not clean": {"config": {"WorkingDir": "/app//x/"}},
    "a directory of windows": {"os": "windows", "config": {"WorkingDir": "C:\\app", "Env": ["Path=C:\\x", "PATH=y"]}},
    "variables twice": {"config": {"Env": ["A=1", "B=2", "A=3", "C", "D=", "=x", "E==f=", "A"]}},
    "nothing": {"config": {"Env": None, "WorkingDir": None}},
    "no architecture": {"architecture": "", "config": {"Env": ["Ü=<&>\u2028"]}},
    "other spellings": {"architecture": "AARCH64", "os": "Linux", "variant": "V8"},
    "no variant": {"architecture": "arm"},
    "features in disorder": {"os": "windows", "os.version": "10", "os.features": ["z", "a", "z"]},
}


def program(name: str, *nodes: Fields, **fields: Any) -> Program:
    """A program for linux/amd64."""
    return {"name": name, "nodes": list(nodes), "platform": "linux/amd64", "unique": "unique-id", **fields}


def image(ref: str = "alpine", **fields: Any) -> Fields:
    return {"op": "image", "ref": ref, **fields}


def state(op: str, on: int, value: str) -> Fields:
    return {"op": op, "on": on, "value": value}


def env(on: int, key: str, value: str) -> Fields:
    return {"op": "env", "on": on, "key": key, "value": value}


def run(on: int | None = 0, *mounts: Fields, **fields: Any) -> Fields:
    return {"op": "run", "on": on, "args": ["true"], "mounts": list(mounts), **fields}


def file(on: int | None, *actions: Fields, **fields: Any) -> Fields:
    return {"op": "file", "on": on, "actions": list(actions), **fields}


def mkdir(path: str, mode: int = 0o755, **fields: Any) -> Fields:
    return {"kind": "mkdir", "path": path, "mode": mode, **fields}


def mkfile(path: str, data: bytes = b"hello", mode: int = 0o644, **fields: Any) -> Fields:
    return {"kind": "mkfile", "path": path, "data": base64.b64encode(data).decode(), "mode": mode, **fields}


def copy(
    on: int | None, src: str, dest: str, *, actions: tuple[Fields, ...] = (), key: str = "", **fields: Any
) -> Fields:
    source = {"on": on, "actions": list(actions), **({"key": key} if key else {})}
    return {"kind": "copy", "from": source, "src": src, "dest": dest, **fields}


def bind(target: str, source: int | None = None, **fields: Any) -> Fields:
    return {"type": "bind", "target": target, "source": source, **fields}


def cache(target: str, id: str = "c", **fields: Any) -> Fields:
    return {"type": "cache", "target": target, "id": id, **fields}


def secret(id: str = "token", mode: int = 0o400, **fields: Any) -> Fields:
    return {"type": "secret", "id": id, "mode": mode, **fields}


def ssh(id: str = "default", mode: int = 0o600, **fields: Any) -> Fields:
    return {"type": "ssh", "id": id, "mode": mode, **fields}


def passthrough(*states: int, outputs: list[int], **fields: Any) -> Fields:
    return {"op": "passthrough", "states": list(states), "outputs": outputs, "key": "id", **fields}


SOURCES = [
    program("scratch", {"op": "scratch"}),
    program("image", image()),
    *(
        program(f"image {ref}", image(ref))
        for ref in ("docker.io/golang:1.25", "registry.example.com:5000/team/app", f"a/b@{SHA}", f"a/b:1@{SHA}")
    ),
    program("image pulled", image(resolve_mode="pull")),
    program("image preferred here", image(resolve_mode="local")),
    program("image layers", image(layer_limit=3)),
    program("image checksum", image(checksum=SHA)),
    program("image internal", image(internal=True)),
    program("image platform", image(platform="linux/arm64"), run()),
    program("image of a state with a platform", image(platform="linux/arm/v6"), run(platform="linux/s390x")),
    program("local", {"op": "local", "source": "context"}),
    program(
        "local patterns",
        {
            "op": "local",
            "source": "context",
            "include": ["go.*", "**/*.go"],
            "exclude": ["<&>", "ü", '"'],
            "follow": ["a/b"],
        },
    ),
    program("local key", {"op": "local", "source": "context", "shared_key": "k", "differ": "none"}),
    program("local differ", {"op": "local", "source": "context", "differ": "metadata", "name": "load it"}),
    program("local names only", {"op": "local", "source": "context", "metadata_only": True}),
    program("local of a session", {"op": "local", "source": "context", "session": "s", "shared_key": "k"}),
    program(
        "local of two ids",
        {"op": "local", "source": "context", "unique_id": "mine"},
        {"op": "local", "source": "context"},
        {"op": "merge", "states": [0, 1]},
    ),
    program("local differ may fail", {"op": "local", "source": "context", "differ": "none", "differ_alone": True}),
    program(
        "local names and some",
        {"op": "local", "source": "context", "metadata_only": True, "metadata_except": ["a", "b"]},
    ),
    program("local platform is not kept", {"op": "local", "source": "context", "platform": "linux/arm64"}, run()),
    program("git", {"op": "git", "url": "https://github.com/moby/buildkit.git"}),
    program(
        "git without scheme", {"op": "git", "url": "github.com/moby/buildkit.git", "ref": "v0.33.1", "subdir": "api"}
    ),
    program("git subdir", {"op": "git", "url": "https://user@example.com:8443/a/b.git", "subdir": "x/y"}),
    program("git keep", {"op": "git", "url": "https://github.com/a/b.git", "ref": "main", "keep_git_dir": True}),
    program("git checksum", {"op": "git", "url": "https://github.com/a/b.git", "ref": "main", "checksum": COMMIT}),
    program("git submodules", {"op": "git", "url": "https://github.com/a/b.git", "no_submodules": True}),
    program("git mtime", {"op": "git", "url": "https://github.com/a/b.git", "mtime": "commit"}),
    program(
        "git by commit",
        {"op": "git", "url": "https://github.com/a/b.git", "checksum": COMMIT, "fetch_by_commit": True},
    ),
    program(
        "git bundle",
        {
            "op": "git",
            "url": "https://github.com/a/b.git",
            "checksum": COMMIT,
            "bundle": f"docker-image+blob://example.com/a/b@{SHA}",
            "checkout_bundle": True,
        },
    ),
    program(
        "git bundle of a layout",
        {
            "op": "git",
            "url": "https://github.com/a/b.git",
            "checksum": COMMIT,
            "bundle": f"oci-layout+blob://a/b@{SHA}",
            "bundle_store": "s",
            "bundle_session": "x",
            "advice": True,
        },
    ),
    program("git token", {"op": "git", "url": "https://github.com/a/b.git", "auth_token_secret": "tok"}),
    program("git header", {"op": "git", "url": "https://github.com/a/b.git", "auth_header_secret": "hdr"}),
    program(
        "git no auth",
        {"op": "git", "url": "https://github.com/a/b.git", "auth_header_secret": "", "auth_token_secret": ""},
    ),
    program("git scp", {"op": "git", "url": "git@github.com:a/b.git", "known_hosts": ["github.com ssh-ed25519 AAAA"]}),
    program(
        "git ssh",
        {"op": "git", "url": "ssh://git@example.com:2222/a/b.git", "known_hosts": ["one", "two"], "ssh_id": "work"},
    ),
    program("http", {"op": "http", "url": "https://example.com/a.tar.gz?x=1"}),
    program(
        "http options",
        {"op": "http", "url": "http://example.com/a", "checksum": SHA, "filename": "b", "mode": 0o755, "owner": [1, 2]},
    ),
    program("http owner", {"op": "http", "url": "http://example.com/a", "owner": [0, 5]}),
    program("http auth", {"op": "http", "url": "http://example.com/a", "auth_secret": "hdr"}),
    program("http headers", {"op": "http", "url": "http://example.com/a", "accept": "text/x", "user_agent": "me"}),
    program("oci layout", {"op": "oci_layout", "ref": f"not/real@{SHA}"}, run()),
    program(
        "oci layout options",
        {
            "op": "oci_layout",
            "ref": f"Not/Real:Tag@{SHA}",
            "store": "s",
            "session": "x",
            "layer_limit": 2,
            "platform": "linux/arm64",
            "name": "n",
        },
        run(),
    ),
    program("image blob", {"op": "image_blob", "ref": f"team/app@{SHA}"}, run(None, bind("/b", 0))),
    program(
        "image blob options",
        {
            "op": "image_blob",
            "ref": f"example.com/a@{SHA}",
            "filename": "f",
            "mode": 0o640,
            "owner": [1, 2],
            "platform": "linux/arm64",
            "ignore_cache": True,
        },
    ),
    program("oci layout blob", {"op": "oci_layout_blob", "ref": f"app@{SHA}", "owner": [0, 3]}),
    program(
        "oci layout blob options",
        {"op": "oci_layout_blob", "ref": f"a/app@{SHA}", "store": "s", "session": "x", "filename": "f", "mode": 1},
    ),
    program("http signed", {"op": "http", "url": "http://example.com/a", "pgp": list(PGP)}),
]

STATES = [
    program("env order", image(), env(0, "A", "1"), env(1, "B", "2"), env(2, "A", "3"), env(3, "C", ""), run(4)),
    program("env of a run", image(), env(0, "A", "1"), run(1, env=[["B", "2"], ["A", "3"]]), run(2)),
    program("dir", image(), state("dir", 0, "/a/../b"), state("dir", 1, "c"), state("dir", 2, "../d"), run(3)),
    program("dir is verbatim", image(), state("dir", 0, "/a/./b//"), run(1)),
    program("dir of windows", image(platform="windows/amd64"), state("dir", 0, "C:\\x"), state("dir", 1, "y"), run(2)),
    program("dir of a run", image(), state("dir", 0, "/a"), run(1, dir="b"), run(2)),
    program(
        "reset",
        image("golang"),
        env(0, "A", "1"),
        state("user", 1, "u"),
        state("dir", 2, "sub"),
        image("b"),
        state("hostname", 4, "h"),
        {"op": "reset", "on": 5, "states": [3]},
        run(6),
        resolve={"golang": {"config": {**GOLANG, "os": ""}}, "b": {"config": GOLANG}},
    ),
    program(
        "reset of what was made for a platform",
        image(platform="linux/arm64"),
        state("dir", 0, "/a"),
        image("b", platform="linux/s390x"),
        state("dir", 2, "/b"),
        {"op": "reset", "on": 3, "states": [1]},
        run(4),
        {"op": "reset", "on": 5, "states": [2]},
        run(6),
        {"op": "definition", "on": 2},
        {"op": "reset", "on": 8, "states": [1]},
        run(9),
        {"op": "merge", "states": [7, 10]},
    ),
    program("user", image(), state("user", 0, "app:app"), run(1), run(2, user="0")),
    program("hostname", image(), state("hostname", 0, "box"), run(1), run(2, hostname="the_other")),
    program("network", image(), state("network", 0, "host"), run(1), run(2, network="none"), run(3, network="sandbox")),
    program("security", image(), state("security", 0, "insecure"), run(1), run(2, security="sandbox")),
    program(
        "ulimits",
        image(),
        {"op": "ulimit", "on": 0, "key": "nofile", "soft": 10, "hard": 20},
        run(1, ulimits=[{"name": "core", "soft": 0, "hard": 0}, {"name": "nproc", "soft": -1, "hard": -1}]),
    ),
    program(
        "extra hosts",
        image(),
        {"op": "extra_host", "on": 0, "key": "a", "value": "10.0.0.1"},
        run(1, extra_hosts=[["b", "FE80:0::1"], ["c", "::ffff:1.2.3.4"]]),
    ),
    program(
        "extra hosts as Go spells them",
        image(),
        run(0, extra_hosts=[["a", "::1.2.3.4"], ["b", "1:0:0:2::3"], ["c", "1:2:0:4:5:6:7:8"], ["d", "64:FF9B::0"]]),
    ),
    program("cgroup", image(), state("cgroup_parent", 0, "cg"), run(1), run(2, cgroup_parent="other")),
    program("platform of a state", image(), state("platform", 0, "linux/aarch64"), run(1), run(2)),
    program("platform of a run", image(), run(0, platform="linux/arm"), run(1)),
    program("platform of the call", image(), run(), platform="windows/amd64"),
    program(
        "platform of a run with a read-only root",
        image(),
        run(0, bind("/m"), platform="linux/arm", readonly_root=True),
        run(1),
    ),
    program(
        "platform of a run with a read-only mount",
        image(),
        run(0, bind("/m", 0, readonly=True), platform="linux/arm"),
        {"op": "mount", "on": 1, "target": "/m"},
        run(2),
    ),
    program(
        "platform of an image after a run with a read-only root",
        image(platform="linux/arm64"),
        state("platform", 0, "linux/s390x"),
        run(1, bind("/m"), readonly_root=True),
        run(2),
        resolve={"alpine": {"config": {}}},
    ),
    program("platform with everything", image(platform="windows(10.0.1+a)/amd64"), run()),
    *(
        program(f"config and {name}", image("golang"), *nodes, resolve={"golang": {"config": GOLANG, "user": "1000"}})
        for name, nodes in (
            ("run", (run(),)),
            ("env", (env(0, "GOPATH", "/x"), env(1, "PATH", "/bin"), run(2))),
            ("dir", (state("dir", 0, "src"), run(1), file(2, mkdir("x")))),
            ("user", (state("user", 0, "root"), run(1))),
            ("copy", (file(None, mkdir("x"), copy(0, "bin/a", "b")),)),
        )
    ),
    program("config of windows", image("w"), run(), resolve={"w": {"config": WINDOWS}}),
    program("config and platforms", image("w", platform="windows/amd64"), run(), resolve={"w": {"config": WINDOWS}}),
    program(
        "platform of a config and another of its image",
        image("w", platform="linux/amd64"),
        state("dir", 0, "a"),
        run(1),
        resolve={"w": {"config": WINDOWS}},
    ),
    program(
        "platform of a state and the same of its image",
        image("w", platform="windows/amd64"),
        state("platform", 0, "windows/amd64"),
        run(1),
        resolve={"w": {"config": WINDOWS}},
    ),
    *(
        program(f"digest of {ref}", image(ref, resolve_digest=True), *nodes, resolve={ref: {"config": GOLANG}})
        for ref, nodes in (("golang:1", (run(),)), (f"golang:1@{SHA}", ()), ("b.io/a", (file(0, mkdir("a")),)))
    ),
    program("digest without a resolver", image(resolve_digest=True), run()),
    *(
        program(
            f"config with {name}",
            image("i"),
            run(0),
            env(1, "A", "z"),
            state("dir", 2, "sub"),
            run(3),
            file(4, mkdir("q"), copy(0, "r", "s/")),
            resolve={"i": {"config": {"architecture": "amd64", "os": "linux", **config}}},
        )
        for name, config in CONFIGS.items()
    ),
    program("empty config", image("e"), state("dir", 0, "a"), run(1), resolve={"e": {"config": {}}}),
    program(
        "config of a mount",
        image("golang"),
        run(None, bind("/m", 0)),
        {"op": "mount", "on": 1, "target": "/m"},
        run(2),
        resolve={"golang": {"config": GOLANG}},
    ),
]

EXECS = [
    program(
        "one cached build",
        image("golang"),
        {"op": "run", "on": 0, "command": "go build", "mounts": [cache("/root/.cache/go-build", "go-build")]},
    ),
    program("argv", image(), run(0, args=["echo", "", "ü", "a b"])),
    program("chain", image(), run(0), run(1, args=["b"]), run(2, args=["c"])),
    program("on scratch", run(None)),
    program(
        "bind", image(), run(0, bind("/out"), bind("/in", 0, readonly=True)), {"op": "mount", "on": 1, "target": "/out"}
    ),
    program(
        "bind order",
        image(),
        image("b"),
        run(0, bind("/z", 1), bind("/a"), bind("/m", 1)),
        {"op": "mount", "on": 2, "target": "/z"},
    ),
    program("bind of one input twice", image(), run(0, bind("/a", 0), bind("/b", 0, selector="x")), run(1)),
    program("bind selector", image(), run(0, bind("/a", 0, selector="/x/y", readonly=True))),
    program(
        "bind without output",
        image(),
        run(0, bind("/a", 0, no_output=True), bind("/b")),
        {"op": "mount", "on": 1, "target": "/b"},
    ),
    program(
        "bind content cache", image(), run(0, bind("/a", 0, content_cache="on"), bind("/b", 0, content_cache="off"))
    ),
    program(
        "mount goes on",
        image(),
        file(None, mkdir("/d")),
        state("dir", 1, "/w"),
        run(0, bind("/m", 2)),
        {"op": "mount", "on": 3, "target": "/m"},
        run(4),
    ),
    program(
        "mount read-only goes on",
        image(),
        image("b"),
        run(0, bind("/m", 1, readonly=True)),
        {"op": "mount", "on": 2, "target": "/m"},
    ),
    program(
        "second output",
        image(),
        run(0, bind("/m")),
        {"op": "mount", "on": 1, "target": "/m"},
        run(2),
        run(1),
        {"op": "merge", "states": [3, 4]},
    ),
    *(
        program(f"cache {mode}", image(), run(0, cache("/c", "id", sharing=mode)))
        for mode in ("shared", "private", "locked")
    ),
    program("cache from", image(), run(0, cache("/c", source=0, selector="x"))),
    program(
        "cache from a mount, which is an input besides",
        image(),
        image("b"),
        run(0, cache("/c"), bind("/m", 1)),
        {"op": "mount", "on": 2, "target": "/m"},
        run(
            2,
            cache("/c", source=3, selector="s", sharing="locked"),
            bind("/d", 3, selector="t"),
            bind("/e", 2, readonly=True),
        ),
    ),
    *(
        program(f"cache by content {mode}", image(), run(0, cache("/c", source=0, selector="x", content_cache=mode)))
        for mode in ("on", "off")
    ),
    program("cache read-only", image(), run(0, cache("/c", readonly=True))),
    program(
        "cache env",
        image(),
        env(0, "A", "1"),
        run(1, cache("/c", set_env=[["A", "2"], ["B", "3"]]), cache("/d", "d", set_env=[["B", "4"], ["C", "5"]])),
    ),
    program("tmpfs", image(), run(0, {"type": "tmpfs", "target": "/t"})),
    program("tmpfs size", image(), run(0, {"type": "tmpfs", "target": "/t", "size": 1 << 30})),
    program("secret file", image(), run(0, secret(target="/run/secrets/token"))),
    program("secret env", image(), run(0, secret(env="TOKEN"))),
    program("secret both", image(), run(0, secret(env="TOKEN", target="/t", optional=True, uid=1, gid=2, mode=0o440))),
    program(
        "secrets keep their order", image(), run(0, secret("b", target="/b"), cache("/a"), secret("a", target="/a2"))
    ),
    program("secret mode 0", image(), run(0, secret(target="/t", mode=0))),
    program("ssh", image(), run(0, ssh())),
    program("ssh target", image(), run(0, ssh("work", target="/agent", uid=1, gid=2, mode=0o666, optional=True))),
    program("ssh twice", image(), run(0, ssh(), ssh("b"), cache("/z"))),
    program("ssh and its variable", image(), env(0, "SSH_AUTH_SOCK", "/mine"), run(1, ssh())),
    program("ssh and cache variables", image(), run(0, ssh(), cache("/c", set_env=[["B", "3"]]))),
    program("exit codes", image(), run(0, ok_codes=[0, 1, 255])),
    program("exit codes of windows", image(), run(0, ok_codes=[0, 3010, (1 << 31) - 1]), platform="windows/amd64"),
    program(
        "read-only root", image(), run(0, bind("/out"), readonly_root=True), {"op": "mount", "on": 1, "target": "/out"}
    ),
    program("proxy", image(), run(0, proxy={"http": "h", "https": "s", "ftp": "f", "no": "n", "all": "a"})),
    program("empty proxy", image(), run(0, proxy={})),
    program("devices", image(), run(0, devices=[{"name": "vendor.com/gpu=0"}, {"name": "b.c/d=e", "optional": True}])),
    program(
        "resources",
        image(),
        run(
            0,
            resources={
                "memory": 1 << 30,
                "memory_swap": -1,
                "cpu_shares": 2,
                "cpu_period": 3000,
                "cpu_quota": 4000,
                "cpuset_cpus": "0-1",
                "cpuset_mems": "0",
            },
        ),
    ),
]

CONSTRAINTS = [
    program("name", image(), run(0, name="build it")),
    program("description", image(), run(0, name="n", description={"b": "2", "a": "1"})),
    program("ignore cache", image(), run(0, ignore_cache=True)),
    program("export cache", image(), run(0, export_cache=True)),
    program("no export cache", image(export_cache=False), run(0)),
    program("group", image(group={"id": "g", "name": "G", "weak": True}), run(0, group={"id": "g", "name": "G"})),
    program("filters", image(filters=["a==b"]), run(0, filters=["c", "d"])),
    program(
        "all of a file op",
        image(),
        file(
            0,
            mkdir("/a"),
            name="n",
            ignore_cache=True,
            export_cache=True,
            filters=["x"],
            group={"id": "g", "name": "G"},
            description={"k": "v"},
        ),
    ),
    program(
        "equal ops",
        image(name="one"),
        image(name="two", ignore_cache=True, export_cache=False),
        image(),
        run(0),
        run(1),
        run(2, group={"id": "g", "name": "G"}),
        {"op": "merge", "states": [3, 4, 5]},
    ),
]

EVERY: Fields = {
    "filters": ["a==b"],
    "ignore_cache": True,
    "export_cache": False,
    "group": {"id": "g", "name": "G"},
    "resources": {"memory": 5},
}

CALLS = [
    program("constraints of all", image(), run(), file(1, mkdir("/a")), every=EVERY),
    program("name of all", image(), run(), every={"name": "n"}),
    program(
        "name of all and one that is a description",
        image(),
        run(0, description={"llb.customname": "own"}),
        every={"name": "n"},
    ),
    program(
        "constraints of all and of one",
        image(filters=["c"]),
        run(0, export_cache=True, group={"id": "h", "name": "H"}, resources={"cpu_shares": 2}, name="n"),
        {"op": "requires", "on": 1, "states": [0], "key": "k"},
        every=EVERY,
    ),
    program(
        "constraints of all and a definition",
        image(),
        run(),
        {"op": "definition", "on": 1},
        {"op": "build", "on": 2},
        every={"ignore_cache": True},
    ),
    *(
        program(
            f"PATH set by the daemon: {known}",
            image("golang"),
            run(0),
            image("b"),
            env(2, "A", "1"),
            run(3, ssh(), cache("/c", set_env=[["B", "3"]])),
            env(2, "PATH", ""),
            run(5, cache("/d")),
            {"op": "merge", "states": [1, 4, 6]},
            resolve={"golang": {"config": GOLANG}, "b": {"config": {}}},
            sets_default_path=known,
            platform=platform,
        )
        for known, platform in ((True, "linux/amd64"), (False, "linux/arm64"))
    ),
    program("PATH on windows", image(platform="linux/amd64"), run(), sets_default_path=False, platform="windows/amd64"),
]

_WRITTEN = (mkdir("x"), mkfile("x/f"))
FILES = [
    program("mkdir", image(), file(0, mkdir("/a", 0o700, parents=True, owner="1:2", created=1234567890))),
    program("mkdir relative", image(), state("dir", 0, "/w"), file(1, mkdir("a/../b"), mkdir("./c"), mkdir(".."))),
    program("mkfile", file(None, mkfile("/foo"))),
    program("mkfile options", file(None, mkfile("/a", bytes(range(256)), 0o755, owner="app:root", created=0))),
    program("mkfile empty", file(None, mkfile("/a", b"", 0))),
    program("mkfile large", file(None, mkfile("/a", b"x" * 100_000))),
    program("symlink", image(), file(0, {"kind": "symlink", "oldpath": "a/../b", "newpath": "/c", "owner": "5"})),
    program(
        "rm",
        image(),
        file(
            0,
            {"kind": "rm", "path": "/a"},
            {"kind": "rm", "path": "b/", "allow_not_found": True},
            {"kind": "rm", "path": "/c*", "wildcard": True},
        ),
    ),
    program("copy", image(), image("b"), file(0, copy(1, "/a", "/b"))),
    *(
        program(
            f"copy to {dest}",
            image(),
            state("dir", 0, "/w"),
            image("b"),
            state("dir", 2, "/s"),
            file(1, copy(3, "a/", dest)),
        )
        for dest in ("b", "b/", "/b/", "b/.", "/", "/.", ".", "./", "..", "/x/../y/")
    ),
    program(
        "copy src",
        image(),
        image("b"),
        state("dir", 1, "/s"),
        file(0, copy(2, ".", "/a"), copy(2, "/x/", "/b"), copy(2, "../y", "/c")),
    ),
    program(
        "copy options",
        image(),
        image("b"),
        file(
            0,
            copy(
                1,
                "/a",
                "/b",
                owner="app",
                mode=0o4755,
                created=5,
                follow_symlinks=True,
                contents_only=True,
                unpack=True,
                create_dest=True,
                wildcard=True,
                allow_empty_wildcard=True,
                include=["a", "b"],
                exclude=["c"],
                required=["/d"],
                always_replace=True,
            ),
        ),
    ),
    program("copy mode 0", image(), image("b"), file(0, copy(1, "/a", "/b", mode=0))),
    program("copy symbolic mode", image(), image("b"), file(0, copy(1, "/a", "/b", mode_str="u+x,go-w"))),
    program(
        "copy owners",
        image(),
        image("b"),
        file(0, copy(1, "/a", "/b", owner="root"), copy(1, "/a", "/b", owner="app:app")),
    ),
    program("owner on scratch", image(), file(None, mkdir("/a", owner="app"), copy(0, "/a", "/b", owner="7:app"))),
    program("owner by number", image(), file(0, mkdir("/a", owner="+5:007"), copy(0, "/a", "/b", owner="5:app"))),
    program("owner of a large number", image(), file(0, mkdir("/a", ids=[3_000_000_000, 4_294_967_294]))),
    program("copy of its own base", image(), file(0, copy(0, "/a", "/b"))),
    program(
        "several actions",
        image(),
        image("b"),
        file(0, mkdir("/a"), mkfile("/a/b"), copy(1, "/x", "/y"), {"kind": "rm", "path": "/a"}, copy(0, "/z", "/q")),
    ),
    program(
        "chained copy",
        image(),
        image("b"),
        file(0, mkdir("/a"), copy(1, "x", "y", actions=(mkdir("x"), mkfile("x/f")))),
    ),
    program(
        "chained copy on scratch", file(None, copy(None, "x", "y", actions=(mkdir("/x"), mkfile("/x/f"))), mkdir("/z"))
    ),
    program(
        "copies in copies",
        image(),
        image("b"),
        image("c"),
        state("dir", 2, "/deep"),
        file(
            0,
            copy(1, "/1", "/1", actions=(mkdir("/m"), copy(3, "2", "/2", actions=(mkfile("n"), copy(0, "/3", "/3"))))),
            mkdir("/end"),
            copy(3, "q", "/q"),
        ),
    ),
    program(
        "one chain copied from in several places",
        image(),
        image("b"),
        state("dir", 1, "/w"),
        image("c"),
        file(
            0,
            copy(3, "q", "/1", key="outer", actions=(copy(2, "x", "/q", key="inner", actions=_WRITTEN),)),
            copy(2, "x", "/2", key="inner", actions=_WRITTEN),
            copy(3, "q", "/3", key="outer", actions=(mkdir("not made"),)),
        ),
        file(4, copy(2, "x", "/4", key="inner", actions=_WRITTEN), copy(4, "/1", "/5"), mkdir("/6")),
        file(5, copy(5, "/a", "/b", actions=(mkdir("/a", owner="app"),))),
    ),
    program("file op on file op", image(), file(0, mkdir("/a")), file(1, mkdir("/b")), file(None, copy(2, "/b", "/c"))),
]

GRAPHS = [
    program("merge", image(), file(None, mkfile("/foo")), {"op": "merge", "states": [0, 1]}, run(2)),
    program(
        "merge of merges",
        image(),
        image("b"),
        {"op": "merge", "states": [0, 1]},
        {"op": "merge", "states": [0, 1]},
        {"op": "diff", "lower": 0, "upper": 3},
        {"op": "merge", "states": [2, 3, 4]},
    ),
    program("merge of one thing twice", image(), {"op": "merge", "states": [0, 0]}),
    program("merge drops scratch", {"op": "scratch"}, image(), image("b"), {"op": "merge", "states": [0, 1, 0, 2]}),
    program("merge of one", {"op": "scratch"}, image(), {"op": "merge", "states": [0, 1]}),
    program("merge of none", {"op": "scratch"}, {"op": "merge", "states": [0, 0]}),
    program("merge named", image(), image("b"), {"op": "merge", "states": [1, 0], "name": "m", "filters": ["f"]}),
    program("diff", image(), run(), {"op": "diff", "lower": 0, "upper": 1}),
    program("diff from scratch", image(), {"op": "diff", "upper": 0}),
    program("diff to scratch", image(), {"op": "diff", "lower": 0, "upper": None, "name": "d"}),
    program("diff of nothing", {"op": "diff"}),
    program("diff of one thing", image(), {"op": "diff", "lower": 0, "upper": 0}),
    program("diamond", image(), run(0, args=["a"]), run(0, args=["b"]), {"op": "merge", "states": [1, 2]}, run(3)),
    program("made twice", image(), image(), run(0), run(1), {"op": "merge", "states": [2, 3]}),
    program(
        "order of inputs",
        image("a"),
        image("b"),
        image("c"),
        run(0, bind("/z", 1), bind("/a", 2)),
        file(3, copy(1, "/x", "/y"), copy(2, "/x", "/y")),
    ),
    program("result in the middle", image(), run(0), run(1), result=1),
    program(
        "requires",
        image(),
        state("dir", 0, "/w"),
        run(1, args=["test"]),
        image("b"),
        {"op": "requires", "on": 1, "states": [2, 3], "key": "wait"},
        run(4),
    ),
    program("build", image(), run(), {"op": "build", "on": 1}, run(2)),
    program(
        "build options",
        image(platform="linux/arm64"),
        state("dir", 0, "/w"),
        {"op": "build", "on": 1, "filename": "out/x.pb", "platform": "linux/s390x", "filters": ["f"], "name": "n"},
        run(2),
    ),
    program("build of a platform's state", image(platform="linux/arm64"), {"op": "build", "on": 0}, run(1)),
    program("definition", image(), run(), {"op": "definition", "on": 1}, run(2, args=["more"])),
    program("definition is the result", image(), run(), {"op": "definition", "on": 1}),
    program("definition of a source", image(platform="linux/arm64"), {"op": "definition", "on": 0}, run(1)),
    program(
        "a build's platform goes no further than the build",
        image(),
        {"op": "build", "on": 0, "platform": "windows/amd64"},
        run(1, bind("/m", 1, readonly=True), bind("/w"), readonly_root=True),
        run(2),
        {"op": "mount", "on": 2, "target": "/m"},
        run(4),
        {"op": "merge", "states": [3, 5]},
    ),
    program(
        "a definition's platform counts again where it is handed on as it is",
        image(platform="linux/arm64"),
        {"op": "definition", "on": 0},
        state("platform", 1, "linux/riscv64"),
        run(2),
        run(2, bind("/m", 2, readonly=True), bind("/w"), readonly_root=True),
        run(4),
        {"op": "mount", "on": 4, "target": "/m"},
        run(6),
        {"op": "merge", "states": [3, 5, 7]},
    ),
    program("definition of nothing", {"op": "scratch"}, {"op": "definition", "on": 0}, run(1)),
    program(
        "definition of a second output",
        image(),
        run(0, bind("/m")),
        {"op": "mount", "on": 1, "target": "/m"},
        {"op": "definition", "on": 2},
        {"op": "definition", "on": 1},
        {"op": "merge", "states": [3, 4]},
        {"op": "definition", "on": 5},
        run(6),
    ),
    program(
        "definition and what it was made of",
        image(name="one", ignore_cache=True),
        run(0, name="two", description={"a": "b"}),
        {"op": "definition", "on": 1},
        image(name="three", export_cache=False),
        run(3, group={"id": "g", "name": "G"}),
        {"op": "merge", "states": [2, 4, 1]},
    ),
    program(
        "definition of all kinds",
        image("golang"),
        {"op": "local", "source": "context"},
        file(0, mkdir("a"), copy(1, "x", "y")),
        run(2, bind("/l", 1), secret(target="/s"), ssh()),
        {"op": "diff", "lower": 2, "upper": 3},
        {"op": "requires", "on": 4, "states": [1], "key": "k"},
        {"op": "definition", "on": 5},
        run(6),
        resolve={"golang": {"config": GOLANG}},
    ),
    program("requires nothing", image(), {"op": "requires", "on": 0, "states": [], "key": "wait"}),
    program("requires itself", image(), {"op": "requires", "on": 0, "states": [0, 0], "key": "wait"}),
    program(
        "requires scratch", image(), {"op": "scratch"}, {"op": "requires", "on": 0, "states": [1], "key": "ü"}, run(2)
    ),
    program(
        "passthrough",
        *(image("a"), image("b"), image("c")),
        passthrough(0, 1, 2, outputs=[0, 2], index=1, name="n", filters=["f"]),
        run(3),
        passthrough(0, 1, 2, outputs=[0, 2], name="n", filters=["f"]),
        {"op": "merge", "states": [4, 5]},
    ),
    program(
        "passthrough of all", image("a"), image("b"), passthrough(0, 1, outputs=[0, 1], index=1, ignore_cache=True)
    ),
    program("passthrough waits for scratch", {"op": "scratch"}, image(), passthrough(0, 1, outputs=[1])),
    program(
        "platforms",
        image("a", platform="linux/arm64"),
        image("b"),
        run(0, bind("/b", 1)),
        {"op": "mount", "on": 2, "target": "/b"},
        run(3),
    ),
]

CASES = [*SOURCES, *STATES, *EXECS, *CONSTRAINTS, *CALLS, *FILES, *GRAPHS]
