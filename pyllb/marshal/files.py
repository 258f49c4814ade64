"""FileOp on the wire: chains of actions as one flat list, as client/llb lays them out (BuildKit 0.33.1)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

import attrs

from pyllb.errors import GraphError
from pyllb.ir.files import Chain, Copy, FileAction, Mkdir, Mkfile, Owner, Rm, Symlink
from pyllb.marshal.evaluate import Evaluator, clean
from pyllb.marshal.inputs import Digests, Inputs, add_input
from pyllb.marshal.wire import blob, flag, integer, message, text, texts


@attrs.frozen(eq=False, repr=False)
class _Step:
    """One action in its place. base: input that names of owners are looked up in, -1 is none.

    input, secondary: an input's index, or -1; when *_step is not None it counts instead, and is an action's position.
    """

    chain: Chain
    action: FileAction
    base: int
    input: int
    input_step: int | None
    secondary: int
    secondary_step: int | None


def encode_file(chain: Chain, evaluator: Evaluator, digests: Digests, inputs: Inputs) -> bytes:
    """pb.FileOp of a chain and the chains it copies from; what they read is added to inputs. Raises GraphError."""
    if not chain.actions:
        raise GraphError("a file op without actions; give it one at least")
    steps = _flatten(chain, digests, inputs)
    count, last = len(inputs), len(steps) - 1
    return b"".join([message(b"\x12", _action(step, count, i == last, evaluator)) for i, step in enumerate(steps)])


def _flatten(chain: Chain, digests: Digests, inputs: Inputs) -> list[_Step]:
    """Each action after the one before it in its chain, and after the chain it copies from, which comes once."""
    steps: list[_Step] = []
    ends: dict[int, int] = {}  # id of a finished chain -> position of its last action
    bases: dict[tuple[int, int], int] = {}  # an action waiting for its copy source -> its base, added before it
    stack: list[tuple[Chain, int, int | None]] = [(chain, 0, None)]
    while stack:
        current, index, before = stack.pop()
        if index == len(current.actions):
            ends[id(current)] = len(steps) - 1 if before is None else before
            continue
        waiting = (id(current), index)
        if waiting not in bases:
            bases[waiting] = -1 if current.base is None else add_input(inputs, digests, current.base)
        action = current.actions[index]
        source = action.source if isinstance(action, Copy) else None
        if source is not None and source.actions and id(source) not in ends:
            stack += ((current, index, before), (source, 0, None))
            continue
        base = bases.pop(waiting)
        secondary, secondary_step = -1, None
        if source is not None and source.actions:
            secondary_step = ends[id(source)]
        elif source is not None and source.base is not None:
            secondary = add_input(inputs, digests, source.base)
        steps.append(_Step(current, action, base, base, before, secondary, secondary_step))
        stack.append((current, index + 1, len(steps) - 1))
    return steps


def _action(step: _Step, inputs: int, last: bool, evaluator: Evaluator) -> bytes:
    first = step.input if step.input_step is None else inputs + step.input_step
    second = step.secondary if step.secondary_step is None else inputs + step.secondary_step
    head = integer(b"\x08", first) + integer(b"\x10", second) + integer(b"\x18", 0 if last else -1)
    directory = evaluator.of(step.chain.meta).dir
    return head + b"".join(_kind(step, directory, evaluator))


def _kind(step: _Step, directory: str, evaluator: Evaluator) -> Iterator[bytes]:
    action = step.action
    if isinstance(action, Copy):
        yield message(b"\x22", _copy(action, directory, step.base, evaluator))
    elif isinstance(action, Mkfile):
        yield message(b"\x2a", _mkfile(action, directory, step.base))
    elif isinstance(action, Mkdir):
        yield message(b"\x32", _mkdir(action, directory, step.base))
    elif isinstance(action, Rm):
        flags = flag(b"\x10", action.allow_not_found) + flag(b"\x18", action.allow_wildcard)
        yield message(b"\x3a", text(b"\x0a", place(directory, action.path)) + flags)
    else:
        yield message(b"\x42", _symlink(action, step.base))


def _copy(copy: Copy, directory: str, base: int, evaluator: Evaluator) -> bytes:
    src = clean(copy.src)
    if not src.startswith("/"):
        src = clean(f"{evaluator.of(copy.source.meta).dir}/{src}")
    mode = -1 if copy.mode is None else 0 if isinstance(copy.mode, str) else copy.mode
    return b"".join(
        (
            text(b"\x0a", src),
            text(b"\x12", place(directory, copy.dest, keep_slash=True)),
            _owner(b"\x1a", copy.owner, base),
            integer(b"\x20", mode),
            flag(b"\x28", copy.follow_symlinks),
            flag(b"\x30", copy.contents_only),
            flag(b"\x38", copy.unpack),
            flag(b"\x40", copy.create_dest),
            flag(b"\x48", copy.wildcard),
            flag(b"\x50", copy.allow_empty_wildcard),
            _created(b"\x58", copy.created),
            texts(b"\x62", copy.include),
            texts(b"\x6a", copy.exclude),
            flag(b"\x70", copy.always_replace),
            text(b"\x7a", copy.mode) if isinstance(copy.mode, str) else b"",
            texts(b"\x82\x01", copy.required),
        )
    )


def _mkfile(action: Mkfile, directory: str, base: int) -> bytes:
    return b"".join(
        (
            text(b"\x0a", place(directory, action.path)),
            integer(b"\x10", action.mode & 0o777),
            blob(b"\x1a", action.data),
            _owner(b"\x22", action.owner, base),
            _created(b"\x28", action.created),
        )
    )


def _mkdir(action: Mkdir, directory: str, base: int) -> bytes:
    return b"".join(
        (
            text(b"\x0a", place(directory, action.path)),
            integer(b"\x10", action.mode & 0o777),
            flag(b"\x18", action.parents),
            _owner(b"\x22", action.owner, base),
            _created(b"\x28", action.created),
        )
    )


def _symlink(action: Symlink, base: int) -> bytes:
    return b"".join(
        (
            text(b"\x0a", action.oldpath),
            text(b"\x12", action.newpath),
            _owner(b"\x1a", action.owner, base),
            _created(b"\x20", action.created),
        )
    )


def _created(tag: bytes, created: int | None) -> bytes:
    return integer(tag, -1 if created is None else created)


def _owner(tag: bytes, owner: Owner | None, base: int) -> bytes:
    if owner is None:
        return b""
    return message(tag, _name(b"\x0a", owner.user, base) + _name(b"\x12", owner.group, base))


def _name(tag: bytes, who: int | str | None, base: int) -> bytes:
    """pb.UserOpt: a number is there even when it is 0, which is root."""
    if who is None:
        return b""
    if isinstance(who, int):
        return message(tag, b"\x10" + (integer(b"", who) or b"\0"))
    return message(tag, message(b"\x0a", text(b"\x0a", who) + integer(b"\x10", base)))


def place(directory: str, path: str, *, keep_slash: bool = False) -> str:
    """A path of an action as absolute and clean.

    keep_slash: a trailing "/" or "/." stays, because it says that the destination of a copy is a directory.
    """
    result = clean(path)
    if not result.startswith("/"):
        result = clean(posixpath.join("/", f"/{directory}/{result}"))
    if keep_slash and path.endswith("/") and not result.endswith("/"):
        return result + "/"
    if keep_slash and path.endswith("/."):
        return result + ("." if result == "/" else "/.")
    return result
