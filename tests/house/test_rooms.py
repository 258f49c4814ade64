"""The rooms of pyllb: who may import whom, and no cycle. The table is ARCHITECTURE.md's."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pyllb"

# room -> rooms of pyllb that it may import (itself always)
ROOMS: dict[str, set[str]] = {
    "_pb": set(),
    "value": set(),
    "pattern": set(),
    "errors": {"value"},
    "status": {"errors", "value"},
    "ir": {"errors", "value"},
    "dsl": {"ir", "errors", "pattern", "value"},
    "marshal": {"ir", "_pb", "errors", "value"},
    "rpc": {"value"},
    "session": {"_pb", "rpc", "errors", "pattern", "value"},
    "client": {"marshal", "rpc", "session", "engine", "ir", "_pb", "errors", "status", "value"},
    "engine": {"errors", "value"},
    "progress": {"errors", "status", "value"},
    "cli": {"client", "dsl", "engine", "errors", "ir", "marshal", "progress", "session", "status", "value"},
    "": {"dsl", "client", "errors", "ir", "marshal", "status"},
}
# room -> packages from outside that it may import, beside the standard library
OUTSIDE: dict[str, set[str]] = {
    "_pb": {"google"},
    "value": {"attrs"},
    "pattern": {"attrs"},
    "errors": {"attrs"},
    "status": {"attrs"},
    "ir": {"attrs"},
    "dsl": {"attrs"},
    "marshal": {"attrs", "google"},
    "rpc": {"attrs", "hpack"},
    "session": {"attrs", "google"},
    "client": {"attrs", "google"},
    "engine": {"attrs"},
    "progress": {"attrs", "rich"},
    "cli": {"attrs", "click", "rich"},
    "": set(),
}
# No I/O where a build is described: none of these in dsl, ir, marshal.
IMPURE = {"io", "os", "pathlib", "random", "secrets", "shutil", "socket", "subprocess", "tempfile", "threading", "time"}
PURE_ROOMS = {"dsl", "ir", "marshal"}
# os.path's text functions are pure; site.py asks where the package itself stands. BytesIO is memory.
ALLOWED_IMPURE = {("pyllb.ir.site", "os"), ("pyllb.marshal.definition", "io")}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def room(module: str) -> str:
    """The room of a module of pyllb; "" is the package itself."""
    return module.split(".")[1] if "." in module else ""


def imports(name: str, path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Every module a file imports, inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides its room"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield (full if full in MODULES else node.module), node


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_what_its_room_may(name: str) -> None:
    here = room(name)
    assert here in ROOMS, f"{name} is in no room of the table"
    for imported, node in imports(name, MODULES[name]):
        top = imported.split(".")[0]
        line = f"{MODULES[name]}:{getattr(node, 'lineno', 0)}: imports {imported}"
        if top == "pyllb":
            assert room(imported) in ROOMS[here] | {here}, line
        elif top in sys.stdlib_module_names:
            impure = here in PURE_ROOMS and top in IMPURE and (name, top) not in ALLOWED_IMPURE
            assert not impure, f"{line}, which does I/O"
        else:
            assert top in OUTSIDE[here], line


def eager_imports(name: str) -> set[str]:
    """Modules of pyllb that a module imports as it is loaded: not inside functions, not for types only."""
    tree = ast.parse(MODULES[name].read_text())
    found = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            fake = ast.Module(body=[node], type_ignores=[])
            for sub in ast.walk(fake):
                if isinstance(sub, ast.ImportFrom) and sub.module and sub.module.startswith("pyllb"):
                    names = (f"{sub.module}.{alias.name}" for alias in sub.names)
                    found |= {full if full in MODULES else sub.module for full in names}
                elif isinstance(sub, ast.Import):
                    found |= {alias.name for alias in sub.names if alias.name in MODULES}
    return found - {name}


def test_no_module_imports_itself_through_others() -> None:
    graph = {name: eager_imports(name) for name in MODULES}
    missing = {imported for found in graph.values() for imported in found} - set(MODULES)
    assert not missing, f"imported, but not there: {missing}"
    done: set[str] = set()
    for start in graph:
        stack, path = [(start, iter(graph[start]))], [start]
        while stack and start not in done:
            following = next(stack[-1][1], None)
            if following is None:
                done.add(stack.pop()[0])
                path.pop()
            elif following in path:
                pytest.fail(" -> ".join([*path[path.index(following) :], following]))
            elif following not in done:
                stack.append((following, iter(graph[following])))
                path.append(following)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def calls_itself(function: ast.FunctionDef | ast.AsyncFunctionDef, *, method: bool) -> Iterator[int]:
    """The lines at which a function calls its own name: by itself, or for a method through self or cls."""
    for node in ast.walk(function):
        if not isinstance(node, ast.Call):
            continue
        match node.func, method:
            case ast.Name(id=name), False if name == function.name:
                yield node.lineno
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name), True if name == function.name:
                yield node.lineno


@pytest.mark.parametrize("name", sorted(n for n in MODULES if room(n) in {"dsl", "ir", "marshal", "client"}))
def test_no_function_calls_itself(name: str) -> None:
    """A user's graph may be 100,000 deep, so what walks it is a loop."""
    tree = ast.parse(MODULES[name].read_text())
    methods = {function for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for function in node.body}
    for function in functions(tree):
        for line in calls_itself(function, method=function in methods):
            pytest.fail(f"{MODULES[name]}:{line}: {function.name} calls itself")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_says_its_noun_and_holds_one_thing(name: str) -> None:
    text = MODULES[name].read_text()
    lines = text.count("\n")
    assert lines <= 600, f"{name} has {lines} lines: it holds a second thing"
    if not MODULES[name].name.endswith("_pb2.py"):
        assert ast.get_docstring(ast.parse(text)), f"{name} does not say which noun it owns"


def test_functions_are_short() -> None:
    sizes = []
    for name, path in MODULES.items():
        for function in functions(ast.parse(path.read_text())):
            assert function.end_lineno is not None
            body = function.body[1:] if ast.get_docstring(function) else function.body
            first = body[0].lineno if body else function.end_lineno
            sizes.append((function.end_lineno - first + 1, f"{name}.{function.name}"))
    sizes.sort()
    assert sizes[len(sizes) // 2][0] < 10, "the middle function"
    assert sizes[len(sizes) * 9 // 10][0] < 40, "nine in ten"
    assert sizes[-1][0] <= 80, sizes[-1]
