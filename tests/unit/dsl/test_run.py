"""A run becomes one exec op with its mounts in LLB's order."""

from __future__ import annotations

import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyllb
from pyllb.dsl.fs import FS
from pyllb.ir.catalogue import CATALOGUE
from pyllb.ir.constraints import Constraints, LinuxResources, ProgressGroup
from pyllb.ir.meta import Ulimit
from pyllb.ir.mounts import BindMount, CacheMount, Mount
from pyllb.ir.ops import ExecOp, Output, ProxyEnv
from pyllb.ir.platform import Platform

BASE = pyllb.image("alpine")
SRC = pyllb.local(".").env(FROM="src").label("l", "src")


def _exec(state: FS) -> ExecOp:
    assert state.exec is not None
    return state.exec


def test_the_card() -> None:
    op = _exec(pyllb.fs().image("golang").run("go build", mounts=[pyllb.cache("go-build", sharing="shared")]))

    assert op.args == ("/bin/sh", "-c", "go build")
    root, cache = op.mounts
    assert isinstance(root, BindMount)
    assert isinstance(cache, CacheMount)
    assert (root.target, root.readonly) == ("/", False)
    assert (cache.target, cache.id, cache.sharing, cache.env) == ("/root/.cache/go-build", "go-build", "shared", ())
    assert op.constraints == Constraints()


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ("go build", ("/bin/sh", "-c", "go build")),
        ("  spaced  ", ("/bin/sh", "-c", "  spaced  ")),
        (["go", "build", ""], ("go", "build", "")),
        (("a",), ("a",)),
        ("\n    set -e\n      make\n    ", ("/bin/sh", "-c", "set -e\n  make")),
        ("a\n\nb\n", ("/bin/sh", "-c", "a\n\nb")),
        ("\n\n  a\n  b\n\n", ("/bin/sh", "-c", "\na\nb\n")),
    ],
)
def test_a_str_runs_under_the_shell_and_a_list_is_argv(command: str | list[str], args: tuple[str, ...]) -> None:
    assert _exec(BASE.run(command)).args == args


def test_the_shell_is_the_states_or_the_commands_own() -> None:
    state = BASE.shell("/bin/bash", "-ec")

    assert _exec(state.run("x")).args == ("/bin/bash", "-ec", "x")
    assert _exec(state.run("x", shell=["/bin/dash", "-c"])).args == ("/bin/dash", "-c", "x")
    assert _exec(BASE.shell(["/b in/sh"]).run("x")).args == ("/b in/sh", "x")  # type: ignore[arg-type]  # the wrong value is the case


def test_mounts_are_sorted_by_target_and_secrets_keep_their_order() -> None:
    mounts: list[Mount] = [
        pyllb.secret("z"),
        pyllb.bind(SRC, "/src/b"),
        pyllb.ssh(),
        pyllb.tmpfs("/src"),
        pyllb.secret("a", env="A"),
        pyllb.cache("/Z"),
        pyllb.ssh("other"),
    ]

    op = _exec(BASE.run("x", mounts=mounts))

    assert [mount.target for mount in op.mounts] == ["/", "/Z", "/src", "/src/b"]
    assert [secret.id for secret in op.secrets] == ["z", "a"]
    assert [ssh.id for ssh in op.ssh] == ["default", "other"]


@given(st.lists(st.text(st.characters(blacklist_characters="\0/.", blacklist_categories=["Cs"])), unique=True))
def test_targets_sort_as_their_bytes(names: list[str]) -> None:
    op = _exec(BASE.run("x", mounts=[pyllb.tmpfs(f"/m{name}") for name in names]))

    targets = [mount.target.encode() for mount in op.mounts]
    assert targets == sorted(targets)


def test_what_is_given_to_run_is_for_that_command_alone() -> None:
    state = BASE.env(A="1").dir("/w").ulimit("nofile", 1, 2).extra_host("a", "1.2.3.4")
    ran = state.run(
        "x",
        env={"B": "2"},
        dir="sub",
        user=1000,
        hostname="h",
        network="none",
        security="insecure",
        extra_hosts={"b": "::FFFF:1.2.3.5"},
        ulimits={"core": 0, "nproc": (5, -1)},
        cgroup_parent="/c",
    )

    meta = _exec(ran).meta
    assert meta.env == (("A", "1"), ("B", "2"))
    assert meta.settings.dirs == ("/w", "sub")
    settings = meta.settings
    assert (settings.user, settings.hostname, settings.network, settings.security) == ("1000", "h", "none", "insecure")
    assert meta.settings.extra_hosts == (("a", "1.2.3.4"), ("b", "1.2.3.5"))
    assert meta.settings.ulimits == (Ulimit("nofile", 1, 2), Ulimit("core", 0, 0), Ulimit("nproc", 5, -1))
    assert meta.settings.cgroup_parent == "/c"
    assert ran.meta is state.meta


def test_the_options_of_a_vertex_are_its_constraints() -> None:
    ran = BASE.run(
        "x",
        platform="linux/arm64",
        filters=["f==1"],
        name="n",
        description={"k": "v"},
        ignore_cache=True,
        export_cache=False,
        group=pyllb.progress_group("g", "Group", weak=True),
        resources=pyllb.resources(memory="2g", memory_swap=-1, cpuset_cpus="0-2,7"),
        ok_codes=range(2),
        proxy=pyllb.proxy(http="http://p", no="x"),
        devices=["a/b=c", ("d/e=f", True)],
    )

    op = _exec(ran)
    assert op.constraints == Constraints(
        platform=Platform("linux", "arm64"),
        filters=("f==1",),
        name="n",
        description=(("k", "v"),),
        ignore_cache=True,
        export_cache=False,
        group=ProgressGroup("g", "Group", True),
        resources=LinuxResources(memory=2 << 30, memory_swap=-1, cpuset_cpus="0-2,7"),
    )
    assert op.ok_codes == (0, 1)
    assert op.proxy == ProxyEnv(http_proxy="http://p", no_proxy="x")
    assert op.devices == (("a/b=c", False), ("d/e=f", True))
    assert ran.meta.settings.platform == Platform("linux", "arm64")  # as Go's outputs hand it on


def test_a_changed_mount_is_a_filesystem_with_the_values_of_what_was_mounted() -> None:
    ran = BASE.env(A="1").run("x", mounts=[pyllb.bind(SRC, "/src", selector="a"), pyllb.bind(pyllb.fs(), "/out")])
    source, out = ran.mount("/src/"), ran.mount("/out")

    assert source.output is not None
    assert out.output is not None
    assert (source.output.vertex, source.output.index) == (_exec(ran), 2)
    assert (out.output.vertex, out.output.index) == (_exec(ran), 1)
    assert source.meta is SRC.meta
    assert source.spec is SRC.spec
    assert out.meta.env == ()


def test_a_mount_can_be_asked_for_after_the_state_changed() -> None:
    ran = BASE.run("x", mounts=[pyllb.bind(SRC, "/src")]).env(A="1").entrypoint("/x")

    assert ran.mount("/src").meta is SRC.meta
    root = ran.mount("/")
    assert root.output is not None
    assert root.output.index == 0
    assert root.meta.env == (("A", "1"),)


def test_a_readonly_mount_gives_its_source() -> None:
    ran = BASE.run("x", mounts=[pyllb.bind(SRC, "/src", readonly=True)])

    assert ran.mount("/src").output is SRC.output


def test_a_readonly_root_leaves_the_filesystem_as_it_was() -> None:
    ran = BASE.run("x", readonly_root=True, mounts=[pyllb.bind(pyllb.fs(), "/out")])
    out = ran.mount("/out").output

    assert ran.output is BASE.output
    assert out is not None
    assert (out.vertex, out.index) == (_exec(ran), 0)


@pytest.mark.parametrize(
    "mount",
    [
        pyllb.bind(SRC, "/src", selector="a", readonly=True, content_cache="on"),
        pyllb.bind(SRC, "/src", selector="a", no_output=True, content_cache="on"),
        pyllb.bind(SRC, "/src", selector="/", content_cache="on"),
        pyllb.bind(SRC, "/src", content_cache="on"),
    ],
)
def test_a_mount_of_which_nothing_unseen_can_change_is_cached_by_its_content(mount: BindMount) -> None:
    made = pyllb.dump(BASE.run("x", mounts=[mount]).mkdir("/d"), platform="linux/amd64")
    made.check()
    assert "contentCache: ON" in made.to_tree()


def test_a_run_on_nothing_has_an_empty_root() -> None:
    ran = pyllb.fs().run(["/b/sh"], mounts=[pyllb.bind(BASE, "/b")])

    assert [getattr(mount, "source", None) for mount in _exec(ran).mounts] == [None, BASE.output]
    assert isinstance(ran.output, Output)


@pytest.mark.parametrize(
    ("args", "id", "target", "sharing", "env"),
    [
        (("/var/x",), "//var/x", "/var/x", "shared", {}),
        (("/var/x/",), "//var/x", "/var/x/", "shared", {}),
        (("//var/./y/../x",), "//var/x", "//var/./y/../x", "shared", {}),
        (("mine", "/x"), "mine", "/x", "shared", {}),
        (("go-mod",), "go-mod", "/go/pkg/mod", "shared", {"GOMODCACHE": "/go/pkg/mod"}),
        (("go-build", "/c"), "go-build", "/c", "shared", {"GOCACHE": "/c"}),
        (("apt",), "apt", "/var/cache/apt", "locked", {}),
        (
            ("uv",),
            "uv",
            "/root/.cache/uv",
            "shared",
            {"UV_CACHE_DIR": "/root/.cache/uv", "UV_LINK_MODE": "copy"},
        ),
        (("npm", "/n"), "npm", "/n", "shared", {"npm_config_cache": "/n"}),
    ],
)
def test_a_cache_has_the_target_mode_and_environment_of_its_tool(
    args: tuple[str, ...], id: str, target: str, sharing: str, env: dict[str, str]
) -> None:
    mount = pyllb.cache(*args)

    assert (mount.id, mount.target, mount.sharing, dict(mount.env)) == (id, target, sharing, env)


def test_an_id_beside_the_target_is_taken_as_it_is() -> None:
    mount = pyllb.cache("/x/../y", id="/name")
    assert (mount.id, mount.target, mount.sharing, mount.env) == ("/name", "/x/../y", "shared", ())
    known, same = pyllb.cache("/y", id="npm"), pyllb.cache("npm", "/y")
    assert (known.id, known.target, known.sharing, known.env) == (same.id, same.target, same.sharing, same.env)


@pytest.mark.parametrize("id", CATALOGUE)
def test_every_known_cache_can_be_mounted(id: str) -> None:
    mount = pyllb.cache(id)

    assert mount.target.startswith("/")
    assert mount.sharing in ("shared", "locked")
    assert id in (pyllb.cache.__doc__ or "")


def test_what_is_said_of_a_cache_wins_over_what_is_known() -> None:
    mount = pyllb.cache("pip", sharing="private", env={}, source=BASE, selector="x", readonly=True)

    assert (mount.sharing, mount.env, mount.selector, mount.readonly) == ("private", (), "x", True)
    assert mount.source is BASE.output


def test_a_secret_is_a_file_a_variable_or_both() -> None:
    assert pyllb.secret("a/token").target == "/run/secrets/token"
    assert (pyllb.secret("t", env="T").target, pyllb.secret("t", env="T").env) == (None, "T")
    both = pyllb.secret("t", "/t", env="T", uid=1, gid=2, mode=0o440, optional=True)
    assert (both.target, both.env, both.uid, both.gid, both.mode, both.optional) == ("/t", "T", 1, 2, 0o440, True)


def test_a_mode_may_be_octal_digits_as_in_a_dockerfile() -> None:
    assert pyllb.secret("t", mode="0440").mode == 0o440
    assert pyllb.ssh(mode="660").mode == 0o660


def test_members_of_an_enum_of_text_or_numbers_count_as_their_values() -> None:
    class Word(str, enum.Enum):  # noqa: UP042 - a StrEnum is formatted as its value anyway
        NAME, VALUE, ID, HOST = "NAME", "value", "pip", "host"

    class Number(enum.IntEnum):
        CODE = 3

    ran = BASE.run(
        [Word.VALUE],
        env={Word.NAME: Word.VALUE},
        network=Word.HOST,  # type: ignore[arg-type]  # the wrong value is the case
        ok_codes=[Number.CODE],
        mounts=[pyllb.cache(Word.ID)],
    )

    op = _exec(ran)
    assert (f"{op.args[0]}", [f"{k}={v}" for k, v in op.meta.env]) == ("value", ["NAME=value"])
    assert (op.meta.settings.network, f"{op.ok_codes}", f"{op.mounts[1]}"[:80]) == (
        "host",
        "(3,)",
        "CacheMount(target='/root/.cache/pip', id='pip', sharing='shared', selector='', r",
    )
    assert len(pyllb.dump(ran).ops) == 3


def test_a_size_may_have_a_unit() -> None:
    assert [pyllb.tmpfs("/t", size=size).size for size in (1, "2", "3k", "4MB", "5GiB", None)] == [
        *(1, 2, 3 << 10, 4 << 20, 5 << 30, 0)
    ]
