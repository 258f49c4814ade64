"""Source ops from options: images, directories of the client, files by HTTP."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, runtime_checkable

from pyllb.dsl import check
from pyllb.errors import OptionError, RefError
from pyllb.ir.constraints import Constraints
from pyllb.ir.ops import RESOLVE_MODES, ImageSource, LocalDir, ResolveMode, SourceOp
from pyllb.ir.reference import parse_digest, parse_reference
from pyllb.ir.site import Site

Differ = Literal["none", "metadata"]

_DIFFERS: tuple[Differ, ...] = ("none", "metadata")
_HOST = r"\[[0-9A-Fa-f:.]+(?:%25[^\]]+)?\]|[^/?#@:\[\]\\^`{|}%]+"
_HTTP = rf"https?://(?:[^/?#\[\]]*@)?(?:{_HOST})(?::([0-9]*))?(?:[/?#].*)?\Z"
# Of a path Go itself escapes a space; of a query it does not, and servers refuse it. A query may have any %.
_SPACED = r"\s\Z|\A[^/]*//[^/?#]*\s|\?[^#]* "
_NO_URL = rf"{_SPACED}|[\x00-\x1f\x7f]|\A[^?#]*%(?![0-9A-Fa-f]{{2}})|#.*%(?![0-9A-Fa-f]{{2}})"
_NO_HEADER = r"[\x00-\x08\x0a-\x1f\x7f]"
ARMOUR = "-----BEGIN PGP "
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z"
MAX_LAYERS = (1 << 31) - 1


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
    resolve_digest: bool,
) -> SourceOp:
    """A docker-image source. Mirrors client/llb Image."""
    if check.text("an image reference", ref, error=RefError) == "scratch":
        raise RefError("'scratch' is a Dockerfile's word for nothing and no image; write fs()")
    parsed = parse_reference(ref)
    name = str(parsed)
    mode = check.choice("resolve_mode", resolve_mode, RESOLVE_MODES)
    attributes = Attributes("source.image")
    if mode != "default":  # only "pull" is enforced by the daemon, so only it asks for the capability
        attributes.set("image.resolvemode", mode, "source.image.resolvemode" if mode == "pull" else "")
    if check.flag("internal", internal):
        attributes.set("image.recordtype", "internal")
    if layer_limit is not None:
        limit = check.integer("layer_limit", layer_limit, 1, MAX_LAYERS)
        attributes.set("image.layerlimit", str(limit), "source.image.layerlimit")
    if checksum is not None:
        if parsed.digest not in ("", a_digest("checksum", checksum)):
            raise RefError(f"checksum is {checksum!r}, but {ref!r} has another digest; leave one of them out")
        attributes.set("image.checksum", checksum, "source.image.checksum")
    source = ImageSource(name, mode, check.flag("resolve_digest", resolve_digest))
    return attributes.op("docker-image://" + name, constraints, site, image=source)


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
    differ_required: bool,
    session: str | None,
    unique_id: str | None,
    metadata_only: bool,
    metadata_except: Iterable[str],
) -> SourceOp:
    """A local source. Mirrors client/llb Local."""
    place = _client_path(path)
    attributes = Attributes("source.local")
    if session is not None:
        attributes.set("local.session", check.text("session", session), "source.local.sessionid")
    if unique_id is not None:
        if session is not None:
            raise OptionError("session and unique_id; what another session uploads has no id of this one's")
        attributes.set("local.unique", check.text("unique_id", unique_id), "source.local.unique")
    included, excluded = check.patterns("include", include), check.patterns("exclude", exclude)
    _set_list(attributes, "local.includepattern", included, "source.local.includepatterns")
    _set_list(attributes, "local.followpaths", check.patterns("follow", follow, root=True), "source.local.followpaths")
    _set_list(attributes, "local.excludepatterns", excluded, "source.local.excludepatterns")
    if shared_key is not None:
        attributes.set("local.sharedkeyhint", check.text("shared_key", shared_key), "source.local.sharedkeyhint")
    if differ is not None:
        cap = "source.local.differ" if check.flag("differ_required", differ_required) else ""
        attributes.set("local.differ", check.choice("differ", differ, _DIFFERS), cap)
    elif not check.flag("differ_required", differ_required):
        raise OptionError("differ_required=False without differ; it is about what differ says")
    exceptions = check.patterns("metadata_except", metadata_except)
    if check.flag("metadata_only", metadata_only):
        attributes.set("local.metadatatransfer", "true", "source.local.metadatatransfer")
        _set_list(attributes, "local.metadatatransferexclude", exceptions, "")
    elif exceptions:
        raise OptionError("metadata_except without metadata_only=True; it names what is sent all the same")
    directory = LocalDir(place, _written_in(place, site)) if session is None else None
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
    _http_url(url)
    attributes = Attributes("source.http")
    if checksum is not None:
        attributes.set("http.checksum", _file_digest(checksum), "source.http.checksum")
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
        attributes.set("http.sig.pubkey", _armoured("pgp_key", pgp_key), "source.http.signatureverify")
        attributes.set("http.sig.signature", _armoured("pgp_signature", pgp_signature))
    return attributes.op(url, constraints, site)


def _http_url(url: str) -> None:
    """Make sure of a URL that Go can parse, of a scheme that the daemon knows: it compares letter by letter."""
    match = re.match(_HTTP, check.text("the URL of http", url))
    port = match.group(1) or "80" if match else ""
    if not match or re.search(_NO_URL, url) or int(port[:6]) > 65535:
        hint = ", and a space as %20" if " " in url else ""
        raise OptionError(f"the URL of http is {url!r}; write 'https://host/path' or 'http://host/path'{hint}")


def _file_digest(checksum: str) -> str:
    digest = a_digest("checksum", checksum)
    if not digest.startswith("sha256:"):
        raise RefError(f"checksum is {digest!r}; the daemon takes the sha256 of a file, write that")
    return digest


def _armoured(what: str, value: str) -> str:
    """An armoured PGP text."""
    if ARMOUR not in check.text(what, value):
        raise OptionError(f"{what} is {check.show(value)}; write the armoured text itself, '{ARMOUR}...'")
    return value


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
    if re.search(_NO_HEADER, check.text(name, value)):
        raise OptionError(f"header {name} is {value!r}; it has no line breaks or other control characters")
    return value


def a_digest(what: str, value: str) -> str:
    """A digest with its algorithm."""
    return parse_digest(check.text(what, value, error=RefError))
