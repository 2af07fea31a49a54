"""Deaths around a Live call: whatever was paid and not saved is told with its amount."""

from pathlib import Path
from typing import Final

from runner.failpoints import Point
from runner.simulator.account import Account
from runner.simulator.calls import CallKind
from runner.simulator.faults import Strike
from runner.simulator.server import serve
from tests.crash.sweep import Fate, Kept, Means, account_of_a_moment
from tests.support.lives import KILLED, Books, Home, books

LIVE: Final = {
    Point.LIVE_INTENT_BEFORE,
    Point.LIVE_INTENT_DURABLE,
    Point.LIVE_FIRST_BYTE,
    Point.LIVE_REPLY_CAME,
    Point.LIVE_OUTCOME_INSIDE,
    Point.LIVE_OUTCOME_DURABLE,
}

TASKS: Final = 6

JOB: Final = """\
name = "live"
[input]
file = "q.csv"
[[targets]]
provider = "perplexity"
model = "sonar"
"""


async def die(folder: Path, point: Point, fate: Fate, kept: Kept, means: Means) -> str | None:
    """Die there, start again, then pay again for what was lost; what went wrong, if anything."""
    folder.mkdir()
    (folder / "live.toml").write_text(JOB, encoding="utf-8")
    rows = "".join(f"Question {number}?\n" for number in range(TASKS))
    (folder / "q.csv").write_text(f"prompt\n{rows}", encoding="utf-8")
    with account_of_a_moment() as account:
        if fate.value is not None:
            account.faults.arm(Strike(fault=fate.value, call=CallKind.LIVE))
        async with serve(account) as api:
            with means.home(kept, folder, api) as home:
                return await _die_and_pay_again(home, point, account)


async def _die_and_pay_again(home: Home, point: Point, account: Account) -> str | None:
    code, said = await home.live("run", "live.toml", die_at=point)
    if code != KILLED:
        return f"never reached; the run ended with {code}: {said}"
    code, said = await home.live("run", "live.toml")
    first = await books(home, account.ledger.entries(account.now_ms()))
    if code != (1 if first.states["failed"] else 0):
        return f"the next start ended with {code}: {said}"
    if wrong := _not_told(first):
        return f"{wrong}. {first}"
    await home.live("retry", "live", "--pay-again", "--yes")
    last = await books(home, account.ledger.entries(account.now_ms()))
    if last.states != {"completed": TASKS} or last.breaches:
        return f"lost for good: {last}"
    return None


def _not_told(found: Books) -> str | None:
    """What the store says nothing of, though it was or may have been paid."""
    if found.paid_twice:
        return "paid twice unasked"
    if found.states["completed"] + found.states["failed"] != TASKS:
        return "a task has no end"
    if found.charged > found.billed or found.billed > found.charged + found.at_risk:
        return "the bill is not what was charged and is at risk"
    if bool(found.at_risk) != bool(found.states["failed"]):
        return "money is at risk without a lost answer, or the other way round"
    return "; ".join(found.breaches) or None
