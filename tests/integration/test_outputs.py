"""Outputs: what exporters leave on this side, read by programs that are not ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import pyllb
from pyllb import FS, Client, fs
from pyllb.client import Export
from pyllb.errors import ExecError, SessionError, UsageError
from tests.testbed import Testbed

pytestmark = pytest.mark.usefixtures("nothing_left")


def image(word: str) -> FS:
    """A small image with a file, and a config to look at."""
    return (
        fs()
        .image("busybox")
        .run(f"echo {word} > /word")
        .env(WORD=word)
        .dir("/work")
        .user("1000:1000")
        .entrypoint("/bin/cat", "/word")
        .label("word", word)
    )


def skopeo(*arguments: str) -> dict[str, object]:
    """What `skopeo inspect` says."""
    done = subprocess.run(["skopeo", "inspect", *arguments], capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_two_outputs_of_one_solve_both_arrive(client: Client, nonce: str, tmp_path: Path) -> None:
    result = client.solve(
        image(nonce), output=[f"type=tar,dest={tmp_path}/root.tar", Export("local", tmp_path / "root")]
    )
    assert (tmp_path / "root" / "word").read_text() == f"{nonce}\n"
    with tarfile.open(tmp_path / "root.tar") as tar:
        word = tar.extractfile("word")
        assert word is not None
        assert word.read() == f"{nonce}\n".encode()
        assert tar.getmember("bin/busybox").mode & 0o111
    assert result.digest is None


def test_oci_and_docker_tars_load_in_skopeo_with_the_config_that_was_set(
    client: Client, nonce: str, tmp_path: Path
) -> None:
    result = client.solve(
        image(nonce),
        output=[f"type=oci,dest={tmp_path}/oci.tar", f"type=docker,dest={tmp_path}/docker.tar,name=words:1"],
    )
    assert result.digest is not None
    assert result.digest.startswith("sha256:")
    for place in (f"oci-archive:{tmp_path}/oci.tar", f"docker-archive:{tmp_path}/docker.tar"):
        config = skopeo("--config", place)["config"]
        assert isinstance(config, dict)
        assert config["Entrypoint"] == ["/bin/cat", "/word"]
        assert config["WorkingDir"] == "/work"
        assert config["User"] == "1000:1000"
        assert config["Labels"] == {"word": nonce}
        assert f"WORD={nonce}" in config["Env"]
        assert any(entry.startswith("PATH=") for entry in config["Env"])
        subprocess.run(["skopeo", "copy", "-q", place, f"dir:{tmp_path}/{place[:3]}"], check=True)
    with tarfile.open(tmp_path / "docker.tar") as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        assert json.load(manifest)[0]["RepoTags"] == ["words:1"]


def test_annotations_are_on_the_manifest(client: Client, nonce: str, tmp_path: Path) -> None:
    node = image(nonce).annotate("org.opencontainers.image.title", nonce)
    client.solve(node, output=f"type=oci,dest={tmp_path}/oci.tar")
    raw = subprocess.run(
        ["skopeo", "inspect", "--raw", f"oci-archive:{tmp_path}/oci.tar"], capture_output=True, check=True
    )
    assert json.loads(raw.stdout)["annotations"]["org.opencontainers.image.title"] == nonce


def test_an_image_of_files_alone_has_a_config_of_its_own(client: Client, tmp_path: Path) -> None:
    client.solve(fs().mkfile("/a", b"a").entrypoint("/a"), output=f"type=oci,dest={tmp_path}/oci.tar")
    found = skopeo("--config", f"oci-archive:{tmp_path}/oci.tar")
    assert found["os"] == "linux"
    config = found["config"]
    assert isinstance(config, dict)
    assert config["Entrypoint"] == ["/a"]


def test_a_build_that_fails_leaves_the_old_file_as_it_was(client: Client, nonce: str, tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_text("the old one")
    with pytest.raises(ExecError):
        client.solve(fs().image("busybox").run(f"echo {nonce}; false"), output=f"type=tar,dest={tmp_path}/root.tar")
    assert (tmp_path / "root.tar").read_text() == "the old one"
    assert [path.name for path in tmp_path.iterdir()] == ["root.tar"]


def test_a_directory_keeps_what_is_in_it_already(client: Client, nonce: str, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    client.solve(fs().mkfile("/theirs", nonce.encode()), output=f"type=local,dest={tmp_path}")
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "theirs").read_text() == nonce


def test_a_tar_may_go_to_standard_output(testbed: Testbed, nonce: str, tmp_path: Path) -> None:
    script = f"import pyllb; pyllb.solve(pyllb.fs().mkfile('/word', b'{nonce}'), output='type=tar,dest=-')"
    with (tmp_path / "out.tar").open("wb") as out:
        subprocess.run(
            [sys.executable, "-c", script], stdout=out, check=True, env={**os.environ, "BUILDKIT_HOST": testbed.address}
        )
    with tarfile.open(tmp_path / "out.tar") as tar:
        word = tar.extractfile("word")
        assert word is not None
        assert word.read() == nonce.encode()


def test_a_destination_that_cannot_be_is_told_before_anything_runs(client: Client, nonce: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    (tmp_path / "dir").mkdir()
    node = fs().image("busybox").run(f"echo {nonce}")
    for output, message in (
        (f"type=local,dest={tmp_path}/file", "is a file"),
        (f"type=tar,dest={tmp_path}/dir", "is a directory"),
        (f"type=tar,dest={tmp_path}/nowhere/out.tar", "does not exist"),
        (f"type=local,dest={tmp_path}/file/below", "cannot be made|cannot be used"),
    ):
        with pytest.raises(UsageError, match=message):
            client.solve(node, output=output)
    assert client.solve(node).cache.cached == 0  # it never ran


def test_a_destination_that_becomes_unwritable_is_an_error_of_this_side(client: Client, nonce: str) -> None:
    with pytest.raises(SessionError, match="cannot write") as caught:
        client.solve(fs().mkfile("/word", nonce.encode() * 1000), output="type=tar,dest=/dev/full")
    assert str(caught.value) == "cannot write '/dev/full': No space left on device"


def test_what_the_daemon_holds_equals_what_came_back(client: Client, nonce: str, tmp_path: Path) -> None:
    client.solve(image(nonce), output=f"type=local,dest={tmp_path}/once")
    again = fs().copy(pyllb.local(tmp_path / "once", name="once"), "/", "/")
    client.solve(again, output=f"type=local,dest={tmp_path}/twice")
    subprocess.run(["diff", "-r", tmp_path / "once" / "bin", tmp_path / "twice" / "bin"], check=True)
    assert (tmp_path / "twice" / "word").read_text() == f"{nonce}\n"
