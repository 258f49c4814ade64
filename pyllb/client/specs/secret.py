"""Secrets: which id is served from where, as `secrets=` and buildctl's --secret say it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import attrs

from pyllb.client.specs.fields import has_utf8, one_or_many, parse_fields
from pyllb.errors import UsageError, near
from pyllb.session.secrets import CallableSecret, EnvSecret, FileSecret, SecretSource, ValueSecret
from pyllb.value import Value

_EXAMPLE = "'id=token,src=token.txt' or 'id=token,env=TOKEN'"
_KEYS = ("type", "id", "src", "source", "env")
_SOURCES = (FileSecret, EnvSecret, ValueSecret, CallableSecret)

SecretValue = bytes | str | os.PathLike[str] | Callable[[], bytes | str] | SecretSource
"""A secret in a mapping: bytes or text itself, the path of a file, something to call, or a source."""
SecretSpecs = Mapping[str, SecretValue] | str | Iterable[str] | None
"""What `secrets=` takes."""


def parse_secrets(value: SecretSpecs) -> dict[str, SecretSource]:
    """Read `secrets=` into one source per id.

    A mapping is id to the secret's own bytes or text, to the Path of a file, to a function that is called when the
    daemon asks, or to a source such as EnvSecret("TOKEN"). Strings are buildctl's: `id=ID,src=FILE`, `id=ID,env=NAME`,
    and `id=ID` for the environment variable of that name if it is set and else the file. Raises UsageError.
    """
    if isinstance(value, Mapping):
        return {_id(id): _of(id, given) for id, given in value.items()}
    found: dict[str, SecretSource] = {}
    for item in one_or_many("secrets", value, str):
        id, source = _parse(item)
        if id in found:
            raise UsageError(f"secrets: {id!r} is given twice")
        found[id] = source
    return found


def _id(id: object) -> str:
    if isinstance(id, str) and id:
        return id
    raise UsageError(f"secrets: {id!r} is not an id; give the name that secret() in the build has")


def _of(id: str, given: object) -> SecretSource:
    if isinstance(given, str):
        if not has_utf8(given):
            raise UsageError(f"secrets: the text of {id!r} has characters that UTF-8 has not; give bytes")
        return ValueSecret(given.encode())
    if isinstance(given, bytes):
        return ValueSecret(given)
    if isinstance(given, os.PathLike):
        return FileSecret(Path(given))
    if isinstance(given, _SOURCES):
        return given
    if callable(given):
        return CallableSecret(_Encoded(given))
    raise UsageError(
        f"secrets: {id!r} is given a {type(given).__name__}; give bytes, text, the Path of a file, or a function"
    )


@attrs.frozen(eq=False, repr=False)
class _Encoded(Value):
    """A function's result as bytes; text is UTF-8."""

    function: Callable[[], object] = attrs.field(repr=False)

    def __call__(self) -> bytes:
        value = self.function()
        # What is neither is left to its reader, which says what it should have been.
        return value.encode() if isinstance(value, str) else value  # type: ignore[return-value]  # a function may return what it should not, which is looked at next


def _parse(item: object) -> tuple[str, SecretSource]:
    if not isinstance(item, str):
        raise UsageError(f"secrets: a {type(item).__name__} is not a string; write it as {_EXAMPLE}")
    pairs = parse_fields("secrets", item, _EXAMPLE)
    for key in pairs:
        if key not in _KEYS:
            raise UsageError(f"secrets: unexpected key {key!r} in {item!r}; write it as {_EXAMPLE}{near(key, _KEYS)}")
    if not pairs.get("id"):
        raise UsageError(f"secrets: {item!r} has no id; write it as {_EXAMPLE}")
    return pairs["id"], _placed(pairs, item)


def _placed(pairs: dict[str, str], text: str) -> SecretSource:
    """buildctl's rules: type=env with only src means the variable src; with neither, the variable or file named id."""
    id, kind = pairs["id"], pairs.get("type", "")
    src, env = pairs.get("src", pairs.get("source", "")), pairs.get("env", "")
    if kind not in ("", "file", "env"):
        raise UsageError(f"secrets: type={kind!r} in {text!r} is neither file nor env")
    if kind == "env" and src and not env:
        src, env = "", src
    if src and env:
        raise UsageError(f"secrets: {text!r} names a file and a variable; write it as {_EXAMPLE}")
    if not src and not env:
        in_environment = kind == "env" or (kind != "file" and id in os.environ)
        src, env = ("", id) if in_environment else (id, "")
    return EnvSecret(env) if env else FileSecret(Path(src))
