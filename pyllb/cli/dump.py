"""The command `pyllb dump`: a target's LLB on stdout, as buildctl reads it, or as text."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import attrs
import click

from pyllb.cli.command import debug_option
from pyllb.cli.flags import pairs
from pyllb.cli.invocation import TargetCommand
from pyllb.cli.source import shown_path
from pyllb.cli.targets import Call
from pyllb.cli.tls import taken, tls_options
from pyllb.errors import UsageError
from pyllb.value import Value

if TYPE_CHECKING:
    from pyllb.client import Tls
    from pyllb.dsl.fs import FS
    from pyllb.marshal.definition import Definition
    from pyllb.marshal.lower import LocalUse, Lowered


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Lowering(Value):
    """How a command makes LLB, as its options were written. resolve: "auto" or "never"."""

    platform: str | None
    resolve: str
    addr: str | None
    tls: Tls | None
    oci_layout: tuple[str, ...]

    @classmethod
    def of(cls, options: Mapping[str, object]) -> Lowering:
        """From a command's options. Raises UsageError."""
        tls, rest = taken(options)
        return cls(tls=tls, **rest)  # type: ignore[arg-type]  # click gives each the type that its declaration below says

    @property
    def layouts(self) -> dict[str, str]:
        """The directories of OCI layouts, by name."""
        return pairs("--oci-layout", self.oci_layout)


def _dump(call: Call, source_map: bool, format: str, **options: object) -> None:
    how = Lowering.of(options)
    if format == "pb" and sys.stdout.isatty():
        raise UsageError(
            "LLB is bytes, and stdout is a terminal; pipe it into `buildctl build`, redirect it to a file, "
            "or read it with --format tree"
        )
    layouts, node = how.layouts, call.one("dump")
    made = lowered(node, how, source_map)
    write(_formatted(made.definition, format))
    if format == "pb" and (flags := [*local_flags(made.locals), *layout_flags(node, layouts)]):
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


def lowered(node: FS, how: Lowering, source_map: bool = True) -> Lowered:
    """The LLB of a node; a daemon is asked for image configs when it has images, and how says so."""
    if how.resolve == "never" or not _has_images(node):
        from pyllb.client.compile import compile_node

        return compile_node(node, platform=how.platform, source_map=source_map)
    from pyllb.client import Client
    from pyllb.engine import require

    with Client(require(how.addr), tls=how.tls) as client:
        return client.compile(node, platform=how.platform, source_map=source_map, oci_layouts=how.layouts or None)


def _has_images(node: FS) -> bool:
    from pyllb.ir.graph import postorder
    from pyllb.ir.ops import SourceOp

    ops = postorder(node.output) if node.output is not None else []
    return any(isinstance(op, SourceOp) and op.image is not None for op in ops)


def local_flags(uses: Iterable[LocalUse]) -> list[str]:
    """The --local flags with which buildctl, started here, finds the same directories."""
    from shlex import quote

    return [f"--local {quote(f'{use.name}={_directory(use)}')}" for use in uses]


def layout_flags(node: FS, given: Mapping[str, str]) -> list[str]:
    """The --oci-layout flags with which buildctl, started here, finds the layouts that the node reads."""
    from shlex import quote

    from pyllb.ir.graph import layout_use, postorder

    uses = map(layout_use, postorder(node.output) if node.output is not None else ())
    names = dict.fromkeys(use[0] for use in uses if use is not None)
    return ["--oci-layout " + quote(f"{name}={given.get(name, 'DIRECTORY')}") for name in names]


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
oci_layout_option = click.Option(
    ["--oci-layout"],
    multiple=True,
    metavar="NAME=DIR",
    help="Give an OCI layout that the build reads images from. May be repeated.",
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
    params=[
        _PLACE,
        platform_option,
        _RESOLVE,
        oci_layout_option,
        addr_option,
        *tls_options,
        _SOURCE_MAP,
        _FORMAT,
        debug_option,
    ],
    help="""Write the LLB of TARGET (default) in FILE (build.py) to stdout, for `buildctl build`.

    Flags of the target's parameters go after FILE[:TARGET]; see them with --help behind it.""",
)
