"""What is PostgreSQL's own: its connection, its clock, several engines on one queue, its schema."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from msgspec import structs
from msgspec.structs import replace as altered

from runner.clock import SystemClock
from runner.errors import StoreBroken, WrongInput
from runner.lifecycle import State
from runner.resources import migrations
from runner.rows import Attempt
from runner.store.inbox import Delivery
from runner.store.migrate import Migration, migrate, read_migrations
from runner.store.postgres import connection
from runner.store.postgres.address import Address
from runner.store.postgres.connection import Connection, Cursor, Db, Undecided, Values, connect
from runner.store.postgres.migrating import check_current
from runner.store.postgres.migrating import migrate as migrate_server
from runner.store.postgres.store import PostgresStore, open_store
from runner.store.reconciling import IncidentKind
from runner.store.values import AttemptOver, Balance, Ceiling
from runner.store.workers import GRACE, SILENCE
from runner.task import Outcome
from tests.store.places import ServerPlace
from tests.store.steps import (
    MINUTE,
    RESERVE,
    Scene,
    accepted,
    answered,
    begin,
    lost,
    numbered,
    remote_id,
)
from tests.support.clock import START, ManualClock
from tests.support.postgres import Server, time_of
from tests.support.waiting import until

SECOND = timedelta(seconds=1)


@pytest.fixture
def shared(dsn: str) -> ServerPlace:
    return ServerPlace(dsn)


_WORKERS_THERE = f"""
    SELECT count(*) FROM pg_locks
     WHERE locktype = 'advisory' AND classid = {connection.WORKERS}
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
"""How many hold a connection."""


def kill_backends(dsn: str) -> None:
    """Every connection to the database is gone, as when its server starts anew."""
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


# --- the connection -------------------------------------------------------------------------------


async def test_a_killed_backend_is_replaced_within_the_verb(
    shared: ServerPlace, clock: ManualClock
) -> None:
    """F32: a server that starts anew ends no night."""
    async with shared.open(clock) as store:
        scene = await begin(store, clock)
        kill_backends(shared.dsn)
        await scene.load(numbered(3))
        assert await scene.states() == {State.PENDING: 3}


async def test_a_worker_that_was_cut_off_shows_its_presence_again(
    shared: ServerPlace, clock: ManualClock
) -> None:
    """Else the next worker that starts would take it for dead for the rest of its life."""
    async with shared.open(clock) as store, shared.open(clock) as elsewhere:
        scene = await begin(store, clock)
        kill_backends(shared.dsn)
        await scene.load(numbered(1))
        batch = await scene.batch()
        await begin(elsewhere, clock)
        await scene.settle(batch, lost)


class Cut:
    """Loses the connection in the COMMIT of a write: the server did, or did not, hear of it."""

    def __init__(self, dsn: str, *, heard: bool) -> None:
        self.dsn = dsn
        self.heard = heard
        self.done = False

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        original = Db.execute

        def writes(db: Db) -> bool:
            (transaction,) = original(db, "SELECT pg_current_xact_id_if_assigned()").fetchone()
            return transaction is not None

        def execute(db: Db, sql: str, values: Values | None = None) -> Cursor:
            if sql == "COMMIT" and not self.done and writes(db):
                self.done = True
                if self.heard:
                    original(db, sql)
                kill_backends(self.dsn)
            return original(db, sql, values)

        monkeypatch.setattr(Db, "execute", execute)


async def test_a_commit_whose_reply_is_lost_is_read_back_and_counts(
    shared: ServerPlace, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F33: to settle it again would find the attempt over, to forget it would lose it."""
    async with shared.open(clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(2))
        cut = Cut(shared.dsn, heard=True)
        cut.install(monkeypatch)
        batch = await scene.batch()
        assert cut.done
        await scene.settle(batch, lost)
        assert await scene.states() == {State.UNKNOWN: 2}


async def test_a_commit_that_never_arrived_is_made_anew(
    shared: ServerPlace, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request whose intent is not durable must not leave, and one intent must not become two."""
    async with shared.open(clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(2))
        Cut(shared.dsn, heard=False).install(monkeypatch)
        batch = await scene.batch()
        assert [attempt.number for attempt in batch.attempts] == [1, 1]
        await scene.settle(batch, lost)
        assert await scene.states() == {State.UNKNOWN: 2}


async def test_a_commit_whose_outcome_nobody_tells_is_never_assumed(
    shared: ServerPlace, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server stays away: the request is not sent, and the intent is not made a second time."""
    async with shared.open(clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(2))
        monkeypatch.setattr(connection, "_LEARN_S", 0.0)
        Cut(shared.dsn, heard=True).install(monkeypatch)
        with pytest.raises(Undecided):
            await scene.batch()
        assert await scene.states() == {State.POSTING: 2}


async def test_a_server_that_forgets_is_refused(dsn: str) -> None:
    """With fsync off an intent may be gone after a power cut, though its post was paid."""
    with pytest.raises(StoreBroken, match=r"fsync = off"):
        async with connect(Address.parse(dsn)):
            pytest.fail("it was opened")


@asynccontextmanager
async def pooler(dsn: str) -> AsyncIterator[str]:
    """Stands before the server of *dsn* and says, as poolers do, that it is the one to talk to:
    the number of the server's process (``BackendKeyData``) becomes another."""
    parts = urlsplit(dsn)
    served: set[asyncio.Task[None] | None] = set()

    async def pump(
        source: asyncio.StreamReader, to: asyncio.StreamWriter, *, renames: bool
    ) -> None:
        while data := await source.read(65_536):
            found = data.find(b"K\x00\x00\x00")
            if renames and found >= 0:
                renames = False
                data = data[: found + 5] + b"\x00\x00\x00\x07" + data[found + 9 :]
            to.write(data)
            await to.drain()
        to.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        behind_reader, behind_writer = await asyncio.open_connection(parts.hostname, parts.port)
        pumps = (
            pump(reader, behind_writer, renames=False),
            pump(behind_reader, writer, renames=True),
        )
        await asyncio.gather(*pumps, return_exceptions=True)
        for each in (writer, behind_writer):
            each.close()
            with suppress(OSError):
                await each.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        yield urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}"))
        await asyncio.gather(*(each for each in served if each is not None))


async def test_a_role_that_may_not_write_is_told_so(dsn: str) -> None:
    """Somebody who may only look is no bug of ours, and is told what to ask for."""
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("CREATE ROLE only_looks LOGIN")
        db.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO only_looks")
    try:
        address = dsn.replace("runner@", "only_looks@")
        async with open_store(address, clock=ManualClock(), may_lose=True) as store:
            assert await store.runs() == []
            with pytest.raises(StoreBroken, match="does not let this role"):
                await store.pause(now=START)
    finally:
        with psycopg.connect(dsn, autocommit=True) as db:
            db.execute("DROP OWNED BY only_looks")
            db.execute("DROP ROLE only_looks")


async def test_a_pooler_is_refused(dsn: str) -> None:
    """It would lend a worker's session to another one, and with it the sign that it lives."""
    async with pooler(dsn) as address:
        with pytest.raises(StoreBroken, match="pooler stands before"):
            async with connect(Address.parse(address), may_lose=True):
                pytest.fail("it was opened")


async def test_a_server_that_is_not_there_is_said_without_the_password() -> None:
    """The message is pasted into tickets."""
    dsn = "postgresql://me:s3cret-pass@127.0.0.1:1/queue"
    with pytest.raises(StoreBroken) as caught:
        async with connect(Address.parse(dsn)):
            pytest.fail("it was opened")
    assert "postgresql://me@127.0.0.1:1/queue" in str(caught.value)
    assert "s3cret" not in f"{caught.value!r} {caught.value} {Address.parse(dsn)!r}"


def test_an_address_that_cannot_be_read_is_not_repeated() -> None:
    """A stray per cent sign is most likely in the password."""
    with pytest.raises(WrongInput) as caught:
        Address.parse("postgresql://me:100%sure@host/queue")
    assert "sure" not in str(caught.value)


# --- the clock ------------------------------------------------------------------------------------


async def test_only_the_servers_clock_decides_what_is_due(dsn: str) -> None:
    """F77: a host ten minutes ahead must not take what another one has just leased."""
    server, slow, fast = ManualClock(), ManualClock(), ManualClock()
    slow.set_wall(START - 10 * MINUTE)
    fast.set_wall(START + 10 * MINUTE)
    async with AsyncExitStack() as stack:

        async def worker(clock: ManualClock) -> tuple[PostgresStore, Scene]:
            opened = open_store(dsn, clock=clock, time_of=time_of(server), may_lose=True)
            store = await stack.enter_async_context(opened)
            return store, await begin(store, clock)

        (store, scene), (other, elsewhere) = await worker(slow), await worker(fast)
        await scene.load(numbered(1))
        (due_at,) = (await other.waiting_to_post(scene.run.id, now=fast.now())).values()
        assert due_at == fast.now()
        batch = await elsewhere.batch()
        assert (batch.intended_at, batch.deadline) == (fast.now(), fast.now() + MINUTE)
        await elsewhere.settle(batch, accepted)
        server.advance(2 * MINUTE)
        (attempt,) = batch.attempts
        delivery = Delivery(remote_id=remote_id(attempt.tag), tag=attempt.tag, body=b"gzip")
        await other.deliver([delivery], now=fast.now())
        (letter,) = await store.letters(after=0, limit=1, most_bytes=100)
        assert letter.received_at == slow.now()
        assert letter.posted is not None
        assert letter.posted.posted_at == slow.now() - 2 * MINUTE
        lease = 5 * MINUTE
        (taken,) = await store.take_posted(1, worker=scene.worker, now=slow.now(), lease=lease)
        assert taken.posted_at == slow.now() - 2 * MINUTE
        again = other.take_posted(1, worker=elsewhere.worker, now=fast.now(), lease=lease)
        assert await again == []
        server.advance(lease)
        again = other.take_posted(1, worker=elsewhere.worker, now=fast.now(), lease=lease)
        assert await again == [replace(taken, posted_at=fast.now() - 7 * MINUTE)]


async def test_the_time_is_the_servers_unless_a_test_says_otherwise(dsn: str) -> None:
    """The hook for tests must not be what a real store runs on."""
    async with open_store(dsn, clock=ManualClock(), may_lose=True) as store:
        await begin(store, ManualClock())
        with psycopg.connect(dsn) as db:
            (at,) = db.execute("SELECT max(started_at) FROM workers").fetchone() or (0,)
    started = datetime.fromtimestamp(at / 1000, UTC)
    assert abs(started - SystemClock().now()) < timedelta(minutes=5)


# --- several engines ------------------------------------------------------------------------------


async def test_two_workers_never_get_the_same_task(shared: ServerPlace, clock: ManualClock) -> None:
    """Each would post it, and both would be paid."""
    async with shared.open(clock) as one, shared.open(clock) as two:
        first = await begin(one, clock)
        second = replace(first, store=two, worker=await two.begin_worker(now=clock.now()))
        await first.load(numbered(40))
        batches = await asyncio.gather(
            *(scene.intend(5) for _ in range(4) for scene in (first, second))
        )
        tasks = [each.task for batch in batches for each in getattr(batch, "attempts", ())]
        assert len(tasks) == len(set(tasks)) == 40
        assert (await first.status()).money.reserved == 40 * 10_200_000


@pytest.mark.parametrize(
    "ceiling",
    [
        Ceiling(day=7 * RESERVE),
        Ceiling(
            floor=RESERVE, balance=Balance(stated=8 * RESERVE, charged=0, newest_batch=0, beside=0)
        ),
    ],
    ids=["day", "floor"],
)
async def test_two_hosts_keep_a_limit_that_is_above_their_runs(
    shared: ServerPlace, clock: ManualClock, ceiling: Ceiling
) -> None:
    """Each asks what is left and spends it: at once, both would spend the same."""
    async with shared.open(clock) as one, shared.open(clock) as two:
        scenes = [await begin(one, clock, key="a"), await begin(two, clock, key="b")]
        for scene in scenes:
            await scene.load(numbered(20))
        await asyncio.gather(
            *(scene.intend(2, ceiling=ceiling) for _ in range(5) for scene in scenes)
        )
        gauges = await one.gauges()
        assert gauges.reserved == 7 * RESERVE


async def test_a_follow_up_that_is_loaded_while_its_first_question_ends_is_not_forgotten(
    shared: ServerPlace, clock: ManualClock
) -> None:
    """The loader sees no end yet, and who ends it no follow-up: it would wait for ever."""
    async with shared.open(clock) as store:
        scene = await begin(store, clock)
        (first,) = numbered(1)
        await scene.load([first])
        await scene.post()
        later = tuple(altered(ask, turn=2) for ask in first.asks)
        both = altered(first, asks=(*first.asks, *later))
        with psycopg.connect(shared.dsn) as other:
            other.execute("UPDATE tasks SET state = 'completed'")
            loading = asyncio.create_task(scene.load([both]))
            await asyncio.sleep(0.3)
            other.commit()
            await loading
        # Without an answer: so it was looked at.
        assert await scene.states() == {State.COMPLETED: 1, State.CANCELLED: 1}


async def test_a_start_leaves_living_workers_alone_and_lets_the_dead_go(
    shared: ServerPlace, clock: ManualClock
) -> None:
    """On one machine a lock proves the death; here a held connection proves the life."""
    async with shared.open(clock) as one:
        living = await begin(one, clock)
        await living.load(numbered(4))
        mine = await living.batch(2)
        async with shared.open(clock) as two:
            dying = await begin(two, clock)
            await dying.batch(1)
        # The end of a connection takes the server a moment.
        await until(lambda: shared.read(_WORKERS_THERE) == [(1,)])
        clock.advance(GRACE + SECOND)
        async with shared.open(clock) as three:
            await begin(three, clock)
            assert await living.states() == {
                State.POSTING: 2,
                State.UNKNOWN: 1,
                State.PENDING: 1,
            }
        await living.settle(mine, lost)
        assert isinstance(one, PostgresStore)
        assert await one.verify() == []


async def test_a_reply_that_comes_after_its_worker_was_taken_for_dead_counts_while_in_doubt(
    shared: ServerPlace, clock: ManualClock
) -> None:
    """F34: cut off from the store with a post in flight, it brings the ids when it is back."""
    async with shared.open(clock) as one, shared.open(clock) as two:
        cut_off = await begin(one, clock)
        await cut_off.load(numbered(3))
        mine = await cut_off.batch(2)
        kill_backends(shared.dsn)
        clock.advance(GRACE + SECOND)
        other = await begin(two, clock)
        assert await other.states() == {State.UNKNOWN: 2, State.PENDING: 1}
        first, _ = mine.attempts

        def one_of_two(attempt: Attempt) -> Outcome:
            return accepted(attempt) if attempt is first else lost(attempt)

        await cut_off.settle(mine, one_of_two)
        assert await other.states() == {State.UNKNOWN: 1, State.POSTED: 1, State.PENDING: 1}
        with pytest.raises(AttemptOver):
            await cut_off.settle(mine, accepted)
        assert [task.task for task in await other.take()] == [first.task]
        assert isinstance(two, PostgresStore)
        assert await two.incidents() == []
        assert await two.verify() == []


async def test_a_reply_that_comes_after_its_task_was_posted_anew_is_an_incident(
    shared: ServerPlace, clock: ManualClock
) -> None:
    """F34: paid twice, by an API that hid a task from its listing; it is told, never hidden."""
    async with shared.open(clock) as one, shared.open(clock) as two:
        cut_off = await begin(one, clock)
        await cut_off.load(numbered(1))
        mine = await cut_off.batch()
        kill_backends(shared.dsn)
        clock.advance(GRACE + SECOND)
        other = await begin(two, clock)
        (attempt,) = mine.attempts
        assert isinstance(two, PostgresStore)
        doubtful = [(attempt.task, attempt.number)]
        assert await two.prove_absent(doubtful, now=clock.now()) == 1
        anew = await other.post()
        assert [each.number for each in anew.attempts] == [2]
        await cut_off.settle(mine, accepted)
        (incident,) = await two.incidents()
        assert (incident.kind, incident.task) == (IncidentKind.DOUBLE_CHARGE, attempt.task)
        assert incident.remote_id == remote_id(attempt.tag)
        (extra,) = await two.extras_due(10, now=clock.now())
        assert extra.remote_id == remote_id(attempt.tag)
        assert await other.states() == {State.POSTED: 1}
        assert await two.verify() == []


async def test_a_worker_that_was_taken_for_dead_and_posts_again_can_die_again(
    shared: ServerPlace, clock: ManualClock
) -> None:
    """Counted among the dead for ever, what it posts next would stay in posting for ever."""
    async with shared.open(clock) as two:
        async with shared.open(clock) as one:
            cut_off = await begin(one, clock)
            await cut_off.load(numbered(2))
            kill_backends(shared.dsn)
            clock.advance(GRACE + SECOND)
            other = await begin(two, clock)
            await cut_off.batch(1)
        clock.advance(SILENCE + SECOND)
        await begin(two, clock)
        assert await other.states() == {State.UNKNOWN: 1, State.PENDING: 1}


async def test_answers_that_two_workers_book_at_once_are_booked_once(
    shared: ServerPlace, clock: ManualClock
) -> None:
    """A lease ran out under a slow reply: the second booking finds the task done."""
    async with shared.open(clock) as one, shared.open(clock) as two:
        scene = await begin(one, clock)
        await scene.load(numbered(20))
        await scene.post()
        taken = await scene.take()
        endings = [answered(task) for task in taken]
        await asyncio.gather(
            one.book(endings, now=clock.now()), two.book(endings[::-1], now=clock.now())
        )
        assert await scene.states() == {State.COMPLETED: 20}
        assert isinstance(one, PostgresStore)
        assert await one.verify() == []


# --- the schema -----------------------------------------------------------------------------------


async def test_both_databases_have_the_same_tables_and_columns(dsn: str, tmp_path: Path) -> None:
    """A column that only one of them has is a verb that only one of them can do. A file is one
    engine's, which has nobody to share the account's limit with."""
    with closing(sqlite3.connect(tmp_path / "runner.db", isolation_level=None)) as file:
        migrate(file, read_migrations(migrations("sqlite")), START)
        here = {
            (table, column)
            for (table,) in file.execute(
                "SELECT name FROM sqlite_schema"
                " WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'"
            ).fetchall()
            for _, column, *_ in file.execute(f"PRAGMA table_xinfo({table})")
        }
    with psycopg.connect(dsn) as db:
        there = set(
            db.execute(
                "SELECT table_name, column_name FROM information_schema.columns"
                " WHERE table_schema = 'public'"
                " AND table_name NOT IN ('moves_seen', 'account_rates')"
            )
        )
    assert here == there


async def test_four_starts_at_once_make_one_store(postgres: Server) -> None:
    """`runner work` on four hosts meets an empty database on the first evening."""
    with postgres.database(empty=True) as dsn:

        async def start() -> None:
            async with open_store(dsn, clock=ManualClock(), may_lose=True) as store:
                assert await store.counts()

        await asyncio.gather(*(start() for _ in range(4)))
        with psycopg.connect(dsn) as db:
            applied = db.execute("SELECT name FROM migrations ORDER BY number").fetchall()
    assert [name for (name,) in applied] == [
        each.name for each in read_migrations(migrations("postgres"))
    ]


ONE = Migration(1, "0001_one.sql", "CREATE TABLE a (x text);")


async def apply(link: Connection, *known: Migration) -> None:
    while await link.write(migrate_server, list(known), now=START):
        pass


async def test_a_migration_that_fails_leaves_nothing_of_itself(postgres: Server) -> None:
    """The next start of the mended program finds the store as it was before."""
    broken = Migration(2, "0002_two.sql", "ALTER TABLE a ADD y text; SELECT nothing;")
    mended = replace(broken, sql="ALTER TABLE a ADD y text;")
    with postgres.database(empty=True) as dsn:
        async with connect(Address.parse(dsn), may_lose=True) as link:
            with pytest.raises(psycopg.errors.UndefinedColumn):
                await apply(link, ONE, broken)
            await apply(link, ONE, mended)
            await link.read(check_current, [ONE, mended])


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ([replace(ONE, sql="CREATE TABLE a (z text);")], "differs from the file"),
        ([ONE, Migration(2, "0002_two.sql", "SELECT 1;")], "older than this program"),
        ([Migration(1, "0001_one.sql", "CREATE TABLE a (x text)")], "differs from the file"),
    ],
)
async def test_a_schema_that_is_not_the_known_one_is_refused(
    postgres: Server, known: list[Migration], told: str
) -> None:
    """Reading it by guess would show wrong money."""
    with postgres.database(empty=True) as dsn:
        async with connect(Address.parse(dsn), may_lose=True) as link:
            await apply(link, ONE)
            with pytest.raises(StoreBroken, match=told):
                await link.read(check_current, known)


async def test_the_database_of_another_program_is_left_alone(postgres: Server) -> None:
    """One wrong letter in the address must not put our tables among somebody else's."""
    with postgres.database(empty=True) as dsn:
        with psycopg.connect(dsn, autocommit=True) as db:
            db.execute("CREATE TABLE customers (id int)")
        with pytest.raises(StoreBroken, match="another program"):
            async with open_store(dsn, clock=ManualClock(), may_lose=True):
                pytest.fail("it was opened")


async def test_texts_with_a_nul_are_kept_as_far_as_the_server_can(
    shared: ServerPlace, clock: ManualClock
) -> None:
    """A stray NUL in an answer that was paid must not keep it from being saved."""
    async with shared.open(clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(1))
        await scene.post()
        (task,) = await scene.take()
        ending = answered(task)
        assert ending.answer is not None
        await scene.book(
            structs.replace(ending, answer=structs.replace(ending.answer, text="a\x00b"))
        )
        (line,) = await scene.lines()
        assert line.values["answer"] == "a\ufffdb"
    assert shared.read(r"""SELECT json_text('{"p": "a\u0000\\u0000"}', 'p')""") == [
        ("a\ufffd\\u0000",)
    ]
