"""DockerConfig: the registry logins that `docker login` left behind, in config.json and in its credential helpers."""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import attrs

# The registry of Docker Hub goes by the address that its login has always been kept under.
_HUB_KEY = "https://index.docker.io/v1/"
_HUB_HOSTS = frozenset({"registry-1.docker.io", "index.docker.io", "docker.io"})
# The daemon gives up on an answer after 60 s; this names the helper before that.
_HELPER_TIMEOUT = 45.0
_POLL = 0.1
_NOT_FOUND = "credentials not found in native keychain"
_TOKEN_USER = "<token>"


class CredentialsError(Exception):
    """A login exists, as far as the configuration says, but cannot be had."""


@attrs.frozen
class Credentials:
    """A login at a registry. username "": the secret is an identity token; both "": anonymous."""

    username: str = ""
    secret: str = attrs.field(default="", repr=False)


ANONYMOUS = Credentials()


@attrs.frozen
class DockerConfig:
    """A directory with a config.json, as the docker command keeps it; it is read at each question.

    directory: None for $DOCKER_CONFIG, else ~/.docker. $DOCKER_AUTH_CONFIG, a JSON text with `auths`, goes first.
    """

    directory: Path | None = None

    def credentials(self, host: str, *, check: Callable[[], None] = lambda: None) -> Credentials:
        """The login for a registry's host, with its port if it has one; anonymous when there is none.

        check: called every tenth of a second while a credential helper runs; what it raises ends the helper.
        Raises CredentialsError when a file or a helper is there and does not give what it should.
        """
        key = _HUB_KEY if host in _HUB_HOSTS else host
        given = _parse(os.environ.get("DOCKER_AUTH_CONFIG", ""), "DOCKER_AUTH_CONFIG")
        found = _from_auths(given, key, "DOCKER_AUTH_CONFIG")
        if found is not None:
            return found
        path = self.path()
        config = _parse(_read(path), str(path))
        helper = _mapping(config, "credHelpers", str(path)).get(key, config.get("credsStore"))
        if helper:
            return _from_helper(f"docker-credential-{helper}", key, check)
        return _from_auths(config, key, str(path)) or ANONYMOUS

    def path(self) -> Path:
        """Where the config.json is read from."""
        default = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
        return Path(self.directory or default) / "config.json"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"{path} cannot be read: {error}") from error


def _parse(text: str, name: str) -> Mapping[str, object]:
    try:
        value = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise CredentialsError(f"{name} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise CredentialsError(f"{name} is not a JSON object")
    return value


def _mapping(config: Mapping[str, object], key: str, name: str) -> Mapping[str, object]:
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise CredentialsError(f"{key} in {name} is not a JSON object")
    return value


def _from_auths(config: Mapping[str, object], key: str, name: str) -> Credentials | None:
    """The login written in the file itself: under the key, else under a URL of that host, as old versions wrote it."""
    auths = _mapping(config, "auths", name)
    entry = auths.get(key)
    if entry is None:
        entry = next((value for url, value in auths.items() if _host(url) == key), None)
    if entry is None:
        return None
    if not isinstance(entry, dict):
        raise CredentialsError(f"the login for {key} in {name} is not a JSON object")
    fields = {field: value for field, value in entry.items() if isinstance(value, str)}
    if fields.get("identitytoken"):
        return Credentials("", fields["identitytoken"])
    if fields.get("auth"):
        return _from_auth(fields["auth"], key, name)
    return Credentials(fields.get("username", ""), fields.get("password", ""))


def _from_auth(auth: str, key: str, name: str) -> Credentials:
    wrong = CredentialsError(f"the login for {key} in {name} is not base64 of user:password")
    try:
        username, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise wrong from None
    if not (username and colon):
        raise wrong
    return Credentials(username, password.strip("\0"))


def _host(url: str) -> str:
    return urlsplit(url).netloc if "://" in url else url.partition("/")[0]


def _from_helper(program: str, key: str, check: Callable[[], None]) -> Credentials:
    code, out, err = _run(program, key, check)
    if code:
        # Helpers tell on stdout what went wrong; this very text means that there is no login.
        if _NOT_FOUND in out:
            return ANONYMOUS
        said = (out.strip() or err.strip())[:1000] or "nothing"
        raise CredentialsError(f"{program} ended with {code} when asked for {key}, and said: {said}")
    try:
        answer = json.loads(out)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError):
        # What it printed may hold the secret: it is not shown.
        raise CredentialsError(f"{program} answered for {key} with something else than Username and Secret") from None
    return Credentials("" if username == _TOKEN_USER else str(username), str(secret))


def _run(program: str, key: str, check: Callable[[], None]) -> tuple[int, str, str]:
    try:
        child = subprocess.Popen(
            [program, "get"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        reason = "is not on the PATH" if isinstance(error, FileNotFoundError) else f"does not start: {error}"
        raise CredentialsError(f"{program}, which the docker configuration names, {reason}") from error
    with child:
        try:
            out, err = _communicate(child, key.encode(), check)
        except BaseException:
            child.kill()
            raise
    return child.returncode, out.decode(errors="replace"), err.decode(errors="replace")


def _communicate(child: subprocess.Popen[bytes], question: bytes, check: Callable[[], None]) -> tuple[bytes, bytes]:
    end = time.monotonic() + _HELPER_TIMEOUT
    to_send: bytes | None = question
    while True:
        try:
            return child.communicate(to_send, timeout=_POLL)
        except subprocess.TimeoutExpired:
            to_send = None  # it goes on with what it was given first
            check()
            if time.monotonic() > end:
                raise CredentialsError(f"a credential helper did not answer within {_HELPER_TIMEOUT:.0f} s") from None
