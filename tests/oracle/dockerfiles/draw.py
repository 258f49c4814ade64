"""Random Dockerfiles: stages that build on each other, of every instruction with its flags, drawn from a seed."""

from __future__ import annotations

import random
from typing import Any

from tests.oracle import Program
from tests.oracle.dockerfiles import from_text

_BASES = ("alpine", "golang:1.25", "busybox", "nothing", "scratch", "template")
_PATHS = ("a", "/b/c", "d/*.txt", "./e/", "/", "ü")
_PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x")


class _Drawing:
    """One Dockerfile being drawn. stages: those before the one that is being written."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.stages = 0

    def pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def flags(self, *flags: str) -> str:
        """Some of them, each with a blank after it."""
        return "".join(f"{flag} " for flag in flags if self.random.random() < 0.25)

    def path(self) -> str:
        return str(self.pick(*_PATHS))

    def stage(self) -> str:
        """What a copy or a mount may be from: a stage before this one, or an image."""
        return str(self.pick("alpine", *(f"s{number}" for number in range(self.stages))))

    def sources(self) -> str:
        return " ".join(self.path() for _ in range(self.pick(1, 1, 2)))


def drawn_dockerfile(seed: int) -> Program:
    """The Dockerfile of a seed."""
    drawing = _Drawing(seed)
    lines = [f"ARG BASE={drawing.pick('alpine', 'golang')}"]
    for number in range(drawing.pick(1, 2, 3, 5)):
        drawing.stages = number
        base = drawing.pick("${BASE}", *_BASES, *(f"s{before}" for before in range(number)))
        platform = drawing.flags("--platform=$BUILDPLATFORM", "--platform=linux/386").split(" ")[0]
        lines.append(f"FROM {platform} {base} AS s{number}")
        lines += [_instruction(drawing) for _ in range(drawing.random.randrange(1, 8))]
    options: dict[str, Any] = {"platforms": [drawing.pick(*_PLATFORMS)], "many_targets": drawing.pick(True, False)}
    if drawing.pick(True, False, False):
        options["target"] = f"s{drawing.random.randrange(drawing.stages + 1)}"
    if drawing.pick(True, False, False):
        options["args"] = {"SOURCE_DATE_EPOCH": "1750000000", "X": "of the client"}
    text = "\n".join(lines) + "\n"
    return from_text(f"seed {seed}", text, platform=drawing.pick(*_PLATFORMS), **options)


def _instruction(drawing: _Drawing) -> str:
    made = drawing.pick(_run, _run, _copy, _copy, _add, _state, _state)
    text: str = made(drawing)
    return text


def _run(drawing: _Drawing) -> str:
    flags = drawing.flags("--network=none", "--network=host", "--security=insecure", "--device=v.com/d=0")
    flags = flags.replace("--network=none --network=host", "--network=none")
    mounts = "".join(f"--mount={_mount(drawing)} " for _ in range(drawing.pick(0, 0, 1, 3)))
    command = drawing.pick("make all", '["make", "all"]', "a && \\\n    b", "<<EOT\nset -e\n  make $X\nEOT")
    return f"RUN {flags}{mounts}{command}"


def _mount(drawing: _Drawing) -> str:
    number = drawing.random.randrange(1000)
    owner = drawing.pick("", ",uid=5", ",uid=5,gid=6,mode=0700")
    match drawing.pick("bind", "cache", "tmpfs", "secret", "ssh"):
        case "bind":
            origin = drawing.pick("", f",from={drawing.stage()}")
            return f"type=bind,target=/m{number}{origin}{drawing.pick('', ',rw', ',source=/x')}"
        case "cache":
            sharing = drawing.pick("", ",sharing=locked", ",sharing=private,id=c", f",from={drawing.stage()}")
            return f"type=cache,target=/m{number}{sharing}{owner}"
        case "tmpfs":
            return f"type=tmpfs,target=/m{number}{drawing.pick('', ',size=1m')}"
        case "secret":
            return f"type=secret,id=s{number}{drawing.pick('', ',env=S', f',target=/m{number}')}{owner}"
        case _:
            return f"type=ssh{drawing.pick('', f',id=k,target=/m{number}')}{owner}"


def _copy(drawing: _Drawing) -> str:
    flags = drawing.flags("--link", "--chown=1:2", "--chmod=0750", "--exclude=*.md", f"--from={drawing.stage()}")
    if drawing.random.random() < 0.2:
        return f"COPY {flags.replace('--exclude=*.md ', '')}<<one <<two /in/\n$X in one\none\n  in two\ntwo"
    return f"COPY {flags}{drawing.flags('--parents')}{drawing.sources()} {drawing.pick('/to/', './to/')}"


def _add(drawing: _Drawing) -> str:
    flags = drawing.flags("--link", "--chown=5", "--chmod=u+rwX")
    url = "https://example.com"
    what = drawing.pick(f"{url}/a.tgz", f"{url}/a/b.git#v1:sub", "git@example.com:a/b.git", drawing.sources())
    return f"ADD {flags}{what} /added/"


def _state(drawing: _Drawing) -> str:
    line: str = drawing.pick(
        "ARG X=1",
        "ENV Y=$X Z='a b'",
        "WORKDIR /srv/$Y",
        "WORKDIR below",
        "USER 1000:1000",
        'SHELL ["/bin/sh", "-eu", "-c"]',
        "LABEL a=b",
        "EXPOSE 80",
        "HEALTHCHECK --retries=2 CMD true",
        'ENTRYPOINT ["x"]',
    )
    return line
