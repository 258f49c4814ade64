"""Secrets: values that a step may mount, and that are nowhere but in this process and in that step."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import attrs

from pyllb._pb import secrets_pb2
from pyllb.errors import UsageError
from pyllb.rpc.status import CallCancelled, Code, RpcError
from pyllb.session.call import Call, Handler
from pyllb.session.special import Check, read_special
from pyllb.session.unary import read_request
from pyllb.value import Value

GET_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
MAX_SECRET = 500 * 1024


def _no_check() -> None:
    """Nobody gives up."""


class SecretSource(Protocol):
    """Where a secret's value comes from."""

    def check(self) -> None:
        """Raises UsageError when it is plain now that read() will fail. Takes no value from a pipe or a function."""

    def read(self, *, check: Check = _no_check) -> bytes:
        """The value, asked for when the step starts. Raises UsageError.

        check: raises once nobody waits for the value any more; for a source that may take long.
        """


@attrs.frozen(eq=False, repr=False)
class FileSecret(Value):
    """A secret in a file. What is read is what the file holds when the step starts."""

    path: Path = attrs.field(converter=Path)

    def check(self) -> None:
        """Raises UsageError when the file is missing, a directory, or too large."""
        try:
            found = self.path.stat()
        except (OSError, ValueError) as error:  # a NUL in it
            raise UsageError(f"{str(self.path)!r} cannot be read: {getattr(error, 'strerror', error)}") from error
        if stat.S_ISDIR(found.st_mode):
            raise UsageError(f"{str(self.path)!r} is a directory, not a file")
        if not os.access(self.path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
            raise UsageError(f"{str(self.path)!r} cannot be read: {os.strerror(errno.EACCES)}")
        _check_size(found.st_size)

    def read(self, *, check: Check = _no_check) -> bytes:
        """The file's content; of a named pipe, what is written to it until it is closed. Raises UsageError."""
        try:
            return read_special(self.path, MAX_SECRET + 1, check)
        except OSError as error:
            raise UsageError(f"{str(self.path)!r} cannot be read: {error.strerror}") from error


@attrs.frozen(eq=False, repr=False)
class EnvSecret(Value):
    """A secret in an environment variable of this process."""

    name: str

    def check(self) -> None:
        """Raises UsageError when the variable is not set, or too large."""
        _check_size(len(self.read()))

    def read(self, *, check: Check = _no_check) -> bytes:
        """The variable's value. Raises UsageError when it is not set."""
        try:
            return os.fsencode(os.environ[self.name])
        except KeyError:
            raise UsageError(f"the environment variable {self.name!r} is not set") from None


@attrs.frozen(eq=False, repr=False)
class ValueSecret(Value):
    """A secret given as bytes."""

    value: bytes = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.value, bytes):
            raise UsageError(f"a secret's value is bytes, not {type(self.value).__name__}")

    def check(self) -> None:
        """Raises UsageError when it is too large."""
        _check_size(len(self.value))

    def read(self, *, check: Check = _no_check) -> bytes:
        """The bytes."""
        return self.value


@attrs.frozen(eq=False, repr=False)
class CallableSecret(Value):
    """A secret that a function returns, called each time the daemon asks, in a thread of the session."""

    function: Callable[[], bytes] = attrs.field(repr=False)

    def check(self) -> None:
        """Nothing is known before the call."""

    def read(self, *, check: Check = _no_check) -> bytes:
        """What the function returns. Raises UsageError when it raises, or returns something else than bytes."""
        value, failure = None, ""
        try:
            value = self.function()
        except BaseException as error:
            failure = type(error).__name__
        if failure:  # raised here, without the function's own error behind it: its text might tell the value
            raise UsageError(f"the function that should return it raised {failure}")
        if not isinstance(value, bytes):
            raise UsageError(f"the function that should return bytes returned {type(value).__name__}")
        return value


class Secrets:
    """Serves `moby.buildkit.secrets.v1.Secrets/GetSecret` from sources by secret id; an unknown id is NOT_FOUND.

    A value may have 500 KiB. Neither repr() nor an error shows one.
    Mirrors `secretsprovider.NewSecretProvider` of BuildKit 0.33.1.
    """

    def __init__(self, values: Mapping[str, SecretSource]) -> None:
        self._values = dict(values)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids that are served."""
        return tuple(self._values)

    def check(self) -> None:
        """Raises UsageError, naming the id, when a source is plainly of no use. For use before a solve."""
        for id, source in self._values.items():
            try:
                source.check()
            except UsageError as error:
                raise UsageError(f"secret {id!r}: {error}") from error

    def methods(self) -> Mapping[str, Handler]:
        """The methods to announce."""
        return {GET_SECRET: self._get}

    def _get(self, call: Call) -> None:
        id = secrets_pb2.GetSecretRequest.FromString(read_request(call)).ID
        source = self._values.get(id)
        if source is None:
            raise RpcError(Code.NOT_FOUND, f"secret {id!r} was not given")
        value, failure = _read(source, call)
        if failure:  # raised here, with nothing behind it: what a source met may tell the value
            raise RpcError(Code.UNKNOWN, f"secret {id!r}: {failure}")
        call.send([secrets_pb2.GetSecretResponse(data=value).SerializeToString()])

    def __repr__(self) -> str:
        return f"Secrets({self._values!r})"


def _read(source: SecretSource, call: Call) -> tuple[bytes, str]:
    """The value, or why there is none."""
    try:
        value = source.read(check=call.check)
        _check_size(len(value))
        return bytes(memoryview(value)), ""
    except CallCancelled:
        raise
    except UsageError as error:
        return b"", str(error)
    except BaseException as error:
        return b"", f"its source raised {type(error).__name__}"


def _check_size(size: int) -> None:
    if size > MAX_SECRET:
        raise UsageError(f"has {size} bytes or more, a secret may have {MAX_SECRET}")
