"""The images: what the testbed's registry serves in place of Docker Hub's, made from Debian packages.

debian   bookworm, minbase: as the official one in content, without manuals and translations (as its slim variant).
golang   debian, the compilers and git that the official image has, and this machine's Go at /usr/local/go. Every tag,
         "1.25" too, is that one Go: the tags are there to be pulled, not to test versions of Go.
python   debian with Debian's python3 and pip, as `python` and `python3`; not built from source as the official one.
busybox  Debian's static busybox with its applets as links. `alpine` is the same root filesystem under another name: it
         has no apk and no musl, and stands only for "a small image".

golang and python hold this machine's certificate bundle, so that a download inside a step trusts what the machine does.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.testbed import debian, layer, registry, store
from tests.testbed.layer import Layer
from tests.testbed.report import say, step

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CREATED = "2025-06-15T15:06:40Z"  # debian.EPOCH
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

_PROGRAMS = {"mmdebstrap": "mmdebstrap", "docker-registry": "docker-registry"}
_PACKAGES = {
    "debian": (),
    "golang": ("ca-certificates", "g++", "gcc", "git", "libc6-dev", "make", "pkg-config", "wget"),
    "python": ("ca-certificates", "python3", "python3-pip", "python3-venv"),
}
_PYTHON_HOOKS = (
    'ln -s python3 "$1/usr/bin/python"',
    'rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',  # the official image's pip installs without a flag
)


@dataclass(frozen=True)
class Image:
    """repository, tags: where it is pushed. layers: the lowest first. config: as in an image config."""

    repository: str
    tags: list[str]
    layers: list[Layer]
    config: dict[str, object] = field(default_factory=dict)


def storage() -> Path:
    """The directory of a registry's storage that holds all the images, made when its inputs have changed."""
    return store.artefact("images", _inputs(), _make) / "storage"


def go_version() -> str:
    """The machine's Go, as "1.26.8"."""
    return _go("GOVERSION").removeprefix("go")


def certificates() -> bytes:
    """The machine's own bundle of trusted certificates."""
    given = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().openssl_cafile
    for place in (given, _BUNDLE):
        if place and Path(place).is_file():
            return Path(place).read_bytes()
    return b""


def _inputs() -> str:
    """The mirror is no input: which one is known changes when apt-get updates its lists, and the packages do not."""
    modules = (__file__, debian.__file__, layer.__file__, registry.__file__)
    go = f"{_go('GOROOT')} {go_version()}"
    return store.digest(*(Path(m) for m in modules), go, debian.architecture(), certificates())


def _make(place: Path) -> None:
    debian.ensure(_PROGRAMS, "images are made with mmdebstrap and served by docker-registry")
    work = place / "work"
    work.mkdir()
    with step("making the images debian, golang, python, busybox", "Docker Hub's own need not be reachable"):
        images = _images(work)
    with step("pushing them to a registry", "its storage is what the mirror starts with"):
        _push(place, images)
    shutil.rmtree(work)


def _push(place: Path, images: list[Image]) -> None:
    platform = {"os": "linux", "architecture": debian.architecture()}
    served = registry.serve(place)
    try:
        pusher = registry.Pusher(served.host)
        for image in images:
            config = _image_config(image, platform)
            pusher.image(image.repository, image.tags, image.layers, config, platform)
        pusher.close()
    finally:
        served.stop()


def _images(work: Path) -> list[Image]:
    """All images. The root filesystems are made side by side: each waits for packages most of the time."""
    tars = {name: work / f"{name}.tar" for name in _PACKAGES}
    with ThreadPoolExecutor(thread_name_prefix="testbed-image") as pool:
        busy = pool.submit(_busybox, work)
        go = pool.submit(_go_layer, work / "go.gz")
        jobs = [pool.submit(_root_tar, name, tar) for name, tar in tars.items()]
        for job in jobs:
            job.result()
        base = pool.submit(layer.difference, tars["debian"], work / "debian.gz")
        parts = {
            name: pool.submit(layer.difference, tars[name], work / f"{name}.gz", below=tars["debian"])
            for name in ("golang", "python")
        }
        debian_layers = [base.result()]
        trust = _trust(work / "trust.gz")
        golang = [*debian_layers, parts["golang"].result(), trust, go.result()]
        return [
            *_small(busy.result()),
            Image("library/debian", ["latest", "bookworm", "bookworm-slim", "12"], debian_layers, _runs(["bash"])),
            Image("library/golang", _go_tags(), golang, _go_config()),
            Image(
                "library/python", _python_tags(), [*debian_layers, parts["python"].result(), trust], _runs(["python3"])
            ),
        ]


def _small(root: Layer) -> list[Image]:
    busybox = Image("library/busybox", ["latest", "1.35", "musl", "glibc"], [root], _runs(["sh"]))
    return [busybox, Image("library/alpine", ["latest", "3", "3.20"], [root], _runs(["/bin/sh"]))]


def _root_tar(name: str, target: Path) -> None:
    debian.root_tar(target, include=_PACKAGES[name], hooks=_PYTHON_HOOKS if name == "python" else ())
    say(f"  {name}: {target.stat().st_size >> 20} MiB of packages")


def _runs(command: list[str], *env: str, path: str = _PATH, directory: str = "") -> dict[str, object]:
    config: dict[str, object] = {"Env": [f"PATH={path}", *env], "Cmd": command}
    return {**config, "WorkingDir": directory} if directory else config


def _go_config() -> dict[str, object]:
    env = (f"GOLANG_VERSION={go_version()}", "GOTOOLCHAIN=local", "GOPATH=/go")
    return _runs(["bash"], *env, path=f"/go/bin:/usr/local/go/bin:{_PATH}", directory="/go")


def _go_tags() -> list[str]:
    version = go_version()
    return list(dict.fromkeys(["latest", "1", "bookworm", version.rpartition(".")[0], version, "1.26", "1.25"]))


def _python_tags() -> list[str]:
    return ["latest", "3", "3.11", "slim", "3.11-slim", "3.12", "3.13", "bookworm"]


def _go_layer(target: Path) -> Layer:
    # `test` and `api` hold tests of Go itself, a quarter of all its files; no build reads them.
    out, shared = frozenset({"test", "api"}), ("go", "go/bin", "go/src")
    return layer.of_tree(Path(_go("GOROOT")), "usr/local/go", target, leave_out=out, shared=shared)


def _trust(target: Path) -> Layer:
    with layer.Writer(target) as writer:
        layer.add(writer, _BUNDLE, certificates())
    return writer.layer


def _busybox(work: Path) -> Layer:
    """busybox-static's program and the links its own list asks for, in the directories that any root has."""
    package = work / "busybox"
    package.mkdir()
    debian.download("busybox-static", package)
    program = (package / "bin/busybox").read_bytes()
    links = subprocess.run([package / "bin/busybox", "--list"], check=True, stdout=subprocess.PIPE, text=True)
    with layer.Writer(work / "busybox.gz") as writer:
        for name in ("bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "usr/sbin", "var"):
            layer.add_directory(writer, name)
        layer.add_directory(writer, "tmp", 0o1777)
        layer.add(writer, "bin/busybox", program, 0o755)
        for name in links.stdout.split():
            if name != "busybox":
                layer.add_link(writer, f"bin/{name}", "busybox")
        layer.add(
            writer, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
        )
        layer.add(writer, "etc/group", b"root:x:0:\nnogroup:x:65534:\n")
        layer.add_link(writer, "usr/bin/env", "../../bin/busybox")
    return writer.layer


def _image_config(image: Image, platform: dict[str, str]) -> dict[str, object]:
    return {
        **platform,
        "created": _CREATED,
        "config": image.config,
        "rootfs": {"type": "layers", "diff_ids": [one.diff_id for one in image.layers]},
        "history": [
            {"created": _CREATED, "created_by": f"testbed {image.repository}", "comment": one.diff_id}
            for one in image.layers
        ],
    }


def _go(variable: str) -> str:
    if shutil.which("go") is None:
        raise RuntimeError("there is no go program on the PATH; the testbed needs Go 1.26 or newer")
    done = subprocess.run(["go", "env", variable], check=True, stdout=subprocess.PIPE, text=True, cwd="/")
    return done.stdout.strip()
