"""How a command module makes its command, and the options that several of them share."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypedDict, TypeVar

import click

from runner.cli.catalogue import BY_NAME
from runner.cli.kinds import Address, Allowed, Dollars, Duration, FailureLimit
from runner.cli.shared import shared_options
from runner.cli.tree import Verb
from runner.errors import Exit

F = TypeVar("F", bound=Callable[..., Any])

PATH: Final = click.Path(path_type=Path)
"""Checked when it is used: ``-C`` may move the folder that it is relative to."""

COUNT: Final = click.IntRange(min=1)


def verb(name: str) -> Callable[[Callable[..., Exit]], click.Command]:
    """Make a function the command *name* of the tree; its docstring is the text of the help.

    It is given the ``Session`` first and returns the exit code.
    """

    def make(function: Callable[..., Exit]) -> click.Command:
        made = click.command(name, cls=Verb, short_help=BY_NAME[name].summary)(
            click.pass_obj(function)
        )
        made.params.extend(shared_options(hidden=True))
        return made

    return make


class DataOptions(TypedDict):
    """Whom to ask and how to read, where the command line says it."""

    provider: str | None
    model: str | None
    method: str | None
    gateway: str | None
    column: str | None
    encoding: str | None
    delimiter: str | None


class ListenOptions(TypedDict):
    """Where to receive what the API delivers by itself."""

    listen: tuple[str, int] | None
    tls_cert: Path | None
    tls_key: Path | None


class SendingOptions(TypedDict):
    """How long, how much, and what to leave at the end."""

    wait: float
    wait_lock: float
    max_failures: Allowed
    budget: Decimal | None
    max_hold: Decimal | None
    output: Path | None
    no_export: bool
    raw_cells: bool
    force: bool


@dataclass(frozen=True, slots=True)
class _Given:
    names: tuple[str, ...]
    more: dict[str, Any]


_DATA: Final = (
    _Given(("--provider",), {"help": "For a data file: chat_gpt, claude, gemini, perplexity."}),
    _Given(("--model",), {"help": "For a data file: the model to ask."}),
    _Given(
        ("--method",),
        {"help": "For a data file: standard or live; default standard, where there is that."},
    ),
    _Given(("--gateway",), {"help": "For a data file: dataforseo (default) or aisa."}),
    _Given(("--column",), {"help": "For a data file: where the prompt stands; default prompt."}),
    _Given(("--encoding",), {"help": "Encoding of the input; default UTF-8."}),
    _Given(("--delimiter",), {"help": "Column separator of the input, if it is not clear."}),
)

_SENDING: Final = (
    _Given(
        ("--wait",),
        {
            "type": Duration(endless=True),
            "default": "6h",
            "show_default": True,
            "help": "How long to wait for answers: 30s, 5m, 6h, 2d, 0, forever.",
        },
    ),
    _Given(
        ("--wait-lock",),
        {
            "type": Duration(),
            "default": "0",
            "help": "How long to wait for another run in the same store.",
        },
    ),
    _Given(
        ("--max-failures",),
        {
            "type": FailureLimit(),
            "default": "0",
            "metavar": "N|P%",
            "show_default": True,
            "help": "End with 1 only above so many failed tasks and rejected rows.",
        },
    ),
    _Given(
        ("--budget",),
        {
            "type": Dollars(),
            "metavar": "USD",
            "help": "Hard stop, instead of the job's.",
        },
    ),
    _Given(
        ("--max-hold",),
        {"type": Dollars(), "metavar": "USD", "help": "Most to be held in advances at one time."},
    ),
    _Given(
        ("-o", "--output"),
        {"type": PATH, "metavar": "DIR", "help": "Where the exports go, instead of the job's."},
    ),
    _Given(("--no-export",), {"is_flag": True, "help": "Write no files at the end."}),
    _Given(
        ("--raw-cells",),
        {"is_flag": True, "help": "Leave CSV cells that look like formulas as they are."},
    ),
    _Given(("--force",), {"is_flag": True, "help": "Overwrite files that are not ours."}),
)


_LISTEN: Final = (
    _Given(
        ("--listen",),
        {
            "type": Address(),
            "metavar": "HOST:PORT",
            "help": "Receive postbacks there, beside /metrics and /healthz.",
        },
    ),
    _Given(
        ("--tls-cert",),
        {"type": PATH, "metavar": "FILE", "help": "Listen with TLS: the certificate chain, PEM."},
    ),
    _Given(("--tls-key",), {"type": PATH, "metavar": "FILE", "help": "Its key, PEM."}),
)


wait_lock_option: Final = click.option(
    "--wait-lock",
    type=Duration(),
    default="0",
    help="How long to wait for another run in the same store.",
)

run_argument: Final = click.argument(
    "run",
    metavar="[RUN|JOB]",
    required=False,
    help="JOB@KEY, a number such as r42, or a job: its name or file.",
)


def _with(options: tuple[_Given, ...]) -> Callable[[F], F]:
    def add(function: F) -> F:
        for option in reversed(options):
            function = click.option(*option.names, **option.more)(function)
        return function

    return add


data_options: Final = _with(_DATA)
sending_options: Final = _with(_SENDING)
listen_options: Final = _with(_LISTEN)
