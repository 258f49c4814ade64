"""OCI layouts: images and blobs that the daemon reads from a directory of this side."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from pyllb import FS, Client, bind, fs
from pyllb.errors import SessionError, UsageError
from tests.conftest import Buildctl
from tests.layouts import add, add_image, add_index, digest_of, layout_of, tagged, write_index
from tests.testbed import Testbed

pytestmark = pytest.mark.usefixtures("nothing_left")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def layout(client: Client, nonce: str, tmp_path: Path) -> Path:
    """A layout that the daemon's oci exporter wrote: an image words:1 with a file, a variable and a directory."""
    image = fs().image("busybox").mkdir("/work").mkfile("/work/word", nonce).env(WORD=nonce).dir("/work")
    client.solve(image.entrypoint("/bin/cat", "word"), output=f"type=oci,dest={tmp_path}/words.tar,name=words:1")
    with tarfile.open(tmp_path / "words.tar") as tar:
        tar.extractall(tmp_path / "layout", filter="data")
    return tmp_path / "layout"


def digest_in(layout: Path) -> str:
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    digest: str = entry["digest"]
    return digest


def checked(base: FS) -> FS:
    """A step that fails unless it runs in the image of the layout, in the image's own directory."""
    return base.run('test "$(cat word)" = "$WORD" && test "$PWD" = /work && echo "$WORD" > /seen')


@pytest.mark.parametrize("ref", ["layouts/words:1", "docker.io/library/words:1", "layouts/words@{}", "x/y:z@{}"])
def test_an_image_of_a_layout_is_an_image(client: Client, nonce: str, layout: Path, tmp_path: Path, ref: str) -> None:
    node = checked(fs().oci_layout(ref.format(digest_in(layout)), store="base"))
    client.solve(
        node,
        output=[f"type=local,dest={tmp_path}/out", f"type=oci,dest={tmp_path}/out.tar"],
        oci_layouts={"base": layout},
    )
    assert (tmp_path / "out" / "seen").read_text() == f"{nonce}\n"
    done = subprocess.run(
        ["skopeo", "inspect", "--config", f"oci-archive:{tmp_path}/out.tar"], capture_output=True, check=True
    )
    config = json.loads(done.stdout)["config"]
    assert config["Entrypoint"] == ["/bin/cat", "word"]
    assert config["WorkingDir"] == "/work"
    assert f"WORD={nonce}" in config["Env"]


def sums(*sources: FS) -> FS:
    """What sha256sum says of the file `data` of each source, in /sums."""
    mounts = [bind(source, f"/{number}", readonly=True) for number, source in enumerate(sources)]
    return fs().image("busybox").run("sha256sum /[0-9]/data > /sums", mounts=mounts)


def test_layers_that_the_daemon_does_not_have_come_from_two_layouts_at_once(client: Client, tmp_path: Path) -> None:
    data = [os.urandom(5 << 20), os.urandom(100)]
    sources = []
    for name, content in zip("ab", data, strict=True):
        path = layout_of(tmp_path / name).path
        write_index(path, tagged(add_image(path, {"data": content}), "1"))
        sources.append(fs().oci_layout("layouts/x:1", store=name))
    given = {name: tmp_path / name for name in "ab"}
    client.solve(sums(*sources), output=f"type=local,dest={tmp_path}/out", oci_layouts=given)
    found = (tmp_path / "out" / "sums").read_text().split()[::2]
    assert found == [hashlib.sha256(content).hexdigest() for content in data]


def test_a_blob_of_a_layout_is_a_file(client: Client, nonce: str, tmp_path: Path) -> None:
    content = nonce.encode() + os.urandom(3 << 20)
    path = layout_of(tmp_path / "layout", content).path
    node = fs().oci_layout_blob(f"some/name@{digest_of(content)}", store="files", filename="data", mode=0o640)
    client.solve(node, output=f"type=local,dest={tmp_path}/out", oci_layouts={"files": path})
    assert (tmp_path / "out" / "data").read_bytes() == content
    assert (tmp_path / "out" / "data").stat().st_mode & 0o777 == 0o640


def test_a_bundle_of_git_comes_from_a_layout(client: Client, nonce: str, tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=x", "-c", "user.email=x"]
        done = subprocess.run(["git", *who, "-C", str(tmp_path), *words], capture_output=True, check=True, text=True)
        return done.stdout.strip()

    git("init", "-q", "-b", "main", "repository")
    (tmp_path / "repository" / "word").write_text(nonce)
    git("-C", "repository", "add", "word")
    git("-C", "repository", "commit", "-q", "-m", "word")
    git("-C", "repository", "bundle", "create", "-q", "../it.bundle", "main")
    bundle = (tmp_path / "it.bundle").read_bytes()
    commit = git("-C", "repository", "rev-parse", "main")
    layout = layout_of(tmp_path / "layout", bundle).path
    for store, name in (("files", "files"), (None, "bundles/it")):  # without a store, it is as the place says
        node = fs().git(
            f"https://localhost/{nonce}{name}.git",
            ref="main",
            checksum=commit,
            bundle=f"oci-layout+blob://bundles/it@{digest_of(bundle)}",
            bundle_store=store,
        )
        client.solve(node, output=f"type=local,dest={tmp_path}/out/{store}", oci_layouts={name: layout})
        assert (tmp_path / "out" / str(store) / "word").read_text() == nonce


@pytest.mark.parametrize("nested", [False, True])
def test_an_index_gives_the_image_of_the_platform(client: Client, nonce: str, tmp_path: Path, nested: bool) -> None:
    path = layout_of(tmp_path / "layout").path
    images = [
        add_image(path, {"data": f"{word} {nonce}".encode()}, architecture=word, config={"Env": [f"ARCH={word}"]})
        for word in ("amd64", "arm64")
    ]
    index = add_index(path, *images)
    write_index(path, tagged(add_index(path, index) if nested else index, "both"))
    for word in ("amd64", "arm64"):
        source = fs().platform(f"linux/{word}").oci_layout("layouts/x:both", store="x")
        client.solve(source, output=f"type=local,dest={tmp_path}/{word}", oci_layouts={"x": path})
        assert (tmp_path / word / "data").read_text() == f"{word} {nonce}"
        assert f"ARCH={word}" in client.dump(source.run("true"), oci_layouts={"x": path}).to_tree()


def test_a_layer_that_a_layout_lacks_is_an_error_of_this_side(client: Client, tmp_path: Path) -> None:
    path = layout_of(tmp_path / "layout").path
    image = add_image(path, {"data": os.urandom(10)})
    write_index(path, tagged(image, "1"))
    manifest = json.loads((path / "blobs/sha256" / str(image["digest"]).partition(":")[2]).read_text())
    layer = manifest["layers"][0]["digest"]
    (path / "blobs/sha256" / layer.partition(":")[2]).unlink()
    with pytest.raises(SessionError, match=f"/layout' has no blob {layer}"):
        client.solve(sums(fs().oci_layout("layouts/x:1", store="x")), oci_layouts={"x": path})


def test_what_is_wrong_is_told_before_the_daemon_is_asked(client: Client, tmp_path: Path) -> None:
    path = layout_of(tmp_path / "layout").path
    write_index(path, tagged(add(path, b"x"), "v1"))
    node = fs().oci_layout("layouts/x:v2", store="base")
    with pytest.raises(UsageError, match=r"OCI layout 'base' is read here but was not given.*did you mean 'bass'") as e:
        client.solve(node, oci_layouts={"bass": path})
    assert e.value.sources[0].filename == __file__
    for act in (client.solve, client.dump):
        with pytest.raises(UsageError, match="/layout' has no image of the tag 'v2'; there is 'v1'") as e:
            act(node, oci_layouts={"base": path})
        assert e.value.sources[0].filename == __file__
    absent = "sha256:" + "0" * 64
    with pytest.raises(UsageError, match=f"OCI layout 'base' in '.*/layout' has no blob {absent}"):
        client.solve(fs().oci_layout_blob(f"x@{absent}", store="base"), oci_layouts={"base": path})
    with pytest.raises(UsageError, match=r"OCI layout 'base': '.*' is not an OCI layout: it has no file 'oci-layout'"):
        client.solve(node, oci_layouts={"base": tmp_path})
    with pytest.raises(UsageError, match="the name 'ü' has more than printable ASCII"):
        client.solve(node, oci_layouts={"ü": path})
    with pytest.raises(UsageError, match="has no name; write store=NAME"):
        client.solve(fs().oci_layout("layouts/x:v1"), oci_layouts={"base": path})
    with pytest.raises(UsageError, match="'base' is read here but was not given"):
        client.dump(node)


BUILD = """
from pyllb import FS, fs, target

@target
def default() -> FS:
    return fs().oci_layout("layouts/words:1", store="base").run('test "$(cat word)" = "$WORD" && echo "$WORD" > /seen')
"""


def test_the_command_and_buildctl_solve_the_same_dump(
    testbed: Testbed, buildctl: Buildctl, nonce: str, layout: Path, tmp_path: Path
) -> None:
    (tmp_path / "build.py").write_text(BUILD)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "BUILDKIT_HOST": testbed.address}

    def pyllb(*words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "pyllb.cli", *words], cwd=tmp_path, env=env, capture_output=True
        )

    solved = pyllb("solve", "--oci-layout", "base=layout", "--output", "type=local,dest=ours")
    assert solved.returncode == 0, solved.stderr.decode()
    dumped = pyllb("dump", "--oci-layout", "base=layout")
    assert dumped.returncode == 0, dumped.stderr.decode()
    assert dumped.stderr == b"buildctl needs: --oci-layout base=layout\n"
    flags = ["--oci-layout", "base=layout", "--output", "type=local,dest=theirs"]
    buildctl("build", *flags, input=dumped.stdout, cwd=tmp_path)
    for folder in ("ours", "theirs"):
        assert (tmp_path / folder / "seen").read_text() == f"{nonce}\n"
    refused = pyllb("solve", "--oci-layout", "layout")
    assert refused.returncode == 2
    assert b"--oci-layout 'layout' is not NAME=DIR" in refused.stderr
    forgotten = pyllb("solve")
    assert forgotten.returncode == 2
    assert b"build.py:6" in forgotten.stderr
    assert b"--oci-layout base=DIRECTORY" in forgotten.stderr
