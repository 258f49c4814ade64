"""The command `pyllb engine`: find, start, stop, look at or install a buildkitd."""

from __future__ import annotations

import sys

import click

from pyllb.cli.command import debug_option


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _find(addr: str | None) -> None:
    from pyllb.client.address import find_address

    click.echo(find_address(addr))


def _start(mirror: tuple[str, ...], plain_http: tuple[str, ...], timeout: float) -> None:
    from pyllb.engine import start

    mirrors = dict(_mirror(text) for text in mirror)
    engine = start(mirrors=mirrors or None, plain_http=plain_http, timeout=timeout, say=_say)
    _say(f"started buildkitd, process {engine.pid}" if engine.started else f"runs already, process {engine.pid}")
    _say(f"to use it elsewhere: export BUILDKIT_HOST={engine.address}")
    click.echo(engine.address)


def _mirror(text: str) -> tuple[str, str]:
    host, mark, mirror = text.partition("=")
    if not (host and mark and mirror):
        raise click.UsageError(f"--mirror {text!r} is not HOST=MIRROR, such as docker.io=127.0.0.1:5000")
    return host, mirror


def _stop(grace: float) -> None:
    from pyllb.engine import stop

    _say("stopped" if stop(grace=grace) else "no engine was running")


def _status() -> int:
    from pyllb.engine import status

    found = status()
    rows = [("state", found.state)]
    if found.engine is not None:
        rows += [("address", found.engine.address), ("process", str(found.engine.pid)), ("log", str(found.engine.log))]
    rows += [
        ("root", str(found.root)),
        ("program", str(found.program) if found.program else "none; pyllb engine install"),
    ]
    click.echo("\n".join(f"{name:8} {value}" for name, value in rows))
    return 0 if found.state == "running" else 3


def _install(source: str) -> None:
    from pyllb.engine import install

    click.echo(install(source=source, say=_say))


_ADDR = click.Option(
    ["--addr"], metavar="ADDRESS", help="The daemon to use; default: BUILDKIT_HOST, then the usual sockets."
)
_MIRROR = click.Option(
    ["--mirror"],
    multiple=True,
    metavar="HOST=MIRROR",
    help="Ask MIRROR for images of the registry HOST; may be repeated.",
)
_PLAIN = click.Option(["--plain-http"], multiple=True, metavar="HOST", help="Speak to the registry HOST without TLS.")
_TIMEOUT = click.Option(
    ["--timeout"], type=float, default=30.0, show_default=True, help="Seconds the daemon may take to answer."
)
_GRACE = click.Option(["--grace"], type=float, default=10.0, show_default=True, help="Seconds it has to end by itself.")
_SOURCE = click.Option(
    ["--source"],
    type=click.Choice(["auto", "release", "module"]),
    default="auto",
    show_default=True,
    help="An official release, checked by SHA-256, or a build of the Go module; auto tries both in this order.",
)

command = click.Group(
    "engine",
    help="Find, start, stop, look at or install a buildkitd.",
    no_args_is_help=False,
    params=[debug_option],
    commands=[
        click.Command(
            "find", callback=_find, params=[_ADDR, debug_option], help="Print the address of the daemon to use."
        ),
        click.Command(
            "start",
            callback=_start,
            params=[_MIRROR, _PLAIN, _TIMEOUT, debug_option],
            help="Start a private buildkitd, unless it runs already, and print its address.",
        ),
        click.Command(
            "stop", callback=_stop, params=[_GRACE, debug_option], help="Stop the private buildkitd; its caches stay."
        ),
        click.Command(
            "status",
            callback=_status,
            params=[debug_option],
            help="Show the private buildkitd; exit code 3 unless it runs.",
        ),
        click.Command(
            "install",
            callback=_install,
            params=[_SOURCE, debug_option],
            help="Put buildkitd and buildctl into pyllb's cache.",
        ),
    ],
)
