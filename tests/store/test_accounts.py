"""Several accounts in one store: each is asked for what was posted with it, and nothing else."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from runner.errors import WrongInput
from runner.lifecycle import State
from runner.money import NANOS_PER_DOLLAR
from runner.resources import migrations
from runner.rows import Batch
from runner.store.inbox import Delivery
from runner.store.migrate import migrate, read_migrations
from runner.store.planning import Kind
from runner.store.postgres.store import PostgresStore
from runner.store.protocol import TaskStore
from runner.store.reconciling import IncidentKind, Sighting
from runner.store.recovering import Look
from runner.store.sqlite.store import SqliteStore
from runner.store.values import Balance, Ceiling, Idle, RetryFilter
from runner.task import RemoteId, Tag, Target
from tests.store.places import Place
from tests.store.steps import (
    CLAUDE,
    GEMINI,
    HOUR,
    MINUTE,
    RESERVE,
    Scene,
    accepted,
    answered,
    begin,
    failed,
    lost,
    not_taken,
    numbered,
    remote_id,
    row,
    still_running,
)
from tests.support.clock import START, ManualClock

URL: Final = "https://api.test"
ME: Final = "me@example.org"
OURS: Final = replace(CLAUDE, name="ours", account="agency")


async def bind(store: TaskStore, name: str | None, login: str, url: str = URL) -> int:
    return await store.bind_account(gateway="dataforseo", base_url=url, login=login, name=name)


@dataclass(slots=True)
class Two:
    """The scene, whose account is called agency, and beside it the account brand."""

    scene: Scene
    brand: int

    @property
    def agency(self) -> int:
        return self.scene.account

    def of_brand(self) -> Scene:
        return replace(self.scene, account=self.brand)


async def two_accounts(
    store: TaskStore, clock: ManualClock, targets: Sequence[Target] = (CLAUDE,)
) -> Two:
    scene = await begin(store, clock, targets=targets)
    assert await bind(store, "agency", ME) == scene.account
    return Two(scene, await bind(store, "brand", "other@example.org"))


@pytest.fixture
async def two(store: TaskStore, clock: ManualClock) -> Two:
    return await two_accounts(store, clock)


# --- binding --------------------------------------------------------------------------------------


async def test_each_name_is_bound_to_its_login(store: TaskStore) -> None:
    """Ids of one account mean nothing to another."""
    agency = await bind(store, "agency", ME)
    brand = await bind(store, "brand", "other@example.org")
    assert agency != brand
    assert await bind(store, "agency", ME) == agency
    assert await store.account_names() == {agency: "agency", brand: "brand"}
    with pytest.raises(WrongInput, match="the account agency of this store belongs to another"):
        await bind(store, "agency", "third@example.org")
    with pytest.raises(WrongInput, match=r"agency .* belongs to https://api\.test, not to"):
        await bind(store, "agency", ME, "https://elsewhere.test")


async def test_the_nameless_account_is_found_again_by_its_login(store: TaskStore) -> None:
    """A store from before [accounts] goes on, and its tasks are still asked for."""
    before = await bind(store, None, ME)
    brand = await bind(store, "brand", "other@example.org")
    assert brand != before
    assert await bind(store, "agency", ME) == before
    # And back: without the table the same login is the same account.
    assert await bind(store, None, ME) == before
    with pytest.raises(WrongInput, match="accounts agency, brand"):
        await bind(store, None, "third@example.org")


async def test_names_that_were_swapped_are_refused(store: TaskStore) -> None:
    """Pins would mean the other account from then on."""
    await bind(store, "agency", ME)
    await bind(store, "brand", "other@example.org")
    with pytest.raises(WrongInput, match="the account agency of this store is another login"):
        await bind(store, "agency", "other@example.org")


async def test_an_account_may_get_a_new_name(store: TaskStore) -> None:
    """It is the login that is paid."""
    agency = await bind(store, "agency", ME)
    assert await bind(store, "house", ME) == agency
    assert await store.account_names() == {agency: "house"}


async def test_an_account_that_is_left_out_is_missed_while_something_is_out(two: Two) -> None:
    """Nobody else could fetch its answers: they would be paid and lost after 30 days."""
    store = two.scene.store
    await two.scene.load(numbered(1))
    await store.check_accounts("dataforseo", [two.brand])
    await two.scene.post()
    await store.check_accounts("dataforseo", [two.brand, two.agency])
    with pytest.raises(WrongInput, match="out at the account agency"):
        await store.check_accounts("dataforseo", [two.brand])
    (task,) = await two.scene.take()
    await two.scene.book(answered(task))
    await store.check_accounts("dataforseo", [two.brand])


# --- posting --------------------------------------------------------------------------------------


async def test_a_pinned_target_is_posted_with_its_account_alone(
    store: TaskStore, clock: ManualClock
) -> None:
    """It may be a client's account, and the client's money."""
    two = await two_accounts(store, clock, (OURS, GEMINI))
    scene, brand = two.scene, two.of_brand()
    await scene.load([row(1, targets=(OURS, GEMINI))])
    now = clock.now()
    everything = await store.targets_to_post(scene.run.id, now=now)
    assert await store.targets_to_post(scene.run.id, now=now, account=two.agency) == everything
    (only,) = await store.targets_to_post(scene.run.id, now=now, account=two.brand)
    assert only[1] == GEMINI.endpoint
    waiting = await store.waiting_to_post(scene.run.id, now=now, account=two.brand)
    assert list(waiting) == [GEMINI.endpoint]
    pinned = next(target for target, endpoint in everything if endpoint == OURS.endpoint)
    assert await brand.intend(target=pinned) is Idle.NOTHING_DUE
    assert isinstance(await scene.intend(target=pinned), Batch)


async def test_moving_a_target_to_another_account_asks_nothing_again(
    store: TaskStore, clock: ManualClock
) -> None:
    """The account is who pays, no part of the question."""
    two = await two_accounts(store, clock, (OURS,))
    await two.scene.load([row(1, targets=(OURS,)), row(2, targets=(OURS,))])
    await two.scene.post(1)
    moved = replace(OURS, account="brand")
    assert await store.new_targets(two.scene.run.id, [moved]) == []
    scene = await begin(store, clock, targets=(moved,))
    added = await scene.load([row(1, targets=(moved,)), row(2, targets=(moved,))], digest="again")
    assert added is not None
    assert (added.new, added.known) == (0, 2)
    status = await scene.status()
    assert (status.changed, status.states[State.POSTED]) == (0, 1)
    # What waits goes to the new account, what is out is asked for with the old one.
    assert await replace(scene, account=two.agency).intend() is Idle.NOTHING_DUE
    batch = await replace(scene, account=two.brand).batch()
    assert len(batch.attempts) == 1


async def test_two_accounts_never_take_one_task(two: Two) -> None:
    """Each would pay for it."""
    await two.scene.load(numbered(4))
    first = await two.scene.batch(2)
    second = await two.of_brand().batch()
    tasks = [each.task for each in (*first.attempts, *second.attempts)]
    assert len(tasks) == len(set(tasks)) == 4
    assert await two.scene.intend() is Idle.NOTHING_DUE


async def test_what_one_account_was_refused_for_another_may_take(two: Two) -> None:
    """A paused account's share is not lost time."""
    await two.scene.load(numbered(2))
    await two.scene.post(how=lambda attempt: not_taken(attempt, 0.0))
    batch = await two.of_brand().post()
    assert [each.number for each in batch.attempts] == [2, 2]
    (one, _) = await two.of_brand().take()
    assert one.remote_id == remote_id(one.tag)


async def test_a_floor_is_that_of_the_account(two: Two) -> None:
    """What one account spends leaves the other's balance alone."""
    await two.scene.load(numbered(10))
    store = two.scene.store

    async def ceiling(account: int) -> Ceiling:
        spent = await store.spent(account=account)
        balance = Balance(
            stated=3 * RESERVE,
            charged=spent.charged,
            newest_batch=spent.newest_batch,
            beside=spent.beside,
        )
        return Ceiling(floor=0, balance=balance)

    of_agency, of_brand = await ceiling(two.agency), await ceiling(two.brand)
    first = await two.scene.intend(ceiling=of_agency)
    assert isinstance(first, Batch)
    assert len(first.attempts) == 3
    assert await two.scene.intend(ceiling=of_agency) is Idle.BALANCE
    await two.scene.settle(first, accepted)
    second = await two.of_brand().intend(ceiling=of_brand)
    assert isinstance(second, Batch)
    assert len(second.attempts) == 3
    assert (await store.spent(account=two.brand)).held == 3 * RESERVE
    assert (await store.spent(account=two.agency)).held == 3 * RESERVE
    assert (await store.spent()).held == 6 * RESERVE


# --- collecting -----------------------------------------------------------------------------------


async def post_with_both(two: Two) -> tuple[Batch, Batch]:
    await two.scene.load(numbered(5))
    return await two.scene.post(3), await two.of_brand().post(2)


async def test_each_task_is_asked_for_with_the_account_that_posted_it(two: Two) -> None:
    """Another one is told that there is no such task."""
    ours, theirs = await post_with_both(two)
    store, clock = two.scene.store, two.scene.clock
    clock.advance(2 * MINUTE)
    taken = await store.take_posted(
        100, worker=two.scene.worker, now=clock.now(), lease=MINUTE, account=two.brand
    )
    assert {each.task for each in taken} == {each.task for each in theirs.attempts}
    rest = await store.take_posted(100, worker=two.scene.worker, now=clock.now(), lease=MINUTE)
    assert {each.task for each in rest} == {each.task for each in ours.attempts}


async def test_without_an_account_the_oldest_of_all_are_taken(two: Two) -> None:
    """A look across all accounts is as fair as one account's."""
    await two.scene.load(numbered(4))
    first = await two.of_brand().post(1)
    two.scene.clock.advance(timedelta(seconds=1))
    await two.scene.post(2)
    two.scene.clock.advance(timedelta(seconds=1))
    await two.of_brand().post(1)
    (oldest,) = await two.scene.take(1)
    assert oldest.task == first.attempts[0].task


async def test_lists_and_hurry_are_each_accounts_own(two: Two) -> None:
    """One full list must not slow the other account's asking."""
    ours, _ = await post_with_both(two)
    store, clock = two.scene.store, two.scene.clock
    assert await store.waiting_providers(account=two.brand) == [CLAUDE.endpoint.provider]
    await store.trust_ready_list(True, now=clock.now(), account=two.brand)
    clock.advance(2 * MINUTE)

    async def take(account: int) -> int:
        return len(
            await store.take_posted(
                100, worker=two.scene.worker, now=clock.now(), lease=MINUTE, account=account
            )
        )

    assert (await take(two.brand), await take(two.agency)) == (0, 3)
    kind = Kind(str(CLAUDE.endpoint), CLAUDE.model)
    older = {kind: clock.now()}
    assert await store.hasten(9, older=older, now=clock.now(), account=two.agency) == 0
    assert await store.hasten(9, older=older, now=clock.now(), account=two.brand) == 2
    assert await take(two.brand) == 2
    tags = [tag for each in ours.attempts if (tag := Tag.parse(each.tag)) is not None]
    assert await store.mark_ready(tags, now=clock.now()) == 0
    for batch in (await two.scene.take(), await two.scene.take()):
        await two.scene.book(*map(answered, batch))
    assert await store.waiting_providers(account=two.brand) == []
    assert await store.out_at(two.scene.run.id, two.brand) is False


async def test_deliveries_are_opened_by_their_account(two: Two) -> None:
    """A hint is looked at with a call, and only its own account sees the task."""
    ours, theirs = await post_with_both(two)
    store, now = two.scene.store, two.scene.clock.now()
    await store.deliver(
        [
            Delivery(remote_id=remote_id(each.tag), tag=each.tag, body=b"x")
            for each in (*ours.attempts, *theirs.attempts)
        ],
        now=now,
    )
    await store.deliver([Delivery(remote_id=RemoteId("x"), tag="nobody's", body=b"x")], now=now)
    # One at a time: what is another account's is passed over, not stopped at.
    seen, after = [], 0
    while found := await store.letters(after=after, limit=1, most_bytes=1, account=two.brand):
        after = found[-1].id
        seen += [each.delivery.tag for each in found]
    assert seen == [*(each.tag for each in theirs.attempts), "nobody's"]
    assert len(await store.letters(after=0, limit=100, most_bytes=1_000)) == 6


# --- doubt ----------------------------------------------------------------------------------------


async def test_a_doubt_is_looked_for_in_its_account(two: Two) -> None:
    """No trace in the other account's listing proves nothing, and would pay twice."""
    await two.scene.load(numbered(2))
    ours = await two.scene.post(1, how=lost)
    theirs = await two.of_brand().post(1, how=lost)
    store = two.scene.store
    (doubt,) = await store.doubts(account=two.brand)
    assert doubt.batch == theirs.id
    assert len(await store.doubts()) == 2
    assert await store.out_at(two.scene.run.id, two.brand) is True
    (doubt,) = await store.doubts(account=two.agency)
    assert doubt.batch == ours.id


async def test_two_logins_that_list_the_same_tasks_decide_a_doubt_once(two: Two) -> None:
    """Booked beside the attempt that it is of, its own account could not adopt it any more, and
    would take it for absent and pay for it again."""
    await two.scene.load(numbered(1))
    (ours,) = (await two.scene.post(1, how=lost)).attempts
    store, now = two.scene.store, two.scene.clock.now()
    seen = [Sighting(tag=ours.tag, remote_id=RemoteId("r1"), cost=RESERVE)]
    for account, adopted in ((two.brand, 1), (two.agency, 0)):
        found = await store.found(seen, now=now, account=account)
        assert (len(found.adopted), found.incidents) == (adopted, 0)
    assert await store.incidents() == []
    assert await two.scene.states() == {State.POSTED: 1}
    # Another one under its tag is another charge.
    more = [Sighting(tag=ours.tag, remote_id=RemoteId("r2"), cost=RESERVE)]
    assert (await store.found(more, now=now, account=two.brand)).incidents == 1
    (incident,) = await store.incidents()
    assert (incident.kind, incident.account) == (IncidentKind.DOUBLE_CHARGE, two.brand)
    assert [each.remote_id for each in await store.extras_due(9, now=now)] == ["r2"]
    assert await store.extras_due(9, now=now, account=two.agency) == []
    assert await store.doubts(account=two.agency) == []
    assert await store.verify() == []


async def test_nothing_is_posted_before_every_account_is_listed(two: Two) -> None:
    """What an older copy does not know may be in any of them."""
    await two.scene.load(numbered(1))
    store, now = two.scene.store, two.scene.clock.now()
    assert isinstance(store, SqliteStore | PostgresStore)
    await store.claim(None)
    both = (two.agency, two.brand)
    await store.note_look(Look(at=now, counts=True), account=two.brand)
    await store.listed(account=two.brand, among=both)
    assert await store.unlisted(account=two.brand) is None
    assert (await _unlisted(two, two.agency), await _unlisted(two, None)) == (True, True)
    await store.listed(account=two.agency, among=both)
    assert (await _unlisted(two, two.agency), await _unlisted(two, None)) == (False, False)
    # A later doubt begins anew.
    await store.claim(None)
    assert await _unlisted(two, two.brand)
    doubt = await store.unlisted(account=two.brand)
    assert doubt is not None
    assert doubt.clean_api is None


async def _unlisted(two: Two, account: int | None) -> bool:
    return await two.scene.store.unlisted(account=account) is not None


async def test_a_later_attempt_is_asked_for_where_it_was_found(two: Two) -> None:
    """An older copy of the store learns of it by one account's listing."""
    await two.scene.load(numbered(1))
    batch = await two.scene.post()
    (task,) = await two.scene.take()
    await two.scene.book(failed(task, cost=0, again_at=two.scene.clock.now()))
    first = Tag.parse(batch.attempts[0].tag)
    assert first is not None
    later = str(replace(first, attempt=2))
    seen = [Sighting(tag=later, remote_id=RemoteId("later"), cost=RESERVE)]
    store = two.scene.store
    found = await store.found(seen, now=two.scene.clock.now(), account=two.brand)
    assert later in found.adopted
    assert await two.scene.take(0) == []
    (posted,) = await two.of_brand().take()
    assert posted.remote_id == "later"
    assert await store.out_at(two.scene.run.id, two.brand)
    assert await store.verify() == []


# --- money ----------------------------------------------------------------------------------------


async def test_costs_add_up_by_account(two: Two) -> None:
    """Each client is billed for what its own account paid."""
    await post_with_both(two)
    for task in await two.scene.take():
        await two.scene.book(answered(task, NANOS_PER_DOLLAR))
    total, lines = await two.scene.store.cost(by="account")
    assert {line.key: line.money.charged // NANOS_PER_DOLLAR for line in lines} == {
        "agency": 3,
        "brand": 2,
    }
    assert total.money.charged == 5 * NANOS_PER_DOLLAR


async def test_sums_of_accounts_stay_right_whatever_happens(
    place: Place, clock: ManualClock
) -> None:
    """The floor is measured by them."""
    async with place.open(clock) as store:
        two = await two_accounts(store, clock)
        await post_with_both(two)
        one, second, third, *_ = await two.scene.take()
        again = clock.now() + HOUR
        await two.scene.book(answered(one), failed(second, cost=None), still_running(third, again))
        await store.retry(two.scene.run.id, RetryFilter(), now=clock.now())
        await two.of_brand().post(how=lost)
        assert await store.verify() == []
    booked = place.read(
        "SELECT account_id, sum(charged_nanousd) + sum(held_nanousd) FROM account_money"
        " GROUP BY account_id ORDER BY account_id"
    )
    assert len(booked) == 2
    place.damage("UPDATE account_money SET held_nanousd = held_nanousd + 1")
    place.damage(f"UPDATE tasks SET account_id = {two.brand} WHERE state = 'posted'")
    async with place.open(clock) as store:
        checks = {breach.check for breach in await store.verify()}
    assert checks == {"accounts"}


# --- how far a look goes --------------------------------------------------------------------------


def test_due_tasks_of_an_account_are_found_by_its_index(path: Path) -> None:
    """Another account that is paused may have a hundred thousand due."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, read_migrations(migrations("sqlite")), START)
        for sql, index in (
            (
                "SELECT due_at, id FROM tasks WHERE state = 'posted' AND account_id = 1"
                " AND ready = 0 AND due_at <= 5 ORDER BY due_at, id LIMIT 9",
                "tasks_to_ask (account_id=? AND ready=? AND due_at<?)",
            ),
            (
                "SELECT 1 FROM tasks WHERE state = 'posted' AND target_id = 1 AND account_id = 1",
                "tasks_posted (target_id=? AND account_id=?)",
            ),
        ):
            plan = [line for *_, line in db.execute(f"EXPLAIN QUERY PLAN {sql}")]
            assert len(plan) == 1, plan
            assert index in plan[0]


# --- a store from before --------------------------------------------------------------------------


async def test_a_filled_store_from_before_keeps_every_row_and_reference(
    path: Path, clock: ManualClock
) -> None:
    """The table of accounts is made anew while thousands of rows refer to it."""
    known = read_migrations(migrations("sqlite"))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        migrate(db, known[:10], START)
        for sql in _BEFORE:
            db.execute(sql)
        before = {
            table: _lines(db, table) for table in ("accounts", "calls", "batches", "attempts")
        }
        migrate(db, known[:11], START)
        after = {table: _lines(db, table) for table in before}
        assert {table: [line[:2] for line in lines] for table, lines in after.items()} == {
            table: [line[:2] for line in lines] for table, lines in before.items()
        }
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert db.execute("SELECT id, account_id FROM tasks").fetchall() == [(1, 7), (2, None)]
        assert db.execute("SELECT * FROM account_money").fetchall() == [(7, 1, 5, 30)]
        assert db.execute("SELECT name, value FROM install").fetchall() == [
            ("ready_list_trusted.7", "yes")
        ]
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            db.execute("DELETE FROM accounts WHERE id = 7")
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            db.execute("INSERT INTO calls VALUES (99, 'x', 1)")


def _lines(db: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    return db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()


_BEFORE: Final = (
    "INSERT INTO install VALUES ('ready_list_trusted', 'yes')",
    "INSERT INTO accounts (id, gateway, base_url, login_hash) VALUES (7, 'dataforseo', 'u', 'h')",
    "INSERT INTO accounts (id, gateway, base_url, login_hash) VALUES (8, 'aisa', 'u', 'h')",
    "INSERT INTO calls VALUES (7, 'user_data', 1)",
    "INSERT INTO workers (id, host, pid, boot, version, started_at) VALUES (1, 'h', 1, '', '1', 1)",
    "INSERT INTO jobs (id, name) VALUES (1, 'j')",
    "INSERT INTO runs (id, job_id, key, fresh, tag_part, api, key_columns, tries, created_at)"
    " VALUES (1, 1, '', 0, 't', 'live', '[]', 3, 1)",
    "INSERT INTO targets (id, run_id, name, endpoint, model, parameters, reserve_nanousd)"
    " VALUES (1, 1, 'claude', 'dataforseo/claude/standard', 'm', '{}', 1)",
    "INSERT INTO rows VALUES (1, 1, x'00')",
    "INSERT INTO tasks (id, run_id, row_id, target_id, sample, turn, state, attempt, due_at,"
    " posted_at) VALUES (1, 1, 1, 1, 1, 1, 'posted', 1, 5, 1)",
    "INSERT INTO tasks (id, run_id, row_id, target_id, sample, turn, state, due_at)"
    " VALUES (2, 1, 1, 1, 2, 1, 'pending', 5)",
    "INSERT INTO batches (id, account_id, worker_id, endpoint, size, body_sha256, intended_at,"
    " deadline) VALUES (1, 7, 1, 'dataforseo/claude/standard', 1, 'x', 1, 2)",
    "INSERT INTO attempts (task_id, number, run_id, batch_id, model, tag, state, remote_id,"
    " reserved_nanousd, charged_nanousd) VALUES (1, 1, 1, 1, 'm', 't', 'posted', 'r', 30, 5)",
)
