"""How a start ended: the summary, always last, and what goes before it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from runner.app import RunSummary
from runner.app.left_over import heard
from runner.cli.actions.controlling import resume_command
from runner.cli.actions.left_over import left_over_document, left_over_error
from runner.cli.actions.uncollected import tell_uncollected
from runner.cli.counts import failures, held, together, unsuccessful, waiting
from runner.cli.layout import amount, count, either, span
from runner.cli.session import Session
from runner.errors import Exit, RunnerError, gravest
from runner.jobfile.find import relative
from runner.lifecycle import Reason, State
from runner.money import short
from runner.reports.documents import status_document
from runner.store.values import RunStatus

_LEVELS: Final = {
    Exit.DONE: "info",
    Exit.NOT_FINISHED: "info",
    Exit.TRY_LATER: "warning",
    Exit.INTERRUPTED: "warning",
    Exit.TERMINATED: "warning",
}
"""Of the line ``run.end``; every other code is an error."""

_STOPPED: Final = {
    Exit.INTERRUPTED: RunnerError("stopped by Ctrl-C; the state is saved"),
    Exit.TERMINATED: RunnerError("stopped by SIGTERM; the state is saved"),
}


def tell(session: Session, summaries: Sequence[RunSummary]) -> Exit:
    """Print how the start ended, the gravest code of its runs last, and return that code."""
    voice, now = session.voice, session.clock.now()
    code = gravest(summary.exit for summary in summaries)
    code = heard(code, [each for summary in summaries for each in summary.left_over])
    for error, its_code in _reasons(session, summaries):
        voice.error(error, its_code)
    for summary in summaries:
        for text in notes(session, summary):
            voice.note(text)
    known = [status for each in summaries for status in (each.status, *each.others)]
    if warning := tell_uncollected(session, code, known=known):
        voice.event("warning", {"message": warning})
    for summary in summaries:
        _tell_run(session, summary, event="result" if len(summaries) == 1 else "end")
    if len(summaries) > 1:
        _tell_all(session, summaries, code, now)
    return code


def _reasons(
    session: Session, summaries: Sequence[RunSummary]
) -> Iterator[tuple[RunnerError, Exit]]:
    """Each error once: what stops the engine stops all its runs."""
    said = set()
    for summary in summaries:
        reason = summary.reason or _quiet_reason(session, summary)
        if reason is not None and reason.what not in said:
            said.add(reason.what)
            yield reason, summary.exit
        if summary.left_over:
            yield left_over_error(summary.left_over), summary.exit


def _tell_run(session: Session, summary: RunSummary, *, event: str) -> None:
    voice = session.voice
    line = session.line(_LEVELS.get(summary.exit, "error"), "run.end", end_keys(summary))
    session.log_to_file(line)
    voice.event(event, result(session, summary))
    if voice.for_people:
        for path in summary.files:
            voice.last_word(f"wrote {relative(path)}")
        if summary.rejects is not None:
            bad = count(summary.status.rejected, "rejected row")
            voice.last_word(f"wrote {relative(summary.rejects)} ({bad})")
        voice.last_word(headline(summary))
    else:
        for other in summary.others:
            voice.last_word(session.line("info", "run.collected", _counts(other)))
        voice.last_word(line)


def _tell_all(session: Session, summaries: Sequence[RunSummary], code: Exit, now: datetime) -> None:
    """The one line that is last when several runs ended."""
    all_ = replace(
        summaries[0],
        status=together([summary.status for summary in summaries]),
        others=tuple(other for summary in summaries for other in summary.others),
        left_over=tuple(each for summary in summaries for each in summary.left_over),
        load=None,
        exit=code,
        reason=next((each.reason for each in summaries if each.exit is code), None),
        retried=sum(summary.retried for summary in summaries),
        files=tuple(path for summary in summaries for path in summary.files),
        elapsed_s=max(summary.elapsed_s for summary in summaries),
        calls=max(summary.calls for summary in summaries),
    )
    keys = end_keys(all_)
    keys = {"runs": len(summaries)} | {k: v for k, v in keys.items() if k not in ("run", "number")}
    line = session.line(_LEVELS.get(code, "error"), "runs.end", keys)
    session.log_to_file(line)
    statuses = [status for each in summaries for status in (each.status, *each.others)]
    document = result(session, all_) | status_document(statuses, now)
    session.voice.event("result", document | {"run": None, "schema": "runner.event/1"})
    session.voice.last_word(headline(all_) if session.voice.for_people else line)


def _quiet_reason(session: Session, summary: RunSummary) -> RunnerError | None:
    """With ``-q`` the summary is not printed, and an error must say why the code is what it is."""
    if not session.voice.quiet:
        return None
    if summary.exit is Exit.SOME_FAILED:
        failed = sum(map(unsuccessful, (summary.status, *summary.others)))
        if not failed + summary.status.rejected:
            # What earlier runs have left over is told by itself.
            return _undecided(session, summary)
        return RunnerError(
            f"{failed:,} of {count(summary.status.tasks, 'task')} failed, and "
            f"{count(summary.status.rejected, 'row')} rejected, in {summary.status.run.name}",
            how=f"runner errors {summary.status.run.name}",
        )
    return _STOPPED.get(summary.exit)


def gone_note(status: RunStatus) -> str:
    """Of queued tasks that the latest input does not ask."""
    are = "task is" if status.gone == 1 else "tasks are"
    return (
        f"{status.gone:,} queued {are} not asked by the input any more (a row, target or sample "
        "taken out, or beyond --limit), and not sent: put them back, or drop them with: "
        f"runner cancel {status.run.name} --gone"
    )


def _asked_later(status: RunStatus) -> str:
    out = waiting(status) - status.states[State.PENDING]
    return "; ask leaves those at the API, so say it once they are back" if out else ""


def _undecided(session: Session, summary: RunSummary) -> RunnerError | None:
    runs = [each for each in (summary.status, *summary.others) if each.undecided]
    if not runs:
        return None
    status = runs[0]
    name = status.run.name
    ways = []
    if status.undecided > status.gone:
        ways.append("of what was edited, start it with --changed ask or --changed keep")
    if status.gone:
        ways.append(f"drop what is not in the input any more: runner cancel {name} --gone")
    return RunnerError(
        f"{count(sum(each.undecided for each in runs), 'task')} of {name} wait for a decision; "
        "no start goes on with them before",
        how="; ".join(ways) or None,
    )


def notes(session: Session, summary: RunSummary) -> Iterator[str]:
    """What else a person should know, and how to go on."""
    status = summary.status
    name = status.run.name
    if status.changed:
        yield (
            f"{count(status.changed, 'task')} {either(status.changed, 'differs', 'differ')} in the "
            "input from what was asked; nothing is sent for "
            f"{either(status.changed, 'it', 'them')} until --changed ask or --changed keep"
            f"{_asked_later(status)}"
        )
    if status.gone:
        yield gone_note(status)
    if unknown := status.states[State.UNKNOWN]:
        yield (
            f"{count(unknown, 'task')} in doubt: the API may have "
            f"{either(unknown, 'it, so it is', 'them, so they are')} not posted again before that "
            "is decided"
        )
    if status.loading:
        yield (
            f"the latest load of {name} was not finished, and nothing is posted before it is: "
            f"runner load JOB"
        )
    if status.paused is not None:
        pending = status.states[State.PENDING]
        yield (
            f"{status.run.name} is {status.paused}; {count(pending, 'task')} "
            f"{either(pending, 'waits', 'wait')} for: {resume_command(session, status.paused)}"
        )
    going = summary.exit in {Exit.NOT_FINISHED, Exit.INTERRUPTED, Exit.TERMINATED}
    if going and (still := waiting(status) - unknown - status.held):
        yield (
            f"{count(still, 'task')} {either(still, 'waits', 'wait')}; the same command goes on "
            f"with {either(still, 'it', 'them')}"
        )
    if status.rejected and summary.exit is Exit.SOME_FAILED:
        where = f" in {relative(summary.rejects)}" if summary.rejects is not None else ""
        yield (
            f"{count(status.rejected, 'rejected row')}{where} "
            f"{either(status.rejected, 'counts', 'count')} as failed: correct the input and "
            f"start again, or allow so many with --max-failures {failures(status)}"
        )
    if unsuccessful(status):
        lost = status.reasons.get((State.FAILED, Reason.ANSWER_LOST), 0)
        # What may be paid already is only asked again with the word for it, and what was refused
        # only by its code, which `errors` names.
        word = " --pay-again" if lost == unsuccessful(status) else ""
        refused = status.reasons.get((State.FAILED, Reason.REFUSED), 0) == unsuccessful(status)
        again = "" if refused else f" · runner retry {name}{word}"
        yield f"next: runner errors {name}{again}"


def end_keys(summary: RunSummary) -> dict[str, object]:
    """What ``run.end`` says."""
    keys = _counts(summary.status)
    if summary.retried:
        keys["retried"] = summary.retried
    keys |= {"calls": summary.calls, "duration": f"{int(summary.elapsed_s)}s"}
    if summary.left_over:
        keys["left_over"] = sum(each.tasks for each in summary.left_over)
    if summary.files:
        keys["out"] = ",".join(map(relative, summary.files))
    if summary.rejects is not None:
        keys["rejects"] = relative(summary.rejects)
    return keys | {"exit": int(summary.exit)}


def _counts(status: RunStatus) -> dict[str, object]:
    states = status.states
    keys: dict[str, object] = {
        "run": status.run.name,
        "number": status.run.number,
        "done": states[State.COMPLETED],
        "failed": unsuccessful(status),
        "waiting": waiting(status),
    }
    for state in (State.EXPIRED, State.QUARANTINED, State.UNKNOWN, State.CANCELLED):
        if states[state]:
            keys[state.value] = states[state]
    if status.changed:
        keys["changed"] = status.changed
    if status.gone:
        keys["gone"] = status.gone
    if status.rejected:
        keys["rejected"] = status.rejected
    return keys | {"cost": amount(status.money.charged), "held": amount(held(status))}


def headline(summary: RunSummary) -> str:
    """The summary for a person, on one line."""
    status = summary.status
    sign = "✓" if summary.exit is Exit.DONE else "…" if summary.exit is Exit.NOT_FINISHED else "✗"
    parts = [f"{status.states[State.COMPLETED]:,} done"]
    if failed := unsuccessful(status):
        parts.append(f"{failed:,} failed")
    if still := waiting(status):
        parts.append(f"{still:,} waiting")
    if status.rejected:
        parts.append(f"{count(status.rejected, 'row')} rejected")
    text = f"{sign} {status.run.name}: {', '.join(parts)} in {span(summary.elapsed_s)}"
    text += f" · cost {short(status.money.charged)}"
    if held(status):
        text += f" · {short(held(status))} held"
    if left := sum(each.tasks for each in summary.left_over):
        text += f" · {left:,} left over"
    return text if summary.exit is Exit.DONE else f"{text} · exit {int(summary.exit)}"


def result(session: Session, summary: RunSummary) -> dict[str, object]:
    """The last event of ``--json``."""
    added = summary.load.added if summary.load else None
    return {
        **status_document([summary.status, *summary.others], session.clock.now()),
        "schema": "runner.event/1",
        "run": summary.status.run.name,
        "exit": int(summary.exit),
        "load": added
        and {
            "rows": added.rows,
            "new": added.new,
            "known": added.known,
            "duplicates": added.duplicates,
        },
        "retried": summary.retried,
        "left_over": sum(each.tasks for each in summary.left_over),
        "left_over_runs": left_over_document(summary.left_over),
        "files": [str(path) for path in summary.files],
        "rejects": None if summary.rejects is None else str(summary.rejects),
        "elapsed_s": round(summary.elapsed_s, 3),
        "calls": summary.calls,
        "error": summary.reason and session.voice.error_document(summary.reason, summary.exit),
    }
