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
    root = ctx.find_root()
    if topic is None:
        click.echo(full_tree(root), nl=False)
    elif topic in TOPICS:
        from runner.cli.topics import text

        click.echo(fitted(text(topic), sys.stdout.encoding), nl=False)
    elif topic in BY_NAME and isinstance(root.command, click.Group):
        named = root.command.get_command(root, topic)
        if named is not None:
            with click.Context(named, info_name=topic, parent=root) as asked:
                click.echo(named.get_help(asked))
    else:
        hint = did_you_mean(topic, [*TOPICS, *BY_NAME])
        raise WrongInput(f"there is no command or topic {topic}{hint}", how="runner help")
    return Exit.DONE
