"""Graph functions: one filesystem made of several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pyllb.dsl import check
from pyllb.dsl.constraints import constraints
from pyllb.dsl.fs import FS, fs
from pyllb.errors import OptionError
from pyllb.ir.ops import DiffOp, MergeOp, Output
from pyllb.ir.site import here

if TYPE_CHECKING:
    from pyllb.ir.constraints import ProgressGroup


def merge(
    *filesystems: FS,
    filters: Iterable[str] = (),
    name: str | None = None,
    description: Mapping[str, str] | None = None,
    ignore_cache: bool = False,
    export_cache: bool | None = None,
    group: str | ProgressGroup | None = None,
) -> FS:
    """Lay filesystems over each other, the last on top, without copying.

    Empty ones are left out; of one that is left, that one is the result. The values are those of the first that is
    not empty. The options: see `FS.run`. Raises OptionError.

    LLB: MergeOp. Mirrors client/llb Merge (BuildKit 0.33.1).
    """
    for item in filesystems:
        _filesystem("merge", item)
    options = constraints(
        filters=filters,
        name=name,
        description=description,
        ignore_cache=ignore_cache,
        export_cache=export_cache,
        group=group,
    )
    full = [item for item in filesystems if item.output is not None]
    if len(full) < 2:
        return full[0] if full else fs()
    outputs = tuple(item.output for item in full if item.output is not None)
    return FS(Output(MergeOp(sources=outputs, constraints=options, site=here())), full[0].meta, full[0].spec)


def diff(
    lower: FS,
    upper: FS,
    *,
    filters: Iterable[str] = (),
    name: str | None = None,
    description: Mapping[str, str] | None = None,
    ignore_cache: bool = False,
    export_cache: bool | None = None,
    group: str | ProgressGroup | None = None,
) -> FS:
    """What upper changes in lower, as a filesystem to merge onto another one; removed files too.

    When lower is empty it is upper; the values are those of lower. The options: see `FS.run`. Raises OptionError.

    LLB: DiffOp. Mirrors client/llb Diff (BuildKit 0.33.1).
    """
    _filesystem("diff", lower)
    _filesystem("diff", upper)
    options = constraints(
        filters=filters,
        name=name,
        description=description,
        ignore_cache=ignore_cache,
        export_cache=export_cache,
        group=group,
    )
    if lower.output is None:
        return fs() if upper.output is None else upper
    op = DiffOp(lower=lower.output, upper=upper.output, constraints=options, site=here())
    return FS(Output(op), lower.meta, lower.spec)


def passthrough(
    *filesystems: FS,
    id: str,
    outputs: Iterable[int] | None = None,
    filters: Iterable[str] = (),
    name: str | None = None,
    description: Mapping[str, str] | None = None,
    ignore_cache: bool = False,
    export_cache: bool | None = None,
    group: str | ProgressGroup | None = None,
) -> tuple[FS, ...]:
    """Hand filesystems on as they are, each only when all of them are made.

    id: names the op and is part of its cache key. outputs: places of those that are handed on, None is all; the
    others are only waited for. Empty ones that are only waited for are left out. The options: see `FS.run`.
    Returns one filesystem an output, with the values that it had. Raises OptionError.

    LLB: PassthroughOp. Mirrors client/llb NewPassthrough (BuildKit 0.33.1). `FS.requires` is the short form.
    """
    from pyllb.ir.rare import PassthroughOp  # here: few builds have one, and start-up is measured

    for item in filesystems:
        _filesystem("passthrough", item)
    options = constraints(
        filters=filters,
        name=name,
        description=description,
        ignore_cache=ignore_cache,
        export_cache=export_cache,
        group=group,
    )
    full = [index for index, item in enumerate(filesystems) if item.output is not None]
    handed = _outputs(outputs, filesystems)
    sources = tuple(output for output in (item.output for item in filesystems) if output is not None)
    places = tuple(full.index(index) for index in handed)
    label = check.text("the id of passthrough", id)
    op = PassthroughOp(id=label, sources=sources, outputs=places, constraints=options, site=here())
    return tuple(
        FS(Output(op, number), filesystems[index].meta, filesystems[index].spec) for number, index in enumerate(handed)
    )


def _outputs(outputs: Iterable[int] | None, filesystems: tuple[FS, ...]) -> tuple[int, ...]:
    count = len(filesystems)
    if not count:
        raise OptionError("passthrough has no filesystems; write at least one")
    if outputs is None:
        places = tuple(range(count))
    else:
        check.ordered("outputs", outputs, "a list of places, [0] say")
        places = tuple(check.integer("an output of passthrough", place, 0, count - 1) for place in outputs)
    if not places or list(places) != sorted(set(places)):
        raise OptionError(f"the outputs of passthrough are {places}; write at least one, each once, in order")
    for place in places:
        if filesystems[place].output is None:
            raise OptionError(f"filesystem {place} of passthrough is empty; there is nothing to hand on")
    return places


def _filesystem(what: str, value: FS) -> None:
    if not isinstance(value, FS):
        hint = "write * before a list" if isinstance(value, list | tuple) else "write filesystems"
        raise OptionError(f"{what} is given {check.show(value)}; {hint}")
