"""``runner cost``: totals, and lines by run, job, provider, model, account or day."""

from typing import TYPE_CHECKING

from runner.cli.actions.audit_page import audit_document, audit_keys, audit_words
from runner.cli.actions.looking import nothing_yet, store_to_look
from runner.cli.layout import amount, pairs, table
from runner.cli.select import matching
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import Exit
from runner.money import short
from runner.reports.documents import cost_document
from runner.store.amounts import Money
from runner.store.values import CostLine

if TYPE_CHECKING:
    from runner.store.auditing import Audit

_HEAD = ("DONE", "TASKS", "COST", "PER ANSWER", "ADVANCED", "REFUNDED", "HELD", "AT RISK")

Costs = tuple[CostLine, list[CostLine]]


def cost(
    session: Session, reference: str | None, by: str | None, *, reconcile: bool = False
) -> Exit:
    """Tell what the runs that *reference* means cost, or all; with *reconcile* whether the
    account's listing says the same, code 1 if not.

    Raises:
        WrongInput: it means none.
        TryLater: the listing cannot be had now.
        RunnerError: as ``app.audit_now`` does.
        StoreBroken: the store cannot be read.
    """
    audit = _audit(session) if reconcile and session.settings().has_store else None
    voice = session.voice
    total, lines = CostLine(key="total", money=Money(), tasks=0, completed=0), list[CostLine]()
    if reference is None and not session.settings().has_store:
        nothing = nothing_yet(session.settings())
        voice.note(f"{nothing.what}; go on with: {nothing.how}")
    else:
        total, lines = run_async(lambda: _read(session, reference, by))
    if voice.json:
        document = cost_document(total, lines, by)
        voice.document(document if audit is None else document | audit_document(audit))
    elif voice.for_people:
        head = ((by or "").upper(), *_HEAD)
        rows = [_row(line) for line in (*lines, total)]
        voice.answer(table(head, rows, right=frozenset(range(1, len(head))), width=voice.width))
        if total.money.charged:
            voice.answer(_whose_word(total))
    else:
        for line in (*lines, total):
            voice.answer(pairs("cost", _keys(line)))
    if audit is None:
        return Exit.DONE
    if voice.for_people:
        voice.answer("\n" + voice.to_paste(audit_words(audit)))
    elif not voice.json:
        voice.answer(pairs("reconcile", audit_keys(audit)))
    return Exit.DONE if audit.agrees else Exit.SOME_FAILED


def _audit(session: Session) -> "Audit":
    from runner import app

    session.open_log()
    settings = session.settings()
    return run_async(lambda: app.audit_now(settings=settings, clock=session.clock))


async def _read(session: Session, reference: str | None, by: str | None) -> Costs:
    async with store_to_look(session) as store:
        if reference is None:
            return await store.cost(by=by)
        runs = matching(reference, await store.runs())
        return merged([await store.cost(by=by, run=run.id) for run in runs])


def merged(costs: list[Costs]) -> Costs:
    """The costs of several runs as one; a task belongs to one run, so counts add up."""
    total = CostLine(key="total", money=Money(), tasks=0, completed=0)
    lines: dict[str, CostLine] = {}
    for whole, parts in costs:
        total += whole
        for part in parts:
            lines[part.key] = lines[part.key] + part if part.key in lines else part
    return total, sorted(lines.values(), key=lambda line: line.key)


def _row(line: CostLine) -> list[str]:
    money = line.money
    each = short(money.charged // line.completed) if line.completed else "-"
    return [
        line.key,
        f"{line.completed:,}",
        f"{line.tasks:,}",
        short(money.charged),
        each,
        short(money.advanced),
        short(money.refunded),
        short(money.reserved),
        short(money.at_risk),
    ]


def _keys(line: CostLine) -> dict[str, object]:
    money = line.money
    return {
        "key": line.key,
        "tasks": line.tasks,
        "done": line.completed,
        "charged": amount(money.charged),
        "reported": amount(line.reported),
        "computed": amount(line.computed),
        "advanced": amount(money.advanced),
        "refunded": amount(money.refunded),
        "reserved": amount(money.reserved),
        "at_risk": amount(money.at_risk),
        "over_reserve": amount(money.over_reserve),
    }


def _whose_word(total: CostLine) -> str:
    """On how much of the cost the API has put a figure itself, and what passed its reserve."""
    said = f"of the cost {short(total.reported)} reported by the API, "
    said += f"{short(total.computed)} computed from what it says the models took"
    if over := total.money.over_reserve:
        said += f"; {short(over)} above what was reserved"
    return said
