"""Git sources: ops from the options of a repository."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import attrs

from pyllb.dsl import check
from pyllb.dsl.sources import ARMOUR, Attributes
from pyllb.dsl.stored import bundle_store
from pyllb.errors import OptionError, RefError
from pyllb.ir.constraints import Constraints
from pyllb.ir.giturl import parse_git_url
from pyllb.ir.ops import SourceOp
from pyllb.ir.site import Site
from pyllb.value import Value

GitTime = Literal["checkout", "commit"]

_GIT_TIMES: tuple[GitTime, ...] = ("checkout", "commit")
_HEX_SHA = r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z"
# The kind, and in base64 the length of the kind. Options, or whom it is of, may stand before: ssh.ParseAuthorizedKey.
_SSH_KEY = r"(?:^|\s)[a-z0-9@.-]+[ \t]+AAAA"
# What git check-ref-format refuses of a name, and what means something else than a name: HEAD~1, a..b, *.
_NO_REF = r"^-|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(?:^|/)\.|\.lock(?:/|$)|[/.]$|^/|^@$"
_REF_IS = "which no branch or tag can be called; write its name, such as 'main' or 'v1.2', or a commit's hex digits"
_BUNDLE = r"(?:docker-image|oci-layout)\+blob://[^\s@]+@sha256:[0-9a-f]{64}\Z"


@attrs.frozen(eq=False, repr=False, kw_only=True)
class GitSignature(Value):
    """How a commit, or the tag that names it, must be signed. key: armoured, PGP or ssh."""

    key: str = attrs.field(repr=False)
    reject_expired: bool = False
    require_signed_tag: bool = False
    ignore_signed_tag: bool = False


def git_signature(
    key: str, *, reject_expired: bool = False, require_signed_tag: bool = False, ignore_signed_tag: bool = False
) -> GitSignature:
    """Say how a git commit must be signed; the value of `git(signature=...)`.

    key: the public key, armoured PGP or an ssh line. The signature of the commit counts, or that of the annotated tag
    which ref names. reject_expired: a key that has expired does not count. require_signed_tag: only the tag's counts.
    ignore_signed_tag: only the commit's counts. Raises OptionError.

    LLB: SourceOp.attrs git.sig.*, which the daemon reads and client/llb has no option for (BuildKit 0.33.1).
    """
    if check.flag("require_signed_tag", require_signed_tag) and check.flag("ignore_signed_tag", ignore_signed_tag):
        raise OptionError("require_signed_tag=True and ignore_signed_tag=True; then no signature counts")
    if ARMOUR not in check.text("the key of git_signature", key) and not re.search(_SSH_KEY, key):
        raise OptionError(
            f"the key of git_signature is {check.show(key)}; write the key, '{ARMOUR}...' or 'ssh-ed25519 AAAA...'"
        )
    return GitSignature(
        key=key,
        reject_expired=check.flag("reject_expired", reject_expired),
        require_signed_tag=require_signed_tag,
        ignore_signed_tag=check.flag("ignore_signed_tag", ignore_signed_tag),
    )


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
    bundle_store: str | None,
    bundle_session: str | None,
    checkout_bundle: bool,
    advice: bool,
    signature: GitSignature | None,
    auth_token_secret: str | None,
    auth_header_secret: str | None,
    known_hosts: str | Iterable[str] | None,
    ssh_id: str | None,
) -> SourceOp:
    """A git source. Mirrors client/llb Git, but never asks a host for its keys by itself."""
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
        if re.match(_HEX_SHA, ref) and not ref.startswith(checksum):
            raise RefError(f"checksum is {checksum!r}, but ref is another commit, {ref!r}; leave one of them out")
    if not check.flag("submodules", submodules):
        attributes.set("git.skipsubmodules", "true", "source.git.skipsubmodules")
    if mtime is not None:
        attributes.set("git.mtime", check.choice("mtime", mtime, _GIT_TIMES), "source.git.mtime")
    if check.flag("advice", advice):
        attributes.set("git.advice", "true")
    if signature is not None:
        _git_signature(attributes, signature)
    if check.flag("fetch_by_commit", fetch_by_commit):
        if not re.match(_HEX_SHA, checksum or ref):
            raise OptionError("fetch_by_commit=True without a whole commit; give checksum= its 40 or 64 hex digits")
        attributes.set("git.fetchbycommit", "true", "source.git.fetchbycommit")
    if bundle is not None:
        _git_bundle(attributes, bundle, bundle_store, bundle_session, checksum)
    elif bundle_store is not None or bundle_session is not None:
        raise OptionError("bundle_store or bundle_session without bundle; they say where its OCI layout is")
    if check.flag("checkout_bundle", checkout_bundle):
        if keep_git_dir or subdir:
            raise OptionError("checkout_bundle=True with keep_git_dir or subdir; a bundle is one file with the commit")
        attributes.set("git.checkoutbundle", "true", "source.git.checkoutbundle")
    return attributes.op(where.identifier(ref, subdir), constraints, site)


def _ref(url: str, what: str, in_url: str, given: str | None) -> str:
    if given is None:
        if what == "ref" and re.search(_NO_REF, in_url):
            raise RefError(f"{url!r} has the ref {in_url!r}, {_REF_IS}")
        return in_url
    check.text(what, given)
    if in_url and in_url != given:
        raise OptionError(f"{what} is {given!r}, but {url!r} says {in_url!r}; leave one of them out")
    if what == "ref" and ":" in given:
        ref, _, subdir = given.partition(":")
        raise OptionError(f"ref is {given!r}; no branch, tag or commit has a ':', write ref={ref!r}, subdir={subdir!r}")
    if what == "ref" and re.search(_NO_REF, given):
        raise OptionError(f"ref is {given!r}, {_REF_IS}")
    if re.search(r"[\x00-\x1f\x7f]", given):
        raise OptionError(f"{what} is {given!r}; it has no line breaks or other control characters")
    if what == "subdir" and ".." in given.split("/"):
        raise OptionError(f"subdir is {given!r}; it stays inside the repository, without '..'")
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
    attributes: Attributes, bundle: str, store: str | None, session: str | None, checksum: str | None
) -> None:
    if not re.match(_BUNDLE, check.text("bundle", bundle)):
        raise OptionError(
            f"bundle is {bundle!r}; write 'docker-image+blob://NAME@sha256:...' or 'oci-layout+blob://NAME@sha256:...'"
        )
    if checksum is None:
        raise OptionError("bundle without checksum; give checksum= the commit that the bundle holds")
    attributes.set("git.bundle", bundle, "source.git.bundle")
    bundle_store(attributes, bundle, store, session)


def _git_signature(attributes: Attributes, signature: GitSignature) -> None:
    if not isinstance(signature, GitSignature):
        raise OptionError(f"signature is {check.show(signature)}; write git_signature(key, ...)")
    cap = "source.git.signatureverify"
    attributes.set("git.sig.pubkey", signature.key, cap)
    for name, wanted in (
        ("rejectexpired", signature.reject_expired),
        ("requiresignedtag", signature.require_signed_tag),
        ("ignoresignedtag", signature.ignore_signed_tag),
    ):
        if wanted:
            attributes.set(f"git.sig.{name}", "true", cap)
