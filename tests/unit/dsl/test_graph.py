"""Several filesystems as one: merge, diff, requires, passthrough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pyllb
from pyllb import fs, image, passthrough
from pyllb.dsl.fs import FS
from pyllb.errors import OptionError
from pyllb.ir.constraints import NO_CONSTRAINTS
from pyllb.ir.ops import Vertex
from pyllb.ir.rare import BuildOp, PassthroughOp

any_: Any = pyllb  # wrong types are the point below


def vertex(made: FS) -> Vertex:
    assert made.output is not None
    return made.output.vertex


def test_a_filesystem_that_requires_others_reads_them_and_keeps_its_values() -> None:
    base, other = image("a").env(A="1").label("l", "1"), image("b")
    made = base.requires(other, fs(), id="tests", name="wait")
    op = vertex(made)
    assert isinstance(op, PassthroughOp)
    assert (op.id, op.sources, op.outputs, op.constraints.name) == ("tests", (base.output, other.output), (0,), "wait")
    assert (made.meta, made.spec) == (base.meta, base.spec)
    assert repr(made).startswith("<FS passthrough tests at ")


def test_what_requires_nothing_is_itself() -> None:
    base = image("a")
    assert base.requires() is base
    assert vertex(base.requires(base)) is not vertex(base)
    assert vertex(base.requires(base)).constraints is NO_CONSTRAINTS


def test_passthrough_hands_on_what_it_is_told_to() -> None:
    first, second, third = image("a"), fs(), image("c").env(C="1")
    one, two = passthrough(first, second, third, id="x", outputs=[0, 2])
    assert vertex(one) is vertex(two)
    assert one.output is not None
    assert two.output is not None
    assert (one.output.index, two.output.index) == (0, 1)
    assert (one.meta, two.meta) == (first.meta, third.meta)
    op = vertex(one)
    assert isinstance(op, PassthroughOp)
    assert (op.sources, op.outputs) == ((first.output, third.output), (0, 1))
    assert len(passthrough(first, third, id="x")) == 2


def test_a_definition_in_a_file_is_solved_with_the_values_of_its_filesystem() -> None:
    base = image("a").env(A="1").label("l", "1")
    made = base.solve_definition("out.pb", platform="linux/arm64", name="n")
    op = vertex(made)
    assert isinstance(op, BuildOp)
    assert (op.source, op.filename, op.constraints.name) == (base.output, "out.pb", "n")
    assert (made.meta, made.spec) == (base.meta, base.spec)
    assert repr(made).startswith("<FS build of out.pb at ")
    assert repr(base.solve_definition()).startswith("<FS build of buildkit.llb.definition at ")


def test_a_filesystem_that_is_reset_has_the_values_of_another() -> None:
    other = image("a", platform="linux/arm64").env(A="1").dir("/w").label("l", "1")
    made = image("b").env(B="1").reset(other)
    assert (made.meta.env, made.meta.settings.dirs, made.spec) == ((("A", "1"),), ("/",), other.spec)
    assert made.meta.settings.platform == other.meta.settings.platform
    named = image("b", platform="linux/386").reset(other).meta.settings
    assert (named.dirs, str(named.platform)) == (("/w",), "linux/386")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fs().requires(image("a")), "filesystem 0 of passthrough is empty"),
        (lambda: any_.image("a").requires("b"), "write filesystems"),
        (lambda: any_.image("a").requires([image("b")]), "write \\* before a list"),
        (lambda: image("a").requires(image("b"), id=""), "the id of passthrough is empty"),
        (lambda: passthrough(image("a"), id="x", outputs=[1]), "it is at most 0"),
        (lambda: passthrough(image("a"), id="x", outputs=[]), "write at least one"),
        (lambda: passthrough(image("a"), image("b"), id="x", outputs=[1, 0]), "each once, in order"),
        (lambda: any_.passthrough(image("a"), id="x", outputs=0), "write a list of places"),
        (lambda: passthrough(id="x"), "no filesystems; write at least one"),
        (lambda: passthrough(id="x", outputs=[0]), "no filesystems; write at least one"),
        (lambda: fs().solve_definition(), "on an empty filesystem"),
        (lambda: image("a").solve_definition(""), "filename is empty"),
        (lambda: any_.image("a").reset("b"), "reset is given 'b'"),
        (lambda: any_.merge(image("a"), "b"), "write filesystems"),
        (lambda: any_.diff(image("a"), None), "write filesystems"),
    ],
)
def test_a_wrong_value_is_told(make: Callable[[], object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()
