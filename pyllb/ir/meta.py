"""Meta: the values of a state (env, dir, user, ...) as an overlay on an image config that may not be known yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from pyllb.ir.platform import Platform
from pyllb.ir.record import constructor
from pyllb.value import Shown, Value

if TYPE_CHECKING:
    from pyllb.ir.ops import SourceOp

Network = Literal["sandbox", "host", "none"]
Security = Literal["sandbox", "insecure"]

DEFAULT_SHELL = ("/bin/sh", "-c")


@attrs.frozen(eq=False, repr=False)
class Ulimit(Value):
    """A resource limit of a process, such as nofile. soft and hard are counts or bytes, -1 is unlimited."""

    name: str
    soft: int
    hard: int


@attrs.frozen(eq=False, repr=False, kw_only=True, weakref_slot=False)
class Settings(Shown):
    """What the next command sees beside its variables; the steps of a build share one of these as a rule.

    image: the image source whose config lies underneath; None when there is none.
    dirs: the dir() arguments since the last absolute one; relative ones join what lies before, the image's at last.
    user: None is the image's user. platform: None is the image's, then the marshal call's.
    """

    image: SourceOp | None = attrs.field(default=None, repr=False)
    dirs: tuple[str, ...] = ()
    user: str | None = None
    hostname: str = ""
    network: Network = "sandbox"
    security: Security = "sandbox"
    extra_hosts: tuple[tuple[str, str], ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    cgroup_parent: str = ""
    platform: Platform | None = None
    shell: tuple[str, ...] = DEFAULT_SHELL


NO_SETTINGS = Settings()


@attrs.frozen(eq=False, repr=False, weakref_slot=False)
class Meta(Shown):
    """What the next command sees. Nothing here is evaluated: that waits for the image config, in marshal.

    env: pairs in the order of each name's last assignment, laid over the image's. It is apart from all else because
    most steps of a large build have a variable of their own, and nothing else.
    """

    env: tuple[tuple[str, str], ...] = ()
    settings: Settings = NO_SETTINGS

    def with_env(self, pairs: tuple[tuple[str, str], ...]) -> Meta:
        """This meta with the pairs, each name once, assigned; a name set again moves to the end, as in Go's EnvList."""
        names, kept = dict(pairs), self.env
        for name, _ in self.env:
            if name in names:
                kept = tuple([pair for pair in self.env if pair[0] not in names])
                break
        return make_meta(kept + pairs, self.settings)

    def with_dir(self, path: str) -> Meta:
        """This meta in another directory: an absolute path replaces, a relative one joins."""
        dirs = (path,) if path.startswith("/") else (*self.settings.dirs, path)
        return make_meta(self.env, attrs.evolve(self.settings, dirs=dirs))


make_meta = constructor(Meta)
EMPTY_META = Meta()
