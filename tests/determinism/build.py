"""A build file in every shape in which Python lets a call be written: where each call stands is part of the bytes."""

# Odd shapes are the point here.
# fmt: off
# ruff: noqa
from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator, Iterator

import pyllb
from pyllb import FS, bind, cache, fs, image, local, merge, secret, ssh, target, tmpfs


def _chains() -> FS:
    one_line = image("alpine").env(A="1", B="2").dir("/src").run("make").mkdir("/a").mkfile("/b", "ü")
    many_lines = (
        fs()
        .image("golang",
               platform="linux/arm64")
        .run(
            ["go", "build"],
            mounts=[bind(one_line, "/src"),
                    cache("go-build"), tmpfs("/t", size="1m"),
                    secret("token"), ssh(),
                    bind(fs().mkdir("/in"
                         "/parts"), "/out")],
            env={"Z": "1",
                 "A": "2"},
            name="compile")
        .mount("/out"
               ).mkdir(
            "/more"
        )
    )
    odd = image(
        "busybox"
    ).run("a").run("b"
    ).run(
        "c").run("d")
    continued = odd.run("e") \
        .run("f")
    return merge(one_line, many_lines, odd, continued)


def _comprehensions() -> FS:
    base = image("alpine")
    listed = [base.mkdir(f"/list/{name}", parents=True) for name in ("a", "b")]
    nested = [part for row in [[base.run([f"{x}", f"{y}"]) for x in range(2)] for y in range(2)] for part in row]
    by_name = {name: base.mkfile(f"/{name}", name)
               for name in ("k",
                            "l")}
    a_set = {made for made in [base.mkdir("/set") for _ in range(1)]}
    lazy = list(base.symlink("/a", f"/{number}") for number in range(2))
    called = [_helper(base, what) for what in ("one", "two") if _helper(base, what) is not None]
    mapped = list(map(lambda what: base.run(what), ("mapped",)))
    ordered = sorted([base.mkdir("/sorted")], key=lambda made: [made.mkdir("/key")] and 0)
    return merge(*listed, *nested, *by_name.values(), *a_set, *lazy, *called, *mapped, *ordered)


def _helper(base: FS, what: str) -> FS:
    return _deeper(
        base, what)


def _deeper(base: FS, what: str) -> FS:
    made = base
    for step in range(2):
        if step:
            made = made.run([what, "again"])
        else: made = made.run([what])
    return made


def _named(base: FS, name: str) -> FS:
    return base.mkdir(f"/with/{name}", parents=True)


def _decorated(made: Callable[[FS], FS]) -> Callable[[FS], FS]:
    @functools.wraps(made)
    def inner(base: FS) -> FS:
        return made(base.mkdir("/before")).mkdir("/after")
    return inner


@_decorated
def _in_between(base: FS) -> FS:
    return base.mkdir("/between")


class Service:
    """Calls in methods, in a property, and where a class is made."""

    BASES = tuple([image("alpine").mkdir(f"/class/{name}", parents=True) for name in ("a",)])

    def __init__(self, base: FS) -> None:
        self.base = base.env(SERVICE="1").run("init")

    @property
    def tested(self) -> FS:
        return self.base.run("test")

    @staticmethod
    def packed(made: FS) -> FS:
        return fs().copy(made, "/app", "/app").entrypoint("/app")


def _steps(base: FS) -> Generator[FS, None, None]:
    yield base.run("first")
    made = yield from _more_steps(base.run("second"))
    yield made.run("last")


def _more_steps(base: FS) -> Generator[FS, None, FS]:
    yield base.mkdir("/yielded")
    return base.mkdir("/returned")


def _statements(base: FS) -> FS:
    made = [base]
    with contextlib.suppress(ValueError), contextlib.nullcontext(base.run("in with")) as entered:
        made += [entered, entered.run("in it")]
    try:
        raise ValueError(base.run("raised"))
    except ValueError as error:
        made.append(error.args[0].run("caught"))
    finally:
        made.append(base.run("finally"))
    match base.run("subject"), "x":
        case FS() as subject, str():
            made.append(subject.run("matched"))
    if (walrus := base.run("walrus")) and not isinstance(walrus, str): made.append(walrus)
    made.append(base.run("yes") if made else base.run("no"))
    while len(made) < 12: made.append(made[-1].run("while"))
    made.append(base.with_(_named, "a").with_(lambda it: it.run("lambda")).with_(_in_between))
    made.append(functools.partial(base.run, env={"P": "1"})("partial"))
    made.extend(_all(*_steps(base)))
    made.append(getattr(base, "run")(*["starred"], **{"name": "named"})); made.append(base.run("after ;"))
    assert base.run("asserted")
    made.append(Service(base).tested.with_(Service.packed))
    return merge(*made, *Service.BASES)


def _wide(base: FS) -> tuple[FS, ...]:
    return base.run("ü" "ö", name="äöü"), base.run("𝒳", name="𝒳").run("日本").mkdir("/ß")


def _sources() -> FS:
    sha = "sha256:" + "ab" * 32
    ignored = local(".", name="src", include=["*.go"], exclude=["vendor"], follow=["go.mod"])
    fetched = pyllb.http("https://example.com/a.tgz", checksum=sha, filename="a", mode=0o600)
    cloned = pyllb.git("https://example.com/a/b.git", ref="main", subdir="c", keep_git_dir=True)
    stored = pyllb.oci_layout(f"a/b@{sha}"), pyllb.image_blob(f"a/b@{sha}"), pyllb.oci_layout_blob(f"a/b@{sha}")
    return merge(ignored, fetched, cloned, *stored)


def _ops(base: FS) -> FS:
    files = base.file(
        pyllb.mkdir("/f", owner="app:app"),
        pyllb.mkfile("/f/g", b"\0\xff", created=5),
        pyllb.rm("/h", allow_wildcard=True),
        pyllb.symlink("/f/g", "/i"),
        pyllb.copy(pyllb.chain(base, pyllb.mkdir("/j")), "/j", "/k", mode="u+x", include=["a"], required=["/b"]),
    )
    handed, on = pyllb.passthrough(files, base.run("x"), id="both", outputs=[0, 1])
    built = base.mkfile("/llb.pb", "no").solve_definition("llb.pb")
    set_up = base.user("app").hostname("box").network("none").security("insecure").ulimit("nofile", 1, 2)
    set_up = set_up.extra_host("h", "10.0.0.1").cgroup_parent("cg").platform("linux/arm/v6").shell("/bin/bash", "-c")
    ran = set_up.run("all", ok_codes=[0, 3], devices=["v.com/d=0"], resources=pyllb.resources(memory="1g"),
                     description={"z": "1", "a": "2"}, group="g", filters=["b", "a"], export_cache=True)
    return merge(pyllb.diff(base, files), handed.requires(on, id="r"), built, ran)


def _all(*made: FS) -> tuple[FS, ...]:
    return made


@target
def default() -> FS:
    """All of it in one."""
    base = image("debian")
    return merge(_chains(), _comprehensions(), _statements(base), *_wide(base), _sources(), _ops(base)).label("a", "b")


LOADED = [image("alpine").mkdir(f"/module/{name}") for name in ("a",)][0], {n: fs().mkdir(n) for n in ["/m"]}["/m"]


@target
def loaded() -> FS:
    """What was made while the file was loaded."""
    return merge(*LOADED)


class _Protocols:
    """What Python itself calls, here and there."""

    def __init__(self) -> None:
        self.made = [image("alpine")]

    def __enter__(self) -> None:
        self.made.append(self.made[-1].run("entered"))

    def __exit__(self, *_: object) -> None:
        self.made.append(self.made[-1].run("left"))

    def __iter__(self) -> Iterator[FS]:
        yield self.made[-1].run("yielded")

    def __bool__(self) -> bool:
        self.made.append(self.made[-1].run("true or false"))
        return True

    def __format__(self, _: str) -> str:
        self.made.append(self.made[-1].run("formatted"))
        return ""


@target
def protocols() -> FS:
    """Where Python calls, the place is what each version takes for it: the ops are the same, their columns are not."""
    it = _Protocols()
    with it, \
         it:
        it.made += [made for made in it]
    if it and it or it: it.made.append(fs().mkdir(f"/x{it}"))
    return merge(*it.made)
