"""The command `pyllb ls`: what can be built from a file, and with which flags."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from pyllb.cli.command import debug_option
from pyllb.cli.flags import describe
from pyllb.cli.load import load, parse_place
from pyllb.cli.targets import find_target, targets_of

if TYPE_CHECKING:
    from pyllb.dsl.target import Target


def _ls(place: str) -> None:
    named = parse_place(place)
    build = load(named.file)
    targets = list(targets_of(build).values())
    if not targets or place.endswith(f":{named.target}"):
        targets = [find_target(build, named)]
    click.echo("\n\n".join(_lines(target) for target in targets))


def _lines(target: Target) -> str:
    flags = []
    for parameter in target.parameters:
        flags.append("  " + describe(parameter))
        flags += textwrap.wrap(parameter.help, 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    doc = textwrap.indent(target.doc, "  ") if target.doc else ""
    return "\n".join(part for part in (target.name, doc, *flags) if part)


command = click.Command(
    "ls",
    callback=_ls,
    params=[click.Argument(["place"], required=False, default="", metavar="[FILE[:TARGET]]"), debug_option],
    help="List the targets of FILE, or one of them, with their parameters. FILE is build.py if it is left out.",
)
