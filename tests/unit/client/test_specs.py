"""Specs: buildctl's strings, the short forms, and the typed values they become."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyllb
from pyllb.client.options import read_options
from pyllb.client.specs.allow import parse_allow
from pyllb.client.specs.cache import CacheSpec, parse_cache_from, parse_cache_to
from pyllb.client.specs.fields import parse_bool, parse_fields
from pyllb.client.specs.output import Export, check_annotations, check_place, parse_exports, target_of
from pyllb.client.specs.secret import parse_secrets
from pyllb.client.specs.ssh import parse_ssh
from pyllb.errors import NotThereYet, RefError, UsageError
from pyllb.session.filesend import FileTarget, LocalTarget
from pyllb.session.secrets import EnvSecret, FileSecret, ValueSecret
from pyllb.session.ssh import SshAgent

KEYS = st.text(st.characters(codec="ascii", categories=("Ll", "Nd")), min_size=1)
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")))


@given(st.dictionaries(KEYS, VALUES, min_size=1))
def test_fields_that_were_written_as_csv_are_read_back(pairs: dict[str, str]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(f"{key}={value}" for key, value in pairs.items())
    assert parse_fields("output", out.getvalue(), "x") == pairs


@pytest.mark.parametrize("text", ["", "a", "a=1,b", "=x", 'a="b', "a=1\nb=2", 'type=local,"dest=x'])
def test_fields_that_are_none_say_how_to_write_them(text: str) -> None:
    with pytest.raises(UsageError, match=r"output: .*write it as 'type=local'"):
        parse_fields("output", text, "'type=local'")


def test_keys_are_in_any_case_and_the_last_of_one_counts() -> None:
    assert parse_fields("output", "TYPE=local,Dest=A,dest=B", "x") == {"type": "local", "dest": "B"}


def test_truth_values_are_gos() -> None:
    assert [parse_bool("o", "k", value) for value in ("1", "t", "TRUE", "")] == [True] * 4
    assert [parse_bool("o", "k", value) for value in ("0", "F", "false")] == [False] * 3
    with pytest.raises(UsageError, match="k='yes' is not a truth value"):
        parse_bool("o", "k", "yes")


def test_outputs_are_strings_values_or_lists_of_them() -> None:
    local = Export("local", dest="out")
    assert parse_exports(None) == ()
    assert parse_exports("type=local,dest=out") == (local,)
    assert parse_exports(local) == (local,)
    tar = Export("tar", "a,b.tar", {"source-date-epoch": "1"})
    assert parse_exports(['type=tar,"dest=a,b.tar",source-date-epoch=1', local]) == (tar, local)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not key=value"),
        ("out,x", "not key=value"),
        ("local", r"'local' alone says too little.*'\./local'"),
        ("dest=out", "does not say its type"),
        ("type=locl,dest=out", r"'locl' is not an exporter.*did you mean 'local'"),
        ("type=local", "needs a directory"),
        ("type=local,dest=-", "standard output"),
        ("type=local,output=x", r"write dest=x"),
        ("type=local,dest=x,mode=move", "neither copy nor delete"),
        ("type=image,name=a,dest=x", "takes no dest"),
        ("type=image,push=true", "pushed by its name"),
        ("type=registry", "pushed by its name"),
        ("type=image,name=a,push=yes", "push='yes' is not a truth value"),
        ("type=image,name=a,pusch=true", "no attribute 'pusch'; did you mean 'push'"),
        ("type=image,name=a,push_by_digest=true", "did you mean 'push-by-digest'"),
        ("type=image,name=a,dangling-name-empty-only=true", "did you mean 'danging-name-empty-only'"),
    ],
)
def test_an_output_that_is_wrong_says_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_exports(text)


def test_what_a_daemon_may_know_besides_is_passed_on() -> None:
    attributes = {"name": "a", "annotation.name": "x", "annotation-index.y": "z", "frontend.key": "v", "new": "1"}
    assert Export("image", attributes=attributes).entry()[1] == attributes


def test_a_place_alone_is_read_as_buildx_reads_it() -> None:
    assert parse_exports("some dir/out") == (Export("local", dest="some dir/out"),)
    assert parse_exports(["./tar", "-"]) == (Export("local", dest="./tar"), Export("tar", dest="-"))
    with pytest.raises(UsageError, match="not written to a terminal"):
        parse_exports("-", terminal=True)


def test_an_output_that_is_to_come_says_so() -> None:
    with pytest.raises(NotThereYet):
        parse_exports("type=local,dest=x,mode=delete")


def test_an_oci_layout_is_a_directory_and_a_solve_makes_one(tmp_path: Path) -> None:
    (export,) = parse_exports(f"type=oci,tar=false,dest={tmp_path}/new/layout")
    assert export.is_layout
    assert target_of(export) is None
    check_place(export)
    assert not any(e.is_layout for e in parse_exports(["type=docker,tar=true,dest=x", "type=oci,dest=y", "type=tar"]))
    for text in ("type=oci,tar=false", "type=docker,tar=0,dest=-"):
        with pytest.raises(UsageError, match=r"with tar=false is a directory; write type=\w+,tar=false,dest=DIR"):
            parse_exports(text)
    with pytest.raises(UsageError, match="two OCI layouts, 'a' and 'b', and the daemon writes one in a solve"):
        parse_exports(["type=oci,tar=false,dest=a", "type=docker,tar=false,dest=b"])
    with pytest.raises(UsageError, match="tar='maybe' is not a truth value"):
        parse_exports("type=oci,tar=maybe,dest=x")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file' is a file"):
        check_place(Export("oci", tmp_path / "file", {"tar": "false"}))
    (tmp_path / "index.json").write_text("rubbish")
    with pytest.raises(UsageError, match=r"index\.json' is not an image index"):
        check_place(Export("oci", tmp_path, {"tar": "false"}))


def test_a_tar_without_a_place_goes_to_standard_output_but_not_to_a_terminal() -> None:
    assert parse_exports("type=tar")[0].dest == "-"
    with pytest.raises(UsageError, match="not written to a terminal"):
        parse_exports("type=tar", terminal=True)


def test_two_outputs_do_not_go_to_one_place() -> None:
    with pytest.raises(UsageError, match=r"two outputs go to '\./a'"):
        parse_exports(["type=tar,dest=a", "type=oci,dest=./a"])
    with pytest.raises(UsageError, match="two outputs go to '-'"):
        parse_exports(["type=tar", "type=oci"])


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("type=image,name=Registry/App:1,push=true", "name=Registry/App:1: "),
        ('type=image,"name=good:1, bad name"', "name=bad name: "),
        ("type=registry,name=app:{target}", "name=app:{target}: "),
        ("type=oci,name=:1,dest=x.tar", "name=:1: "),
    ],
)
def test_a_name_that_is_none_is_told_before_anything_is_built(output: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_options(output=output).check()
    assert caught.value.message.startswith(f"output: {said}")


def test_names_that_images_may_have() -> None:
    names = '"name=app, localhost:5000/a/b:1,docker.io/library/x:y"'
    read_options(output=[f"type=image,{names}", "type=docker,name=*,dest=x.tar", "type=local,dest=x,name=?"]).check()


def test_a_registry_output_is_an_image_that_is_pushed() -> None:
    assert parse_exports("type=registry,name=r/a:1")[0].entry() == ("image", {"name": "r/a:1", "push": "true"})


def test_annotations_go_with_images_and_the_users_own_counts_more() -> None:
    annotations = [("annotation.title", "from the build"), ("annotation.other", "x")]
    image = Export("image", attributes={"annotation.title": "from the user"})
    assert image.entry(annotations)[1] == {"annotation.title": "from the user", "annotation.other": "x"}
    assert Export("local", "out").entry(annotations)[1] == {}


@pytest.mark.parametrize("value", [{"type": "local", "dest": "out"}, io.BytesIO(b"out\n"), b"out"])
def test_what_is_no_list_is_not_taken_for_one(value: Any) -> None:
    with pytest.raises(UsageError, match=r"output: .* is neither a string nor a list of them"):
        parse_exports(value)


def test_targets_have_their_name_in_dest_and_name() -> None:
    made = Export("oci", "out/{target}.tar", {"name": "r/{target}:1"}).for_target("web")
    assert (made.dest, made.name) == ("out/web.tar", "r/web:1")
    assert Export("image").for_target("web") == Export("image")
    with pytest.raises(UsageError, match=r"overwrite each other at 'r/app:1'"):
        Export("image", attributes={"name": "r/app:1"}).for_target("web")


def test_a_place_is_absolute_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert target_of(Export("local", "a")) == LocalTarget(tmp_path / "a")
    assert target_of(Export("tar", "../b")) == FileTarget(tmp_path.parent / "b")
    assert target_of(Export("image")) is None


@pytest.mark.parametrize("compression", ["uncompressed", "gzip", "estargz", "zstd", "nydus"])
def test_a_compression_that_a_daemon_can_have_is_taken(compression: str) -> None:
    assert dict(Export("oci", "x", {"compression": compression}).attributes)["compression"] == compression


@pytest.mark.parametrize("make", [lambda wrong: Export("oci", "x", wrong), lambda wrong: CacheSpec("inline", wrong)])
@pytest.mark.parametrize("wrong", [None, 5, "ab", ["ab"], [("a", "b", "c")]])
def test_attributes_that_are_no_pairs_are_told(make: Any, wrong: object) -> None:
    with pytest.raises(UsageError, match=r"attributes: .* write {'name': 'registry/app'}, say"):
        make(wrong)


def test_a_dest_is_a_path() -> None:
    with pytest.raises(UsageError, match="output: dest=5 is no path"):
        Export("local", 5)  # type: ignore[arg-type]  # a wrong one


def test_a_long_cache_stays_as_it_is_but_for_its_mode() -> None:
    assert parse_cache_to("type=registry,ref=r/a,compression=zstd") == (
        CacheSpec("registry", {"mode": "min", "ref": "r/a", "compression": "zstd"}),
    )
    assert parse_cache_from("type=registry,ref=r/a") == (CacheSpec("registry", {"ref": "r/a"}),)


@pytest.mark.parametrize("ref", ["app", "r.io/a/b:cache", "localhost:5000/x@sha256:" + "0" * 64])
def test_a_bare_reference_is_a_registry_cache_of_every_step(ref: str) -> None:
    (to,) = parse_cache_to(ref)
    assert (to.type, dict(to.attributes)["ref"], dict(to.attributes)["mode"]) == ("registry", ref, "max")
    assert parse_cache_from([ref, ref])[0] == CacheSpec("registry", {"ref": ref})


@pytest.mark.parametrize(
    ("name", "image", "beside"),
    [
        ("r:5000/a/app:1", "r:5000/a/app:1", "r:5000/a/app:buildcache"),
        ("app", "app", "app:buildcache"),
        ("r/app:1,r/app:latest", "r/app:1", "r/app:buildcache"),
    ],
)
def test_the_words_inline_and_max_are_of_the_image_that_is_output(name: str, image: str, beside: str) -> None:
    exports = [Export("local", "x"), Export("image", attributes={"name": name})]
    assert parse_cache_to("inline", exports) == (CacheSpec("inline"),)
    assert dict(parse_cache_to("max", exports)[0].attributes)["ref"] == beside
    assert dict(parse_cache_from("inline", exports)[0].attributes) == {"ref": image}
    assert dict(parse_cache_from("max", exports)[0].attributes) == {"ref": beside}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max", "the image that is output; give it a name"),
        ("inline", "an inline cache stands in the image"),
        ("registry", "says too little"),
        ("min", "says too little"),
        ("Upper/Case", "not an image reference"),
        ("ref=r/a", "does not say its type"),
        ("type=registry", "needs ref="),
        ("type=registry,ref=r/a,mode=all", "neither min nor max"),
        ("type=registri,ref=a", "did you mean 'registry'"),
        ("type=registry,ref=a,ignore-errors=true", "no attribute 'ignore-errors'; did you mean 'ignore-error'"),
    ],
)
def test_a_cache_that_is_wrong_says_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_cache_to(text)


def test_caches_that_are_to_come_say_so() -> None:
    for kind in ("gha", "s3", "azblob"):
        with pytest.raises(NotThereYet, match=kind):
            parse_cache_to(f"type={kind},dest=x")


def test_a_local_cache_is_a_directory() -> None:
    (spec,) = parse_cache_to("type=local,dest=cache,tag=x,reset=true")
    assert spec == CacheSpec("local", {"mode": "min", "dest": "cache", "tag": "x", "reset": "true"})
    assert parse_cache_from("type=local,src=cache") == (CacheSpec("local", {"src": "cache"}),)
    with pytest.raises(UsageError, match=r"cache_to: .*write type=local,dest=DIRECTORY"):
        parse_cache_to("type=local,src=cache")
    with pytest.raises(UsageError, match=r"cache_from: .*write type=local,src=DIRECTORY"):
        parse_cache_from("type=local,dest=cache")
    with pytest.raises(UsageError, match="reset='maybe' is not a truth value"):
        parse_cache_to("type=local,dest=cache,reset=maybe")
    with pytest.raises(UsageError, match="'local' alone says too little"):
        parse_cache_to("local")


def test_an_inline_cache_cannot_be_read_by_its_type() -> None:
    with pytest.raises(UsageError, match="read from its image"):
        parse_cache_from("type=inline")


def test_secrets_are_files_variables_and_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET", "x")
    assert parse_secrets(
        ["id=a,src=f", "id=b,env=V", "type=env,id=c,src=V", "id=SET", "id=unset", "type=file,id=d,source=g"]
    ) == {
        "a": FileSecret(Path("f")),
        "b": EnvSecret("V"),
        "c": EnvSecret("V"),
        "SET": EnvSecret("SET"),
        "unset": FileSecret(Path("unset")),
        "d": FileSecret(Path("g")),
    }
    given = parse_secrets({"a": "text", "b": b"bytes", "c": Path("f"), "d": EnvSecret("V"), "e": lambda: "made"})
    assert given["a"] == ValueSecret(b"text")
    assert [given[name].read() for name in "abe"] == [b"text", b"bytes", b"made"]
    assert (given["c"], given["d"]) == (FileSecret(Path("f")), EnvSecret("V"))
    assert parse_secrets(None) == {}
    assert "text" not in repr(given["a"])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("src=f", "has no id"),
        ("id=a,sorce=f", "unexpected key 'sorce'.*did you mean 'source'"),
        ("id=a,src=f,env=V", "names a file and a variable"),
        ("id=a,type=vault", "neither file nor env"),
        (["id=a,src=f", "id=a,src=g"], "'a' is given twice"),
        ({"": b"x"}, "is not an id"),
        ({"a": 7}, "is given a int"),
        (7, "neither a string nor a list"),
    ],
)
def test_a_secret_that_is_wrong_says_what_would_be_right(value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_secrets(value)  # type: ignore[arg-type]  # the wrong value is the case


def test_agents_are_named_by_their_id() -> None:
    assert parse_ssh("default") == {"default": SshAgent()}
    assert parse_ssh(["default", "git=/run/agent"]) == {"default": SshAgent(), "git": SshAgent(Path("/run/agent"))}
    assert parse_ssh({"default": None, "git": "/run/agent"}) == parse_ssh(["default", "git=/run/agent"])
    with pytest.raises(NotThereYet, match="raw=true"):
        parse_ssh("git=/run/agent,raw=true")
    with pytest.raises(UsageError, match="given twice"):
        parse_ssh(["git", "git=/x"])


def test_entitlements_are_known_by_name() -> None:
    assert parse_allow(None) == ()
    assert parse_allow("network.host") == ("network.host",)
    assert parse_allow(["network.host", "security.insecure", "network.host"]) == ("network.host", "security.insecure")
    with pytest.raises(UsageError, match=r"'network\.hots' is not an entitlement.*did you mean 'network\.host'"):
        parse_allow("network.hots")
    with pytest.raises(NotThereYet, match="device"):
        parse_allow("device=vendor.com/gpu=all")


def test_a_path_may_be_any_path_like(tmp_path: Path) -> None:
    assert os.fspath(parse_exports(Export("local", tmp_path))[0].dest or "") == str(tmp_path)


def test_a_text_without_utf_8_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError, match="'token'") as caught:
        parse_secrets({"token": "s3cret\ud800"})
    assert "s3cret" not in repr(caught.value)
    assert caught.value.__context__ is None, "a UnicodeEncodeError holds the whole text"


@pytest.mark.parametrize(
    ("output", "annotated", "says"),
    [
        ("type=oci,dest=x", {"on": "index"}, "annotation-index.a.*type=oci.*one platform.*'manifest'"),
        ("type=oci,dest=x", {"on": "index-descriptor"}, "annotation-index-descriptor.a"),
        ("type=oci,dest=x,annotation-index.b=c", {}, "annotation-index.b"),
        ("type=image,name=n,annotation-index[linux/amd64].b=c", {}, "annotation-index"),
        ("type=image,name=n,oci-mediatypes=false", {"on": "manifest-descriptor"}, "oci-mediatypes=false"),
        ("type=docker,dest=x,annotation-manifest-descriptor.b=c", {}, "type=docker"),
    ],
)
def test_annotations_that_have_no_place_are_told_before_a_solve(
    output: str, annotated: dict[str, Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    node = pyllb.fs().mkdir("/a").annotate("a", "1", **annotated)
    with pytest.raises(UsageError, match=says):
        pyllb.solve(node, addr="unix:///nowhere", output=output)


@pytest.mark.parametrize(
    ("output", "place"),
    [
        ("type=oci,dest=x", "manifest"),
        ("type=oci,dest=x,oci-mediatypes=false", "manifest"),
        ("type=image,name=n", "manifest-descriptor"),
        ("type=local,dest=x", "index"),
        ("type=docker,dest=x", "index"),
    ],
)
def test_annotations_that_have_a_place_or_that_no_exporter_is_told_are_no_error(output: str, place: Any) -> None:
    node = pyllb.fs().annotate("a", "1", on=place)
    check_annotations(parse_exports(output), node.spec.annotations)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"progress": print}, r"progress: <built-in function print> has no update\(\); give a sink"),
        ({"timeout": "3"}, "timeout: '3' is no time; write seconds"),
        ({"timeout": float("nan")}, "timeout: nan is no time; write seconds"),
        ({"timeout": float("inf")}, "timeout: inf is no time; write seconds, or None for as long as it takes"),
        ({"local": "context=."}, "local: 'context=.' is not a mapping; write {'NAME': DIRECTORY}"),
        ({"local": {"context": 3}}, "local: 'context': 3 is not a name and its directory"),
        ({"no_cache": "false"}, "no_cache: 'false' is neither True nor False"),
        ({"output": "a\0b"}, r"output: dest='a\\x00b' has a NUL"),
        ({"output": "type=local,dest=\ud800"}, r"output: dest='\\ud800' is no path"),
        ({"output": "type=oci,dest=x,compression=zst"}, "compression='zst' is none of .*did you mean 'zstd'"),
        ({"output": "type=oci,dest=x,compression-level=high"}, "compression-level='high' is not a whole number"),
        ({"output": "type=oci,dest=x,source-date-epoch=now"}, "source-date-epoch='now' is not a whole number"),
        ({"output": "type=oci,dest=x,annotation.a=\udcff"}, r"annotation.a='\\udcff' has a character"),
        ({"cache_to": "type=registry,ref=Not/A"}, "ref=Not/A of a build cache: .* upper-case letters"),
        ({"cache_to": "type=local,dest=a\0"}, r"dest='a\\x00' has a character"),
        ({"cache_to": "type=local,dest=\ud800"}, r"dest='\\ud800' has a character"),
        ({"cache_from": "type=registry,ref=\udcff"}, r"ref='\\udcff' has a character"),
        ({"secrets": {"a": Path("\0")}}, r"secret 'a': '\\x00' cannot be read: embedded null"),
        ({"ssh": {"a": "\0"}}, r"'\\x00' cannot be used as an ssh agent: embedded null"),
    ],
)
def test_a_wrong_option_of_a_solve_is_told_before_a_daemon_is_asked(options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pyllb.Client("unix:///nowhere").solve(pyllb.fs().copy(pyllb.local("."), "/", "/"), **options)


def test_two_targets_of_one_name_are_told_before_a_daemon_is_asked() -> None:
    with pytest.raises(UsageError, match="solve: of the targets 1, '1' two have the name '1'"):
        pyllb.Client("unix:///nowhere").solve({1: pyllb.fs(), "1": pyllb.fs()})  # type: ignore[arg-type]  # a wrong one


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"addr": b"unix:///x"}, "b'unix:///x' is not a daemon's address; write a str"),
        ({"addr": Path("/x.sock")}, r"Path\('/x.sock'\) is not a daemon's address; write a str"),
        ({"addr": "tcp://x:1", "tls": "ca.pem"}, r"tls: 'ca.pem' is none; write Tls\(ca="),
        ({"docker_config": 5}, "docker_config: 5 is not a directory"),
    ],
)
def test_a_wrong_setting_of_a_client_is_told_when_it_is_made(options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pyllb.Client(**options)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda client: client.read_file(pyllb.image("a"), "/\udcff"), r"path: '/\\udcff' is none"),
        (lambda client: client.read_file(pyllb.image("a"), "/a", offset=None), "offset: None is no number of bytes"),
        (lambda client: client.read_file(pyllb.image("a"), "/a", length=1 << 70), "length: .* is no number of bytes"),
        (lambda client: client.read_file(pyllb.image("a"), "/a", length=True), "length: True is no number of bytes"),
        (lambda client: client.read_dir(pyllb.image("a"), "/", pattern=b"*"), r"pattern: b'\*' is none"),
        (lambda client: client.prune(filters=[b"id==x"]), "filters: b'id==x' is none"),
        (lambda client: client.disk_usage(filters=5), "filters: 5 is neither a string nor a list"),
    ],
)
def test_a_wrong_question_is_told_before_a_daemon_is_asked(ask: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ask(pyllb.Client("unix:///nowhere"))


def test_an_image_that_has_no_name_is_not_resolved() -> None:
    with pytest.raises(RefError, match=r"ref is <FS docker-image://.*; write the name of an image"):
        pyllb.Client("unix:///nowhere").resolve(pyllb.image("a"))  # type: ignore[arg-type]  # a wrong one
