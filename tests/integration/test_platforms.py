"""One build for several platforms: an image index, or a directory for each."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

import pyllb
from pyllb import FS, Client, fs, local
from pyllb.errors import ExecError, UsageError
from pyllb.ir.platform import Platform
from tests.testbed import Testbed

BOTH = "linux/amd64,linux/arm/v6"


@pytest.fixture
def node(tmp_path: Path) -> FS:
    """An image with a file of this side, made by no command, so that any machine can make it for any platform."""
    (tmp_path / "context").mkdir()
    (tmp_path / "context/file").write_text("here")
    return fs().copy(local(tmp_path / "context"), "/file", "/file").env(A="b").entrypoint("/file").label("x", "y")


def layout(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        files = {name.name: tar.extractfile(name) for name in tar.getmembers() if name.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


def blob(files: dict[str, bytes], digest: str) -> Any:
    return json.loads(files[f"blobs/{digest.replace(':', '/')}"])


def test_an_image_for_several_platforms_is_an_index(client: Client, node: FS, tmp_path: Path) -> None:
    out = tmp_path / "x.tar"
    result = client.solve(node, platform=BOTH, output=f"type=oci,dest={out}")
    files = layout(out)
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["digest"] == result.digest
    index = blob(files, entry["digest"])
    platforms = [manifest["platform"] for manifest in index["manifests"]]
    assert platforms == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm", "os": "linux", "variant": "v6"},
    ]
    for manifest, platform in zip(index["manifests"], platforms, strict=True):
        config = blob(files, blob(files, manifest["digest"])["config"]["digest"])
        assert (config["os"], config["architecture"], config.get("variant")) == (
            platform["os"],
            platform["architecture"],
            platform.get("variant"),
        )
        assert config["config"] == {
            "Env": config["config"]["Env"],
            "Entrypoint": ["/file"],
            "Labels": {"x": "y"},
            "WorkingDir": "/",
        }


def test_an_index_is_pushed_and_each_platform_found_in_it(
    client: Client, node: FS, testbed: Testbed, tmp_path: Path
) -> None:
    name = f"{testbed.registry}/platforms/app:1"
    client.solve(node, platform=["linux/amd64", Platform("linux", "arm64")], output=f"type=image,name={name},push=true")
    for platform in ("linux/amd64", "linux/arm64"):
        assert client.read_file(fs().image(name), "/file", platform=platform) == b"here"
        config = json.loads(client.resolve(name, platform=platform).config)
        assert config["architecture"] == platform.partition("/")[2]
    with pytest.raises(pyllb.errors.ResolveError):
        client.resolve(name, platform="linux/s390x")


def test_files_of_several_platforms_have_a_directory_each(client: Client, node: FS, tmp_path: Path) -> None:
    result = client.solve(node, platform=BOTH, output=f"type=local,dest={tmp_path}/out")
    for name in ("linux_amd64", "linux_arm_v6"):
        assert (tmp_path / "out" / name / "file").read_text() == "here"
    copies = [step.name for step in result.steps if step.name.startswith("copy")]
    assert (result.cache.total, len(copies)) == (1, 1), "what is the same for all is done once"


def test_a_platform_that_was_asked_for_is_no_reason_to_warn(client: Client, node: FS, tmp_path: Path) -> None:
    output = f"type=oci,dest={tmp_path}/x.tar"
    for platform in ("linux/s390x", BOTH):
        assert client.solve(node, platform=platform, output=output).warnings == ()
    assert client.solve(node.platform("linux/s390x").mkfile("/x", ""), output=output).warnings == ()


def test_an_image_for_another_platform_than_asked_for_is_warned_of(client: Client, tmp_path: Path) -> None:
    node = fs().platform("linux/s390x").mkfile("/x", "")
    (warning,) = client.solve(node, platform="linux/arm64", output=f"type=oci,dest={tmp_path}/x.tar").warnings
    assert warning.short == 'Requested platform "linux/arm64" does not match result platform "linux/s390x"'


@pytest.mark.parametrize("of", ["state", "image"])
def test_an_index_whose_images_are_all_for_one_platform_is_warned_of(client: Client, tmp_path: Path, of: str) -> None:
    pinned = fs().platform("linux/amd64") if of == "state" else fs().image("busybox", platform="linux/amd64")
    found = client.solve(pinned.mkfile("/x", ""), platform=BOTH, output=f"type=oci,dest={tmp_path}/x.tar").warnings
    assert [warning.short for warning in found] == [
        "what is made for linux/arm/v6 is for linux/amd64: the build names that platform for its result"
    ]


def test_a_step_that_fails_for_one_platform_has_its_line(client: Client, node: FS) -> None:
    base = fs().image("busybox", platform="linux/amd64")
    with pytest.raises(ExecError, match="exit code 7") as caught:
        client.solve(base.copy(node, "/file", "/").run("exit 7", platform="linux/amd64"), platform=BOTH)
    assert caught.value.sources[0].filename == __file__


def test_what_is_for_one_platform_alone_says_so(client: Client, node: FS, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="type=docker is an image for one platform; type=oci may be for several"):
        client.solve(node, platform=BOTH, output=f"type=docker,dest={tmp_path}/x.tar")
    with pytest.raises(UsageError, match="platform: linux/amd64, linux/arm/v6 are several, which solve alone takes"):
        client.read_file(node, "/file", platform=BOTH)
    with pytest.raises(UsageError, match="platform: linux/amd64 stands twice"):
        client.solve(node, platform=["linux/amd64", "linux/x86_64"])
    with pytest.raises(UsageError, match="platform: 3 is none"):
        client.solve(node, platform=[3])  # type: ignore[list-item]  # what is tested


def test_an_index_may_have_annotations(client: Client, node: FS, tmp_path: Path) -> None:
    client.solve(node.annotate("a", "1", on="index"), platform=BOTH, output=f"type=oci,dest={tmp_path}/x.tar")
    files = layout(tmp_path / "x.tar")
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert blob(files, entry["digest"])["annotations"] == {"a": "1"}
