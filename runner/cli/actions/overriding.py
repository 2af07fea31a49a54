"""Options of the command line as a job and a start of it take them."""

import shlex
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from runner.app import Failures, RunOptions
from runner.app.values import Confirm
from runner.cli.verbs import DataOptions, SendingOptions
from runner.jobfile import Overrides
from runner.jobfile.find import find
from runner.money import nanos
from runner.store.values import Decision
from runner.web.listen import Listen


def job(data: DataOptions, *, sending: SendingOptions | None = None) -> Overrides:
    """What the command line says about a job."""
    return Overrides(
        provider=data["provider"],
        model=data["model"],
        method=data["method"],
        gateway=data["gateway"],
        column=data["column"],
        encoding=data["encoding"],
        delimiter=data["delimiter"],
        budget_usd=sending["budget"] if sending else None,
        max_hold_usd=sending["max_hold"] if sending else None,
        output_dir=sending["output"] if sending else None,
    )


def command(verb: str, reference: str, data: DataOptions) -> str:
    """A command to paste: *verb* on the same job, told the same about a data file."""
    words = ["runner", verb, reference]
    for flag, value in (
        ("--provider", data["provider"]),
        ("--model", data["model"]),
        ("--method", data["method"]),
        ("--gateway", data["gateway"]),
        ("--column", data["column"]),
        ("--encoding", data["encoding"]),
        ("--delimiter", data["delimiter"]),
    ):
        if value is not None:
            words += [flag, value]
    return shlex.join(words)


def limits(sending: SendingOptions) -> Overrides:
    """What it says about a job whose input is not read: its money and its folder."""
    return Overrides(
        budget_usd=sending["budget"],
        max_hold_usd=sending["max_hold"],
        output_dir=sending["output"],
    )


def with_limits(
    overrides: Overrides, budget: Decimal | None, max_hold: Decimal | None
) -> Overrides:
    """The same, with what the command line says about money."""
    return replace(overrides, budget_usd=budget, max_hold_usd=max_hold)


def source_of(reference: str, workspace: Path) -> str:
    """The absolute path of the file that *reference* means; empty for standard input.

    Raises:
        WrongInput: it means nothing.
    """
    found = find(reference, workspace)
    return "" if found.is_stdin else str(found.path.resolve())


def start(
    sending: SendingOptions,
    *,
    confirm: Confirm,
    source: str = "",
    again: str = "",
    limit: int | None = None,
    fresh: bool = False,
    pay_again: bool = False,
    key: str | None = None,
    skip_bad: Path | None = None,
    changed: Decision | None = None,
    trust_docs: bool = False,
    listen: Listen | None = None,
) -> RunOptions:
    """What the command line says about a start."""
    allowed = sending["max_failures"]
    return RunOptions(
        wait_s=sending["wait"],
        wait_lock_s=sending["wait_lock"],
        source=source,
        again=again,
        limit=limit,
        fresh=fresh,
        pay_again=pay_again,
        key=key,
        skip_bad=skip_bad,
        changed=changed,
        trust_docs=trust_docs,
        listen=listen,
        failures=Failures(count=allowed.count, percent=allowed.percent),
        export=not sending["no_export"],
        raw_cells=sending["raw_cells"],
        force=sending["force"],
        given_budget=_nanos(sending["budget"]),
        given_hold=_nanos(sending["max_hold"]),
        confirm=confirm,
    )


def _nanos(amount: Decimal | None) -> int | None:
    return None if amount is None else nanos(amount)
