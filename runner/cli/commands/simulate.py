"""``runner simulate``: the API on this machine."""

from pathlib import Path
from typing import TypedDict, Unpack

import click

from runner.cli.session import Session
from runner.cli.verbs import COUNT, PATH, verb
from runner.errors import Exit


class SimulateOptions(TypedDict):
    """The options of `simulate`."""

    host: str
    port: int
    latency: str | None
    error_rate: str | None
    lose_posts: str | None
    speed: str | None
    seed: int | None
    scenario: Path | None
    calls_per_minute: int | None
    login: str | None
    password: str | None
    account: Path | None


@verb("simulate")
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="Where to listen; 0.0.0.0 lets other machines and containers in.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8801,
    show_default=True,
    help="The port there; 0 takes a free one.",
)
@click.option(
    "--latency",
    metavar="TIME",
    help='How long answers take: 2s, "lognormal 20s 1.2"; default: "lognormal 4s 0.7".',
)
@click.option(
    "--error-rate",
    metavar="SHARE",
    help="Share of tasks that fail: 2% or 0.02; default: none.",
)
@click.option(
    "--lose-posts",
    metavar="SHARE",
    help="Share of posts whose reply is lost: 1%; default: none.",
)
@click.option("--speed", metavar="FACTOR", help="How fast its time runs: 60x; default: 1x.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Decides ids, run times and answers; default: 7.",
)
@click.option("--scenario", type=PATH, metavar="FILE", help="Settings and faults, in TOML.")
@click.option(
    "--calls-per-minute",
    type=COUNT,
    metavar="N",
    help="The limit that it enforces; default: 2000.",
)
@click.option("--login", help="The only login that it takes; default: any.")
@click.option("--password", help="The only password that it takes; default: any.")
@click.option(
    "--account",
    type=PATH,
    metavar="FILE",
    help="Keep the account in FILE; default: it ends with the command.",
)
def command(session: Session, /, **given: Unpack[SimulateOptions]) -> Exit:
    """Answer as the API would, without an account and without costs, until Ctrl-C or SIGTERM.

    Other commands reach it with --api http://127.0.0.1:8801 and a --store of their own; unless it
    is told which, it takes any login and password. Flags go before what the scenario file says.
    """
    from runner.cli.actions import simulate

    return simulate.simulate(session, given)
