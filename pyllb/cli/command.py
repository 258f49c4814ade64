"""Command: the group `pyllb`, its subcommands by name, and the one place where an error becomes text and a code."""

from __future__ import annotations

import sys

import click

from pyllb.cli.settings import Settings

VERSION = "0.1.0"  # of the distribution; importlib.metadata would cost a third of the start-up
_COMMANDS = {  # name -> module, attribute, short help; a module is loaded when its command runs
    "solve": ("pyllb.cli.solve", "command", "Build a target."),
    "dump": ("pyllb.cli.dump", "command", "Write a target's LLB to stdout."),
    "diff": ("pyllb.cli.diff", "command", "Say in words how the LLB of two builds differs."),
    "ls": ("pyllb.cli.ls", "command", "List a build file's targets and their parameters."),
    "engine": ("pyllb.cli.engine", "command", "Find, start, stop or install a buildkitd."),
}


class LazyGroup(click.Group):
    """A group that imports a subcommand's module only to run it, or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        import importlib

        module, attribute, _ = _COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from pyllb.errors import nearest

            close = nearest(args[0], _COMMANDS)
            hint = f"; did you mean {close!r}?" if close else f"; there are {', '.join(_COMMANDS)}"
            raise click.UsageError(f"no such command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])


def _debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.ensure_object(Settings).debug |= value


debug_option = click.Option(
    ["--debug"], is_flag=True, expose_value=False, callback=_debug, help="Show whole tracebacks of what goes wrong."
)

group = LazyGroup(
    "pyllb",
    help="Builds written in Python, compiled to BuildKit's LLB and solved on buildkitd.",
    no_args_is_help=False,  # but a mistake, told as all others are
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=lambda ctx, param, value: _version(ctx, value),
            help="Show the version and exit.",
        ),
        debug_option,
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def _version(ctx: click.Context, value: bool) -> None:
    if value:
        click.echo(f"pyllb {VERSION}")
        ctx.exit()


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; what goes wrong is told on stderr.

    KeyboardInterrupt and BrokenPipeError pass.
    """
    settings = Settings()
    try:
        result = group.main(arguments, prog_name="pyllb", standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.Abort as error:  # what click makes of KeyboardInterrupt and of a closed stdin
        raise KeyboardInterrupt from error
    except BrokenPipeError:
        raise
    except Exception as error:
        from pyllb.cli.report import exit_code, lines

        text = lines(error, logs_shown=settings.logs_shown, debug=settings.debug)
        sys.stderr.write("\n".join(text) + "\n")
        return exit_code(error, answers=settings.answers)
    return result if isinstance(result, int) else 0
