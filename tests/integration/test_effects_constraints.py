"""What the options that every op has do: names, groups, caching."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from pyllb import FS, Client, diff, fs, local, merge, mkfile, passthrough, progress_group
from pyllb.status import ProgressGroup
from tests.integration.effects import BUSYBOX, Heard, case, fails, fresh, ran
from tests.testbed import Testbed

ONE, TWO = fs().mkfile("/one", "1"), fs().mkfile("/two", "2")
SAID = "what the build says"


def heard(client: Client, node: FS) -> Heard:
    """Solve it, and return what there was to hear."""
    sink = Heard()
    client.solve(node, progress=sink)
    return sink


@pytest.mark.parametrize(
    "node",
    [
        case("a command", BUSYBOX.run("true", name=SAID)),
        case("several file actions", fs().file(mkfile("/a", "a"), mkfile("/b", "b"), name=SAID)),
        case("a file action alone", fs().mkdir("/a", name=SAID)),
        case("a copy", fs().copy(ONE, "/one", "/", name=SAID)),
        case("a merge", merge(ONE, TWO, name=SAID)),
        case("a diff", diff(ONE, TWO, name=SAID)),
        case("a requirement", ONE.requires(TWO, name=SAID)),
        case("a passthrough", passthrough(ONE, TWO, id="x", name=SAID)[0]),
        case("an image", fs().image("busybox", name=SAID).run("true")),
        case("a directory of the client", fs().copy(local(".", include=["nothing"], custom_name=SAID), "/", "/")),
    ],
)
def test_name_is_what_progress_shows_of(client: Client, node: FS) -> None:
    assert SAID in {vertex.name for vertex in heard(client, node).vertexes.values()}


@pytest.mark.parametrize(
    ("node", "name"),
    [
        case("a command", BUSYBOX.run(["echo", "a b"]), "echo a b"),
        case("file actions", fs().file(mkfile("/a", "a"), mkfile("/b", "b")), "mkfile /a, mkfile /b"),
        case("a copy", fs().copy(ONE, "/one", "/a"), "copy /one /a"),
        case("a merge", merge(ONE, TWO), "merge (mkfile /one, mkfile /two)"),
        case("a diff", diff(ONE, TWO), "diff (mkfile /one) -> (mkfile /two)"),
        case("an image", BUSYBOX.run("true"), "docker-image://docker.io/library/busybox:latest"),
    ],
)
def test_without_a_name_it_is_what_the_op_does(client: Client, node: FS, name: str) -> None:
    assert name in {vertex.name for vertex in heard(client, node).vertexes.values()}


def test_a_description_may_hold_the_name_under_which_the_daemon_knows_it(client: Client) -> None:
    node = BUSYBOX.run("true", description={"llb.customname": SAID, "org.example": "more"})
    assert SAID in {vertex.name for vertex in heard(client, node).vertexes.values()}


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        case("a word is its id and its name", "tests", ProgressGroup("tests", "tests")),
        case("it may have a name of its own", progress_group("t", "the tests"), ProgressGroup("t", "the tests")),
        case("it may be weak", progress_group("t", weak=True), ProgressGroup("t", "t", weak=True)),
    ],
)
def test_a_vertex_has_the_group(client: Client, group: Any, expected: ProgressGroup) -> None:
    found = heard(client, merge(ONE, BUSYBOX.run("true", group=group), TWO))
    assert [vertex.group for vertex in found.vertexes.values() if vertex.group] == [expected]


@pytest.mark.parametrize(
    "options", [{}, {"name": "named"}, {"group": "g"}, {"description": {"a": "b"}}, {"export_cache": False}], ids=str
)
def test_what_is_said_of_a_command_does_not_run_it_again(client: Client, nonce: str, options: dict[str, Any]) -> None:
    client.solve(BUSYBOX.run(f"true # {nonce}"))
    assert client.solve(BUSYBOX.run(f"true # {nonce}", **options)).cache.cached == 1


def test_ignore_cache_runs_that_command_again(client: Client, nonce: str) -> None:
    node = BUSYBOX.run(f"true # first {nonce}").run(f"true # second {nonce}", ignore_cache=True)
    assert len(ran(client.solve(node))) == 2
    assert ran(client.solve(node)) == [f"/bin/sh -c true # second {nonce}"]


def test_ignore_cache_of_a_file_action_does_it_again(client: Client, nonce: str) -> None:
    node = fs().file(mkfile("/f", nonce), ignore_cache=True)
    assert [client.solve(node).cache.cached for _ in range(2)] == [0, 0]


@pytest.mark.parametrize(("export_cache", "results"), [(None, 2), (True, 2), (False, 1)])
def test_export_cache_leaves_the_result_of_a_cached_command_out_of_the_cache(
    testbed: Testbed, client: Client, nonce: str, export_cache: bool | None, results: int
) -> None:
    """The daemon looks at it when the command itself is cached: when it runs, the result is exported anyway."""
    node = BUSYBOX.run(f"echo {nonce} > /a", export_cache=export_cache).run("cat /a > /b")
    client.solve(node)
    client.solve(node, cache_to=f"type=registry,ref={testbed.registry}/{nonce}:cache,mode=max")
    config = document(testbed, f"{nonce}/manifests/cache")["config"]["digest"]
    records = document(testbed, f"{nonce}/blobs/{config}")["records"]
    assert sum(bool(record.get("layers")) for record in records) == results


def document(testbed: Testbed, path: str) -> dict[str, Any]:
    """A JSON document of the registry."""
    accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
    request = urllib.request.Request(f"http://{testbed.registry}/v2/{path}", headers={"Accept": accept})
    with urllib.request.urlopen(request) as answer:
        found = json.load(answer)
    assert isinstance(found, dict)
    return found


def test_a_platform_that_an_image_does_not_have_is_told(client: Client) -> None:
    with fails(r"docker.io/library/busybox:latest.*linux/arm64.*no match for platform"):
        client.solve(fs().image("busybox", platform="linux/arm64").run(fresh("true")))


@pytest.mark.parametrize(
    "node",
    [
        case("of the image", fs().image("busybox", platform="linux/s390x").run("true")),
        case("of the state", fs().platform("linux/s390x").image("busybox").run("true")),
        case("of an image that a command mounts", fs().copy(fs().platform("linux/s390x").image("busybox"), "/", "/")),
    ],
)
def test_the_platform_is_the_one(client: Client, node: FS) -> None:
    with fails("linux/s390x"):
        client.solve(node)


def test_the_platform_of_the_solve_is_every_images_that_names_none(client: Client) -> None:
    with fails("linux/s390x"):
        client.solve(BUSYBOX.run("true"), platform="linux/s390x")
