"""Helper: one run of a credential helper, the program that docker asks for a login on its standard input."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Callable

import attrs

# The daemon gives up on an answer after 60 s; this names the helper before that.
TIMEOUT = 45.0
_POLL = 0.1
# An answer has a few hundred bytes; an identity token, some thousand.
_MAX_SAID = 1 << 20


class HelperError(Exception):
    """A helper that cannot be run, does not end, or says too much."""


def run_helper(program: str, question: str, check: Callable[[], None]) -> tuple[int, str, str]:
    """Ask `program get` a question: its exit code, and what it said on its two outputs. Raises HelperError.

    check: called every tenth of a second; what it raises ends the helper.
    """
    try:
        child = subprocess.Popen(
            [program, "get"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
    except OSError as error:
        reason = "is not on the PATH" if isinstance(error, FileNotFoundError) else f"does not start: {error}"
        raise HelperError(f"{program}, which the docker configuration names, {reason}") from error
    with child:
        try:
            out, err = _Conversation(program, child, question.encode()).run(check)
        except BaseException:
            child.kill()
            raise
    return child.returncode, out.decode(errors="replace"), err.decode(errors="replace")


@attrs.define
class _Conversation:
    program: str
    child: subprocess.Popen[bytes]
    question: bytes
    out: bytearray = attrs.Factory(bytearray)
    err: bytearray = attrs.Factory(bytearray)

    def run(self, check: Callable[[], None]) -> tuple[bytes, bytes]:
        """Until the helper has ended; a child that it leaves behind may go on, and hold its outputs open."""
        end = time.monotonic() + TIMEOUT
        with selectors.DefaultSelector() as selector:
            self.register(selector)
            while True:
                ended = self.child.poll() is not None
                ready = selector.select(0 if ended else _POLL)
                for key, _ in ready:
                    if not self.go_on(key.fd, key.data):
                        selector.unregister(key.fileobj)
                if ended and not ready:
                    return bytes(self.out), bytes(self.err)
                check()
                if time.monotonic() > end:
                    raise HelperError(f"{self.program} did not answer within {TIMEOUT:g} s")
                if not selector.get_map():
                    self.wait()

    def register(self, selector: selectors.BaseSelector) -> None:
        for file, events, said in (
            (self.child.stdin, selectors.EVENT_WRITE, None),
            (self.child.stdout, selectors.EVENT_READ, self.out),
            (self.child.stderr, selectors.EVENT_READ, self.err),
        ):
            assert file is not None  # all three are pipes
            os.set_blocking(file.fileno(), False)
            selector.register(file, events, said)

    def go_on(self, fd: int, said: bytearray | None) -> bool:
        """Move what can be moved; whether there is more to come. said: None for the helper's input."""
        if said is None:
            return self.tell(fd)
        data = os.read(fd, 64 << 10)
        said += data
        if len(said) > _MAX_SAID:
            raise HelperError(f"{self.program} said more than {_MAX_SAID} bytes, which is no login")
        return bool(data)

    def tell(self, fd: int) -> bool:
        try:
            self.question = self.question[os.write(fd, self.question) :]
        except BrokenPipeError:  # it knows the answer without the question
            self.question = b""
        if not self.question and self.child.stdin is not None:
            self.child.stdin.close()
        return bool(self.question)

    def wait(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(_POLL)
