"""Makes docs/reference: dsl.md, client.md and definition.md from the docstrings, command.md from the command's help,
llb.md from options.py.

Usage: python tools/reference.py [--check]. A house test runs it with --check.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FunctionType

import attrs
import click
from options import llb

import pyllb
from pyllb import client, status
from pyllb.cli.command import group
from pyllb.client import daemon
from pyllb.marshal import definition, diff, metadata, vertex
from pyllb.progress import make

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/reference"

DSL = """\
# The DSL

Made from the docstrings by `tools/reference.py`. Every method of `FS` returns a new `FS`; nothing is read or run
before a solve.
"""
CLIENT = """\
# The client

Made from the docstrings by `tools/reference.py`. `pyllb.solve` and `pyllb.dump` need no `Client`; one serves several
calls over one connection. Each class says which module it is of.
"""
DEFINITION = """\
# The definition

Made from the docstrings by `tools/reference.py`. A `Definition` is LLB as a value: what `pyllb.dump` gives, and what
`Definition.from_bytes` and `from_json` read.
"""
COMMAND = """\
# The command

Made from the command's own help by `tools/reference.py`. stdout carries what was asked for; progress and messages go to
stderr. Exit codes: 0 done, 1 the build failed, 2 wrong use or a wrong build file, 3 no daemon or connection lost, 130
interrupted.

The environment: `BUILDKIT_HOST` is the daemon, `BUILDKIT_PROGRESS` what `--progress=auto` means, `DOCKER_CONFIG` the
directory whose config.json has the registry logins (`~/.docker`), `PYLLB_ENGINE_HOME` a directory for all that a
private daemon writes. What shapes the display besides is under [pyllb.progress.make](client.md#pyllbprogressmake).
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


def described(cls: type) -> Iterator[str]:
    """A class: its fields, what its docstring says, then its properties and methods."""
    home = "pyllb" if cls.__name__ in pyllb.__all__ else cls.__module__
    name = f"{home}.{cls.__name__}"
    head = signature(name, cls).removesuffix(" -> None") if cls is pyllb.Client else name  # which is made by its user
    fields = [f"    {field.name}: {field.type}\n" for field in _fields(cls) if not field.name.startswith("_")]
    yield f"## {cls.__name__}\n\n```text\n{head}\n{''.join(fields)}```\n\n{inspect.getdoc(cls)}\n"
    for name, value in properties(cls):
        assert value.fget is not None
        returns = inspect.signature(value.fget).return_annotation
        yield f"### {name}\n\n```text\n{cls.__name__}.{name}: {returns}\n```\n\n{inspect.getdoc(value)}\n"
    for name, value in methods(cls):
        yield entry(f"{cls.__name__}.{name}", value, "###")


def _fields(cls: type) -> tuple[attrs.Attribute[object], ...]:
    return attrs.fields(cls) if attrs.has(cls) else ()


def properties(cls: type) -> Iterator[tuple[str, property]]:
    """Public properties, in the order in which the classes define them, bases first."""
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if not name.startswith("_") and isinstance(value, property):
                yield name, value


def methods(cls: type) -> Iterator[tuple[str, object]]:
    """Public methods and class methods, in the order in which the classes define them, bases first."""
    seen = set()
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if not name.startswith("_") and isinstance(value, FunctionType | classmethod) and name not in seen:
                seen.add(name)
                yield name, getattr(cls, name)


def dsl() -> str:
    parts = [DSL, "## Functions\n"]
    names = [name for name in pyllb.__all__ if inspect.isfunction(getattr(pyllb, name)) and name not in _CLIENT]
    parts += [entry(name, getattr(pyllb, name), "###") for name in sorted(names)]
    return "\n".join([*parts, *described(pyllb.FS)])


_CLIENT = ("solve", "dump")
_CLIENT_CLASSES = (
    *(pyllb.Client, client.Tls, pyllb.Result, client.Step, client.CacheUse, client.Export, client.CacheSpec),
    *(client.FileStat, client.Sink),
    *(status.SolveStatus, status.Vertex, status.VertexStatus, status.VertexLog, status.VertexWarning),
    *(status.ProgressGroup, daemon.Info, daemon.Worker, daemon.UsageRecord),
)
_DEFINITION_CLASSES = (
    *(pyllb.Definition, vertex.DefinitionVertex, vertex.Input, metadata.OpMetadata, definition.Source),
    *(definition.SourceInfo, definition.Location, definition.SecretUse, diff.DefinitionDiff, diff.OpChange),
    diff.FieldChange,
)


def client_page() -> str:
    functions = [entry(name, getattr(pyllb, name), "##") for name in _CLIENT]
    classes = [part for cls in _CLIENT_CLASSES for part in described(cls)]
    return "\n".join([CLIENT, *functions, *classes, entry("pyllb.progress.make", make, "##")])


def definition_page() -> str:
    return "\n".join([DEFINITION, *(part for cls in _DEFINITION_CLASSES for part in described(cls))])


def command() -> str:
    parts = [COMMAND]
    names = group.context_settings["help_option_names"]  # which a real call's context has from its parent
    for path, one in walk(group, ("pyllb",)):
        context = click.Context(
            one, info_name=" ".join(path), max_content_width=110, terminal_width=110, help_option_names=names
        )
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
    pages = {
        "dsl.md": dsl(),
        "client.md": client_page(),
        "definition.md": definition_page(),
        "command.md": command(),
        "llb.md": llb(),
    }
    for name, text in pages.items():
        path = FOLDER / name
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(name)
    if stale:
        sys.exit(f"{', '.join(stale)}: not what the docstrings say; run python tools/reference.py")


if __name__ == "__main__":
    main()
