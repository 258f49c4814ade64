"""References, git URLs and platforms are read as Go reads them: at random where there are many, else all."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import TypeVar

from pyllb._pb import ops_pb2
from pyllb.errors import RefError
from pyllb.ir.giturl import parse_git_url
from pyllb.ir.platform import Platform, parse_platform
from pyllb.ir.reference import parse_reference
from tests.oracle import Answer, OracleError, ask
from tests.oracle.cases import program

T = TypeVar("T")
SEED = 20260501
HEX = "f" * 64
REFERENCES = (
    *("a", "A", "docker", "Docker", "docker.io", "index.docker.io", "library", "localhost", "LOCAL", "test.com", "x"),
    *(
        "192.168.0.1",
        "[::1]",
        "[fc00::1]",
        ":5000",
        ":tag",
        ":Tag",
        ":",
        "@",
        "/",
        "/",
        "/",
        "/",
        "-",
        "_",
        "__",
        "___",
    ),
    *(".", "..", "$", "%", "é", " ", "1", HEX, "a" * 130, "a" * 255, f"@sha256:{HEX}", f"@sha512:{HEX}{HEX}"),
    *(f"@sha256:{HEX.upper()}", f"@sha256:{HEX[:40]}", f"@md5:{HEX[:32]}", f"@SHA256:{HEX}", f"@sha256+b64u:{HEX}"),
)
URLS = (
    *("http://", "https://", "ssh://", "git://", "HTTPS://", "ftp://", "git@", "user:pw@", "u_s-er@", "a!b:c(d@"),
    *("github.com", "host.xz", "192.168.0.1", "[::1]", ":22", ":", "/", "/", "/", "a", "b.git", "~", ".", ".."),
    *("%20", "%zz", " ", "#", "#main", "#v1:sub", "#:x/../y", "?", "?a=b", "@", "ü", "-", "_", "&", "+", "=", ";", "!"),
    *("(", ")", "*", ",", "'", '"', "<", "|", "^", "{", "`", "\\", "$"),
)
SYSTEMS: tuple[str, ...] = (
    "linux",
    "Linux",
    "macos",
    "macOS",
    "darwin",
    "windows",
    "freebsd",
    "new",
    "windows(10.0.1)",
    "linux(+b+a+b)",
)
SYSTEMS += ("windows()", "windows(10%2B1+win32k)", "windows(50%25x)")
ARCHITECTURES = (
    *("386", "i386", "I386", "x86_64", "x86-64", "amd64", "AMD64", "aarch64", "Aarch64", "arm64", "ARM64", "armhf"),
    *("armel", "arm", "ARM", "s390x", "ppc64", "ppc64le", "riscv64", "mips64le", "loong64", "wasm", "other"),
)
VARIANTS = ("v1", "V1", "v2", "5", "6", "7", "8", "9", "v5", "v6", "v7", "v8", "V8", "v8.0", "8.0", "9.0", "v9", "v9.0")


def texts(atoms: tuple[str, ...], longest: int, count: int) -> list[str]:
    """Different texts of random atoms."""
    drawn = random.Random(SEED)
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(drawn.choice(atoms) for _ in range(drawn.randint(1, longest)))] = None
    return list(found)


def first(answer: Answer) -> ops_pb2.Op:
    return ops_pb2.Op.FromString(answer.ops[0][1])


def known(parse: Callable[[str], T], text: str) -> T | None:
    try:
        return parse(text)
    except RefError:
        return None


def test_references_are_those_of_go_and_so_are_the_refused_ones() -> None:
    given = texts(REFERENCES, 6, 10_000)
    answers = ask([program(text, {"op": "image", "ref": text}) for text in given])
    theirs = [None if isinstance(a, OracleError) else first(a).source.identifier for a in answers]
    ours = [parsed and f"docker-image://{parsed}" for parsed in (known(parse_reference, text) for text in given)]
    wrong = [row for row in zip(given, ours, theirs, strict=True) if row[1] != row[2]]
    assert (wrong, sum(found is not None for found in theirs) > 100) == ([], True)


def test_git_urls_that_are_not_refused_are_those_of_go() -> None:
    """Some that Go takes are refused here: those with a query, without a path, or with a host that cannot be one."""
    given = [text for text in texts(URLS, 7, 20_000) if known(parse_git_url, text) is not None]
    answers = ask([program(text, {"op": "git", "url": text, "known_hosts": ["x"]}) for text in given])
    sources = [first(answer).source for answer in answers if isinstance(answer, Answer)]
    theirs = [(source.identifier, source.attrs["git.fullurl"]) for source in sources]
    ours = [(url.identifier("", ""), url.remote) for url in map(parse_git_url, given)]
    wrong = [row for row in zip(given, ours, theirs, strict=True) if row[1] != row[2]]
    assert (wrong, len(given) > 500) == ([], True)


def test_platforms_are_normalised_as_go_does_it() -> None:
    given = ["/".join(parts) for parts in itertools.product(SYSTEMS, ARCHITECTURES)]
    given += ["/".join(parts) for parts in itertools.product(("linux",), ARCHITECTURES, VARIANTS)]
    given += [name for name in SYSTEMS if name != "new"]
    given += [name for name in ARCHITECTURES if name != "other"]
    answers = ask([program(text, {"op": "image", "ref": "a", "platform": text}) for text in given])
    host = platform(answers[given.index("linux")])
    wrong = [
        (text, ours, theirs)
        for text, answer in zip(given, answers, strict=True)
        if (ours := parse_platform(text, host=host)) != (theirs := platform(answer))
    ]
    assert wrong == []


def platform(answer: Answer | OracleError) -> Platform:
    assert isinstance(answer, Answer), answer
    found = first(answer).platform
    return Platform(found.OS, found.Architecture, found.Variant, found.OSVersion, tuple(found.OSFeatures))
