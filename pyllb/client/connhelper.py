"""Connection helper: a command whose standard input and output are the way to a daemon.

Each runs `buildctl dial-stdio` where the daemon is. Mirrors client/connhelper of BuildKit 0.33.1.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from typing import IO, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pyllb.errors import UsageError, near

_DIAL = ("buildctl", "dial-stdio")
# What a command may take to end once its standard input has, before it is told to, and then before it is killed.
_PATIENCE = 1.0
_WORDS = 500  # characters of what it said on stderr that are told, the last ones
_POD = re.compile(r"[-a-z0-9.]+\Z")
_HOST = re.compile(r"(?P<host>\[[^\]]+\]|[^:\[\]]+)(:(?P<port>\d+))?\Z")


def command_of(text: str) -> tuple[str, ...]:
    """The command for an address of one of these schemes. Raises UsageError."""
    scheme = text.partition("://")[0]
    try:
        parts = urlsplit(text)
    except ValueError:  # half a pair of brackets, say; its own text may have a password in it too
        shown = f"an address of {scheme}://" if "@" in text else repr(text)
        raise UsageError(f"{shown} cannot be read; {_FORMS[scheme]}") from None
    command = _COMMANDS[scheme](text, parts)
    if any("\0" in word for word in command):
        raise UsageError(f"{text!r} has a null byte in it; {_FORMS[scheme]}")
    return command


def _docker(text: str, parts: SplitResult) -> tuple[str, ...]:
    container, given = _container(text, parts), _query(text, parts, "context")
    context = (f"--context={given['context']}",) if given["context"] else ()
    return ("docker", *context, "exec", "-i", container, *_DIAL)


def _podman(text: str, parts: SplitResult) -> tuple[str, ...]:
    _query(text, parts)
    return ("podman", "exec", "-i", _container(text, parts), *_DIAL)


def _nerdctl(text: str, parts: SplitResult) -> tuple[str, ...]:
    container, given = _container(text, parts), _query(text, parts, "namespace")
    namespace = ("--namespace", given["namespace"]) if given["namespace"] else ()
    return ("nerdctl", "exec", *namespace, "-i", container, *_DIAL)


def _pod(text: str, parts: SplitResult) -> tuple[str, ...]:
    pod, given = _container(text, parts), _query(text, parts, "context", "namespace", "container")
    for what, name in (("pod", pod), ("namespace", given["namespace"]), ("container", given["container"])):
        if name and not _POD.match(name):
            raise UsageError(f"{text!r}: {name!r} is not the name of a {what}; it has a-z, 0-9, - and . only")
    flags = (f"--context={given['context']}", f"--namespace={given['namespace']}")
    return ("kubectl", *flags, "exec", f"--container={given['container']}", "-i", pod, "--", *_DIAL)


def _ssh(text: str, parts: SplitResult) -> tuple[str, ...]:
    if parts.password is not None:
        raise UsageError(f"an address of ssh:// has a password in it, which ssh does not take; {_FORMS['ssh']}")
    if parts.query or parts.fragment:
        raise UsageError(f"{text!r}: {parts.query or parts.fragment!r} follows the host; {_FORMS['ssh']}")
    place = _HOST.match(_netloc(text, parts))
    if place is None:
        raise UsageError(f"{text!r} does not name a host, with or without a port; {_FORMS['ssh']}")
    login = ("-l", unquote(parts.username)) if parts.username else ()
    port = ("-p", place["port"]) if place["port"] else ()
    # Quoted: ssh gives its words to the host's shell as one line.
    path = ("--addr", shlex.quote(f"unix://{unquote(parts.path)}")) if parts.path else ()
    return ("ssh", *login, *port, "--", place["host"].strip("[]"), _DIAL[0], *path, _DIAL[1])


def _container(text: str, parts: SplitResult) -> str:
    if parts.username is not None or parts.path.strip("/") or parts.fragment:
        raise UsageError(f"{text!r} has more than a name; {_FORMS[parts.scheme]}")
    return _netloc(text, parts)


def _netloc(text: str, parts: SplitResult) -> str:
    """The host as it is written, for a container's name keeps its capitals; one that is no flag of the command."""
    name = parts.netloc.rpartition("@")[2]
    if not name or name.startswith("-"):
        raise UsageError(f"{text!r} names {'nothing' if not name else repr(name)}; {_FORMS[parts.scheme]}")
    return name


def _query(text: str, parts: SplitResult, *known: str) -> Mapping[str, str]:
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in given:
        if name not in known:
            raise UsageError(f"{text!r} has {name!r}{near(name, known)}; {_FORMS[parts.scheme]}")
    return {name: given.get(name, "") for name in known}


_COMMANDS: Mapping[str, Callable[[str, SplitResult], tuple[str, ...]]] = {
    "docker-container": _docker,
    "podman-container": _podman,
    "nerdctl-container": _nerdctl,
    "kube-pod": _pod,
    "ssh": _ssh,
}
_FORMS = {
    "docker-container": "write docker-container://NAME, or docker-container://NAME?context=CONTEXT",
    "podman-container": "write podman-container://NAME",
    "nerdctl-container": "write nerdctl-container://NAME, or nerdctl-container://NAME?namespace=NAMESPACE",
    "kube-pod": "write kube-pod://POD, or kube-pod://POD?context=CONTEXT&namespace=NAMESPACE&container=CONTAINER",
    "ssh": "write ssh://HOST, or ssh://USER@HOST:PORT/path/to/buildkitd.sock",
}


class HelperSocket(socket.socket):
    """One end of a pair of sockets, whose other end is a command's standard input and output; closing it ends the
    command. errors: the file that the command's standard error is.
    """

    def __init__(self, near: socket.socket, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        super().__init__(near.family, near.type, near.proto, near.detach())
        self._process, self._errors, self._pid = process, errors, os.getpid()

    @classmethod
    def start(cls, command: tuple[str, ...]) -> HelperSocket:
        """Start a command. Raises OSError when that cannot be.

        It has a session of its own: Ctrl-C on the terminal is for this process, which ends the build in good order.
        """
        near, far = socket.socketpair()
        with contextlib.ExitStack() as held, far:
            held.callback(near.close)
            errors = held.enter_context(tempfile.TemporaryFile())
            process = subprocess.Popen(
                command, stdin=far.fileno(), stdout=far.fileno(), stderr=errors, start_new_session=True
            )
            held.pop_all()  # close() does what is left to do
        return cls(near, process, errors)

    def exit_code(self) -> int | None:
        """Of the command; None while it runs. It waits a moment for its end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        return self._process.returncode

    def why(self, unended: str = "closed its output") -> str:
        """How the command ended, and what it said of it. unended: what is the matter while it has not."""
        code = self.exit_code()
        ended = unended if code is None else f"ended with exit code {code}"
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()[-_WORDS:]
        return f"`{shlex.join(cast('tuple[str, ...]', self._process.args))}` {ended}" + (f": {said}" if said else "")

    def close(self) -> None:
        """Close the way, and wait for the command's end; one that lingers is killed."""
        if self.fileno() < 0:
            return
        own = self._pid == os.getpid()  # in a forked child it is the parent's
        if own:  # to whom such a child's copy of the socket is no reason to wait
            with contextlib.suppress(OSError):
                self.shutdown(socket.SHUT_RDWR)
        super().close()
        self._errors.close()
        if not own:
            return
        for end in (self._process.terminate, self._process.kill):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE)
                return
            end()
        self._process.wait()
