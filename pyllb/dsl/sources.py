"""Source ops from options: images, directories of the client, git repositories, files by HTTP."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, runtime_checkable

from pyllb.dsl import check
from pyllb.errors import NotThereYet, OptionError, RefError
from pyllb.ir.constraints import Constraints
from pyllb.ir.ops import ImageSource, LocalDir, SourceOp
from pyllb.ir.reference import parse_digest, parse_reference
from pyllb.ir.site import Site

ResolveMode = Literal["default", "pull", "local"]
Differ = Literal["none", "metadata"]
GitTime = Literal["checkout", "commit"]

_RESOLVE_MODES: tuple[ResolveMode, ...] = ("default", "pull", "local")
_DIFFERS: tuple[Differ, ...] = ("none", "metadata")
_GIT_TIMES: tuple[GitTime, ...] = ("checkout", "commit")
_HEX_SHA = r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z"
_HTTP = r"https?://[^\s/?#]+(?:[/?#][^\s]*)?\Z"
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z"
_MAX_ID = (1 << 31) - 1


@runtime_checkable
class PathLike(Protocol):
    """A path of the client, such as pathlib.Path; os.PathLike, without os: nothing here looks at a disk."""

    def __fspath__(self) -> str: ...


class Attributes:
    """Attributes and capabilities of a source, collected. A capability goes with the option that needs it."""

    def __init__(self, cap: str) -> None:
        self.pairs: dict[str, str] = {}
        self.caps: dict[str, None] = {cap: None}

    def set(self, name: str, value: str, cap: str = "") -> None:
        self.pairs[name] = value
        if cap:
            self.caps[cap] = None

    def op(
        self,
        identifier: str,
        constraints: Constraints,
        site: Site,
        *,
        image: ImageSource | None = None,
        local: LocalDir | None = None,
    ) -> SourceOp:
        return SourceOp(
            identifier=identifier,
            attributes=tuple(self.pairs.items()),
            caps=tuple(self.caps),
            constraints=constraints,
            site=site,
            image=image,
            local=local,
        )


def image_op(
    ref: str,
    constraints: Constraints,
    site: Site,
    *,
    resolve_mode: ResolveMode,
    checksum: str | None,
    layer_limit: int | None,
    internal: bool,
) -> SourceOp:
    """A docker-image source. Mirrors client/llb Image."""
    if check.text("an image reference", ref, error=RefError) == "scratch":
        raise RefError("'scratch' is a Dockerfile's word for nothing and no image; write fs()")
    name = str(parse_reference(ref))
    mode = check.choice("resolve_mode", resolve_mode, _RESOLVE_MODES)
    attributes = Attributes("source.image")
    if mode != "default":  # only "pull" is enforced by the daemon, so only it asks for the capability
        attributes.set("image.resolvemode", mode, "source.image.resolvemode" if mode == "pull" else "")
    if check.flag("internal", internal):
        attributes.set("image.recordtype", "internal")
    if layer_limit is not None:
        limit = check.integer("layer_limit", layer_limit, 1, _MAX_ID)
        attributes.set("image.layerlimit", str(limit), "source.image.layerlimit")
    if checksum is not None:
        attributes.set("image.checksum", a_digest("checksum", checksum), "source.image.checksum")
    return attributes.op("docker-image://" + name, constraints, site, image=ImageSource(name, mode))


def local_op(
    path: str | PathLike,
    constraints: Constraints,
    site: Site,
    *,
    name: str | None,
    include: Iterable[str],
    exclude: Iterable[str],
    follow: Iterable[str],
    shared_key: str | None,
    differ: Differ | None,
    metadata_only: bool,
    metadata_except: Iterable[str],
) -> SourceOp:
    """A local source. Mirrors client/llb Local."""
    place = _client_path(path)
    attributes = Attributes("source.local")
    included, excluded = _patterns("include", include), _patterns("exclude", exclude)
    _set_list(attributes, "local.includepattern", included, "source.local.includepatterns")
    _set_list(attributes, "local.followpaths", _patterns("follow", follow), "source.local.followpaths")
    _set_list(attributes, "local.excludepatterns", excluded, "source.local.excludepatterns")
    if shared_key is not None:
        attributes.set("local.sharedkeyhint", check.text("shared_key", shared_key), "source.local.sharedkeyhint")
    if differ is not None:
        attributes.set("local.differ", check.choice("differ", differ, _DIFFERS), "source.local.differ")
    exceptions = _patterns("metadata_except", metadata_except)
    if check.flag("metadata_only", metadata_only):
        attributes.set("local.metadatatransfer", "true", "source.local.metadatatransfer")
        _set_list(attributes, "local.metadatatransferexclude", exceptions, "")
    elif exceptions:
        raise OptionError("metadata_except without metadata_only=True; it names what is sent all the same")
    directory = LocalDir(place, _written_in(place, site))
    return attributes.op("local://" + _local_name(place, name), constraints, site, local=directory)


def _client_path(path: str | PathLike) -> str:
    if not isinstance(path, str | PathLike):
        raise OptionError(f"the path of local is {check.show(path)}; write a str or a Path")
    place = check.client_text("the path of local", path if isinstance(path, str) else path.__fspath__())
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", place):
        raise OptionError(f"the path of local is {place!r}; a URL is for git(...) or http(...)")
    return place


def _local_name(place: str, name: str | None) -> str:
    if name is not None:
        if not re.match(_NAME, check.text("the name of local", name)):
            raise OptionError(f"the name of local is {name!r}; write letters, digits, dots, dashes and underscores")
        return name
    last = posixpath.basename(posixpath.normpath(place))
    if last in ("", ".", ".."):
        return {"": "root", ".": "context", "..": "parent"}[last]
    return re.sub(r"[^A-Za-z0-9_.-]", "-", last.lstrip(".-") or last)


def _written_in(place: str, site: Site) -> str:
    filename = site.frames[0].filename if site.frames else ""
    return "" if place.startswith("/") or filename.startswith("<") else filename


def _patterns(what: str, value: Iterable[str]) -> tuple[str, ...]:
    patterns = check.texts(what, value)
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        if bare.startswith("/"):
            inside = bare.lstrip("/")
            raise OptionError(f"a pattern of {what} is {pattern!r}; it is relative to the directory, {inside!r}")
        if ".." in bare.split("/"):
            raise OptionError(f"a pattern of {what} is {pattern!r}; it stays inside the directory, without '..'")
    return patterns


def _set_list(attributes: Attributes, name: str, items: tuple[str, ...], cap: str) -> None:
    if items:
        attributes.set(name, go_json(items), cap)


def go_json(items: Sequence[str]) -> str:
    """A JSON array of strings as Go's encoding/json writes it."""
    import json  # here: most builds have no patterns, and start-up is measured

    text = json.dumps(items, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def http_op(
    url: str,
    constraints: Constraints,
    site: Site,
    *,
    checksum: str | None,
    filename: str | None,
    mode: int | str | None,
    owner: str | int | None,
    auth_secret: str | None,
    accept: str | None,
    user_agent: str | None,
    pgp_key: str | None,
    pgp_signature: str | None,
) -> SourceOp:
    """An http source. Mirrors client/llb HTTP."""
    if not re.match(_HTTP, check.text("the URL of http", url), re.IGNORECASE):
        raise OptionError(f"the URL of http is {url!r}; write 'https://host/path' or 'http://host/path'")
    attributes = Attributes("source.http")
    if checksum is not None:
        attributes.set("http.checksum", a_digest("checksum", checksum), "source.http.checksum")
    if filename is not None:
        attributes.set("http.filename", file_name(filename))
    file_attributes(attributes, mode, owner, "source.http.perm", "soruce.http.uidgid")  # upstream's spelling
    if auth_secret is not None:
        attributes.set("http.authheadersecret", check.text("auth_secret", auth_secret), "source.http.auth")
    for name, header in (("accept", accept), ("user-agent", user_agent)):
        if header is not None:
            attributes.set(f"http.header.{name}", _header(name, header), "source.http.header")
    if (pgp_key is None) != (pgp_signature is None):
        raise OptionError("pgp_key and pgp_signature go together; one of them is missing")
    if pgp_key is not None and pgp_signature is not None:
        attributes.set("http.sig.pubkey", check.text("pgp_key", pgp_key), "source.http.signatureverify")
        attributes.set("http.sig.signature", check.text("pgp_signature", pgp_signature))
    return attributes.op(url, constraints, site)


def file_attributes(
    attributes: Attributes, mode: int | str | None, owner: str | int | None, mode_cap: str = "", owner_cap: str = ""
) -> None:
    """Mode and owner of the one file that a source gives; 0, which is what they are anyway, is left out."""
    from pyllb.dsl.actions import an_owner  # here: start-up is measured

    if mode is not None and (bits := check.permissions(mode)):
        attributes.set("http.perm", f"0{bits:o}", mode_cap)
    who = an_owner(owner)
    for name, number in (("uid", who and who.user), ("gid", who and who.group)):
        if isinstance(number, str):
            raise OptionError(f"owner is {owner!r}; there is no /etc/passwd to look names up in, write numbers")
        if number:
            attributes.set(f"http.{name}", str(number), owner_cap)


def file_name(filename: str) -> str:
    """A name without directories."""
    if "/" in check.text("filename", filename) or filename in (".", ".."):
        raise OptionError(f"filename is {filename!r}; it is a name without directories")
    return filename


def _header(name: str, value: str) -> str:
    if re.search(r"[\r\n]", check.text(name, value)):
        raise OptionError(f"header {name} is {value!r}; it has no line breaks")
    return value


def git_op(
    url: str,
    constraints: Constraints,
    site: Site,
    *,
    ref: str | None,
    subdir: str | None,
    keep_git_dir: bool,
    submodules: bool,
    checksum: str | None,
    mtime: GitTime | None,
    fetch_by_commit: bool,
    bundle: str | None,
    checkout_bundle: bool,
    auth_token_secret: str | None,
    auth_header_secret: str | None,
    known_hosts: str | Iterable[str] | None,
    ssh_id: str | None,
) -> SourceOp:
    """A git source. Mirrors client/llb Git, but never asks a host for its keys by itself."""
    from pyllb.ir.giturl import parse_git_url  # here: few builds have a git source, and start-up is measured

    where = parse_git_url(check.text("the URL of git", url, error=RefError))
    ref, subdir = _ref(url, "ref", where.ref, ref), _ref(url, "subdir", where.subdir, subdir)
    attributes = Attributes("source.git")
    if check.flag("keep_git_dir", keep_git_dir):
        attributes.set("git.keepgitdir", "true", "source.git.keepgitdir")
    attributes.set("git.fullurl", where.remote, "source.git.fullurl")
    _git_auth(attributes, auth_token_secret, auth_header_secret)
    if where.scheme == "ssh":
        _git_ssh(attributes, known_hosts, ssh_id)
    elif known_hosts is not None or ssh_id is not None:
        raise OptionError(f"known_hosts and ssh_id are for ssh; {url!r} is fetched by {where.scheme}")
    if checksum is not None:
        attributes.set("git.checksum", _commit(checksum), "source.git.checksum")
    if not check.flag("submodules", submodules):
        attributes.set("git.skipsubmodules", "true", "source.git.skipsubmodules")
    if mtime is not None:
        attributes.set("git.mtime", check.choice("mtime", mtime, _GIT_TIMES), "source.git.mtime")
    if check.flag("fetch_by_commit", fetch_by_commit):
        if not re.match(_HEX_SHA, checksum or ref):
            raise OptionError("fetch_by_commit=True without a whole commit; give checksum= its 40 or 64 hex digits")
        attributes.set("git.fetchbycommit", "true", "source.git.fetchbycommit")
    _git_bundle(attributes, bundle, checkout_bundle, checksum, exclusive=keep_git_dir or bool(subdir))
    return attributes.op(where.identifier(ref, subdir), constraints, site)


def _ref(url: str, what: str, in_url: str, given: str | None) -> str:
    if given is None:
        return in_url
    check.text(what, given)
    if in_url and in_url != given:
        raise OptionError(f"{what} is {given!r}, but {url!r} says {in_url!r}; leave one of them out")
    if re.search(r"\s", given) or given.startswith("-"):
        raise OptionError(f"{what} is {given!r}; it has no white space and does not begin with '-'")
    return given


def _commit(checksum: str) -> str:
    if not re.match(r"[0-9a-f]{7,64}\Z", check.text("checksum", checksum, error=RefError)):
        raise RefError(f"checksum is {checksum!r}; write the commit's hex digits, in lower case, all or the first ones")
    return checksum


def _git_auth(attributes: Attributes, token: str | None, header: str | None) -> None:
    given = "source.git.httpauth" if token is not None or header is not None else ""
    for name, value, usual in (("token", token, "GIT_AUTH_TOKEN"), ("header", header, "GIT_AUTH_HEADER")):
        secret = usual if value is None else check.value_text(f"auth_{name}_secret", value)
        if secret:
            attributes.set(f"git.auth{name}secret", secret, given)


def _git_ssh(attributes: Attributes, known_hosts: str | Iterable[str] | None, ssh_id: str | None) -> None:
    lines = [known_hosts] if isinstance(known_hosts, str) else known_hosts
    if lines is not None:
        keys = check.texts("known_hosts", lines, empty=False)
        attributes.set("git.knownsshhosts", "".join(key.removesuffix("\n") + "\n" for key in keys))
    attributes.caps["source.git.knownsshhosts"] = None
    agent = "default" if ssh_id is None else check.text("ssh_id", ssh_id)
    attributes.set("git.mountsshsock", agent, "source.git.mountsshsock")


def _git_bundle(
    attributes: Attributes, bundle: str | None, checkout_bundle: bool, checksum: str | None, *, exclusive: bool
) -> None:
    if bundle is not None:
        if check.text("bundle", bundle).startswith("oci-layout+blob://"):
            raise NotThereYet(f"a git bundle from an OCI layout ({bundle!r})")
        if not bundle.startswith("docker-image+blob://"):
            raise OptionError(f"bundle is {bundle!r}; write 'docker-image+blob://NAME@sha256:...'")
        if checksum is None:
            raise OptionError("bundle without checksum; give checksum= the commit that the bundle holds")
        attributes.set("git.bundle", bundle, "source.git.bundle")
    if check.flag("checkout_bundle", checkout_bundle):
        if exclusive:
            raise OptionError("checkout_bundle=True with keep_git_dir or subdir; a bundle is one file with the commit")
        attributes.set("git.checkoutbundle", "true", "source.git.checkoutbundle")


def a_digest(what: str, value: str) -> str:
    """A digest with its algorithm."""
    return parse_digest(check.text(what, value, error=RefError))
