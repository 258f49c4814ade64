"""The engine without a daemon: configuration, discovery, installation, processes."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import platform
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyllb import engine
from pyllb.engine import files, installation, process
from pyllb.engine.config import Config
from pyllb.engine.probe import answers
from pyllb.errors import ConnectError, NoDaemonError


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing of pyllb's or buildkitd's is found."""
    for name in ("BUILDKIT_HOST", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYLLB_ENGINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return tmp_path


@contextmanager
def listening(path: Path, reply: bytes) -> Iterator[None]:
    """A server on a unix socket that gives one reply to each who connects, in a thread of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                connection, _ = server.accept()
                with connection:
                    if not connection.recv(64):
                        return
                    connection.sendall(reply)

        thread = threading.Thread(target=serve, name="test-listening")
        thread.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(str(path))
            thread.join()


SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def test_a_server_that_speaks_http2_answers(tmp_path: Path) -> None:
    with listening(tmp_path / "s", SETTINGS):
        assert answers(f"unix://{tmp_path}/s")


def test_a_server_that_speaks_http1_does_not(tmp_path: Path) -> None:
    with listening(tmp_path / "s", b"HTTP/1.1 400 Bad Request\r\n\r\n"):
        assert not answers(f"unix://{tmp_path}/s")


def test_a_server_that_hangs_up_does_not(tmp_path: Path) -> None:
    with listening(tmp_path / "s", b""):
        assert not answers(f"unix://{tmp_path}/s")


def test_a_socket_that_nobody_serves_does_not(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        assert not answers(f"unix://{tmp_path}/s", timeout=0.1)
    assert not answers(f"unix://{tmp_path}/s")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tcp://127.0.0.1", "docker-container://x", "nonsense", ""])
def test_an_address_that_cannot_be_probed_does_not(address: str) -> None:
    assert not answers(address)


def test_the_given_address_comes_first_and_is_not_asked(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDKIT_HOST", "tcp://of-the-environment:1")
    assert engine.find("tcp://given:1") == "tcp://given:1"
    assert engine.find() == "tcp://of-the-environment:1"
    assert engine.require() == "tcp://of-the-environment:1"


def test_the_rootless_socket_comes_before_pyllb_s_own(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, rootless = nowhere / "home/run/buildkitd.sock", nowhere / "xdg/buildkit/buildkitd.sock"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(nowhere / "xdg"))
    assert list(engine.candidates()) == [
        "unix:///run/buildkit/buildkitd.sock",
        f"unix://{rootless}",
        f"unix://{own}",
    ]
    with listening(own, SETTINGS):
        assert engine.find() == f"unix://{own}"
        with listening(rootless, SETTINGS):
            assert engine.find() == f"unix://{rootless}"


def test_without_any_daemon_three_lines_say_what_to_do(nowhere: Path) -> None:
    assert engine.find() is None
    with pytest.raises(NoDaemonError) as caught:
        engine.require()
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "BUILDKIT_HOST is not set" in lines[0]
    assert f"/run/buildkit/buildkitd.sock, {nowhere}/home/run/buildkitd.sock" in lines[0]
    assert "--addr ADDRESS" in lines[1]
    assert "pyllb engine install && pyllb engine start" in lines[2]
    assert caught.value.exit_code == 3


def test_starting_without_a_program_says_how_to_get_one(nowhere: Path) -> None:
    with pytest.raises(NoDaemonError, match="`pyllb engine install` puts one there"):
        engine.start()
    assert engine.status() == engine.EngineStatus(
        state="stopped", engine=None, program=None, root=nowhere / "home/data/root"
    )
    assert not engine.stop()


def test_a_user_who_is_not_root_is_told_what_is_needed(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(nowhere / "bin/buildkitd", "#!/bin/sh\nexit 1\n")
    executable(nowhere / "bin/runc", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{nowhere}/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NoDaemonError, match="needs root, or rootlesskit on the PATH, and this is user 1000"):
        engine.start()


def test_without_an_oci_runtime_the_error_names_the_package(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(nowhere / "bin/buildkitd", "#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("PATH", f"{nowhere}/bin")
    monkeypatch.setattr("pyllb.engine.private._RUNTIMES", ("no-such-runtime",))
    with pytest.raises(NoDaemonError, match=r"an OCI runtime.* the package runc"):
        engine.start()


def test_a_daemon_that_ends_at_once_shows_the_end_of_its_log(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(nowhere / "bin/buildkitd", "#!/bin/sh\necho the root is locked\nexit 1\n")
    executable(nowhere / "bin/runc", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{nowhere}/bin:/usr/bin:/bin")
    with pytest.raises(ConnectError, match=r"(?s)buildkitd did not answer .*buildkitd\.log:\nthe root is locked"):
        engine.start()
    assert engine.status().state == "stopped"


def test_a_socket_path_longer_than_the_system_allows_is_named(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYLLB_ENGINE_HOME", str(nowhere / ("x" * 100)))
    executable(nowhere / "bin/buildkitd", "#!/bin/sh\nexit 1\n")
    executable(nowhere / "bin/runc", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{nowhere}/bin:/usr/bin:/bin")
    with pytest.raises(ConnectError, match=r"xxx/run/buildkitd\.sock' is longer than 107 bytes"):
        engine.start()


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(mirrors=st.dictionaries(TEXTS, TEXTS), plain=st.lists(TEXTS), root=TEXTS, runtime=TEXTS, debug=st.booleans())
def test_what_is_configured_is_what_toml_says(
    mirrors: dict[str, str], plain: list[str], root: str, runtime: str, debug: bool
) -> None:
    config = Config(
        root=Path(root),
        addresses=("unix:///a", "tcp://127.0.0.1:0"),
        runtime=runtime,
        mirrors=mirrors,
        plain_http=tuple(plain),
        debug=debug,
    )
    said = tomllib.loads(config.toml())
    assert said["root"] == str(Path(root))
    assert said["grpc"]["address"] == ["unix:///a", "tcp://127.0.0.1:0"]
    assert said["worker"]["oci"]["binary"] == runtime
    assert said["log"]["level"] == ("debug" if debug else "info")
    registries = said.get("registry", {})
    assert {host: entry["mirrors"] for host, entry in registries.items() if "mirrors" in entry} == {
        host: [mirror] for host, mirror in mirrors.items()
    }
    assert all(registries[host].get("http") for host in plain if host not in mirrors)


def test_a_mirror_on_the_loopback_interface_is_spoken_to_without_tls() -> None:
    config = Config(root=Path("/r"), addresses=(), runtime="runc", mirrors={"docker.io": "127.0.0.1:5000"})
    assert tomllib.loads(config.toml())["registry"] == {
        "docker.io": {"mirrors": ["127.0.0.1:5000"]},
        "127.0.0.1:5000": {"http": True, "insecure": True},
    }


def test_a_spawned_process_is_nobody_s_child_and_its_output_is_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    started = process.spawn(["sh", "-c", "echo out; echo err >&2; exec sleep 60"], log=log)
    try:
        assert started.alive()
        assert process.await_line(log, "err", started, 5) == "err"
        assert process.tail(log) == "out\nerr"
        assert Path(f"/proc/{started.pid}/task/{started.pid}/children").exists()
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        assert str(started.pid) not in children
    finally:
        started.kill()
    assert not started.alive()


def test_a_process_whose_first_thread_has_ended_is_there_as_long_as_another_is(tmp_path: Path) -> None:
    """A daemon that is killed is a zombie before the last of its threads has closed its sockets."""
    number = {"x86_64": 60, "aarch64": 93}[platform.machine()]  # of exit, which ends the calling thread alone
    code = (
        "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); "
        f"print('ready', flush=True); ctypes.CDLL(None).syscall({number}, 0)"
    )
    started = process.spawn([sys.executable, "-c", code], log=tmp_path / "log")
    try:
        assert process.await_line(tmp_path / "log", "ready", started, 5)
        stat = Path(f"/proc/{started.pid}/stat")
        while ") Z " not in stat.read_text():
            threading.Event().wait(0.01)
        assert started.alive()
        assert not started.wait(0.1)
    finally:
        started.kill()
    assert not started.alive()


def test_stopping_ends_a_process_that_ignores_sigterm(tmp_path: Path) -> None:
    log = tmp_path / "log"
    started = process.spawn(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], log=log)
    assert process.await_line(log, "ready", started, 5)
    started.stop(0.2)
    assert not started.alive()
    started.stop(0.2)


def test_an_id_that_means_another_process_by_now_is_left_alone() -> None:
    other = process.Process(os.getpid(), 1)
    assert not other.alive()
    other.signal(signal.SIGKILL)
    assert other.wait(0)


def test_a_line_is_awaited_no_longer_than_the_process_lives(tmp_path: Path) -> None:
    started = process.spawn(["true"], log=tmp_path / "log")
    assert process.await_line(tmp_path / "log", "never", started, 60) is None


def archive() -> bytes:
    """A release archive in small."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in ("bin/", "bin/buildkitd", "bin/buildctl", "bin/buildkit-runc", "README"):
            entry = tarfile.TarInfo(name.rstrip("/"))
            entry.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            content = b"" if name.endswith("/") else name.encode()
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@contextmanager
def release(content: bytes, monkeypatch: pytest.MonkeyPatch, pinned: str) -> Iterator[None]:
    """A web server in the place of the releases, with this archive, and its SHA-256 pinned as given."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path.endswith(".tar.gz") else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="test-release")
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/buildkit-v{{version}}.{{os}}-{{arch}}.tar.gz"
        monkeypatch.setattr(installation, "_RELEASE", url)
        monkeypatch.setattr(platform, "machine", lambda: "x86_64")
        monkeypatch.setitem(installation._SHA256, (engine.VERSION, "linux", "amd64"), pinned)
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_a_release_with_the_pinned_digest_is_installed_once(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = archive()
    said: list[str] = []
    with release(content, monkeypatch, hashlib.sha256(content).hexdigest()):
        place = engine.install(source="release", say=said.append)
    assert place == nowhere / "cache/pyllb/engine/buildkit-0.33.1-linux-amd64"
    assert sorted(path.name for path in place.iterdir()) == ["buildctl", "buildkit-runc", "buildkitd"]
    assert (place / "buildkitd").read_bytes() == b"bin/buildkitd"
    assert os.access(place / "buildkitd", os.X_OK)
    assert engine.install(say=said.append) == place  # with no server left to ask
    assert said[-1].endswith("already")
    assert engine.status().program == place / "buildkitd"


def test_a_release_with_another_digest_is_refused(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = archive()
    with (
        release(content, monkeypatch, "0" * 64),
        pytest.raises(ConnectError, match=f"has SHA-256 {hashlib.sha256(content).hexdigest()}, not the pinned 000"),
    ):
        engine.install(source="release")
    assert list((nowhere / "cache/pyllb/engine").iterdir()) == [nowhere / "cache/pyllb/engine/install.lock"]


def test_without_a_release_and_without_go_there_is_no_way(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_RELEASE", "http://127.0.0.1:1/{version}{os}{arch}")
    monkeypatch.setenv("PATH", str(nowhere))
    said: list[str] = []
    with pytest.raises(NoDaemonError, match="no go program on the PATH"):
        engine.install(say=said.append)
    assert any("building it instead" in line for line in said) == (platform.machine() in ("x86_64", "aarch64"))


def test_an_unknown_install_source_is_named() -> None:
    with pytest.raises(ValueError, match="'docker' is none of auto, release, module"):
        engine.install(source="docker")


def test_the_go_module_pins_the_version_that_pyllb_names() -> None:
    module = Path(installation.__file__).parent / "gomod/go.mod"
    assert f"github.com/moby/buildkit v{engine.VERSION} " in module.read_text()


def test_the_state_is_under_the_xdg_directories_of_a_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PYLLB_ENGINE_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    assert files.cache_directory() == tmp_path / "XDG_CACHE_HOME/pyllb/engine"
    assert files.data_directory() == tmp_path / "XDG_DATA_HOME/pyllb/engine"
    assert files.run_directory() == tmp_path / "XDG_RUNTIME_DIR/pyllb/engine"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    assert files.run_directory() == Path.home() / ".local/share/pyllb/engine"


def test_importing_the_engine_loads_neither_grpc_nor_asyncio() -> None:
    heavy = ("grpc", "asyncio", "rich", "google.protobuf")
    script = f"import sys, pyllb.engine; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", script], text=True, cwd=Path(__file__).parents[2]) == "[]\n"
