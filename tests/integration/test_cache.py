"""The build cache: written to a registry, and used by a daemon that has nothing of its own left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyllb import FS, Client, bind, fs
from pyllb.client import Result
from pyllb.errors import ConnectError
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


def emptied(client: Client) -> None:
    """Remove all that the daemon keeps, and see that nothing is left."""
    client.prune(all=True)
    assert client.disk_usage() == ()


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
