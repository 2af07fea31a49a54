"""``runner help [TOPIC]``: the tree, a command, a topic."""

import sys

import click

from runner.cli.catalogue import BY_NAME, TOPICS
from runner.cli.session import Session
from runner.cli.terminal import fitted
from runner.cli.tree import did_you_mean, full_tree
from runner.cli.verbs import verb
from runner.errors import Exit, WrongInput


@verb("help")
@click.argument("topic", metavar="[COMMAND|TOPIC]", required=False, help="A command, or a topic.")
@click.pass_context
def command(ctx: click.Context, session: Session, /, topic: str | None) -> Exit:
    """The whole tree of commands, one of them, or a topic; the tree names the topics."""
    text = _text(ctx.find_root(), topic)
    if session.voice.json:
        session.voice.document({"schema": "runner.help/1", "topic": topic, "text": text})
    else:
        click.echo(fitted(text, sys.stdout.encoding), nl=False)
    return Exit.DONE


def _text(root: click.Context, topic: str | None) -> str:
    """
    Raises:
        WrongInput: there is nothing of that name.
    """
    if topic is None:
        return full_tree(root)
    if topic in TOPICS:
        from runner.cli.topics import text

        return text(topic)
    named = None
    if topic in BY_NAME and isinstance(root.command, click.Group):
        named = root.command.get_command(root, topic)
    if named is None:
        hint = did_you_mean(topic, [*TOPICS, *BY_NAME])
        raise WrongInput(f"there is no command or topic {topic}{hint}", how="runner help")
    with click.Context(named, info_name=topic, parent=root) as asked:
        return f"{named.get_help(asked)}\n"
