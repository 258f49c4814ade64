"""OCI layouts that a build makes: the daemon writes into a directory of this side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyllb import FS, Client, fs
from pyllb.client import Export
from pyllb.errors import ExecError, SessionError
from pyllb.session.call import Call, Handler
from pyllb.session.content import Content
from pyllb.session.layout import Layout
from tests.conftest import Buildctl
from tests.testbed import Testbed

pytestmark = pytest.mark.usefixtures("nothing_left")

ROOT = Path(__file__).resolve().parents[2]


def image(word: str) -> FS:
    """Not all of it can be in the daemon already."""
    return fs().image("busybox").run(f"head -c 3000000 /dev/urandom > /large; echo {word} > /word").env(WORD=word)


def skopeo(place: str) -> dict[str, object]:
    """What `skopeo inspect` says, having read the manifest and the config."""
    done = subprocess.run(["skopeo", "inspect", place], capture_output=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def copied(place: str, to: Path) -> None:
    """Have skopeo read every blob, which it checks by its digest."""
    subprocess.run(["skopeo", "copy", "-q", place, f"dir:{to}"], check=True)


def entries(layout: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((layout / "index.json").read_text())["manifests"]
    return found


def files(path: Path) -> list[str]:
    return sorted(str(found.relative_to(path)) for found in path.rglob("*") if found.is_file())


def note_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods of the content store that the daemon calls from now on."""
    asked: list[str] = []
    methods = Content.methods

    def noted(name: str, handler: Handler) -> Handler:
        def call_it(call: Call) -> None:
            asked.append(name.rpartition("/")[2])
            handler(call)

        return call_it

    monkeypatch.setattr(
        Content, "methods", lambda self: {name: noted(name, handler) for name, handler in methods(self).items()}
    )
    return asked


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_a_layout_is_made_that_skopeo_and_a_build_read(
    client: Client, nonce: str, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = note_calls(monkeypatch)
    layout = tmp_path / "new" / "layout"
    made = client.solve(image(nonce), output=f"type={kind},tar=false,dest={layout},name=words:1")
    assert set(asked) == {"Write"}  # all that the daemon needs of a store that it writes to
    (entry,) = entries(layout)
    assert entry["digest"] == made.digest
    names = {"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "docker.io/library/words:1"}
    annotations = entry["annotations"]
    assert isinstance(annotations, dict)
    assert annotations.items() >= names.items()
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert f"WORD={nonce}" in str(skopeo(f"oci:{layout}:1")["Env"])
    copied(f"oci:{layout}:1", tmp_path / "copied")
    node = fs().oci_layout("layouts/words:1", store="base").run('test "$WORD" = "$(cat /word)"')
    client.solve(node, oci_layouts={"base": layout})


def test_one_layout_takes_several_images_and_the_same_one_again(client: Client, nonce: str, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    one, two = image(f"{nonce} one"), image(f"{nonce} two")
    client.solve(one, output=f"type=oci,tar=false,dest={layout},name=a:1")
    before = files(layout)
    client.solve(one, output=f"type=oci,tar=false,dest={layout},name=a:1")
    assert files(layout) == before
    client.solve(two, output=Export("oci", layout, {"tar": "false", "name": "a:2,localhost:5000/b:3"}))
    client.solve(two, output=f"type=oci,tar=false,dest={layout}")
    assert [manifest.tag for manifest in Layout(layout).manifests()] == ["1", "2", "3", "latest"]
    assert Layout(layout).manifests()[2].name == "localhost:5000/b:3"
    assert "one" in str(skopeo(f"oci:{layout}:1")["Env"])
    assert "two" in str(skopeo(f"oci:{layout}:2")["Env"])


def test_another_output_does_not_change_which_image_the_index_has(client: Client, nonce: str, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    outputs = [f"type=oci,tar=false,dest={layout},name=a:1", f"type=docker,dest={tmp_path}/docker.tar,name=b:2"]
    for order in (outputs, outputs[::-1]):
        client.solve(image(nonce), output=order)
        (entry,) = entries(layout)
        assert entry["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
        copied(f"oci:{layout}:1", tmp_path / "copied")


def test_a_build_that_fails_makes_no_layout(client: Client, nonce: str, tmp_path: Path) -> None:
    with pytest.raises(ExecError):
        client.solve(
            fs().image("busybox").run(f"echo {nonce}; false"), output=f"type=oci,tar=false,dest={tmp_path}/layout"
        )
    assert not (tmp_path / "layout").exists()


def test_a_layout_that_cannot_be_written_to_is_an_error_of_this_side(
    client: Client, nonce: str, tmp_path: Path
) -> None:
    (tmp_path / "layout").mkdir()
    (tmp_path / "layout" / "blobs").touch()
    with pytest.raises(SessionError, match=f"cannot write to '{tmp_path}/layout': "):
        client.solve(image(nonce), output=f"type=oci,tar=false,dest={tmp_path}/layout")
    assert files(tmp_path) == ["layout/blobs"]


BUILD = """
from pyllb import FS, fs, target

@target
def default() -> FS:
    return fs().image("busybox").run("echo {word} > /word")
"""


def test_the_command_makes_the_layout_that_buildctl_makes(
    testbed: Testbed, buildctl: Buildctl, nonce: str, tmp_path: Path
) -> None:
    (tmp_path / "build.py").write_text(BUILD.replace("{word}", nonce))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "BUILDKIT_HOST": testbed.address}

    def pyllb(*words: str) -> bytes:
        command = [sys.executable, "-W", "error", "-m", "pyllb.cli", *words]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    spec = "type=oci,tar=false,name=words:1,dest="
    pyllb("solve", "--output", f"{spec}ours")
    buildctl("build", "--output", f"{spec}theirs", input=pyllb("dump"), cwd=tmp_path)
    (mine,), (theirs,) = (entries(tmp_path / folder) for folder in ("ours", "theirs"))
    assert set(mine.pop("annotations")) == set(theirs.pop("annotations"))  # type: ignore[call-overload]  # annotations are a mapping
    assert mine.keys() == theirs.keys()
    layers = [skopeo(f"oci:{tmp_path}/{folder}:1")["Layers"] for folder in ("ours", "theirs")]
    assert layers[0] == layers[1]
    modes = {path.stat().st_mode for path in (tmp_path / "ours" / "blobs" / "sha256").iterdir()}
    assert modes == {path.stat().st_mode for path in (tmp_path / "theirs" / "blobs" / "sha256").iterdir()}
