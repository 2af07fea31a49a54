"""`runner` and its commands as click has them, made from the catalogue."""

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Final

import click

from runner.cli.catalogue import BY_NAME, COMMANDS, GROUPS, TOPICS
from runner.cli.exit_codes import MEANING
from runner.cli.shared import NAMES as SHARED_NAMES
from runner.cli.shared import shared_options
from runner.errors import Exit

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMPLETION_VARIABLE: Final = "_RUNNER_COMPLETE"
"""In the environment of `runner` when a shell asks what to offer."""


class Verb(click.Command):
    """A command whose help begins with examples and ends with its exit codes."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        entry = BY_NAME[str(self.name)]
        for example in entry.examples:
            formatter.write(f"  {example}\n")
        formatter.write_paragraph()
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        self.format_options(ctx, formatter)
        with formatter.section("Options of every command"):
            half = len(SHARED_NAMES) // 2
            for names in (SHARED_NAMES[:half], (*SHARED_NAMES[half:], "(see: runner help)")):
                formatter.write(f"{'':>{formatter.current_indent}}{' '.join(names)}\n")
        with formatter.section("Exit codes"):
            codes = sorted({Exit.DONE, *entry.codes})
            formatter.write_dl([(str(int(code)), MEANING[code]) for code in codes])

    def invoke(self, ctx: click.Context) -> object:
        from runner.cli.session import Session

        session = ctx.find_object(Session)
        if session is not None:
            session.enter()
        return super().invoke(ctx)


def did_you_mean(name: str, known: list[str]) -> str:
    """``; did you mean X?``, or nothing where nothing is near."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


class Tree(click.Group):
    """`runner` itself."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(BY_NAME)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = BY_NAME.get(cmd_name)
        if entry is None:
            return None
        verb: click.Command = import_module(entry.module).command
        if ctx.resilient_parsing:
            from runner.cli.completion import taught

            return taught(verb)
        return verb

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in BY_NAME and not name.startswith("-") and not ctx.resilient_parsing:
            hint = did_you_mean(name, list(BY_NAME))
            raise click.UsageError(f"there is no command {name}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        offers = [
            CompletionItem(entry.name, help=entry.summary)
            for entry in COMMANDS
            if entry.name.startswith(incomplete)
        ]
        return [*offers, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(full_tree(ctx))


def full_tree(ctx: click.Context) -> str:
    """Every command, every shared option, every topic: `runner help` and `runner --help`."""
    formatter = ctx.make_formatter()
    for line in BY_NAME["run"].examples:
        formatter.write(f"  {line}\n")
    formatter.write_paragraph()
    formatter.write_usage("runner", "[OPTIONS] COMMAND [ARGUMENTS]")
    for group in GROUPS:
        with formatter.section(group.capitalize()):
            formatter.write_dl([(e.name, e.summary) for e in COMMANDS if e.group == group])
    with formatter.section("Options of every command, before or after its name"):
        records = [option.get_help_record(ctx) for option in shared_options()]
        formatter.write_dl([record for record in records if record])
    with formatter.section("Topics"):
        formatter.write_dl([(f"help {name}", text) for name, text in TOPICS.items()])
    return formatter.getvalue()


def short_tree() -> str:
    """What `runner` alone shows: the everyday commands and two examples."""
    width = max(len(entry.name) for entry in COMMANDS if entry.everyday)
    lines = ["Everyday commands:"]
    lines += [f"  {e.name:<{width}}  {e.summary}" for e in COMMANDS if e.everyday]
    lines += [
        "",
        "Examples:",
        "  runner run demo --api sim             a rehearsal: no account, no cost",
        "  runner run jobs/brand-watch.toml      start it again to go on where it stopped",
        "",
        "All commands: runner help    One of them: runner help run",
    ]
    return "\n".join(lines)
