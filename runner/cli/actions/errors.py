"""``runner errors``: failures grouped by cause, each with its way on."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runner.app.left_over import LeftOver, left_over_of_jobs
from runner.cli.actions.left_over import left_over_document, left_over_notes
from runner.cli.actions.looking import store_to_look
from runner.cli.layout import count, pairs
from runner.cli.selecting import pick
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import Exit, WrongInput
from runner.jobfile.find import relative
from runner.lifecycle import UNSUCCESSFUL
from runner.logs import printable
from runner.reports.advice import Advice, advise
from runner.reports.documents import errors_document
from runner.store.values import FailureGroup, Run, RunStatus

if TYPE_CHECKING:
    from runner.cli.commands.errors import ErrorsOptions

_LONGEST = 200
"""Characters of the API's words in a table; all of them are in ``--json`` and the exports."""


def errors(session: Session, reference: str | None, given: "ErrorsOptions") -> Exit:
    """Tell what failed in the run that *reference* means, as far as the selectors mean it.

    Raises:
        WrongInput: it means none.
        StoreBroken: the store cannot be read.
    """
    if given["rows"]:
        return _rows(session, reference, given)
    if given["limit"] is not None:
        raise WrongInput("--limit goes with --rows", how="runner errors --help")
    status, groups, left = run_async(lambda: _read(session, reference, given))
    run, voice = status.run, session.voice
    for note in left_over_notes(left):
        voice.note(note)
    if voice.json:
        document = errors_document(run, groups, to_paste=voice.to_paste)
        more = {"left_over": left_over_document(left), "rejected": status.rejected}
        voice.document({**document, **more})
        return Exit.DONE
    advices = [advise(group, run.name, among=groups) for group in groups]
    total = sum(group.count for group in groups)
    if voice.for_people:
        name = f"{run.name} ({run.number})"
        if not total:
            sign = "no task" if status.rejected else "✓ nothing"
            voice.answer(f"{sign} failed in {name}")
            _tell_rejected(session, status)
            return Exit.DONE
        voice.answer(f"{total:,} of {status.tasks:,} failed in {name}")
        for group, advice in zip(groups, advices, strict=True):
            voice.answer(_paragraph(group, advice, voice.to_paste))
        _tell_rejected(session, status)
        return Exit.DONE
    for group in groups:
        voice.answer(pairs("error", _keys(run, group)))
    voice.answer(pairs("errors", _total_keys(status, groups, advices)))
    return Exit.DONE


def _tell_rejected(session: Session, status: RunStatus) -> None:
    """Rows that became no task, for the same reason that a person looks for failed ones."""
    if not status.rejected:
        return
    run = status.run
    job = shlex.quote(relative(Path(run.job_file))) if run.job_file else "JOB"
    session.voice.answer(
        f"{count(status.rejected, 'row')} of the input could not be asked; each with its mistake: "
        + session.voice.to_paste(f"runner check {job}")
    )


async def _read(
    session: Session, reference: str | None, given: "ErrorsOptions"
) -> tuple[RunStatus, list[FailureGroup], Sequence[LeftOver]]:
    async with store_to_look(session) as store:
        picked = await pick(session, store, reference, given, newest_only=True)
        (run,) = picked.runs
        statuses = [await store.status(each.id) for each in await store.runs(job=run.job)]
        left = await left_over_of_jobs(store, statuses)
        return await store.status(run.id), await store.failures(run.id, picked.which), left


def _rows(session: Session, reference: str | None, given: "ErrorsOptions") -> Exit:
    from runner.cli.actions.tasks import tell_tasks

    async def listed() -> None:
        async with store_to_look(session) as store:
            picked = await pick(session, store, reference, given, newest_only=True)
            states = UNSUCCESSFUL & (picked.which.states or UNSUCCESSFUL)
            which = replace(picked.which, states=states)
            await tell_tasks(session, store, replace(picked, which=which))

    run_async(listed)
    return Exit.DONE


def _paragraph(group: FailureGroup, advice: Advice, to_paste: Callable[[str], str]) -> str:
    code = f"{group.code} " if group.code is not None else ""
    words = printable(group.message)
    words = words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"
    reason = f" ({group.reason})" if group.reason else ""
    lines = [
        f"{group.count:>6,}  {group.provider} {printable(group.model)}: {advice.meaning}",
        f"        {group.state}{reason}: {code}{words}".rstrip(": "),
        f"        {advice.advice}" + (":" if advice.command else ""),
    ]
    if advice.command:
        lines.append(f"        {to_paste(advice.command)}")
    return "\n".join(lines)


def _keys(run: Run, group: FailureGroup) -> dict[str, object]:
    return {
        "run": run.name,
        "state": group.state.value,
        "reason": group.reason,
        "provider": group.provider,
        "model": group.model,
        "code": "" if group.code is None else group.code,
        "count": group.count,
        "message": group.message,
    }


def _total_keys(
    status: RunStatus, groups: Sequence[FailureGroup], advices: Sequence[Advice]
) -> dict[str, object]:
    pairs_of = list(zip(groups, advices, strict=True))
    keys: dict[str, object] = {
        "run": status.run.name,
        "total": sum(group.count for group in groups),
        "retriable": sum(group.count for group, advice in pairs_of if advice.retriable),
    }
    if status.rejected:
        keys["rejected"] = status.rejected
    if groups:
        top = groups[0]
        words = f"{top.code} {top.message}" if top.code is not None else top.message
        keys |= {"top": words.strip() or top.reason, "count": top.count}
    return keys
