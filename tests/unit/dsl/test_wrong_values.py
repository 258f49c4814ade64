"""Every mistake is raised where the value is given, by a message that names the value and what would be right."""

from __future__ import annotations

import datetime
import pathlib
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import pyllb
from pyllb._pb import ops_pb2
from pyllb.dsl.fs import FS
from pyllb.errors import DefinitionError, GraphError, MountError, OptionError, RefError
from pyllb.ir.platform import Platform
from pyllb.marshal.check import digest_of
from pyllb.marshal.definition import Definition

PACKAGE = str(pathlib.Path(pyllb.__file__).parent)
SHA = "sha256:" + "a" * 64
IMAGE = pyllb.image("alpine")
LOCAL = pyllb.local(".")
RAN = IMAGE.run(
    "make",
    mounts=[
        pyllb.bind(LOCAL, "/src"),
        pyllb.bind(pyllb.fs(), "/gone", no_output=True),
        pyllb.cache("go-build"),
        pyllb.tmpfs("/tmp"),
        pyllb.secret("token"),
        pyllb.ssh(target="/agent"),
    ],
)
any_: Any = pyllb  # wrong types are the point here

DATA = pyllb.dump(IMAGE.run("make"), source_map=False).to_bytes()
OTHER = "sha256:" + "b" * 64


def _reads(digest: str) -> bytes:
    """An op that reads one other."""
    return ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest)]).SerializeToString()


def _part(data: bytes, *kept: int) -> bytes:
    """A definition with some of its ops alone, in that order."""
    message = ops_pb2.Definition.FromString(data)
    ops = list(getattr(message, "def"))
    del getattr(message, "def")[:]
    getattr(message, "def").extend([ops[number] for number in kept])
    return message.SerializeToString()


Row = tuple[Callable[[], object], type[GraphError], tuple[str, ...]]

ROWS: dict[str, Row] = {
    # references and digests
    "an upper-case image name": (lambda: pyllb.image("Alpine:A"), RefError, ("'Alpine:A'", "write 'alpine:A'")),
    "an empty image name": (lambda: pyllb.image(""), RefError, ("empty",)),
    "an image with a scheme": (lambda: pyllb.image("docker://alpine"), RefError, ("'docker://'", "golang:1.25")),
    "an image with white space": (lambda: pyllb.image("alpine 3"), RefError, ("white space",)),
    "an image of 64 hex digits": (lambda: pyllb.image("a" * 64), RefError, ("64 hex digits", "NAME@sha256:")),
    "an image with a bad tag": (lambda: pyllb.image("alpine:-1"), RefError, ("'alpine:-1'",)),
    "an image with a short digest": (
        lambda: pyllb.image("alpine@sha256:" + "a" * 40),
        RefError,
        ("64 hex digits", "this has 40"),
    ),
    "an image with an unknown digest": (lambda: pyllb.image("alpine@md5:" + "a" * 32), RefError, ("md5", "sha256")),
    "an image that is None": (lambda: any_.image(None), RefError, ("None",)),
    "an image that is a filesystem": (lambda: any_.image(IMAGE), RefError, ("<FS docker-image://",)),
    "a git ref with a subdir": (lambda: pyllb.git("h/n", ref="v1:d"), OptionError, ("ref='v1', subdir='d'",)),
    "an annotation of nothing": (
        lambda: any_.image("a").annotate("a", "b", on="manifests"),
        OptionError,
        ("'manifests'", "did you mean 'manifest'?"),
    ),
    "an annotation with white space": (lambda: IMAGE.annotate("a b", "c"), OptionError, ("'a b'", "white space")),
    "a history entry of nothing": (lambda: IMAGE.history(""), OptionError, ("created_by is empty",)),
    "a time of creation that is None": (lambda: any_.image("a").created(None), OptionError, ("created is None",)),
    "a time of creation that is text": (lambda: any_.image("a").created("now"), OptionError, ("'now'", "datetime")),
    "a part that is cached by its content and can be written": (
        lambda: pyllb.bind(LOCAL, "/s", selector="a", content_cache="on"),
        OptionError,
        ("selector='a'", "readonly=True"),
    ),
    "a bundle of http": (
        lambda: pyllb.git("h/n", bundle="https://a/b", checksum="a" * 40),
        OptionError,
        ("'https://a/b'",),
    ),
    "a bundle's store and no layout": (
        lambda: pyllb.git("h/n", bundle=f"docker-image+blob://x@{SHA}", bundle_store="s", checksum="a" * 40),
        OptionError,
        ("'oci-layout+blob://...'",),
    ),
    "a bundle's session and no bundle": (
        lambda: pyllb.git("h/n", bundle_session="s"),
        OptionError,
        ("without bundle",),
    ),
    "a signature that is a key": (lambda: any_.git("h/n", signature="KEY"), OptionError, ("git_signature(key",)),
    "a signature that none can make": (
        lambda: pyllb.git_signature("k", require_signed_tag=True, ignore_signed_tag=True),
        OptionError,
        ("no signature counts",),
    ),
    "a session and an id": (lambda: pyllb.local("a", session="s", unique_id="u"), OptionError, ("unique_id",)),
    "a differ that is none": (lambda: pyllb.local("a", differ_required=False), OptionError, ("without differ",)),
    "an OCI layout without a digest": (lambda: pyllb.oci_layout("a/b"), RefError, ("'a/b'", "layouts/NAME@sha256:")),
    "an OCI layout of one part": (lambda: pyllb.oci_layout(f"a@{SHA}"), RefError, ("layouts/NAME@sha256:",)),
    "an OCI layout with a bad digest": (lambda: pyllb.oci_layout("a/b@sha256:1"), RefError, ("64 hex digits",)),
    "a layer limit of 0": (lambda: pyllb.oci_layout("a/b:c", layer_limit=0), OptionError, ("at least 1",)),
    "a blob with a tag": (lambda: pyllb.image_blob(f"a:1@{SHA}"), RefError, ("without a tag",)),
    "a blob with a digest that is none": (
        lambda: pyllb.image_blob("team/app@sha256:invalid"),
        RefError,
        ("'team/app@sha256:invalid'",),
    ),
    "a blob without a digest": (lambda: pyllb.oci_layout_blob("a/b"), RefError, ("names no blob", "NAME@sha256:")),
    "an image blob without a digest": (lambda: pyllb.image_blob("team/app"), RefError, ("names no blob",)),
    "a blob's owner by name": (lambda: pyllb.image_blob(f"a@{SHA}", owner="app"), OptionError, ("write numbers",)),
    "a store that is empty": (lambda: pyllb.oci_layout("a/b:c", store=""), OptionError, ("store is empty",)),
    "a checksum without algorithm": (
        lambda: pyllb.http("https://a/b", checksum="a" * 64),
        RefError,
        ("is not a digest", "sha256:"),
    ),
    "a checksum in upper case": (lambda: pyllb.image("a", checksum="sha256:" + "A" * 64), RefError, ("0-9 and a-f",)),
    "an unknown resolve mode": (
        lambda: any_.image("a", resolve_mode="pul"),
        OptionError,
        ("'pul'", "did you mean 'pull'?"),
    ),
    "a layer limit of none": (lambda: pyllb.image("a", layer_limit=0), OptionError, ("layer_limit is 0", "at least 1")),
    "a platform that is none": (lambda: pyllb.image("a", platform="linux/"), OptionError, ("'linux/'", "linux/arm64")),
    "a platform of nothing known": (lambda: IMAGE.platform("toaster"), OptionError, ("'toaster'",)),
    "a platform that is None": (lambda: any_.fs().platform(None), OptionError, ("platform is None",)),
    "a platform without architecture": (
        lambda: pyllb.image("a", platform=Platform("linux", "")),
        OptionError,
        ("Platform(os='linux', architecture=''", "no architecture"),
    ),
    "a platform that is a tuple": (lambda: any_.image("a", platform=("linux", "amd64")), OptionError, ("(tuple)",)),
    "a source on content": (lambda: IMAGE.image("b"), OptionError, ("has content", "docker-image://", "fs()")),
    # git and http
    "a git URL that is none": (lambda: pyllb.git("not a url"), RefError, ("'not a url'", "git@github.com")),
    "a git URL with a strange scheme": (lambda: pyllb.git("ftp://a/b"), RefError, ("http, https, ssh, git",)),
    "a git URL without a path": (lambda: pyllb.git("https://github.com"), RefError, ("no path",)),
    "a git URL that is a directory": (lambda: pyllb.git("../here"), RefError, ("'../here'",)),
    "a git URL with a query": (lambda: pyllb.git("https://a/b?ref=c"), RefError, ("query", "ref=")),
    "two git refs": (lambda: pyllb.git("https://a/b#main", ref="dev"), OptionError, ("'dev'", "'main'")),
    "a git ref like an option": (
        lambda: pyllb.git("https://a/b", ref="--upload-pack=x"),
        OptionError,
        ("'--upload-pack=x'", "no branch or tag"),
    ),
    "a git checksum of words": (lambda: pyllb.git("https://a/b", checksum="v1"), RefError, ("'v1'", "hex digits")),
    "known hosts for https": (
        lambda: pyllb.git("https://a/b", known_hosts="a ssh-rsa x"),
        OptionError,
        ("for ssh", "https"),
    ),
    "fetch by commit without one": (
        lambda: pyllb.git("https://a/b", fetch_by_commit=True),
        OptionError,
        ("checksum=",),
    ),
    "a bundle without checksum": (
        lambda: pyllb.git("https://a/b", bundle=f"docker-image+blob://a/b@{SHA}"),
        OptionError,
        ("checksum",),
    ),
    "an unknown git time": (lambda: any_.git("https://a/b", mtime="comit"), OptionError, ("did you mean 'commit'?",)),
    "an http URL without scheme": (lambda: pyllb.http("example.com/x"), OptionError, ("'example.com/x'", "https://")),
    "an http URL without host": (lambda: pyllb.http("https:///x"), OptionError, ("'https:///x'",)),
    "a file name with directories": (
        lambda: pyllb.http("https://a/b", filename="x/y"),
        OptionError,
        ("without directories",),
    ),
    "an http owner by name": (lambda: pyllb.http("https://a/b", owner="app"), OptionError, ("'app'", "numbers")),
    "a header with a line break": (
        lambda: pyllb.http("https://a/b", accept="a\r\nb: c"),
        OptionError,
        ("line breaks",),
    ),
    "a key without signature": (lambda: pyllb.http("https://a/b", pgp_key="k"), OptionError, ("go together",)),
    # local
    "an absolute include": (lambda: pyllb.local(".", include=["/src"]), OptionError, ("'/src'", "'src'")),
    "an absolute exception": (lambda: pyllb.local(".", exclude=["*", "!/src"]), OptionError, ("'!/src'",)),
    "an include outside": (lambda: pyllb.local(".", include=["../x"]), OptionError, ("'..'",)),
    "an include that is one str": (lambda: pyllb.local(".", include="*.go"), OptionError, ("['*.go']",)),
    "an include that is empty": (lambda: pyllb.local(".", include=[""]), OptionError, ("empty",)),
    "a local path that is a URL": (lambda: pyllb.local("https://a/b"), OptionError, ("git(...) or http(...)",)),
    "a local path that is None": (lambda: any_.local(None), OptionError, ("None", "Path")),
    "a local name with a slash": (lambda: pyllb.local(".", name="a/b"), OptionError, ("'a/b'",)),
    "an unknown differ": (lambda: any_.local(".", differ="metdata"), OptionError, ("did you mean 'metadata'?",)),
    "metadata exceptions alone": (lambda: pyllb.local(".", metadata_except=["x"]), OptionError, ("metadata_only",)),
    # state
    "an environment name with =": (lambda: IMAGE.env(**{"A=B": "c"}), OptionError, ("'A=B'", "'='")),
    "an environment name of nothing": (lambda: IMAGE.env(**{"": "c"}), OptionError, ("empty",)),
    "an environment value of None": (lambda: any_.image("a").env(A=None), OptionError, ("'A' is None", "''")),
    "an environment value of a number": (lambda: any_.image("a").env(PORT=80), OptionError, ("80 (int)", "'80'")),
    "an environment value with NUL": (lambda: IMAGE.env(A="a\0b"), OptionError, ("NUL",)),
    "a directory of nothing": (lambda: IMAGE.dir(""), OptionError, ("dir is empty",)),
    "a user with two groups": (lambda: IMAGE.user("a:b:c"), OptionError, ("'a:b:c'", "user:group")),
    "a negative user": (lambda: IMAGE.user(-1), OptionError, ("-1", "at least 0")),
    "a host name with a slash": (lambda: IMAGE.hostname("a/b"), OptionError, ("'a/b'",)),
    "an unknown network": (lambda: any_.image("a").network("hosts"), OptionError, ("did you mean 'host'?", "'none'")),
    "an unknown security": (lambda: any_.image("a").security("unsafe"), OptionError, ("'unsafe'", "'insecure'")),
    "an unknown security of a run": (
        lambda: any_.image("a").run(["true"], security=2),
        OptionError,
        ("2 (int)", "'insecure'"),
    ),
    "an unknown ulimit": (lambda: IMAGE.ulimit("nofiles", 1), OptionError, ("did you mean 'nofile'?",)),
    "a ulimit upside down": (lambda: IMAGE.ulimit("nofile", 9, 3), OptionError, ("soft=9", "hard=3")),
    "an extra host without address": (lambda: IMAGE.extra_host("db", "db.local"), OptionError, ("'db.local'", "IPv4")),
    "an extra host in a zone": (lambda: IMAGE.extra_host("db", "fe80::1%eth0"), OptionError, ("'fe80::1%eth0'", "%")),
    "a shell in one word": (lambda: IMAGE.shell("/bin/bash -c"), OptionError, ("shell('/bin/bash', '-c')",)),
    # run
    "an empty command": (lambda: IMAGE.run(""), OptionError, ("command", "empty")),
    "a command of white space": (lambda: IMAGE.run("\n  \n"), OptionError, ("empty",)),
    "an argv of nothing": (lambda: IMAGE.run([]), OptionError, ("empty",)),
    "an argv with a number": (lambda: any_.image("a").run(["sleep", 1]), OptionError, ("argument 1", "'1'")),
    "a command that is None": (lambda: any_.image("a").run(None), OptionError, ("None",)),
    "a command that is a filesystem": (lambda: any_.image("a").run(IMAGE), OptionError, ("<FS docker-image",)),
    "no exit code": (lambda: IMAGE.run("a", ok_codes=[]), OptionError, ("ok_codes is empty",)),
    "an exit code of 33 bits": (lambda: IMAGE.run("a", ok_codes=[1 << 31]), OptionError, ("at most 2147483647",)),
    "a negative exit code": (lambda: IMAGE.run("a", ok_codes=[-1]), OptionError, ("-1", "at least 0")),
    "an exit code that is no list": (lambda: any_.image("a").run("a", ok_codes=1), OptionError, ("[0, 1]",)),
    "a read-only root with no result": (lambda: IMAGE.run("a", readonly_root=True), MountError, ("never run",)),
    "an env that is a list": (lambda: any_.image("a").run("a", env=["A=b"]), OptionError, ("mapping",)),
    "a shell that is a str": (lambda: IMAGE.run("a", shell="/bin/bash"), OptionError, ("'/bin/bash'", "list")),
    "a proxy that is a str": (lambda: any_.image("a").run("a", proxy="http://p"), OptionError, ("proxy(http=",)),
    "a device that is a str": (lambda: IMAGE.run("a", devices="gpu"), OptionError, ("['gpu']",)),
    "resources of a dict": (lambda: any_.image("a").run("a", resources={}), OptionError, ("resources(memory",)),
    "negative memory": (lambda: pyllb.resources(memory=-1), OptionError, ("memory is -1",)),
    "memory of words": (lambda: pyllb.resources(memory="lots"), OptionError, ("'lots'", "'64m'")),
    "a cpu list of words": (lambda: pyllb.resources(cpuset_cpus="all"), OptionError, ("'0-2,7'",)),
    "an empty name": (lambda: IMAGE.run("a", name=""), OptionError, ("name is empty",)),
    "an ignore_cache of 1": (lambda: any_.image("a").run("a", ignore_cache=1), OptionError, ("True or False",)),
    "a group of a number": (lambda: any_.image("a").run("a", group=1), OptionError, ("progress_group",)),
    # mounts
    "a relative bind": (lambda: pyllb.bind(LOCAL, "src"), MountError, ("'src'", "'/src'")),
    "a bind at the root": (lambda: pyllb.bind(LOCAL, "//"), MountError, ("root",)),
    "a bind of a path": (lambda: any_.bind("./src", "/src"), OptionError, ("'./src'", "local(path)")),
    "a bind the wrong way round": (lambda: any_.bind("/src", LOCAL), OptionError, ("write a filesystem",)),
    "a selector that leaves": (lambda: pyllb.bind(LOCAL, "/src", selector="../x"), OptionError, ("'../x'",)),
    "an unknown content cache": (
        lambda: any_.bind(LOCAL, "/s", content_cache="of"),
        OptionError,
        ("did you mean 'off'?",),
    ),
    "a cache of no content": (lambda: pyllb.cache("pip", content_cache="off"), OptionError, ("without source",)),
    "a relative cache": (lambda: pyllb.cache("root/.cache"), MountError, ("'root/.cache'", "'/root/.cache'")),
    "a relative cache target": (lambda: pyllb.cache("x", "y"), MountError, ("'y'", "'/y'")),
    "an unknown cache": (lambda: pyllb.cache("go-biuld"), OptionError, ("did you mean 'go-build'?", "target=")),
    "two cache ids": (lambda: pyllb.cache("a", id="b"), OptionError, ("'a'", "'b'", "target comes first")),
    "a cache's id and two targets": (lambda: pyllb.cache("/a", "/b", id="b"), OptionError, ("'/a'", "'b'")),
    "an empty cache id": (lambda: pyllb.cache("/a", id=""), OptionError, ("is empty",)),
    "two cache targets": (lambda: pyllb.cache("/a", "/b"), OptionError, ("'/a'", "'/b'")),
    "an unknown sharing": (
        lambda: any_.cache("pip", sharing="share"),
        OptionError,
        ("'share'", "did you mean 'shared'?", "'locked'"),
    ),
    "a selector without source": (lambda: pyllb.cache("pip", selector="x"), OptionError, ("without source",)),
    "a tmpfs with a source": (
        lambda: any_.tmpfs(LOCAL),
        OptionError,
        ("<FS local://context", "no source", "bind(fs, target, no_output=True)"),
    ),
    "a relative tmpfs": (lambda: pyllb.tmpfs("tmp"), MountError, ("'tmp'",)),
    "a negative size": (lambda: pyllb.tmpfs("/tmp", size=-5), OptionError, ("-5",)),
    "a size of nothing": (lambda: pyllb.tmpfs("/tmp", size=0), OptionError, ("at least one byte",)),
    "a relative secret": (lambda: pyllb.secret("a", "b"), MountError, ("'b'",)),
    "a secret variable with =": (lambda: pyllb.secret("a", env="A=b"), OptionError, ("'A=b'",)),
    "a secret without id": (lambda: pyllb.secret(""), OptionError, ("id of a secret",)),
    "a mode beyond": (lambda: pyllb.secret("a", mode=0o1000), OptionError, ("mode",)),
    "one target twice": (
        lambda: IMAGE.run("a", mounts=[pyllb.bind(LOCAL, "/x"), pyllb.cache("/x/")]),
        MountError,
        ("'/x/'", "bind mount", "cache mount"),
    ),
    "a lone mount": (lambda: any_.image("a").run("a", mounts=pyllb.cache("pip")), OptionError, ("mounts=[...]",)),
    "a filesystem as mount": (lambda: any_.image("a").run("a", mounts=[LOCAL]), OptionError, ("bind(fs, target)",)),
    "a list in mounts": (lambda: any_.image("a").run("a", mounts=[[pyllb.cache("pip")]]), OptionError, ("*",)),
    "the result of a cache": (lambda: RAN.mount("/root/.cache/go-build"), MountError, ("outlives the build",)),
    "the result of a tmpfs": (lambda: RAN.mount("/tmp"), MountError, ("bind(fs(), ...)",)),
    "the result of a secret": (lambda: RAN.mount("/run/secrets/token"), MountError, ("secret",)),
    "the result of an ssh socket": (lambda: RAN.mount("/agent"), MountError, ("ssh",)),
    "the result of no output": (lambda: RAN.mount("/gone"), MountError, ("no_output=True",)),
    "the result of nothing": (lambda: RAN.mount("/scr"), MountError, ("did you mean '/src'?", "'/tmp'")),
    "the result of no run": (lambda: IMAGE.mount("/src"), MountError, ("not the result of run",)),
    "the result at a relative path": (lambda: RAN.mount("src"), MountError, ("'/src'",)),
    # files
    "a mode in decimal": (lambda: IMAGE.copy(LOCAL, "/a", "/b", mode=755), OptionError, ("0o755",)),
    "a mode of words": (lambda: IMAGE.copy(LOCAL, "/a", "/b", mode="rwx"), OptionError, ("'rwx'", "u+x")),
    "symbols for a new file": (lambda: IMAGE.mkfile("/a", "", mode="u+x"), OptionError, ("nothing is there",)),
    "a mode of 0o4755 for mkdir": (lambda: IMAGE.mkdir("/a", mode=0o4755), OptionError, ("0o4755", "chmod")),
    "an owner of two colons": (lambda: IMAGE.mkdir("/a", owner="a:b:c"), OptionError, ("'a:b:c'",)),
    "an owner without a group": (lambda: IMAGE.mkdir("/a", owner="a:"), OptionError, ("'a:'",)),
    "a negative owner": (lambda: IMAGE.mkdir("/a", owner="-5"), OptionError, ("-5", "at least 0")),
    "a negative group": (lambda: IMAGE.mkdir("/a", owner="app:-5"), OptionError, ("-5", "at least 0")),
    "an owner past all numbers": (lambda: IMAGE.mkdir("/a", owner=1 << 32), OptionError, ("at most 4294967295",)),
    "a path of nothing": (lambda: IMAGE.mkdir(""), OptionError, ("path of mkdir is empty",)),
    "data of None": (lambda: any_.image("a").mkfile("/a", None), OptionError, ("None", "bytes")),
    "a copy of a path": (lambda: any_.image("a").copy(".", "/a", "/b"), OptionError, ("local(path)",)),
    "a copy from nothing": (lambda: IMAGE.copy(pyllb.fs(), "/a", "/b"), OptionError, ("empty filesystem",)),
    "an empty wildcard alone": (
        lambda: IMAGE.copy(LOCAL, "/a", "/b", allow_empty_wildcard=True),
        OptionError,
        ("wildcard=True",),
    ),
    "a relative new link": (lambda: IMAGE.symlink("a", "b"), OptionError, ("'b'", "'/b'")),
    "a time without zone": (
        lambda: IMAGE.mkdir("/a", created=datetime.datetime(2020, 1, 1)),
        OptionError,
        ("zone", "UTC"),
    ),
    "a time of words": (lambda: any_.image("a").mkdir("/a", created="now"), OptionError, ("'now'",)),
    "no actions": (lambda: IMAGE.file(), OptionError, ("no actions",)),
    "a method among actions": (lambda: any_.image("a").file(IMAGE.mkdir("/a")), OptionError, ("functions of pyllb",)),
    # graph
    "a merge of a list": (lambda: any_.merge([IMAGE, LOCAL]), OptionError, ("write *",)),
    "a diff of a str": (lambda: any_.diff(IMAGE, "b"), OptionError, ("'b'",)),
    "a function that returns nothing": (lambda: any_.image("a").with_(lambda f: None), OptionError, ("to with_",)),
    "no function": (lambda: any_.image("a").with_(IMAGE), OptionError, ("write a function",)),
    # image config
    "an entrypoint in one word": (lambda: IMAGE.entrypoint("/app -v"), OptionError, ("entrypoint('/app', '-v')",)),
    "an entrypoint of nothing": (lambda: IMAGE.entrypoint(), OptionError, ("entrypoint is empty",)),
    "a label of a number": (lambda: any_.image("a").label("a", 1), OptionError, ("label 'a'", "'1'")),
    "port 0": (lambda: IMAGE.expose(0), OptionError, ("0", "65535")),
    "a port of words": (lambda: IMAGE.expose("http"), OptionError, ("'http'", "'53/udp'")),
    "a port of an unknown protocol": (lambda: IMAGE.expose("80/http"), OptionError, ("'80/http'",)),
    "a relative volume": (lambda: IMAGE.volume("data"), OptionError, ("'/data'",)),
    "a signal in small letters": (lambda: IMAGE.stop_signal("term"), OptionError, ("'SIGTERM'",)),
    "a duration of words": (lambda: IMAGE.healthcheck("true", interval="soon"), OptionError, ("'soon'", "'30s'")),
    "a negative duration": (lambda: IMAGE.healthcheck("true", timeout=-1), OptionError, ("negative",)),
    "an empty healthcheck": (lambda: IMAGE.healthcheck([]), OptionError, ("empty",)),
    # dump
    "a resolver that is none": (lambda: any_.dump(IMAGE, resolver=5), OptionError, ("resolver is 5 (int)", "callable")),
    "constraints of a dict": (
        lambda: any_.dump(IMAGE, constraints={"name": "n"}),
        OptionError,
        ("constraints is {'name': 'n'} (dict)", "constraints(name="),
    ),
    "a local id of a number": (lambda: any_.dump(LOCAL, local_unique_id=5), OptionError, ("local_unique_id is 5",)),
    "a platform of a number": (lambda: any_.dump(IMAGE, platform=5), OptionError, ("5", "linux/arm64")),
    "a dump of a function": (lambda: any_.dump(pyllb.fs), OptionError, ("call it first",)),
    # definitions
    "LLB that is cut short": (lambda: Definition.from_bytes(DATA[:-9]), DefinitionError, ("truncated",)),
    "LLB with a wrong byte": (lambda: Definition.from_bytes(b"\xff" + DATA[1:]), DefinitionError, ("no LLB at all",)),
    "LLB that is a Dockerfile": (lambda: Definition.from_bytes(b"FROM alpine\n"), DefinitionError, ("no LLB at all",)),
    "LLB that is text": (lambda: any_.Definition.from_bytes("FROM alpine"), DefinitionError, ("write its bytes",)),
    "LLB of one op": (lambda: Definition.from_bytes(_part(DATA, 0)), DefinitionError, ("of one op",)),
    "LLB without its result": (lambda: Definition.from_bytes(_part(DATA, 0, 1)), DefinitionError, ("last op",)),
    "LLB without an op that is read": (
        lambda: Definition.from_bytes(_part(DATA, 1, 2)),
        DefinitionError,
        ("not in the definition",),
    ),
    "a cycle made by hand": (
        lambda: pyllb.definition(Definition(((SHA, _reads(OTHER)), (OTHER, _reads(SHA)), ("end", _reads(SHA))), {})),
        DefinitionError,
        (SHA, "reads itself through others"),
    ),
    "an op under another's digest": (
        lambda: Definition(((SHA, _reads(OTHER)), (OTHER, _reads(SHA)), ("end", _reads(SHA))), {}).check(),
        DefinitionError,
        (SHA, "not what its digest says"),
    ),
    "a definition of None": (lambda: any_.definition(None), OptionError, ("None", "Definition.from_bytes(data)")),
    "a definition of bytes": (lambda: any_.definition(DATA), OptionError, ("bytes", "Definition.from_bytes(...)")),
    "a definition of a filesystem": (lambda: pyllb.definition(IMAGE), OptionError, ("<FS docker-image://",)),
    "a digest that is in no definition": (
        lambda: Definition.from_bytes(DATA).vertex(SHA),
        DefinitionError,
        (repr(SHA), "its result is sha256:"),
    ),
    # what the daemon, or what it starts, would refuse or take for nothing
    "a class that is not closed": (
        lambda: pyllb.local(".", include=["[a"]),
        OptionError,
        ("'[a'", "never closed", "\\["),
    ),
    "a class among exceptions": (lambda: pyllb.local(".", exclude=["*", "!a[]"]), OptionError, ("'!a[]'", "escaped")),
    "an exclusion of nothing": (
        lambda: pyllb.local(".", exclude=["a", " ! "]),
        OptionError,
        ("' ! '", "follows the !"),
    ),
    "a backslash at the end": (
        lambda: pyllb.local(".", follow=["a\\"]),
        OptionError,
        ("follow", "'a\\\\'", "backslash"),
    ),
    "a class upside down": (lambda: pyllb.local(".", include=["[b-a]"]), OptionError, ("'[b-a]'", "b-a")),
    "a metadata exception that is none": (
        lambda: pyllb.local(".", metadata_only=True, metadata_except=["[a"]),
        OptionError,
        ("metadata_except", "'[a'"),
    ),
    "a pattern of the directory itself": (lambda: pyllb.local(".", include=["./"]), OptionError, ("'./'", "'**'")),
    "a blank pattern": (lambda: pyllb.local(".", include=["a", " "]), OptionError, ("' '", "no path matches")),
    "an absolute include behind a space": (lambda: pyllb.local(".", include=[" /a"]), OptionError, ("' /a'", "'a'")),
    "a copy's pattern that is none": (lambda: IMAGE.copy(LOCAL, "/", "/", include=["[a"]), OptionError, ("'[a'",)),
    "a copy's absolute pattern": (lambda: IMAGE.copy(LOCAL, "/", "/", exclude=["/a"]), OptionError, ("'/a'", "'a'")),
    "a copy's wildcard that is none": (
        lambda: IMAGE.copy(LOCAL, "/[a", "/b", wildcard=True),
        OptionError,
        ("src of copy", "'/[a'", "never closed"),
    ),
    "a removal's wildcard that is none": (
        lambda: IMAGE.rm("/a[", allow_wildcard=True),
        OptionError,
        ("path of rm", "'/a['", "never closed"),
    ),
    "a relative path that is required": (
        lambda: IMAGE.copy(LOCAL, "/", "/", include=["a"], required=["a"]),
        OptionError,
        ("'a'", "'/a'"),
    ),
    "a git ref with steps": (lambda: pyllb.git("h/n", ref="HEAD~1"), OptionError, ("'HEAD~1'", "'main'")),
    "a git ref of a range": (lambda: pyllb.git("h/n", ref="a..b"), OptionError, ("'a..b'", "no branch or tag")),
    "a git ref of all": (lambda: pyllb.git("h/n", ref="*"), OptionError, ("'*'",)),
    "a git URL's ref with steps": (lambda: pyllb.git("h/n#HEAD^"), RefError, ("'h/n#HEAD^'", "'HEAD^'")),
    "a git URL's ref like an option": (lambda: pyllb.git("h/n#-x"), RefError, ("'-x'",)),
    "a git subdir outside": (lambda: pyllb.git("h/n", subdir="../x"), OptionError, ("'../x'", "'..'")),
    "a git subdir with a line break": (lambda: pyllb.git("h/n", subdir="x\n"), OptionError, ("'x\\n'", "line breaks")),
    "a git ref with a space": (lambda: pyllb.git("h/n", ref="a b"), OptionError, ("'a b'", "no branch or tag")),
    "two git commits": (
        lambda: pyllb.git("h/n", ref="a" * 40, checksum="b" * 40),
        RefError,
        ("'bbbbb", "'aaaaa", "leave one"),
    ),
    "a signature's key that is a path": (
        lambda: pyllb.git_signature("keys/release.asc"),
        OptionError,
        ("'keys/release.asc'", "-----BEGIN PGP", "ssh-ed25519"),
    ),
    "a PGP key that is a path": (
        lambda: pyllb.http("https://a/b", pgp_key="a.asc", pgp_signature="a.sig"),
        OptionError,
        ("'a.asc'", "-----BEGIN PGP"),
    ),
    "two digests of an image": (
        lambda: pyllb.image(f"a@{SHA}", checksum=OTHER),
        RefError,
        (OTHER, SHA, "leave one of them out"),
    ),
    "a file's checksum that is no sha256": (
        lambda: pyllb.http("https://a/b", checksum="sha512:" + "a" * 128),
        RefError,
        ("sha512:", "takes the sha256"),
    ),
    "an http URL in capitals": (lambda: pyllb.http("HTTPS://a/b"), OptionError, ("'HTTPS://a/b'", "'https://host")),
    "an http URL with a bad port": (lambda: pyllb.http("https://a:b/c"), OptionError, ("'https://a:b/c'",)),
    "an http URL with a port too high": (lambda: pyllb.http("https://a:65536/c"), OptionError, ("a:65536",)),
    "an http URL with a bad escape": (lambda: pyllb.http("https://a/%zz"), OptionError, ("%zz",)),
    "an http URL with a space behind it": (lambda: pyllb.http("https://a/b "), OptionError, ("'https://a/b '",)),
    "an http URL with a space in its host": (lambda: pyllb.http("https://a b/c"), OptionError, ("'https://a b/c'",)),
    "an http URL with a space in its query": (lambda: pyllb.http("https://a/?b c"), OptionError, ("b c", "%20")),
    "an http URL with half an address": (lambda: pyllb.http("https://[::1/c"), OptionError, ("'https://[::1/c'",)),
    "a header with a control character": (
        lambda: pyllb.http("https://a/b", user_agent="a\x01"),
        OptionError,
        ("control characters",),
    ),
    "a user beyond": (lambda: IMAGE.user(1 << 31), OptionError, ("2147483648", "at most 2147483647")),
    "a group beyond": (lambda: IMAGE.user("app:3000000000"), OptionError, ("3000000000", "at most")),
    "a user of many digits": (lambda: IMAGE.user("9" * 5000), OptionError, ("at most",)),
    "a secret of nobody": (lambda: pyllb.secret("a", uid=(1 << 32) - 1), OptionError, ("4294967295", "at most")),
    "a host that is a comment": (lambda: IMAGE.extra_host("#db", "1.2.3.4"), OptionError, ("'#db'", "'#'")),
    "memory and swap below memory": (
        lambda: pyllb.resources(memory="2g", memory_swap="1g"),
        OptionError,
        ("'1g'", "'2g'", "both together"),
    ),
    "swap without memory": (lambda: pyllb.resources(memory_swap="1g"), OptionError, ("'1g'", "at least memory")),
    "a share of 1": (lambda: pyllb.resources(cpu_shares=1), OptionError, ("cpu_shares is 1", "at least 2", "0 for")),
    "a period too short": (lambda: pyllb.resources(cpu_period=999), OptionError, ("cpu_period is 999", "1000")),
    "a period too long": (lambda: pyllb.resources(cpu_period=1_000_001), OptionError, ("at most 1000000",)),
    "a quota too small": (lambda: pyllb.resources(cpu_quota=50), OptionError, ("cpu_quota is 50", "1000")),
    "a cpu list upside down": (lambda: pyllb.resources(cpuset_cpus="3-1"), OptionError, ("'3-1'", "'0-2,7'")),
    "a cpu list in other digits": (lambda: pyllb.resources(cpuset_mems="\uff11"), OptionError, ("cpuset_mems",)),
    "a mount over /proc": (lambda: pyllb.tmpfs("/proc/"), MountError, ("'/proc/'", "elsewhere")),
    "a mount where an ssh socket goes": (
        lambda: IMAGE.run("a", mounts=[pyllb.ssh(target="/run/buildkit/ssh_agent.1"), pyllb.ssh("b")]),
        MountError,
        ("'/run/buildkit/ssh_agent.1'", "without a target"),
    ),
    "a platform of numbers": (
        lambda: any_.image("a", platform=any_.Platform(1, 2)),
        OptionError,
        ("os=1", "'linux/arm64'"),
    ),
    "a platform with a space": (lambda: IMAGE.platform(Platform("linux", "a b")), OptionError, ("'a b'",)),
    "a feature that is no list": (
        lambda: IMAGE.platform(any_.Platform("linux", "arm", os_features="x")),
        OptionError,
        ("os_features='x'",),
    ),
    "a differ that is required by a word": (
        lambda: any_.local(".", differ_required="no"),
        OptionError,
        ("differ_required is 'no'", "True or False"),
    ),
    "exit codes in bytes": (lambda: any_.image("a").run("a", ok_codes=b"01"), OptionError, ("b'01'", "[0, 1]")),
    "exit codes in a set": (lambda: any_.image("a").run("a", ok_codes={0, 1}), OptionError, ("no order", "[0, 1]")),
    "devices that are empty text": (lambda: IMAGE.run("a", devices=""), OptionError, ("devices is ''",)),
    "outputs in a mapping": (
        lambda: any_.passthrough(IMAGE, id="a", outputs={0: 1}),
        OptionError,
        ("outputs is {0: 1}", "[0] say"),
    ),
    "a resolver that answers nothing": (
        lambda: any_.dump(IMAGE.run("a"), resolver=lambda wanted: None),
        OptionError,
        ("resolver returned None", "mapping"),
    ),
    "a source map of text": (lambda: any_.dump(IMAGE, source_map="no"), OptionError, ("source_map is 'no'", "True")),
    "a default path of text": (
        lambda: any_.dump(IMAGE, sets_default_path="/bin"),
        OptionError,
        ("sets_default_path is '/bin'", "True, False or None"),
    ),
    "a difference to bytes": (lambda: any_.dump(IMAGE).diff(DATA), DefinitionError, ("diff is given b", "dump(fs)")),
    "a digest that is a list": (lambda: any_.dump(IMAGE).vertex([SHA]), DefinitionError, ("no op [", "its result")),
    "an unknown architecture": (
        lambda: pyllb.image("a", platform="linux/amd46"),
        OptionError,
        ("'linux/amd46'", "no architecture 'amd46'", "did you mean 'amd64'?", "Platform('linux', 'amd46')"),
    ),
    "an unknown operating system": (
        lambda: IMAGE.run("a", platform="linus/arm64"),
        OptionError,
        ("'linus'", "did you mean 'linux'?"),
    ),
    "a platform the wrong way round": (lambda: IMAGE.platform("arm64/linux"), OptionError, ("'linux/arm64'", "first")),
    "a dump for an unknown platform": (lambda: pyllb.dump(IMAGE, platform="linux/x64"), OptionError, ("'x64'", "new")),
    "an OCI layout with a word for a port": (lambda: pyllb.oci_layout(f"a:b/c@{SHA}"), RefError, ("'a:b/c@",)),
    "an OCI layout with a bad escape": (lambda: pyllb.oci_layout("a/%zz:1"), RefError, ("'a/%zz:1'", "layouts/")),
    # what a stranger types
    "an image that is scratch": (lambda: pyllb.image("scratch"), RefError, ("'scratch'", "fs()")),
    "text that is no Unicode": (lambda: IMAGE.run(["echo", "\udcff"]), OptionError, ("'\\udcff'", "not Unicode")),
    "a variable that is no Unicode": (lambda: IMAGE.env(A="\udcff"), OptionError, ("env 'A'", "not Unicode")),
    "a label that is no Unicode": (lambda: IMAGE.label("a", "\udcff"), OptionError, ("label 'a'", "not Unicode")),
    "a PATH to be expanded": (
        lambda: IMAGE.env(PATH="/x:${PATH}"),
        OptionError,
        ("'/x:${PATH}'", "all its directories"),
    ),
    "a set of patterns": (lambda: pyllb.local(".", include={"a"}), OptionError, ("{'a'}", "no order")),
    "a mapping of patterns": (lambda: any_.local(".", include={"a": 1}), OptionError, ("{'a': 1}", "a list of str")),
    "patterns in bytes": (lambda: any_.local(".", include=b"ab"), OptionError, ("b'ab'", "a list of str")),
    "a set of mounts": (lambda: IMAGE.run("a", mounts={pyllb.secret("s")}), OptionError, ("no order", "list")),
    "devices that are a number": (lambda: any_.image("a").run("a", devices=5), OptionError, ("devices is 5",)),
    "devices in a mapping": (lambda: any_.image("a").run("a", devices={"a": True}), OptionError, ("{'a': True}",)),
    "two secrets in one variable": (
        lambda: IMAGE.run("a", mounts=[pyllb.secret("t", env="T"), pyllb.secret("u", env="T")]),
        MountError,
        ("two secrets", "'T'"),
    ),
    "a secret without a name": (lambda: pyllb.secret("a/.."), MountError, ("'a/..'", "target=")),
    "a secret's mode in decimal": (lambda: pyllb.secret("a", mode=600), OptionError, ("0o600",)),
    "a path that is a Path": (lambda: any_.mkdir(pathlib.PurePath("/x")), OptionError, ("write a str, '/x'",)),
    "a time that is no number": (lambda: pyllb.mkdir("/a", created=float("nan")), OptionError, ("created is nan",)),
    "a time without end": (lambda: pyllb.mkdir("/a", created=float("inf")), OptionError, ("created is inf",)),
    "a time beyond nanoseconds": (lambda: pyllb.mkdir("/a", created=1 << 40), OptionError, ("1099511627776",)),
    "a date beyond nanoseconds": (
        lambda: pyllb.mkdir("/a", created=datetime.datetime(2500, 1, 1, tzinfo=datetime.UTC)),
        OptionError,
        ("2262",),
    ),
    "an owner of many digits": (lambda: pyllb.mkdir("/a", owner="9" * 5000), OptionError, ("at most",)),
    "a size of many digits": (lambda: pyllb.tmpfs("/a", size="9" * 5000), OptionError, ("such as '64m'",)),
    "a size in other digits": (lambda: pyllb.tmpfs("/a", size="\uff19"), OptionError, ("such as '64m'",)),
    "a port of many digits": (lambda: IMAGE.expose("9" * 5000), OptionError, ("65535",)),
    "a port in other digits": (lambda: IMAGE.expose("\uff18\uff10"), OptionError, ("65535",)),
    "an unknown signal": (lambda: IMAGE.stop_signal("SIGFOO"), OptionError, ("'SIGFOO'", "'SIGTERM'")),
    "a signal's number as text": (lambda: IMAGE.stop_signal("9"), OptionError, ("'9'", "its number")),
    "a healthcheck of a number": (lambda: any_.image("a").healthcheck(5), OptionError, ("5 (int)", "list")),
    "a healthcheck of a set": (lambda: any_.image("a").healthcheck({"a"}), OptionError, ("{'a'}", "list")),
    "a healthcheck as compose has it": (lambda: IMAGE.healthcheck(["CMD", "x"]), OptionError, ("'CMD'", "alone")),
    "a healthcheck of NONE": (lambda: IMAGE.healthcheck(["NONE"]), OptionError, ("write None",)),
    "a duration below a millisecond": (lambda: IMAGE.healthcheck("x", interval="1us"), OptionError, ("'1us'", "1ms")),
    "a duration without end": (lambda: IMAGE.healthcheck("x", timeout="9" * 400 + "h"), OptionError, ("at most",)),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_wrong_value_is_refused_with_the_value_and_what_would_be_right(row: Row) -> None:
    call, kind, parts = row

    with pytest.raises(kind) as caught:
        call()

    message = str(caught.value)
    assert type(caught.value) is kind
    assert [part for part in parts if part not in message] == [], message
    assert "\n" not in message
    assert not message.endswith(".")
    # The user's line is where it is: in the row, of which pyllb's own frames alone lie deeper.
    theirs = [frame for frame in traceback.extract_tb(caught.tb) if not frame.filename.startswith(PACKAGE)]
    assert (theirs[-1].filename, theirs[-1].name) == (__file__, "<lambda>")


def test_there_are_many_wrong_values() -> None:
    assert len(ROWS) >= 60


def test_llb_that_is_not_known_here_is_kept_and_is_no_mistake() -> None:
    """An op of a later BuildKit, and a later field of an op that is known and of a definition."""
    later = _reads(OTHER).replace(OTHER.encode(), pyllb.dump(IMAGE).digest.encode()) + b"\xfa\x01\x03new"
    message = ops_pb2.Definition.FromString(DATA)
    first = getattr(message, "def")[0]
    last = _reads(digest_of(later))
    del getattr(message, "def")[1:]
    getattr(message, "def").extend([later, last])
    data = message.SerializeToString() + b"\xba\x3e\x03abc"
    read = Definition.from_bytes(data)
    read.check()
    assert read.to_bytes() == data
    again = pyllb.dump(pyllb.definition(read))
    assert [op for _, op in again.ops] == [first, later, last]


def test_the_traceback_of_a_mistake_ends_below_the_users_line() -> None:
    try:
        IMAGE.run("make", mounts=[pyllb.tmpfs("tmp")])
    except MountError as error:
        mine = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == __file__]
        assert mine[-1].line == 'IMAGE.run("make", mounts=[pyllb.tmpfs("tmp")])'


def test_a_filesystem_is_still_usable_after_a_mistake() -> None:
    with pytest.raises(OptionError):
        IMAGE.run("")

    assert isinstance(IMAGE.run("true"), FS)
