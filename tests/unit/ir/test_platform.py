"""A platform's text is read and normalised as containerd/platforms does."""

from __future__ import annotations

from typing import Any

import pytest

from pyllb.errors import OptionError
from pyllb.ir.platform import Platform, parse_platform


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
