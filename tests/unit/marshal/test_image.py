"""The image config of a result."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import pyllb
from pyllb.errors import OptionError
from tests.unit.marshal.nodes import lowered

REF = "docker.io/library/base:latest"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2020-01-01T00:00:00Z",
    "author": "them",
    "docker_version": "19",
    "container_config": {"Cmd": ["x"]},
    "moby.buildkit.note": {"kept": True},
    "history": [{"created_by": "ADD base"}],
    "rootfs": {"type": "layers", "diff_ids": ["sha256:aa"]},
    "config": {
        "Env": ["PATH=/bin", "LANG=C"],
        "Entrypoint": ["/entry"],
        "Cmd": ["serve"],
        "WorkingDir": "/app",
        "User": "app",
        "Labels": {"a": "1", "b": "2"},
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}},
        "StopSignal": "SIGINT",
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5},
        "OnBuild": ["RUN x"],
        "Shell": ["/bin/bash", "-c"],
        "ArgsEscaped": True,
    },
}


def config(node: pyllb.FS) -> dict[str, Any]:
    image = lowered(node, {REF: json.dumps(BASE).encode()}).image
    assert image is not None
    made: dict[str, Any] = json.loads(image)
    return made


def base() -> pyllb.FS:
    return pyllb.fs().image("base")


def test_what_the_build_does_not_set_is_inherited() -> None:
    inner = {name: value for name, value in BASE["config"].items() if name != "OnBuild"}
    found = config(base().mkdir("/x"))
    assert found["config"] == inner
    assert found["history"] == BASE["history"]
    assert found["moby.buildkit.note"] == {"kept": True}
    assert (found["author"], found["architecture"], found["os"]) == ("them", "amd64", "linux")


def test_how_the_base_image_was_made_is_not_inherited() -> None:
    assert not {"created", "docker_version", "container_config"} & set(config(base()))
    assert config(base())["rootfs"] == {"type": "layers", "diff_ids": []}


def test_a_new_entrypoint_takes_the_inherited_command_off() -> None:
    found = config(base().entrypoint("/new"))["config"]
    assert found["Entrypoint"] == ["/new"]
    assert "Cmd" not in found
    assert config(base().cmd("other"))["config"]["Entrypoint"] == ["/entry"]
    both = config(base().cmd("c").entrypoint("e"))["config"]
    assert (both["Entrypoint"], both["Cmd"]) == (["e"], ["c"])


def test_an_empty_list_takes_the_inherited_entrypoint_or_command_off() -> None:
    bare = config(base().entrypoint([]))["config"]
    assert not {"Entrypoint", "Cmd"} & set(bare)
    assert config(base().entrypoint([]).cmd(["a", "b"]))["config"]["Cmd"] == ["a", "b"]
    kept = config(base().cmd([]))["config"]
    assert (kept["Entrypoint"], "Cmd" in kept) == (["/entry"], False)


def test_triggers_are_those_of_the_build_alone() -> None:
    assert config(base().onbuild("RUN y"))["config"]["OnBuild"] == ["RUN y"]


def test_environment_directory_and_user_of_the_state_count() -> None:
    found = config(base().env(LANG="de", NEW="1").dir("sub").user("0"))["config"]
    assert found["Env"] == ["PATH=/bin", "LANG=de", "NEW=1"]
    assert (found["WorkingDir"], found["User"]) == ("/app/sub", "0")


def test_labels_ports_and_volumes_add_up() -> None:
    found = config(base().label("b", "3").label("c", "4").expose(53, "80/udp").volume("/more").stop_signal("SIGTERM"))[
        "config"
    ]
    assert found["Labels"] == {"a": "1", "b": "3", "c": "4"}
    assert set(found["ExposedPorts"]) == {"80/tcp", "53/tcp", "80/udp"}
    assert found["Volumes"] == {"/data": {}, "/more": {}}
    assert found["StopSignal"] == "SIGTERM"


def test_an_image_from_nothing_has_the_usual_path_and_the_root_as_its_directory() -> None:
    found = config(pyllb.fs().mkdir("/a").env(A="1"))
    assert found["config"] == {"Env": [PATH, "A=1"], "WorkingDir": "/"}
    assert config(pyllb.fs().mkdir("/a").env(PATH="/x"))["config"]["Env"] == ["PATH=/x"]
    windows = lowered(pyllb.fs().mkdir("/a"), platform=pyllb.Platform("windows", "amd64", "", "10.0")).image
    assert windows is not None
    assert json.loads(windows) == {
        "architecture": "amd64",
        "os": "windows",
        "os.version": "10.0",
        "config": {"WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": []},
    }


def test_a_base_image_without_a_path_gets_the_usual_one_as_in_a_dockerfile() -> None:
    image = lowered(pyllb.image("base"), {REF: b'{"os": "linux", "architecture": "amd64", "config": {"Env": ["A=1"]}}'})
    assert image.image is not None
    assert json.loads(image.image)["config"] == {"Env": [PATH, "A=1"]}


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ("[]", "config"),
        ('{"Env": 1}', "Env"),
        ('{"Env": [1]}', "Env"),
        ('{"User": 1000}', "User"),
        ('{"WorkingDir": ["/"]}', "WorkingDir"),
    ],
)
def test_a_config_whose_fields_are_of_another_kind_is_an_error_that_names_the_field(config: str, field: str) -> None:
    with pytest.raises(OptionError, match=f"an image config whose {field} is "):
        lowered(pyllb.image("base"), {REF: f'{{"config": {config}}}'.encode()})


def test_text_of_a_base_image_that_is_no_unicode_is_no_fault() -> None:
    image = lowered(pyllb.image("base"), {REF: b'{"author": "\\ud800"}'}).image
    assert image is not None
    assert json.loads(image)["author"] == "?"


def test_nothing_at_all_has_no_config_and_something_said_of_it_has_one() -> None:
    assert lowered(pyllb.fs()).image is None
    assert lowered(pyllb.fs().label("a", "1")).image is not None


def test_the_platform_of_the_state_is_that_of_the_image() -> None:
    found = config(pyllb.fs().platform("linux/arm/v6").mkdir("/a"))
    assert (found["os"], found["architecture"], found["variant"]) == ("linux", "arm", "v6")


def test_annotations_are_handed_on_and_are_no_part_of_the_config() -> None:
    node = pyllb.fs().mkdir("/a").annotate("org.opencontainers.image.title", "t")
    assert lowered(node).annotations == (("annotation.org.opencontainers.image.title", "t"),)


def test_an_annotation_is_for_one_of_four_places() -> None:
    node = pyllb.image("base").annotate("a", "1").annotate("a", "2", on="index")
    node = node.annotate("a", "3", on="manifest-descriptor").annotate("a", "4", on="index-descriptor").annotate("a", "")
    assert dict(lowered(node).annotations) == {
        "annotation-index.a": "2",
        "annotation-manifest-descriptor.a": "3",
        "annotation-index-descriptor.a": "4",
        "annotation.a": "",
    }


def test_history_comes_after_that_of_the_base_and_keeps_its_order() -> None:
    node = base().history("one", created=1.5).history("two", comment="c", author="a", empty_layer=False)
    assert config(node)["history"] == [
        *BASE["history"],
        {"created": "1970-01-01T00:00:01.5Z", "created_by": "one", "empty_layer": True},
        {"created_by": "two", "author": "a", "comment": "c"},
    ]
    assert config(pyllb.fs().history("x"))["history"] == [{"created_by": "x", "empty_layer": True}]


def test_the_time_of_creation_is_the_builds_own() -> None:
    assert "created" not in config(base())
    assert config(base().created(0))["created"] == "1970-01-01T00:00:00Z"
    assert config(base().created(-1))["created"] == "1969-12-31T23:59:59Z"
    when = datetime(2024, 2, 29, 12, 0, 0, 120, tzinfo=timezone(timedelta(hours=1)))
    assert config(base().created(when))["created"] == "2024-02-29T11:00:00.00012Z"


def test_a_shell_that_is_not_the_usual_one_is_in_the_config() -> None:
    assert config(base().shell("/bin/zsh", "-c"))["config"]["Shell"] == ["/bin/zsh", "-c"]
    assert "Shell" not in config(pyllb.fs().mkdir("/a"))["config"]
