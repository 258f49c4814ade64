"""Solving on a real daemon: from a graph to what it left."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import pyllb
from pyllb import FS, Client, bind, cache, fs, local, merge
from pyllb.client import Result
from pyllb.errors import OptionError, RefError, UsageError
from pyllb.status import SolveStatus
from tests.conftest import Buildctl
from tests.testbed import Testbed

pytestmark = pytest.mark.usefixtures("nothing_left")


class Heard:
    """A sink that keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[SolveStatus] = []
        self.closed = 0

    def update(self, status: SolveStatus) -> None:
        assert not self.closed
        self.events.append(status)

    def close(self) -> None:
        self.closed += 1

    def names(self) -> set[str]:
        return {vertex.name for event in self.events for vertex in event.vertexes}

    def output(self) -> bytes:
        return b"".join(log.data for event in self.events for log in event.logs)


def written(text: str) -> FS:
    """A filesystem with the file /said, written by a command."""
    return fs().image("busybox").run(f"echo {text} > /out/said", mounts=[bind(fs(), "/out")]).mount("/out")


def test_a_command_runs_and_what_it_wrote_comes_back(client: Client, nonce: str, tmp_path: Path) -> None:
    result = client.solve(written(nonce), output=f"type=local,dest={tmp_path}/out")
    assert (tmp_path / "out" / "said").read_text() == f"{nonce}\n"
    assert result.digest is None
    assert result.duration > 0
    (step,) = [step for step in result.steps if nonce in step.name]
    assert step.digest.startswith("sha256:")
    assert not step.cached
    assert not step.error
    assert step.duration > 0


def test_nothing_is_printed(client: Client, nonce: str, capfd: pytest.CaptureFixture[str]) -> None:
    client.solve(written(nonce))
    assert capfd.readouterr() == ("", "")


def test_a_second_solve_is_cached_and_no_cache_runs_it_again(client: Client, nonce: str) -> None:
    def run(**options: bool) -> Result:
        return client.solve(fs().image("busybox").run(f"echo {nonce}").run("true"), **options)  # type: ignore[arg-type]  # options of any kind, by name

    first, second, third = run(), run(), run(no_cache=True)
    assert (first.cache.total, first.cache.cached) == (2, 0)
    assert (second.cache.total, second.cache.cached, second.cache.ratio) == (2, 2, 1.0)
    assert (third.cache.total, third.cache.cached) == (2, 0)


def test_a_solve_over_tcp(testbed: Testbed, nonce: str, tmp_path: Path) -> None:
    pyllb.solve(written(nonce), addr=testbed.tcp_address, output=f"type=local,dest={tmp_path}")
    assert (tmp_path / "said").read_text() == f"{nonce}\n"


def test_the_address_may_come_from_the_environment(
    testbed: Testbed, nonce: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDKIT_HOST", testbed.address)
    pyllb.solve(written(nonce), output=f"type=local,dest={tmp_path}")
    assert (tmp_path / "said").read_text() == f"{nonce}\n"


def test_an_empty_filesystem_is_a_build_too(client: Client, tmp_path: Path) -> None:
    assert client.solve(fs(), output=f"type=local,dest={tmp_path}").cache.total == 0
    assert list(tmp_path.iterdir()) == []


def test_the_images_own_environment_and_directory_are_used(client: Client, nonce: str) -> None:
    heard = Heard()
    client.solve(fs().image("golang").run(f"echo {nonce}; pwd; command -v go"), progress=heard)
    assert heard.output().decode().splitlines() == [nonce, "/go", "/usr/local/go/bin/go"]


def test_a_sink_hears_all_and_is_closed_once(client: Client, nonce: str) -> None:
    heard = Heard()
    client.solve(fs().image("busybox").run(f"echo {nonce}", name="say it"), progress=heard)
    assert "say it" in heard.names()
    assert heard.output() == f"{nonce}\n".encode()
    assert heard.closed == 1


def test_a_sink_is_closed_when_an_option_is_wrong_too(client: Client) -> None:
    heard = Heard()
    with pytest.raises(UsageError):
        client.solve(fs(), output="type=nonsense", progress=heard)
    assert heard.closed == 1


@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_what_a_sink_raises_ends_the_solve_and_is_raised(client: Client, nonce: str, kind: type[BaseException]) -> None:
    class Broken(Heard):
        def update(self, status: SolveStatus) -> None:
            raise kind("the display broke")

    with pytest.raises(kind, match="the display broke"):
        client.solve(fs().image("busybox").run(f"echo {nonce}; sleep 60"), progress=Broken())
    assert client.solve(fs().image("busybox").run("true")).cache.total == 1


def test_several_targets_each_go_to_their_own_place(client: Client, nonce: str, tmp_path: Path) -> None:
    targets = {"a": written(f"{nonce}-a"), "b": written(f"{nonce}-b")}
    result = client.solve(targets, output=f"type=local,dest={tmp_path}/{{target}}")
    assert {name: (tmp_path / name / "said").read_text() for name in "ab"} == {
        "a": f"{nonce}-a\n",
        "b": f"{nonce}-b\n",
    }
    assert set(result.targets) == {"a", "b"}
    assert result.cache.total == 2
    assert result.digest is None
    listed = client.solve(list(targets.values()))
    assert set(listed.targets) == {"0", "1"}


def test_one_target_by_name_is_as_several(client: Client, nonce: str, tmp_path: Path) -> None:
    result = client.solve({"a": written(nonce)}, output=[f"type=local,dest={tmp_path}/{{target}}", "type=image"])
    assert (tmp_path / "a" / "said").read_text() == f"{nonce}\n"
    assert result.digest == result.targets["a"].digest is not None
    assert client.solve([written(nonce)], output=f"type=local,dest={tmp_path}/plain").targets
    assert (tmp_path / "plain" / "said").exists()


def test_several_targets_do_not_overwrite_each_other(client: Client, nonce: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"overwrite each other.*\{target\}"):
        client.solve([written(nonce), written(nonce)], output=f"type=local,dest={tmp_path}/out")
    assert list(tmp_path.iterdir()) == []


def test_solves_at_once_with_one_local_name_each_see_their_own_files(client: Client, tmp_path: Path) -> None:
    def build(name: str) -> None:
        client.solve(
            fs().copy(local("src", name="source"), "/word", "/word"),
            local={"source": tmp_path / name},
            output=f"type=local,dest={tmp_path}/out-{name}",
        )

    names = [f"n{number}" for number in range(4)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "word").write_text(name)
    threads = [threading.Thread(target=build, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(tmp_path / f"out-{name}" / "word").read_text() for name in names] == names


BUILD = """
from pyllb import fs, local

def tree():
    return fs().copy(local(".", include=["data"]), "/data", "/data")
"""


def load(path: Path) -> FS:
    """The tree of a build file with BUILD in it, as Python runs it."""
    scope: dict[str, object] = {"__name__": "build", "__file__": str(path)}
    path.write_text(BUILD)
    exec(compile(path.read_text(), str(path), "exec"), scope)
    tree = scope["tree"]
    assert callable(tree)
    made = tree()
    assert isinstance(made, FS)
    return made


def test_a_forked_child_goes_on_with_its_parents_client_while_that_one_solves(testbed: Testbed, nonce: str) -> None:
    script = f"""
import os, signal, threading
from pyllb import Client, fs

class Running:
    def __init__(self): self.started = threading.Event()
    def update(self, status):
        if any(vertex.started and "sleep" in vertex.name for vertex in status.vertexes): self.started.set()
    def close(self): pass

client, running = Client(), Running()
step = fs().image("busybox").run("sleep 3; echo {nonce}")
solving = threading.Thread(target=lambda: client.solve(step, progress=running))
solving.start()
assert running.started.wait(20)
child = os.fork()
if child == 0:
    signal.alarm(10)  # ends it, should it hang
    with client:
        client.solve(fs().mkfile("/a", b"{nonce}"))
    os._exit(7)
assert os.waitpid(child, 0)[1] == 7 << 8
solving.join()
client.solve(fs().mkfile("/b", b"{nonce}"))
client.close()
"""
    env = {**os.environ, "BUILDKIT_HOST": testbed.address}
    subprocess.run([sys.executable, "-c", script], check=True, env=env, timeout=60)


def test_a_solve_in_a_running_event_loop_is_as_any_other(client: Client, nonce: str) -> None:
    async def both() -> list[Result]:
        at_once = client.solve(written(nonce))
        return [at_once, await asyncio.to_thread(client.solve, written(nonce))]

    first, second = asyncio.run(both())
    assert (first.cache.cached, second.cache.cached) == (0, 1)


def test_a_local_directory_is_relative_to_the_build_file(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "data").write_text("of the project")
    monkeypatch.chdir("/")
    client.solve(load(project / "build.py"), output=f"type=local,dest={tmp_path}/out")
    assert (tmp_path / "out" / "data").read_text() == "of the project"


def test_a_changed_file_is_sent_again(client: Client, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for content in ("first", "second"):
        (project / "data").write_text(content)
        client.solve(load(project / "build.py"), output=f"type=local,dest={tmp_path}/out")
        assert (tmp_path / "out" / "data").read_text() == content


def test_a_local_directory_that_is_missing_is_told_at_the_users_line(client: Client, tmp_path: Path) -> None:
    node = fs().copy(local(tmp_path / "nowhere", name="source"), "/", "/")
    with pytest.raises(OptionError, match=r"local source 'source': '.*/nowhere' does not exist") as caught:
        client.solve(node)
    assert caught.value.sources[0].filename == __file__
    assert 'tmp_path / "nowhere"' in caught.value.sources[0].excerpt(0)


def test_an_override_of_an_unknown_local_name_is_told_with_the_names_there_are(client: Client, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no local source 'sorce'.*there is 'source'.*did you mean 'source'"):
        client.solve(fs().copy(local(tmp_path, name="source"), "/", "/x"), local={"sorce": tmp_path})


def tree(path: Path) -> dict[str, tuple[object, ...]]:
    """Every path below with its kind and mode, and its content or link."""
    found: dict[str, tuple[object, ...]] = {}
    for item in sorted(path.rglob("*")):
        mode = item.lstat().st_mode
        content: object = os.readlink(item) if item.is_symlink() else item.read_bytes() if item.is_file() else None
        found[str(item.relative_to(path))] = (stat.filemode(mode), content)
    return found


def test_a_dump_that_buildctl_solves_gives_the_same_tree(
    client: Client, buildctl: Buildctl, nonce: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "tool").write_text(nonce)
    (source / "sub" / "tool").chmod(0o755)
    (source / "link").symlink_to("sub/tool")
    made = (
        fs()
        .image("busybox")
        .run(
            "cp -a /src/. /out/ && echo built > /out/made && chmod 640 /out/made",
            mounts=[
                bind(local(source, name="source"), "/src", readonly=True),
                bind(fs(), "/out"),
                cache("/var/cache/thing"),
            ],
        )
        .mount("/out")
    )
    node = merge(made, fs().mkfile("/text", b"some", mode=0o600))
    data = client.dump(node).to_bytes()
    assert b"source" in buildctl("debug", "dump-llb", input=data).stdout
    buildctl("build", "--local", f"source={source}", "--output", f"type=local,dest={tmp_path}/theirs", input=data)
    client.solve(node, output=f"type=local,dest={tmp_path}/ours")
    ours = tree(tmp_path / "ours")
    assert ours == tree(tmp_path / "theirs")
    assert set(ours) == {"sub", "sub/tool", "link", "made", "text"}
    assert ours["made"] == ("-rw-r-----", b"built\n")


def test_a_dump_is_the_same_each_time(client: Client) -> None:
    node = fs().image("busybox").run("true", mounts=[bind(local(".", name="here"), "/src")])
    assert client.dump(node).to_bytes() == client.dump(node).to_bytes()
    assert client.dump(node).to_bytes() != pyllb.dump(node).to_bytes()  # the latter has no image config


def test_the_network_of_the_host_needs_to_be_allowed(client: Client) -> None:
    node = fs().image("busybox").run("true", network="host")
    with pytest.raises(UsageError, match=r"entitlement 'network.host'.*--allow network.host") as caught:
        client.solve(node)
    assert 'network="host"' in caught.value.sources[0].excerpt(0)


def test_the_daemon_says_what_it_is(client: Client) -> None:
    assert client.info().package == "github.com/moby/buildkit"
    (worker,) = client.workers()
    assert worker.platforms[0].os == "linux"
    image = client.resolve("docker.io/library/busybox:latest", platform=worker.platforms[0])
    assert image.digest.startswith("sha256:")
    assert b'"rootfs"' in image.config
    assert client.resolve("busybox").digest == image.digest


@pytest.mark.parametrize(
    ("ref", "mode", "message"), [("Busybox", "default", "write 'busybox'"), ("busybox", "pul", "did you mean 'pull'")]
)
def test_what_cannot_be_resolved_is_told_before_the_daemon_is_asked(ref: str, mode: str, message: str) -> None:
    with pytest.raises((RefError, OptionError), match=message):
        Client("unix:///nowhere").resolve(ref, mode=mode)


def test_a_cache_mount_can_be_found_and_removed(client: Client, nonce: str) -> None:
    client.solve(fs().image("busybox").run("touch /c/x", mounts=[cache(nonce, target="/c")]))
    (record,) = [one for one in client.disk_usage(filters=["type==exec.cachemount"]) if nonce in one.description]
    assert record.mutable
    assert record.size > 0
    assert [one.id for one in client.prune(filters=[f"id=={record.id}"])] == [record.id]
    assert not client.disk_usage(filters=[f"id=={record.id}"])


def test_a_definition_that_is_too_large_is_told_before_it_is_sent(client: Client) -> None:
    node = fs().mkfile("/large", b"x" * (17 << 20))
    with pytest.raises(pyllb.errors.GraphError, match="the daemon takes") as caught:
        client.solve(node)
    assert "17 << 20" in caught.value.sources[0].excerpt(0)
