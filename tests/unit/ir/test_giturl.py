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
        # a letter that no path has makes all of them be escaped
        ("https://host/a|(b)", "https", "https://host/a%7C%28b%29", "git://host/a|(b)"),
        ("https://host/a(b)!", "https", "https://host/a(b)!", "git://host/a(b)!"),
        # who logs in is written anew
        ("https://user:p!w@host/n", "https", "https://user:p%21w@host/n", "git://host/n"),
        ("https://a@b:c:d@host/n", "https", "https://a%40b:c%3Ad@host/n", "git://host/n"),
        ("https://user%3a:%41@host/n", "https", "https://user%3A:A@host/n", "git://host/n"),
        # what BuildKit's own tests have
        (
            "http://github.com/moby/buildkit",
            "http",
            "http://github.com/moby/buildkit",
            "git://github.com/moby/buildkit",
        ),
        ("HTTP://github.com/o/n", "http", "http://github.com/o/n", "git://github.com/o/n"),
        ("http://github.com/o/n#v1.0.0", "http", "http://github.com/o/n", "git://github.com/o/n#v1.0.0"),
        ("http://github.com/o/n#v1.0.0:sub", "http", "http://github.com/o/n", "git://github.com/o/n#v1.0.0:sub"),
        ("http://foo:bar@github.com/o/n#v1", "http", "http://foo:bar@github.com/o/n", "git://github.com/o/n#v1"),
        ("git@github.com:o/n.git#v1:hack", "ssh", "git@github.com:o/n.git", "git://github.com/o/n.git#v1:hack"),
        (
            "other@example.com:/srv/odd/n.git",
            "ssh",
            "other@example.com:/srv/odd/n.git",
            "git://example.com/srv/odd/n.git",
        ),
        ("ssh://root@a.b.c:2222/x/foo.git", "ssh", "ssh://root@a.b.c:2222/x/foo.git", "git://a.b.c:2222/x/foo.git"),
        ("git://host.xz:1234/to/repo.git", "git", "git://host.xz:1234/to/repo.git", "git://host.xz:1234/to/repo.git"),
        ("ssh://u@192.168.0.1:456/~/n.git", "ssh", "ssh://u@192.168.0.1:456/~/n.git", "git://192.168.0.1:456/~/n.git"),
        ("o_F-u52@example.com:to/n.git/", "ssh", "o_F-u52@example.com:to/n.git/", "git://example.com/to/n.git"),
        (
            "o@example.com:/to/really:odd:n.git/",
            "ssh",
            "o@example.com:/to/really:odd:n.git/",
            "git://example.com/to/really:odd:n.git",
        ),
        (
            "teddy@4houses-down.com:/~/n.git/",
            "ssh",
            "teddy@4houses-down.com:/~/n.git/",
            "git://4houses-down.com/~/n.git",
        ),
        # those are no scp-style addresses, so https is meant
        ("git@hello.net/foo/n.git", "https", "https://git@hello.net/foo/n.git", "git://hello.net/foo/n.git"),
        ("github.com/moby/buildkit", "https", "https://github.com/moby/buildkit", "git://github.com/moby/buildkit"),
    ],
)
def test_a_git_url_is_taken_apart(text: str, scheme: str, remote: str, identifier: str) -> None:
    url = parse_git_url(text)

    assert (url.scheme, url.remote, url.identifier(url.ref, url.subdir)) == (scheme, remote, identifier)


@pytest.mark.parametrize(
    ("text", "scheme", "user", "host", "path", "ref", "subdir"),
    [
        ("http://github.com/o/n", "http", "", "github.com", "/o/n", "", ""),
        ("https://github.com/o/n", "https", "", "github.com", "/o/n", "", ""),
        ("HTTP://github.com/o/n", "http", "", "github.com", "/o/n", "", ""),
        ("http://github.com/o/n#v1.0.0", "http", "", "github.com", "/o/n", "v1.0.0", ""),
        ("http://github.com/o/n#v1.0.0:sub", "http", "", "github.com", "/o/n", "v1.0.0", "sub"),
        ("http://foo:bar@github.com/o/n#v1.0.0", "http", "foo:bar", "github.com", "/o/n", "v1.0.0", ""),
        ("ssh://git@github.com/o/n.git", "ssh", "git", "github.com", "/o/n.git", "", ""),
        ("ssh://git@github.com:22/o/n.git", "ssh", "git", "github.com:22", "/o/n.git", "", ""),
        ("ssh://root@a.b.c:2222/x/odd/n.git", "ssh", "root", "a.b.c:2222", "/x/odd/n.git", "", ""),
        ("ssh://u@192.168.0.1:456/~/n.git", "ssh", "u", "192.168.0.1:456", "/~/n.git", "", ""),
        ("git://host.xz:1234/to/n.git", "git", "", "host.xz:1234", "/to/n.git", "", ""),
        ("git@github.com:o/n.git", "ssh", "git", "github.com", "o/n.git", "", ""),
        ("git@github.com:o/n.git#v1.0", "ssh", "git", "github.com", "o/n.git", "v1.0", ""),
        ("git@github.com:o/n.git#v1.0.0:hack", "ssh", "git", "github.com", "o/n.git", "v1.0.0", "hack"),
        ("other@example.com:/srv/odd/n.git", "ssh", "other", "example.com", "/srv/odd/n.git", "", ""),
    ],
)
def test_the_parts_of_a_git_url(text: str, scheme: str, user: str, host: str, path: str, ref: str, subdir: str) -> None:
    url = parse_git_url(text)

    assert (url.scheme, url.host, url.path, url.ref, url.subdir) == (scheme, host, path, ref, subdir)
    assert url.remote.rpartition("@")[0].removeprefix(f"{scheme}://") == user


@pytest.mark.parametrize(
    "text",
    [
        *("", "not a url", "ftp://host/n", "file:///n", "https://", "https:///n", "https://host", "https://host/"),
        *("/n", "./n", "../n", "n", "git@host:", "https://host:x/n", "https://host/n?ref=a", "git@host:n?ref=a"),
        *(
            "https://[::1/n",
            "https://host/a b",
            "https://ho st/a",
            "https://[::1]x/n",
            "https://host/%zz",
            "https://a%20b/n",
        ),
        *("https://host/n#%zz", "https://u%zz@host/n", "https://u|v@host/n", "https://host/n?"),
        *(
            "httpx://github.com/o/n",
            "https://github.com/o/n?ref=v1&foo=bar#v1.2.3",
            "git@github.com:o/n.git?subdir=/s#v1",
        ),
        *("github.com:moby/buildkit.git", "helloworld.net", "git@helloworld.net", "bad:user@helloworld.net:foo/n.git"),
    ],
)
def test_what_is_no_git_url_is_refused(text: str) -> None:
    with pytest.raises(RefError):
        parse_git_url(text)
