"""GitUrl: where a git repository is, from a URL or an scp-style address.

Mirrors util/gitutil.ParseURL and util/sshutil.ParseSCPStyleURL (BuildKit 0.33.1).
"""

from __future__ import annotations

import posixpath
import re

import attrs

from pyllb.errors import RefError
from pyllb.value import Value

_SCHEME = r"([a-zA-Z0-9]+)://"
_SCHEMES = ("http", "https", "ssh", "git")
_SCP = r"([a-zA-Z0-9_-]+)@([a-zA-Z0-9.-]+):(.*?)(?:\?(.*?))?(?:#(.*))?\Z"
# Of a URL, what Go takes: nowhere a space or a bad escape; hosts are names or addresses, with a port.
_NOWHERE = r"[\s\x00-\x1f\x7f]|%(?![0-9A-Fa-f]{2})"
_HOST = r"(?:[A-Za-z0-9][A-Za-z0-9._~-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?\Z"
_USER = r"[A-Za-z0-9._~:!$&'()*+,;=%@-]*\Z"
_PATH = r"[A-Za-z0-9._~!$&'()*+,;=:@\[\]/%-]*\Z"
_EXAMPLE = "write 'https://github.com/owner/name.git' or 'git@github.com:owner/name.git', say"


@attrs.frozen(eq=False, repr=False)
class GitUrl(Value):
    """A repository's address, taken apart.

    scheme: http, https, ssh or git. host: with its port. remote: the address for git, without query and fragment.
    ref, subdir: from the fragment (`#ref:subdir`), "" when there is none.
    """

    scheme: str
    host: str
    path: str
    remote: str
    ref: str = ""
    subdir: str = ""

    def identifier(self, ref: str, subdir: str) -> str:
        """The source's identifier: the same for https, ssh and git addresses of one repository."""
        fragment = "#" + ref + (":" + subdir if subdir else "") if ref or subdir else ""
        return "git://" + self.host + clean_path(self.path) + fragment


def parse_git_url(text: str) -> GitUrl:
    """Parse the address of a repository; one without a scheme is tried with https. Raises RefError."""
    scheme = re.match(_SCHEME, text)
    if scheme is None:
        scp = re.match(_SCP, text)
        return _scp(text, scp) if scp else _url(text, "https://" + text)
    if scheme.group(1).lower() not in _SCHEMES:
        raise RefError(f"{text!r} is not a git URL: its scheme is none of {', '.join(_SCHEMES)}; {_EXAMPLE}")
    return _url(text, text)


def clean_path(path: str) -> str:
    """The path as absolute and without dots, as Go's path.Join("/", path)."""
    return "/" + posixpath.normpath("/" + path).lstrip("/")


def split_fragment(fragment: str) -> tuple[str, str]:
    """`ref:subdir` as the two, the subdir cleaned."""
    ref, _, subdir = fragment.partition(":")
    return ref, clean_path(subdir)[1:]


def _scp(text: str, match: re.Match[str]) -> GitUrl:
    user, host, path, query, fragment = match.groups()
    _no_query(text, query or "")
    if not path:
        raise RefError(f"{text!r} is not a git URL: no path follows the host; {_EXAMPLE}")
    return GitUrl("ssh", host, path, f"{user}@{host}:{path}", *split_fragment(fragment or ""))


def _url(text: str, url: str) -> GitUrl:
    from urllib.parse import unquote, urlsplit  # here: few builds have a git source, and start-up is measured

    try:
        parts = urlsplit(url)
        bad = parts.port is not None and parts.port < 1
    except ValueError as error:
        raise RefError(f"{text!r} is not a git URL: {error}; {_EXAMPLE}") from error
    user, at, host = parts.netloc.rpartition("@")
    if bad or re.search(_NOWHERE, url) or not re.match(_HOST, host) or not re.match(_USER, user):
        raise RefError(f"{text!r} is not a git URL; {_EXAMPLE}")
    if not parts.path.strip("/"):
        raise RefError(f"{text!r} is not a git URL: no path follows the host; {_EXAMPLE}")
    _no_query(text, parts.query or "?" in url.partition("#")[0])
    remote = f"{parts.scheme}://{_written_user(user)}{at}{host}{_written_path(parts.path)}"
    ref, subdir = split_fragment(unquote(parts.fragment))
    return GitUrl(parts.scheme, host, unquote(parts.path), remote, ref, subdir)


def _written_path(path: str) -> str:
    """Go's URL.EscapedPath: as it is written, or else every letter that needs it escaped."""
    from urllib.parse import quote, unquote

    return path if re.match(_PATH, path) else quote(unquote(path), safe="/$&+,:;=@")


def _written_user(user: str) -> str:
    """Go's Userinfo.String: what logs in, escaped anew."""
    from urllib.parse import quote, unquote

    return ":".join(quote(unquote(part), safe="$&+,;=") for part in user.split(":", 1))


def _no_query(text: str, query: str | bool) -> None:
    if query:
        raise RefError(f"{text!r} has a query, which git does not see; give ref=, subdir= and the like as options")
