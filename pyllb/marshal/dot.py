"""Dot: a definition as a graph for graphviz, as `buildctl debug dump-llb --dot` writes it (BuildKit 0.33.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyllb._pb import ops_pb2

_SHAPES = {
    "source": "ellipse",
    "exec": "box",
    "build": "box3d",
    "merge": "invtriangle",
    "diff": "doublecircle",
    "file": "note",
}
_SHORT = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\\": r"\\"}
_SHORT['"'] = r"\""


def dot_lines(ops: Iterable[tuple[str, ops_pb2.Op]]) -> Iterator[str]:
    """A node for each op, labelled with what it does; an edge from each input, labelled with where it is mounted."""
    ops = list(ops)
    yield "digraph {\n"
    for digest, op in ops:
        kind = op.WhichOneof("op") or ""
        shape = _SHAPES.get(kind, "plaintext")
        yield f"  {quoted(digest)} [label={quoted(_label(kind, digest, op))} shape={quoted(shape)}];\n"
    for digest, op in ops:
        places = {m.input: m.dest for m in op.exec.mounts if m.dest != "/"}
        for index, read in enumerate(op.inputs):
            yield f"  {quoted(read.digest)} -> {quoted(digest)} [label={quoted(places.get(index, ''))}];\n"
    yield "}\n"


def _label(kind: str, digest: str, op: ops_pb2.Op) -> str:
    if kind == "source":
        return op.source.identifier
    if kind == "exec":
        return " ".join(op.exec.meta.args)
    if kind == "file":
        return ",".join(_action(action) for action in op.file.actions)
    return kind if kind in _SHAPES else digest


def _action(action: ops_pb2.FileAction) -> str:
    match action.WhichOneof("action"):
        case "copy":
            return f"copy{{src={action.copy.src}, dest={action.copy.dest}}}"
        case "mkfile":
            return f"mkfile{{path={action.mkfile.path}}}"
        case "mkdir":
            return f"mkdir{{path={action.mkdir.path}}}"
        case "rm":
            return f"rm{{path={action.rm.path}}}"
        case "symlink":
            return f"symlink{{oldpath={action.symlink.oldpath}, newpath={action.symlink.newpath}}}"
        case _:
            return ""


def quoted(text: str) -> str:
    """Text as Go's %q writes it: in quotes, what cannot be printed as an escape."""
    return '"' + "".join(_SHORT.get(c) or (c if c.isprintable() else _escape(ord(c))) for c in text) + '"'


def _escape(point: int) -> str:
    if point < 0x80:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
