"""Auth: registry logins, for the daemon that pulls and pushes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from pyllb._pb import auth_pb2
from pyllb.rpc.status import Code, RpcError
from pyllb.session.call import Call, Handler
from pyllb.session.dockerconfig import Credentials, CredentialsError, DockerConfig
from pyllb.session.unary import read_request

CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"
# Some registries' tokens last five minutes; this is what buildctl keeps a login for.
_KEEP = 290.0
_POLL = 0.1


class CredentialStore(Protocol):
    """Where logins come from: DockerConfig, or an object of the caller's."""

    def credentials(self, host: str, *, check: Callable[[], None]) -> Credentials:
        """The login for a registry's host. check raises once nobody waits for the answer any more."""


class Auth:
    """Serves `moby.filesync.v1.Auth/Credentials` from a store; None for the user's docker configuration.

    The store is asked when the daemon asks, one question at a time, and its answer is kept for 290 s. The service's
    token methods are not announced: the daemon then fetches registry tokens itself, with these logins.
    Mirrors `authprovider.NewDockerAuthProvider` of BuildKit 0.33.1.
    """

    def __init__(self, store: CredentialStore | None = None) -> None:
        self._store = DockerConfig() if store is None else store
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Credentials]] = {}

    def methods(self) -> Mapping[str, Handler]:
        """The methods to announce."""
        return {CREDENTIALS: self._credentials}

    @property
    def given(self) -> Mapping[str, Credentials]:
        """The hosts that the daemon asked for so far, each with its login."""
        return {host: login for host, (_, login) in tuple(self._known.items())}

    def _credentials(self, call: Call) -> None:
        host = auth_pb2.CredentialsRequest.FromString(read_request(call)).Host
        # One at a time: two runs of the macOS keychain helper at once were seen to hang.
        while not self._lock.acquire(timeout=_POLL):
            call.check()
        try:
            found = self._lookup(host, call)
        finally:
            self._lock.release()
        answer = auth_pb2.CredentialsResponse(Username=found.username, Secret=found.secret)
        call.send([answer.SerializeToString()])

    def _lookup(self, host: str, call: Call) -> Credentials:
        since, found = self._known.get(host, (0.0, None))
        if found is not None and time.monotonic() - since < _KEEP:
            return found
        try:
            found = self._store.credentials(host, check=call.check)
        except CredentialsError as error:
            raise RpcError(Code.UNKNOWN, f"no login for {host}: {error}") from error
        self._known[host] = (time.monotonic(), found)
        return found
