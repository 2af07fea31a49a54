"""docs/commands.md, made from the command tree.

    python -m runner.cli.reference > docs/commands.md

Says what the helps say, command by command; tests/cli/test_reference.py finds a page that drifted.
"""

import sys
from collections.abc import Iterator
from typing import Final

import click

from runner.cli.catalogue import COMMANDS, GROUPS, TOPICS, Entry
from runner.cli.exit_codes import CRON, MEANING
from runner.cli.shared import shared_options
from runner.cli.topics import TEXTS
from runner.cli.tree import Tree
from runner.errors import Exit

REGENERATE: Final = "python -m runner.cli.reference > docs/commands.md"

_SHARED: Final = {name for option in shared_options() for name in option.opts}


def reference() -> str:
    """The whole page, in Markdown."""
    tree = Tree("runner", params=list(shared_options()))
    with click.Context(tree, info_name="runner") as root:
        return "\n".join(_page(tree, root))


def _page(tree: Tree, root: click.Context) -> Iterator[str]:
    yield from (
        "# Commands",
        "",
        f"Made from the command tree; to make it again: `{REGENERATE}`.",
        "",
    )
    for group in GROUPS:
        links = " · ".join(
            f"[{entry.name}](#{entry.name})" for entry in COMMANDS if entry.group == group
        )
        yield f"- **{group}**: {links}"
    yield from ("", "## Options of every command", "", "Before or after its name.", "")
    yield from _options(root, tree.params)
    yield from (
        "",
        "## Exit codes",
        "",
        "| code | meaning | what cron should do |",
        "|---|---|---|",
    )
    for code in Exit:
        yield f"| {int(code)} | {_cell(MEANING[code])} | {_cell(CRON[code])} |"
    yield from ("", "## Topics", "")
    for name, summary in TOPICS.items():
        yield f"- [`runner help {name}`]({_place(name)}): {summary}"
    for entry in COMMANDS:
        command = tree.get_command(root, entry.name)
        if command is not None:
            yield from ("", f"## {entry.name}", "", f"{_sentence(entry.summary)}", "")
            yield from _command(entry, command, root)
    for name in TOPICS:
        if name in TEXTS:
            yield from ("", f"## help {name}", "", "```", TEXTS[name].rstrip("\n"), "```")
    yield ""


def _place(topic: str) -> str:
    """Where the page has *topic*: the codes as a table of its own, the others at its end."""
    return f"#help-{topic}" if topic in TEXTS else f"#{topic}"


def _command(entry: Entry, command: click.Command, root: click.Context) -> Iterator[str]:
    with click.Context(command, info_name=entry.name, parent=root) as ctx:
        yield from ("```", *entry.examples, "```", "")
        yield f"`{ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}`"
        for paragraph in (command.help or "").split("\n\n"):
            yield from ("", " ".join(paragraph.split()).replace("*", "\\*"))
        own = [p for p in command.params if not _SHARED & set(p.opts)]
        if own:
            yield ""
            yield from _options(ctx, own)
    codes = sorted({Exit.DONE, *entry.codes})
    yield from ("", f"Exit codes: {', '.join(str(int(code)) for code in codes)}.")


def _options(ctx: click.Context, parameters: list[click.Parameter]) -> Iterator[str]:
    yield from ("| option | what it does |", "|---|---|")
    for parameter in parameters:
        record = parameter.get_help_record(ctx)
        if record is not None:
            yield f"| `{_cell(record[0])}` | {_cell(record[1])} |"


def _sentence(summary: str) -> str:
    return f"{summary[:1].upper()}{summary[1:]}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.buffer.write(reference().encode())
