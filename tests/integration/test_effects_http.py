"""What the options of an http source do, with a server of the test's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from pyllb import Client, fs
from tests.integration.effects import case, fails, files, tree
from tests.integration.served import Site, served

CONTENT = b"what is served\n"
# Made once with gpg 2.2: a key that does not expire, and its signature of CONTENT.
KEY = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawGC1hYJKwYBBAHaRw8BAQdAI4OWWMavNDLxyHRATCiqc8AH3HHbxnPTRVGE
d9tCAoe0BkEgVGVzdIiQBBMWCAA4FiEEkIuAq5bfU5gyDksJPK9U1tK0xJUFAmsB
gtYCGwMFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AACgkQPK9U1tK0xJVR0QEAjdSC
uD/bgc+GOASlz+FHpXEptyer3xniewZKDz6dsRoBANzrZz0KhMjG594eddfcEqiz
RTBazhYhcIQuz8yD6HsC
=vufa
-----END PGP PUBLIC KEY BLOCK-----
"""
SIGNATURE = """\
-----BEGIN PGP SIGNATURE-----

iHUEABYIAB0WIQSQi4Crlt9TmDIOSwk8r1TW0rTElQUCawGC1gAKCRA8r1TW0rTE
lVZhAPwL+rlCJofNrTwt9kZM7RD7tgVPI+8Rl56clBSEsR5/mQEA/9Iror9B7WTe
AKQJRJpw06DiS3HDeoGPxQe6WtGz2wk=
=s1HN
-----END PGP SIGNATURE-----
"""
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def site() -> Iterator[Site]:
    """A server that has /dir/file.txt."""
    with served() as found:
        found.files["/dir/file.txt"] = CONTENT
        yield found


@pytest.mark.parametrize(
    ("options", "name"),
    [
        case("the URL's last part", {}, "file.txt"),
        case("what filename says", {"filename": "other"}, "other"),
    ],
)
def test_the_file_is_named(client: Client, site: Site, options: dict[str, Any], name: str) -> None:
    assert files(client, fs().http(f"{site.url}/dir/file.txt", **options)) == {name: CONTENT}


def test_a_space_in_the_path_is_escaped_by_the_daemon(client: Client, site: Site) -> None:
    site.files["/My%20File"] = CONTENT
    assert files(client, fs().http(f"{site.url}/My File")) == {"My File": CONTENT}


def test_the_server_may_name_the_file(client: Client, site: Site) -> None:
    site.headers["Content-Disposition"] = 'attachment; filename="told.bin"'
    assert files(client, fs().http(f"{site.url}/dir/file.txt")) == {"told.bin": CONTENT}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        case("is root's alone without saying so", {}, (0o600, 0, 0)),
        case("has the mode", {"mode": 0o755}, (0o755, 0, 0)),
        case("has the owner", {"owner": "7:8"}, (0o600, 7, 8)),
        case("of one number has that owner", {"owner": 7}, (0o600, 7, 0)),
    ],
)
def test_the_file(client: Client, site: Site, options: dict[str, Any], expected: tuple[int, int, int]) -> None:
    (entry,) = tree(client, fs().http(f"{site.url}/dir/file.txt", **options)).values()
    assert (entry.mode, entry.uid, entry.gid) == expected


def test_the_file_has_the_time_that_the_server_says(client: Client, site: Site) -> None:
    site.headers["Last-Modified"] = "Sat, 03 Feb 2001 04:05:06 GMT"
    (entry,) = tree(client, fs().http(f"{site.url}/dir/file.txt")).values()
    assert entry.mtime == 981173106


def test_a_checksum_that_is_right_is_fine(client: Client, site: Site) -> None:
    assert files(client, fs().http(f"{site.url}/dir/file.txt", checksum=DIGEST)) == {"file.txt": CONTENT}


def test_a_checksum_that_is_wrong_fails(client: Client, site: Site) -> None:
    with fails(f"digest mismatch.*{DIGEST}"):
        client.solve(fs().http(f"{site.url}/dir/file.txt", checksum="sha256:" + "0" * 64))


def test_a_file_of_a_known_checksum_is_not_asked_for_again(client: Client, site: Site) -> None:
    node = fs().http(f"{site.url}/dir/file.txt", checksum=DIGEST)
    client.solve(node)
    site.asked.clear()
    client.solve(node)
    assert site.asked == []


def test_a_changed_file_is_fetched_again(client: Client, site: Site) -> None:
    node = fs().http(f"{site.url}/dir/file.txt")
    client.solve(node)
    site.files["/dir/file.txt"] = b"changed"
    assert files(client, node) == {"file.txt": b"changed"}


def test_a_file_that_is_not_there_fails_with_what_the_server_says(client: Client, site: Site) -> None:
    with fails("404"):
        client.solve(fs().http(f"{site.url}/missing"))


@pytest.mark.parametrize(
    ("options", "header", "value"),
    [
        case("accept", {"accept": "text/plain"}, "accept", "text/plain"),
        case("user_agent", {"user_agent": "a build of ours"}, "user-agent", "a build of ours"),
    ],
)
def test_a_request_has_the_header(client: Client, site: Site, options: dict[str, Any], header: str, value: str) -> None:
    client.solve(fs().http(f"{site.url}/dir/file.txt", **options))
    assert {headers[header] for _, _, headers in site.asked} == {value}


def test_auth_secret_is_the_authorization_header(client: Client, site: Site) -> None:
    site.password = "Bearer of-the-test"
    node = fs().http(f"{site.url}/dir/file.txt", auth_secret="token")
    assert files(client, node, secrets={"token": site.password}) == {"file.txt": CONTENT}
    with fails("401"):
        client.solve(node, secrets={"token": "Bearer wrong"}, no_cache=True)


def test_a_signature_that_fits_is_fine(client: Client, site: Site) -> None:
    node = fs().http(f"{site.url}/dir/file.txt", pgp_key=KEY, pgp_signature=SIGNATURE)
    assert files(client, node) == {"file.txt": CONTENT}


def test_a_signature_of_something_else_fails(client: Client, site: Site) -> None:
    site.files["/dir/file.txt"] = b"changed"
    with fails("signature"):
        client.solve(fs().http(f"{site.url}/dir/file.txt", pgp_key=KEY, pgp_signature=SIGNATURE))
