"""Target: a function of a build file that the command can call, and its parameters, which become flags."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable
from typing import Annotated, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints, overload

import attrs

from pyllb.dsl import check
from pyllb.errors import OptionError
from pyllb.value import Shown, Value

P = ParamSpec("P")
R = TypeVar("R")

Kind = Literal["str", "int", "float", "bool", "path", "choice", "list"]

_RECORD = "__pyllb_target__"
_KINDS: dict[object, Kind] = {str: "str", int: "int", float: "float", bool: "bool"}
_LISTS = (list, tuple)
_NAME = r"[A-Za-z_][A-Za-z0-9_.-]*\Z"
_ARGS_SECTION = r"^\s*(?:Args|Arguments|Parameters):\s*$"
_SPHINX = r"^\s*:param\s+(?:[\w\[\], |]+\s+)?(\w+):\s*(.+)$"
_TYPES = "str, int, float, bool, Path, Literal[...], list[str] or one of these | None"


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Parameter(Value):
    """A parameter of a target.

    kind: what the flag's text becomes; "list" is list[str], given once per item. default: None when there is none or
    it is None; required tells which. choices: of a Literal, else (). help: from the docstring or Annotated, "" if none.
    """

    name: str
    kind: Kind
    default: object = None
    required: bool = False
    choices: tuple[str | int, ...] = ()
    help: str = ""


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Target(Shown):
    """What the command knows of a target: how it is named and called. doc: its docstring, dedented, "" when none."""

    name: str
    parameters: tuple[Parameter, ...]
    doc: str
    function: Callable[..., object] = attrs.field(repr=False)


@overload
def target(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def target(*, name: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def target(
    function: Callable[P, R] | None = None, /, *, name: str | None = None
) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a function of a build file as one that `pyllb solve build.py:NAME` can call; calling it stays a plain call.

    Its parameters become flags, by their annotations: str, int, float, bool, Path, Literal, list[str], and each of
    them or None; one without annotation has the type of its default, else str. It returns a filesystem, a list of them
    or a dict of names to them. name: None is the function's, with `_` as it is.

    Raises OptionError for a parameter that no flag can give.
    """
    if function is None:
        return lambda fn: _mark(fn, name)
    return _mark(function, name)


def target_of(value: object) -> Target | None:
    """The record that `target` left on a function, None when there is none.

    A decorator above `target` copies it, as functools.wraps does: then what that decorator made is what is called.
    """
    record = getattr(value, _RECORD, None)
    if not isinstance(record, Target):
        return None
    return attrs.evolve(record, function=value) if callable(value) and value is not record.function else record


def describe(function: Callable[..., object], name: str | None = None) -> Target:
    """The record of a function that may not be marked: what `target` would leave on it. Raises OptionError."""
    if not inspect.isfunction(function):
        raise OptionError(f"a target is {check.show(function)}; write a function")
    shown = function.__name__ if name is None else check.text("the name of a target", name)
    if not re.match(_NAME, shown):
        raise OptionError(f"the name of a target is {shown!r}; write letters, digits, '_', '-' and '.'")
    return Target(
        name=shown, parameters=_parameters(function), doc=inspect.cleandoc(function.__doc__ or ""), function=function
    )


def _mark(function: Callable[P, R], name: str | None) -> Callable[P, R]:
    setattr(function, _RECORD, describe(function, name))
    return function


def _parameters(function: Callable[..., object]) -> tuple[Parameter, ...]:
    signature = inspect.signature(function)
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError:  # an annotation of a name that is only imported for a type checker; it is no flag type then
        hints = {}
    helps = _helps(inspect.cleandoc(function.__doc__ or ""))
    return tuple(_parameter(function.__name__, p, hints, helps) for p in signature.parameters.values())


def _parameter(
    function: str, parameter: inspect.Parameter, hints: dict[str, object], helps: dict[str, str]
) -> Parameter:
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        shown = str(parameter.replace(annotation=parameter.empty, default=parameter.empty))
        raise OptionError(f"parameter {shown!r} of target {function!r} cannot be a flag; give it a name")
    required = parameter.default is parameter.empty
    default = None if required else parameter.default
    hint = hints.get(name, parameter.annotation)
    if hint is parameter.empty:
        hint = str if default is None else type(default)
    note = ""
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        note = next((text for text in notes if isinstance(text, str)), "")
    kind, choices = _kind(function, name, hint)
    return Parameter(
        name=name,
        kind=kind,
        default=default,
        required=required,
        choices=choices,
        help=note or helps.get(name, ""),
    )


def _kind(function: str, name: str, hint: object) -> tuple[Kind, tuple[str | int, ...]]:
    if get_origin(hint) in (Union, types.UnionType):
        rest = [arg for arg in get_args(hint) if arg is not types.NoneType]
        hint = rest[0] if len(rest) == 1 else hint
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        if all(isinstance(item, str | int) for item in choices):
            return "choice", choices
    if hint in _LISTS or (get_origin(hint) in _LISTS and get_args(hint)[:1] == (str,)):
        return "list", ()
    if isinstance(hint, type) and hint in _KINDS:
        return _KINDS[hint], ()
    if isinstance(hint, type) and hint.__module__.startswith("pathlib"):  # by name: importing it costs 2 ms
        return "path", ()
    shown = hint if isinstance(hint, str) else inspect.formatannotation(hint)
    raise OptionError(f"parameter {name!r} of target {function!r} has the type {shown}; a flag is {_TYPES}")


def _helps(doc: str) -> dict[str, str]:
    """Each parameter's line of a docstring, from `:param name: text` or from an `Args:` section."""
    found = {name: text.strip() for name, text in re.findall(_SPHINX, doc, re.MULTILINE)}
    section = re.search(_ARGS_SECTION, doc, re.MULTILINE)
    if section is None:
        return found
    name = ""
    for line in doc[section.end() :].strip("\n").splitlines():
        if line and not line[0].isspace():
            break
        match = re.match(r"\s+(\w+)(?:\s*\([^)]*\))?:\s+(.*)", line)
        if match:
            name, found[match.group(1)] = match.group(1), match.group(2).strip()
        elif name and line.strip():
            found[name] += " " + line.strip()
    return found
