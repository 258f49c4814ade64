"""What the methods of the image config leave in an image, and in the next one that is built on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pyllb
from pyllb import FS, Client, fs, image
from tests.conftest import Buildctl
from tests.integration.effects import BUSYBOX, Image, case, fails, fresh, image_of, ran, said
from tests.testbed import Testbed

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SECOND = 1_000_000_000

BASE = (
    BUSYBOX.mkfile("/base", "b")
    .env(A="1", B="two words")
    .dir("/work")
    .user("nobody")
    .entrypoint("/bin/app", "--serve")
    .cmd("all", "of it")
    .label("org.example.one", "1")
    .label("org.example.two", "before")
    .label("org.example.two", "2")
    .expose(80, "53/udp")
    .volume("/data", "/cache")
    .stop_signal("SIGINT")
    .healthcheck("check me", interval="30s", timeout=2, start_period=0.5, start_interval="1m", retries=5)
    .onbuild("RUN one", "RUN two")
    .author("A. Nonymous")
    .annotate("org.example.note", "of the manifest")
)
BASE_CONFIG = {
    "Env": [PATH, "A=1", "B=two words"],
    "WorkingDir": "/work",
    "User": "nobody",
    "Entrypoint": ["/bin/app", "--serve"],
    "Cmd": ["all", "of it"],
    "Labels": {"org.example.one": "1", "org.example.two": "2"},
    "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
    "Volumes": {"/data": {}, "/cache": {}},
    "StopSignal": "SIGINT",
    "Healthcheck": {
        "Test": ["CMD-SHELL", "check me"],
        "Interval": 30 * SECOND,
        "Timeout": 2 * SECOND,
        "StartPeriod": SECOND // 2,
        "StartInterval": 60 * SECOND,
        "Retries": 5,
    },
}


@pytest.fixture(scope="module")
def pushed(testbed: Testbed) -> str:
    """The name of BASE in the registry."""
    name = f"{testbed.registry}/effects-image:1"
    with Client(testbed.address) as client:
        client.solve(BASE, output=f"type=image,name={name},push=true")
    return name


@pytest.fixture(scope="module")
def exported(testbed: Testbed) -> Image:
    """BASE as an OCI archive says it."""
    with Client(testbed.address) as client:
        return image_of(client, BASE)


@pytest.fixture(scope="module")
def inherited(testbed: Testbed, pushed: str) -> Image:
    """An image that adds one file to BASE and says nothing else."""
    with Client(testbed.address) as client:
        return image_of(client, image(pushed).mkfile("/above", "a"))


@pytest.mark.parametrize("field", BASE_CONFIG)
def test_an_image_has(exported: Image, field: str) -> None:
    assert exported.config["config"][field] == BASE_CONFIG[field]


@pytest.mark.parametrize("field", BASE_CONFIG)
def test_an_image_on_it_inherits(inherited: Image, field: str) -> None:
    assert inherited.config["config"][field] == BASE_CONFIG[field]


def test_onbuild_is_for_the_next_build_alone(exported: Image, inherited: Image) -> None:
    assert exported.config["config"]["OnBuild"] == ["RUN one", "RUN two"]
    assert "OnBuild" not in inherited.config["config"]


def test_the_author_is_told_and_inherited(exported: Image, inherited: Image) -> None:
    assert (exported.config["author"], inherited.config["author"]) == ("A. Nonymous", "A. Nonymous")


def test_an_annotation_is_the_manifests_and_is_not_inherited(exported: Image, inherited: Image) -> None:
    assert exported.manifest["annotations"] == {"org.example.note": "of the manifest"}
    assert "org.example.note" not in inherited.manifest.get("annotations", {})


def test_an_annotation_may_be_of_the_manifests_descriptor(client: Client) -> None:
    found = image_of(client, fs().mkfile("/f", "x").annotate("org.example.note", "told", on="manifest-descriptor"))
    assert found.descriptor["annotations"]["org.example.note"] == "told"
    assert "annotations" not in found.manifest


@pytest.mark.parametrize("on", ["index", "index-descriptor"])
def test_an_annotation_of_an_index_is_told_where_there_is_none_as_the_daemon_tells_it_at_the_end(
    client: Client, buildctl: Buildctl, tmp_path: Path, on: Any
) -> None:
    node = fs().mkfile("/f", "x")
    with fails(rf"'annotation-{on}.note' of type=oci is for an index"):
        image_of(client, node.annotate("note", "told", on=on))
    output = f"type=oci,dest={tmp_path}/image.tar,annotation-{on}.note=told"
    done = buildctl("build", "--output", output, input=pyllb.dump(node).to_bytes(), check=False)
    assert b"index annotations not supported for single platform export" in done.stderr


def test_shell_is_in_the_image_unless_it_is_the_usual_one(client: Client) -> None:
    base = fs().mkfile("/f", "x")
    assert image_of(client, base.shell("/bin/bash", "-c")).config["config"]["Shell"] == ["/bin/bash", "-c"]
    assert "Shell" not in image_of(client, base.shell("/bin/sh", "-c")).config["config"]


def test_created_is_the_time_of_the_image(client: Client) -> None:
    found = image_of(client, fs().mkfile("/f", "x").created(1_000_000_000))
    assert found.config["created"] == "2001-09-09T01:46:40Z"


def test_history_is_what_is_said_of_a_layer_or_of_none(client: Client) -> None:
    base = fs().mkfile("/f", "x").history("by hand", comment="why", author="me", created=5)
    nothing, layer = image_of(client, base.history("the layer", empty_layer=False)).config["history"]
    said_of_nothing = {"created_by": "by hand", "comment": "why", "author": "me", "created": "1970-01-01T00:00:05Z"}
    assert nothing == {**said_of_nothing, "empty_layer": True}
    assert (layer["created_by"], layer.get("empty_layer", False)) == ("the layer", False)


def test_the_history_says_how_each_layer_was_made(inherited: Image) -> None:
    made = [entry["created_by"] for entry in inherited.config["history"]]
    assert made == ["testbed library/busybox", "mkfile /base", "mkfile /above"]
    assert len(inherited.config["rootfs"]["diff_ids"]) == len(inherited.manifest["layers"]) == 3


def test_a_command_in_it_has_its_variables_directory_and_user(client: Client, pushed: str) -> None:
    assert said(client, image(pushed).run(fresh("echo $A; pwd; id -un"))) == ["1", "/work", "nobody"]


def changed(base: FS, **fields: object) -> dict[str, Any]:
    """BASE's config with some fields as they should be above it; None is none."""
    return {name: value for name, value in {**BASE_CONFIG, **fields}.items() if value is not None}


@pytest.mark.parametrize(
    ("above", "fields"),
    [
        case(
            "env adds and replaces",
            lambda base: base.env(A="new", C="3"),
            {"Env": [PATH, "B=two words", "A=new", "C=3"]},
        ),
        case("dir is relative to the image's", lambda base: base.dir("sub"), {"WorkingDir": "/work/sub"}),
        case("user is another one", lambda base: base.user("0:0"), {"User": "0:0"}),
        case(
            "entrypoint takes the image's cmd off",
            lambda base: base.entrypoint("/new"),
            {"Entrypoint": ["/new"], "Cmd": None},
        ),
        case(
            "entrypoint and cmd are both new",
            lambda base: base.entrypoint("/new").cmd("x"),
            {"Entrypoint": ["/new"], "Cmd": ["x"]},
        ),
        case("cmd leaves the entrypoint", lambda base: base.cmd("x"), {"Cmd": ["x"]}),
        case(
            "labels go with the image's",
            lambda base: base.label("org.example.two", "new").label("more", "x"),
            {"Labels": {"org.example.one": "1", "org.example.two": "new", "more": "x"}},
        ),
        case(
            "ports go with the image's",
            lambda base: base.expose("81/sctp"),
            {"ExposedPorts": {"80/tcp": {}, "53/udp": {}, "81/sctp": {}}},
        ),
        case(
            "volumes go with the image's",
            lambda base: base.volume("/more"),
            {"Volumes": {"/data": {}, "/cache": {}, "/more": {}}},
        ),
        case("stop_signal is another one", lambda base: base.stop_signal(9), {"StopSignal": "9"}),
        case(
            "healthcheck is another one",
            lambda base: base.healthcheck(["/check", "x"], retries=1),
            {"Healthcheck": {"Test": ["CMD", "/check", "x"], "Retries": 1}},
        ),
        case(
            "healthcheck of None takes it off", lambda base: base.healthcheck(None), {"Healthcheck": {"Test": ["NONE"]}}
        ),
    ],
)
def test_above_an_image(client: Client, pushed: str, above: Any, fields: dict[str, object]) -> None:
    found = image_of(client, above(image(pushed)).mkfile("/above", "a"))
    assert found.config["config"] == changed(BASE, **fields)


def test_what_is_set_before_image_is_over_it_too(client: Client, pushed: str) -> None:
    found = image_of(client, fs().env(C="3").label("more", "x").image(pushed).mkfile("/above", "a"))
    assert found.config["config"]["Env"] == [*BASE_CONFIG["Env"], "C=3"]
    assert found.config["config"]["Labels"]["more"] == "x"


def test_an_image_from_nothing_has_the_usual_path(client: Client) -> None:
    found = image_of(client, fs().mkfile("/f", "x"))
    assert found.config["config"] == {"Env": [PATH], "WorkingDir": "/"}
    assert "author" not in found.config


@pytest.mark.parametrize(
    ("node", "options", "platform"),
    [
        case("of the solve", fs().mkfile("/f", "x"), {"platform": "linux/arm64"}, ("linux", "arm64", None)),
        case("of the state", fs().platform("linux/arm/v7").mkfile("/f", "x"), {}, ("linux", "arm", "v7")),
        case(
            "of the state over the solve's",
            fs().platform("linux/s390x").mkfile("/f", "x"),
            {"platform": "linux/arm64"},
            ("linux", "s390x", None),
        ),
    ],
)
def test_an_image_is_for_the_platform(
    client: Client, node: FS, options: dict[str, str], platform: tuple[str, str, str | None]
) -> None:
    found = image_of(client, node, **options).config
    assert (found["os"], found["architecture"], found.get("variant")) == platform


def test_values_of_the_config_alone_run_nothing_anew(client: Client) -> None:
    node = BUSYBOX.run(fresh("true"))
    client.solve(node)
    assert ran(client.solve(node.label("a", "b").cmd("x").expose(1).author("me"))) == []
