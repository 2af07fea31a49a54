"""``runner pause`` and ``runner resume``: whether anything is posted."""

from collections.abc import Iterable

from runner.cli.actions.controlling import (
    Scope,
    concerns,
    resume_command,
    scope_of,
    store_to_change,
)
from runner.cli.counts import sent_and_waiting
from runner.cli.layout import count, pairs
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.cli.until import Later
from runner.clock import to_text
from runner.errors import Exit, WrongInput
from runner.lifecycle import State
from runner.reports.documents import pause_document
from runner.store.control import Pause
from runner.store.values import RunStatus


def pause(session: Session, reference: str | None, until: Later | None, reason: str) -> Exit:
    """Post nothing more of what *reference* means; answers are still collected.

    Raises:
        WrongInput: it means nothing, or *until* is over.
        TryLater: the store cannot be written.
    """
    now = session.clock.now()
    ends = None
    if until is not None and (ends := until.seen_from(now)) is None:
        raise WrongInput(
            f"--until {until.text} is over: it is {now:%Y-%m-%d %H:%M} UTC",
            how="name a moment to come, or leave --until out",
        )

    async def change() -> tuple[Scope, Pause, list[RunStatus]]:
        async with store_to_change(session) as store:
            scope = scope_of(reference, await store.runs())
            run = scope.run.id if scope.run else None
            made = await store.pause(
                job=scope.job, run=run, until=ends, reason=" ".join(reason.split()), now=now
            )
            return scope, made, [await store.status(each.id) for each in scope.runs]

    scope, made, statuses = run_async(change)
    queued, collecting = _queued(statuses), sum(map(sent_and_waiting, statuses))
    keys: dict[str, object] = scope.keys(session)
    if made.until is not None:
        keys["until"] = to_text(made.until)
    if made.reason:
        keys["reason"] = made.reason
    keys |= {"queued": queued, "collecting": collecting}
    text = (
        f"{scope.name}: {made}; {count(queued, 'task')} wait, {collecting:,} still being collected"
    )
    _tell(session, "pause", keys, text)
    if made.until is None:
        session.voice.note(f"send again with: {resume_command(session, made)}")
    return Exit.DONE


def resume(session: Session, reference: str | None) -> Exit:
    """Let what *reference* means be posted again; a pause of something else goes on.

    Raises:
        WrongInput: it means nothing.
        TryLater: the store cannot be written.
    """
    now = session.clock.now()

    async def change() -> tuple[Scope, Pause | None, list[Pause], list[RunStatus]]:
        async with store_to_change(session) as store:
            scope = scope_of(reference, await store.runs())
            run = scope.run.id if scope.run else None
            ended = await store.resume(job=scope.job, run=run, now=now)
            others = [each for each in await store.pauses(now=now) if concerns(each, scope)]
            return scope, ended, others, [await store.status(each.id) for each in scope.runs]

    scope, ended, others, statuses = run_async(change)
    queued = _queued(statuses)
    keys = scope.keys(session) | {"was_paused": ended is not None, "queued": queued}
    if session.voice.json:
        keys["still_paused"] = [pause_document(each) for each in others]
    said = "resumed" if ended is not None else "was not paused"
    _tell(session, "resume", keys, f"{scope.name}: {said}; {count(queued, 'task')} queued")
    for each in others:
        command = resume_command(session, each)
        session.voice.note(f"{_held(each, scope)} is still {each}; send again with: {command}")
    return Exit.DONE


def _held(pause: Pause, scope: Scope) -> str:
    if pause.run is not None:
        return next(f"{run.name} ({run.number})" for run in scope.runs if run.id == pause.run)
    return f"the job {pause.job}" if pause.job is not None else "the whole store"


def _queued(statuses: Iterable[RunStatus]) -> int:
    return sum(status.states[State.PENDING] for status in statuses)


def _tell(session: Session, verb: str, keys: dict[str, object], text: str) -> None:
    voice = session.voice
    if voice.json:
        voice.document({"schema": f"runner.{verb}/1", **keys})
    else:
        voice.answer(text if voice.for_people else pairs(verb, keys))
