"""Image references are normalised as Docker's own tools do it."""

from __future__ import annotations

import pytest

from pyllb.errors import RefError
from pyllb.ir.reference import parse_digest, parse_reference

HEX = "0123456789abcdef" * 4
LONG_PATH = "a/" * 127 + "a"  # 255 characters


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("golang", "docker.io/library/golang:latest"),
        ("golang:1.25", "docker.io/library/golang:1.25"),
        ("library/golang", "docker.io/library/golang:latest"),
        ("team/app", "docker.io/team/app:latest"),
        ("docker.io/golang", "docker.io/library/golang:latest"),
        ("docker.io/team/app:1", "docker.io/team/app:1"),
        ("index.docker.io/golang", "docker.io/library/golang:latest"),
        ("index.docker.io/team/app", "docker.io/team/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("registry.example.com/app", "registry.example.com/app:latest"),
        ("registry.example.com:443/a/b/c:x_Y.z-1", "registry.example.com:443/a/b/c:x_Y.z-1"),
        ("127.0.0.1:5000/app", "127.0.0.1:5000/app:latest"),
        ("[fc00::1]:5000/app", "[fc00::1]:5000/app:latest"),
        ("LOCAL/app", "LOCAL/app:latest"),
        ("Foo/bar", "Foo/bar:latest"),
        ("a__b/c---d/e.f", "docker.io/a__b/c---d/e.f:latest"),
        ("192.168.0.1:80", "docker.io/library/192.168.0.1:80"),
        (f"golang@sha256:{HEX}", f"docker.io/library/golang@sha256:{HEX}"),
        (f"golang:1.25@sha256:{HEX}", f"docker.io/library/golang:1.25@sha256:{HEX}"),
        (f"a@sha512:{HEX}{HEX}", f"docker.io/library/a@sha512:{HEX}{HEX}"),
        (f"docker.io/{HEX}", f"docker.io/library/{HEX}:latest"),
        (f"localhost/{LONG_PATH}", f"localhost/{LONG_PATH}:latest"),
        ("a:" + "t" * 128, "docker.io/library/a:" + "t" * 128),
    ],
)
def test_a_reference_is_normalised(text: str, normal: str) -> None:
    parsed = parse_reference(text)

    assert str(parsed) == normal
    assert parse_reference(normal) == parsed  # and a second time changes nothing


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "/",
            ":",
            "@",
            "a:",
            "a@",
            "-app",
            "-team/app",
            "team/",
            "team//app",
            "_a/_b",
            "a..b/c",
            "a_.b/c",
            "a-/b",
        ),
        *("Golang", "team/App", "docker.io/team/App", "https://docker.io/golang", "a b", " a", "a\n", "a:b c", "é"),
        *("fc00::1:5000/app", "[fe80::1%eth0]:5000/app", "[2001:db8::192.0.2.33]:5000/app", "[fc00::1]"),
        *(HEX, f"a@{HEX}", f"a@sha256:{HEX[:-1]}", f"a@sha256:{HEX.upper()}", f"a@md5:{HEX}", f"a@SHA256:{HEX}"),
        *("a:" + "t" * 129, f"localhost/{LONG_PATH}b", "a@sha256:", "a:-b", "a:.b"),
    ],
)
def test_what_docker_refuses_is_refused(text: str) -> None:
    with pytest.raises(RefError) as caught:
        parse_reference(text)

    assert repr(text) in str(caught.value) or text[9:] in str(caught.value)


def test_a_digest_is_returned_as_it_is() -> None:
    assert parse_digest(f"sha256:{HEX}") == f"sha256:{HEX}"
