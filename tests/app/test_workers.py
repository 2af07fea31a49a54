"""Several engines on one server, in one process: nothing is posted twice, whoever dies."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runner.app import (
    Limits,
    RunOptions,
    Step,
    StopSwitch,
    Watch,
    Working,
    WorkSummary,
    load_job,
    run_job,
    work,
)
from runner.clock import Clock
from runner.errors import Exit
from runner.jobfile import Job
from runner.lifecycle import State
from runner.settings import Settings
from runner.simulator.faults import Fault
from runner.simulator.latency import Latency, Shape
from runner.store.postgres import store as postgres_store
from runner.store.postgres.store import PostgresStore
from runner.store.values import StoreUnwritable
from runner.store.workers import ALL_ROLES, Role
from tests.app.place import Place, Recorder, placed, states
from tests.support.postgres import Server, time_of
from tests.support.waiting import until

A_WHILE = Latency(Shape.CONSTANT, 4.0)

opened: list[PostgresStore] = []
"""Stores that this test's engines have opened, in order."""


@pytest.fixture(autouse=True)
def _as_hosts_open_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's clock runs as fast as that of the test, and it need not save durably."""
    opening = postgres_store.open_store

    @asynccontextmanager
    async def open_store(dsn: str, *, clock: Clock) -> AsyncIterator[PostgresStore]:
        async with opening(dsn, clock=clock, time_of=time_of(clock), may_lose=True) as store:
            opened.append(store)
            yield store

    monkeypatch.setattr(postgres_store, "open_store", open_store)
    opened.clear()


@dataclass(slots=True)
class Hosts:
    """Some hosts, one account, one server."""

    place: Place
    dsn: str
    monkeypatch: pytest.MonkeyPatch
    all: list["Host"] = field(default_factory=list)

    def settings(self) -> Settings:
        return self.place.settings(RUNNER_STORE=self.dsn, RUNNER_SETTLE_SECONDS="20")

    async def load(self, job: Job) -> None:
        await load_job(
            job,
            RunOptions(source=str(self.place.folder / f"{job.name}.toml")),
            settings=self.settings(),
            clock=self.place.clock,
            reporter=self.place.reporter,
            stop=StopSwitch(),
        )

    async def begin(self, roles: frozenset[Role] = ALL_ROLES, *, drain: bool = False) -> "Host":
        """Another host begins to work, and is at work when this returns."""
        host = Host(self)
        step = Step(
            settings=self.settings(),
            clock=self.place.clock,
            reporter=Recorder(),
            stop=host.stop,
            roles=roles,
        )
        watch = Watch(ready=lambda: None, progress=host.note, warn=lambda _: None)
        before = len(opened)
        host.working = asyncio.ensure_future(
            work(step, Limits(self.place.folder), watch, drain=drain)
        )
        await until(lambda: host.last is not None or host.working.done())
        host.store = opened[before]
        self.all.append(host)
        return host

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as db:
            return db.execute(query.encode()).fetchall()

    def leases(self) -> dict[str, int]:
        """Who does what for all now."""
        return dict(self.sql("SELECT what, worker_id FROM leases"))

    async def until_ended(self, tasks: int) -> None:
        """Until so many tasks of the store have their answers."""
        done = "SELECT count(*) FROM tasks WHERE state = 'completed'"
        await until(lambda: self.sql(done) == [(tasks,)], within_s=60)


@dataclass(slots=True)
class Host:
    """A machine with an engine on it."""

    hosts: Hosts
    stop: StopSwitch = field(default_factory=StopSwitch)
    last: Working | None = None
    working: "asyncio.Future[WorkSummary]" = field(default_factory=asyncio.Future)
    store: PostgresStore | None = None

    def note(self, working: Working) -> None:
        self.last = working

    @property
    def worker(self) -> int:
        assert self.store is not None
        assert self.store._writer.worker is not None
        return self.store._writer.worker

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """It does not reach the server meanwhile, and its connections are gone."""

        def gone(*_: object, **__: object) -> None:
            raise StoreUnwritable("the server is not reached")

        assert self.store is not None
        with self.hosts.monkeypatch.context() as patch:
            for connection in (self.store._writer, self.store._reader):
                patch.setattr(connection, "_persist", gone)
                if connection._link is not None:
                    connection._link.close()
            yield

    async def die(self) -> None:
        """As by `kill -9`: nothing of it is saved any more."""
        with self.cut_off():
            self.working.cancel()
            with suppress(asyncio.CancelledError):
                await self.working

    async def end(self) -> WorkSummary:
        """As by SIGTERM."""
        self.stop.request(Exit.TERMINATED)
        return await self.working


@pytest.fixture
async def hosts(
    tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Hosts]:
    with postgres.database() as dsn:
        async with placed(tmp_path, latency=A_WHILE) as place:
            made = Hosts(place, dsn, monkeypatch)
            yield made
            for host in made.all:
                if not host.working.done():
                    await host.end()


async def test_three_workers_share_a_queue_and_post_nothing_twice(hosts: Hosts) -> None:
    """The purpose of it: more hosts, and the same bill."""
    workers = {(await hosts.begin()).worker for _ in range(3)}
    await hosts.load(hosts.place.job(450, providers=("claude", "gemini")))
    await hosts.until_ended(900)
    assert len(set(hosts.place.created())) == len(hosts.place.created()) == 900
    posted = hosts.sql("SELECT DISTINCT worker_id FROM batches WHERE outcome = 'answered'")
    assert len(posted) > 1
    await until(lambda: hosts.leases().keys() == {"inbox", "ready_list", "reconcile"})
    assert set(hosts.leases().values()) <= workers
    for host in hosts.all:
        assert (await host.end()).exit is Exit.TERMINATED
    assert hosts.leases() == {}
    assert hosts.sql("SELECT count(*) FROM workers WHERE ended_at IS NULL") == [(0,)]
    assert hosts.sql("SELECT count(*) FROM tasks WHERE leased_by IS NOT NULL") == [(0,)]


async def test_what_a_dead_worker_was_about_is_finished_by_the_others(hosts: Hosts) -> None:
    """A host dies in the night with a post under way: nobody is woken, nothing is paid twice."""
    dying = await hosts.begin()
    await until(lambda: len(hosts.leases()) == 3)
    # Taken by the API, and its reply hangs.
    hosts.place.strike(Fault.STALL_AFTER)
    await hosts.load(hosts.place.job(150))
    await until(lambda: hosts.sql("SELECT count(*) FROM batches") != [(0,)])
    living = await hosts.begin()
    assert set(hosts.leases().values()) == {dying.worker}
    await dying.die()
    await hosts.until_ended(150)
    assert len(set(hosts.place.created())) == len(hosts.place.created()) == 150
    (died,) = hosts.sql(f"SELECT presumed_dead_at FROM workers WHERE id = {dying.worker}")
    assert died[0] is not None
    await until(lambda: set(hosts.leases().values()) == {living.worker})
    assert living.store is not None
    assert await living.store.verify() == []


async def test_a_worker_that_is_cut_off_brings_its_replies_when_it_is_back(hosts: Hosts) -> None:
    """F34: the others have put them in doubt, and nothing is sent again meanwhile."""
    cut = await hosts.begin(frozenset({Role.SUBMIT}))
    living = await hosts.begin(frozenset({Role.POLL, Role.RECONCILE}))
    hosts.place.strike(Fault.SLOW, seconds=4)
    await hosts.load(hosts.place.job(5))
    await until(lambda: hosts.sql("SELECT count(*) FROM batches") == [(1,)])
    in_doubt = "SELECT count(*) FROM tasks WHERE state = 'unknown'"
    with cut.cut_off():
        await until(lambda: hosts.sql(in_doubt) == [(5,)])
    await hosts.until_ended(5)
    assert len(hosts.place.created()) == 5
    assert hosts.place.posts() == 1
    alive = f"SELECT ended_at IS NULL FROM workers WHERE id = {cut.worker}"
    await until(lambda: hosts.sql(alive) == [(True,)])
    assert living.store is not None
    assert await living.store.incidents() == []
    assert await living.store.verify() == []


async def test_each_does_what_its_roles_say(hosts: Hosts) -> None:
    """A host without the right to spend money must not spend any."""
    collector = await hosts.begin(frozenset({Role.POLL, Role.RECONCILE}))
    await hosts.load(hosts.place.job(20))
    await hosts.place.clock.sleep(8)
    assert hosts.place.posts() == 0
    poster = await hosts.begin(frozenset({Role.SUBMIT}))
    await hosts.until_ended(20)
    asked = hosts.sql("SELECT DISTINCT worker_id FROM batches")
    assert asked == [(poster.worker,)]
    await until(lambda: set(hosts.leases().values()) == {collector.worker})
    roles = dict(hosts.sql("SELECT id, roles FROM workers"))
    assert roles == {collector.worker: "poll,reconcile", poster.worker: "submit"}


async def test_drain_waits_for_what_another_worker_does(hosts: Hosts) -> None:
    """A failed answer may have to be posted again by the one that posts and never collects."""
    await hosts.begin(frozenset({Role.POLL}))
    await hosts.load(hosts.place.job(5))
    poster = await hosts.begin(frozenset({Role.SUBMIT}), drain=True)
    assert (await poster.working).exit is Exit.DONE
    assert hosts.sql("SELECT count(*) FROM tasks WHERE state = 'completed'") == [(5,)]


async def test_two_hosts_that_start_the_same_job_at_once_pay_for_it_once(hosts: Hosts) -> None:
    """The same crontab on both: each waits for the whole run, and each exports it."""
    job = hosts.place.job(60)

    async def start() -> Any:
        return await run_job(
            job,
            RunOptions(export=False, wait_s=600),
            settings=hosts.settings(),
            clock=hosts.place.clock,
            reporter=Recorder(),
            stop=StopSwitch(),
        )

    summaries = await asyncio.gather(start(), start())
    assert [each.exit for each in summaries] == [Exit.DONE, Exit.DONE]
    assert [states(each) for each in summaries] == [{State.COMPLETED: 60}] * 2
    assert len(hosts.place.created()) == 60
    assert len({each.status.run.id for each in summaries}) == 1


async def test_money_that_another_worker_frees_lets_a_run_go_on(hosts: Hosts) -> None:
    """Posted in waves under a hold: the answers that make room are booked elsewhere."""
    await hosts.begin(frozenset({Role.POLL, Role.RECONCILE}))
    await hosts.load(hosts.place.job(6, limits="max_hold_usd = 0.021"))
    await hosts.begin(frozenset({Role.SUBMIT}))
    await hosts.until_ended(6)
    assert hosts.place.posts() >= 3
