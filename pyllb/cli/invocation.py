"""Invocation: a command on FILE[:TARGET], whose flags are its own and those of the target's parameters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from pyllb.cli.flags import check_names, option_of, value_of
from pyllb.cli.load import BuildFile, load, parse_place
from pyllb.cli.targets import Call, find_target
from pyllb.errors import PyllbError

if TYPE_CHECKING:
    from pyllb.dsl.target import Target

_OPENED = "pyllb.cli.opened"  # the key in click's context
_PREFIX = "parameter_"  # of a target's parameters among click's names, where the command's own live too


class TargetCommand(click.Command):
    """A command whose callback gets `call=Call(...)` and its own options.

    The build file is run before the arguments are read in full, since it says which flags there are: the first word
    that is no flag, or a flag's value, is FILE[:TARGET].
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        place = self._place(args)
        asks_help = any(word in ctx.help_option_names for word in args)
        try:
            self._open(ctx, place)
        except PyllbError:
            if not asks_help:
                raise
        rest = super().parse_args(ctx, list(args))
        if ctx.params["place"] != place:  # a flag that the default file does not have stood before FILE
            self._open(ctx, ctx.params["place"])
            rest = super().parse_args(ctx, list(args))
        return rest

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        params = super().get_params(ctx)
        opened: tuple[BuildFile, Target] | None = ctx.meta.get(_OPENED)
        return params if opened is None else [*params, *(option_of(p, _PREFIX) for p in opened[1].parameters)]

    def invoke(self, ctx: click.Context) -> object:
        opened: tuple[BuildFile, Target] = ctx.meta[_OPENED]
        build, target = opened
        values = {}
        for parameter in target.parameters:
            name = _PREFIX + parameter.name
            given = ctx.params.pop(name)
            if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
                values[parameter.name] = value_of(parameter, given)
        ctx.params.pop("place")
        ctx.params["call"] = Call(build, target, values)
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        targets: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)) is not None:
                (targets if (param.name or "").startswith(_PREFIX) else own).append(record)
        if targets:
            with formatter.section(f"Parameters of the target {ctx.meta[_OPENED][1].name}"):
                formatter.write_dl(targets)
        with formatter.section("Options"):
            formatter.write_dl(own)

    def _open(self, ctx: click.Context, text: str) -> None:
        place = parse_place(text)
        build = load(place.file)
        target = find_target(build, place)
        own = super().get_params(ctx)
        check_names(target, [name for param in own for name in (*param.opts, *param.secondary_opts)])
        ctx.meta[_OPENED] = (build, target)

    def _place(self, args: list[str]) -> str:
        """The word that is FILE[:TARGET]; "" when none is.

        After a flag that is not the command's own, a word may be that flag's value: it counts when it names a file.
        """
        options = [param for param in self.params if isinstance(param, click.Option)]
        known = {name for option in options for name in (*option.opts, *option.secondary_opts)}
        valued = {name for option in options if not option.is_flag for name in option.opts}
        skip = unsure = False
        for word in args:
            if skip:
                skip = False
            elif word.startswith("-") and word not in ("-", "--"):
                name, mark, _ = word.partition("=")
                skip, unsure = name in valued and not mark, name not in known and not mark
            elif word != "--" and (not unsure or os.path.isfile(parse_place(word).file)):
                return word
            else:
                unsure = False
        return ""
