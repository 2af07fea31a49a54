"""``runner plan``: what a start would come to, for people and for programs."""

from decimal import Decimal
from typing import TYPE_CHECKING

from runner import app
from runner.cli.actions import overriding
from runner.cli.actions.watching import Watcher
from runner.cli.layout import amount, clipped, count, either, pairs, span, table
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import CredentialsRefused, Exit, MoneyStopped
from runner.jobfile import load_job
from runner.money import NANOS_PER_DOLLAR, exact, short
from runner.reports.estimate import Range, TargetEstimate
from runner.store.values import Decision

if TYPE_CHECKING:
    from runner.cli.commands.plan import PlanOptions

_PROMPT_WIDTH = 160
_HEAD = ("provider", "model", "tasks", "cost, expected", "low to high", "held")


def plan(session: Session, reference: str, given: "PlanOptions") -> Exit:
    """Tell what starting the job that *reference* means would come to.

    Raises:
        RunnerError: as loading the job and ``app.plan_job`` do.
    """
    settings = session.settings()
    overrides = overriding.with_limits(overriding.job(given), given["budget"], given["max_hold"])
    job = load_job(reference, workspace=settings.workspace, overrides=overrides)
    options = app.RunOptions(
        source=overriding.source_of(reference, settings.workspace),
        again=overriding.command("plan", reference, given),
        limit=given["limit"],
        skip_bad=given["skip_bad"],
        fresh=given["fresh"],
        # A plan pays for nothing, so an unfinished run is no reason to refuse it.
        pay_again=given["fresh"],
        key=given["run"],
        changed=Decision(given["changed"]) if given["changed"] else None,
    )
    session.open_log()
    for note in job.notes:
        session.voice.note(note)
    bad_rows_are_fine = given["skip_bad"] is not None
    with Watcher(session, "none", bad_rows_are_fine=bad_rows_are_fine) as watcher:
        # Stopped by a signal, it must not leave the copy of the store behind.
        found = run_async(
            lambda: app.plan_job(
                job,
                options,
                samples=given["sample"],
                settings=settings,
                clock=session.clock,
                reporter=watcher,
            )
        )
    code = _code(found)
    if session.voice.json:
        session.voice.document(_document(session, found, code))
    elif session.voice.for_people:
        session.voice.answer("\n".join(_lines(found, session.voice.width)))
    else:
        session.voice.answer(pairs("plan", _keys(found, code)))
    for broken in found.broken:
        how = _way_on(broken, overriding.command("run", reference, given))
        error = MoneyStopped(f"{broken.limit} would stop this run", why=broken.why, how=how)
        session.voice.error(error, Exit.MONEY)
    return code


def _way_on(broken: app.Broken, run: str) -> str:
    """What a person may do about *broken*; *run* is the command that starts the job."""
    # Whole dollars, or cents below one: nobody types nano-dollars.
    step = NANOS_PER_DOLLAR if broken.enough >= NANOS_PER_DOLLAR else NANOS_PER_DOLLAR // 100
    enough = f"{Decimal(-(-broken.enough // step) * step) / NANOS_PER_DOLLAR:.2f}"
    match broken.limit:
        case "budget_usd":
            return f"{run} --budget {enough}   (or raise it in the job file, or ask less: --limit)"
        case "max_hold_usd":
            return f"{run} --max-hold {enough}   (or raise it in the job file)"
        case "budget_usd_per_day":
            later = "the rest goes on after 00:00 UTC"
            return f"{run}   ({later}; or raise it in the job file, to {enough})"
    return f"top up the account by ${enough}, or send in slices: {run} --max-hold USD"


def _code(found: app.Plan) -> Exit:
    trouble = found.known.trouble
    # A missing login is no mistake of a plan's; a refused one is one of the run to come.
    refused = isinstance(trouble, CredentialsRefused) and found.known.asked
    if refused:
        return Exit.CREDENTIALS
    return Exit.MONEY if found.broken else Exit.DONE


def _document(session: Session, found: app.Plan, code: Exit) -> dict[str, object]:
    """``runner.plan/1``."""
    account, trouble = found.known.account, found.known.trouble
    balance = account.balance_nanousd if account else None
    return {
        "schema": "runner.plan/1",
        "run": found.status.run.name,
        "job": found.status.run.job,
        "formula": found.formula or None,
        "tasks": found.status.tasks,
        "to_post": found.to_post,
        "done": found.done,
        "failed": found.failed,
        "cancelled": found.cancelled,
        "waiting": found.waiting,
        "changed": found.status.changed,
        "gone": found.status.gone,
        "cost": _range(found.cost),
        "hold": exact(found.hold),
        "targets": [_target(each) for each in found.targets],
        "calls": {
            "post": found.posts,
            "fetch": found.fetches,
            "per_minute": found.calls_per_minute,
            "least_s_to_post": round(found.seconds(found.posts), 1),
            "least_s_to_collect": round(found.seconds(found.fetches), 1),
        },
        "balance": None if balance is None else exact(balance),
        "balance_unknown": None
        if trouble is None
        else session.voice.error_document(trouble, trouble.exit_code),
        "breaks": [{"limit": each.limit, "why": each.why} for each in found.broken],
        "samples": [
            {"line": each.line, "target": each.target, "prompt": each.prompt}
            for each in found.samples
        ],
        "exit": int(code),
    }


def _target(each: TargetEstimate) -> dict[str, object]:
    known = each.history
    return {
        "target": known.name,
        "provider": known.endpoint.provider,
        "model": known.model,
        "method": known.endpoint.method,
        "gateway": known.endpoint.gateway,
        "tasks": known.tasks,
        "to_post": known.to_post,
        "cost": _range(each.cost),
        "hold": exact(each.hold),
        "reserve": exact(known.reserve),
        "earlier_answers": known.answers,
    }


def _range(cost: Range | None) -> dict[str, str] | None:
    if cost is None:
        return None
    return {"expected": exact(cost.expected), "low": exact(cost.low), "high": exact(cost.high)}


def _keys(found: app.Plan, code: Exit) -> dict[str, object]:
    account, cost = found.known.account, found.cost
    balance = account.balance_nanousd if account else None
    return {
        "run": found.status.run.name,
        "tasks": found.status.tasks,
        "to_post": found.to_post,
        **({"gone": found.status.gone} if found.status.gone else {}),
        "expected": "unknown" if cost is None else amount(cost.expected),
        "low": "unknown" if cost is None else amount(cost.low),
        "high": "unknown" if cost is None else amount(cost.high),
        "held": amount(found.hold),
        "calls": found.posts + found.fetches,
        "balance": "unknown" if balance is None else amount(balance),
        "verdict": ",".join(each.limit for each in found.broken) or "ok",
        "exit": int(code),
    }


def _lines(found: app.Plan, width: int | None) -> list[str]:
    status = found.status
    what = found.formula or count(status.tasks, "task")
    counts = [f"{found.done:,} already done"]
    for number, word in (
        (found.failed, "failed"),
        (found.cancelled, "cancelled"),
        (found.waiting, "waiting"),
    ):
        if number:
            counts.append(f"{number:,} {word}")
    lines = [f"{status.run.name} · {what} · {', '.join(counts)}, {found.to_post:,} to post"]
    if status.changed:
        lines.append(f"{count(status.changed, 'task')} changed since asked: --changed ask or keep")
    if status.gone:
        lines.append(f"{count(status.gone, 'queued task')} not in the input any more, left alone")
    rows = [_row(each) for each in found.targets if each.history.to_post]
    if rows:
        if len(rows) > 1:
            cost = ("unknown", "unknown") if found.cost is None else _cells(found.cost)
            rows.append(("total", "", f"{found.to_post:,}", *cost, short(found.hold)))
        told = table(_HEAD, rows, right=frozenset({2, 3, 4, 5}), width=width)
        lines += ["", told, _sources(found), ""]
        lines.append(_calls(found))
    lines.append(_money(found))
    for each in found.samples:
        prompt = clipped(" ".join(each.prompt.split()), _PROMPT_WIDTH)
        lines.append(f'line {each.line:,}, {each.target}: "{prompt}"')
    return lines


def _row(each: TargetEstimate) -> tuple[str, ...]:
    known = each.history
    cost = ("unknown", "unknown") if each.cost is None else _cells(each.cost)
    live = "" if each.fetches else " (live)"
    provider = f"{known.endpoint.provider}{live}"
    return (provider, known.model, f"{known.to_post:,}", *cost, short(each.hold))


def _cells(cost: Range) -> tuple[str, str]:
    return short(cost.expected), f"{short(cost.low)} to {short(cost.high)}"


def _sources(found: app.Plan) -> str:
    answers = {(e.history.endpoint, e.history.model, e.history.charges): e for e in found.targets}
    known = sum(e.history.answers for e in answers.values() if e.history.to_post)
    unknown = [e.history.name for e in found.targets if e.cost is None]
    text = f"estimated from {count(known, 'earlier answer')} in this store" if known else ""
    if unknown:
        said = f"unknown, as this store has no answer of their kind yet: {', '.join(unknown)}"
        text = f"{text} · {said}" if text else said
    return text


def _calls(found: app.Plan) -> str:
    posts, fetches = found.seconds(found.posts), found.seconds(found.fetches)
    text = f"calls: {count(found.posts, 'post')} + {found.fetches:,} "
    text += f"{either(found.fetches, 'fetch', 'fetches')} at "
    text += f"{found.calls_per_minute:,}/min: at least {span(posts + 0.999)} to post"
    if not found.fetches:
        return text
    return f"{text} and {span(fetches + 0.999)} to collect; an answer may take up to 72 h"


def _money(found: app.Plan) -> str:
    account, trouble, limits = found.known.account, found.known.trouble, found.ceiling
    broken = {each.limit for each in found.broken}
    parts = []
    if account is not None and account.balance_nanousd is not None:
        enough = "is not enough" if broken & {"balance", "balance_floor_usd"} else "is enough"
        parts.append(f"balance {short(account.balance_nanousd)} {enough}")
    else:
        parts.append(f"balance unknown ({trouble.what if trouble else 'not asked'})")
    if limits.budget is not None:
        parts.append(_covers("budget", limits.budget, found))
    if limits.day is not None:
        parts.append(_covers("daily budget", limits.day, found))
    if limits.hold is not None and limits.hold < found.hold:
        parts.append(f"posted in waves under a hold of {short(limits.hold)}")
    return " · ".join(parts)


def _covers(name: str, limit: int, found: app.Plan) -> str:
    cost, gone = found.cost, found.status.money.charged
    if cost is None:
        return f"{name} {short(limit)}, cost unknown"
    if gone + cost.high <= limit:
        return f"{name} {short(limit)} covers the high estimate"
    if gone + cost.expected <= limit:
        return f"{name} {short(limit)} covers the expected cost, not the high estimate"
    return f"{name} {short(limit)} does not cover the expected cost"
