"""``runner cancel``: drop what was not sent yet, and ask nothing of what was sent again."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from runner.cli.actions.controlling import names_of, store_to_change
from runner.cli.asking import confirm
from runner.cli.layout import count, pairs
from runner.cli.selecting import Picked, pick
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import Exit, WrongInput
from runner.lifecycle import State
from runner.store.listing import Selection
from runner.store.opening import AnyStore

if TYPE_CHECKING:
    from runner.cli.commands.cancel import CancelOptions

AT_THE_API: Final = frozenset({State.POSTING, State.UNKNOWN, State.POSTED})
"""Sent, for all we know: nobody can recall them."""


def cancel(session: Session, reference: str | None, given: "CancelOptions") -> Exit:
    """Drop the tasks that *reference* and the selectors mean, once that is confirmed.

    Raises:
        WrongInput: they mean no run, or nobody can be asked and ``--yes`` was not given.
        Declined: the answer was not yes.
        TryLater: the store cannot be written.
    """
    if others := set(given["state"]) - {State.PENDING.value}:
        raise WrongInput(
            f"--state {min(others)}: only pending tasks can be cancelled",
            why="what was sent cannot be recalled, and what has ended needs no cancelling",
            how="leave --state out",
        )
    newest_only = reference is None and not given["of_run"] and not given["of_job"]

    async def look() -> tuple[Picked, int, int]:
        async with store_to_change(session) as store:
            picked = await pick(session, store, reference, given, newest_only=newest_only)
            return picked, await _queued(store, picked.which), await _sent(store, picked.which)

    async def drop() -> tuple[int, int]:
        async with store_to_change(session) as store:
            done = await store.cancel(picked.which)
            return done, await _sent(store, picked.which)

    picked, queued, sent = run_async(look)
    names = names_of(picked.runs)
    if not given["dry_run"]:
        if queued or sent:
            confirm(session, _question(queued, sent, names))
        queued, sent = run_async(drop)
    _tell(session, picked, names, queued, sent, dry=given["dry_run"])
    return Exit.DONE


def _question(queued: int, sent: int, names: str) -> str:
    text = f"drop {count(queued, 'queued task')} of {names}"
    return f"{text}, and ask none of the {sent:,} that are sent again" if sent else text


async def _queued(store: AnyStore, which: Selection) -> int:
    return await store.count_tasks(replace(which, states=frozenset({State.PENDING})))


async def _sent(store: AnyStore, which: Selection) -> int:
    return await store.count_tasks(replace(which, states=AT_THE_API, limit=None))


def _tell(
    session: Session, picked: Picked, names: str, queued: int, sent: int, *, dry: bool
) -> None:
    voice = session.voice
    runs = [run.name for run in picked.runs]
    counts = {"queued": queued, "sent": sent}
    if voice.json:
        voice.document({"schema": "runner.cancel/1", "runs": runs, **counts, "dry_run": dry})
    elif not voice.for_people:
        voice.answer(pairs("cancel.dry" if dry else "cancel", {"run": ",".join(runs), **counts}))
    else:
        said = "would cancel" if dry else "cancelled"
        text = f"{said} {count(queued, 'queued task')} of {names}"
        if sent:
            text += (
                f"; {sent:,} already sent will still be billed and collected, and not asked again"
            )
        voice.answer(f"{text}; nothing was changed" if dry else text)
