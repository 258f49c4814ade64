"""The command `pyllb dump`: a target's LLB on stdout, as buildctl reads it, or as text."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from pyllb.cli.command import debug_option
from pyllb.cli.invocation import TargetCommand
from pyllb.cli.source import shown_path
from pyllb.cli.targets import Call
from pyllb.errors import UsageError

if TYPE_CHECKING:
    from pyllb.dsl.fs import FS
    from pyllb.marshal.definition import Definition
    from pyllb.marshal.lower import LocalUse, Lowered


def _dump(call: Call, platform: str | None, resolve: str, addr: str | None, source_map: bool, format: str) -> None:
    if format == "pb" and sys.stdout.isatty():
        raise UsageError(
            "LLB is bytes, and stdout is a terminal; pipe it into `buildctl build`, redirect it to a file, "
            "or read it with --format tree"
        )
    made = lowered(call.one("dump"), platform, resolve, addr, source_map)
    write(_formatted(made.definition, format))
    if format == "pb" and (flags := local_flags(made.locals)):
        sys.stderr.write(f"buildctl needs: {' '.join(flags)}\n")


def _formatted(definition: Definition, format: str) -> bytes:
    match format:
        case "json":
            return definition.to_json().encode()
        case "dot":
            return definition.to_dot().encode()
        case "tree":
            return definition.to_tree().encode()
        case _:
            return definition.to_bytes()


def write(data: bytes) -> None:
    """All of data to stdout; under PYTHONUNBUFFERED its buffer is the bare file, whose writes may be partial."""
    rest = memoryview(data)
    while rest:
        rest = rest[sys.stdout.buffer.write(rest) :]
    sys.stdout.buffer.flush()


def lowered(node: FS, platform: str | None, resolve: str, addr: str | None, source_map: bool) -> Lowered:
    """The LLB of a node. resolve: "auto" asks a daemon for image configs when it has images, "never" does not."""
    if resolve == "never" or not _has_images(node):
        from pyllb.client.compile import compile_node

        return compile_node(node, platform=platform, source_map=source_map)
    from pyllb.client import Client
    from pyllb.engine import require

    with Client(require(addr)) as client:
        return client.compile(node, platform=platform, source_map=source_map)


def _has_images(node: FS) -> bool:
    from pyllb.ir.graph import postorder
    from pyllb.ir.ops import SourceOp

    ops = postorder(node.output) if node.output is not None else []
    return any(isinstance(op, SourceOp) and op.identifier.startswith("docker-image://") for op in ops)


def local_flags(uses: Iterable[LocalUse]) -> list[str]:
    """The --local flags with which buildctl, started here, finds the same directories."""
    from shlex import quote

    return [f"--local {quote(f'{use.name}={_directory(use)}')}" for use in uses]


def _directory(use: LocalUse) -> str:
    if use.dir is None:
        return "DIRECTORY"
    base = os.path.dirname(use.dir.relative_to) if os.path.isfile(use.dir.relative_to) else ""
    path = os.path.abspath(os.path.join(base, use.dir.path))
    return "." if path == os.getcwd() else shown_path(path)


_PLACE = click.Argument(["place"], required=False, default="", metavar="[FILE[:TARGET]]")
platform_option = click.Option(
    ["--platform"], metavar="OS/ARCH", help="What to build for; default: linux on this machine's architecture."
)
_RESOLVE = click.Option(
    ["--resolve"],
    type=click.Choice(["auto", "never"]),
    default="auto",
    show_default=True,
    help="auto: apply the image configs, asked of the daemon when the build has images; never: open no connection.",
)
addr_option = click.Option(
    ["--addr"], metavar="ADDRESS", help="The daemon to ask; default: BUILDKIT_HOST, then the usual sockets."
)
_SOURCE_MAP = click.Option(
    ["--source-map/--no-source-map"], default=True, help="Tell in the LLB which line made each op; default: do."
)

_FORMAT = click.Option(
    ["--format"],
    type=click.Choice(["pb", "json", "dot", "tree"]),
    default="pb",
    show_default=True,
    help="pb: what buildctl build reads; json, dot: as buildctl debug dump-llb writes it; tree: text to read and keep.",
)

command = TargetCommand(
    "dump",
    callback=_dump,
    params=[_PLACE, platform_option, _RESOLVE, addr_option, _SOURCE_MAP, _FORMAT, debug_option],
    help="""Write the LLB of TARGET (default) in FILE (build.py) to stdout, for `buildctl build`.

    Flags of the target's parameters go after FILE[:TARGET]; see them with --help behind it.""",
)
