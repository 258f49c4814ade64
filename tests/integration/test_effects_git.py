"""What the options of a git source do, with repositories of the test's own on a loopback port."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from pyllb import Client, fs, git_signature
from tests.integration.effects import case, directory, fails, files, tree
from tests.integration.served import Site, served
from tests.testbed import Testbed
from tests.testbed.registry import digest_of

FIRST = 1_000_000_000  # when the first commit was made, in seconds since the epoch
CREDENTIALS = "Basic eC1hY2Nlc3MtdG9rZW46dGhlIHRva2Vu"  # x-access-token:the token


@attrs.frozen
class Repository:
    """A served repository. first, second: commits; main is at the second, v1 and old at the first;
    spaced has a directory with a space more."""

    site: Site
    first: str
    second: str
    key: str

    @property
    def url(self) -> str:
        return f"{self.site.url}/git/app.git"


def git(place: Path, *arguments: str) -> str:
    """Run git in a directory, without anybody's configuration, and return what it says."""
    names = {f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dates = {"GIT_AUTHOR_DATE": f"{FIRST} +0000", "GIT_COMMITTER_DATE": f"{FIRST} +0000"}
    alone = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["git", "-C", place, *arguments], check=True, stdout=subprocess.PIPE, text=True, env=names | dates | alone
    )
    return done.stdout.strip()


def commit(place: Path, contents: dict[str, str], *options: str) -> str:
    """Commit files, and return the commit."""
    directory(place, contents)
    git(place, "add", "-A")
    git(place, *options, "commit", "-q", "-m", "a commit")
    return git(place, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """app.git, with part.git as its submodule at /part, and a server of both."""
    place = tmp_path_factory.mktemp("git")
    for name in ("app", "part"):
        (place / name).mkdir()
        git(place / name, "init", "-q", "-b", "main")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", place / "key"], check=True)
    signed = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={place}/key", "-c", "commit.gpgsign=true")
    app = place / "app"
    with served() as site:
        site.repositories = place / "served"
        commit(place / "part", {"inside": "of part"})
        first = commit(app, {"README": "first", "sub/deep/file": "deep"})
        git(app, "tag", "v1")
        git(app, "branch", "old")
        git(app, "checkout", "-q", "-b", "spaced")
        commit(app, {"My Files/file": "in it"})
        git(app, "checkout", "-q", "main")
        module = f'[submodule "part"]\n\tpath = part\n\turl = {site.url}/git/part.git\n'
        git(app, "clone", "-q", str(place / "part"), "part")
        second = commit(app, {"README": "second", ".gitmodules": module}, *signed)
        for name in ("app", "part"):
            git(place, "clone", "-q", "--bare", str(place / name), f"served/{name}.git")
            git(place, "-C", f"served/{name}.git", "config", "uploadpack.allowAnySHA1InWant", "true")
        yield Repository(site, first, second, (place / "key.pub").read_text())
    shutil.rmtree(place)


FIRST_FILES = {"README": b"first", "sub/deep/file": b"deep"}
SECOND_FILES = {"README": b"second", "sub/deep/file": b"deep", "part/inside": b"of part"}


def contents(client: Client, url: str, **options: Any) -> dict[str, bytes]:
    """The files of a git source, without what git has for itself."""
    found = files(client, fs().git(url, **options))
    return {path: content for path, content in found.items() if not Path(path).name.startswith(".git")}


def test_without_a_ref_it_is_the_remotes_head(client: Client, repository: Repository) -> None:
    assert contents(client, repository.url) == SECOND_FILES


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        case("a branch", "old", FIRST_FILES),
        case("a tag", "v1", FIRST_FILES),
        case("a whole ref", "refs/heads/main", SECOND_FILES),
    ],
)
def test_ref_is(client: Client, repository: Repository, ref: str, expected: dict[str, bytes]) -> None:
    assert contents(client, repository.url, ref=ref) == expected


def test_ref_is_a_commit(client: Client, repository: Repository) -> None:
    assert contents(client, repository.url, ref=repository.first) == FIRST_FILES


@pytest.mark.parametrize(
    ("fragment", "options", "expected"),
    [
        case("a ref in the URL", "#old", {}, FIRST_FILES),
        case("a ref and a directory in the URL", "#old:sub/deep", {}, {"file": b"deep"}),
        case("a directory alone in the URL", "#:sub", {}, {"deep/file": b"deep"}),
        case("subdir", "", {"ref": "v1", "subdir": "sub"}, {"deep/file": b"deep"}),
        case("subdir with a space", "", {"ref": "spaced", "subdir": "My Files"}, {"file": b"in it"}),
        case("a ref in the URL, and subdir", "#old", {"subdir": "sub/deep"}, {"file": b"deep"}),
    ],
)
def test_a_part_is(
    client: Client, repository: Repository, fragment: str, options: dict[str, Any], expected: dict[str, bytes]
) -> None:
    assert contents(client, repository.url + fragment, **options) == expected


def test_a_subdir_that_is_not_there_fails(client: Client, repository: Repository) -> None:
    with fails("nowhere"):
        client.solve(fs().git(repository.url, subdir="nowhere"))


def test_a_ref_that_is_not_there_fails(client: Client, repository: Repository) -> None:
    with fails("nowhere"):
        client.solve(fs().git(repository.url, ref="nowhere"))


@pytest.mark.parametrize(("keep", "there"), [(True, True), (False, False)])
def test_keep_git_dir_keeps_it(client: Client, repository: Repository, keep: bool, there: bool) -> None:
    found = tree(client, fs().git(repository.url, ref="old", keep_git_dir=keep))
    assert (".git/HEAD" in found) == there


def test_submodules_may_be_left_out(client: Client, repository: Repository) -> None:
    assert contents(client, repository.url, submodules=False) == {"README": b"second", "sub/deep/file": b"deep"}


def test_a_checksum_that_is_right_is_fine(client: Client, repository: Repository) -> None:
    assert contents(client, repository.url, ref="old", checksum=repository.first) == FIRST_FILES
    assert contents(client, repository.url, ref="old", checksum=repository.first[:8]) == FIRST_FILES


def test_a_checksum_that_is_wrong_fails(client: Client, repository: Repository) -> None:
    with fails(f"expected checksum to match {repository.second}, got {repository.first}"):
        client.solve(fs().git(repository.url, ref="old", checksum=repository.second))


def test_mtime_commit_is_when_the_commit_was_made(client: Client, repository: Repository) -> None:
    found = tree(client, fs().git(repository.url, ref="old", mtime="commit"))
    assert {entry.mtime for entry in found.values() if entry.kind == "file"} == {FIRST}


def test_mtime_checkout_is_when_it_was_fetched(client: Client, repository: Repository) -> None:
    found = tree(client, fs().git(repository.url, ref="old", mtime="checkout"))
    assert all(entry.mtime > FIRST for entry in found.values())


def test_fetch_by_commit_asks_for_no_ref(client: Client, repository: Repository) -> None:
    found = contents(client, repository.url, ref="gone", checksum=repository.first, fetch_by_commit=True)
    assert found == FIRST_FILES


@pytest.mark.parametrize(
    ("options", "secrets"),
    [
        case("auth_token_secret is the password", {"auth_token_secret": "mine"}, {"mine": "the token"}),
        case("the token's usual name is GIT_AUTH_TOKEN", {}, {"GIT_AUTH_TOKEN": "the token"}),
        case("auth_header_secret is all of the header", {"auth_header_secret": "mine"}, {"mine": CREDENTIALS}),
        case("the header's usual name is GIT_AUTH_HEADER", {}, {"GIT_AUTH_HEADER": CREDENTIALS}),
    ],
)
def test_a_private_repository(
    client: Client, repository: Repository, options: dict[str, str], secrets: dict[str, str]
) -> None:
    repository.site.password = CREDENTIALS
    try:
        node = fs().git(repository.url, ref="old", **options)  # type: ignore[arg-type]  # options of any kind, by name
        assert files(client, node, secrets=secrets) == FIRST_FILES
        with fails("(?i)auth|username|credentials|401|could not read"):
            client.solve(node)
    finally:
        repository.site.password = ""


def test_signature_takes_a_commit_that_the_key_signed(client: Client, repository: Repository) -> None:
    found = contents(client, repository.url, ref="main", signature=git_signature(repository.key))
    assert found == SECOND_FILES


def test_signature_refuses_a_commit_that_nobody_signed(client: Client, repository: Repository) -> None:
    with fails("signature|signed"):
        client.solve(fs().git(repository.url, ref="old", signature=git_signature(repository.key)))


def test_checkout_bundle_is_a_file_that_a_registry_can_keep_and_bundle_reads(
    testbed: Testbed, client: Client, repository: Repository
) -> None:
    made = files(client, fs().git(repository.url, ref="old", checksum=repository.first, checkout_bundle=True))
    (bundle,) = made.values()
    assert bundle.startswith((b"# v2 git bundle", b"# v3 git bundle"))
    upload(testbed, "bundles", bundle)
    place = f"docker-image+blob://{testbed.registry}/bundles@{digest_of(bundle)}"
    gone = repository.url.replace("app.git", "gone.git")
    assert contents(client, gone, checksum=repository.first, bundle=place) == FIRST_FILES


def upload(testbed: Testbed, name: str, content: bytes) -> None:
    """Put a blob into the registry (OCI distribution specification 1.1, POST then PUT)."""
    start = urllib.request.Request(f"http://{testbed.registry}/v2/{name}/blobs/uploads/", method="POST", data=b"")
    with urllib.request.urlopen(start) as answer:
        location = answer.headers["Location"]
    place = f"{location}{'&' if '?' in location else '?'}digest={digest_of(content)}"
    kind = {"Content-Type": "application/octet-stream"}
    with urllib.request.urlopen(urllib.request.Request(place, method="PUT", data=content, headers=kind)):
        pass
