"""Programs of the oracle, built by pyllb's DSL."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pyllb
from pyllb.ir.constraints import ProgressGroup
from pyllb.ir.files import Chain, FileAction
from pyllb.ir.image import ResolvedImage
from pyllb.ir.mounts import Mount
from pyllb.ir.platform import parse_platform
from pyllb.ir.reference import parse_reference
from pyllb.marshal.lower import Lowered, ResolveImage, lower
from pyllb.marshal.sourcemap import ReadText, no_text
from tests.oracle import Program

Fields = dict[str, Any]

_CONSTRAINTS = ("platform", "filters", "name", "description", "ignore_cache", "export_cache")
_SOURCES = ("image", "local", "git", "http", "oci_layout", "image_blob", "oci_layout_blob")
_STATE = ("dir", "user", "hostname", "network", "security", "cgroup_parent", "platform")


def marshal(program: Program, read_text: ReadText = no_text) -> Lowered:
    """Build a program and lower it, answering for images what the program says."""
    return _lower(build(program, read_text), program, read_text)


def _lower(node: pyllb.FS, program: Program, read_text: ReadText) -> Lowered:
    resolve: Mapping[str, Any] | None = program.get("resolve")  # type: ignore[assignment]  # a program is JSON, and has what it should
    lowering = lower(
        node,
        platform=parse_platform(str(program["platform"])),
        local_unique_id=str(program["unique"]),
        resolve=resolve is not None,
        read_text=read_text,
        constraints=pyllb.constraints(**_constraints(dict(program.get("every", {})))),  # type: ignore[arg-type]  # options of any kind, by name
        sets_default_path=program.get("sets_default_path"),  # type: ignore[arg-type]  # a program is JSON, and has what it should
    )
    try:
        requests = next(lowering)
        known = {str(parse_reference(ref)): _config(answer) for ref, answer in (resolve or {}).items()}
        lowering.send({request: _resolved(request, known) for request in requests})
    except StopIteration as done:
        lowered: Lowered = done.value
        return lowered
    raise AssertionError("lower asked twice")


def _config(answer: Fields) -> bytes:
    config = {**answer["config"], "config": {**answer["config"].get("config", {})}}
    if answer.get("user"):
        config["config"]["User"] = answer["user"]
    return json.dumps(config).encode()


def _resolved(request: ResolveImage, known: Mapping[str, bytes]) -> ResolvedImage:
    if request.layout is not None:  # Go reads no config of a layout's image, and takes its tag as it is
        return ResolvedImage(request.ref, "", b"{}")
    return ResolvedImage(request.ref, "sha256:" + "0" * 64, known[request.ref])


class Made(list[pyllb.FS]):
    """The nodes made so far, and the chains that have a key."""

    def __init__(self) -> None:
        super().__init__()
        self.chains: dict[str, Chain] = {}


def build(program: Program, read_text: ReadText = no_text) -> pyllb.FS:
    """The filesystem that a program describes."""
    made = Made()
    nodes: list[Fields] = program["nodes"]  # type: ignore[assignment]  # a program is JSON, and has what it should
    for node in nodes:
        fields = dict(node)
        op = fields.pop("op")
        read = op == "definition"
        made.append(_definition(fields, made, program, read_text) if read else _node(op, fields, made))
    result = program.get("result")
    return made[result if isinstance(result, int) else -1]


def _definition(fields: Fields, made: Made, program: Program, read_text: ReadText) -> pyllb.FS:
    """A node marshalled, or a definition that somebody else marshalled, as a filesystem."""
    if fields.get("on") is not None:
        data = _lower(made[fields["on"]], program, read_text).definition.to_bytes()
    else:
        data = base64.b64decode(fields.get("data", ""))
    return pyllb.definition(pyllb.Definition.from_bytes(data))


def _node(op: str, fields: Fields, made: Made) -> pyllb.FS:
    on = fields.pop("on", None)
    base = pyllb.fs() if on is None else made[on]
    if op in _SOURCES:
        return _source(op, fields)
    if op in _STATE:
        changed: pyllb.FS = getattr(base, op)(fields["value"])
        return changed
    match op:
        case "scratch":
            return pyllb.fs()
        case "reset":
            return base.reset(made[fields["states"][0]])
        case "build":
            return base.solve_definition(fields.pop("filename", None), **_constraints(fields))
        case "env":
            return base.env(**{fields["key"]: fields.get("value", "")})
        case "ulimit":
            return base.ulimit(fields["key"], fields["soft"], fields["hard"])
        case "extra_host":
            return base.extra_host(fields["key"], fields["value"])
        case "run":
            return _run(base, fields, made)
        case "mount":
            return base.mount(fields["target"])
        case "file":
            return base.file(*_actions(fields.pop("actions"), made), **_constraints(fields))
        case "merge":
            return pyllb.merge(*[made[i] for i in fields.pop("states")], **_constraints(fields))
        case "diff":
            sides = [
                pyllb.fs() if i is None else made[i] for i in (fields.pop("lower", None), fields.pop("upper", None))
            ]
            return pyllb.diff(*sides, **_constraints(fields))
        case "requires":
            return base.requires(*[made[i] for i in fields.pop("states")], id=fields.pop("key"), **_constraints(fields))
        case "passthrough":
            inputs = [made[i] for i in fields.pop("states")]
            outputs, index = fields.pop("outputs"), fields.pop("index", 0)
            return pyllb.passthrough(*inputs, id=fields.pop("key"), outputs=outputs, **_constraints(fields))[index]
    raise AssertionError(f"no op {op!r}")


def _constraints(fields: Fields) -> Fields:
    """The options of constraints among fields, as the DSL takes them; nothing else may be left."""
    taken = {name: fields.pop(name) for name in _CONSTRAINTS if name in fields}
    if "group" in fields:
        group = fields.pop("group")
        taken["group"] = ProgressGroup(group["id"], group["name"], group.get("weak", False))
    if "resources" in fields:
        taken["resources"] = pyllb.resources(**fields.pop("resources"))
    assert not fields, fields
    return taken


def _source(op: str, fields: Fields) -> pyllb.FS:
    options = {name: fields.pop(name) for name in list(fields) if name not in (*_CONSTRAINTS, "group", "resources")}
    constraints = _constraints(fields)
    if op == "image":
        return pyllb.image(options.pop("ref"), **options, **constraints)
    if op == "oci_layout":
        return pyllb.oci_layout(options.pop("ref"), **options, **constraints)
    if op == "local":
        name = options.pop("source")
        if "name" in constraints:
            constraints["custom_name"] = constraints.pop("name")
        if options.pop("differ_alone", False):
            options["differ_required"] = False
        return pyllb.local(".", name=name, **options, **constraints)
    if op == "git":
        if options.pop("no_submodules", False):
            options["submodules"] = False
        return pyllb.git(options.pop("url"), **options, **constraints)
    if "owner" in options:
        options["owner"] = ":".join(map(str, options["owner"]))
    if op == "image_blob":
        return pyllb.image_blob(options.pop("ref"), **options, **constraints)
    if op == "oci_layout_blob":
        return pyllb.oci_layout_blob(options.pop("ref"), **options, **constraints)
    if "pgp" in options:
        options["pgp_key"], options["pgp_signature"] = options.pop("pgp")
    return pyllb.http(options.pop("url"), **options, **constraints)


def _run(base: pyllb.FS, fields: Fields, made: Made) -> pyllb.FS:
    command = fields.pop("command", None) or fields.pop("args")
    options: Fields = {"mounts": [_mount(mount, made) for mount in fields.pop("mounts", ())]}
    for name in ("env", "extra_hosts"):
        if name in fields:
            options[name] = dict(fields.pop(name))
    if "ulimits" in fields:
        options["ulimits"] = {limit["name"]: (limit["soft"], limit["hard"]) for limit in fields.pop("ulimits")}
    if "proxy" in fields:
        options["proxy"] = pyllb.proxy(**fields.pop("proxy"))
    if "devices" in fields:
        options["devices"] = [(device["name"], device.get("optional", False)) for device in fields.pop("devices")]
    for name in ("dir", "user", "hostname", "network", "security", "cgroup_parent", "ok_codes", "readonly_root"):
        if name in fields:
            options[name] = fields.pop(name)
    return base.run(command, **options, **_constraints(fields))


def _mount(mount: Fields, made: Made) -> Mount:
    fields = dict(mount)
    kind, source = fields.pop("type"), fields.pop("source", None)
    filesystem = None if source is None else made[source]
    if kind == "bind":
        return pyllb.bind(filesystem or pyllb.fs(), fields.pop("target"), **fields)
    if kind == "cache":
        env = dict(fields.pop("set_env", ()))
        target, id = fields.pop("target"), fields.pop("id")
        placed = {"id": id} if id.startswith("/") else {"target": target}
        return pyllb.cache(target if "id" in placed else id, **placed, source=filesystem, env=env, **fields)
    if kind == "tmpfs":
        return pyllb.tmpfs(fields.pop("target"), **fields)
    return pyllb.secret(fields.pop("id"), **fields) if kind == "secret" else pyllb.ssh(fields.pop("id"), **fields)


def _actions(actions: list[Fields], made: Made) -> list[FileAction]:
    return [_action(dict(action), made) for action in actions]


def _action(fields: Fields, made: Made) -> FileAction:
    kind = fields.pop("kind")
    if "ids" in fields:
        fields["owner"] = ":".join(map(str, fields.pop("ids")))
    if kind == "mkdir":
        return pyllb.mkdir(fields.pop("path"), **fields)
    if kind == "mkfile":
        return pyllb.mkfile(fields.pop("path"), base64.b64decode(fields.pop("data")), **fields)
    if kind == "symlink":
        return pyllb.symlink(fields.pop("oldpath"), fields.pop("newpath"), **fields)
    if kind == "rm":
        return pyllb.rm(fields.pop("path"), allow_wildcard=fields.pop("wildcard", False), **fields)
    if "mode_str" in fields:
        fields["mode"] = fields.pop("mode_str")
    source = _from(fields.pop("from"), made)
    return pyllb.copy(source, fields.pop("src"), fields.pop("dest"), **fields)


def _from(source: Fields, made: Made) -> pyllb.FS | Chain:
    base = pyllb.fs() if source.get("on") is None else made[source["on"]]
    key = source.get("key", "")
    if key in made.chains:
        return made.chains[key]
    if not source.get("actions"):
        return base
    chain = pyllb.chain(base, *_actions(source["actions"], made))
    if key:
        made.chains[key] = chain
    return chain
