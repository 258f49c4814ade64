"""Pattern matcher: include and exclude patterns, as .dockerignore has them.

Mirrors `moby/patternmatcher` v0.6.1, which BuildKit 0.33.1 uses, odd corners included: `foo/**` does not match `foo`,
`foo**` matches `foobar`, and a path is cleaned before its leading `!` is looked for. Not mirrored: in a pattern with
a wildcard upstream leaves `^`, `|`, `{` and `}` to the regular expression (its table of characters to escape is too
narrow for them), so that `*|b` matches everything; here they stand for themselves.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import attrs

MatchInfo: TypeAlias = tuple[bool, ...]
"""What matched a directory, for its children to inherit; () for children of the root."""

_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_CLASSES = {
    "d": "0-9",
    "s": r"\t\n\f\r ",
    "w": "0-9A-Za-z_",
}
_ANCHORS = {"A": r"\A", "z": r"\Z", "b": r"(?a:\b)", "B": r"(?a:\B)"}


class BadPattern(ValueError):
    """A pattern that cannot be read; the message names it. why: what is wrong with it."""

    def __init__(self, pattern: str, why: str) -> None:
        super().__init__(f"bad pattern {pattern!r}: {why}")
        self.why = why


def clean(path: str) -> str:
    """Go's `filepath.Clean`: no `.`, no doubled or trailing `/`, `..` resolved; "." when nothing is left."""
    path = posixpath.normpath(path)
    return path[1:] if path.startswith("//") else path  # POSIX lets two leading slashes stand, Go does not


@attrs.frozen
class Pattern:
    """One pattern. text: cleaned, without its `!`. exclusion: it had one. One of the other four says what matches."""

    text: str
    exclusion: bool
    exact: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    regexp: re.Pattern[str] | None = None

    @classmethod
    def parse(cls, text: str, *, exclusion: bool) -> Pattern:
        """Raises BadPattern."""
        check_syntax(text)
        kind, body = _translate(text)
        if kind == "exact":
            return cls(text, exclusion, exact=text)
        if kind == "prefix":
            return cls(text, exclusion, prefix=text[:-2])
        if kind == "suffix":
            return cls(text, exclusion, suffix=text[2:])
        try:
            return cls(text, exclusion, regexp=re.compile(body))
        except (re.error, OverflowError) as error:
            raise BadPattern(text, str(error)) from error

    @property
    def base(self) -> str:
        """The pattern without `/**` and `/*` at its end: what it can match lies below this path."""
        return self.text.removesuffix("/**").removesuffix("/*")

    @property
    def base_is_literal(self) -> bool:
        return not any(char in "*[]?^\\" for char in self.base)

    def matches(self, path: str) -> bool:
        """Whether path itself matches; what its parents do is the matcher's business."""
        if self.exact is not None:
            return path == self.exact
        if self.prefix is not None:
            return path.startswith(self.prefix)
        if self.suffix is not None:  # `**/foo` matches `foo` too
            return path.endswith(self.suffix) or f"/{path}" == self.suffix
        return self.regexp is not None and self.regexp.fullmatch(path) is not None


@attrs.frozen
class _AnyOf:
    """Patterns of which one must match, all tried at once: an exclude list may have thousands."""

    exact: frozenset[str]
    prefixes: tuple[str, ...]
    suffixes: tuple[str, ...]
    regexp: re.Pattern[str] | None

    @classmethod
    def of(cls, patterns: Iterable[Pattern]) -> _AnyOf:
        patterns = list(patterns)
        suffixes = tuple(pattern.suffix for pattern in patterns if pattern.suffix is not None)
        bare = (suffix[1:] for suffix in suffixes if suffix.startswith("/"))
        bodies = [f"(?:{pattern.regexp.pattern})" for pattern in patterns if pattern.regexp is not None]
        return cls(
            frozenset([*(pattern.exact for pattern in patterns if pattern.exact is not None), *bare]),
            tuple(pattern.prefix for pattern in patterns if pattern.prefix is not None),
            suffixes,
            re.compile("|".join(bodies)) if bodies else None,
        )

    def matches(self, path: str) -> bool:
        return (
            path in self.exact
            or path.endswith(self.suffixes)
            or path.startswith(self.prefixes)
            or (self.regexp is not None and self.regexp.fullmatch(path) is not None)
        )


@attrs.frozen
class PatternMatcher:
    """Patterns in order; a later `!pattern` takes back what an earlier one matched, and the other way round."""

    patterns: tuple[Pattern, ...]
    _any: _AnyOf | None = attrs.field(default=None, repr=False)  # all of them, when none is an exclusion

    @classmethod
    def parse(cls, texts: Iterable[str]) -> PatternMatcher:
        """Blank patterns are dropped. Raises BadPattern."""
        patterns = tuple(_parse_all(texts))
        if not patterns or any(pattern.exclusion for pattern in patterns):
            return cls(patterns)
        return cls(patterns, _AnyOf.of(patterns))

    @property
    def exclusions(self) -> bool:
        """Whether any pattern begins with `!`."""
        return any(pattern.exclusion for pattern in self.patterns)

    def match(self, path: str, parent: MatchInfo = ()) -> tuple[bool, MatchInfo]:
        """Whether path, or a directory above it, matches. parent: the second value of the call for its directory."""
        if self._any is not None:
            matched = any(parent) or self._any.matches(path)
            return matched, (matched,)
        return self._match_in_order(path, parent)

    def matches(self, path: str) -> bool:
        """As match, for a path whose parents were not asked about before."""
        info: MatchInfo = ()
        matched = False
        for end in (*(at for at, char in enumerate(path) if char == "/" and at), len(path)):
            matched, info = self.match(path[:end], info)
        return matched

    def _match_in_order(self, path: str, parent: MatchInfo) -> tuple[bool, MatchInfo]:
        matched = False
        info = [False] * len(self.patterns)
        for at, pattern in enumerate(self.patterns):
            hit = bool(parent) and parent[at]
            if not hit:
                if pattern.exclusion != matched:  # it could change nothing; upstream then records no match either
                    continue
                hit = pattern.matches(path)
            info[at] = hit
            if hit:
                matched = not pattern.exclusion
        return matched, tuple(info)


def check_syntax(pattern: str) -> None:
    """Raises BadPattern where Go's `filepath.Match` would."""
    at = 0
    while at < len(pattern):
        if pattern[at] == "\\":
            if at + 1 == len(pattern):
                raise BadPattern(pattern, "a backslash at its end escapes nothing")
            at += 2
        elif pattern[at] == "[":
            at = _check_class(pattern, at + 1)
        else:
            at += 1


def _check_class(pattern: str, at: int) -> int:
    """Check a class from behind its `[`; where it ends."""
    if pattern[at : at + 1] == "^":
        at += 1
    start = at
    while pattern[at : at + 1] != "]" or at == start:
        at = _check_class_char(pattern, at)
        if pattern[at] == "-":
            at = _check_class_char(pattern, at + 1)
    return at + 1


def _check_class_char(pattern: str, at: int) -> int:
    if at < len(pattern) and pattern[at] in "-]":
        raise BadPattern(pattern, f"{pattern[at]!r} in [...] must be escaped with a backslash")
    at += 2 if pattern[at : at + 1] == "\\" else 1
    if at >= len(pattern):
        raise BadPattern(pattern, r"[ is never closed; write \[ for the letter itself")
    return at


def _parse_all(texts: Iterable[str]) -> Iterator[Pattern]:
    for given in texts:
        text = given.strip(_SPACES)
        if not text:
            continue
        text = clean(text)
        if text == "!":
            raise BadPattern(given, "nothing follows the !; write what it takes back")
        yield Pattern.parse(text.removeprefix("!"), exclusion=text.startswith("!"))


def _translate(pattern: str) -> tuple[str, str]:
    """How a pattern is matched (exact, prefix, suffix, regexp), and its regular expression."""
    kind, out, at = "exact", "", 0
    while at < len(pattern):
        char, first = pattern[at], at == 0
        at += 1
        if pattern.startswith("**", at - 1):
            at += 1
            at += pattern[at : at + 1] == "/"  # `**/` is `**`
            if at < len(pattern):
                out, kind = out + "(?:.*/)?", "regexp"
            elif kind == "exact":
                kind = "prefix"
            else:
                out, kind = out + ".*", "regexp"
            kind = "suffix" if first else kind
        elif char == "*":
            out, kind = out + "[^/]*", "regexp"
        elif char == "?":
            out, kind = out + "[^/]", "regexp"
        elif char == "\\":
            out, kind, at = out + _escaped(pattern, pattern[at]), "regexp", at + 1
        elif char == "[":
            body, at = _class(pattern, at)
            out, kind = out + body, "regexp"
        else:
            out += re.escape(char)
            kind = "regexp" if char == "]" else kind
    return kind, out


def _class(pattern: str, at: int) -> tuple[str, int]:
    """A class from behind its `[`, as Python's re wants it, and where it ends; its syntax was checked before."""
    out = "["
    if pattern[at] == "^":
        out, at = "[^", at + 1
    while pattern[at] != "]":
        low, at = _class_char(pattern, at)
        out += low
        if pattern[at] == "-":
            high, at = _class_char(pattern, at + 1)
            out += f"-{high}"
    return out + "]", at + 1


def _class_char(pattern: str, at: int) -> tuple[str, int]:
    char = pattern[at]
    if char == "\\":
        return _escaped(pattern, pattern[at + 1], in_class=True), at + 2
    if char in "*?":
        # upstream turns them into [^/]* and [^/] in here as well, which ends the class too early
        raise BadPattern(pattern, f"{char!r} in [...] must be escaped with a backslash")
    if pattern.startswith("[:", at):
        raise BadPattern(pattern, "[: in [...] must be escaped with a backslash")
    return re.escape(char), at + 1


def _escaped(pattern: str, char: str, *, in_class: bool = False) -> str:
    r"""`\char`: upstream hands it to Go's regexp, where a letter behind a backslash can mean something else."""
    if char.isascii() and not char.isalnum():
        return re.escape(char)
    if char in _CONTROLS:
        return re.escape(_CONTROLS[char])
    if char in _CLASSES:
        return _CLASSES[char] if in_class else f"[{_CLASSES[char]}]"
    if char.lower() in _CLASSES and not in_class:
        return f"[^{_CLASSES[char.lower()]}]"
    if char in _ANCHORS and not in_class:
        return _ANCHORS[char]
    raise BadPattern(pattern, f"\\{char} means nothing: leave out the backslash")
