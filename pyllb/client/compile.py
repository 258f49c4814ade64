"""Compiling: a node into LLB, with image configs from wherever the caller has them."""

from __future__ import annotations

import functools
import hashlib
import linecache
import os
import platform as machine
import sys
from collections.abc import Callable, Mapping
from types import ModuleType

from pyllb.errors import OptionError, PyllbError
from pyllb.ir.constraints import NO_CONSTRAINTS, Constraints
from pyllb.ir.image import ResolvedImage
from pyllb.ir.ops import Node
from pyllb.ir.platform import Platform, given_platform, known_platform, normalize_architecture
from pyllb.marshal.definition import Definition
from pyllb.marshal.lower import Lowered, ResolveImage, lower
from pyllb.marshal.sourcemap import no_text

Resolver = Callable[[frozenset[ResolveImage]], Mapping[ResolveImage, ResolvedImage | PyllbError]]
"""Answers, for each image asked for, with its config, or with the error that the build then fails with."""

# What kernels call an architecture, where Go calls it otherwise and containerd does not know the name.
_KERNEL_NAMES = {
    **{f"i{generation}86": ("386", "") for generation in "3456"},
    **{f"armv{version}l": ("arm", f"v{version}") for version in "5678"},
    "loongarch64": ("loong64", ""),
}

# A dump is to be the same on every run and every machine; a solve takes a random id.
_DUMP_ID = hashlib.sha256(b"pyllb dump").hexdigest()[:25]


def dump(
    node: Node,
    *,
    platform: str | Platform | None = None,
    resolver: Resolver | None = None,
    source_map: bool = True,
    local_unique_id: str | None = None,
    constraints: Constraints | None = None,
    sets_default_path: bool | None = None,
) -> Definition:
    """The LLB of a node, as Go's client/llb would marshal it (BuildKit 0.33.1). Opens no connection.

    platform: what a state that names none is for, such as "linux/arm64"; None is linux on this machine's
    architecture. resolver: gives image configs; None applies none of them, which is Go's rule without a resolver.
    source_map: whether the definition says which lines of the user's files made each op. local_unique_id: the
    attribute local.unique of local sources; None is a fixed one, so that a dump is the same each time. constraints: of
    every op that is made here, each one's own laid over them; their platform is not asked. None is none.
    sets_default_path: whether the daemon gives a PATH to commands that have none; where it does not, they get the usual
    one here. None does not ask, which is Go's rule without WithCaps.
    Raises GraphError for a build that cannot be, OptionError for a platform that is none.
    """
    return compile_node(
        node,
        platform=platform,
        resolver=resolver,
        source_map=source_map,
        local_unique_id=local_unique_id,
        constraints=constraints,
        sets_default_path=sets_default_path,
    ).definition


def compile_node(
    node: Node,
    *,
    platform: str | Platform | None = None,
    resolver: Resolver | None = None,
    source_map: bool = True,
    local_unique_id: str | None = None,
    constraints: Constraints | None = None,
    sets_default_path: bool | None = None,
) -> Lowered:
    """As dump, with what stands beside the definition: the local sources, the image config and its annotations."""
    check_node("dump", node)
    _check_options(resolver, local_unique_id, constraints)
    _check_flags(source_map, sets_default_path)
    steps = lower(
        node,
        platform=as_platform(platform),
        local_unique_id=_DUMP_ID if local_unique_id is None else local_unique_id,
        resolve=resolver is not None,
        read_text=user_text if source_map else no_text,
        constraints=NO_CONSTRAINTS if constraints is None else constraints,
        sets_default_path=sets_default_path,
    )
    try:
        wanted = next(steps)
        while resolver is not None:
            wanted = steps.send(_answers(resolver, wanted))
        raise AssertionError("lowering asks for images only when it may")
    except StopIteration as done:
        lowered: Lowered = done.value
        return lowered


def _answers(resolver: Resolver, wanted: frozenset[ResolveImage]) -> Mapping[ResolveImage, ResolvedImage | PyllbError]:
    answers = resolver(wanted)
    if not isinstance(answers, Mapping):
        raise OptionError(f"resolver returned {_show(answers)}; let it return a mapping of each image to its config")
    return answers


def check_node(what: str, value: object) -> None:
    """Make sure that value is a filesystem. Raises OptionError."""
    if not hasattr(value, "output"):
        hint = "; call it first" if callable(value) else "; give one filesystem, such as fs().image('alpine')"
        raise OptionError(f"{what}: {value!r} is no filesystem{hint}")


def _check_options(resolver: object, local_unique_id: object, constraints: object) -> None:
    if resolver is not None and not callable(resolver):
        raise OptionError(f"resolver is {_show(resolver)}; write a callable that answers for images, or None")
    if local_unique_id is not None and not isinstance(local_unique_id, str):
        raise OptionError(f"local_unique_id is {_show(local_unique_id)}; write a str, or None for a fixed one")
    if constraints is not None and not isinstance(constraints, Constraints):
        raise OptionError(f"constraints is {_show(constraints)}; write constraints(name='n', ...)")


def _check_flags(source_map: object, sets_default_path: object) -> None:
    if not isinstance(source_map, bool):
        raise OptionError(f"source_map is {_show(source_map)}; write True or False")
    if sets_default_path is not None and not isinstance(sets_default_path, bool):
        raise OptionError(f"sets_default_path is {_show(sets_default_path)}; write True, False or None")


def _show(value: object) -> str:
    return f"{value!r} ({type(value).__name__})"


def as_platform(value: str | Platform | None) -> Platform:
    """A platform as given; None is linux on this machine's architecture. Raises OptionError."""
    if isinstance(value, Platform):
        return given_platform(value)
    return host_platform() if value is None else known_platform(value, host=host_platform())


def host_platform() -> Platform:
    """linux on this machine's architecture, as Go's client takes when none is said."""
    name = machine.machine() or "amd64"
    return Platform("linux", *normalize_architecture(*_KERNEL_NAMES.get(name, (name, ""))))


def user_text(filename: str) -> str | None:
    """The text of a file with Python code; "" when it cannot be had, None when the file is not the user's.

    Not the user's: the standard library, installed packages, and pyllb. The text is the one that tracebacks show.
    """
    return None if filename.startswith(_foreign()) else text_of(filename)


def text_of(filename: str) -> str:
    """A file's text as tracebacks show it, also out of an archive; "" when it cannot be had."""
    linecache.checkcache(filename)  # a notebook edits its modules and loads them again; a build file's text is kept
    lines = linecache.getlines(filename)
    if not lines and not filename.startswith("<"):
        lines = linecache.getlines(filename, _globals(filename))
    return "".join(lines)


def _globals(filename: str) -> dict[str, object]:
    """The names of the module that a file is of: in them stands its loader, which knows the text of one in a zip."""
    # Not those of other types: one that is lazy is loaded as soon as anything of it is asked for.
    modules = (vars(module) for module in list(sys.modules.values()) if type(module) is ModuleType)
    return next((names for names in modules if names.get("__file__") == filename), {})


@functools.cache
def _foreign() -> tuple[str, ...]:
    # sysconfig knows these places too, and takes milliseconds to load.
    found = {os.path.dirname(os.__file__), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}
    found |= {path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")}
    # A frame's file is as the import system had it, which may be a link to what is said here.
    found |= {os.path.realpath(path) for path in found}
    return ("<frozen ", *(path + os.sep for path in sorted(found)))
