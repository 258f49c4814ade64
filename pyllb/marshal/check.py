"""Check: what the daemon refuses of a definition, known before it is sent. Mirrors llbsolver's loading and
opsutils.Validate, and what the executors find of indices (BuildKit 0.33.1)."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from pyllb.errors import DefinitionError

if TYPE_CHECKING:
    from pyllb._pb import ops_pb2

EMPTY = -1  # the input of what has none, and the output of what is not kept
_BUILDER = -1  # pb.LLBBuilder, the only one there is
_BUILD_INPUT = "buildkit.llb.definition"

Ops = Mapping[str, "ops_pb2.Op"]
"""The ops of a definition by digest."""


def digest_of(data: bytes) -> str:
    """The digest of an op's bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def check_graph(last: str, ops: Ops) -> None:
    """Make sure that the ops are a graph with one result, told by the last. Raises DefinitionError, naming the digest.

    An op may come before one that it reads, as the daemon has it.
    """
    if not ops:
        return
    if len(ops) < 2:
        raise DefinitionError("a definition of one op; it has the op that returns the result, and at least one more")
    result = ops[last]
    if len(result.inputs) != 1 or result.WhichOneof("op") is not None:
        raise DefinitionError("the last op of a definition returns the result and has one input; this one does not")
    for digest, op in ops.items():
        for asked in op.inputs:
            if asked.digest not in ops:
                raise DefinitionError(f"op {digest} reads {asked.digest!r}, which is not in the definition")
            if asked.index < 0:
                raise DefinitionError(f"op {digest} reads output {asked.index} of {asked.digest}; outputs count from 0")


def check_locations(locations: Mapping[str, ops_pb2.Locations], files: int) -> None:
    """Make sure that every place of a source map is in one of its files. Raises DefinitionError."""
    for digest, found in locations.items():
        for place in found.locations:
            if not 0 <= place.sourceIndex < files:
                raise DefinitionError(
                    f"op {digest} was made in file {place.sourceIndex} of the source map, which has {files} file(s)"
                )


def check_digests(ops: Iterable[tuple[str, bytes]]) -> None:
    """Make sure that each op stands under its own digest. Raises DefinitionError.

    Then no op reads itself, however far around: a digest is made of those of the inputs.
    """
    for digest, data in ops:
        meant = digest_of(data)
        if digest != meant:
            raise DefinitionError(f"op {digest} is not what its digest says: that of its bytes is {meant}")


def check_op(digest: str, op: ops_pb2.Op) -> None:
    """Make sure that one op says what its kind needs, and reads inputs that it has. Raises DefinitionError.

    An op of a kind that is not known here is taken as it is.
    """
    kind = op.WhichOneof("op")
    if kind is None:
        return
    for wrong in _RULES[kind](op):
        raise DefinitionError(f"{kind} op {digest} {wrong}")


def _source(op: ops_pb2.Op) -> Iterator[str]:
    if op.inputs:
        yield f"has {len(op.inputs)} input(s); a source has none"
    if "://" not in op.source.identifier:
        yield f"has the identifier {op.source.identifier!r}; it would be SCHEME://..."


def _exec(op: ops_pb2.Op) -> Iterator[str]:
    if not op.exec.HasField("meta"):
        yield "has no meta"
    if not op.exec.meta.args:
        yield "has no arguments; the first is the program"
    if not op.exec.mounts:
        yield "has no mounts; one of them is the root, at '/'"
    if all(mount.dest != "/" for mount in op.exec.mounts):
        yield "has no root: no mount is at '/'"
    for mount in op.exec.mounts:
        yield from _mount(mount, len(op.inputs))
    for variable in op.exec.secretenv:
        if not variable.ID:
            yield f"has the variable {variable.name!r} of a secret without id"


def _mount(mount: ops_pb2.Mount, inputs: int) -> Iterator[str]:
    from pyllb._pb import ops_pb2

    kind = mount.mountType
    if not EMPTY <= mount.input < inputs:
        yield f"mounts input {mount.input} at {mount.dest!r}; {_has(inputs)}"
    if mount.dest == "/" and kind != ops_pb2.BIND:
        yield "has a root that is no filesystem"
    if mount.dest == "/" and mount.readonly and mount.input == mount.output == EMPTY:
        yield "has a read-only root of nothing; no command is in it"
    if mount.contentCache == ops_pb2.ON and kind in (ops_pb2.BIND, ops_pb2.CACHE) and _sneaks(mount):
        yield (
            f"caches {mount.dest!r} by the content of {mount.selector!r}, which can be written; "
            "what lies beside that part would be in the result and not in the key"
        )
    if kind == ops_pb2.CACHE and not mount.HasField("cacheOpt"):
        yield f"has a cache at {mount.dest!r} that says neither id nor sharing"
    if kind == ops_pb2.SECRET and not mount.secretOpt.ID:
        yield f"has a secret without id at {mount.dest!r}"
    if kind == ops_pb2.SSH and not mount.HasField("SSHOpt"):
        yield f"has an ssh agent at {mount.dest!r} that says nothing of it"


def _sneaks(mount: ops_pb2.Mount) -> bool:
    """Whether a part of an input is mounted and written to, so that the result holds what was not looked at."""
    part = posixpath.normpath(f"/{mount.selector}").strip("/")
    return bool(part) and EMPTY not in (mount.input, mount.output) and not mount.readonly


def _file(op: ops_pb2.Op) -> Iterator[str]:
    actions, inputs = op.file.actions, len(op.inputs)
    if not actions:
        yield "has no actions"
        return
    limit = inputs + len(actions)
    outputs = []
    for number, action in enumerate(actions):
        for asked in (action.input, action.secondaryInput):
            if not EMPTY <= asked < limit:
                yield f"has action {number}, which reads {asked}; {_has(inputs)} and {len(actions)} action(s)"
        for owner in _named_owners(action):
            if owner.input == EMPTY:
                yield f"has action {number} of the owner {owner.name!r}, on nothing that has names; write numbers"
            elif not 0 <= owner.input < inputs:
                yield f"has action {number}, whose owner {owner.name!r} is looked up in {owner.input}; {_has(inputs)}"
        if (at_root := _WHY_NOT_ROOT.get(action.WhichOneof("action") or "")) and _is_root(_made(action)):
            yield f"has action {number}, which {at_root}"
        if action.output != EMPTY:
            outputs.append(action.output)
    if not outputs:
        yield "keeps the result of none of its actions"
    if sorted(outputs) != list(range(len(outputs))):
        yield f"has the outputs {sorted(outputs)}; they are counted from 0, each once"
    looped = first_loop([_read(action, inputs) for action in actions])
    if looped is not None:
        yield f"has action {looped}, which reads its own result"


_WHY_NOT_ROOT = {
    "mkfile": "writes a file at '/', which is a directory; give its path",
    "symlink": "makes a link at '/', which is a directory; give its path",
    "rm": "removes '/'; '/*' with wildcards is all that is in it",
}


def _made(action: ops_pb2.FileAction) -> str:
    """The path that an action of one path is about."""
    return action.mkfile.path or action.symlink.newpath or action.rm.path


def _is_root(path: str) -> bool:
    return not posixpath.normpath(f"/{path}").strip("/")


def _named_owners(action: ops_pb2.FileAction) -> Iterator[ops_pb2.NamedUserOpt]:
    made = getattr(action, action.WhichOneof("action") or "rm")
    owner = getattr(made, "owner", None)
    for user in (owner.user, owner.group) if owner is not None else ():
        if user.WhichOneof("user") == "byName":
            yield user.byName


def _read(action: ops_pb2.FileAction, inputs: int) -> list[int]:
    """The other actions that an action reads, by their number."""
    return [asked - inputs for asked in (action.input, action.secondaryInput) if asked >= inputs]


def _build(op: ops_pb2.Op) -> Iterator[str]:
    if op.build.builder != _BUILDER:
        yield f"has builder {op.build.builder}; there is only {_BUILDER}, for LLB"
    if _BUILD_INPUT not in op.build.inputs:
        yield f"has no input {_BUILD_INPUT!r}"
    elif not 0 <= op.build.inputs[_BUILD_INPUT].input < len(op.inputs):
        yield f"reads input {op.build.inputs[_BUILD_INPUT].input}; {_has(len(op.inputs))}"


def _merge(op: ops_pb2.Op) -> Iterator[str]:
    if len(op.merge.inputs) != len(op.inputs):
        yield f"merges {len(op.merge.inputs)} filesystem(s); {_has(len(op.inputs))}"
    for merged in op.merge.inputs:
        if not 0 <= merged.input < len(op.inputs):
            yield f"merges input {merged.input}; {_has(len(op.inputs))}"


def _diff(op: ops_pb2.Op) -> Iterator[str]:
    if not (op.diff.HasField("lower") and op.diff.HasField("upper")):
        yield "lacks its lower or its upper side"
    sides = [side for side in (op.diff.lower.input, op.diff.upper.input) if side != EMPTY]
    if len(sides) != len(op.inputs):
        yield f"has {len(sides)} side(s) that are not scratch; {_has(len(op.inputs))}"
    for side in sides:
        if not 0 <= side < len(op.inputs):
            yield f"reads input {side}; {_has(len(op.inputs))}"


def _passthrough(op: ops_pb2.Op) -> Iterator[str]:
    if not op.passthrough.id:
        yield "has no id"
    if not op.passthrough.outputs:
        yield "has no outputs"
    for output in op.passthrough.outputs:
        if not 0 <= output < len(op.inputs):
            yield f"passes on input {output}; {_has(len(op.inputs))}"


def _has(inputs: int) -> str:
    return f"it has {inputs} input(s)"


_RULES: Mapping[str, Callable[[ops_pb2.Op], Iterator[str]]] = {
    "source": _source,
    "exec": _exec,
    "file": _file,
    "build": _build,
    "merge": _merge,
    "diff": _diff,
    "passthrough": _passthrough,
}


def first_loop(edges: list[list[int]]) -> int | None:
    """A node of a graph from which a path leads back to it; None when there is none. edges: by node, in numbers."""
    waiting = [len(targets) for targets in edges]  # of each node, the targets that are not known to end
    readers: list[list[int]] = [[] for _ in edges]
    for node, targets in enumerate(edges):
        for target in targets:
            readers[target].append(node)
    ready = [node for node, count in enumerate(waiting) if not count]
    while ready:
        for reader in readers[ready.pop()]:
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    stuck = next((node for node, count in enumerate(waiting) if count), None)
    if stuck is None:
        return None
    seen: set[int] = set()
    while stuck not in seen:  # a stuck node may only lead to a loop: follow it until it is on one
        seen.add(stuck)
        stuck = next(target for target in edges[stuck] if waiting[target])
    return stuck
