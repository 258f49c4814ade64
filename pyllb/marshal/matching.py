"""Matching: which op of one definition is which of another, whose digests differ as soon as anything below does.

In this order, and always the same: equal digests; equal but for what they read, at the same place seen from the result
and then anywhere; the same name; much in common; the same place. Each step takes time in proportion to the ops, and
none follows the graph by recursion.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from pyllb.marshal.vertex import DefinitionVertex, op_name

if TYPE_CHECKING:
    from pyllb._pb import ops_pb2

_WORD = re.compile(r"[\w.]+")
_RARE = 8  # ops that share a word, at most, for it to suggest that two of them are one
_WORDS = 64  # of an op that are looked at
_ALIKE = 0.5  # of their words, two ops share more than this


@attrs.frozen(eq=False)
class Side:
    """One of two definitions: its vertices and messages by digest, in order."""

    vertices: Mapping[str, DefinitionVertex]
    ops: Mapping[str, ops_pb2.Op]

    @property
    def result(self) -> str:
        """The digest of the op that returns the result; "" when there is none."""
        return next(reversed(list(self.vertices)), "")


def match(before: Side, after: Side) -> dict[str, str]:
    """The digests of before that have a counterpart in after, with it."""
    pairs = _Pairs()
    if before.result and after.result:
        pairs.add(before.result, after.result)
    _pair_equal(pairs, _by_digest, before, after)
    _pair_by_place(pairs, before, after, _by_content)
    for key in (_by_content, _by_name):
        _pair_equal(pairs, key, before, after)
    _pair_alike(pairs, before, after)
    _pair_by_place(pairs, before, after, _by_kind)
    return pairs.after


@attrs.frozen(eq=False)
class _Pairs:
    """The pairs so far, from both sides."""

    after: dict[str, str] = attrs.field(factory=dict, init=False)
    before: dict[str, str] = attrs.field(factory=dict, init=False)

    def add(self, one: str, other: str) -> None:
        self.after[one] = other
        self.before[other] = one

    def free(self, one: str, other: str) -> bool:
        return one not in self.after and other not in self.before


Key = Callable[["ops_pb2.Op", DefinitionVertex], Hashable]


def _by_digest(op: ops_pb2.Op, vertex: DefinitionVertex) -> Hashable:
    return vertex.digest


def _by_content(op: ops_pb2.Op, vertex: DefinitionVertex) -> Hashable:
    """All but which ops it reads. None: a merge, which says nothing else."""
    if vertex.kind in ("merge", "diff"):
        return None
    bare = type(op)()
    bare.CopyFrom(op)
    for read in bare.inputs:
        read.ClearField("digest")
    return bare.SerializeToString(deterministic=True)


def _by_kind(op: ops_pb2.Op, vertex: DefinitionVertex) -> Hashable:
    return vertex.kind


def _by_name(op: ops_pb2.Op, vertex: DefinitionVertex) -> Hashable:
    return (vertex.kind, vertex.name) if vertex.name not in ("", op_name(op)) else None


def _pair_equal(pairs: _Pairs, key: Key, before: Side, after: Side) -> None:
    """Pair those with the same key, the first with the first; None is no key."""
    waiting: defaultdict[Hashable, list[str]] = defaultdict(list)
    for digest in reversed(list(before.vertices)):
        if digest not in pairs.after:
            waiting[key(before.ops[digest], before.vertices[digest])].append(digest)
    waiting.pop(None, None)
    for digest in after.vertices:
        if digest not in pairs.before:
            found = waiting.get(key(after.ops[digest], after.vertices[digest]))
            if found:
                pairs.add(found.pop(), digest)


def _pair_alike(pairs: _Pairs, before: Side, after: Side) -> None:
    """Pair those that share most of their words, the most alike first."""
    left = {digest: _words(before, digest) for digest in before.vertices if digest not in pairs.after}
    right = {digest: _words(after, digest) for digest in after.vertices if digest not in pairs.before}
    having: defaultdict[str, list[int]] = defaultdict(list)
    numbered = list(right)
    for number, digest in enumerate(numbered):
        for word in right[digest]:
            having[word].append(number)
    found = []
    for place, (digest, said) in enumerate(left.items()):
        near = {number for word in said if len(having.get(word, ())) <= _RARE for number in having.get(word, ())}
        for number in near:
            score = _score(said, right[numbered[number]])
            if score > _ALIKE:
                found.append((-score, abs(place - number), place, number, digest))
    for _, _, _, number, digest in sorted(found):
        if pairs.free(digest, numbered[number]):
            pairs.add(digest, numbered[number])


def _score(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)


def _words(side: Side, digest: str) -> frozenset[str]:
    """What an op says, in words that carry its kind: ops of two kinds have none in common."""
    vertex, op = side.vertices[digest], side.ops[digest]
    said: Iterable[str] = [*_WORD.findall(op_name(op)), *(m.dest for m in op.exec.mounts if m.dest != "/")]
    if vertex.kind in ("merge", "diff"):
        said = ()
    return frozenset(f"{vertex.kind} {word}" for word in list(said)[:_WORDS])


def _pair_by_place(pairs: _Pairs, before: Side, after: Side, key: Key) -> None:
    """Pair ops of one key that are read at the same place of ops that are a pair; None is no key."""
    waiting = [(one, pairs.after[one]) for one in before.vertices if one in pairs.after]
    while waiting:
        one, other = waiting.pop()
        places = _places(after.ops[other])
        for place, read in _places(before.ops[one]).items():
            meant = places.get(place)
            if meant is None or not pairs.free(read, meant):
                continue
            found = key(before.ops[read], before.vertices[read])
            if found is not None and found == key(after.ops[meant], after.vertices[meant]):
                pairs.add(read, meant)
                waiting.append((read, meant))


def _places(op: ops_pb2.Op) -> dict[Hashable, str]:
    """What an op reads, by where: the path of a mount, else the number of the input."""
    if op.exec.mounts:
        return {m.dest: op.inputs[m.input].digest for m in op.exec.mounts if 0 <= m.input < len(op.inputs)}
    return {number: read.digest for number, read in enumerate(op.inputs)}
