"""Sources become ops with the attributes and capabilities that BuildKit's Go client sets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import pyllb
from pyllb.dsl.fs import FS
from pyllb.errors import OptionError
from pyllb.ir.ops import LocalDir, SourceOp
from pyllb.ir.platform import Platform

KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n..."
SIGNATURE = "-----BEGIN PGP SIGNATURE-----\n..."
SHA = "sha256:" + "a" * 64
COMMIT = "b" * 40
AUTH = {"git.authtokensecret": "GIT_AUTH_TOKEN", "git.authheadersecret": "GIT_AUTH_HEADER"}
GIT = {"git.fullurl": "https://host/n", **AUTH}
GIT_SSH = {"git.fullurl": "git@host:n", **AUTH, "git.mountsshsock": "default"}
GENERAL = {
    "docker-image": "image",
    "https": "http",
    "oci-layout": "ocilayout",
    "docker-image+blob": "imageblob",
    "oci-layout+blob": "imageblob",
}
SSH_CAPS = ("source.git.knownsshhosts", "source.git.mountsshsock")


def _op(state: FS) -> SourceOp:
    assert state.output is not None
    assert isinstance(state.output.vertex, SourceOp)
    return state.output.vertex


@pytest.mark.parametrize(
    ("state", "identifier", "attributes", "caps"),
    [
        (pyllb.image("a"), "docker-image://docker.io/library/a:latest", {}, ()),
        (
            pyllb.image("a", resolve_mode="pull"),
            "docker-image://docker.io/library/a:latest",
            {"image.resolvemode": "pull"},
            ("source.image.resolvemode",),
        ),
        (
            pyllb.image("a", resolve_mode="local", internal=True, layer_limit=2, checksum=SHA),
            "docker-image://docker.io/library/a:latest",
            {
                "image.resolvemode": "local",
                "image.recordtype": "internal",
                "image.layerlimit": "2",
                "image.checksum": SHA,
            },
            ("source.image.layerlimit", "source.image.checksum"),
        ),
        (pyllb.local("."), "local://context", {}, ()),
        (
            pyllb.local("src", include=["*.go", "a&b"], exclude=["<x>", "\u2028é"], follow=["l"]),
            "local://src",
            {
                "local.includepattern": '["*.go","a\\u0026b"]',
                "local.followpaths": '["l"]',
                "local.excludepatterns": '["\\u003cx\\u003e","\\u2028é"]',
            },
            ("source.local.includepatterns", "source.local.followpaths", "source.local.excludepatterns"),
        ),
        (
            pyllb.local("a/b c", shared_key="k", differ="none", metadata_only=True, metadata_except=["x"]),
            "local://b-c",
            {
                "local.sharedkeyhint": "k",
                "local.differ": "none",
                "local.metadatatransfer": "true",
                "local.metadatatransferexclude": '["x"]',
            },
            ("source.local.sharedkeyhint", "source.local.differ", "source.local.metadatatransfer"),
        ),
        (
            pyllb.local("a", session="s", differ="metadata", differ_required=False),
            "local://a",
            {"local.session": "s", "local.differ": "metadata"},
            ("source.local.sessionid",),
        ),
        (pyllb.local("a", unique_id="u"), "local://a", {"local.unique": "u"}, ("source.local.unique",)),
        (
            pyllb.git(
                "https://host/n",
                checksum=COMMIT,
                bundle=f"oci-layout+blob://a/b@{SHA}",
                bundle_store="s",
                bundle_session="x",
                advice=True,
            ),
            "git://host/n",
            {
                **GIT,
                "git.checksum": COMMIT,
                "git.bundle": f"oci-layout+blob://a/b@{SHA}",
                "oci.session": "x",
                "oci.store": "s",
                "git.advice": "true",
            },
            ("source.git.fullurl", "source.git.checksum", "source.git.bundle"),
        ),
        (
            pyllb.git(
                "https://host/n", signature=pyllb.git_signature(KEY, reject_expired=True, require_signed_tag=True)
            ),
            "git://host/n",
            {
                **GIT,
                "git.sig.pubkey": KEY,
                "git.sig.rejectexpired": "true",
                "git.sig.requiresignedtag": "true",
            },
            ("source.git.fullurl", "source.git.signatureverify"),
        ),
        (
            pyllb.git("https://host/n", signature=pyllb.git_signature(KEY, ignore_signed_tag=True)),
            "git://host/n",
            {**GIT, "git.sig.pubkey": KEY, "git.sig.ignoresignedtag": "true"},
            ("source.git.fullurl", "source.git.signatureverify"),
        ),
        (pyllb.oci_layout(f"a/b@{SHA}"), f"oci-layout://a/b@{SHA}", {}, ()),
        (
            pyllb.oci_layout("A/b:Tag", store="s", session="x", layer_limit=1),
            "oci-layout://A/b:Tag",
            {"oci.session": "x", "oci.store": "s", "oci.layerlimit": "1"},
            (),
        ),
        (
            pyllb.image_blob(f"a@{SHA}", filename="f", mode="644", owner="1:2"),
            f"docker-image+blob://docker.io/library/a@{SHA}",
            {"http.filename": "f", "http.perm": "0644", "http.uid": "1", "http.gid": "2"},
            (),
        ),
        (
            pyllb.oci_layout_blob(f"layouts/blob@{SHA}", session="sid", store="store0"),
            f"oci-layout+blob://docker.io/layouts/blob@{SHA}",
            {"oci.session": "sid", "oci.store": "store0"},
            (),
        ),
        (
            pyllb.oci_layout_blob(f"h.io/a@{SHA}", store="s", session="x", mode=0, owner=0),
            f"oci-layout+blob://h.io/a@{SHA}",
            {"oci.session": "x", "oci.store": "s"},
            (),
        ),
        (pyllb.http("https://a/b"), "https://a/b", {}, ()),
        (
            pyllb.http(
                "http://a/b?c#d",
                checksum=SHA,
                filename="f",
                mode="644",
                owner="1:2",
                auth_secret="s",
                accept="x/y",
                user_agent="me",
                pgp_key=KEY,
                pgp_signature=SIGNATURE,
            ),
            "http://a/b?c#d",
            {
                "http.checksum": SHA,
                "http.filename": "f",
                "http.perm": "0644",
                "http.uid": "1",
                "http.gid": "2",
                "http.authheadersecret": "s",
                "http.header.accept": "x/y",
                "http.header.user-agent": "me",
                "http.sig.pubkey": KEY,
                "http.sig.signature": SIGNATURE,
            },
            (
                "source.http.checksum",
                "source.http.perm",
                "soruce.http.uidgid",
                "source.http.auth",
                "source.http.header",
                "source.http.signatureverify",
            ),
        ),
        (pyllb.http("https://a/b", owner=0), "https://a/b", {}, ()),
        (pyllb.git("host/n"), "git://host/n", GIT, ("source.git.fullurl",)),
        (
            pyllb.git("https://host/n#main:sub", keep_git_dir=True, submodules=False, checksum=COMMIT, mtime="commit"),
            "git://host/n#main:sub",
            {
                **GIT,
                "git.keepgitdir": "true",
                "git.checksum": COMMIT,
                "git.skipsubmodules": "true",
                "git.mtime": "commit",
            },
            (
                "source.git.keepgitdir",
                "source.git.fullurl",
                "source.git.checksum",
                "source.git.skipsubmodules",
                "source.git.mtime",
            ),
        ),
        (
            pyllb.git("https://host/n", ref="v1", subdir="d", auth_token_secret="t", auth_header_secret=""),
            "git://host/n#v1:d",
            {"git.fullurl": "https://host/n", "git.authtokensecret": "t"},
            ("source.git.fullurl", "source.git.httpauth"),
        ),
        (pyllb.git("git@host:n"), "git://host/n", GIT_SSH, ("source.git.fullurl", *SSH_CAPS)),
        (
            pyllb.git("git@host:n", known_hosts=["host ssh-rsa A\n", "host ssh-rsa B"], ssh_id="k"),
            "git://host/n",
            {**GIT_SSH, "git.knownsshhosts": "host ssh-rsa A\nhost ssh-rsa B\n", "git.mountsshsock": "k"},
            ("source.git.fullurl", *SSH_CAPS),
        ),
        (
            pyllb.git(
                "host/n", checksum=COMMIT, fetch_by_commit=True, bundle=f"docker-image+blob://x@{SHA}", subdir=None
            ),
            "git://host/n",
            {
                **GIT,
                "git.checksum": COMMIT,
                "git.fetchbycommit": "true",
                "git.bundle": f"docker-image+blob://x@{SHA}",
            },
            ("source.git.fullurl", "source.git.checksum", "source.git.fetchbycommit", "source.git.bundle"),
        ),
        (
            pyllb.git("host/n", checkout_bundle=True),
            "git://host/n",
            {**GIT, "git.checkoutbundle": "true"},
            ("source.git.fullurl", "source.git.checkoutbundle"),
        ),
    ],
)
def test_a_source_has_the_attributes_and_caps_of_go(
    state: FS, identifier: str, attributes: dict[str, str], caps: tuple[str, ...]
) -> None:
    op = _op(state)
    scheme = op.identifier.partition("://")[0]
    general = "source." + GENERAL.get(scheme, scheme)

    assert op.identifier == identifier
    assert dict(op.attributes) == attributes
    assert set(op.caps) == {general, *caps}


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (("0123456789abcdef" * 3)[:40], True),
        ("0123456789abcdef" * 4, True),
        *((("0123456789abcdef" * 5)[:length], False) for length in (6, 7, 39, 41, 63, 65)),
        *(("!" * 40, False), ("z" * 64, False), ("A" * 40, False), ("main", False)),
    ],
)
def test_only_a_whole_commit_is_fetched_by_itself(text: str, whole: bool) -> None:
    """As gitutil.IsCommitSHA has it, of a checksum or of a ref."""
    options: list[dict[str, Any]] = [{"ref": text}]
    if re.fullmatch("[0-9a-f]{7,64}", text):
        options.append({"checksum": text})
    for option in options:
        if whole:
            assert dict(_op(pyllb.git("host/n", fetch_by_commit=True, **option)).attributes)["git.fetchbycommit"]
        else:
            with pytest.raises(OptionError, match="without a whole commit"):
                pyllb.git("host/n", fetch_by_commit=True, **option)


GIT_CASES = [
    ({"ref": "ref"}, "#ref", {}),
    ({"url": "github.com/foo/bar.git#ref:subdir"}, "#ref:subdir", {}),
    ({"ref": "ref", "subdir": "subdir"}, "#ref:subdir", {}),
    ({"url": "github.com/foo/bar.git#:dir", "ref": "v1.0"}, "#v1.0:dir", {}),
    ({"ref": "v1.0", "subdir": "dir"}, "#v1.0:dir", {}),
    ({"ref": "ref", "advice": True}, "#ref", {"git.advice": "true"}),
    ({"ref": "ref", "advice": False}, "#ref", {}),
    (
        {"checksum": "1" * 40, "bundle": f"docker-image+blob://example.com/repo@{SHA}"},
        "",
        {"git.checksum": "1" * 40, "git.bundle": f"docker-image+blob://example.com/repo@{SHA}"},
    ),
    (
        {
            "checksum": "1" * 40,
            "bundle": f"oci-layout+blob://notreal/repo@{SHA}",
            "bundle_session": "sess1",
            "bundle_store": "store1",
        },
        "",
        {
            "git.checksum": "1" * 40,
            "git.bundle": f"oci-layout+blob://notreal/repo@{SHA}",
            "oci.session": "sess1",
            "oci.store": "store1",
        },
    ),
    ({"checkout_bundle": True}, "", {"git.checkoutbundle": "true"}),
]


@pytest.mark.parametrize(("options", "fragment", "attributes"), GIT_CASES)
def test_a_git_source_is_the_one_that_gos_own_tests_have(
    options: dict[str, Any], fragment: str, attributes: dict[str, str]
) -> None:
    op = _op(pyllb.git(**{"url": "github.com/foo/bar.git", **options}))
    assert op.identifier == "git://github.com/foo/bar.git" + fragment
    assert dict(op.attributes) == {"git.fullurl": "https://github.com/foo/bar.git", **AUTH, **attributes}


def test_a_local_directory_is_relative_to_the_file_that_names_it() -> None:
    assert _op(pyllb.local("src")).local == LocalDir("src", __file__)
    assert _op(pyllb.local(Path("a") / "b")).local == LocalDir("a/b", __file__)
    assert _op(pyllb.local("/abs")).local == LocalDir("/abs", "")


def test_a_local_directory_of_no_file_is_relative_to_the_current_one() -> None:
    names = {"pyllb": pyllb}
    exec(compile("state = pyllb.local('src')", "<string>", "exec"), names)

    assert _op(names["state"]).local == LocalDir("src", "")  # type: ignore[arg-type]  # exec puts states in


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *((".", "context"), ("./", "context"), ("..", "parent"), ("../..", "parent"), ("/", "root"), ("a/b/", "b")),
        *(("../c", "c"), ("é ü", "---"), (".hidden", "hidden"), ("x/.", "x")),
    ],
)
def test_a_local_source_is_named_by_its_last_part(path: str, name: str) -> None:
    assert _op(pyllb.local(path)).identifier == "local://" + name


def test_the_name_of_a_local_source_can_be_given() -> None:
    assert _op(pyllb.local(".", name="src")).identifier == "local://src"


def test_the_state_set_before_a_source_stays_and_its_platform_is_the_sources() -> None:
    state = pyllb.fs().env(A="1").dir("/w").user("u").platform("arm64").label("l", "v").image("a")

    assert state.meta.env == (("A", "1"),)
    assert (state.meta.settings.dirs, state.meta.settings.user) == (("/w",), "u")
    assert state.spec.labels == (("l", "v"),)
    assert _op(state).constraints.platform == Platform("linux", "arm64")
    assert state.meta.settings.image is _op(state)


def test_a_source_with_a_platform_hands_it_on() -> None:
    state = pyllb.git("host/n", platform="linux/arm/v6")

    assert state.meta.settings.platform == Platform("linux", "arm", "v6")
    assert pyllb.git("host/n").meta.settings.platform is None


def test_an_image_keeps_its_platform_under_the_one_of_its_config() -> None:
    state = pyllb.fs().platform("linux/arm64").image("a")

    assert state.meta.settings.platform is None
    assert _op(state).constraints.platform == Platform("linux", "arm64")


def test_only_an_image_lies_under_the_state() -> None:
    assert pyllb.git("host/n").meta.settings.image is None
    assert pyllb.local(".").meta.settings.image is None


def test_a_local_source_of_another_session_has_no_directory_here() -> None:
    assert _op(pyllb.local("a", session="s")).local is None


def test_a_signature_shows_no_key() -> None:
    assert KEY not in repr(pyllb.git_signature(KEY))


@pytest.mark.parametrize(
    "url",
    [
        *("http://h", "https://h:/x", "https://h:65535/x", "https://[::1]:80/x", "https://[fe80::1%25eth0]/x"),
        *(
            "http://user:p%40ss@h/x",
            "http://h/x?q=100%",
            "http://h/%2F#a%20b",
            "http://h/a|b<>^`{}",
            "http://exämple/ü",
            "http://h/My File\u3000.zip?x=\u3000#a b",
        ),
    ],
)
def test_a_url_that_go_can_parse_is_taken_as_it_is(url: str) -> None:
    output = pyllb.http(url).output
    assert output is not None
    assert isinstance(output.vertex, SourceOp)
    assert output.vertex.identifier == url


@pytest.mark.parametrize(
    "ref", ["main", "v1.2", "refs/pull/1/head", "a/b-c_d", "feature/ü", "@x", "a" * 40, "x.locked"]
)
def test_a_ref_that_git_can_have_is_taken_as_it_is(ref: str) -> None:
    output = pyllb.git("host/n", ref=ref).output
    assert output is not None
    assert isinstance(output.vertex, SourceOp)
    assert output.vertex.identifier == f"git://host/n#{ref}"


@pytest.mark.parametrize(
    "key",
    [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA me",
        "sk-ssh-ed25519@openssh.com AAAAGnNr",
        "# of the release\n  ecdsa-sha2-nistp256\tAAAAE2Vj\n",
        "alice@example.com ssh-rsa AAAAB3Nz",
        'namespaces="git, file" ssh-rsa AAAAB3Nz',
    ],
)
def test_an_ssh_key_is_taken_as_go_reads_it_from_authorized_keys_and_allowed_signers(key: str) -> None:
    assert pyllb.git_signature(key).key == key


@pytest.mark.parametrize("ref", ["layouts/x:1", "host:5000/a/b:1", f"[::1]:5000/x:1@{SHA}", f"docker.io/a@{SHA}"])
def test_an_image_of_a_layout_has_any_name_that_the_daemon_can_read(ref: str) -> None:
    output = pyllb.oci_layout(ref).output
    assert output is not None
    assert isinstance(output.vertex, SourceOp)
    assert output.vertex.identifier == f"oci-layout://{ref}"


@pytest.mark.parametrize("subdir", ["a", "My Files/x", "-a", "/a/"])
def test_a_subdir_that_git_can_have_is_taken_as_it_is(subdir: str) -> None:
    output = pyllb.git("host/n", ref="main", subdir=subdir).output
    assert output is not None
    assert isinstance(output.vertex, SourceOp)
    assert output.vertex.identifier == f"git://host/n#main:{subdir}"
