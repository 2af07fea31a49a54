"""Full disks, wrong files, cancelled callers, dead processes: nothing half-written, clear words."""

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import pytest

from runner.errors import StoreBroken
from runner.lifecycle import State
from runner.resources import migrations
from runner.store.amounts import Money
from runner.store.migrate import migrate, read_migrations
from runner.store.sqlite.connection import Connection, connect
from runner.store.sqlite.copying import copy_store
from runner.store.sqlite.store import SqliteStore, open_store, open_store_to_look
from runner.store.values import StoreUnwritable
from tests.store.steps import PRICE, Scene, accepted, answered, begin, numbered, row
from tests.support.clock import START, ManualClock

ROOT = Path(__file__).resolve().parents[2]

# --- cancelled callers ----------------------------------------------------------------------------


@pytest.mark.parametrize("yields", range(6))
async def test_a_cancelled_caller_leaves_all_or_nothing(scene: Scene, yields: int) -> None:
    """Ctrl-C comes at any moment; a transaction left open would lock everybody out."""
    load = await scene.begin_load("one")
    assert load is not None
    adding = asyncio.create_task(
        scene.store.add_rows(load, numbered(800), now=scene.clock.now()), name="adding"
    )
    for _ in range(yields):
        await asyncio.sleep(0)
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    assert sum((await scene.states()).values()) in (0, 800)
    await scene.load(numbered(900))
    assert await scene.states() == {State.PENDING: 900}


async def test_a_cancelled_group_waits_for_what_it_is_writing(scene: Scene) -> None:
    """An outcome that is dropped because a neighbour failed would leave its tasks in doubt."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await scene.load(numbered(5))
    assert not scope.cancelled_caught
    assert await scene.states() == {State.PENDING: 5}


# --- disks ----------------------------------------------------------------------------------------


@pytest.fixture
async def writer(path: Path) -> AsyncIterator[Connection]:
    """The connection of ``fragile``, to put limits on."""
    async with connect(path) as connection:
        await connection.call(migrate, read_migrations(migrations("sqlite")), START)
        yield connection


@pytest.fixture
async def fragile(path: Path, writer: Connection, clock: ManualClock) -> AsyncIterator[Scene]:
    """A scene whose disk can be made to fill up."""
    async with connect(path, read_only=True) as reader:
        yield await begin(SqliteStore(path, writer, reader), clock)


async def fill(writer: Connection, *, spare_pages: int) -> None:
    """Let the file grow by no more than *spare_pages*; a negative number lifts the limit."""

    def limit(db: sqlite3.Connection) -> None:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        most = pages + spare_pages if spare_pages >= 0 else 1 << 30
        db.execute(f"PRAGMA max_page_count = {most}").fetchone()

    await writer.call(limit)


@pytest.mark.parametrize("spare_pages", [0, 1, 5, 20])
async def test_a_load_on_a_full_disk_is_done_again_when_there_is_space(
    fragile: Scene, writer: Connection, spare_pages: int
) -> None:
    """F23: no row is lost, none is there twice."""
    load = await fragile.begin_load("one")
    assert load is not None
    await fill(writer, spare_pages=spare_pages)
    with pytest.raises(StoreUnwritable, match="full"):
        await fragile.store.add_rows(load, numbered(2_500), now=fragile.clock.now())
    assert await fragile.states() == {}
    await fill(writer, spare_pages=-1)
    await fragile.store.add_rows(load, numbered(2_500), now=fragile.clock.now())
    assert await fragile.states() == {State.PENDING: 2_500}


async def test_an_answer_waits_for_space_and_is_then_stored_whole(
    fragile: Scene, writer: Connection
) -> None:
    """F21, F22: without space no intent; with an answer in hand, nothing of it is lost."""
    await fragile.load(numbered(150))
    await fragile.post(100)
    taken = await fragile.take()
    before = await fragile.status()
    await fill(writer, spare_pages=0)
    endings = [answered(task, reply=os.urandom(2_000)) for task in taken]
    for _ in range(2):
        with pytest.raises(StoreUnwritable):
            await fragile.book(*endings)
        with pytest.raises(StoreUnwritable):
            await fragile.intend()
    assert await fragile.status() == before
    await fill(writer, spare_pages=-1)
    await fragile.book(*endings)
    assert await fragile.states() == {State.COMPLETED: 100, State.PENDING: 50}
    assert (await fragile.status()).money.charged == 100 * PRICE
    assert len((await fragile.batch()).attempts) == 50


async def test_a_write_that_the_disk_refuses_leaves_nothing(fragile: Scene) -> None:
    """The same at the write itself, as a quota refuses it."""
    await fragile.load(numbered(10))
    batch = await fragile.post(5)
    before = await fragile.status()
    with no_larger_files():
        with pytest.raises(StoreUnwritable):
            await fragile.intend()
        with pytest.raises(StoreUnwritable):
            await fragile.load(numbered(5_000))
    assert await fragile.status() == before
    assert len((await fragile.batch()).attempts) == 5
    assert len(batch.attempts) == 5


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_IOERR_FSYNC, StoreBroken),
        (sqlite3.SQLITE_IOERR_DIR_FSYNC, StoreBroken),
        (sqlite3.SQLITE_IOERR_WRITE, StoreUnwritable),
        (sqlite3.SQLITE_FULL, StoreUnwritable),
    ],
)
async def test_a_sync_that_fails_is_no_disk_that_is_full(
    writer: Connection, code: int, kind: type[Exception]
) -> None:
    """F24: after it nobody knows what is on the disk, and a second sync that succeeds says nothing:
    the start ends. A write that fails is tried again when there is space."""

    def failing(db: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = code
        raise error

    with pytest.raises(kind):
        await writer.write(failing)


@contextmanager
def no_larger_files() -> Iterator[None]:
    """No file of this process can grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_store_locked_by_another_writer_can_be_tried_again(
    path: Path, fragile: Scene, writer: Connection
) -> None:
    """Somebody has the file open in a SQL shell, in the middle of a transaction."""
    await fragile.load(numbered(2))
    await writer.call(lambda db: db.execute("PRAGMA busy_timeout = 10").fetchone())
    with closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnwritable, match="locked"):
            await fragile.intend()
        assert await fragile.states() == {State.PENDING: 2}
        shell.execute("ROLLBACK")
    assert len((await fragile.batch()).attempts) == 2


# --- files ----------------------------------------------------------------------------------------


async def opened(path: Path) -> None:
    async with open_store(path, clock=ManualClock()):
        pass


async def looked_at(path: Path) -> None:
    async with open_store_to_look(path):
        pass


async def test_store_files_are_private_whatever_the_umask(path: Path, clock: ManualClock) -> None:
    """Prompts and answers are the customer's (F84)."""
    before = os.umask(0)
    try:
        async with open_store(path, clock=clock) as store:
            scene = await begin(store, clock)
            await scene.load(numbered(2))
            modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"runner.db": 0o600, "runner.db-wal": 0o600, "runner.db-shm": 0o600}


async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    """`--store prompts.csv` happens."""
    text = "prompt,brand\nwhy is the sky blue?,Acme\n" * 100
    path.write_text(text)
    for opening in (opened, looked_at):
        with pytest.raises(StoreBroken, match=r"runner\.db is not a usable runner store"):
            await opening(path)
    assert path.read_text() == text


async def test_a_damaged_store_says_so(path: Path, clock: ManualClock) -> None:
    """F27: no post on the word of a file that has lost its pages."""
    async with open_store(path, clock=clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(2_000))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    for opening in (opened, looked_at):
        with pytest.raises(StoreBroken, match="not a usable runner store"):
            await opening(path)


async def test_a_store_that_is_a_folder_or_a_pipe_is_refused(path: Path) -> None:
    """Opening a pipe would wait for its other end for ever."""
    path.mkdir()
    pipe = path / "pipe"
    os.mkfifo(pipe)
    for wrong in (path, pipe):
        with pytest.raises(StoreBroken, match="not a regular file"):
            await opened(wrong)


async def test_a_store_in_a_missing_folder_is_refused(path: Path) -> None:
    """A misspelt path must not become an empty store somewhere."""
    with pytest.raises(StoreBroken, match="No such file or directory"):
        await opened(path / "nowhere" / "runner.db")


async def test_looking_at_a_store_that_is_not_there_makes_none(path: Path) -> None:
    """`runner status` in the wrong folder."""
    with pytest.raises(StoreBroken, match="there is no store"):
        await looked_at(path)
    assert list(path.parent.iterdir()) == []


async def test_a_store_that_may_only_be_read_is_refused_before_any_call() -> None:
    """F25: found out at the start, not when an answer that was paid for has to be saved."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runner.db"
        await opened(path)
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        with as_anybody(), pytest.raises(StoreBroken, match="cannot open the store"):
            async with connect(path):
                pass
        with as_anybody(), pytest.raises(StoreBroken, match="Permission denied"):
            async with connect(path.with_name("new.db")):
                pass
        Path(folder).chmod(0o755)


async def test_a_file_that_may_only_be_read_is_refused_though_its_folder_is_writable() -> None:
    """F25: SQLite opens it, and even begins a transaction to write in it; a post would be sent
    before the first statement that says no."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runner.db"
        await opened(path)
        Path(folder).chmod(0o777)
        path.chmod(0o444)
        with as_anybody(), pytest.raises(StoreBroken, match="readonly database"):
            async with connect(path):
                pass


async def test_opening_a_store_changes_nothing_in_it(path: Path) -> None:
    """What finds out whether it can be written must not be seen by whoever compares copies."""
    await opened(path)
    before = path.read_bytes()
    await opened(path)
    assert path.read_bytes() == before


@contextmanager
def as_anybody() -> Iterator[None]:
    """Without the rights of root, to whom every file is writable."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_a_store_of_a_newer_program_is_refused(path: Path) -> None:
    """F29: both versions are named, and nothing is touched."""
    await opened(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO migrations VALUES (9999, '9999_future.sql', 'x', 0)")
    for opening in (opened, looked_at):
        with pytest.raises(StoreBroken, match=r"it has 9999_future\.sql, this program ends with 0"):
            await opening(path)


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_store_deleted_or_replaced_while_in_use_is_noticed(
    path: Path, fragile: Scene, replaced: bool
) -> None:
    """F26: an intent in a file that nobody will find again protects nothing."""
    await fragile.load(numbered(2))
    kept = path.rename(path.with_name("moved.db"))
    if replaced:
        path.write_bytes(b"")
    with pytest.raises(StoreBroken, match="deleted or replaced"):
        await fragile.intend()
    path.unlink(missing_ok=True)
    kept.rename(path)
    assert len((await fragile.batch()).attempts) == 2


async def test_a_second_opening_in_one_process_does_not_drop_the_locks_of_the_first(
    path: Path, fragile: Scene
) -> None:
    """POSIX drops all locks of a process when it closes any descriptor of the file."""
    await fragile.load(numbered(2))
    await opened(path)
    # The last connection to leave deletes the write-ahead log: that must not be this one.
    visit = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT 1 FROM runs')"
    assert script(visit, path) == 0
    assert Path(f"{path}-wal").exists()
    await fragile.post()
    assert await fragile.states() == {State.POSTED: 2}


async def test_a_copy_is_whole_private_and_its_own(path: Path, fragile: Scene) -> None:
    """A rehearsal works on a copy; the original is not to feel it."""
    await fragile.load(numbered(3))
    copy = path.with_name("copy.db")
    before = os.umask(0)
    try:
        await copy_store(path, copy)
    finally:
        os.umask(before)
    assert copy.stat().st_mode & 0o777 == 0o600
    async with open_store(copy, clock=fragile.clock) as store:
        rehearsal = await begin(store, fragile.clock)
        await rehearsal.complete()
        assert await rehearsal.states() == {State.COMPLETED: 3}
    assert await fragile.states() == {State.PENDING: 3}
    await copy_store(path.with_name("nothing.db"), path.with_name("none.db"))
    assert not path.with_name("none.db").exists()


# --- processes ------------------------------------------------------------------------------------

LOAD = """
import asyncio, sys
from pathlib import Path
from runner.store.sqlite.store import open_store
from tests.store.steps import begin, row
from tests.support.clock import ManualClock

async def main() -> None:
    clock = ManualClock()
    async with open_store(Path(sys.argv[1]), clock=clock) as store:
        scene = await begin(store, clock)
        load = await scene.begin_load("one")
        for first in range(1, 100_000, 50):
            await store.add_rows(load, [row(n) for n in range(first, first + 50)], now=clock.now())
            print(first, flush=True)

asyncio.run(main())
"""


def script(code: str, path: Path) -> int:
    """Run *code* in a process of its own; returns how it ended."""
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.run(command, cwd=ROOT, timeout=30, check=False).returncode


def kill_after_lines(count: int, code: str, path: Path) -> None:
    """Run *code* in a process of its own until it has printed *count* lines, then kill -9."""
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        printed = [process.stdout.readline() for _ in range(count)]
        os.kill(process.pid, signal.SIGKILL)
    assert all(printed)


async def test_a_killed_load_has_whole_chunks_and_goes_on(path: Path, clock: ManualClock) -> None:
    """kill -9 anywhere in a load (F1, F6): what was said to be saved is there, and nothing half."""
    kill_after_lines(7, LOAD, path)
    async with open_store(path, clock=clock) as store:
        scene = await begin(store, clock)
        saved = (await scene.states())[State.PENDING]
        assert saved >= 350
        assert saved % 50 == 0
        added = await scene.load([row(n) for n in range(1, saved + 101)], digest="one")
        assert added is not None
        assert (added.new, added.known) == (100, saved)
        assert await scene.prompts() == [f"question {n}" for n in range(1, saved + 101)]


LEAVE = """
import asyncio, sys
from pathlib import Path
from runner.clock import SystemClock
from runner.store.sqlite.store import open_store

store = open_store(Path(sys.argv[1]), clock=SystemClock())
asyncio.new_event_loop().run_until_complete(store.__aenter__())
sys.exit(7)
"""


def test_a_process_ends_though_its_store_was_never_closed(path: Path) -> None:
    """F20: an idle thread of the store must not keep a failed command on the screen."""
    assert script(LEAVE, path) == 7


async def test_what_was_posted_twice_by_mistake_would_be_refused_by_the_schema(
    path: Path, fragile: Scene
) -> None:
    """The last line of defence: one open attempt for a task, whatever the code above believes."""
    await fragile.load(numbered(1))
    await fragile.post(how=accepted)
    with (
        closing(sqlite3.connect(path)) as db,
        pytest.raises(sqlite3.IntegrityError, match="UNIQUE"),
        db,
    ):
        db.execute(
            """
            INSERT INTO attempts (task_id, number, run_id, batch_id, model, tag, state)
            SELECT task_id, 2, run_id, batch_id, model, 'x', 'posting' FROM attempts
            """
        )
    assert (await fragile.status()).money == Money(reserved=10_200_000, advanced=10_200_000)
