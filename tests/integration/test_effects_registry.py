"""What the options of an image source do, with images of the test's own in the testbed's registry."""

from __future__ import annotations

import pytest

from pyllb import FS, Client, fs, image, image_blob
from tests.integration.effects import BUSYBOX, case, fails, files, fresh, image_of, said, tree
from tests.integration.waiting import emptied
from tests.testbed import Testbed


def push(client: Client, testbed: Testbed, node: FS, name: str) -> str:
    """Push an image, and return its digest."""
    digest = client.solve(node, output=f"type=image,name={testbed.registry}/{name},push=true").digest
    assert digest is not None
    return digest


@pytest.fixture
def name(testbed: Testbed, client: Client, nonce: str) -> str:
    """The name of an image of two layers, with /one and /two."""
    push(client, testbed, fs().mkfile("/one", "1").mkfile("/two", nonce).env(A="1"), f"{nonce}:1")
    return f"{testbed.registry}/{nonce}:1"


def test_an_image_is_its_files(client: Client, name: str, nonce: str) -> None:
    assert files(client, image(name)) == {"one": b"1", "two": nonce.encode()}


@pytest.mark.parametrize(
    ("limit", "names"),
    [case("one is the lowest", 1, {"one"}), case("two are all", 2, {"one", "two"})],
)
def test_layer_limit_of(client: Client, name: str, limit: int, names: set[str]) -> None:
    assert set(files(client, image(name, layer_limit=limit))) == names


def test_a_layer_limit_above_what_there_is_fails(client: Client, name: str) -> None:
    with fails("layer limit 9 is greater than the number of layers in the image 2"):
        client.solve(image(name, layer_limit=9))


def test_a_checksum_that_is_right_is_fine(client: Client, name: str) -> None:
    digest = client.resolve(name).digest
    assert set(files(client, image(name, checksum=digest))) == {"one", "two"}


def test_a_checksum_that_is_wrong_fails(client: Client, name: str) -> None:
    with fails("does not match expected checksum sha256:00000000"):
        client.solve(image(name, checksum="sha256:" + "0" * 64).mkfile("/x", "x"))


@pytest.mark.parametrize("mode", ["pull", "default"])
def test_resolve_mode_sees_what_was_pushed_since(testbed: Testbed, client: Client, nonce: str, mode: str) -> None:
    node = image(f"{testbed.registry}/{nonce}:1", resolve_mode=mode)  # type: ignore[arg-type]  # a mode of the table is one
    for content in ("first", "second"):
        push(client, testbed, fs().mkfile("/f", content), f"{nonce}:1")
        assert files(client, node) == {"f": content.encode()}


def test_a_reference_by_digest_is_that_image_whatever_the_tag_is_now(
    testbed: Testbed, client: Client, nonce: str
) -> None:
    digest = push(client, testbed, fs().mkfile("/f", "first"), f"{nonce}:1")
    push(client, testbed, fs().mkfile("/f", "second"), f"{nonce}:1")
    assert files(client, image(f"{testbed.registry}/{nonce}:1@{digest}")) == {"f": b"first"}


def test_internal_is_a_record_of_the_daemons_own(testbed: Testbed, client: Client, nonce: str) -> None:
    push(client, testbed, fs().mkfile("/f", nonce), f"{nonce}:1")
    with testbed.start_daemon() as daemon, Client(daemon.address) as other:
        for internal, kind in ((True, "internal"), (False, "regular")):
            emptied(other)
            assert set(files(other, image(f"{testbed.registry}/{nonce}:1", internal=internal))) == {"f"}
            assert {record.type for record in other.disk_usage() if nonce in record.description} == {kind}


def test_an_image_that_is_not_there_is_told(testbed: Testbed, client: Client, nonce: str) -> None:
    with fails(f"{nonce}:1.*not found"):
        client.solve(image(f"{testbed.registry}/{nonce}:1"))


@pytest.mark.parametrize(
    "ref",
    ["busybox", "busybox:latest", "library/busybox", "docker.io/busybox", "docker.io/library/busybox:1.35"],
)
def test_a_short_name_is_docker_hubs(client: Client, ref: str) -> None:
    assert said(client, image(ref).run(fresh("echo here"))) == ["here"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        case("has the name", {"filename": "layer.tgz"}, ("layer.tgz", 0o600, 0, 0)),
        case("has the mode and the owner", {"filename": "f", "mode": 0o644, "owner": "7:8"}, ("f", 0o644, 7, 8)),
    ],
)
def test_image_blob_is_a_file_that(
    testbed: Testbed, client: Client, options: dict[str, object], expected: tuple[str, int, int, int]
) -> None:
    layer = image_of(client, BUSYBOX).manifest["layers"][0]["digest"]
    node = image_blob(f"{testbed.registry}/library/busybox@{layer}", **options)  # type: ignore[arg-type]  # options of any kind, by name
    ((path, entry),) = tree(client, node).items()
    assert (path, entry.mode, entry.uid, entry.gid) == expected
    assert entry.content.startswith(b"\x1f\x8b")
