"""FS: a filesystem as an immutable value, and the functions that make one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Concatenate, ParamSpec

from pyllb.dsl import actions, check, exec
from pyllb.dsl.constraints import NOTHING, constraints, named
from pyllb.dsl.start import Started, on_platform, with_platform
from pyllb.errors import OptionError
from pyllb.ir.files import Chain, FileAction
from pyllb.ir.meta import EMPTY_META
from pyllb.ir.mounts import Mount
from pyllb.ir.ops import FileOp, Output, made_for, make_exec, make_output
from pyllb.ir.record import constructor
from pyllb.ir.site import here

if TYPE_CHECKING:
    from datetime import datetime

    from pyllb.ir.constraints import LinuxResources, ProgressGroup
    from pyllb.ir.meta import Network, Security
    from pyllb.ir.ops import ProxyEnv
    from pyllb.ir.platform import Platform

P = ParamSpec("P")


class FS(Started):
    """A filesystem, with the values that the next command sees and the image config gets. `fs()` makes an empty one.

    Immutable: every method returns a new one and nothing is read, run or fetched before solve, dump or a read of the
    result. Every method checks its arguments at once, so that an error's traceback ends at the caller's line.
    """

    __slots__ = ()

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
        alone. readonly_root: only mounts can be written, and the result is this filesystem unchanged, so that the
        command runs for a `.mount(target)` that is used, and for nothing else. proxy, devices (CDI names, or (name,
        optional)), resources: see `proxy` and `resources`.
        platform: None is the state's, then the solve's. filters: which workers may do it. name: shown by progress.
        description: more metadata. ignore_cache: always run. export_cache: False leaves it out of an exported cache.
        group: shown as one line with the others of it.

        Raises MountError for targets, OptionError for the rest.

        LLB: ExecOp. Mirrors client/llb State.Run (BuildKit 0.33.1).
        """
        meta = self.meta if env is None else self.meta.with_env(check.environment(env))
        given = (dir, user, hostname, network, security, extra_hosts, ulimits, cgroup_parent, shell)
        if given != exec.NOTHING:
            meta = exec.exec_meta(meta, *given)
        told = (platform, filters, description, ignore_cache, export_cache, group, resources)
        options = (
            named(name)
            if told == NOTHING
            else constraints(
                platform=platform,
                filters=filters,
                name=name,
                description=description,
                ignore_cache=ignore_cache,
                export_cache=export_cache,
                group=group,
                resources=resources,
            )
        )
        if readonly_root is not False:
            check.flag("readonly_root", readonly_root)
        placed, secrets, ssh = exec.exec_mounts(self, mounts, readonly_root)
        op = make_exec(
            args=exec.command_args(command, meta.settings.shell),
            meta=meta,
            mounts=placed,
            secrets=secrets,
            ssh=ssh,
            ok_codes=None if ok_codes is None else exec.exit_codes(ok_codes),
            proxy=None if proxy is None else exec.a_proxy(proxy),
            devices=() if devices == () else exec.cdi_devices(devices),
            constraints=options,
            site=here(),
        )
        output = self.output if readonly_root else make_output(op)  # the root sorts first, so its result is number 0
        return make_fs(output, with_platform(self.meta, output), self.spec, op)

    def mount(self, target: str) -> FS:
        """The changed filesystem of the bind mount at target, of the `run` this is the result of.

        It goes on with the values of the filesystem that was mounted. A read-only mount gives that very filesystem.
        Raises MountError when there is no such mount, or when it has no result (cache, tmpfs, secret, ssh, no_output).

        Mirrors the state that client/llb ExecState.AddMount returns (BuildKit 0.33.1).
        """
        found = exec.find_mount(self.exec, target)
        assert self.exec is not None  # find_mount raises
        origin = self if found.origin is None else found.origin  # the root is this filesystem
        output = self.exec.output_of(found)
        return FS(output, with_platform(origin.meta, output), origin.spec)

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

    def reset(self, other: FS) -> FS:
        """This filesystem with the values of other: its env, user and all else that commands and the image get.

        The platform is the one that this filesystem was made for by name, and then the directory is other's too; else
        the platform is other's and the directory is `/`. Raises OptionError.

        Mirrors client/llb State.Reset (BuildKit 0.33.1).
        """
        if not isinstance(other, FS):
            raise OptionError(f"reset is given {check.show(other)}; write a filesystem")
        own = None if self.output is None else made_for(self.output.vertex)
        if own is None:
            return FS(self.output, other.meta.with_dir("/"), other.spec)
        return FS(self.output, on_platform(other.meta, own.normalized()), other.spec)

    def requires(
        self,
        *others: FS,
        id: str = "requires",
        filters: Iterable[str] = (),
        name: str | None = None,
        description: Mapping[str, str] | None = None,
        ignore_cache: bool = False,
        export_cache: bool | None = None,
        group: str | ProgressGroup | None = None,
    ) -> FS:
        """This filesystem, but only when others are made too: a test's result, say, that nothing reads.

        Without others it is this one. id: names the op and is part of its cache key. The other options: see `run`.
        Raises OptionError, also when this filesystem is empty.

        LLB: PassthroughOp. Mirrors client/llb State.Requires (BuildKit 0.33.1).
        """
        from pyllb.dsl.graph import passthrough  # here: it imports this module

        if not others:
            return self
        (made,) = passthrough(
            self,
            *others,
            id=id,
            outputs=(0,),
            filters=filters,
            name=name,
            description=description,
            ignore_cache=ignore_cache,
            export_cache=export_cache,
            group=group,
        )
        return made

    def solve_definition(
        self,
        filename: str | None = None,
        *,
        platform: str | Platform | None = None,
        filters: Iterable[str] = (),
        name: str | None = None,
        description: Mapping[str, str] | None = None,
        ignore_cache: bool = False,
        export_cache: bool | None = None,
        group: str | ProgressGroup | None = None,
    ) -> FS:
        """What the definition in a file of this filesystem makes: LLB that a command wrote, solved in the same build.

        filename: path of the file, None is buildkit.llb.definition. platform: None is the solve's. The values are
        this state's. The other options: see `run`. Raises OptionError.

        LLB: BuildOp. Mirrors client/llb/llbbuild Build, WithFilename (BuildKit 0.33.1).
        """
        from pyllb.ir.rare import BuildOp  # here: few builds have one, and start-up is measured

        if self.output is None:
            raise OptionError("solve_definition() on an empty filesystem; there is no file to read")
        options = constraints(
            platform=platform,
            filters=filters,
            name=name,
            description=description,
            ignore_cache=ignore_cache,
            export_cache=export_cache,
            group=group,
        )
        path = "" if filename is None else check.text("filename", filename)
        op = BuildOp(source=self.output, filename=path, constraints=options, site=here())
        return FS(Output(op), self.meta, self.spec)

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


_EMPTY = FS(None, EMPTY_META)


make_fs = constructor(FS)


def fs() -> FS:
    """An empty filesystem. Mirrors client/llb Scratch (BuildKit 0.33.1)."""
    return _EMPTY


# The sources as functions: each starts from the empty filesystem.
image = _EMPTY.image
local = _EMPTY.local
git = _EMPTY.git
http = _EMPTY.http
oci_layout = _EMPTY.oci_layout
image_blob = _EMPTY.image_blob
oci_layout_blob = _EMPTY.oci_layout_blob
definition = _EMPTY.definition
