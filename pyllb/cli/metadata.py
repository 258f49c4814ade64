"""Metadata: the exporters' response as the JSON file of --metadata-file."""

from __future__ import annotations

import base64
import binascii
import json
import os
import tempfile
from collections.abc import Mapping

from pyllb.errors import UsageError


def check_metadata_file(path: str) -> None:
    """Make sure, before a build runs, that the file can be written. Raises UsageError."""
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.isdir(path):
        raise UsageError(f"--metadata-file {path!r} is a directory; name a file")
    if _is_stream(path):
        return
    if not os.path.isdir(folder):
        raise UsageError(f"--metadata-file {path!r}: there is no directory {folder!r}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"--metadata-file {path!r}: the directory {folder!r} cannot be written to")


def metadata_json(answers: Mapping[str, Mapping[str, str]]) -> str:
    """The exporters' responses of each target, by its name, as one JSON object; "" is a target alone, whose response is
    the object.

    A value that is base64 of a JSON object which is not empty stands as that object, any other as a string. Mirrors
    buildctl's --metadata-file (0.33.1), and buildx bake's where there are targets by name.
    """
    found = {name: {key: _value(response[key]) for key in sorted(response)} for name, response in answers.items()}
    return json.dumps(found.get("", found), indent=2, ensure_ascii=False)


def write_metadata(path: str, text: str) -> None:
    """Write the file whole or not at all: beside it first, then in its place. What a link leads to is replaced, and
    what is no regular file, such as /dev/stdout or a named pipe, is written to.
    """
    if _is_stream(path):
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return
    path = os.path.realpath(path)
    handle, half = tempfile.mkstemp(prefix=".pyllb-", dir=os.path.dirname(path))
    try:
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(half, 0o666 & ~_umask())
        os.replace(half, path)
    except BaseException:
        os.unlink(half)
        raise


def _is_stream(path: str) -> bool:
    """Whether it is a terminal, a pipe or another device, which can be written to and not replaced."""
    return os.path.exists(path) and not os.path.isfile(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _value(text: str) -> object:
    try:
        value = json.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return text
    return value if isinstance(value, dict) and value else text
