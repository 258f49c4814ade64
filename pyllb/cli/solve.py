"""The command `pyllb solve`: build a target."""

from __future__ import annotations

import gc
import os
import re
import sys
from typing import TYPE_CHECKING

import attrs
import click

from pyllb.cli.command import debug_option
from pyllb.cli.flags import pairs
from pyllb.cli.invocation import TargetCommand
from pyllb.cli.settings import Settings
from pyllb.cli.targets import Call
from pyllb.cli.tls import taken, tls_options
from pyllb.errors import UsageError
from pyllb.progress import MODES
from pyllb.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyllb.client import Export, Result, Tls
    from pyllb.dsl.fs import FS
    from pyllb.progress import Sink


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Wishes(Value):
    """The options of one `pyllb solve`, as they were written."""

    output: tuple[str, ...]
    cache_from: tuple[str, ...]
    cache_to: tuple[str, ...]
    secret: tuple[str, ...]
    ssh: tuple[str, ...]
    allow: tuple[str, ...]
    local: tuple[str, ...]
    oci_layout: tuple[str, ...]
    platform: str | None
    no_cache: bool
    metadata_file: str | None
    progress: str
    addr: str | None
    tls: Tls | None
    timeout: str | None


def _solve(call: Call, **options: object) -> None:
    tls, rest = taken(options)
    wishes = Wishes(tls=tls, **rest)  # type: ignore[arg-type]  # click gives each the type that its declaration below says
    from pyllb.progress import make

    if wishes.metadata_file is not None:
        from pyllb.cli.metadata import check_metadata_file

        check_metadata_file(wishes.metadata_file)
    sink = make(wishes.progress, sys.stderr, os.environ)
    click.get_current_context().ensure_object(Settings).logs_shown = sink.shows_logs
    try:
        made = call.all()
        result = _build(_named(made, call.target.name), wishes, sink)
    finally:
        sink.close()
    if wishes.metadata_file is not None:
        from pyllb.cli.metadata import metadata_json, write_metadata

        alone = list(made) == [""]
        answers = {"": result.metadata} if alone else {name: one.metadata for name, one in result.targets.items()}
        write_metadata(wishes.metadata_file, metadata_json(answers))


def _named(made: Mapping[str, FS], target: str) -> dict[str, FS]:
    """What a target made, by the names that `{target}` stands for; one filesystem alone has the target's."""
    return {name or target: node for name, node in made.items()}


def _build(made: Mapping[str, FS], wishes: Wishes, sink: Sink) -> Result:
    from pyllb.client import Client
    from pyllb.client.specs.output import parse_exports
    from pyllb.engine import require

    # What can be wrong on this side is said before a daemon is looked for.
    exports = parse_exports(wishes.output, terminal=sys.stdout.isatty())
    local, layouts = pairs("--local", wishes.local), pairs("--oci-layout", wishes.oci_layout)
    timeout = None if wishes.timeout is None else parse_duration(wishes.timeout)
    gc.freeze()  # the graph is there to the end; a collection of it would take 10 ms, or 1 s when it is large
    gc.enable()
    with Client(require(wishes.addr), tls=wishes.tls) as client:
        result = client.solve(
            made,
            output=exports,
            cache_from=wishes.cache_from,
            cache_to=wishes.cache_to,
            platform=wishes.platform,
            secrets=wishes.secret or None,
            ssh=wishes.ssh or None,
            no_cache=wishes.no_cache,
            allow=wishes.allow,
            progress=sink,
            timeout=timeout,
            local=local,
            oci_layouts=layouts or None,
        )
    if sink.shows_logs:  # lines of text are in the way of quiet, and of rawjson's objects
        sys.stderr.writelines(f"warning: {text}\n" for text in _untold(result))
        sys.stderr.writelines(f"pushed {name}\n" for name in _pushed(exports, result))
    return result


def _untold(result: Result) -> list[str]:
    """The warnings of this side: progress tells those of vertices, and these are of none."""
    return list(dict.fromkeys(warning.short for warning in result.warnings if not warning.vertex))


def _pushed(exports: Iterable[Export], result: Result) -> list[str]:
    """NAME@DIGEST of what was pushed, which progress on a terminal has no room for.

    None of several images: the daemon's answer has the digest of one.
    """
    from pyllb.client.specs.output import IMAGES

    images = [export for export in exports if export.pushes or export.type in IMAGES]
    if len(images) != 1 or not images[0].pushes:
        return []
    metadata = [one.metadata for one in result.targets.values() or (result,)]
    named = [(answer.get("image.name", ""), answer.get("containerimage.digest")) for answer in metadata]
    return [f"{name}@{digest}" for names, digest in named if digest for name in names.split(",") if name]


_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?\Z")


def parse_duration(text: str) -> float:
    """Seconds of "90", "90s", "1m30s" or "2h". Raises UsageError, also for none at all."""
    match = _DURATION.match(text)
    hours, minutes, rest = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0)
    seconds = hours * 3600 + minutes * 60 + rest
    if seconds <= 0:
        raise UsageError(f"--timeout {text!r} is not a time; write seconds, or 1m30s, or 2h")
    return seconds


def _many(names: list[str], metavar: str, help: str) -> click.Option:
    return click.Option(names, multiple=True, metavar=metavar, help=f"{help} May be repeated.")


command = TargetCommand(
    "solve",
    callback=_solve,
    params=[
        click.Argument(["place"], required=False, default="", metavar="[FILE[:TARGET]]"),
        _many(
            ["--output", "-o", "output"],
            "SPEC",
            "What to make, such as type=local,dest=out, or out alone, or "
            "type=image,name=registry/app:1,push=true; without it the result stays in the daemon's cache.",
        ),
        _many(
            ["--cache-from", "--import-cache", "cache_from"],
            "SPEC",
            "Read the build cache: a reference, inline, max, or in full type=registry,ref=... or type=local,src=DIR.",
        ),
        _many(
            ["--cache-to", "--export-cache", "cache_to"],
            "SPEC",
            "Write the build cache: a reference, inline, max, or in full type=registry,ref=...,mode=max or "
            "type=local,dest=DIR,mode=max.",
        ),
        _many(["--secret"], "SPEC", "Give a secret: id=NAME,src=FILE or id=NAME,env=VARIABLE."),
        _many(["--ssh"], "SPEC", "Give an ssh agent: default, or ID=SOCKET."),
        _many(["--allow"], "RIGHT", "Allow network.host or security.insecure."),
        _many(["--local"], "NAME=DIR", "Take a local source from another directory."),
        _many(["--oci-layout"], "NAME=DIR", "Give an OCI layout that the build reads images or blobs from."),
        click.Option(
            ["--platform"],
            metavar="OS/ARCH",
            help="What to build for, or several with commas between them; default: the daemon's own.",
        ),
        click.Option(["--no-cache"], is_flag=True, help="Run every step, whatever the daemon has cached."),
        click.Option(["--metadata-file"], metavar="FILE", help="Write the exporters' answers to FILE as JSON."),
        click.Option(
            ["--progress"],
            type=click.Choice(MODES),
            default="auto",
            show_default=True,
            help="How progress is shown on stderr; auto is tty on a terminal, else plain.",
        ),
        click.Option(["--addr"], metavar="ADDRESS", help="The daemon; default: BUILDKIT_HOST, then the usual sockets."),
        *tls_options,
        click.Option(["--timeout"], metavar="TIME", help="Give up after this long: seconds, or 1m30s."),
        debug_option,
    ],
    help="""Build TARGET (default) of FILE (build.py).

    Flags of the target's parameters go after FILE[:TARGET]; see them with --help behind it.""",
)
