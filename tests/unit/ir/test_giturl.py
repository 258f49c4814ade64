"""Git URLs are taken apart as BuildKit's client does it."""

from __future__ import annotations

import pytest

from pyllb.errors import RefError
from pyllb.ir.giturl import parse_git_url


@pytest.mark.parametrize(
    ("text", "scheme", "remote", "identifier"),
    [
        ("https://github.com/o/n.git", "https", "https://github.com/o/n.git", "git://github.com/o/n.git"),
        ("http://host:8080/n", "http", "http://host:8080/n", "git://host:8080/n"),
        ("git://host/n/", "git", "git://host/n/", "git://host/n"),
        ("HTTPS://host/n", "https", "https://host/n", "git://host/n"),
        ("ssh://git@host:22/o/n", "ssh", "ssh://git@host:22/o/n", "git://host:22/o/n"),
        ("git@github.com:o/n.git", "ssh", "git@github.com:o/n.git", "git://github.com/o/n.git"),
        ("git@host:/abs/n", "ssh", "git@host:/abs/n", "git://host/abs/n"),
        ("github.com/o/n", "https", "https://github.com/o/n", "git://github.com/o/n"),
        ("https://user:pw@host/n", "https", "https://user:pw@host/n", "git://host/n"),
        ("https://host/a//b/../n", "https", "https://host/a//b/../n", "git://host/a/n"),
        ("https://host/a%20b", "https", "https://host/a%20b", "git://host/a b"),
        ("https://host/ü(1)/n", "https", "https://host/%C3%BC%281%29/n", "git://host/ü(1)/n"),
        ("https://host/n#main", "https", "https://host/n", "git://host/n#main"),
        ("https://host/n#main:/sub/../dir/", "https", "https://host/n", "git://host/n#main:dir"),
        ("https://host/n#:sub", "https", "https://host/n", "git://host/n#:sub"),
        ("git@host:n#v1:sub", "ssh", "git@host:n", "git://host/n#v1:sub"),
    ],
)
def test_a_git_url_is_taken_apart(text: str, scheme: str, remote: str, identifier: str) -> None:
    url = parse_git_url(text)

    assert (url.scheme, url.remote, url.identifier(url.ref, url.subdir)) == (scheme, remote, identifier)


@pytest.mark.parametrize(
    "text",
    [
        *("", "not a url", "ftp://host/n", "file:///n", "https://", "https:///n", "https://host", "https://host/"),
        *("/n", "./n", "../n", "n", "git@host:", "https://host:x/n", "https://host/n?ref=a", "git@host:n?ref=a"),
        *("https://[::1/n", "https://host/a b", "https://ho st/a"),
    ],
)
def test_what_is_no_git_url_is_refused(text: str) -> None:
    with pytest.raises(RefError):
        parse_git_url(text)
