"""Options: what a solve is asked to do, read and checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypedDict

import attrs

from pyllb.client.compile import as_platform
from pyllb.client.sink import Sink
from pyllb.client.specs.allow import parse_allow
from pyllb.client.specs.cache import Caches, CacheSpec, parse_cache_from, parse_cache_to
from pyllb.client.specs.fields import one_or_many
from pyllb.client.specs.output import Export, Outputs, check_names, check_place, parse_exports
from pyllb.errors import UsageError
from pyllb.ir.platform import Platform
from pyllb.value import Value

if TYPE_CHECKING:  # each is loaded for a solve that is given one
    from pathlib import Path

    from pyllb.client.specs.secret import SecretSpecs
    from pyllb.client.specs.ssh import SshSpecs
    from pyllb.session.layout import Layout
    from pyllb.session.secrets import SecretSource
    from pyllb.session.ssh import SshAgent


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Options(Value):
    """Everything of a solve that is not the graph and not the daemon.

    platforms: () is the daemon's own. local: name to directory. docker_config: the directory of config.json, None is
    $DOCKER_CONFIG or ~/.docker. sink: None shows nothing.
    """

    exports: tuple[Export, ...] = ()
    cache_from: tuple[CacheSpec, ...] = ()
    cache_to: tuple[CacheSpec, ...] = ()
    platforms: tuple[Platform, ...] = ()
    secrets: Mapping[str, SecretSource] = attrs.field(factory=dict)
    ssh: Mapping[str, SshAgent] = attrs.field(factory=dict)
    allow: tuple[str, ...] = ()
    no_cache: bool = False
    local: Mapping[str, str | os.PathLike[str]] = attrs.field(factory=dict)
    oci_layouts: Mapping[str, Layout] = attrs.field(factory=dict)
    docker_config: Path | None = None
    sink: Sink | None = None

    @property
    def platform(self) -> Platform | None:
        """The platform of what is made for one; None is the daemon's own. Raises UsageError when there are several."""
        if len(self.platforms) > 1:
            names = ", ".join(map(str, self.platforms))
            raise UsageError(f"platform: {names} are several, which solve alone takes; name one")
        return self.platforms[0] if self.platforms else None

    def check(self) -> None:
        """Make sure, before anything runs, that secrets, agents, layouts and destinations are there.

        Raises UsageError.
        """
        if self.secrets:
            from pyllb.session.secrets import Secrets

            Secrets(self.secrets).check()
        if self.ssh:
            from pyllb.session.ssh import Ssh

            Ssh(self.ssh).check()
        if self.oci_layouts:
            from pyllb.client.layouts import check_layouts

            check_layouts(self.oci_layouts)
        for export in self.exports:
            check_names(export)
            check_place(export)


Platforms = str | Platform | Iterable[str | Platform] | None
"""What `platform=` of solve takes: one or several; a string may name several, with commas between them."""


class Reading(TypedDict, total=False):
    """The options of what is read, each as solve() has it."""

    cache_from: Caches
    platform: str | Platform | None
    secrets: SecretSpecs
    ssh: SshSpecs
    no_cache: bool
    allow: str | Iterable[str] | None
    progress: Sink | None
    local: Mapping[str, str | os.PathLike[str]] | None
    oci_layouts: Mapping[str, str | os.PathLike[str]] | None


def read_options(
    *,
    output: Outputs = None,
    cache_from: Caches = None,
    cache_to: Caches = None,
    platform: Platforms = None,
    secrets: SecretSpecs = None,
    ssh: SshSpecs = None,
    no_cache: bool = False,
    allow: str | Iterable[str] | None = (),
    progress: Sink | None = None,
    local: Mapping[str, str | os.PathLike[str]] | None = None,
    oci_layouts: Mapping[str, str | os.PathLike[str]] | None = None,
    docker_config: str | os.PathLike[str] | None = None,
) -> Options:
    """Read the options of solve(), as they are documented there. Raises UsageError, OptionError, NotThereYet."""
    exports = parse_exports(output)
    return Options(
        exports=exports,
        cache_from=parse_cache_from(cache_from, exports),
        cache_to=parse_cache_to(cache_to, exports),
        platforms=_platforms(platform),
        secrets=_secrets(secrets),
        ssh=_ssh(ssh),
        allow=parse_allow(allow),
        no_cache=_flag("no_cache", no_cache),
        local=_directories("local", local),
        oci_layouts=_layouts(oci_layouts),
        docker_config=_directory(docker_config),
        sink=progress,
    )


def _flag(option: str, given: object) -> bool:
    if not isinstance(given, bool):
        raise UsageError(f"{option}: {given!r} is neither True nor False")
    return given


def _secrets(specs: SecretSpecs) -> dict[str, SecretSource]:
    if specs is None:
        return {}
    from pyllb.client.specs.secret import parse_secrets

    return parse_secrets(specs)


def _ssh(specs: SshSpecs) -> dict[str, SshAgent]:
    if specs is None:
        return {}
    from pyllb.client.specs.ssh import parse_ssh

    return parse_ssh(specs)


def _directories(option: str, given: object) -> dict[str, str | os.PathLike[str]]:
    """A mapping of names to directories. Raises UsageError."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UsageError(f"{option}: {given!r} is not a mapping; write {{'NAME': DIRECTORY}}")
    for name, directory in given.items():
        if not isinstance(name, str) or not name or not isinstance(directory, str | os.PathLike):
            raise UsageError(f"{option}: {name!r}: {directory!r} is not a name and its directory")
    return dict(given)


def _layouts(given: Mapping[str, str | os.PathLike[str]] | None) -> dict[str, Layout]:
    if given is None:
        return {}
    from pyllb.client.layouts import read_layouts

    return read_layouts(_directories("oci_layouts", given))


def _directory(path: str | os.PathLike[str] | None) -> Path | None:
    if path is None:
        return None
    from pathlib import Path

    return Path(path)


def _platforms(given: Platforms) -> tuple[Platform, ...]:
    words = [word.strip() for word in given.split(",")] if isinstance(given, str) else None
    items = words or one_or_many("platform", given, Platform)
    found: dict[Platform, None] = {}
    for item in items:
        if not isinstance(item, str | Platform):
            raise UsageError(f"platform: {item!r} is none; write 'linux/arm64', or a list of such")
        platform = as_platform(item)
        if platform in found:
            raise UsageError(f"platform: {platform} stands twice")
        found[platform] = None
    return tuple(found)
