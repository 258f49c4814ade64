"""The build cache: written to a registry, and used by a daemon that has nothing of its own left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyllb import FS, Client, bind, fs
from pyllb.client import CacheSpec, Result
from pyllb.errors import ConnectError, UsageError
from pyllb.session.layout import Layout
from tests.conftest import Buildctl
from tests.integration.waiting import emptied
from tests.testbed import Testbed

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def own(testbed: Testbed) -> Iterator[Client]:
    """A client of a daemon that this test may empty."""
    with testbed.start_daemon() as daemon, Client(daemon.address) as client:
        yield client


def two_stages(nonce: str) -> FS:
    """A result of one command, made of what another one made."""
    made = fs().image("busybox").run(f"echo {nonce} > /out/made", mounts=[bind(fs(), "/out")]).mount("/out")
    return fs().image("busybox").run("cat /in/made > /word", mounts=[bind(made, "/in", readonly=True)])


def ran(result: Result) -> list[str]:
    """The names of the commands that were not cached."""
    return [step.name for step in result.steps if step.name.startswith("/bin/sh") and not step.cached]


@pytest.mark.parametrize(
    ("to", "from_"),
    [
        ("type=registry,ref={ref},mode=max", "type=registry,ref={ref}"),
        ("{ref}", "{ref}"),
        (["type=registry,ref={ref},mode=max"], ["{ref}", "localhost:{port}/nothing:here"]),
    ],
)
def test_every_step_is_cached_after_the_daemon_was_emptied(
    testbed: Testbed, own: Client, nonce: str, to: str | list[str], from_: str | list[str]
) -> None:
    port = testbed.registry.rpartition(":")[2]

    def at(spec: str | list[str]) -> list[str]:
        return [
            one.format(ref=f"localhost:{port}/cache-{nonce}:x", port=port)
            for one in ([spec] if isinstance(spec, str) else spec)
        ]

    first = own.solve(two_stages(nonce), cache_to=at(to))
    assert len(ran(first)) == 2
    emptied(own)
    second = own.solve(two_stages(nonce), cache_from=at(from_))
    assert ran(second) == []
    assert (second.cache.total, second.cache.cached) == (2, 2)


def test_without_the_cache_the_emptied_daemon_runs_all_of_it_again(own: Client, nonce: str) -> None:
    own.solve(two_stages(nonce))
    emptied(own)
    assert len(ran(own.solve(two_stages(nonce)))) == 2


@pytest.mark.parametrize("folder", ["cache", "ü, a place"])
def test_a_directory_keeps_the_cache(own: Client, nonce: str, tmp_path: Path, folder: str) -> None:
    place = tmp_path / folder
    to, source = CacheSpec("local", {"dest": str(place), "mode": "max"}), CacheSpec("local", {"src": str(place)})
    first = own.solve(two_stages(nonce), cache_from=source, cache_to=to)
    assert len(ran(first)) == 2
    assert [warning.short for warning in first.warnings] == [
        f"the build cache in {str(place)!r} is not there; the build goes on without"
    ]
    emptied(own)
    second = own.solve(two_stages(nonce), cache_from=source, cache_to=to)  # it is read and written in one solve
    assert ran(second) == []
    assert second.warnings == ()
    emptied(own)
    assert ran(own.solve(two_stages(nonce), cache_from=source)) == []
    assert [manifest.tag for manifest in Layout(place).manifests()] == ["latest"]


def test_a_local_cache_is_found_by_its_tag_and_reset(own: Client, nonce: str, tmp_path: Path) -> None:
    one, two = (f"{nonce} {word}" for word in ("one", "two"))
    own.solve(two_stages(one), cache_to=f"type=local,dest={tmp_path},mode=max,tag=one")
    own.solve(two_stages(two), cache_to=f"type=local,dest={tmp_path},mode=max,tag=two")
    size = len(list(Layout(tmp_path).digests()))
    for word, tag, missed in ((one, "one", 0), (one, "two", 2), (two, "two", 0), (two, "three", 2)):
        emptied(own)
        result = own.solve(two_stages(word), cache_from=f"type=local,src={tmp_path},tag={tag}")
        assert (len(ran(result)), len(result.warnings)) == (missed, tag == "three")
    own.solve(two_stages(f"{nonce} three"), cache_to=f"type=local,dest={tmp_path},mode=max,tag=two,reset=true")
    assert {manifest.tag for manifest in Layout(tmp_path).manifests()} == {"one", "two"}
    assert len(list(Layout(tmp_path).digests())) <= size  # those of the second are gone
    emptied(own)
    assert ran(own.solve(two_stages(one), cache_from=f"type=local,src={tmp_path},tag=one")) == []


def test_buildctl_reads_and_writes_the_same_local_cache(testbed: Testbed, nonce: str, tmp_path: Path) -> None:
    with testbed.start_daemon() as daemon, Client(daemon.address) as own:
        theirs = Buildctl(testbed.buildctl, daemon.address)
        definition = own.dump(two_stages(nonce)).to_bytes()
        own.solve(two_stages(nonce), cache_to=f"type=local,dest={tmp_path}/ours,mode=max")
        emptied(own)
        done = theirs("build", "--import-cache", f"type=local,src={tmp_path}/ours", input=definition)
        assert done.stderr.count(b"CACHED") == 2
        theirs("build", "--export-cache", f"type=local,dest={tmp_path}/theirs,mode=max", input=definition)
        emptied(own)
        assert ran(own.solve(two_stages(nonce), cache_from=f"type=local,src={tmp_path}/theirs")) == []


def test_each_of_several_targets_reads_the_local_cache_that_the_one_before_left(
    own: Client, nonce: str, tmp_path: Path
) -> None:
    place = f"{tmp_path}/cache"
    own.solve(two_stages(f"{nonce} old"), cache_to=f"type=local,dest={place},mode=max")
    targets = [two_stages(f"{nonce} {number}") for number in (1, 2)]
    both = {"cache_from": f"type=local,src={place}", "cache_to": f"type=local,dest={place},mode=max,reset=true"}
    result = own.solve(targets, cache_from=both["cache_from"], cache_to=both["cache_to"])
    assert [step.error for step in result.steps if step.error] == []
    assert result.warnings == ()
    emptied(own)
    assert ran(own.solve(targets[1], cache_from=both["cache_from"])) == []


def test_what_cannot_be_collected_is_a_warning_for_the_cache_is_whole(own: Client, nonce: str, tmp_path: Path) -> None:
    (tmp_path / "blobs/sha256/.tmp.no-file").mkdir(parents=True)
    result = own.solve(two_stages(nonce), cache_to=f"type=local,dest={tmp_path},mode=max,reset=true")
    (warning,) = result.warnings
    assert "is whole, but what it does not need is still there" in warning.short
    emptied(own)
    assert ran(own.solve(two_stages(nonce), cache_from=f"type=local,src={tmp_path}")) == []


def test_a_build_of_no_layers_writes_no_local_cache(own: Client, tmp_path: Path) -> None:
    own.solve(fs(), cache_to=f"type=local,dest={tmp_path}/cache")
    assert not (tmp_path / "cache" / "index.json").exists()


def test_a_local_cache_that_cannot_be_is_told_before_the_build(client: Client, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "index.json").write_text("rubbish")
    for option, place, message in (
        ("cache_to", "file", "cache_to: destination '.*/file' is a file"),
        ("cache_to", ".", r"cache_to: '.*/index\.json' is not an image index"),
        ("cache_from", "file", "cache_from: '.*/file' is a file"),
        ("cache_from", ".", r"'.*/index\.json' is not an image index"),
    ):
        key = "dest" if option == "cache_to" else "src"
        with pytest.raises(UsageError, match=message):
            client.solve(fs(), **{option: f"type=local,{key}={tmp_path}/{place}"})  # type: ignore[arg-type]  # the option is a parameter


def test_max_keeps_every_step_beside_the_image(testbed: Testbed, own: Client, nonce: str) -> None:
    output = f"type=image,name={testbed.registry}/app-{nonce}:1,push=true"
    own.solve(two_stages(nonce), output=output, cache_to="max")
    emptied(own)
    assert ran(own.solve(two_stages(nonce), output=output, cache_from="max")) == []
    emptied(own)
    assert ran(own.solve(two_stages(nonce), cache_from=f"{testbed.registry}/app-{nonce}:buildcache")) == []


def test_inline_keeps_the_images_own_layers_in_the_image(testbed: Testbed, own: Client, nonce: str) -> None:
    node = fs().image("busybox").run(f"echo {nonce} > /word")
    output = f"type=image,name={testbed.registry}/app-{nonce}:1,push=true"
    own.solve(node, output=output, cache_to="inline")
    emptied(own)
    assert ran(own.solve(node, output=output, cache_from="inline", cache_to="inline")) == []
    emptied(own)
    assert ran(own.solve(node, cache_from=f"{testbed.registry}/app-{nonce}:1")) == []


def test_a_cache_that_is_not_there_is_no_error(testbed: Testbed, client: Client, nonce: str) -> None:
    result = client.solve(two_stages(nonce), cache_from=f"{testbed.registry}/nothing-{nonce}")
    assert len(ran(result)) == 2


def test_a_daemon_that_went_away_between_two_solves_is_a_connect_error(testbed: Testbed) -> None:
    with testbed.start_daemon() as daemon, Client(daemon.address) as client:
        client.solve(fs())
        daemon.kill()
        with pytest.raises(ConnectError):
            client.solve(fs())
