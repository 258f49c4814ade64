"""Whose platform an op has: its own, its state's, its image's, or the call's.

The first graphs are those of client/llb's own tests (BuildKit 0.33.1).
"""

from __future__ import annotations

import json

import pytest

import pyllb
from pyllb import bind, fs, image
from pyllb.ir.platform import Platform
from tests.unit.marshal.nodes import AMD64, lowered, requests

S390X, PPC64LE = Platform("linux", "s390x"), Platform("linux", "ppc64le")
ARM64, ARMV7, ARMV6 = Platform("linux", "arm64"), Platform("linux", "arm", "v7"), Platform("linux", "arm", "v6")
WINDOWS, SERVER_2019 = Platform("windows", "amd64"), Platform("windows", "amd64", "", "10.0.19041.0")


def told(node: pyllb.FS, platform: Platform = AMD64, **configs: Platform) -> dict[str, Platform | None]:
    """The platform of each op but the last by its name; configs: of the images' configs, by image."""
    answers = {
        f"docker.io/library/{name}:latest": json.dumps(
            {
                "os": config.os,
                "architecture": config.architecture,
                "variant": config.variant,
                "os.version": config.os_version,
                "os.features": list(config.os_features),
            }
        ).encode()
        for name, config in configs.items()
    }
    definition = lowered(node, answers or None, platform=platform).definition
    names = (vertex.name.removeprefix("docker-image://docker.io/library/") for vertex in definition.vertices)
    return {name: vertex.platform for name, vertex in zip(names, definition.vertices[:-1], strict=False)}


def test_a_commands_own_platform_is_that_of_what_comes_after() -> None:
    node = image("foo", platform="linux/armhf").run(["baz"]).run(["bar"]).run(["bax"], platform="windows/amd64")
    assert told(node.run(["bay"])) == {
        **dict.fromkeys(("foo:latest", "baz", "bar"), ARMV7),
        **dict.fromkeys(("bax", "bay"), WINDOWS),
    }


@pytest.mark.parametrize("platform", [AMD64, WINDOWS, ARMV6])
def test_what_names_no_platform_has_the_one_of_the_call(platform: Platform) -> None:
    assert told(image("image1").run(["bar"]), platform) == {"image1:latest": platform, "bar": platform}
    made = pyllb.dump(image("image1").run(["bar"]), platform=str(platform))
    assert [vertex.platform for vertex in made.vertices] == [platform, platform, None]
    assert pyllb.dump(image("image1"), platform=platform).ops[0] == made.ops[0]


def test_two_images_of_one_build_keep_their_platforms() -> None:
    sub = image("image2", platform="linux/armel").run(["cmd-sub"])
    node = image("image1").run(["cmd-main"], mounts=[bind(sub, "/mnt")])
    assert told(node) == {"image1:latest": AMD64, "cmd-main": AMD64, "image2:latest": ARMV6, "cmd-sub": ARMV6}


def test_the_platform_of_an_image_goes_on_through_file_ops_and_not_through_a_copy() -> None:
    source = (
        image("src", platform="linux/s390x")
        .run(["foo"])
        .file(pyllb.mkdir("/foo", mode=0o700), pyllb.mkfile("/bar", "bar"))
    )
    node = image("dest").copy(source.run(["afterfile"]), "/", "/").run(["last"])
    assert told(node, PPC64LE) == {
        "src:latest": S390X,
        "foo": S390X,
        "mkdir /foo, mkfile /bar": None,
        "afterfile": S390X,
        "dest:latest": PPC64LE,
        "copy / /": None,
        "last": PPC64LE,
    }


def test_the_platform_of_a_merge_is_that_of_its_first_input() -> None:
    made = fs().file(pyllb.mkdir("/foo", mode=0o700), pyllb.mkfile("/bar", "bar"))
    node = pyllb.merge(image("src", platform="linux/s390x"), made).run(["aftermerge"])
    assert told(node, PPC64LE) == {
        "src:latest": S390X,
        "mkdir /foo, mkfile /bar": None,
        "merge of 2": None,
        "aftermerge": S390X,
    }
    assert told(pyllb.merge(made, image("src", platform="linux/s390x")).run(["x"]), PPC64LE)["x"] == PPC64LE


def test_the_platform_of_a_state_is_for_the_sources_and_commands_after_it() -> None:
    node = fs().platform("linux/aarch64").image("a").run(["one"])
    assert told(node.platform("linux/arm").run(["two"]).run(["three"], platform="linux/386").run(["four"])) == {
        "a:latest": ARM64,
        "one": ARM64,
        "two": ARMV7,
        "three": Platform("linux", "386"),
        "four": Platform("linux", "386"),
    }


def test_the_platform_of_an_images_config_moves_on_and_the_image_keeps_the_one_it_was_asked_for() -> None:
    server = Platform("windows", "amd64", "", "10.0.20348.1", ("win32k",))
    asked = image("a", platform="windows/amd64")
    assert told(asked.run(["x"]), a=server) == {"a:latest": WINDOWS, "x": server}
    assert told(image("a").run(["x"]), a=ARM64) == {"a:latest": AMD64, "x": ARM64}
    assert told(image("a").mkdir("/d").dir("/w").run(["x"]).run(["y"]), a=ARM64)["y"] == ARM64
    assert told(image("a").run(["x"], platform="linux/s390x").run(["y"]), a=ARM64) == {
        "a:latest": AMD64,
        "x": S390X,
        "y": S390X,
    }
    assert told(asked.platform("linux/s390x").run(["x"]), a=server)["x"] == S390X


def test_a_config_that_says_half_of_a_platform_says_nothing() -> None:
    for half in (Platform("linux", ""), Platform("", "arm64")):
        assert told(image("a").run(["x"]), PPC64LE, a=half)["x"] == PPC64LE


def test_the_platform_of_a_config_is_normalised() -> None:
    odd = Platform("Linux", "aarch64", "v8")
    assert told(image("a").run(["x"]), a=odd)["x"] == ARM64


def test_images_are_resolved_for_their_own_platform_or_the_calls() -> None:
    node = image("a").copy(image("b", platform="linux/arm/v6").run(["x"]), "/", "/")
    wanted = requests(node, PPC64LE)
    assert {one.ref.split("/")[-1]: one.platform for one in wanted} == {"a:latest": PPC64LE, "b:latest": ARMV6}


@pytest.mark.parametrize(
    "make",
    [
        lambda platform: pyllb.local(".", platform=platform),
        lambda platform: pyllb.git("h/n", platform=platform),
        lambda platform: pyllb.http("https://h/n", platform=platform),
        lambda platform: pyllb.image_blob("a@sha256:" + "a" * 64, platform=platform),
        lambda platform: pyllb.oci_layout_blob("a@sha256:" + "a" * 64, platform=platform),
    ],
)
def test_other_sources_hand_their_platform_on_and_have_none_themselves(make: object) -> None:
    assert callable(make)
    found = told(make("linux/arm64").run(["x"]))
    assert list(found.values()) == [None, ARM64]


def test_an_oci_layout_and_a_definition_in_a_file_have_a_platform() -> None:
    node = pyllb.oci_layout("a/b:c", platform="linux/arm64").run(["x"])
    assert list(told(node).values()) == [ARM64, ARM64]
    assert told(node.solve_definition(), PPC64LE)["build"] == PPC64LE
    assert told(node.solve_definition(platform="linux/s390x"), PPC64LE)["build"] == S390X


@pytest.mark.parametrize(
    ("asked", "text", "config", "image_is"),
    [
        (Platform("linux", "arm64", "v8"), "linux/arm64", Platform("linux", "arm64"), ARM64),
        (Platform("linux", "arm64", "v8"), "linux/arm64", Platform("linux", "arm64", "v8"), ARM64),
        (WINDOWS, "windows/amd64", SERVER_2019, SERVER_2019),
        (SERVER_2019, "windows(10.0.19041.0)/amd64", Platform("windows", "amd64", "", "11.0.22000.0"), SERVER_2019),
        (ARMV6, "linux/arm/v6", Platform("linux", "arm"), ARMV6),
    ],
)
def test_an_image_that_is_made_says_the_platform_of_its_base_and_what_was_asked_for_more_closely(
    asked: Platform, text: str, config: Platform, image_is: Platform
) -> None:
    assert str(asked.normalized()) == text
    answer = {"os": config.os, "architecture": config.architecture, "variant": config.variant}
    answer["os.version"] = config.os_version
    node = image("a", platform=asked).mkdir("/a")
    made = lowered(node, {"docker.io/library/a:latest": json.dumps(answer).encode()}).image
    assert made is not None
    fields = json.loads(made)
    found = [fields.get(name, "") for name in ("os", "architecture", "variant", "os.version")]
    assert Platform(*found) == image_is


def test_an_image_that_is_made_says_the_platform_that_its_state_names() -> None:
    answer = json.dumps({"os": "linux", "architecture": "arm", "variant": "v7"}).encode()
    node = image("a", platform="linux/arm/v6")
    for made, variant in ((node, "v6"), (node.platform("linux/arm/v5"), "v5"), (node.platform("linux/riscv64"), None)):
        config = lowered(made, {"docker.io/library/a:latest": answer}).image
        assert config is not None
        assert json.loads(config).get("variant") == variant
