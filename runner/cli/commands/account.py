"""``runner account``: balance, holds and limits."""

from decimal import Decimal
from typing import TypedDict, Unpack

import click

from runner.cli.kinds import Dollars
from runner.cli.session import Session
from runner.cli.verbs import verb
from runner.errors import Exit


class AccountOptions(TypedDict):
    """The options of `account`."""

    min: Decimal | None


@verb("account")
@click.option("--min", type=Dollars(), metavar="USD", help="End with 4 if the balance is less.")
def command(session: Session, /, **given: Unpack[AccountOptions]) -> Exit:
    """Show the account's balance, what this store's tasks hold of it, and its limits.

    One free call. What is held comes back, or is charged, when answers are in.
    """
    from runner.cli.actions import account

    return account.account(session, given)
