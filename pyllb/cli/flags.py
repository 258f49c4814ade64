"""Flags: a target's parameters as options of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from pyllb.errors import BuildFileError, UsageError

if TYPE_CHECKING:
    from pyllb.dsl.target import Parameter, Target


def flag_of(parameter: Parameter) -> str:
    """`--go-version` for the parameter go_version."""
    return "--" + parameter.name.replace("_", "-")


def spellings(parameter: Parameter) -> tuple[str, ...]:
    """The flags that give a parameter; a bool has `--no-fast` besides `--fast`."""
    flag = flag_of(parameter)
    return (flag, f"--no-{flag.removeprefix('--')}") if parameter.kind == "bool" else (flag,)


def option_of(parameter: Parameter, prefix: str) -> click.Option:
    """The option that reads a parameter; its name among click's is the parameter's with prefix in front.

    A parameter that is not given has None, or () if it is a list: the caller leaves it out of the call, so that the
    function's own default counts. One that must be given is required.
    """
    return click.Option(
        ["/".join(spellings(parameter)), prefix + parameter.name],
        type=None if parameter.kind == "bool" else _type(parameter),
        required=parameter.required,
        multiple=parameter.kind == "list",
        help=_help(parameter),
    )


def check_names(target: Target, taken: Iterable[str]) -> None:
    """Make sure that no flag of a parameter is the command's own, or another's too. Raises BuildFileError."""
    owners = dict.fromkeys(taken, "is the command's own")
    for parameter in target.parameters:
        for flag in spellings(parameter):
            if flag in owners:
                raise BuildFileError(
                    f"parameter {parameter.name!r} of target {target.name!r} would be {flag}, "
                    f"which {owners[flag]}; give it another name"
                )
            owners[flag] = f"{parameter.name!r} has too"


def pairs(flag: str, given: Iterable[str]) -> dict[str, str]:
    """What NAME=DIR options say, by name; the last of a name counts. Raises UsageError."""
    found = {}
    for text in given:
        name, mark, directory = text.partition("=")
        if not (name and mark and directory):
            raise UsageError(f"{flag} {text!r} is not NAME=DIR, such as context=.")
        found[name] = directory
    return found


def describe(parameter: Parameter) -> str:
    """A parameter in a list: its flag, what it takes, its default."""
    if parameter.kind == "bool":
        flag = "/".join(spellings(parameter))
    else:
        choices = "|".join(map(str, parameter.choices))
        flag = f"{flag_of(parameter)} {choices or ('str ...' if parameter.kind == 'list' else parameter.kind)}"
    if parameter.required:
        return f"{flag} (required)"
    default = _shown_default(parameter)
    return f"{flag} (default: {default})" if default else flag


def value_of(parameter: Parameter, given: object) -> object:
    """What the target gets for what click has read."""
    match parameter.kind:
        case "path":
            from pathlib import Path  # 2 ms of start-up, for targets that want it

            return Path(str(given))
        case "choice":
            return {str(choice): choice for choice in parameter.choices}[str(given)]
        case "list":
            items = given if isinstance(given, tuple) else (given,)
            return items if isinstance(parameter.default, tuple) else list(items)
        case _:
            return given


def _type(parameter: Parameter) -> object:
    match parameter.kind:
        case "int":
            return click.INT
        case "float":
            return click.FLOAT
        case "choice":
            return click.Choice([str(choice) for choice in parameter.choices])
        case _:
            return click.STRING


def _help(parameter: Parameter) -> str:
    default = "" if parameter.required else _shown_default(parameter)  # that one is required, click says itself
    return f"{parameter.help}  [default: {default}]".strip() if default else parameter.help


def _shown_default(parameter: Parameter) -> str:
    default = parameter.default
    if default is None or default is False or default in ("", (), []):
        return ""
    if default is True:
        return "yes"
    return ", ".join(map(str, default)) if isinstance(default, list | tuple) else str(default)
