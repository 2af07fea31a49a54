"""What failed tasks have cost in the end, as far as the account's listing tells it.

    the reply ──┬─ cost 0 ──▶ refunded, for the moment
                └─ no cost ─▶ at risk
    the listing ┬─ 0 ───────▶ refunded
                └─ above 0 ─▶ charged, once the listing is seen to tell final costs

Whether failures are charged is not known, and task_get prints a cost of 0 even where money was
spent (API.md §0.6, §5), so a 0 in the reply is the refund only until the listing says otherwise.
The listing shows the advance first, and whether it ever corrects it is not known either: an
advance there is a charge only beside an answered task that ended no earlier and shows its final
cost. DESIGN.md §4, FAULTS.md 66 and 67.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog

from runner.money import ADVANCE, BASE_PRICE_STANDARD, exact
from runner.pipeline.engine import Engine
from runner.store.auditing import Expected, FailureCost
from runner.store.reconciling import IncidentKind, NewIncident
from runner.windows import COMPLETION_WINDOW

log = structlog.get_logger()

BOOKED_AT_ONCE: Final = 1_000
"""Failures settled in one transaction: posting and storing go on in between."""

TOLD_ONE_BY_ONE: Final = 10
"""More differences than this are told in one incident: they have one cause."""

CHECKED: Final = timedelta(days=2)
"""So long after a failure was booked its cost is looked for, however old the task was."""

OLDEST: Final = COMPLETION_WINDOW + CHECKED
"""How far back the audit of a day looks for failures alone."""

_ADVANCES: Final = frozenset({0, ADVANCE, ADVANCE + BASE_PRICE_STANDARD})


class Row(NamedTuple):
    """What an audit keeps of a row of the listing."""

    cost: int | None
    done_at: datetime | None
    failed: bool
    """It shows that the task has ended, and not well."""


def differs(listed: int, booked: int) -> bool:
    """Whether two costs of a task are more than 1 % apart (DESIGN.md §5)."""
    return abs(listed - booked) * 100 > max(listed, booked)


def told(task: Expected, cost: int) -> bool:
    """Whether a *cost* in the listing says more than a row does that was never corrected."""
    return cost == task.charged or not (cost in _ADVANCES or cost == task.advanced)


@dataclass(slots=True)
class Proof:
    """How far one listing is to be believed about costs, by what it says of answered tasks."""

    final_until: datetime | None = None
    """What ended by then shows its final cost."""
    says_0: bool = False
    """Of an answered task, too, so that a 0 is no refund."""

    def learn(self, answered: Expected, row: Row) -> None:
        """Take in what the listing says of a task whose charge is known."""
        if row.cost is None or not answered.charged:
            return
        if row.cost == 0:
            self.says_0 = True
        elif (
            row.done_at is not None
            and row.cost not in _ADVANCES
            and row.cost != answered.advanced
            and not differs(row.cost, answered.charged)
        ):
            self.final_until = max(self.final_until or row.done_at, row.done_at)

    def tells(self, task: Expected, row: Row) -> bool:
        """Whether *row* says what the failed *task* cost in the end."""
        if row.cost is None:
            return False
        if told(task, row.cost):
            return True
        if row.cost == 0 and (self.says_0 or not row.failed):
            return False
        # The advance had left the account, so that a 0 was corrected.
        return self._final(row.done_at) or (row.cost == 0 and task.charged is None)

    def _final(self, done_at: datetime | None) -> bool:
        until = self.final_until
        return done_at is not None and until is not None and done_at <= until


async def settle(engine: Engine, found: Sequence[FailureCost]) -> int:
    """Book what failed tasks cost in the end, and open incidents about what was booked otherwise;
    returns how many are new.

    Raises:
        StoreUnwritable: some of it could not be saved; the next audit finds it again.
    """
    opened = 0
    for first in range(0, len(found), BOOKED_AT_ONCE):
        part = found[first : first + BOOKED_AT_ONCE]
        opened += await engine.store.settle_failures(
            part, _incidents(engine, part), now=engine.clock.now()
        )
    if found:
        engine.signals.bookings += 1
        log.info(
            "audit.failures_settled",
            tasks=len(found),
            charged_usd=exact(sum(each.cost for each in found)),
        )
    return opened


def _incidents(engine: Engine, costs: Sequence[FailureCost]) -> list[NewIncident]:
    wrong = sorted(
        (each for each in costs if each.booked is not None), key=lambda each: -_apart(each)
    )
    if len(wrong) <= TOLD_ONE_BY_ONE:
        return [_incident(engine, each, _words(each), _apart(each)) for each in wrong]
    # It bears the greatest one's id: booked now, none of them is seen again, and a sum of
    # differences that last, which each audit renews, is not to be put in its place.
    message = f"{len(wrong):,} tasks; the greatest is task {wrong[0].task}: {_words(wrong[0])}"
    return [_incident(engine, wrong[0], message, sum(map(_apart, wrong)))]


def _incident(engine: Engine, about: FailureCost, message: str, amount: int) -> NewIncident:
    return NewIncident(
        kind=IncidentKind.COST_DIFFERS,
        message=message,
        amount=amount,
        task=about.task,
        attempt=about.attempt,
        remote_id=about.remote_id,
        tag=about.tag,
        account=engine.account,
    )


def _apart(cost: FailureCost) -> int:
    return abs(cost.cost - (cost.booked or 0))


def _words(cost: FailureCost) -> str:
    return (
        f"it failed, and ${exact(cost.booked or 0)} was booked; the account's listing says "
        f"${exact(cost.cost)}, which is booked now"
    )


async def failed_before(engine: Engine, earliest: datetime, start: datetime) -> list[Expected]:
    """Failures of tasks posted from *earliest* until *start*, where an audit's window begins, whose
    cost is still to be looked for: after 72 hours, or with their money at risk ever since."""
    found: list[Expected] = []
    after: int | None = 0
    while after is not None:
        some, after = await engine.store.failed_tasks(
            engine.account,
            earliest,
            start,
            ended_since=engine.clock.now() - CHECKED,
            after=after,
        )
        found += some
    return found
