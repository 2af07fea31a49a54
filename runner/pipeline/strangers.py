"""What a reply to a post says that it should not: each a matter for a person, too.

    a second id for one of its tasks ......... paid twice: booked, fetched, an incident each
    a tag that was not sent, no tag,
    one id for several tasks ................. one incident, renewed until it is closed
    40006, though no call has too many ....... the same

What became of the tasks themselves is decided before, by their own tags (``runner.api.posting``).
"""

from collections.abc import Iterator
from typing import Final

import structlog

from runner.api.posting import PostReply, Stranger
from runner.api.status import StatusClass, lookup
from runner.pipeline.engine import Engine
from runner.rows import Batch
from runner.store.reconciling import IncidentKind, Sighting
from runner.store.values import StoreUnwritable
from runner.task import Accepted, NotTaken

log = structlog.get_logger()

_MOST_LOGGED: Final = 10
_LONGEST_TAG: Final = 80


async def look_into(engine: Engine, batch: Batch, reply: PostReply) -> None:
    """Book and tell what is strange in the *reply* to *batch*, whose outcomes are saved."""
    for stranger in reply.strangers[:_MOST_LOGGED]:
        log.warning(
            "submitter.stranger_in_reply",
            batch=batch.id,
            why=stranger.why,
            tag=stranger.tag,
            remote_id=stranger.remote_id,
            code=stranger.code,
        )
    second = _second_ids(reply)
    told = "; ".join(_told(reply, second))
    try:
        if second:
            # A task that the reply gives two ids was paid twice: an incident at once (F63).
            await engine.store.found(second, now=engine.clock.now(), account=engine.account)
            engine.signals.extras_told += 1
        if told:
            await engine.store.sum_up(
                IncidentKind.STRANGE_REPLY,
                f"the reply to batch {batch.id}, of {len(batch.attempts)} tasks: {told}",
                amount=0,
                now=engine.clock.now(),
                account=engine.account,
            )
    except StoreUnwritable as error:
        # The daily audit finds second ids in the listing.
        log.warning("submitter.strangers_not_saved", ids=len(second), error=error.what)


def _second_ids(reply: PostReply) -> list[Sighting]:
    taken = {outcome.tag for outcome in reply.outcomes if isinstance(outcome, Accepted)}
    return [
        Sighting(tag=each.tag, remote_id=each.remote_id, cost=each.cost_nanousd)
        for each in reply.strangers
        if each.tag is not None and each.tag in taken and each.remote_id is not None
    ]


def _told(reply: PostReply, second: list[Sighting]) -> Iterator[str]:
    """What is strange in *reply* beside the *second* ids, in words."""
    booked = {(each.tag, each.remote_id) for each in second}
    others = [each for each in reply.strangers if (each.tag, each.remote_id) not in booked]
    if others:
        yield f"{len(others)} of its lines fit none of them, the first with {_line(others[0])}"
    too_many = [
        outcome
        for outcome in reply.outcomes
        if isinstance(outcome, NotTaken)
        and lookup(outcome.code).kind is StatusClass.NOT_CREATED_RESEND
    ]
    if too_many:
        yield f"{len(too_many)} were refused as too many, and are posted again"


def _line(stranger: Stranger) -> str:
    tag = "" if stranger.tag is None else f" {stranger.tag[:_LONGEST_TAG]!a}"
    return f"{stranger.why}{tag}, id {stranger.remote_id or '-'}, code {stranger.code}"
