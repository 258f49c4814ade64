"""Aspects: an op in the words of the person who wrote it, by label, so that two can be compared.

Made from the fields that are set, whichever they are: an option of a later BuildKit is told by its name or number.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, cast

import attrs

from pyllb.ir.constraints import CUSTOM_NAME
from pyllb.marshal.check import EMPTY
from pyllb.marshal.tree import scalar
from pyllb.marshal.vertex import Input
from pyllb.value import Value

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

    from pyllb._pb import ops_pb2

Aspects = dict[str, "str | Input | Inputs | Aspects"]
"""Label to what it says; what has parts says them by label in turn."""

SCRATCH = "scratch"
_AS_IS = -1  # a mode or time that is not set anew
_MANY = 4000  # characters of a file's content that are compared as text

# How a field is called where its own name is not a word that a user has for it. "" leaves the level out.
_WORDS = {
    "exec": "",
    "meta": "",
    "source": "",
    "file": "",
    "merge": "",
    "diff": "",
    "passthrough": "",
    "build": "",
    "constraints": "",
    "args": "command",
    "cgroupParent": "cgroup parent",
    "removeMountStubsRecursive": "remove mount stubs",
    "validExitCodes": "exit codes",
    "proxy_env": "proxy",
    "extraHosts": "host",
    "cdiDevices": "device",
    "secretenv": "secret variable",
    "mounts": "mount",
    "mountType": "type",
    "contentCache": "content cache",
    "TmpfsOpt": "",
    "cacheOpt": "",
    "secretOpt": "",
    "SSHOpt": "",
    "ID": "id",
    "attrs": "attribute",
    "filter": "worker filter",
    "followSymlink": "follow symlink",
    "dirCopyContents": "contents only",
    "attemptUnpackDockerCompatibility": "unpack",
    "createDestPath": "create destination",
    "allowWildcard": "wildcard",
    "allowEmptyWildcard": "empty wildcard",
    "alwaysReplaceExistingDestPaths": "replace existing",
    "modeStr": "mode",
    "include_patterns": "include",
    "exclude_patterns": "exclude",
    "required_paths": "required paths",
    "makeParents": "make parents",
    "allowNotFound": "allow not found",
    "oldpath": "old path",
    "newpath": "new path",
    "ignore_cache": "ignore cache",
    "export_cache": "export cache",
    "caps": "capability",
    "progress_group": "progress group",
    "linux_resources": "resources",
}
# The field by which the members of a list are told apart.
_KEYS = {
    "pb.Mount": "dest",
    "pb.HostIP": "Host",
    "pb.Ulimit": "Name",
    "pb.SecretEnv": "name",
    "pb.CDIDevice": "name",
}
# What a field that is not set means, where that is a word; of labels that are not names of the user's.
_UNSET = {
    "sharing": "shared",
    "network": "sandbox",
    "security": "sandbox",
    "content cache": "default",
    "result": "kept",
    **dict.fromkeys(("readonly", "optional", "remove mount stubs", "ignore cache", "weak"), "false"),
    **dict.fromkeys(("follow symlink", "contents only", "unpack", "create destination", "wildcard"), "false"),
    **dict.fromkeys(("empty wildcard", "replace existing", "make parents", "allow not found"), "false"),
}
_FREE = ("env", "attribute", "description", "capability", "host", "ulimit")  # their labels are names of the user's
GROUPS = (*_FREE, "mount", "device", "secret variable", "proxy", "resources")
"""Labels under which any number of things are said: there are none where one is not there."""


@attrs.frozen(eq=False, repr=False)
class Inputs(Value):
    """Outputs of other ops that are read in an order."""

    items: tuple[Input, ...]


def aspects(op: ops_pb2.Op, metadata: ops_pb2.OpMetadata, by_position: bool) -> Aspects:
    """What an op and its metadata say.

    by_position: file actions are labelled by their number, which suits two ops with as many of the same kinds; else by
    what they make.
    """
    reader = _Reader([Input(read.digest, read.index) for read in op.inputs], by_position)
    return {**reader.op(op), **_metadata(metadata, reader)}


def unset(path: tuple[str, ...]) -> str | None:
    """What an op means that says nothing under these labels; None when it means nothing."""
    return None if path[0] in _FREE else _UNSET.get(path[-1])


def _metadata(metadata: ops_pb2.OpMetadata, reader: _Reader) -> Aspects:
    out = reader.fields(metadata)
    description = out.get("description")
    if isinstance(description, dict) and CUSTOM_NAME in description:
        out = {"name": description.pop(CUSTOM_NAME), **out}
    if metadata.HasField("export_cache"):
        out["export cache"] = "true" if metadata.export_cache.Value else "false"
    if metadata.caps:
        out["capability"] = {cap: "" if metadata.caps[cap] else "false" for cap in sorted(metadata.caps)}
    return out


@attrs.frozen(eq=False)
class _Reader:
    """Reads one op. inputs: what it reads, which its fields name by number."""

    inputs: list[Input]
    by_position: bool

    def op(self, op: ops_pb2.Op) -> Aspects:
        kind = op.WhichOneof("op")
        out: Aspects = {}
        if kind in ("merge", "passthrough", None):
            out["input"] = Inputs(tuple(self.inputs))
        if kind == "file":
            out |= self._actions(op.file.actions)
        elif kind == "diff":
            out |= {"lower": self._input(op.diff.lower.input), "upper": self._input(op.diff.upper.input)}
        elif kind == "build":
            out |= {f"input {name}": self._input(item.input) for name, item in sorted(op.build.inputs.items())}
        return out | self.fields(op, skip=_TOLD)

    def fields(self, message: Message, skip: frozenset[str] = frozenset()) -> Aspects:
        """The fields that are set, and what is not known here by number."""
        out: Aspects = {}
        for field, value in message.ListFields():
            if field.full_name in skip or (value == _AS_IS and field.name in ("mode", "timestamp")):
                continue
            label = _WORDS.get(field.name, field.name)
            told = self._field(field, value)
            if label:
                out[label] = told
            elif isinstance(told, dict):
                out |= told
        out |= unknown(message)
        return out

    def _field(self, field: FieldDescriptor, value: object) -> str | Input | Inputs | Aspects:
        special = _SPECIAL.get(field.full_name)
        if special is not None:
            return special(value)
        if isinstance(value, Mapping):
            return {key: self._item(field, value[key]) for key in sorted(value)}
        if isinstance(value, str | bytes | int) or hasattr(value, "ListFields"):
            return self._item(field, value)
        items = list(cast("Iterable[object]", value))
        if field.message_type is None:
            return ", ".join(scalar(field.name, item, field) for item in items)
        return self._keyed([cast("Message", item) for item in items])

    def _item(self, field: FieldDescriptor, value: object) -> str | Aspects:
        if hasattr(value, "ListFields"):
            return self.fields(cast("Message", value), skip=_TOLD)
        return words(field, value)

    def _keyed(self, items: list[Message]) -> Aspects:
        """The members of a list, by what tells them apart."""
        out: Aspects = {}
        for item in items:
            key = _KEYS.get(item.DESCRIPTOR.full_name, "")
            label = once(str(getattr(item, key)) if key else "", out)
            out[label] = told = self.fields(item, skip=_TOLD | {f"{item.DESCRIPTOR.full_name}.{key}"})
            if item.DESCRIPTOR.full_name == "pb.Mount":
                self._mount(told, cast("ops_pb2.Mount", item))
        return out

    def _mount(self, told: Aspects, mount: ops_pb2.Mount) -> None:
        told.setdefault("type", "bind")
        if mount.input != EMPTY:
            told["from"] = self._input(mount.input)
        if mount.output == EMPTY and told["type"] == "bind":
            told["result"] = "not kept"

    def _actions(self, actions: Iterable[ops_pb2.FileAction]) -> Aspects:
        out: Aspects = {}
        labels: list[str] = []
        for number, action in enumerate(actions, 1):
            kind = action.WhichOneof("action") or "action"
            label = f"{number} {kind}" if self.by_position else once(f"{kind} {_made(action)}".rstrip(), out)
            labels.append(label)
            told = _zeros(getattr(action, kind)) | self.fields(getattr(action, kind)) if kind != "action" else {}
            for name in ("user", "group"):
                self._owner(told, name, action, kind)
            out[label] = told | unknown(action)
        for label, action in zip(labels, actions, strict=True):
            told = cast("Aspects", out[label])
            told["onto"] = self._read(action.input, labels)
            if action.WhichOneof("action") == "copy":
                told["from"] = self._read(action.secondaryInput, labels)
            if action.output != EMPTY:
                told["output"] = str(action.output)
        return {f"action {label}": told for label, told in out.items()}

    def _owner(self, told: Aspects, name: str, action: ops_pb2.FileAction, kind: str) -> None:
        """A user or group, by id or by a name that is looked up in an input."""
        owner = getattr(getattr(action, kind, None), "owner", None)
        told.pop("owner", None)
        if owner is None or not owner.HasField(name):
            return
        user = getattr(owner, name)
        if user.WhichOneof("user") == "byName":
            told[name] = user.byName.name
            told[f"{name} looked up in"] = self._input(user.byName.input)
        else:
            told[name] = str(user.byID)

    def _read(self, number: int, labels: list[str]) -> str | Input:
        """What an action reads: an input, the result of another action, or nothing."""
        made = number - len(self.inputs)
        return f"action {labels[made]}" if 0 <= made < len(labels) else self._input(number)

    def _input(self, number: int) -> str | Input:
        if number == EMPTY:
            return SCRATCH
        return self.inputs[number] if 0 <= number < len(self.inputs) else f"input {number}, which is not there"


def _zeros(action: Message) -> Aspects:
    """What an action says with a 0, which protobuf does not count as set: the start of 1970, a mode without rights."""
    fields = action.DESCRIPTOR.fields_by_name
    return {
        name: words(cast("FieldDescriptor", fields[name]), 0)
        for name in ("mode", "timestamp")
        if getattr(action, name, None) == 0
    }


def _made(action: ops_pb2.FileAction) -> str:
    """The path that an action makes or removes."""
    match action.WhichOneof("action"):
        case "copy":
            return action.copy.dest
        case "symlink":
            return action.symlink.newpath
        case None:
            return ""
        case kind:
            return str(getattr(action, kind).path)


def numbering(op: ops_pb2.Op) -> str:
    """The numbers by which an op's fields name its inputs and outputs; what else says them, says which ops they are."""
    mounts = [f"{mount.input}>{mount.output}" for mount in op.exec.mounts]
    actions = [f"{action.input},{action.secondaryInput}>{action.output}" for action in op.file.actions]
    return f"{len(op.inputs)} input(s), " + " ".join([*mounts, *actions])


def once(label: str, taken: Mapping[str, object]) -> str:
    """The label, numbered from the second on."""
    found, number = label, 1
    while found in taken:
        number += 1
        found = f"{label} ({number})"
    return found


def words(field: FieldDescriptor, value: object) -> str:
    """A value as text, without quotes."""
    if isinstance(value, bytes):
        if len(value) <= _MANY:
            try:
                return value.decode()
            except UnicodeDecodeError:
                pass
        return f"{len(value):,} bytes with sha256:{hashlib.sha256(value).hexdigest()}"
    if isinstance(value, str):
        return value
    text = scalar(field.name, value, field)
    return text.lower() if field.enum_type is not None else text


def unknown(message: Message) -> Aspects:
    """What a later BuildKit wrote there."""
    from google.protobuf.unknown_fields import UnknownFieldSet

    found = UnknownFieldSet(message)
    return {f"field {found[i].field_number}": repr(found[i].data) for i in range(len(found))}


def _command(value: object) -> str:
    return shlex.join(cast("Iterable[str]", value))


def _environment(value: object) -> Aspects:
    out: Aspects = {}
    for variable in cast("Iterable[str]", value):
        name, _, content = variable.partition("=")
        out[once(name, out)] = content
    return out


def _platform(value: object) -> str:
    found = cast("ops_pb2.Platform", value)
    text = "/".join(filter(None, (found.OS, found.Architecture, found.Variant)))
    version = f", version {found.OSVersion}" if found.OSVersion else ""
    return text + version + (f", features {', '.join(found.OSFeatures)}" if found.OSFeatures else "")


_SPECIAL: Mapping[str, Callable[[object], str | Aspects]] = {
    "pb.Meta.args": _command,
    "pb.Meta.env": _environment,
    "pb.Op.platform": _platform,
}
# Told in a way of its own, with the op that a number means, or not at all.
_TOLD = frozenset(
    (
        "pb.Op.inputs",
        "pb.Mount.input",
        "pb.Mount.output",
        "pb.FileOp.actions",
        "pb.MergeOp.inputs",
        "pb.DiffOp.lower",
        "pb.DiffOp.upper",
        "pb.BuildOp.inputs",
        # It only says which ops of a definition belong together, and frontends draw a new one each time.
        "pb.ProgressGroup.id",
    )
)
