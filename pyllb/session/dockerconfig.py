"""DockerConfig: the registry logins that `docker login` left behind, in config.json and in its credential helpers."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import attrs

from pyllb.value import Value

if TYPE_CHECKING:
    from pathlib import Path

# The registry of Docker Hub goes by the address that its login has always been kept under.
_HUB_KEY = "https://index.docker.io/v1/"
_HUB_HOSTS = frozenset({"registry-1.docker.io", "index.docker.io", "docker.io"})
_NOT_FOUND = "credentials not found in native keychain"
_TOKEN_USER = "<token>"


class CredentialsError(Exception):
    """A login exists, as far as the configuration says, but cannot be had."""


@attrs.frozen(eq=False, repr=False)
class Credentials(Value):
    """A login at a registry. username "": the secret is an identity token; both "": anonymous."""

    username: str = ""
    secret: str = attrs.field(default="", repr=False)


ANONYMOUS = Credentials()


@attrs.frozen(eq=False, repr=False)
class DockerConfig(Value):
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
        config = _parse(_read(path), path)
        helper = _helper(config, key, path)
        if helper:
            return _from_helper(f"docker-credential-{helper}", key, check)
        return _from_auths(config, key, path) or ANONYMOUS

    def path(self) -> str:
        """Where the config.json is read from."""
        # A user without a home, as containers run them, gets a path that no file has: `~` stays as it is.
        directory = self.directory or os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
        return os.path.join(directory, "config.json")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"{path} cannot be read: {error}") from error


def _parse(text: str, name: str) -> Mapping[str, object]:
    try:
        value = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise CredentialsError(f"{name} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise CredentialsError(f"{name} is not a JSON object")
    return value


def _mapping(config: Mapping[str, object], key: str, name: str) -> Mapping[str, object]:
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise CredentialsError(f"{key} in {name} is not a JSON object")
    return value


def _helper(config: Mapping[str, object], key: str, name: str) -> str:
    """The helper for a registry, without the beginning of its name; "" for none."""
    own = _mapping(config, "credHelpers", name)
    field, helper = ("credHelpers", own[key]) if key in own else ("credsStore", config.get("credsStore") or "")
    if not isinstance(helper, str):
        raise CredentialsError(f"{field} in {name} is not a string")
    return helper


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
    return url.partition("://")[2].partition("/")[0] if "://" in url else url.partition("/")[0]


def _from_helper(program: str, key: str, check: Callable[[], None]) -> Credentials:
    from pyllb.session.helper import HelperError, run_helper

    try:
        code, out, err = run_helper(program, key, check)
    except HelperError as error:
        raise CredentialsError(str(error)) from error
    if code:
        # Helpers tell on stdout what went wrong; this very text means that there is no login.
        if _NOT_FOUND in out:
            return ANONYMOUS
        told = "" if '"Secret"' in out else out.strip()
        said = (told or err.strip())[:1000] or "nothing"
        raise CredentialsError(f"{program} ended with {code} when asked for {key}, and said: {said}")
    answer = _json(out)
    username, secret = (answer.get(name) for name in ("Username", "Secret")) if isinstance(answer, dict) else ("", None)
    if not (isinstance(username, str) and isinstance(secret, str)):
        # What it printed may hold the secret: it is not shown.
        raise CredentialsError(f"{program} answered for {key} with something else than Username and Secret")
    return Credentials("" if username == _TOKEN_USER else username, secret)


def _json(text: str) -> object:
    """The value of a JSON text; None of what is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
