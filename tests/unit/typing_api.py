"""Uses of the public names that must type-check, and a few that must not. mypy reads this file; a test also runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pyllb import (
    FS,
    Platform,
    bind,
    cache,
    chain,
    copy,
    diff,
    fs,
    git,
    http,
    image,
    local,
    merge,
    mkdir,
    mkfile,
    progress_group,
    proxy,
    resources,
    rm,
    secret,
    ssh,
    symlink,
    target,
    tmpfs,
)


def with_user(state: FS, name: str, *, uid: int = 1000) -> FS:
    return state.run(["adduser", "-D", "-u", str(uid), name]).user(name)


@target
def default(version: str = "dev", platform: Literal["linux/amd64", "linux/arm64"] = "linux/amd64") -> FS:
    src = local(".", include=["go.*", "**/*.go"])
    built = (
        fs()
        .image("golang:1.25", platform=platform)
        .dir("/src")
        .env(CGO_ENABLED="0")
        .run(
            f"go build -ldflags '-X main.version={version}' -o /out/app .",
            mounts=[bind(src, "/src"), bind(fs(), "/out"), cache("go-build", sharing="shared"), cache("go-mod")],
        )
        .mount("/out")
    )
    return fs().copy(built, "/app", "/app").entrypoint("/app")


@target(name="all")
def everything(tags: list[str], root: Path = Path(), debug: bool = False) -> dict[str, FS]:
    base = image("alpine", resolve_mode="pull").with_(with_user, "app", uid=1001).platform(Platform("linux", "arm64"))
    parts = [git("https://github.com/o/n", ref="v1"), http("https://example.com/a.tgz", mode=0o644), local(root)]
    ran = base.run(
        "make",
        mounts=[
            tmpfs("/tmp", size="64m"),
            secret("t", env="T"),
            ssh(),
            *(bind(p, f"/{n}") for n, p in enumerate(parts)),
        ],
        network="none",
        ok_codes=(0, 1),
        resources=resources(memory="1g"),
        proxy=proxy(http="http://p"),
        group=progress_group("g", "Group"),
        ulimits={"nofile": (1, 2)},
        extra_hosts={"db": "10.0.0.1"},
    )
    files = fs().file(
        mkdir("/a"), mkfile("/a/b", "x"), symlink("b", "/a/c"), rm("/a/b"), copy(chain(ran, rm("/x")), "/", "/")
    )
    return {"all": merge(ran, files, *parts), "changes": diff(base, ran), "default": default(version=tags[0])}


def wrong() -> None:
    """Never called: each line is an error that mypy must find."""
    image(3)  # type: ignore[arg-type]  # the wrong value is the case
    image("a", resolve_mode="never")  # type: ignore[arg-type]  # the wrong value is the case
    cache("pip", sharing="exclusive")  # type: ignore[arg-type]  # the wrong value is the case
    fs().run("x", mounts=["/src"])  # type: ignore[list-item]  # the wrong value is the case
    fs().run("x", network="bridge")  # type: ignore[arg-type]  # the wrong value is the case
    fs().env(A=1)  # type: ignore[arg-type]  # the wrong value is the case
    fs().copy("src", "/a", "/b")  # type: ignore[arg-type]  # the wrong value is the case
    fs().file(fs().mkdir("/a"))  # type: ignore[arg-type]  # the wrong value is the case
    fs().with_(with_user)  # type: ignore[call-arg]  # the wrong value is the case
    fs().with_(with_user, "a", uid="1")  # type: ignore[arg-type]  # the wrong value is the case
    default(version=1)  # type: ignore[arg-type]  # the wrong value is the case
    bind("/src", fs())  # type: ignore[arg-type]  # the wrong value is the case
