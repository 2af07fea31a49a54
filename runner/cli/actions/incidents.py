"""``runner incidents``: list them, close them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from runner.cli.actions.controlling import store_to_change
from runner.cli.actions.looking import same_store, store_to_look
from runner.cli.layout import amount, count, pairs, table
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.clock import to_text
from runner.errors import Exit, WrongInput
from runner.money import exact, short
from runner.store.reconciling import Incident

if TYPE_CHECKING:
    from runner.cli.commands.incidents import IncidentsOptions

_HEAD: Final = ("NO", "KIND", "AMOUNT", "TASK", "ATTEMPT", "API'S ID", "OPENED", "STATE", "WHAT")


def incidents(session: Session, given: "IncidentsOptions") -> Exit:
    """List the incidents of the store; close those that are named first.

    Raises:
        WrongInput: there is none of that number, or no store.
        StoreBroken: the store cannot be read.
        TryLater: the store cannot be written.
    """
    if given["close"]:
        run_async(lambda: _close(session, given["close"]))
    found = run_async(lambda: _read(session, everything=given["everything"]))
    _tell(session, found)
    return Exit.DONE


async def _read(session: Session, *, everything: bool) -> list[Incident]:
    async with store_to_look(session) as store:
        return await store.incidents(closed=everything)


async def _close(session: Session, numbers: Sequence[int]) -> None:
    async with store_to_change(session) as store:
        known = {each.id: each for each in await store.incidents(closed=True)}
        if missing := sorted(set(numbers) - known.keys()):
            raise WrongInput(
                f"there is no incident {', '.join(map(str, missing))}; nothing was closed",
                how="see which there are: runner incidents --all",
            )
        for number in sorted(set(numbers)):
            if not await store.close_incident(number, now=session.clock.now()):
                session.voice.note(f"incident {number} was closed before")


def _tell(session: Session, found: Sequence[Incident]) -> None:
    voice = session.voice
    open_ = [each for each in found if each.closed_at is None]
    total = sum(each.amount for each in open_)
    if voice.json:
        voice.document(
            {
                "schema": "runner.incidents/1",
                "incidents": [_document(each) for each in found],
                "open": len(open_),
                "amount": exact(total),
            }
        )
    elif not voice.for_people:
        for each in found:
            voice.answer(pairs("incident", _keys(each)))
        voice.answer(pairs("incidents", {"open": len(open_), "amount": amount(total)}))
    else:
        if found:
            voice.answer(
                table(
                    _HEAD,
                    [_row(each) for each in found],
                    right=frozenset({0, 2, 3}),
                    width=voice.width,
                )
            )
        if open_:
            voice.answer(
                f"{count(len(open_), 'incident')} open, {short(total)}; when you have seen to one: "
                f"runner{same_store(session)} incidents --close {open_[0].id}"
            )
        else:
            voice.answer("✓ no incident is open")


def _row(each: Incident) -> list[str]:
    return [
        str(each.id),
        each.kind,
        short(each.amount),
        "-" if each.task is None else str(each.task),
        "-" if each.attempt is None else str(each.attempt),
        each.remote_id or "-",
        to_text(each.opened_at),
        "open" if each.closed_at is None else "closed",
        each.message,
    ]


def _keys(each: Incident) -> dict[str, object]:
    return {
        "id": each.id,
        "kind": each.kind.value,
        "amount": amount(each.amount),
        "task": "" if each.task is None else each.task,
        "attempt": "" if each.attempt is None else each.attempt,
        "remote_id": each.remote_id or "",
        "opened_at": to_text(each.opened_at),
        "open": str(each.closed_at is None).lower(),
        "message": each.message,
    }


def _document(each: Incident) -> dict[str, object]:
    return {
        "id": each.id,
        "kind": each.kind.value,
        "amount": exact(each.amount),
        "task_id": each.task,
        "attempt": each.attempt,
        "remote_id": each.remote_id,
        "tag": each.tag,
        "message": each.message,
        "opened_at": to_text(each.opened_at),
        "closed_at": None if each.closed_at is None else to_text(each.closed_at),
    }
