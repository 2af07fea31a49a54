"""The daily comparison of the account's listing with the store's books."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.api.client import LlmResponses
from runner.api.posting import PostReply, Stranger
from runner.money import ADVANCE, BASE_PRICE_STANDARD
from runner.pipeline import audit as auditing
from runner.pipeline.audit import audit, audit_daily, audit_if_due
from runner.pipeline.extras import fetch_extras
from runner.pipeline.failures import differs
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault, Strike
from runner.store.auditing import Audit
from runner.store.reconciling import IncidentKind
from runner.task import RemoteId
from tests.pipeline.scene import DAY, HOUR, MINUTE, Scene, lasting
from tests.support.waiting import until


def change(scene: Scene, **settings: Any) -> None:
    scene.account.change(replace(scene.account.scenario, **settings))


async def answered(scene: Scene, tasks: int = 3) -> None:
    """Post *tasks* and store their answers; two hours go by."""
    await scene.engine.api.user_data()
    await scene.load(tasks)
    while await scene.poster.post_next():
        pass
    await after(scene, 2 * HOUR)
    await scene.fetch_due()


async def after(scene: Scene, time: timedelta) -> None:
    """Let *time* go by, and hear the API's."""
    scene.clock.advance(time)
    await scene.engine.api.user_data()


async def made(scene: Scene) -> Audit:
    found = await audit(scene.engine, patient=True)
    assert found is not None
    return found


def bill(scene: Scene) -> int:
    """What the account was charged."""
    scene.account.now_ms()
    return scene.account.ledger.totals.charged_nanousd


async def test_books_that_agree_open_nothing(scene: Scene) -> None:
    """An audit that cries wolf every night is switched off."""
    await answered(scene)
    found = await made(scene)
    assert (found.agrees, found.whole) == (True, True)
    assert (found.listed, found.compared, found.untold) == (3, 3, 0)
    assert found.listed_cost == found.booked_cost == bill(scene)
    assert await scene.store.incidents() == []


async def test_a_post_that_took_effect_twice_is_found_fetched_and_booked(scene: Scene) -> None:
    """Its reply told of one task each; only the listing shows that the account paid for two."""
    await scene.engine.api.user_data()
    await scene.load(3)
    scene.strike(Fault.ACCEPTED_TWICE)
    await scene.poster.post_next()
    await after(scene, 2 * HOUR)
    await scene.fetch_due()
    assert (await scene.status()).money.charged < bill(scene)
    found = await made(scene)
    assert (found.incidents, found.agrees) == (3, False)
    assert await fetch_extras(scene.engine) == 3
    money = (await scene.status()).money
    assert (money.charged, money.reserved, money.at_risk) == (bill(scene), 0, 0)
    incidents = await scene.store.incidents()
    assert {each.kind for each in incidents} == {IncidentKind.DOUBLE_CHARGE}
    costs = {task.id: task.charge for task in scene.account.ledger.tasks}
    assert all(each.amount == costs[str(each.remote_id)] for each in incidents)
    assert await scene.store.verify() == []
    again = await made(scene)
    assert (again.agrees, again.compared, again.booked_cost) == (True, 6, bill(scene))


@pytest.mark.parametrize("percent", [0.5, 1.5, 40.0])
async def test_a_cost_that_differs_by_more_than_a_percent_is_an_incident(
    scene: Scene, percent: float
) -> None:
    """If the vendor charges something else than it reported, somebody has to hear of it."""
    await answered(scene, 2)
    task = scene.account.ledger.tasks[0]
    before = task.charge
    task.charge = before + round(before * percent / 100)
    found = await made(scene)
    incidents = await scene.store.incidents()
    if percent < 1:
        assert (found.differing, incidents) == (0, [])
        return
    (incident,) = incidents
    assert incident.kind is IncidentKind.COST_DIFFERS
    assert (incident.remote_id, incident.amount) == (task.id, task.charge - before)
    assert not found.agrees
    await made(scene)
    assert len(await scene.store.incidents()) == 1


async def test_a_listing_that_never_corrects_its_costs_opens_nothing(scene: Scene) -> None:
    """Unknown in API.md §7: rows may show the advance for ever. That says nothing of the cost."""
    change(scene, listing_final_cost=False)
    await answered(scene, 20)
    found = await made(scene)
    assert (found.compared, found.untold, found.differing) == (0, 20, 0)
    assert found.agrees


async def test_a_difference_of_all_is_one_incident(scene: Scene) -> None:
    """It has one cause, and a thousand lines of it would hide the next double charge."""
    await answered(scene, 20)
    for task in scene.account.ledger.tasks:
        task.charge *= 3
    found = await made(scene)
    assert (found.differing, found.incidents) == (20, 1)
    (incident,) = await scene.store.incidents()
    assert incident.amount == found.listed_cost - found.booked_cost
    assert incident.message.startswith("20 tasks")


async def test_what_the_api_took_and_does_not_list_is_told(scene: Scene) -> None:
    """40401 by id may be a slip; gone from the listing, too, it is a loss."""
    await answered(scene, 3)
    gone = scene.account.ledger.tasks.pop()
    found = await made(scene)
    assert found.missing == 1
    (incident,) = await scene.store.incidents()
    assert (incident.kind, incident.remote_id) == (IncidentKind.NOT_LISTED, gone.id)


async def test_a_listing_that_lags_is_no_difference(scene: Scene) -> None:
    """Its lag is unknown; what was taken within the hour is seen by the next audit."""
    change(scene, listing_lag_s=30 * 60.0)
    await scene.engine.api.user_data()
    await scene.load(3)
    await scene.poster.post_next()
    await after(scene, MINUTE)
    assert (await made(scene)).agrees
    await after(scene, DAY)
    assert (await made(scene)).listed == 3


async def test_without_tags_costs_are_compared_by_id(scene: Scene) -> None:
    """The other branch of what nobody knows: the metadata may hold no tag."""
    change(scene, listing_tags=False)
    await answered(scene, 3)
    found = await made(scene)
    assert (found.compared, found.missing, found.agrees) == (3, 0, True)


async def test_an_unlisted_row_between_two_pages_is_looked_for_twice(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages move while tasks end; a row that one pass missed must not read as lost."""
    monkeypatch.setattr(auditing, "MOST_LISTED", 4)
    await answered(scene, 10)
    pages = scene.engine.api.id_list
    calls = 0

    async def torn(*window: Any, **how: Any) -> Any:
        nonlocal calls
        calls += 1
        rows = await pages(*window, **how)
        # The last row slips onto the page before, which was read already.
        return [*rows[:-1], replace(rows[-1], id=RemoteId("other"))] if calls == 2 else rows

    monkeypatch.setattr(type(scene.engine.api), "id_list", lambda _self, *a, **k: torn(*a, **k))
    found = await made(scene)
    assert (found.missing, calls) == (0, 6)


async def test_a_listing_that_is_too_long_is_cut_and_says_so(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not read proves nothing, and the calls of a day are bounded."""
    monkeypatch.setattr(auditing, "MOST_LISTED", 4)
    monkeypatch.setattr(auditing, "MOST_PAGES", 2)
    await answered(scene, 10)
    found = await made(scene)
    assert (found.whole, found.listed, found.missing) == (False, 8, 0)
    assert scene.account.calls.counts[CallKind.ID_LIST] == 2


async def test_no_listing_is_a_warning_and_counts_as_no_audit(scene: Scene) -> None:
    """That the listing exists for this API at all was never seen."""
    change(scene, listing=False)
    await answered(scene)
    assert await audit(scene.engine, patient=True) is None
    assert not scene.engine.signals.stopping.is_set()
    assert await scene.store.last_audit(scene.engine.account) is None


async def test_an_audit_reaches_back_to_the_last_one(scene: Scene) -> None:
    """Cron may run once a week: no day is to fall between two audits."""
    await answered(scene)
    first = await made(scene)
    await after(scene, 7 * DAY)
    second = await made(scene)
    assert first.end - first.start == auditing.REACH
    assert second.start < first.end
    await after(scene, 90 * DAY)
    assert (await made(scene)).listed == 0


async def test_a_day_has_one_audit_however_often_it_is_started(scene: Scene) -> None:
    """Cron starts it every hour; and a daemon, which never starts again, makes tomorrow's."""
    assert not await audit_if_due(scene.engine)
    scene.clock.advance(timedelta(hours=24 - scene.clock.now().hour))
    await answered(scene)
    assert await audit_if_due(scene.engine)
    for _ in range(3):
        await after(scene, HOUR)
        assert not await audit_if_due(scene.engine)
    await after(scene, DAY)
    assert await audit_if_due(scene.engine)


async def test_a_daemon_compares_day_after_day(scene: Scene) -> None:
    """It never starts again, and its audits must not depend on it."""

    def audited(days: int) -> bool:
        return len(scene.sql("SELECT DISTINCT to_api_at / 86400000 FROM audits")) >= days

    async with anyio.create_task_group() as group:
        group.start_soon(audit_daily, scene.engine)
        for day in range(1, 4):
            await after(scene, DAY)
            await until(partial(audited, day))
        group.cancel_scope.cancel()


async def test_an_audit_lets_doubts_go_first(scene: Scene) -> None:
    """Of ten listing calls a minute, none may make a doubtful task wait."""
    await answered(scene)
    scene.engine.signals.doubtful = True
    with anyio.move_on_after(0.2):
        await audit(scene.engine, patient=True)
    assert scene.account.calls.counts[CallKind.ID_LIST] == 0


async def test_a_second_task_that_still_runs_is_asked_for_until_it_ends(scene: Scene) -> None:
    """What it costs is known only then."""
    change(scene, latency=lasting(3 * HOUR))
    await scene.engine.api.user_data()
    await scene.load(1)
    scene.account.faults.arm(Strike(fault=Fault.ACCEPTED_TWICE, call=CallKind.TASK_POST))
    await scene.poster.post_next()
    await after(scene, 2 * HOUR)
    assert (await made(scene)).incidents == 1
    assert scene.engine.signals.extras_found
    assert await fetch_extras(scene.engine) == 0
    assert not scene.engine.signals.extras_found
    await after(scene, DAY)
    assert await fetch_extras(scene.engine) == 1
    await scene.fetch_due()
    assert (await scene.status()).money.charged == bill(scene)


async def test_a_reply_with_two_ids_for_a_task_is_an_incident_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F63: where there is no listing, nothing else would ever tell of the second one."""
    await scene.load(2)
    send = type(scene.engine.api).send

    async def doubled(self: LlmResponses, *post: Any, **how: Any) -> PostReply:
        reply = await send(self, *post, **how)
        stranger = Stranger(
            why="a second id for one task",
            tag=reply.outcomes[0].tag,
            remote_id=RemoteId("second"),
            code=20100,
            cost_nanousd=ADVANCE,
        )
        return replace(reply, strangers=(stranger,))

    monkeypatch.setattr(LlmResponses, "send", doubled)
    await scene.poster.post_next()
    (incident,) = await scene.store.incidents()
    assert (incident.kind, incident.remote_id) == (IncidentKind.DOUBLE_CHARGE, "second")
    assert scene.engine.signals.extras_found
    assert "second" not in scene.remote_ids().values()


async def test_an_audit_that_has_no_time_left_is_begun_anew_by_the_next_start(
    scene: Scene,
) -> None:
    """A run that is finished does not wait for it, and what it did not see is not called seen."""
    await answered(scene)
    scene.engine.signals.doubtful = True
    async with anyio.create_task_group() as group:
        group.start_soon(scene.engine.unless_stopped, partial(audit_daily, scene.engine))
        await anyio.sleep(0.05)
        scene.engine.signals.stop()
    assert await scene.store.last_audit(scene.engine.account) is None
    scene.engine.signals.doubtful = False
    assert await audit_if_due(scene.engine)


AMOUNTS = st.integers(min_value=0, max_value=10 * (ADVANCE + BASE_PRICE_STANDARD))


@given(AMOUNTS, AMOUNTS)
def test_a_percent_is_counted_alike_from_both_sides(one: int, other: int) -> None:
    """Neither the vendor's figure nor ours is the truth by definition."""
    assert differs(one, other) == differs(other, one)
    assert not differs(one, one)
    if one and other and max(one, other) >= 2 * min(one, other):
        assert differs(one, other)
