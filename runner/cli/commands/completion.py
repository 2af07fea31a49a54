"""``runner completion SHELL``: a script for the shell."""

import click

from runner.cli.session import Session
from runner.cli.verbs import verb
from runner.cli.words import OneOf
from runner.errors import Exit


@verb("completion")
@click.argument("shell", type=OneOf("bash", "zsh", "fish"), help="For which shell.")
@click.pass_context
def command(ctx: click.Context, session: Session, /, shell: str) -> Exit:
    """Print the script that lets a shell complete commands, options, choices, jobs and runs.

    bash: add it to ~/.bashrc. zsh: add it to ~/.zshrc, behind compinit. fish: write it to
    ~/.config/fish/completions/runner.fish. It calls `runner` at each TAB, which reads the jobs
    of the workspace and, without changing anything, the names of its runs.
    """
    from runner.cli.completion import script

    text = script(ctx.find_root().command, shell)
    if session.voice.json:
        session.voice.document({"schema": "runner.completion/1", "shell": shell, "script": text})
    else:
        session.voice.answer(text.rstrip("\n"))
    return Exit.DONE
