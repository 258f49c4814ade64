"""Mounts of an exec, as frozen values."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import attrs

from pyllb.ir.record import constructor
from pyllb.value import Shown

if TYPE_CHECKING:
    from pyllb.ir.ops import Node, Output

Sharing = Literal["shared", "private", "locked"]
ContentCache = Literal["default", "on", "off"]


@attrs.frozen(eq=False, repr=False, kw_only=True, weakref_slot=False)
class BindMount(Shown):
    """A filesystem at target. source: None is scratch. selector: the path inside source, "" is all of it.

    no_output: what the command writes there is thrown away. origin: the state whose filesystem it is; the changed
    mount, as a state, goes on with that state's meta and spec; None for the root. LLB: Mount with mountType BIND.
    """

    target: str
    source: Output | None = attrs.field(default=None, repr=False)
    selector: str = ""
    readonly: bool = False
    no_output: bool = False
    content_cache: ContentCache = "default"
    origin: Node | None = attrs.field(default=None, repr=False)


make_bind_mount = constructor(BindMount)


@attrs.frozen(eq=False, repr=False, kw_only=True)
class CacheMount(Shown):
    """A directory that outlives the build.

    env: pairs the tool needs, set for the command over what the image says and under what the build sets.
    source, selector: what a new cache starts from (and part of its identity); None is empty. content_cache: of source.
    LLB: mountType CACHE.
    """

    target: str
    id: str
    sharing: Sharing = "shared"
    source: Output | None = attrs.field(default=None, repr=False)
    selector: str = ""
    readonly: bool = False
    content_cache: ContentCache = "default"
    env: tuple[tuple[str, str], ...] = ()


@attrs.frozen(eq=False, repr=False, kw_only=True)
class TmpfsMount(Shown):
    """An empty in-memory filesystem for one command. size: upper bound in bytes, 0 is the kernel's default."""

    source: ClassVar[None] = None  # as if it were a mount of scratch
    target: str
    size: int = 0


@attrs.frozen(eq=False, repr=False, kw_only=True)
class SecretMount(Shown):
    """A secret as a file at target, as the environment variable env, or both; None leaves that form out.

    mode: permission bits of the file. LLB: Mount with mountType SECRET, and ExecOp.secretenv.
    """

    id: str
    target: str | None = None
    env: str | None = None
    uid: int = 0
    gid: int = 0
    mode: int = 0o400
    optional: bool = False


@attrs.frozen(eq=False, repr=False, kw_only=True)
class SshMount(Shown):
    """An ssh agent's socket. target: None is /run/buildkit/ssh_agent.N. LLB: Mount with mountType SSH."""

    id: str = "default"
    target: str | None = None
    uid: int = 0
    gid: int = 0
    mode: int = 0o600
    optional: bool = False

    def place(self, number: int) -> str:
        """The path of the socket, this being the command's ssh mount of that number, from 0."""
        return self.target or f"/run/buildkit/ssh_agent.{number}"


Mount = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount
"""What `run(mounts=...)` takes."""
PlacedMount = BindMount | CacheMount | TmpfsMount
"""Mounts that LLB sorts by target; secrets and ssh sockets come after them in the order given."""
