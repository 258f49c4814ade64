"""Catalogue: the cache directories of known tools, each with the sharing mode and environment that its tool needs.

The rule behind the modes: "shared" is safe only where the tool's own lock lies in the cache directory and works across
containers, or where every file has a name made of its content and is moved into place whole. A lock that fails
instead of waiting (apt), one that lies outside (dnf, Maven) or goes over loopback sockets (Gradle) makes it "locked".
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from pyllb.ir.mounts import Sharing
from pyllb.value import Value


@attrs.frozen(eq=False, repr=False)
class KnownCache(Value):
    """What is known of one tool's cache.

    target: the directory, for root in the tool's usual image. env: always set with it. path_env: names the directory
    to the tool; finds_target: the tool looks at target by itself, so path_env is only set for another directory.
    """

    id: str
    target: str
    sharing: Sharing
    path_env: str = ""
    finds_target: bool = False
    env: tuple[tuple[str, str], ...] = ()

    def environment(self, target: str) -> tuple[tuple[str, str], ...]:
        """The variables for the cache mounted at target."""
        named = self.path_env and not (self.finds_target and target == self.target)
        return (((self.path_env, target),) if named else ()) + self.env


def _by_id(known: Iterable[KnownCache]) -> dict[str, KnownCache]:
    return {cache.id: cache for cache in known}


CATALOGUE = _by_id(
    (
        # Entries are content addressed and written beside, then renamed. Root's default place, so nothing is set.
        KnownCache("go-build", "/root/.cache/go-build", "shared", "GOCACHE", finds_target=True),
        # The go command locks cache/lock files inside GOMODCACHE. Set: without it the place follows GOPATH, then HOME.
        KnownCache("go-mod", "/go/pkg/mod", "shared", "GOMODCACHE"),
        # Every file is written under a temporary name and renamed; keys are digests of URLs and contents.
        KnownCache("pip", "/root/.cache/pip", "shared", "PIP_CACHE_DIR"),
        # uv locks inside its cache. A mount is another filesystem, so hard links fail: copy, without the warning.
        KnownCache("uv", "/root/.cache/uv", "shared", "UV_CACHE_DIR", env=(("UV_LINK_MODE", "copy"),)),
        # Poetry keeps no lock over its artifact directory.
        KnownCache("poetry", "/root/.cache/pypoetry", "locked", "POETRY_CACHE_DIR"),
        # cacache is content addressed and renames into place.
        KnownCache("npm", "/root/.npm", "shared", "npm_config_cache"),
        # The store is content addressed; it is another filesystem than node_modules, so files are copied, not linked.
        KnownCache(
            "pnpm",
            "/root/.local/share/pnpm/store",
            "shared",
            "npm_config_store_dir",
            env=(("npm_config_package_import_method", "copy"),),
        ),
        # Yarn 1 leaves partial entries when two of it run at once (yarnpkg/yarn#2146).
        KnownCache("yarn", "/usr/local/share/.cache/yarn", "locked", "YARN_CACHE_FOLDER"),
        # cargo's lock (.package-cache) lies directly in CARGO_HOME, so the whole of it is one mount: then it is seen by
        # every container. A place of its own, or it would hide the toolchain's own /usr/local/cargo/bin.
        KnownCache("cargo", "/var/cache/cargo", "shared", "CARGO_HOME"),
        # dpkg's and apt's locks fail at once instead of waiting. Debian's images also delete archives after each
        # install: remove /etc/apt/apt.conf.d/docker-clean in the command that is to keep them.
        KnownCache("apt", "/var/cache/apt", "locked"),
        KnownCache("apt-lists", "/var/lib/apt/lists", "locked"),
        # apk's lock is in its database, outside the cache directory.
        KnownCache("apk", "/var/cache/apk", "locked"),
        # dnf's lock is in /var/run; files are kept only with keepcache=1.
        KnownCache("dnf", "/var/cache/dnf", "locked"),
        # The local repository has no lock unless the resolver's file locks are switched on.
        KnownCache("maven", "/root/.m2/repository", "locked"),
        # Gradle hands its lock over by loopback sockets, which two containers do not share (gradle/gradle#851).
        KnownCache("gradle", "/root/.gradle", "locked", "GRADLE_USER_HOME"),
        # NuGet's locks lie in its scratch directory under /tmp, outside the package directory.
        KnownCache("nuget", "/root/.nuget/packages", "locked", "NUGET_PACKAGES"),
        # Composer and bundler keep no lock over their caches.
        KnownCache("composer", "/root/.cache/composer", "locked", "COMPOSER_CACHE_DIR"),
        # Both are made for concurrent compilers: entries are renamed into place.
        KnownCache("ccache", "/root/.cache/ccache", "shared", "CCACHE_DIR"),
        KnownCache("sccache", "/root/.cache/sccache", "shared", "SCCACHE_DIR"),
    )
)
"""Known caches by id."""
