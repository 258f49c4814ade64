"""Compiling: the platform of what names none, and of what a user gives."""

from __future__ import annotations

import platform as machine

import pytest

import pyllb
from pyllb._pb import ops_pb2
from pyllb.client.compile import as_platform, dump, host_platform
from pyllb.errors import OptionError
from pyllb.ir.platform import Platform


@pytest.mark.parametrize(
    ("kernel", "meant"),
    [
        ("x86_64", Platform("linux", "amd64")),
        ("aarch64", Platform("linux", "arm64")),
        ("arm64", Platform("linux", "arm64")),
        ("armv6l", Platform("linux", "arm", "v6")),
        ("armv7l", Platform("linux", "arm", "v7")),
        ("armv8l", Platform("linux", "arm", "v8")),
        ("i686", Platform("linux", "386")),
        ("loongarch64", Platform("linux", "loong64")),
        ("riscv64", Platform("linux", "riscv64")),
        ("s390x", Platform("linux", "s390x")),
        ("", Platform("linux", "amd64")),
    ],
)
def test_a_machine_is_the_architecture_that_go_calls_it(
    kernel: str, meant: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "machine", lambda: kernel)
    assert host_platform() == meant
    assert as_platform(None) == meant
    assert as_platform("linux") == meant
    assert [vertex.platform for vertex in dump(pyllb.image("a").run(["b"])).vertices] == [meant, meant, None]


def _env(node: pyllb.FS, known: bool | None, platform: str = "linux/amd64") -> tuple[list[str], bool]:
    """The environment of a node's command, and whether it needs a daemon that sets PATH."""
    made = dump(node, platform=platform, sets_default_path=known)
    env = ops_pb2.Op.FromString(dict(made.ops)[made.digest]).exec.meta.env
    return list(env), "exec.meta.setsdefaultpath" in made.metadata[made.digest].caps


def test_a_command_has_a_path_where_the_daemon_sets_none() -> None:
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    node = pyllb.fs().run(["cmd"])
    assert _env(node, None) == ([], False)
    assert _env(node, False) == ([path], False)
    assert _env(node, True) == ([], True)
    assert _env(node, False, "windows/amd64") == ([], False)
    for known in (None, False, True):
        assert _env(node.env(A="1").run(["cmd"], env={"PATH": "foo"}), known)[0] == ["A=1", "PATH=foo"]


def test_a_platform_is_given_as_text_or_as_a_value() -> None:
    assert as_platform("linux/armhf") == as_platform(Platform("Linux", "ARM")) == Platform("linux", "arm", "v7")
    with pytest.raises(OptionError, match="has no architecture"):
        dump(pyllb.fs(), platform=Platform("linux", ""))
