"""Mounts: what `run(mounts=[...])` takes."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from functools import lru_cache

from pyllb.dsl import check
from pyllb.dsl.state import State
from pyllb.errors import MountError, OptionError, near
from pyllb.ir.catalogue import CATALOGUE
from pyllb.ir.mounts import BindMount, CacheMount, ContentCache, SecretMount, Sharing, SshMount, TmpfsMount
from pyllb.ir.ops import Output

_NOTHING = (None, None, None, None, None, False, "default", None)
_MAX_ID = (1 << 32) - 2  # one more is -1 to chown, which changes nothing then
_SHARING: tuple[Sharing, ...] = ("shared", "private", "locked")
_CONTENT_CACHE: tuple[ContentCache, ...] = ("default", "on", "off")


def bind(
    source: State,
    target: str,
    *,
    selector: str | None = None,
    readonly: bool = False,
    no_output: bool = False,
    content_cache: ContentCache = "default",
) -> BindMount:
    """Mount a filesystem at target for one run; the changed filesystem is `.mount(target)` of its result.

    source: `fs()` is an empty one. target: absolute path in the container. selector: a path inside source, None is
    all of it. readonly: writes fail, and `.mount(target)` is source. no_output: writes are thrown away.
    content_cache: whether the command is cached by the mount's content; "default" leaves it to the daemon.

    Raises MountError when target is relative or "/", OptionError for the rest.

    LLB: Mount with mountType BIND. Mirrors client/llb AddMount, SourcePath, Readonly, ForceNoOutput, ContentCache
    (BuildKit 0.33.1).
    """
    if not isinstance(source, State):
        hint = "; local(path) is a directory of the client" if isinstance(source, str) else ""
        raise OptionError(f"the source of a bind mount is {check.show(source)}; write a filesystem{hint}")
    if check.flag("readonly", readonly) and check.flag("no_output", no_output):
        raise OptionError("readonly=True and no_output=True; a mount that nobody writes to has no output anyway")
    inside = "" if selector is None else _inside("selector", selector)
    part = posixpath.normpath(f"/{inside}").strip("/")
    if content_cache == "on" and part and not (readonly or no_output):
        raise OptionError(
            f"content_cache='on' with selector={selector!r} of a mount that can be written; what lies outside of it is "
            "part of the result and would not be looked at, add readonly=True or no_output=True"
        )
    return BindMount(
        target=check.mount_target("the target of a bind mount", target),
        source=source.output,
        selector=inside,
        readonly=readonly,
        no_output=check.flag("no_output", no_output),
        content_cache=check.choice("content_cache", content_cache, _CONTENT_CACHE),
        origin=source,
    )


def cache(
    id_or_target: str,
    target: str | None = None,
    *,
    id: str | None = None,
    sharing: Sharing | None = None,
    source: State | None = None,
    selector: str | None = None,
    readonly: bool = False,
    content_cache: ContentCache = "default",
    env: Mapping[str, str] | None = None,
) -> CacheMount:
    """Mount a directory that outlives the build.

    id_or_target: what begins with "/" is the mount's target, and its id is the one that a Dockerfile's
    `--mount=type=cache,target=` has, so both share one cache. Anything else is an id, whose target is `target`, or
    else the known one: apk, apt, apt-lists, cargo, ccache, composer, dnf, go-build, go-mod, gradle, maven, npm, nuget,
    pip, pnpm, poetry, sccache, uv, yarn.
    id: the id as it is, of a target that comes first: `cache("/x", id="/name")` is the cache of a Dockerfile's
    `--mount=type=cache,id=name,target=/x`.
    sharing: "shared" by several commands at once, "private" (another is made when it is busy), or "locked" (others
    wait); None is what is right for a known id, else "shared". Use one mode per id: a shared user does not wait for a
    locked one. source: what a new cache starts from; each source is another cache. selector: the path inside source.
    content_cache: whether the command is cached by the content of source, as in `bind`.
    env: variables for the command, over those of the image and under what the build sets itself by `env`; None is
    what a known id's tool needs to find it.

    The contents are no part of the result, of the cache key, or of an exported build cache.

    Raises MountError when target is relative, or when neither target nor the id says where it goes; OptionError for
    the rest.

    LLB: Mount with mountType CACHE, CacheOpt. Mirrors client/llb AsPersistentCacheDir, ContentCache (BuildKit 0.33.1).

    >>> made = cache("go-build")
    >>> made.target, made.id, made.sharing
    ('/root/.cache/go-build', 'go-build', 'shared')
    """
    if type(id_or_target) is str and (target, id, sharing, source, selector, readonly, content_cache, env) == _NOTHING:
        return _usual_cache(id_or_target)
    return _cache(id_or_target, target, id, sharing, source, selector, readonly, content_cache, env)


@lru_cache(maxsize=64)
def _usual_cache(id_or_target: str) -> CacheMount:
    """Made once: most caches are used by many commands, and the other options are rarely given."""
    return _cache(id_or_target, None, None, None, None, None, False, "default", None)


def _cache(
    id_or_target: str,
    target: str | None,
    id: str | None,
    sharing: Sharing | None,
    source: State | None,
    selector: str | None,
    readonly: bool,
    content_cache: ContentCache,
    env: Mapping[str, str] | None,
) -> CacheMount:
    id_or_target = check.text("the id of a cache mount", id_or_target)
    exact, place = _id_and_target(id_or_target, target) if id is None else _given_id(id, id_or_target, target)
    known = CATALOGUE.get(exact)
    own = known.environment(place) if known else ()
    mode = sharing if sharing is not None else known.sharing if known else "shared"
    return CacheMount(
        target=place,
        id=exact,
        sharing=mode if mode in _SHARING else check.choice("sharing", mode, _SHARING),
        source=None if source is None else _seed(source),
        selector="" if selector is None else _seed_selector(selector, source),
        readonly=check.flag("readonly", readonly),
        content_cache=content_cache if content_cache == "default" else _seed_content(content_cache, source),
        env=own if env is None else check.environment(env),
    )


def _id_and_target(id_or_target: str, target: str | None) -> tuple[str, str]:
    """The id as LLB has it, and the target."""
    if not id_or_target.startswith("/"):
        return id_or_target, _target_of(id_or_target, target)
    if target is not None:
        raise OptionError(
            f"cache({id_or_target!r}, {target!r}) has two targets; an id does not begin with '/', "
            f"unless it is given as id={id_or_target!r}"
        )
    place = check.mount_target("the target of a cache mount", id_or_target)
    # path.Clean, then "/" before it: as dockerfile2llb makes it of a target (BuildKit 0.33.1).
    return "//" + posixpath.normpath(place).lstrip("/"), place


def _given_id(id: str, first: str, target: str | None) -> tuple[str, str]:
    """The id as it is, and the target, which is to come first then."""
    if target is not None or not first.startswith("/"):
        raise OptionError(f"cache({first!r}, id={id!r}) has two ids; with id= the target comes first")
    return check.text("the id of a cache mount", id), check.mount_target("the target of a cache mount", first)


def _target_of(id: str, target: str | None) -> str:
    if target is not None:
        return check.mount_target(f"the target of cache mount {id!r}", target)
    if id in CATALOGUE:
        return CATALOGUE[id].target
    if "/" in id:
        check.absolute("the target of a cache mount", id)
    raise OptionError(
        f"cache id {id!r} is none whose directory is known{near(id, CATALOGUE) or ';'} "
        f"give target='/...', or use one of {', '.join(sorted(CATALOGUE))}"
    )


def _seed(source: State) -> Output | None:
    if not isinstance(source, State):
        raise OptionError(f"the source of a cache mount is {check.show(source)}; write a filesystem")
    return source.output


def _seed_selector(selector: str, source: State | None) -> str:
    if source is None:
        raise OptionError(f"selector={selector!r} without source; it is a path inside source")
    return _inside("selector", selector)


def _seed_content(content_cache: ContentCache, source: State | None) -> ContentCache:
    check.choice("content_cache", content_cache, _CONTENT_CACHE)
    if source is None:
        raise OptionError(f"content_cache={content_cache!r} without source, whose content it is about")
    return content_cache


def _inside(what: str, path: str) -> str:
    check.text(what, path)
    if ".." in path.split("/"):
        raise OptionError(f"{what} is {path!r}; it stays inside the source, without '..'")
    return path


def tmpfs(target: str, *, size: int | str | None = None) -> TmpfsMount:
    """Mount an empty in-memory filesystem for one run; it has no result.

    target: absolute path in the container. size: upper bound in bytes, or a str such as "64m"; None leaves the
    kernel's default. Raises MountError when target is relative, OptionError for the size.

    LLB: Mount with mountType TMPFS, TmpfsOpt.size. Mirrors client/llb Tmpfs, TmpfsSize (BuildKit 0.33.1).
    """
    if isinstance(target, State):
        raise OptionError(
            f"a tmpfs mount of {check.show(target)}; it is empty and has no source, but what is written to "
            "bind(fs, target, no_output=True) is thrown away too"
        )
    place = check.mount_target("the target of a tmpfs mount", target)
    bytes_ = 0 if size is None else check.size("the size of a tmpfs mount", size)
    if size is not None and bytes_ == 0:
        raise OptionError(f"the size of a tmpfs mount is {size!r}; it is at least one byte, or None")
    return TmpfsMount(target=place, size=bytes_)


def secret(
    id: str,
    target: str | None = None,
    *,
    env: str | None = None,
    uid: int = 0,
    gid: int = 0,
    mode: int | str = 0o400,
    optional: bool = False,
) -> SecretMount:
    """Give one run a secret, as a file, as an environment variable, or as both. Its value is in no result or digest.

    id: what `solve(secrets=...)` and `--secret id=` name it by. target: absolute path of the file; None, with env None
    too, is /run/secrets/ and the last part of id. env: the variable's name. uid, gid: of the file. mode: of the file,
    0o400 or "400". optional: the command also runs when there is no such secret, without the file and
    with an empty variable.

    Raises MountError when target is relative, OptionError for the rest.

    LLB: Mount with mountType SECRET, and ExecOp.secretenv. Mirrors client/llb AddSecret with SecretID, SecretFileOpt,
    SecretAsEnvName (BuildKit 0.33.1).
    """
    id = check.text("the id of a secret", id)
    if target is None and env is None:
        target = _secret_target(id)
    return SecretMount(
        id=id,
        target=None if target is None else check.mount_target(f"the target of secret {id!r}", target),
        env=None if env is None else check.env_name(env),
        uid=check.integer("uid", uid, 0, _MAX_ID),
        gid=check.integer("gid", gid, 0, _MAX_ID),
        mode=check.permissions(mode),
        optional=check.flag("optional", optional),
    )


def _secret_target(id: str) -> str:
    name = posixpath.basename(id.rstrip("/"))
    if name in ("", ".", ".."):
        raise MountError(f"secret {id!r} has no name for its file; give target='/run/secrets/...'")
    return "/run/secrets/" + name


def ssh(
    id: str = "default",
    target: str | None = None,
    *,
    uid: int = 0,
    gid: int = 0,
    mode: int | str = 0o600,
    optional: bool = False,
) -> SshMount:
    """Give one run the socket of an ssh agent; SSH_AUTH_SOCK points to the first one.

    id: what `solve(ssh=...)` and `--ssh` name it by. target: absolute path of the socket, None is
    /run/buildkit/ssh_agent.N. uid, gid, mode: of the socket. optional: the command also runs when there is no agent.

    Raises MountError when target is relative, OptionError for the rest.

    LLB: Mount with mountType SSH. Mirrors client/llb AddSSHSocket (BuildKit 0.33.1).
    """
    return SshMount(
        id=check.text("the id of an ssh agent", id),
        target=None if target is None else check.mount_target("the target of an ssh socket", target),
        uid=check.integer("uid", uid, 0, _MAX_ID),
        gid=check.integer("gid", gid, 0, _MAX_ID),
        mode=check.permissions(mode),
        optional=check.flag("optional", optional),
    )
