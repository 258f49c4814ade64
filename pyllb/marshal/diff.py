"""Diff: the difference of two definitions in words: which op changed, and how."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import attrs

from pyllb.marshal.aspects import GROUPS, Aspects, Inputs, aspects, numbering, unset
from pyllb.marshal.matching import Side, match
from pyllb.marshal.tree import printable
from pyllb.marshal.vertex import DefinitionVertex, Input
from pyllb.value import Value

if TYPE_CHECKING:
    from pyllb._pb import ops_pb2
    from pyllb.marshal.definition import Definition

CHANGED, ADDED, REMOVED = "changed", "added", "removed"
_T = TypeVar("_T")
_Said = str | Input | Inputs | Aspects | None
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")
_SUM = re.compile(r"[0-9,]+ bytes with sha256:[0-9a-f]{64}")  # of a file's content that is no text, or is long
_TITLE = 100  # characters of an op's name
_LINES = 1000  # of a text that are compared line by line, from the first that differs


@attrs.frozen(eq=False, repr=False)
class FieldChange(Value):
    """What an op says otherwise. path: such as ("env", "PATH"). before, after: None where it says nothing."""

    path: tuple[str, ...]
    before: str | None
    after: str | None

    def to_text(self) -> str:
        """A line, or the lines that differ of a text of several; what cannot be printed is escaped."""
        return printable(self._text())

    def _text(self) -> str:
        label = " ".join(self.path)
        if self.before is None or self.after is None:
            label += " added" if self.before is None else " removed"
        before, after = self.before or "", self.after or ""
        if "\n" in before + after:
            return "\n".join([f"{label}:", *_differing(before, after)])
        if self.before is None or self.after is None:
            return f"{label}: {_shown(before + after)}" if before + after else label
        return f"{label}: {_shown(before)} became {_shown(after)}"


@attrs.frozen(eq=False, repr=False)
class OpChange(Value):
    """An op that is another, or that only one of the definitions has.

    change: changed, added or removed. before, after: the vertices, None on the side that has none. fields: what it
    says otherwise, not empty when it changed. place: file:line of the user's that made it, "" when that is not known.
    """

    change: str
    before: DefinitionVertex | None
    after: DefinitionVertex | None
    fields: tuple[FieldChange, ...]
    place: str

    @property
    def vertex(self) -> DefinitionVertex:
        """The op, as the later definition has it where it does."""
        found = self.after or self.before
        assert found is not None
        return found

    def to_text(self) -> str:
        """A line that names the op, and below it what changed."""
        return _alike([self])

    def _head(self) -> str:
        place = f" ({self.place})" if self.place else ""
        return printable(f"{_title(self.vertex)} {self.change}{place}")


@attrs.frozen(eq=False, repr=False)
class DefinitionDiff(Value):
    """The difference of two definitions. changes: () when they say the same, but for their source maps."""

    changes: tuple[OpChange, ...]

    def to_text(self) -> str:
        """In words; "" when there is no difference. Ops that changed alike stand together, above what changed."""
        if not self.changes:
            return ""
        groups: dict[tuple[Value, ...], list[OpChange]] = {}
        for op in self.changes:
            groups.setdefault(op.fields or (op,), []).append(op)
        counts = [f"{sum(op.change == word for op in self.changes)} {word}" for word in (CHANGED, ADDED, REMOVED)]
        return "".join(map(_alike, groups.values())) + f"ops: {', '.join(counts)}\n"

    def to_json(self) -> str:
        """As one JSON object: {"changes": [{"change", "kind", "name", "before", "after", "place", "fields"}]}."""
        return json.dumps({"changes": [_object(op) for op in self.changes]}, ensure_ascii=False, indent=2) + "\n"


def _alike(ops: Sequence[OpChange]) -> str:
    """Ops of which the same is to be told: a line for each, and below them what changed, once."""
    lines = [op._head() for op in ops]
    lines += [f"  {line}" for field in ops[0].fields for line in field.to_text().split("\n")]
    return "\n".join(lines) + "\n"


def _object(op: OpChange) -> dict[str, object]:
    return {
        "change": op.change,
        "kind": op.vertex.kind,
        "name": op.vertex.name,
        "before": op.before and op.before.digest,
        "after": op.after and op.after.digest,
        "place": op.place,
        "fields": [{"path": list(field.path), "before": field.before, "after": field.after} for field in op.fields],
    }


def diff(before: Definition, after: Definition) -> DefinitionDiff:
    """What became of before's ops in after, and what is new there.

    An op changed when it, or its metadata, says something else, or when it reads an op that is not the counterpart of
    the one that it read; not when only something below it did, though its digest is another then. Changed and added
    ops come in after's order, removed ones behind them in before's. Source maps and the ids of progress groups are not
    compared.
    """
    comparison = _Comparison(before, after, _side(before), _side(after))
    return DefinitionDiff(comparison.changes())


def _side(definition: Definition) -> Side:
    from pyllb._pb import ops_pb2

    ops = {digest: ops_pb2.Op.FromString(data) for digest, data in definition.ops}
    return Side({vertex.digest: vertex for vertex in definition.vertices}, ops)


@attrs.frozen(eq=False)
class _Comparison:
    """Two definitions, and which of their ops are pairs."""

    before: Definition
    after: Definition
    left: Side
    right: Side
    pairs: dict[str, str] = attrs.field(init=False)

    @pairs.default
    def _match(self) -> dict[str, str]:
        return match(self.left, self.right)

    def changes(self) -> tuple[OpChange, ...]:
        """Without the capabilities of the result, which are those of the other ops, when something else changed."""
        found = list(self._all())
        told = [change for change in found if change.vertex.kind != "return" or not _only_capabilities(change)]
        return tuple(told or found)

    def _all(self) -> Iterator[OpChange]:
        counterpart = {after: before for before, after in self.pairs.items()}
        for digest, vertex in self.right.vertices.items():
            if digest not in counterpart:
                yield OpChange(ADDED, None, vertex, (), _place(self.after, digest))
                continue
            one = counterpart[digest]
            if fields := tuple(self._compare(one, digest)):
                yield OpChange(CHANGED, self.left.vertices[one], vertex, fields, _place(self.after, digest))
        for digest, vertex in self.left.vertices.items():
            if digest not in self.pairs:
                yield OpChange(REMOVED, vertex, None, (), _place(self.before, digest))

    def _compare(self, one: str, other: str) -> Iterator[FieldChange]:
        op, op2 = self.left.ops[one], self.right.ops[other]
        metadata, metadata2 = self.before.raw_metadata(one), self.after.raw_metadata(other)
        if one == other and metadata == metadata2:
            return
        found = list(self._worded(op, metadata, op2, metadata2))
        yield from found
        if found:
            return
        if numbering(op) != numbering(op2):
            yield FieldChange(("numbering",), numbering(op), numbering(op2))
        elif _DIGEST.sub(b"", self.left.vertices[one].data) != _DIGEST.sub(b"", self.right.vertices[other].data):
            yield FieldChange(("encoding",), one, other)

    def _worded(
        self, op: ops_pb2.Op, metadata: ops_pb2.OpMetadata, op2: ops_pb2.Op, metadata2: ops_pb2.OpMetadata
    ) -> Iterator[FieldChange]:
        by_position = _kinds(op) == _kinds(op2)
        told = aspects(op, metadata, by_position), aspects(op2, metadata2, by_position)
        yield from self._differences(*told)

    def _differences(self, one: Aspects, other: Aspects) -> Iterator[FieldChange]:
        """Every label that does not say the same, in order."""
        waiting: list[tuple[tuple[str, ...], _Said, _Said]] = [((), one, other)]
        while waiting:
            at, said, says = waiting.pop()
            if at and at[-1] in GROUPS and len(at) == 1:
                said, says = said or {}, says or {}
            if isinstance(said, dict) and isinstance(says, dict):
                labels = dict.fromkeys([*said, *says])
                waiting += reversed([((*at, label), said.get(label), says.get(label)) for label in labels])
                if at in _ORDERED and _common(said, says) != _common(says, said):
                    yield FieldChange((*at, "order"), ", ".join(said), ", ".join(says))
            elif isinstance(said, Inputs) and isinstance(says, Inputs):
                yield from self._inputs(at, said.items, says.items)
            elif not self._same(said, says):
                before, after = self._told(said, self.left), self._told(says, self.right)
                yield _changed(at, unset(at) if before is None else before, unset(at) if after is None else after)

    def _inputs(self, path: tuple[str, ...], one: tuple[Input, ...], other: tuple[Input, ...]) -> Iterator[FieldChange]:
        """Inputs that one of two ops has, and the order when what both have, or what took a place, stands otherwise."""
        mine = [self._meant(item) for item in one]
        theirs = [(item.digest, item.index) for item in other]
        had, has = set(mine), set(theirs)
        gone = [self._input(item, self.left) for item, meant in zip(one, mine, strict=True) if meant not in has]
        new = [self._input(item, self.right) for item, meant in zip(other, theirs, strict=True) if meant not in had]
        moved = _common(mine, has) != _common(theirs, had)
        if len(gone) == len(new) == 1:
            yield _changed(path, gone[0], new[0])
            moved |= [meant in has for meant in mine] != [meant in had for meant in theirs]
        else:
            yield from (FieldChange(path, item, None) for item in gone)
            yield from (FieldChange(path, None, item) for item in new)
        if moved:
            mine_told, theirs_told = self._one(Inputs(one), self.left), self._one(Inputs(other), self.right)
            yield FieldChange((*path, "order"), mine_told, theirs_told)

    def _same(self, said: object, says: object) -> bool:
        if isinstance(said, Input) and isinstance(says, Input):
            return self._meant(said) == (says.digest, says.index)
        return said == says

    def _meant(self, item: Input) -> tuple[str, int]:
        """An input of before's, as after has it."""
        return self.pairs.get(item.digest, f"only before: {item.digest}"), item.index

    def _told(self, said: _Said, side: Side) -> str | None:
        if isinstance(said, dict):
            parts = (f"{label} {self._one(part, side)}".strip() for label, part in said.items())
            return ", ".join(filter(None, parts)).replace("\n", "\\n")  # one line, whatever a part of it is
        return None if said is None else self._one(said, side)

    def _one(self, said: _Said, side: Side) -> str:
        if isinstance(said, Inputs):
            return ", ".join(self._input(item, side) for item in said.items)
        return self._input(said, side) if isinstance(said, Input) else str(said)

    def _input(self, item: Input, side: Side) -> str:
        output = f", output {item.index}" if item.index else ""
        return _title(side.vertices[item.digest]) + output


# Where the order is part of what an op says, and no accident of how it is written down.
_ORDERED = (("env",), ("mount",), ("host",))


def _changed(path: tuple[str, ...], before: str | None, after: str | None) -> FieldChange:
    """What differs and is told alike is an op that has the name of the one before."""
    return FieldChange(path, before, f"another {after}" if before == after else after)


def _common(items: Iterable[_T], others: Container[_T]) -> list[_T]:
    return [item for item in items if item in others]


def _kinds(op: ops_pb2.Op) -> list[str | None]:
    return [action.WhichOneof("action") for action in op.file.actions]


def _only_capabilities(change: OpChange) -> bool:
    return bool(change.fields) and all(field.path[0] == "capability" for field in change.fields)


def _place(definition: Definition, digest: str) -> str:
    lines = definition.source_lines(digest)
    return f"{lines[0].filename}:{lines[0].line}" if lines else ""


def _title(vertex: DefinitionVertex) -> str:
    name = " ".join(vertex.name.split())
    if vertex.kind == "return":
        return "result"
    shown = name if len(name) <= _TITLE else name[: _TITLE - 3] + "..."
    return f'{vertex.kind} "{shown}"' if shown != vertex.kind else vertex.kind


def _shown(text: str) -> str:
    """A value of one line; in quotes when it has space at an end, which nobody would see."""
    return (text or "(empty)") if text == text.strip() else f'"{text}"'


def _differing(before: str, after: str) -> Iterator[str]:
    """The lines that differ, - and + before them."""
    one, other = _lines(before, after), _lines(after, before)
    start = next((number for number, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if start is None:
        start = min(len(one), len(other))
    end = start + _LINES
    for line in list(difflib.unified_diff(one[start:end], other[start:end], lineterm="", n=0))[2:]:
        if not line.startswith("@@"):
            yield f"  {line[0]} {line[1:]}"
    if max(len(one), len(other)) > end:
        yield f"  ({_LINES:,} lines of each are compared)"


def _lines(text: str, other: str) -> list[str]:
    """The lines of a text; the last one says when it has no newline, and the other text ends with one."""
    lines = text.removesuffix("\n").split("\n") if text else []
    if lines and not text.endswith("\n") and other.endswith("\n") and not _SUM.fullmatch(text):
        lines[-1] += " (no newline at the end)"
    return lines
