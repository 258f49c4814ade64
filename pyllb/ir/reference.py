"""Reference: the name of an image, normalised as Docker's tools do, and digests.

Mirrors distribution/reference ParseNormalizedNamed and TagNameOnly, and opencontainers/go-digest, as BuildKit 0.33.1
uses them.
"""

from __future__ import annotations

import re

import attrs

from pyllb.errors import RefError
from pyllb.value import Value

_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_PATH = rf"{_PATH_PART}(?:/{_PATH_PART})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
# In three parts, and none of them for a plain name: to compile the middle one alone is 0.35 ms of the start.
_DOMAIN_ONLY = rf"{_DOMAIN}\Z"
_NAMED = rf"({_PATH})(?::({_TAG}))?\Z"
_DIGEST_ONLY = rf"{_DIGEST}\Z"
_HEX = {"sha256": 64, "sha384": 96, "sha512": 128}
_MAX_PATH = 255
_EXAMPLE = "write NAME, NAME:TAG or NAME@sha256:..., such as 'golang:1.25' or 'registry.example.com/team/app:1'"


@attrs.frozen(eq=False, repr=False)
class Reference(Value):
    """A parsed image reference. domain: of the registry. tag, digest: "" when there is none."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag, digest = self.tag and f":{self.tag}", self.digest and f"@{self.digest}"
        return f"{self.domain}/{self.path}{tag}{digest}"


def parse_reference(text: str) -> Reference:
    """Parse and normalise an image reference: "golang" is docker.io/library/golang:latest.

    A tag and a digest are both kept; `latest` is added only where there is neither. Raises RefError.
    """
    if len(text) == 64 and re.match(r"[a-f0-9]{64}\Z", text):
        raise RefError(f"{text!r} is not an image reference but 64 hex digits; write NAME@sha256: before them")
    domain, rest = _split_domain(text)
    path = rest.partition(":")[0]
    if path.lower() != path and "@" not in path:
        name = text.partition(":")[0] if path.startswith("library/") else path
        lower = text.replace(name, name.lower(), 1)
        raise RefError(f"{text!r} is not an image reference: its name has upper-case letters; write {lower!r}")
    named, at, digest = rest.partition("@")
    found = _name_and_tag(named)
    known = domain == "docker.io" or re.match(_DOMAIN_ONLY, domain)
    if found is None or not known or (at and not re.match(_DIGEST_ONLY, digest)):
        raise RefError(f"{text!r} is not an image reference; {_why(text)}")
    name, tag = found
    if len(name) > _MAX_PATH:
        raise RefError(f"{text!r} is not an image reference: its name has more than {_MAX_PATH} characters")
    if digest:
        parse_digest(digest)
    return Reference(domain, name, tag or ("" if digest else "latest"), digest)


def _name_and_tag(named: str) -> tuple[str, str] | None:
    """The path and the tag, "" without one; None when they are not that."""
    name, colon, tag = named.partition(":")
    plain = all(part.isalnum() for part in name.split("/")) and name.isascii() and name.islower()
    if plain and (not colon or (tag.isascii() and tag.replace(".", "").isalnum() and tag[0] != "." and len(tag) < 128)):
        return name, tag
    match = re.match(_NAMED, named)
    return (match.group(1), match.group(2) or "") if match else None


def parse_digest(text: str) -> str:
    """The digest as it is. Raises RefError when its algorithm is unknown or its hex part is not of that length."""
    algorithm, _, encoded = text.partition(":")
    length = _HEX.get(algorithm)
    if length is None:
        raise RefError(f"{text!r} is not a digest; write sha256: and 64 hex digits (sha384 and sha512 are known too)")
    if len(encoded) != length:
        raise RefError(f"{text!r} is not a digest: {algorithm} has {length} hex digits, this has {len(encoded)}")
    if not re.match(r"[a-f0-9]+\Z", encoded):
        raise RefError(f"{text!r} is not a digest: only the letters 0-9 and a-f may follow {algorithm}:")
    return text


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if not slash:
        return "docker.io", f"library/{text}"
    if first == "index.docker.io":
        first = "docker.io"
    elif not (first == "localhost" or "." in first or ":" in first or first.lower() != first):
        return "docker.io", text
    return first, rest if first != "docker.io" or "/" in rest else f"library/{rest}"


def _why(text: str) -> str:
    if not text:
        return f"it is empty; {_EXAMPLE}"
    if "://" in text:
        scheme = text.partition("://")[0]
        return f"leave {scheme + '://'!r} out; {_EXAMPLE}"
    if text.strip() != text or " " in text:
        return f"it has white space; {_EXAMPLE}"
    return _EXAMPLE
