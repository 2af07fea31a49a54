"""``runner models``: what the account can ask."""

from typing import TypedDict, Unpack

import click

from runner.cli.session import Session
from runner.cli.verbs import verb
from runner.errors import Exit


class ModelsOptions(TypedDict):
    """The options of `models`."""

    provider: str | None
    matching: str | None
    refresh: bool


@verb("models")
@click.option(
    "--provider",
    type=click.Choice(["chat_gpt", "claude", "gemini", "perplexity"]),
    help="Of one provider only.",
)
@click.option(
    "--matching", metavar="TEXT", help="Only models with TEXT in their names, in any case."
)
@click.option("--refresh", is_flag=True, help="Ask the API, though the list is not a day old.")
def command(session: Session, /, **given: Unpack[ModelsOptions]) -> Exit:
    """List the models that the API offers, and what each can do.

    STANDARD says whether a model can be asked by the Standard method; all can be asked Live. A free
    call for each provider; what it says is kept for a day.
    """
    from runner.cli.actions import models

    return models.models(session, given)
