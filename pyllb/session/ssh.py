"""Ssh: the user's ssh agent, lent to the steps that mount it: to list keys and to sign, and nothing else."""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Mapping
from pathlib import Path

import attrs

from pyllb._pb import ssh_pb2
from pyllb.errors import NotThereYet, UsageError
from pyllb.rpc.status import Code, RpcError
from pyllb.session.call import Call, Handler
from pyllb.session.unary import read_request
from pyllb.value import Value

CHECK_AGENT = "/moby.sshforward.v1.SSH/CheckAgent"
FORWARD_AGENT = "/moby.sshforward.v1.SSH/ForwardAgent"
DEFAULT_ID = "default"

# The agent's protocol: a length, a type, a body. Of the requests, listing and signing are let through; adding and
# removing keys, locking, and extensions are not a build's business (BuildKit's own clients refuse the same).
_LENGTH = struct.Struct(">I")
_LIST, _SIGN = 11, 13
_REFUSED = b"\x00\x00\x00\x01\x05"
_MAX_AGENT_MESSAGE = 256 << 10
# To connect, or to take a request.
_AGENT_TIMEOUT = 2.0
_POLL = 0.1


@attrs.frozen(eq=False, repr=False)
class SshAgent(Value):
    """The agent behind one id. path: its unix socket; None for $SSH_AUTH_SOCK."""

    path: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))

    def socket_path(self) -> Path:
        """Where the socket is. Raises UsageError when it is nowhere, NotThereYet when it is a key file."""
        path = self.path or Path(os.environ.get("SSH_AUTH_SOCK", ""))
        if path == Path():
            raise UsageError("SSH_AUTH_SOCK is not set: start an ssh agent, or name its socket")
        try:
            mode = path.stat().st_mode
        except (OSError, ValueError) as error:  # a NUL in it
            why = getattr(error, "strerror", error)
            raise UsageError(f"{str(path)!r} cannot be used as an ssh agent: {why}") from error
        if stat.S_ISREG(mode):
            raise NotThereYet(f"{str(path)!r} is a file: key files are not there yet, add the key with ssh-add")
        if not stat.S_ISSOCK(mode):
            raise UsageError(f"{str(path)!r} is not a socket")
        return path


class Ssh:
    """Serves `moby.sshforward.v1.SSH` from agents by id; the id of a mount that names none is "default".

    Mirrors `sshprovider.NewSSHAgentProvider` of BuildKit 0.33.1, without its key files and its raw mode.
    """

    def __init__(self, agents: Mapping[str, SshAgent]) -> None:
        self._agents = dict(agents)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids that are served."""
        return tuple(self._agents)

    def check(self) -> None:
        """Raises UsageError or NotThereYet, naming the id, when a socket is missing. For use before a solve."""
        for id, agent in self._agents.items():
            try:
                agent.socket_path()
            except (UsageError, NotThereYet) as error:
                raise type(error)(f"ssh {id!r}: {error}") from error

    def methods(self) -> Mapping[str, Handler]:
        """The methods to announce."""
        return {CHECK_AGENT: self._check_agent, FORWARD_AGENT: self._forward}

    def _check_agent(self, call: Call) -> None:
        self._agent(ssh_pb2.CheckAgentRequest.FromString(read_request(call)).ID)
        call.send([ssh_pb2.CheckAgentResponse().SerializeToString()])

    def _agent(self, id: str) -> SshAgent:
        agent = self._agents.get(id or DEFAULT_ID)
        if agent is None:
            raise RpcError(Code.NOT_FOUND, f"ssh {id or DEFAULT_ID!r} was not given")
        return agent

    def _forward(self, call: Call) -> None:
        (id,) = call.metadata.get("buildkit.ssh.id", (DEFAULT_ID,))[:1]
        try:
            path = self._agent(id).socket_path()
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(_AGENT_TIMEOUT)
                sock.connect(str(path))
                _Conversation(call, sock).run()
        except (UsageError, NotThereYet, OSError) as error:
            raise RpcError(Code.UNKNOWN, f"ssh {id!r}: {error}") from error


class _Conversation:
    """One connection of a step to the agent. Requests are answered one by one, in order, as an agent does."""

    def __init__(self, call: Call, sock: socket.socket) -> None:
        self._call = call
        self._socket = sock
        self._buffer = bytearray()

    def run(self) -> None:
        while (arrived := self._call.receive()) is not None:
            for message in arrived:
                self._buffer += ssh_pb2.BytesMessage.FromString(message).data
            while (request := self._next_request()) is not None:
                answer = self._ask(request) if request[4] in (_LIST, _SIGN) else _REFUSED
                self._call.send([ssh_pb2.BytesMessage(data=answer).SerializeToString()])

    def _next_request(self) -> bytes | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        size = _LENGTH.size + _checked_size(self._buffer)
        if len(self._buffer) < size:
            return None
        request = bytes(self._buffer[:size])
        del self._buffer[:size]
        return request

    def _ask(self, request: bytes) -> bytes:
        self._socket.settimeout(_AGENT_TIMEOUT)
        self._socket.sendall(request)
        self._socket.settimeout(_POLL)
        head = self._read(_LENGTH.size)
        return head + self._read(_checked_size(head))

    def _read(self, size: int) -> bytes:
        """Waits as long as the step does: a signature may need a touch of the user's token."""
        data = b""
        while len(data) < size:
            try:
                part = self._socket.recv(size - len(data))
            except TimeoutError:
                self._call.check()
                continue
            if not part:
                raise OSError("the agent closed the connection")
            data += part
        return data


def _checked_size(head: bytes | bytearray) -> int:
    size: int = _LENGTH.unpack_from(head)[0]
    if not 1 <= size <= _MAX_AGENT_MESSAGE:
        raise OSError(f"a message of {size} bytes is not of an ssh agent")
    return size
