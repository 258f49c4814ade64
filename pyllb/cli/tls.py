"""Tls: the flags for a daemon that speaks TLS, which are buildctl's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pyllb.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyllb.client import Tls

_HELP = {
    "tlscacert": ("FILE", "The certificates that vouch for the daemon's; default: the system's."),
    "tlscert": ("FILE", "This side's certificate, for a daemon that asks for one."),
    "tlskey": ("FILE", "The key of --tlscert."),
    "tlsdir": ("DIR", "A directory with all three: ca.pem, cert.pem, key.pem, or ca.crt, tls.crt, tls.key."),
    "tlsservername": ("NAME", "The name that the daemon's certificate has; default: the host of the address."),
}

tls_options = [click.Option([f"--{name}"], metavar=metavar, help=help) for name, (metavar, help) in _HELP.items()]


def taken(options: Mapping[str, object]) -> tuple[Tls | None, dict[str, object]]:
    """What the flags say, None when none is given, and the options that are left. Raises UsageError."""
    given = {name: str(options[name]) for name in _HELP if options[name] is not None}
    rest = {name: value for name, value in options.items() if name not in _HELP}
    return (_read(given) if given else None), rest


def _read(given: Mapping[str, str]) -> Tls:
    from pyllb.client import Tls

    name, directory = given.get("tlsservername"), given.get("tlsdir")
    files = {flag: path for flag, path in given.items() if flag not in ("tlsdir", "tlsservername")}
    if directory is None:
        return Tls(ca=files.get("tlscacert"), cert=files.get("tlscert"), key=files.get("tlskey"), server_name=name)
    if files:
        raise UsageError(
            f"--tlsdir has all three files, and --{next(iter(files))} is one of them; give one or the other"
        )
    return Tls.of_directory(directory, server_name=name)
