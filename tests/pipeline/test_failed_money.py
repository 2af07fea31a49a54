"""What failed tasks have cost in the end: the reply's word for the moment, then the listing's."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from runner.api.client import LlmResponses
from runner.api.wire import Listed
from runner.money import BASE_PRICE_STANDARD
from runner.pipeline import failures
from runner.pipeline.audit import audit
from runner.pipeline.extras import fetch_extras
from runner.pipeline.writer import store_group
from runner.simulator.faults import Fault
from runner.simulator.scenario import FailureCharge
from runner.store.amounts import Money
from runner.store.auditing import Audit
from runner.store.endings import RemotelyFailed
from runner.store.reconciling import Incident, IncidentKind
from tests.pipeline.scene import DAY, HOUR, RESERVE, Scene

FAILING = 3
ANSWERED = 2

CHARGES = pytest.mark.parametrize(
    ("setting", "charge"),
    [
        (FailureCharge.NOTHING, 0),
        (FailureCharge.BASE, BASE_PRICE_STANDARD),
        (FailureCharge.ADVANCE, RESERVE),
    ],
)
STATED = pytest.mark.parametrize("stated", [True, False], ids=["cost 0 stated", "no cost stated"])


def change(scene: Scene, **settings: Any) -> None:
    scene.account.change(replace(scene.account.scenario, **settings))


async def later(scene: Scene, time: timedelta = HOUR) -> None:
    """Let *time* go by, and hear the API's."""
    scene.clock.advance(time)
    await scene.engine.api.user_data()


async def post(scene: Scene, name: str, tasks: int) -> None:
    await scene.load([f"{name} {number}?" for number in range(tasks)])
    assert await scene.poster.post_next() is not None


async def fail(scene: Scene, tasks: int = FAILING, *, stated: bool = True) -> None:
    """Post *tasks* that fail within the hour; *stated*: their replies say that they cost 0."""
    await scene.engine.api.user_data()
    change(scene, error_rate=1.0, error_codes=(40101,))
    await post(scene, f"Fails {scene.clock.now()}", tasks)
    change(scene, error_rate=0.0)
    await later(scene)
    await fetch(scene, stated=stated)


async def fetch(scene: Scene, *, stated: bool = True) -> None:
    endings = await scene.fetch_all()
    if not stated:
        endings = [
            replace(each, cost=None) if isinstance(each, RemotelyFailed) else each
            for each in endings
        ]
    await store_group(scene.engine, endings)


async def answer(scene: Scene, tasks: int = ANSWERED) -> None:
    """Post *tasks* that are answered within the hour."""
    await post(scene, f"Why {scene.clock.now()}", tasks)
    await later(scene)
    await fetch(scene)


async def made(scene: Scene, *, patient: bool = True) -> Audit:
    found = await audit(scene.engine, patient=patient)
    assert found is not None
    assert await scene.store.verify() == []
    return found


async def money(scene: Scene) -> Money:
    return (await scene.status()).money


async def differences(scene: Scene) -> list[Incident]:
    found = await scene.store.incidents()
    assert {each.kind for each in found} <= {IncidentKind.COST_DIFFERS}
    return found


def bill(scene: Scene) -> int:
    """What the account was charged."""
    scene.account.now_ms()
    return scene.account.ledger.totals.charged_nanousd


@CHARGES
@STATED
async def test_a_listing_that_tells_final_costs_settles_what_failures_have_cost(
    scene: Scene, setting: FailureCharge, charge: int, stated: bool
) -> None:
    """F67: whether failures are charged is not known (API.md §5), and the bill decides."""
    change(scene, failure_charge=setting)
    await fail(scene, stated=stated)
    await answer(scene)
    found = await made(scene)
    after = await money(scene)
    assert (after.charged, after.at_risk) == (bill(scene), 0)
    assert after.advanced == after.charged + after.refunded
    assert (found.compared, found.untold) == (FAILING + ANSWERED, 0)
    assert found.settled == (0 if stated else FAILING)
    told = await differences(scene)
    # Nobody had said that it came back while it was at risk.
    wrong = FAILING if stated and charge else 0
    assert [each.amount for each in told] == [charge] * wrong
    assert (found.differing, found.incidents, found.agrees) == (wrong, wrong, not wrong)
    again = await made(scene)
    assert (again.agrees, again.settled, again.listed_cost) == (True, 0, bill(scene))
    assert again.booked_cost == bill(scene)
    assert await money(scene) == after


@CHARGES
@STATED
async def test_a_listing_that_never_corrects_its_costs_settles_nothing(
    scene: Scene, setting: FailureCharge, charge: int, stated: bool
) -> None:
    """Its rows show the advance of failed tasks as they do of answered ones."""
    change(scene, failure_charge=setting, listing_final_cost=False)
    await fail(scene, stated=stated)
    await answer(scene)
    before = await money(scene)
    found = await made(scene)
    assert await money(scene) == before
    assert before.at_risk == (0 if stated else FAILING * RESERVE)
    assert (found.agrees, found.compared, found.settled) == (True, 0, 0)
    assert found.untold == FAILING + ANSWERED
    # For a person to hold against the bill: nothing else will ever tell.
    assert found.unrefunded_cost == (FAILING * RESERVE if stated else 0)


@STATED
async def test_without_an_answer_to_go_by_an_advance_is_no_charge(
    scene: Scene, stated: bool
) -> None:
    """A night on which all fails looks the same whether the rows were corrected or not."""
    change(scene, failure_charge=FailureCharge.ADVANCE)
    await fail(scene, stated=stated)
    before = await money(scene)
    found = await made(scene)
    assert (found.untold, found.settled, found.differing) == (FAILING, 0, 0)
    assert found.unrefunded == (FAILING if stated else 0)
    assert await money(scene) == before
    await later(scene, 20 * HOUR)
    await answer(scene)
    assert (await made(scene)).agrees is not stated
    assert (await money(scene)).charged == bill(scene)


async def test_a_refund_needs_no_answer_to_go_by(scene: Scene) -> None:
    """The advance had left the account, so a row that says 0 was corrected."""
    await fail(scene, stated=False)
    assert await money(scene) == Money(advanced=FAILING * RESERVE, at_risk=FAILING * RESERVE)
    found = await made(scene)
    assert (found.agrees, found.compared, found.settled) == (True, FAILING, FAILING)
    assert await money(scene) == Money(advanced=FAILING * RESERVE, refunded=FAILING * RESERVE)


async def test_what_is_settled_leaves_room_for_more(scene: Scene) -> None:
    """Money that was at risk for nothing held back the rest of the night."""
    scene.limited(hold=FAILING * RESERVE)
    await fail(scene, stated=False)
    await scene.load(["Any room?"])
    assert await scene.poster.post_next() is None
    await made(scene)
    assert await scene.poster.post_next() is not None


async def test_what_is_settled_is_news_for_whoever_waits_for_room(scene: Scene) -> None:
    """Posting that rests under a hold looks again when something was booked."""
    await fail(scene, stated=False)
    before = scene.engine.signals.bookings
    await made(scene)
    assert scene.engine.signals.bookings == before + 1


Rows = Callable[[list[Listed]], list[Listed]]


def listed_as(monkeypatch: pytest.MonkeyPatch, seen: Rows) -> None:
    """Let the client see *seen* of the rows of each listing."""
    honest: Callable[..., Awaitable[list[Listed]]] = LlmResponses.id_list

    async def listing(self: LlmResponses, *window: datetime, **how: Any) -> list[Listed]:
        return seen(await honest(self, *window, **how))

    monkeypatch.setattr(LlmResponses, "id_list", listing)


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"done_at": None, "status": "Task In Queue."}, id="it still runs"),
        pytest.param({"status": "Ok."}, id="it has not failed there"),
        pytest.param({"status": ""}, id="it does not say how it ended"),
        pytest.param({"cost_nanousd": None}, id="it says no cost"),
    ],
)
async def test_a_row_that_does_not_show_the_failure_shows_no_refund(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]
) -> None:
    """What reported the failure may have been a passing fault of the API's."""
    await fail(scene, stated=False)
    listed_as(monkeypatch, lambda rows: [replace(each, **how) for each in rows])
    found = await made(scene)
    assert (found.settled, found.untold) == (0, FAILING)
    assert (await money(scene)).at_risk == FAILING * RESERVE


async def test_a_listing_that_says_0_of_answers_shows_no_refund(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """task_get prints 0 where money was spent (API.md §0.6), and the listing may do so, too."""
    await fail(scene, stated=False)
    await answer(scene)
    listed_as(monkeypatch, lambda rows: [replace(each, cost_nanousd=0) for each in rows])
    found = await made(scene)
    assert (found.settled, found.untold) == (0, FAILING + ANSWERED)
    assert (await money(scene)).at_risk == FAILING * RESERVE


async def test_an_answer_that_ended_before_the_failure_proves_nothing_of_it(scene: Scene) -> None:
    """Costs may be corrected some time after the end: the failed task's turn may be to come."""
    change(scene, failure_charge=FailureCharge.ADVANCE)
    await scene.engine.api.user_data()
    await answer(scene)
    await fail(scene)
    found = await made(scene)
    assert (found.agrees, found.untold) == (True, FAILING)
    await answer(scene)
    assert (await made(scene)).differing == FAILING


async def test_a_refund_that_comes_late_is_booked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a listing has charged a listing may give back."""
    await fail(scene, stated=False)
    await answer(scene)
    with monkeypatch.context() as patched:
        listed_as(
            patched,
            lambda rows: [replace(r, cost_nanousd=r.cost_nanousd or RESERVE) for r in rows],
        )
        assert (await made(scene)).settled == FAILING
    assert (await money(scene)).charged == bill(scene) + FAILING * RESERVE
    assert (await made(scene)).differing == FAILING
    after = await money(scene)
    assert (after.charged, after.over_reserve) == (bill(scene), 0)


async def test_many_failures_that_were_charged_are_one_incident(scene: Scene) -> None:
    """A thousand lines of it would hide the next double charge; the amount is that of all."""
    change(scene, failure_charge=FailureCharge.BASE)
    await fail(scene, 20)
    await answer(scene)
    found = await made(scene)
    assert (found.differing, found.incidents) == (20, 1)
    (first,) = await differences(scene)
    assert (first.amount, first.message[:8]) == (20 * BASE_PRICE_STANDARD, "20 tasks")
    await fail(scene, 15)
    await made(scene)
    # They are booked, so that no later audit sees them again: each incident keeps its amount.
    assert [each.amount // BASE_PRICE_STANDARD for each in await differences(scene)] == [20, 15]
    assert (await money(scene)).charged == bill(scene)


async def test_very_many_are_settled_in_parts(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Posting and storing go on in between."""
    monkeypatch.setattr(failures, "BOOKED_AT_ONCE", 8)
    change(scene, failure_charge=FailureCharge.BASE)
    await fail(scene, 20)
    await answer(scene)
    assert (await made(scene)).differing == 20
    assert sum(each.amount for each in await differences(scene)) == 20 * BASE_PRICE_STANDARD
    assert (await money(scene)).charged == bill(scene)


@STATED
async def test_the_refund_of_a_task_that_timed_out_is_looked_for(
    scene: Scene, stated: bool
) -> None:
    """F66: it was posted 72 hours ago, further back than an audit looks for anything else."""
    change(scene, failure_charge=FailureCharge.BASE, stuck_rate=1.0)
    await scene.engine.api.user_data()
    await post(scene, "Never ends", FAILING)
    await made(scene)
    change(scene, stuck_rate=0.0)
    await later(scene, 2 * DAY)
    await made(scene)
    await later(scene, DAY + HOUR)
    await fetch(scene, stated=stated)
    assert (await money(scene)).at_risk == (0 if stated else FAILING * RESERVE)
    await made(scene)
    after = await money(scene)
    assert (after.charged, after.at_risk) == (bill(scene), 0)
    assert after.charged == FAILING * BASE_PRICE_STANDARD


@pytest.mark.parametrize("patient", [True, False])
async def test_a_person_who_asks_is_told_of_all_that_the_listing_keeps(
    scene: Scene, patient: bool
) -> None:
    """The audit of the day looks five days back for money at risk; `cost --reconcile` thirty."""
    await fail(scene, stated=False)
    await later(scene, 9 * DAY)
    found = await made(scene, patient=patient)
    assert found.settled == (0 if patient else FAILING)


async def test_no_older_listing_is_asked_for_without_need(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten calls a minute are the reconciler's, too."""
    reads: list[datetime] = []
    honest = LlmResponses.id_list

    async def listing(self: LlmResponses, start: datetime, *rest: Any, **how: Any) -> Any:
        reads.append(start)
        return await honest(self, start, *rest, **how)

    monkeypatch.setattr(LlmResponses, "id_list", listing)
    await fail(scene)
    for _ in range(3):
        await made(scene)
        await later(scene, 3 * DAY)
    assert len(reads) == 3


async def test_an_extra_task_that_failed_is_settled_like_any_other(scene: Scene) -> None:
    """It is paid like any other, and its incident tells what it cost."""
    change(scene, failure_charge=FailureCharge.BASE)
    scene.strike(Fault.ACCEPTED_TWICE)
    await fail(scene, 1)
    await audit(scene.engine, patient=True)
    assert await fetch_extras(scene.engine) == 1
    await answer(scene)
    await audit(scene.engine, patient=True)
    assert (await money(scene)).charged == bill(scene)
    assert await scene.store.verify() == []
