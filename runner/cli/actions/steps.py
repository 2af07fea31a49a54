"""``runner submit`` and ``runner poll``: one half of a start each."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from runner import app
from runner.cli.actions.looking import nothing_yet
from runner.cli.actions.sending import stoppable
from runner.cli.actions.uncollected import tell_uncollected
from runner.cli.actions.watching import Watcher, mode_of
from runner.cli.asking import agree
from runner.cli.counts import ended, held, unsuccessful
from runner.cli.layout import amount, count, pairs, span
from runner.cli.select import matching
from runner.cli.session import Session
from runner.errors import Exit, RunnerError
from runner.jobfile import Overrides
from runner.lifecycle import State
from runner.money import short
from runner.reports.documents import status_document
from runner.store.values import Run, RunStatus

if TYPE_CHECKING:
    from runner.cli.commands.poll import PollOptions
    from runner.cli.commands.submit import SubmitOptions

STOPPED: Final = {
    Exit.INTERRUPTED: RunnerError("stopped by Ctrl-C; the state is saved"),
    Exit.TERMINATED: RunnerError("stopped by SIGTERM; the state is saved"),
}

Work = Callable[[app.Step], Awaitable[app.StepSummary]]


def submit(session: Session, references: Sequence[str], given: "SubmitOptions") -> Exit:
    """Post what is pending of the runs that *references* mean, or of all, and leave.

    Raises:
        RunnerError: as ``app.submit`` does.
    """
    overrides = Overrides(max_hold_usd=given["max_hold"], budget_usd=given["budget"])
    settings = session.settings()
    names = [each.name for each in settings.accounts]
    limits = app.Limits(settings.workspace, overrides, accounts=names)
    summary = _carry_out(
        session,
        lambda step: app.submit(
            step,
            _chooser(references),
            limits,
            limit=given["limit"],
            confirm=partial(agree, session),
        ),
        wait_lock_s=given["wait_lock"],
    )
    sent = _fewer(summary, State.PENDING)
    numbers: dict[str, object] = {
        "calls": summary.posts,
        "sent": sent,
        "accepted": max(0, -_fewer(summary, State.POSTED)),
        "refused": sum(map(unsuccessful, summary.after)) - sum(map(unsuccessful, summary.before)),
        "unknown": max(0, -_fewer(summary, State.UNKNOWN)),
        "pending": sum(each.states[State.PENDING] for each in summary.after),
    }
    text = (
        f"sent {sent:,} in {count(summary.posts, 'call')} · accepted {numbers['accepted']:,} · "
        f"refused {numbers['refused']:,}"
    )
    if numbers["unknown"]:
        text += f" · in doubt {numbers['unknown']:,}"
    if numbers["pending"]:
        text += f" · still pending {numbers['pending']:,}"
    holding = sum(map(held, summary.after))
    _tell(
        session,
        "submit",
        summary,
        numbers | {"held": amount(holding)},
        f"{text} · hold now {short(holding)}",
    )
    return summary.exit


def poll(session: Session, reference: str | None, given: "PollOptions") -> Exit:
    """Fetch answers of the run or job that *reference* means, or of all; nothing is posted.

    Raises:
        RunnerError: as ``app.collect`` does.
    """
    summary = _carry_out(
        session,
        lambda step: app.collect(
            step, _chooser([] if reference is None else [reference]), wait_s=given["wait"]
        ),
        wait_lock_s=given["wait_lock"],
    )
    fetched = max(0, _fewer(summary, State.POSTED))
    out = sum(each.states[State.POSTED] for each in summary.after)
    numbers: dict[str, object] = {
        "fetched": fetched,
        "done": _more(summary, lambda status: status.states[State.COMPLETED]),
        "failed": _more(summary, unsuccessful),
        "waiting": out,
    }
    text = f"fetched {fetched:,} · waiting {out:,}"
    posted = [each.oldest_posted_at for each in summary.after if each.oldest_posted_at is not None]
    if posted:
        age_s = max(0.0, (session.clock.now() - min(posted)).total_seconds())
        numbers["oldest"] = f"{int(age_s)}s"
        text += f" · oldest {span(age_s)}"
    if fetched:
        names = " · ".join(
            f"runner export {new.run.name}"
            for old, new in zip(summary.before, summary.after, strict=True)
            if ended(new) > ended(old)
        )
        session.voice.note(f"next: {names}")
    _tell(session, "poll", summary, numbers, text)
    return summary.exit


def _chooser(references: Sequence[str]) -> Callable[[Sequence[Run]], Sequence[Run]]:
    def choose(runs: Sequence[Run]) -> Sequence[Run]:
        if not references:
            return runs
        found = {run.id: run for each in references for run in matching(each, runs)}
        return [found[id_] for id_ in sorted(found)]

    return choose


def _carry_out(session: Session, work: Work, *, wait_lock_s: float) -> app.StepSummary:
    settings = session.settings()
    if not settings.has_store:
        raise nothing_yet(settings)
    session.open_log()
    with Watcher(session, mode_of(session), bad_rows_are_fine=False) as watcher:
        return asyncio.run(
            stoppable(
                session,
                lambda reporter, stop: work(
                    app.Step(
                        settings=settings,
                        clock=session.clock,
                        reporter=reporter,
                        stop=stop,
                        wait_lock_s=wait_lock_s,
                    )
                ),
                watcher,
            )
        )


def _more(summary: app.StepSummary, number: Callable[[RunStatus], int]) -> int:
    return sum(map(number, summary.after)) - sum(map(number, summary.before))


def _fewer(summary: app.StepSummary, state: State) -> int:
    return -_more(summary, lambda status: status.states[state])


def _tell(
    session: Session,
    name: str,
    summary: app.StepSummary,
    numbers: dict[str, object],
    text: str,
) -> None:
    voice, now = session.voice, session.clock.now()
    reason = summary.reason or (STOPPED.get(summary.exit) if voice.quiet else None)
    if reason is not None:
        voice.error(reason, summary.exit)
    if warning := tell_uncollected(session, summary.exit, known=summary.after):
        voice.event("warning", {"message": warning})
    keys = numbers | {"exit": int(summary.exit)}
    session.log_to_file(session.line("info", f"{name}.end", keys))
    voice.event(
        "result",
        {
            **status_document(summary.after, now),
            "schema": "runner.event/1",
            **keys,
            "error": summary.reason and voice.error_document(summary.reason, summary.exit),
        },
    )
    if voice.for_people:
        voice.last_word(text if summary.exit is Exit.DONE else f"{text} · exit {summary.exit:d}")
    else:
        voice.last_word(pairs(name, keys))
