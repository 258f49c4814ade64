"""FS: a filesystem as an immutable value, and the functions that make one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Concatenate, ParamSpec

import attrs

from pyllb.dsl import actions, check, exec, sources
from pyllb.dsl.config import Configured
from pyllb.dsl.constraints import constraints
from pyllb.errors import OptionError
from pyllb.ir.files import Chain, FileAction
from pyllb.ir.meta import EMPTY_META, Meta
from pyllb.ir.mounts import Mount
from pyllb.ir.ops import DiffOp, ExecOp, FileOp, MergeOp, Output, SourceOp
from pyllb.ir.site import here

if TYPE_CHECKING:
    from datetime import datetime

    from pyllb.dsl.sources import Differ, GitTime, PathLike, ResolveMode
    from pyllb.ir.constraints import Constraints, LinuxResources, ProgressGroup
    from pyllb.ir.meta import Network, Security
    from pyllb.ir.ops import ProxyEnv
    from pyllb.ir.platform import Platform

P = ParamSpec("P")


class FS(Configured):
    """A filesystem, with the values that the next command sees and the image config gets. `fs()` makes an empty one.

    Immutable: every method returns a new one and nothing is read, run or fetched before solve, dump or a read of the
    result. Every method checks its arguments at once, so that an error's traceback ends at the caller's line.
    """

    __slots__ = ()

    def image(
        self,
        ref: str,
        *,
        platform: str | Platform | None = None,
        resolve_mode: ResolveMode = "default",
        checksum: str | None = None,
        layer_limit: int | None = None,
        internal: bool = False,
        filters: Iterable[str] = (),
        name: str | None = None,
        description: Mapping[str, str] | None = None,
        ignore_cache: bool = False,
        export_cache: bool | None = None,
        group: str | ProgressGroup | None = None,
    ) -> FS:
        """Start from an image of a registry. Its config lies under the values of this state.

        ref: "golang", "golang:1.25", "registry.example.com/team/app@sha256:...". platform: None is the state's, then
        the solve's. resolve_mode: "pull" always asks the registry, "local" takes what the daemon has. checksum: digest
        that the manifest must have. layer_limit: only the first layers. internal: the daemon keeps the record for
        itself. name: shown by progress, None is the reference. The others: see `run`.

        Raises RefError for the reference or a digest, OptionError for the rest and when this state has content.

        LLB: SourceOp docker-image://. Mirrors client/llb Image (BuildKit 0.33.1).
        """
        options = self._source_constraints(
            "image", platform, filters, name, description, ignore_cache, export_cache, group
        )
        op = sources.image_op(
            ref,
            options,
            here(),
            resolve_mode=resolve_mode,
            checksum=checksum,
            layer_limit=layer_limit,
            internal=internal,
        )
        return self._source(op, attrs.evolve(self.meta, image=op))

    def local(
        self,
        path: str | PathLike,
        *,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        follow: Iterable[str] = (),
        shared_key: str | None = None,
        differ: Differ | None = None,
        metadata_only: bool = False,
        metadata_except: Iterable[str] = (),
        name: str | None = None,
        custom_name: str | None = None,
        platform: str | Platform | None = None,
        filters: Iterable[str] = (),
        description: Mapping[str, str] | None = None,
        ignore_cache: bool = False,
        export_cache: bool | None = None,
        group: str | ProgressGroup | None = None,
    ) -> FS:
        """Start from a directory of the client.

        path: relative to the file of this call (to the current directory when that is no file). include, exclude:
        patterns as in .dockerignore, relative to the directory. follow: paths whose symbolic links are sent with what
        they point to. shared_key: directories with the same key and name are kept as one by the daemon. differ: what
        decides that a file is sent again, "metadata" (None too) or "none", which sends all. metadata_only: sends names
        and modes and no content, but of metadata_except. name: the source's name in LLB and for `buildctl --local`;
        None is "context" for ".", else the last part of path. custom_name: shown by progress. The others: see `run`.

        Raises OptionError.

        LLB: SourceOp local://. Mirrors client/llb Local (BuildKit 0.33.1).
        """
        options = self._source_constraints(
            "local", platform, filters, custom_name, description, ignore_cache, export_cache, group
        )
        op = sources.local_op(
            path,
            options,
            here(),
            name=name,
            include=include,
            exclude=exclude,
            follow=follow,
            shared_key=shared_key,
            differ=differ,
            metadata_only=metadata_only,
            metadata_except=metadata_except,
        )
        return self._source(op, self.meta)

    def git(
        self,
        url: str,
        *,
        ref: str | None = None,
        subdir: str | None = None,
        keep_git_dir: bool = False,
        submodules: bool = True,
        checksum: str | None = None,
        mtime: GitTime | None = None,
        fetch_by_commit: bool = False,
        bundle: str | None = None,
        checkout_bundle: bool = False,
        auth_token_secret: str | None = None,
        auth_header_secret: str | None = None,
        known_hosts: str | Iterable[str] | None = None,
        ssh_id: str | None = None,
        platform: str | Platform | None = None,
        filters: Iterable[str] = (),
        name: str | None = None,
        description: Mapping[str, str] | None = None,
        ignore_cache: bool = False,
        export_cache: bool | None = None,
        group: str | ProgressGroup | None = None,
    ) -> FS:
        """Start from a git repository.

        url: https, http, ssh or git, or `git@host:path`; its fragment may say `#ref:subdir`. ref: branch, tag or
        commit; None is the remote's HEAD. subdir: the part of the tree. keep_git_dir: keep .git. checksum: the commit
        that ref must be. mtime: what files are stamped with, "checkout" (None too) or "commit". fetch_by_commit: fetch
        checksum without asking for ref. bundle: history from `docker-image+blob://...` instead of the remote;
        checkout_bundle: the commit as one bundle file. auth_token_secret, auth_header_secret: ids of secrets for
        https, None is GIT_AUTH_TOKEN and GIT_AUTH_HEADER, "" is none. known_hosts: lines of the ssh host's keys; None
        takes any key, as no host is asked for its keys by itself. ssh_id: of the ssh agent, None is "default".
        The others: see `run`.

        Raises RefError for the URL or checksum, OptionError for the rest.

        LLB: SourceOp git://. Mirrors client/llb Git (BuildKit 0.33.1).
        """
        options = self._source_constraints(
            "git", platform, filters, name, description, ignore_cache, export_cache, group
        )
        op = sources.git_op(
            url,
            options,
            here(),
            ref=ref,
            subdir=subdir,
            keep_git_dir=keep_git_dir,
            submodules=submodules,
            checksum=checksum,
            mtime=mtime,
            fetch_by_commit=fetch_by_commit,
            bundle=bundle,
            checkout_bundle=checkout_bundle,
            auth_token_secret=auth_token_secret,
            auth_header_secret=auth_header_secret,
            known_hosts=known_hosts,
            ssh_id=ssh_id,
        )
        return self._source(op, self.meta)

    def http(
        self,
        url: str,
        *,
        checksum: str | None = None,
        filename: str | None = None,
        mode: int | str | None = None,
        owner: str | int | None = None,
        auth_secret: str | None = None,
        accept: str | None = None,
        user_agent: str | None = None,
        pgp_key: str | None = None,
        pgp_signature: str | None = None,
        platform: str | Platform | None = None,
        filters: Iterable[str] = (),
        name: str | None = None,
        description: Mapping[str, str] | None = None,
        ignore_cache: bool = False,
        export_cache: bool | None = None,
        group: str | ProgressGroup | None = None,
    ) -> FS:
        """Start from one downloaded file.

        url: https or http. checksum: "sha256:..." of the file. filename: None is the server's or the URL's last part.
        mode: permission bits, None is 0o600. owner: numbers, "1000:1000". auth_secret: id of the secret that is the
        Authorization header. accept, user_agent: request headers. pgp_key, pgp_signature: armoured texts, the file
        must be signed so. The others: see `run`.

        Raises RefError for checksum, OptionError for the rest.

        LLB: SourceOp with the URL. Mirrors client/llb HTTP (BuildKit 0.33.1).
        """
        options = self._source_constraints(
            "http", platform, filters, name, description, ignore_cache, export_cache, group
        )
        op = sources.http_op(
            url,
            options,
            here(),
            checksum=checksum,
            filename=filename,
            mode=mode,
            owner=owner,
            auth_secret=auth_secret,
            accept=accept,
            user_agent=user_agent,
            pgp_key=pgp_key,
            pgp_signature=pgp_signature,
        )
        return self._source(op, self.meta)

    def run(
        self,
        command: str | Sequence[str],
        *,
        mounts: Iterable[Mount] = (),
        env: Mapping[str, str] | None = None,
        dir: str | None = None,
        user: str | int | None = None,
        hostname: str | None = None,
        network: Network | None = None,
        security: Security | None = None,
        extra_hosts: Mapping[str, str] | None = None,
        ulimits: Mapping[str, int | tuple[int, int]] | None = None,
        cgroup_parent: str | None = None,
        shell: Sequence[str] | None = None,
        ok_codes: Sequence[int] | None = None,
        readonly_root: bool = False,
        proxy: ProxyEnv | None = None,
        devices: Iterable[str | tuple[str, bool]] = (),
        resources: LinuxResources | None = None,
        platform: str | Platform | None = None,
        filters: Iterable[str] = (),
        name: str | None = None,
        description: Mapping[str, str] | None = None,
        ignore_cache: bool = False,
        export_cache: bool | None = None,
        group: str | ProgressGroup | None = None,
    ) -> FS:
        """Run a command in this filesystem; the result is the changed filesystem, with this state's values.

        command: a str runs under the state's shell (`/bin/sh -c` unless `shell` says otherwise), one of several lines
        without its common indent; a list is argv. mounts: `bind`, `cache`, `tmpfs`, `secret`, `ssh`; `.mount(target)`
        of the result is a changed bind mount.
        For this command alone: env, dir, user, hostname, network, security, extra_hosts (name to address), ulimits
        (name to a number or (soft, hard)), cgroup_parent, shell. ok_codes: exit codes that are no failure, None is 0
        alone. readonly_root: only mounts can be written, and the result is this filesystem unchanged. proxy, devices
        (CDI names, or (name, optional)), resources: see `proxy` and `resources`.
        platform: None is the state's, then the solve's. filters: which workers may do it. name: shown by progress.
        description: more metadata. ignore_cache: always run. export_cache: False leaves it out of an exported cache.
        group: shown as one line with the others of it.

        Raises MountError for targets, OptionError for the rest.

        LLB: ExecOp. Mirrors client/llb State.Run (BuildKit 0.33.1).
        """
        options = constraints(
            platform=platform,
            filters=filters,
            name=name,
            description=description,
            ignore_cache=ignore_cache,
            export_cache=export_cache,
            group=group,
            resources=resources,
        )
        meta = exec.exec_meta(
            self.meta,
            env=env,
            dir=dir,
            user=user,
            hostname=hostname,
            network=network,
            security=security,
            extra_hosts=extra_hosts,
            ulimits=ulimits,
            cgroup_parent=cgroup_parent,
            shell=shell,
        )
        placed, secrets, ssh = exec.exec_mounts(self, mounts, check.flag("readonly_root", readonly_root))
        op = ExecOp(
            args=exec.command_args(command, meta.shell),
            meta=meta,
            mounts=placed,
            secrets=secrets,
            ssh=ssh,
            ok_codes=exec.exit_codes(ok_codes),
            proxy=exec.a_proxy(proxy),
            devices=exec.cdi_devices(devices) if devices else (),
            constraints=options,
            site=here(),
        )
        output = self.output if readonly_root else Output(op)  # the root sorts first, so its result is number 0
        return FS(output, _with_platform(self.meta, options), self.spec, op)

    def mount(self, target: str) -> FS:
        """The changed filesystem of the bind mount at target, of the `run` this is the result of.

        It goes on with the values of the filesystem that was mounted. A read-only mount gives that very filesystem.
        Raises MountError when there is no such mount, or when it has no result (cache, tmpfs, secret, ssh, no_output).

        Mirrors client/llb ExecState.GetMount (BuildKit 0.33.1).
        """
        found = exec.find_mount(self.exec, target)
        assert self.exec is not None  # find_mount raises
        origin = self if found.origin is None else found.origin  # the root is this filesystem
        meta = _with_platform(origin.meta, self.exec.constraints)
        return FS(self.exec.output_of(found), meta, origin.spec)

    def file(
        self,
        *file_actions: FileAction,
        filters: Iterable[str] = (),
        name: str | None = None,
        description: Mapping[str, str] | None = None,
        ignore_cache: bool = False,
        export_cache: bool | None = None,
        group: str | ProgressGroup | None = None,
    ) -> FS:
        """Do several file actions in one op: `file(mkdir("/a"), mkfile("/a/b", "text"), copy(src, "/x", "/a/"))`.

        file_actions: of the functions `mkdir`, `mkfile`, `copy`, `rm`, `symlink`, done in order. The options: see
        `run`. Raises OptionError.

        LLB: FileOp. Mirrors client/llb State.File (BuildKit 0.33.1).
        """
        chain = Chain(base=self.output, meta=self.meta, actions=actions.some_actions("file", file_actions))
        options = constraints(
            filters=filters,
            name=name,
            description=description,
            ignore_cache=ignore_cache,
            export_cache=export_cache,
            group=group,
        )
        return FS(Output(FileOp(chain=chain, constraints=options, site=here())), self.meta, self.spec)

    def mkdir(
        self,
        path: str,
        *,
        mode: int | str = 0o755,
        parents: bool = False,
        owner: str | int | None = None,
        created: datetime | float | None = None,
        name: str | None = None,
    ) -> FS:
        """Make a directory: `file(mkdir(...))`, see the function `mkdir`. name: shown by progress."""
        return self.file(actions.mkdir(path, mode=mode, parents=parents, owner=owner, created=created), name=name)

    def mkfile(
        self,
        path: str,
        data: str | bytes,
        *,
        mode: int | str = 0o644,
        owner: str | int | None = None,
        created: datetime | float | None = None,
        name: str | None = None,
    ) -> FS:
        """Write a file: `file(mkfile(...))`, see the function `mkfile`. name: shown by progress."""
        return self.file(actions.mkfile(path, data, mode=mode, owner=owner, created=created), name=name)

    def symlink(
        self,
        oldpath: str,
        newpath: str,
        *,
        owner: str | int | None = None,
        created: datetime | float | None = None,
        name: str | None = None,
    ) -> FS:
        """Make newpath a link to oldpath: `file(symlink(...))`, see the function `symlink`. name: shown by progress."""
        return self.file(actions.symlink(oldpath, newpath, owner=owner, created=created), name=name)

    def rm(
        self, path: str, *, allow_not_found: bool = False, allow_wildcard: bool = False, name: str | None = None
    ) -> FS:
        """Remove a path: `file(rm(...))`, see the function `rm`. name: shown by progress."""
        return self.file(actions.rm(path, allow_not_found=allow_not_found, allow_wildcard=allow_wildcard), name=name)

    def copy(
        self,
        source: FS | Chain,
        src: str,
        dest: str,
        *,
        owner: str | int | None = None,
        mode: int | str | None = None,
        created: datetime | float | None = None,
        follow_symlinks: bool = False,
        contents_only: bool = False,
        unpack: bool = False,
        create_dest: bool = False,
        wildcard: bool = False,
        allow_empty_wildcard: bool = False,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        required: Iterable[str] = (),
        always_replace: bool = False,
        name: str | None = None,
    ) -> FS:
        """Copy files from elsewhere: `file(copy(...))`, see the function `copy`. name: shown by progress."""
        action = actions.copy(
            source,
            src,
            dest,
            owner=owner,
            mode=mode,
            created=created,
            follow_symlinks=follow_symlinks,
            contents_only=contents_only,
            unpack=unpack,
            create_dest=create_dest,
            wildcard=wildcard,
            allow_empty_wildcard=allow_empty_wildcard,
            include=include,
            exclude=exclude,
            required=required,
            always_replace=always_replace,
        )
        return self.file(action, name=name)

    def with_(self, fn: Callable[Concatenate[FS, P], FS], *args: P.args, **kwargs: P.kwargs) -> FS:
        """What fn makes of this filesystem: `fs.with_(add_user, "app")` is `add_user(fs, "app")`, in a chain.

        Raises OptionError when fn returns no filesystem.
        """
        if not callable(fn):
            raise OptionError(f"the argument of with_ is {check.show(fn)}; write a function that takes a filesystem")
        result = fn(self, *args, **kwargs)
        if not isinstance(result, FS):
            label = getattr(fn, "__qualname__", repr(fn))
            raise OptionError(f"{label} returned {check.show(result)} to with_; let it return a filesystem")
        return result

    def _source_constraints(
        self,
        method: str,
        platform: str | Platform | None,
        filters: Iterable[str],
        name: str | None,
        description: Mapping[str, str] | None,
        ignore_cache: bool,
        export_cache: bool | None,
        group: str | ProgressGroup | None,
    ) -> Constraints:
        if self.output is not None:
            raise OptionError(f"{method}() starts a filesystem, and this one has content: {self!r}; start from fs()")
        return constraints(
            platform=self.meta.platform if platform is None else platform,
            filters=filters,
            name=name,
            description=description,
            ignore_cache=ignore_cache,
            export_cache=export_cache,
            group=group,
        )

    def _source(self, op: SourceOp, meta: Meta) -> FS:
        return FS(Output(op), _with_platform(meta, op.constraints), self.spec)


def _with_platform(meta: Meta, options: Constraints) -> Meta:
    """A vertex made with a platform of its own hands it on, as Go's outputs do."""
    if options.platform is None or options.platform == meta.platform:
        return meta
    return attrs.evolve(meta, platform=options.platform)


_EMPTY = FS(None, EMPTY_META)


def fs() -> FS:
    """An empty filesystem. Mirrors client/llb Scratch (BuildKit 0.33.1)."""
    return _EMPTY


# The sources as functions: each starts from the empty filesystem.
image = _EMPTY.image
local = _EMPTY.local
git = _EMPTY.git
http = _EMPTY.http


def merge(
    *filesystems: FS,
    filters: Iterable[str] = (),
    name: str | None = None,
    description: Mapping[str, str] | None = None,
    ignore_cache: bool = False,
    export_cache: bool | None = None,
    group: str | ProgressGroup | None = None,
) -> FS:
    """Lay filesystems over each other, the last on top, without copying.

    Empty ones are left out; of one that is left, that one is the result. The values are those of the first that is
    not empty. The options: see `FS.run`. Raises OptionError.

    LLB: MergeOp. Mirrors client/llb Merge (BuildKit 0.33.1).
    """
    for item in filesystems:
        _filesystem("merge", item)
    options = constraints(
        filters=filters,
        name=name,
        description=description,
        ignore_cache=ignore_cache,
        export_cache=export_cache,
        group=group,
    )
    full = [item for item in filesystems if item.output is not None]
    if len(full) < 2:
        return full[0] if full else _EMPTY
    outputs = tuple(item.output for item in full if item.output is not None)
    return FS(Output(MergeOp(sources=outputs, constraints=options, site=here())), full[0].meta, full[0].spec)


def diff(
    lower: FS,
    upper: FS,
    *,
    filters: Iterable[str] = (),
    name: str | None = None,
    description: Mapping[str, str] | None = None,
    ignore_cache: bool = False,
    export_cache: bool | None = None,
    group: str | ProgressGroup | None = None,
) -> FS:
    """What upper changes in lower, as a filesystem to merge onto another one; removed files too.

    When lower is empty it is upper; the values are those of lower. The options: see `FS.run`. Raises OptionError.

    LLB: DiffOp. Mirrors client/llb Diff (BuildKit 0.33.1).
    """
    _filesystem("diff", lower)
    _filesystem("diff", upper)
    options = constraints(
        filters=filters,
        name=name,
        description=description,
        ignore_cache=ignore_cache,
        export_cache=export_cache,
        group=group,
    )
    if lower.output is None:
        return _EMPTY if upper.output is None else upper
    op = DiffOp(lower=lower.output, upper=upper.output, constraints=options, site=here())
    return FS(Output(op), lower.meta, lower.spec)


def _filesystem(what: str, value: FS) -> None:
    if not isinstance(value, FS):
        hint = "write * before a list" if isinstance(value, list | tuple) else "write filesystems"
        raise OptionError(f"{what} is given {check.show(value)}; {hint}")
