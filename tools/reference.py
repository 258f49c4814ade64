"""Makes docs/reference: dsl.md from the docstrings, command.md from the command's own help, llb.md from options.py.

Usage: python tools/reference.py [--check]. A house test runs it with --check.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from options import llb

import pyllb
from pyllb.cli.command import group

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/reference"

DSL = """\
# The DSL

Made from the docstrings by `tools/reference.py`. Every method of `FS` returns a new `FS`; nothing is read or run
before a solve.
"""
COMMAND = """\
# The command

Made from the command's own help by `tools/reference.py`. stdout carries what was asked for; progress and messages go to
stderr. Exit codes: 0 done, 1 the build failed, 2 wrong use or a wrong build file, 3 no daemon or connection lost, 130
interrupted.
"""


def signature(name: str, value: object) -> str:
    """The call as text, a parameter a line when it is long."""
    assert callable(value)
    meant = inspect.signature(value)
    parameters = list(_parameters(p for p in meant.parameters.values() if p.name != "self"))
    returns = "" if meant.return_annotation is inspect.Signature.empty else f" -> {meant.return_annotation}"
    text = f"{name}({', '.join(parameters)}){returns}"
    if len(text) <= 100:
        return text
    body = "".join(f"    {parameter},\n" for parameter in parameters)
    return f"{name}(\n{body}){returns}"


def _parameters(parameters: Iterable[inspect.Parameter]) -> Iterator[str]:
    """Each parameter as it is written; annotations are text already, so that no quotes stand around them."""
    keyword_only = False
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            yield "*"
        stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        keyword_only |= stars == "*"
        annotation = "" if parameter.annotation is inspect.Parameter.empty else f": {parameter.annotation}"
        default = "" if parameter.default is inspect.Parameter.empty else f" = {parameter.default!r}"
        yield f"{stars}{parameter.name}{annotation}{default}"


def entry(name: str, value: object, level: str) -> str:
    doc = inspect.getdoc(value)
    assert doc, f"{name} has no docstring"
    return f"{level} {name.split('.')[-1]}\n\n```text\n{signature(name, value)}\n```\n\n{doc}\n"


def methods(cls: type) -> Iterator[tuple[str, object]]:
    """Public methods, in the order in which the classes define them, bases first."""
    seen = set()
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if not name.startswith("_") and inspect.isfunction(value) and name not in seen:
                seen.add(name)
                yield name, getattr(cls, name)


def dsl() -> str:
    parts = [DSL, "## Functions\n"]
    names = [name for name in pyllb.__all__ if inspect.isfunction(getattr(pyllb, name))]
    parts += [entry(name, getattr(pyllb, name), "###") for name in sorted(names)]
    for name in ("FS", "Client"):
        cls = getattr(pyllb, name)
        parts.append(f"## {name}\n\n{inspect.getdoc(cls)}\n")
        parts += [entry(f"{name}.{method}", value, "###") for method, value in methods(cls)]
    return "\n".join(parts)


def command() -> str:
    parts = [COMMAND]
    for path, one in walk(group, ("pyllb",)):
        context = click.Context(one, info_name=" ".join(path), max_content_width=110, terminal_width=110)
        parts.append(f"## {' '.join(path)}\n\n```text\n{one.get_help(context)}\n```\n")
    return "\n".join(parts)


def walk(one: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, one
    if isinstance(one, click.Group):
        context = click.Context(one)
        for name in one.list_commands(context):
            sub = one.get_command(context, name)
            assert sub is not None
            yield from walk(sub, (*path, name))


def main() -> None:
    stale = []
    for name, text in (("dsl.md", dsl()), ("command.md", command()), ("llb.md", llb())):
        path = FOLDER / name
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(name)
    if stale:
        sys.exit(f"{', '.join(stale)}: not what the docstrings say; run python tools/reference.py")


if __name__ == "__main__":
    main()
