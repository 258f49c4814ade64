"""Targets: the functions of a build file that can be built, found by name and called."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from types import FunctionType
from typing import TYPE_CHECKING

import attrs

from pyllb.cli.load import BuildFile, Place, running
from pyllb.cli.source import shown_path
from pyllb.errors import BuildFileError, SourceLine, nearest
from pyllb.value import Value

if TYPE_CHECKING:
    from pyllb.dsl.fs import FS
    from pyllb.dsl.target import Target


def targets_of(build: BuildFile) -> dict[str, Target]:
    """The targets a build file defines or imports, by name, in the order it names them; its own hides an imported one.

    Raises BuildFileError when two of its own have one name.
    """
    from pyllb.dsl.target import target_of

    found: dict[str, Target] = {}
    for target in filter(None, map(target_of, vars(build.module).values())):
        first = found.setdefault(target.name, target)
        if _function(first) is not _function(target):
            _check_own(build, first, target)
            found[target.name] = target
    return found


def _check_own(build: BuildFile, first: Target, second: Target) -> None:
    places = [_definition(first), _definition(second)]
    if all(place.filename == build.path for place in places):
        numbers = " and ".join(str(place.line) for place in places)
        raise BuildFileError(
            f"{shown_path(build.path)} has two targets {first.name!r}, in lines {numbers}; give one another name",
            sources=places[1:],
        )


def find_target(build: BuildFile, place: Place) -> Target:
    """The target that place names. Raises BuildFileError, with near names and all there are."""
    targets = targets_of(build)
    if place.target in targets:
        return targets[place.target]
    if not targets:
        raise BuildFileError(f"{place.file} has no target; put @pyllb.target above the function that makes the build")
    close = nearest(place.target, targets)
    hint = f"; did you mean {close!r}?" if close else ""
    raise BuildFileError(f"{place.file} has no target {place.target!r}{hint}\nit has: {', '.join(targets)}")


@attrs.frozen(eq=False, repr=False)
class Call(Value):
    """A target with the values of its parameters."""

    build: BuildFile
    target: Target
    values: Mapping[str, object]

    def all(self) -> dict[str, FS]:
        """Call it: what it made, by name; one filesystem alone has the name "".

        A list's members are named by their position. Raises BuildFileError when it raises, and when it returns
        something else than an FS, a list of them, or a dict of them by name; errors of pyllb's own pass.
        """
        with running(self.build.path):
            made = self.target.function(**self.values)
        return self._checked(made)

    def one(self, command: str) -> FS:
        """Call it, for a command that takes one filesystem. Raises BuildFileError when there are several."""
        made = self.all()
        if len(made) != 1:
            names = ", ".join(made)
            raise self._error(f"returned {len(made)} filesystems ({names}); pyllb {command} takes a target with one")
        return next(iter(made.values()))

    def _checked(self, made: object) -> dict[str, FS]:
        from pyllb.dsl.fs import FS

        if isinstance(made, FS):
            return {"": made}
        if made is None:
            raise self._error("returned None; return the FS that it made")
        if isinstance(made, Coroutine):
            made.close()  # else Python warns that nobody awaits it
        if isinstance(made, Mapping):
            members = {str(name): value for name, value in made.items()}
        elif isinstance(made, list | tuple):
            members = {str(position): value for position, value in enumerate(made)}
        else:
            raise self._error(f"returned {_kind(made)}; return an FS, a list of them, or a dict of them by name")
        for name, value in members.items():
            if not isinstance(value, FS):
                raise self._error(f"returned {_kind(value)} at {name!r}; every member has to be an FS")
        if len(members) < len(made):  # such as 1 and "1"
            raise self._error(f"returned the names {', '.join(map(repr, made))}; as text, each has to be another")
        if not members:
            raise self._error(f"returned {made!r}, which is no build; return at least one FS")
        return members

    def _error(self, text: str) -> BuildFileError:
        where = f"target {self.target.name!r} of {shown_path(self.build.path)}"
        return BuildFileError(f"{where} {text}", sources=(_definition(self.target),))


def _definition(target: Target) -> SourceLine:
    """Where the function's def stands; Python's own first line is that of its decorators."""
    from pyllb.client.compile import text_of

    code = _function(target).__code__
    text = text_of(code.co_filename)
    rest = enumerate(text.split("\n")[code.co_firstlineno - 1 :], code.co_firstlineno)
    line = next((n for n, row in rest if row.lstrip().startswith(("def ", "async "))), code.co_firstlineno)
    return SourceLine(code.co_filename, line, text=text)


def _function(target: Target) -> FunctionType:
    """The function itself, without its decorators."""
    import inspect

    function = inspect.unwrap(target.function)
    assert isinstance(function, FunctionType)
    return function


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
