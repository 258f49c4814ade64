"""Digest: the name of a blob by its content."""

from __future__ import annotations

import re

_DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})\Z")


def is_digest(text: str) -> bool:
    """Whether text is a digest that a layout can have a blob by; nothing else becomes part of a path."""
    return _DIGEST.match(text) is not None
