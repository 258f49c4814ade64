"""Fields: one CSV record of `key=value`, the form that buildctl's options share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from io import IOBase

from pyllb.errors import RefError, UsageError, near, nearest
from pyllb.ir.reference import parse_reference

_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


def parse_fields(option: str, text: str, example: str) -> dict[str, str]:
    """The pairs of a string such as `type=local,dest=out`, keys in lower case, in order; the last of a key counts.

    option, example: for the message. A value with a comma or a quote is quoted as in CSV: `"dest=a,b"`. Raises
    UsageError for a field without `=`, an empty key, or quotes that do not match. Mirrors build.parseOutputCSV and its
    siblings in buildctl 0.33.1.
    """
    pairs = {}
    for field in _record(option, text, example):
        key, mark, value = field.partition("=")
        if not mark or not key.strip():
            within = "" if field == text else f" in {text!r}"
            raise UsageError(f"{option}: {field!r}{within} is not key=value; write it as {example}")
        pairs[key.strip().lower()] = value
    return pairs


# A field of a CSV record (RFC 4180): in quotes, where "" is one quote, or without any.
_FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\Z)')


def _record(option: str, text: str, example: str) -> list[str]:
    fields, position, mark = [], 0, ","
    while mark:
        match = _FIELD.match(text, position)
        if match is None:
            raise UsageError(
                f"{option}: {text!r} has quotes or line ends that CSV has no place for; write it as {example}, "
                'and a value with a comma as "key=a,b"'
            )
        quoted, bare, mark = match.groups()
        fields.append(bare if quoted is None else quoted.replace('""', '"'))
        position = match.end()
    return fields


def parse_bool(option: str, key: str, value: str) -> bool:
    """A truth value as Go's strconv.ParseBool reads it, and "" as true. Raises UsageError."""
    if value in _TRUE or not value:
        return True
    if value in _FALSE:
        return False
    raise UsageError(f"{option}: {key}={value!r} is not a truth value; write true or false")


_COMPRESSIONS = ("uncompressed", "gzip", "estargz", "zstd", "nydus")  # nydus: of a daemon that is built with it
_NUMBERS = ("compression-level", "source-date-epoch")
_PLACES = ("dest", "src")  # of this side: a file name need not be UTF-8


def has_utf8(text: str) -> bool:
    """Whether text can be encoded. Asked first, because the error of encode() holds the whole text."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_path(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def check_attributes(option: str, attributes: Iterable[tuple[object, object]], known: Iterable[str]) -> None:
    """Make sure of attributes that go to the daemon: text, and what it reads in the same way everywhere.

    known: those that it reads. Any other is passed on, for a daemon may know more, but for one that is all but equal
    to one of these: with push misspelled nothing would be pushed, and nobody told. Raises UsageError.

    Mirrors compression.ParseAttributes and epoch.ParseExporterAttrs (BuildKit 0.33.1).
    """
    for name, value in attributes:
        if not isinstance(name, str) or not isinstance(value, str):
            raise UsageError(f"{option}: {name!r}: {value!r} is not an attribute and its value, which are text")
        has_bytes = _is_path(value) if name in _PLACES else has_utf8(name + value)
        if "\0" in value or not has_bytes:
            raise UsageError(f"{option}: {name}={value!r} has a character that no text for the daemon has")
        if name == "compression" and value not in _COMPRESSIONS:
            every = ", ".join(_COMPRESSIONS)
            raise UsageError(f"{option}: compression={value!r} is none of {every}{near(value, _COMPRESSIONS)}")
        if name in _NUMBERS and value and not re.match(r"[+-]?[0-9]{1,18}\Z", value):
            raise UsageError(f"{option}: {name}={value!r} is not a whole number")
        if name not in known and not name.startswith("annotation") and (meant := nearest(name, known, alike=0.8)):
            raise UsageError(f"{option}: there is no attribute {name!r}; did you mean {meant!r}?")


def check_ref(what: str, ref: str) -> None:
    """Make sure of an image reference; what: which one it is. Raises UsageError."""
    try:
        parse_reference(ref)
    except RefError as error:
        raise UsageError(f"{what}: {error.message}") from None


def attribute_pairs(value: Mapping[str, str] | Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Attributes, from a mapping or from pairs. Raises UsageError."""
    found = tuple(value.items() if isinstance(value, Mapping) else value) if isinstance(value, Iterable) else (value,)
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in found):
        raise UsageError(f"attributes: {value!r} are none; write {{'name': 'registry/app'}}, say")
    return tuple([(name, text) for name, text in found])


def one_or_many(option: str, value: object, single: type | tuple[type, ...]) -> list[object]:
    """An option as the list of its values: None is none, one value is one. Raises UsageError for what is neither."""
    if value is None:
        return []
    if isinstance(value, single):
        return [value]
    if isinstance(value, Iterable) and not isinstance(value, Mapping | bytes | IOBase):
        return list(value)
    raise UsageError(f"{option}: {value!r} is neither a string nor a list of them")
