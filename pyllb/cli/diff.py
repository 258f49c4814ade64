"""The command `pyllb diff`: what changed between two builds' LLB, op by op."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs
import click

from pyllb.cli.command import debug_option
from pyllb.cli.dump import Lowering, addr_option, lowered, oci_layout_option, platform_option, write
from pyllb.cli.flags import flag_of
from pyllb.cli.load import load, parse_place
from pyllb.cli.settings import Settings
from pyllb.cli.source import shown_path
from pyllb.cli.targets import Call, find_target
from pyllb.cli.tls import tls_options
from pyllb.errors import UsageError

if TYPE_CHECKING:
    from pyllb.marshal.definition import Definition
    from pyllb.marshal.diff import DefinitionDiff

_STDIN = "-"
_GIVE = "give a file of LLB or of its JSON, - for stdin, or FILE.py[:TARGET]"


def _diff(a: str, b: str, format: str, **options: object) -> int:
    click.get_current_context().ensure_object(Settings).answers = True
    how = Lowering.of(options)
    if a == b == _STDIN:
        raise UsageError("both definitions are '-', and stdin is read once; give one of them as a file")
    before, after = (_definition(text, how) for text in (a, b))
    found = _placed(before.diff(after))
    write((found.to_json() if format == "json" else found.to_text()).encode())
    if found.changes and how.resolve == "never" and _is_file(a) != _is_file(b):
        sys.stderr.write(_UNRESOLVED)
    return 1 if found.changes else 0


_UNRESOLVED = (
    "the target's image configs were not applied; if the file has them, as `pyllb dump` writes it, add --resolve=auto\n"
)


def _is_file(text: str) -> bool:
    """Whether it is a definition, and no target of a build file; also a pipe, such as a shell's <(pyllb dump)."""
    return text == _STDIN or (os.path.exists(text) and not os.path.isdir(text) and not text.endswith(".py"))


def _placed(diff: DefinitionDiff) -> DefinitionDiff:
    """With places as a person reads them."""
    return attrs.evolve(diff, changes=tuple(attrs.evolve(op, place=shown_path(op.place)) for op in diff.changes))


def _definition(text: str, how: Lowering) -> Definition:
    if not text:  # of a shell's variable that is not set; build.py compared with itself would be no difference
        raise UsageError(f"a definition is ''; {_GIVE}")
    if text == _STDIN:
        return _read(text, sys.stdin.buffer.read())
    if _is_file(text):
        try:
            with open(text, "rb") as stream:
                return _read(text, stream.read())
        except OSError as error:
            raise UsageError(f"{text!r} cannot be read: {error.strerror}") from error
    file = parse_place(text).file
    if not file.endswith(".py") and not os.path.exists(file):
        raise UsageError(f"there is no file {text!r}; {_GIVE}")
    with _own_modules():
        return lowered(_call(text).one("diff"), how).definition


def _read(name: str, data: bytes) -> Definition:
    """A definition, as LLB or as its JSON: no LLB begins with a brace, which would be the start of a group."""
    from pyllb.errors import DefinitionError
    from pyllb.marshal.definition import Definition

    where = "stdin" if name == _STDIN else repr(name)
    if not data:
        sys.stderr.write(f"{where} is empty, which is the LLB of fs(), and what is left of a dump that failed\n")
    try:
        if data.startswith(b"{"):
            return Definition.from_json(data.decode(errors="replace"))
        return Definition.from_bytes(data)
    except DefinitionError as error:
        raise DefinitionError(f"{where}: {error.message}", sources=error.sources) from error


def _call(text: str) -> Call:
    """The target that text names, with its parameters at their defaults. Raises UsageError when one has none."""
    place = parse_place(text)
    build = load(place.file)
    target = find_target(build, place)
    for parameter in target.parameters:
        if parameter.required:
            raise UsageError(
                f"target {target.name!r} wants {flag_of(parameter)}, and pyllb diff gives no parameters; "
                f"write it to a file first, with `pyllb dump {text} {flag_of(parameter)} ... > FILE`, and compare that"
            )
    return Call(build, target, {})


@contextmanager
def _own_modules() -> Iterator[None]:
    """Forget the modules that a build file imports from beside itself.

    Of two checkouts of a build, each is to have its own. Those of an environment are shared by both.
    """
    before = set(sys.modules)
    try:
        yield
    finally:
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if not file.startswith((sys.prefix, sys.base_prefix, _PACKAGE)):
                del sys.modules[name]


_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_RESOLVE = click.Option(
    ["--resolve"],
    type=click.Choice(["auto", "never"]),
    default="never",
    show_default=True,
    help="For targets: auto applies the image configs, asked of the daemon; never opens no connection.",
)
_FORMAT = click.Option(
    ["--format"], type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to write it."
)

command = click.Command(
    "diff",
    callback=_diff,
    params=[
        click.Argument(["a"], metavar="A"),
        click.Argument(["b"], metavar="B"),
        _FORMAT,
        platform_option,
        _RESOLVE,
        oci_layout_option,
        addr_option,
        *tls_options,
        debug_option,
    ],
    help="""Write in words which ops of the LLB A are others in B, and how.

    A and B are each a file of LLB or of its JSON, - for stdin, or FILE.py[:TARGET], whose parameters have their
    defaults. Ends with 0 when there is no difference, 1 when there is one, and 2 or 3 when that cannot be said;
    source maps are not compared.""",
)
