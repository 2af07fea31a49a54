"""A choice of a few words; another word is answered with the one that was probably meant."""

from typing import Any

import click

from runner.cli.tree import did_you_mean


class OneOf(click.Choice[str]):
    """As click's choice, with ``did you mean`` (UX.md §2.1)."""

    def __init__(self, *words: str) -> None:
        super().__init__(words)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        known = [str(word) for word in self.choices]
        if value in known:
            return str(value)
        hint = did_you_mean(str(value), known)
        raise click.UsageError(f"{value} is none of {', '.join(known)}{hint}", ctx)
