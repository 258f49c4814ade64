"""Discovery: which daemon to use, in the order that users of buildctl expect."""

from __future__ import annotations

import os
from collections.abc import Iterator

from pyllb.errors import NoDaemonError

_ROOTFUL = "unix:///run/buildkit/buildkitd.sock"

_HINT = """no buildkitd was found: BUILDKIT_HOST is not set, and none answers at {places}
use one that runs:  --addr ADDRESS, or export BUILDKIT_HOST=unix:///path/to/buildkitd.sock
or start your own:  pyllb engine install && pyllb engine start"""


def find(addr: str | None = None) -> str | None:
    """The address of the daemon to use; None when there is none.

    In this order: addr; BUILDKIT_HOST; buildkitd's default socket of root; that of rootless mode
    ($XDG_RUNTIME_DIR/buildkit/buildkitd.sock); pyllb's own engine, when it runs. The first two are returned as they
    are, unasked, because they may need what only a client has (TLS, ssh); each of the others must answer.
    """
    if named := addr or os.environ.get("BUILDKIT_HOST"):
        return named
    from pyllb.engine.probe import answers

    return next((address for address in candidates() if answers(address)), None)


def require(addr: str | None = None) -> str:
    """As find(), but raises NoDaemonError, with three lines on what to do, when there is none."""
    address = find(addr)
    if address is None:
        places = ", ".join(candidate.removeprefix("unix://") for candidate in candidates())
        raise NoDaemonError(_HINT.format(places=places))
    return address


def candidates() -> Iterator[str]:
    """The usual addresses, in the order they are asked."""
    yield _ROOTFUL
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        yield f"unix://{runtime}/buildkit/buildkitd.sock"
    from pyllb.engine import private

    yield private.address()
