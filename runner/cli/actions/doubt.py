"""What waits for a person: quarantined tasks and open incidents, each with its command."""

from collections.abc import Iterable

from runner.cli.actions.looking import store_to_look
from runner.cli.layout import count
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.lifecycle import State
from runner.money import short
from runner.store.reconciling import Incident
from runner.store.values import RunStatus


def tell_doubt(session: Session, statuses: Iterable[RunStatus]) -> None:
    """A note for the quarantined tasks of *statuses*, and one for the store's open incidents.

    Raises:
        StoreBroken: the store cannot be read.
    """
    if not session.settings().has_store:
        return
    if held := sum(status.states[State.QUARANTINED] for status in statuses):
        session.voice.note(
            f"{count(held, 'task')} quarantined, for a person to decide about: runner tasks "
            f"--state quarantined; runner resolve TASK"
        )
    incidents = run_async(lambda: _open_incidents(session))
    if incidents:
        total = short(sum(each.amount for each in incidents))
        session.voice.note(f"{count(len(incidents), 'incident')} open, {total}: runner incidents")


async def _open_incidents(session: Session) -> list[Incident]:
    async with store_to_look(session) as store:
        return await store.incidents()
