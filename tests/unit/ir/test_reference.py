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
        # of distribution's own tests
        ("LOCALDOMAIN/library/debian", "LOCALDOMAIN/library/debian:latest"),
        ("index.docker.io/library/debian", "docker.io/library/debian:latest"),
        ("library/ubuntu-12.04-base", "docker.io/library/ubuntu-12.04-base:latest"),
        ("docker.io/library/foo/bar", "docker.io/library/foo/bar:latest"),
        ("store/foo/bar", "docker.io/store/foo/bar:latest"),
        ("other/library", "docker.io/other/library:latest"),
        ("127.0.0.1:8000/private/moonbase", "127.0.0.1:8000/private/moonbase:latest"),
        ("example.com:8000/privatebasee", "example.com:8000/privatebasee:latest"),
        ("192.168.0.1", "docker.io/library/192.168.0.1:latest"),
        ("192.168.0.1:8/debian", "192.168.0.1:8/debian:latest"),
        ("192.168.1.1:5000/repo:5050", "192.168.1.1:5000/repo:5050"),
        ("[fc00:1:2:3:4:5:6:7]:5000/library/debian", "[fc00:1:2:3:4:5:6:7]:5000/library/debian:latest"),
        ("[2001:db8::1]/repo:tag", "[2001:db8::1]/repo:tag"),
        ("[::1]:5000/repo", "[::1]:5000/repo:latest"),
        (f"[2001:db8::]:5000/repo:tag@sha256:{HEX}", f"[2001:db8::]:5000/repo:tag@sha256:{HEX}"),
        ("g" * 64, f"docker.io/library/{'g' * 64}:latest"),
        ("docker---rules/docker", "docker.io/docker---rules/docker:latest"),
        ("dock__er/docker", "docker.io/dock__er/docker:latest"),
        ("d/docker", "docker.io/d/docker:latest"),
        ("test_com", "docker.io/library/test_com:latest"),
        ("test.com:5000", "docker.io/library/test.com:5000"),
        ("foo/foo_bar.com:8080", "docker.io/foo/foo_bar.com:8080"),
        ("b.gcr.io/test.example.com/my-app:test.example.com", "b.gcr.io/test.example.com/my-app:test.example.com"),
        ("xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com/myimage:xn--n3h.com"),
        ("lowercase:Uppercase", "docker.io/library/lowercase:Uppercase"),
        ("Uppercase/lowercase:tag", "Uppercase/lowercase:tag"),
        ("sub-dom1.foo.com/bar/baz/quux:some-long-tag", "sub-dom1.foo.com/bar/baz/quux:some-long-tag"),
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
        *("-docker.io/docker/docker", "docker///docker", "docker.io/docker/Docker", "docker.io/docker///docker"),
        *(
            "[fc00::1]:5000",
            "[2001:db8::1]:tag",
            "[fe80::1%@invalidzone]:5000/repo",
            "docker-/docker",
            "-docker-/docker",
        ),
        *("____/____", "_docker/_docker", "dock..er/docker", "dock-.er/docker", "docker/", "n" * 256 + "/docker"),
        *(":justtag", f"@sha256:{HEX}", f"repo@sha256:{HEX[:34]}", f"validname@invaliddigest:{HEX}", "Uppercase:tag"),
        *("test:5000/Uppercase/lowercase:tag", "domain/" + "a" * 256 + ":tag", "aa/asdf$$^/aa", "busybox@foo"),
        *("a:" + "t" * 129, f"localhost/{LONG_PATH}b", "a@sha256:", "a:-b", "a:.b"),
    ],
)
def test_what_docker_refuses_is_refused(text: str) -> None:
    with pytest.raises(RefError) as caught:
        parse_reference(text)

    wrong = (repr(text), repr(text.partition("@")[2]))  # the whole, or its digest
    assert any(part in str(caught.value) for part in wrong)


def test_a_digest_is_returned_as_it_is() -> None:
    assert parse_digest(f"sha256:{HEX}") == f"sha256:{HEX}"
