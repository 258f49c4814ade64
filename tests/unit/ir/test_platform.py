"""A platform's text is read and normalised as containerd/platforms does."""

from __future__ import annotations

from typing import Any

import pytest

from pyllb.errors import OptionError
from pyllb.ir.platform import Platform, known_platform, normalize_architecture, parse_platform


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux", Platform("linux", "amd64")),
        ("macos/arm64", Platform("darwin", "arm64")),
        ("aarch64", Platform("linux", "arm64")),
        ("armel", Platform("linux", "arm", "v6")),
        ("linux/arm", Platform("linux", "arm", "v7")),
        ("linux/arm/6", Platform("linux", "arm", "v6")),
        ("linux/armhf/v5", Platform("linux", "arm", "v7")),
        ("Linux/ARM64/V8", Platform("linux", "arm64")),
        ("linux/arm64/9.0", Platform("linux", "arm64", "v9")),
        ("linux/X86-64/v1", Platform("linux", "amd64")),
        ("linux/amd64/v2", Platform("linux", "amd64", "v2")),
        ("linux/i386/v2", Platform("linux", "386")),
        ("new/arch", Platform("new", "arch")),
        ("windows(10.0.17763)/amd64", Platform("windows", "amd64", "", "10.0.17763")),
        ("windows(10%2B1+b+a+a)/amd64", Platform("windows", "amd64", "", "10+1", ("a", "b"))),
        ("linux(+x)", Platform("linux", "amd64", "", "", ("x",))),
    ],
)
def test_a_platform_is_normalised(text: str, platform: Platform) -> None:
    assert parse_platform(text) == platform


# BuildKit 0.33.1 with containerd/platforms: architecture and variant as they are written, and as they are meant.
NORMAL = [
    (("i386", ""), ("386", "")),
    (("i386", "v2"), ("386", "")),
    (("386", "v2"), ("386", "v2")),
    *[((name, ""), ("amd64", "")) for name in ("x86_64", "x86-64", "amd64", "AMD64")],
    *[((name, "v1"), ("amd64", "")) for name in ("x86_64", "x86-64", "amd64")],
    (("amd64", "V2"), ("amd64", "v2")),
    *[(("arm64", variant), ("arm64", "")) for variant in ("", "8", "v8", "V8", "v8.0")],
    *[(("aarch64", variant), ("arm64", "v9")) for variant in ("9", "9.0", "v9", "v9.0")],
    (("arm64", "8.0"), ("arm64", "8.0")),
    *[(("armhf", variant), ("arm", "v7")) for variant in ("", "v5")],
    *[(("armel", variant), ("arm", "v6")) for variant in ("", "v7")],
    *[(("arm", variant), ("arm", "v7")) for variant in ("", "7", "v7")],
    *[(("arm", number), ("arm", f"v{number}")) for number in "568"],
    (("Other", "V"), ("other", "v")),
]


@pytest.mark.parametrize(("given", "normal"), NORMAL)
def test_an_architecture_and_its_variant_are_spelled_in_the_usual_way(
    given: tuple[str, str], normal: tuple[str, str]
) -> None:
    assert normalize_architecture(*given) == normal
    assert normalize_architecture(*normal) == normal
    assert Platform("MacOS", *given).normalized() == Platform("darwin", *normal)


def test_a_platform_of_no_system_is_for_linux_and_features_are_in_order_each_once() -> None:
    assert Platform("", "amd64", "", "", ("b", "a", "b")).normalized() == Platform("linux", "amd64", "", "", ("a", "b"))


@pytest.mark.parametrize(
    ("platform", "text"),
    [
        (Platform("linux", "arm64"), "linux/arm64"),
        (Platform("linux", "arm", "v7"), "linux/arm/v7"),
        (Platform("windows", "amd64", "", "10.0.19041.0"), "windows(10.0.19041.0)/amd64"),
        (Platform("windows", "amd64", "", "", ("win32k", "a", "a")), "windows(+a+win32k)/amd64"),
        (Platform("x", "y", "z", "1+2/3(%)", ("+",)), "x(1%2B2%2F3%28%25%29+%2B)/y/z"),
    ],
)
def test_a_platform_is_shown_as_the_text_that_it_is_read_from(platform: Platform, text: str) -> None:
    assert str(platform) == text
    assert parse_platform(text) == platform.normalized()


def test_what_text_leaves_out_is_the_hosts() -> None:
    host = Platform("linux", "arm", "v6")
    assert parse_platform("linux", host=host) == host
    assert parse_platform("amd64", host=Platform("freebsd", "arm64")) == Platform("freebsd", "amd64")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "linux/",
        "a/b/c/d",
        "lin ux/amd64",
        "linux/amd64\n",
        "toaster",
        "wasip1",
        "*",
        "(10)",
        "windows(1%zz)/a",
        "amd64(10)",
        "linux/*",
        "linux(+)",
        "linux(+a++b)/amd64",
        "linux/amd64/v1/x",
    ],
)
def test_text_that_is_no_platform_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_platform(text)
    assert str(caught.value).startswith(repr(text))


@pytest.mark.parametrize("value", [5, b"linux/amd64", None, ["linux"]])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="write os/arch") as caught:
        parse_platform(value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["linux", "arm64", "linux/x86_64", "macOS/aarch64", "wasi/wasm", "wasi/wasm32", "wasip1/wasm", "linux/loong64"],
)
def test_a_platform_that_programs_run_on_is_known(text: str) -> None:
    assert known_platform(text) == parse_platform(text)
