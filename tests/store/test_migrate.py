"""A schema is brought up to date step by step, whole or not at all, and never by guessing."""

import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from runner.errors import StoreBroken
from runner.resources import migrations
from runner.store.migrate import (
    Migration,
    check_current,
    migrate,
    read_migrations,
    statements,
)
from runner.store.sqlite.store import open_store, open_store_to_look
from tests.support.clock import START, ManualClock

ONE = "CREATE TABLE a (x TEXT);\nINSERT INTO a VALUES ('semi;colon');\n"
TWO = "ALTER TABLE a ADD COLUMN y TEXT; -- the end"
TRIGGER = """
CREATE TABLE b (n INTEGER);
CREATE TRIGGER t AFTER INSERT ON a
BEGIN
    INSERT INTO b VALUES (1);
    INSERT INTO b VALUES (2);
END;
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two migrations of our own."""
    made = tmp_path / "migrations"
    made.mkdir()
    (made / "0001_one.sql").write_text(ONE)
    (made / "0002_two.sql").write_text(TWO)
    (made / "README.md").write_text("not a migration")
    return made


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path)) as connection:
        yield connection


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=30)


def tables(db: sqlite3.Connection) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def dump(db: sqlite3.Connection) -> list[str]:
    return list(db.iterdump())


# --- the files ------------------------------------------------------------------------------------


def test_migrations_are_read_in_order(folder: Path) -> None:
    """The order of a folder's listing is nobody's promise."""
    (folder / "0010_ten.sql").write_text("SELECT 1;")
    for number in range(3, 10):
        (folder / f"{number:04}_more.sql").write_text("SELECT 1;")
    found = read_migrations(folder)
    assert [migration.number for migration in found] == list(range(1, 11))
    assert found[0].sha256 == hashlib.sha256(ONE.encode()).hexdigest()


def test_a_checksum_is_that_of_the_text_whatever_its_line_ends(folder: Path) -> None:
    """A checkout with CRLF is the same program."""
    before = [migration.sha256 for migration in read_migrations(folder)]
    (folder / "0001_one.sql").write_bytes(ONE.replace("\n", "\r\n").encode())
    assert [migration.sha256 for migration in read_migrations(folder)] == before


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("0004_four.sql", "without a gap"),
        ("0002_again.sql", "without a gap"),
        ("0003-three.sql", "0003-three.sql is no migration"),
        ("3_three.sql", "3_three.sql is no migration"),
    ],
)
def test_a_folder_that_does_not_add_up_is_refused(folder: Path, name: str, told: str) -> None:
    """A step that is missing or there twice makes two stores of one version differ."""
    (folder / name).write_text("SELECT 1;")
    with pytest.raises(StoreBroken, match=told):
        read_migrations(folder)


def test_triggers_and_semicolons_in_strings_are_one_statement() -> None:
    """A file is taken apart here, because SQLite's own script mode commits in between."""
    made = list(statements(Migration(1, "0001_x.sql", ONE + TRIGGER)))
    assert len(made) == 4
    assert "'semi;colon'" in made[1]
    assert made[3].count(";") == 3


@pytest.mark.parametrize(
    "text", ["CREATE TABLE a (x TEXT)", ONE + "INSERT INTO a", TRIGGER.rstrip()[:-4]]
)
def test_a_statement_without_its_semicolon_is_an_error(text: str) -> None:
    """It would be left out in silence."""
    with pytest.raises(StoreBroken, match=r"0001_x\.sql does not end with a complete statement"):
        list(statements(Migration(1, "0001_x.sql", text)))


# --- applying them --------------------------------------------------------------------------------


def test_each_file_is_applied_once(db: sqlite3.Connection, folder: Path) -> None:
    """Every start of the program comes through here."""
    known = read_migrations(folder)
    assert migrate(db, known, START) == ["0001_one.sql", "0002_two.sql"]
    before = dump(db)
    assert migrate(db, known, START) == []
    assert dump(db) == before
    (folder / "0003_three.sql").write_text(TRIGGER)
    assert migrate(db, read_migrations(folder), START) == ["0003_three.sql"]
    db.execute("INSERT INTO a VALUES ('x', 'y')")
    assert db.execute("SELECT n FROM b").fetchall() == [(1,), (2,)]


def test_a_store_is_checked_without_being_changed(db: sqlite3.Connection, folder: Path) -> None:
    """Commands that only look must not migrate a store under a running engine."""
    known = read_migrations(folder)
    with pytest.raises(StoreBroken, match="there is no store in this database yet"):
        check_current(db, known)
    migrate(db, known[:1], START)
    with pytest.raises(StoreBroken, match="older than this program: it has 1 of 2 migrations"):
        check_current(db, known)
    migrate(db, known, START)
    before = dump(db)
    check_current(db, known)
    assert dump(db) == before


def test_an_edited_file_is_refused(db: sqlite3.Connection, folder: Path) -> None:
    """Two stores of one version would have two schemas."""
    migrate(db, read_migrations(folder), START)
    before = dump(db)
    (folder / "0001_one.sql").write_text(ONE + "CREATE TABLE more (x TEXT);")
    for apply in (lambda known: migrate(db, known, START), lambda known: check_current(db, known)):
        with pytest.raises(StoreBroken, match=r"0001_one\.sql differs"):
            apply(read_migrations(folder))
    assert dump(db) == before


def test_a_newer_store_is_refused_and_both_versions_are_named(
    db: sqlite3.Connection, folder: Path
) -> None:
    """An old program would write what the new schema forbids (F29)."""
    known = read_migrations(folder)
    migrate(db, known, START)
    before = dump(db)
    for apply in (migrate, lambda *given: check_current(*given[:2])):
        with pytest.raises(StoreBroken) as refusal:
            apply(db, known[:1], START)
        assert "it has 0002_two.sql, this program ends with 0001_one.sql" in str(refusal.value)
    assert dump(db) == before


def test_a_file_that_fails_leaves_nothing_of_itself(db: sqlite3.Connection, folder: Path) -> None:
    """Interrupted or wrong, a step is done whole or not at all (F30)."""
    (folder / "0002_two.sql").write_text(
        "CREATE TABLE half (x TEXT); INSERT INTO a VALUES ('lost'); INSERT INTO nowhere VALUES (1);"
    )
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(db, read_migrations(folder), START)
    assert not db.in_transaction
    assert tables(db) == {"a", "migrations"}
    assert db.execute("SELECT x FROM a").fetchall() == [("semi;colon",)]
    (folder / "0002_two.sql").write_text(TWO)
    assert migrate(db, read_migrations(folder), START) == ["0002_two.sql"]


def test_a_first_file_that_fails_leaves_an_empty_database(
    db: sqlite3.Connection, folder: Path
) -> None:
    """The next start begins from the beginning."""
    (folder / "0001_one.sql").write_text(
        "CREATE TABLE half (x TEXT); INSERT INTO nowhere VALUES (1);"
    )
    with pytest.raises(sqlite3.OperationalError):
        migrate(db, read_migrations(folder), START)
    assert tables(db) == set()


@pytest.mark.parametrize(
    "sql", ["CREATE TABLE customers (x TEXT)", "CREATE TABLE migrations (version TEXT)"]
)
async def test_the_database_of_another_program_is_left_alone(
    db: sqlite3.Connection, path: Path, clock: ManualClock, sql: str
) -> None:
    """`--store` with the wrong file must not fill somebody's database with our tables."""
    db.execute(sql)
    before = dump(db)
    with pytest.raises(StoreBroken, match="belongs to another program"):
        async with open_store(path, clock=clock):
            pass
    with pytest.raises(StoreBroken, match="belongs to another program"):
        async with open_store_to_look(path):
            pass
    assert dump(db) == before


# --- several at once ------------------------------------------------------------------------------


def test_several_connections_at_once_apply_each_file_once(path: Path, folder: Path) -> None:
    """Cron starts three jobs at midnight on a new store."""
    (folder / "0003_three.sql").write_text(TRIGGER)

    def start(_: int) -> list[str]:
        with closing(connect(path)) as db:
            return migrate(db, read_migrations(folder), START)

    with ThreadPoolExecutor(8) as pool:
        applied = [name for names in pool.map(start, range(8)) for name in names]
    assert sorted(applied) == ["0001_one.sql", "0002_two.sql", "0003_three.sql"]


OPEN = """
import asyncio, sys
from pathlib import Path
from runner.clock import SystemClock
from runner.store.sqlite.store import open_store

async def main() -> None:
    async with open_store(Path(sys.argv[1]), clock=SystemClock()) as store:
        print(len(await store.runs()))

asyncio.run(main())
"""


def test_several_processes_at_once_make_one_store(path: Path) -> None:
    """The same with processes of their own, through every step of opening."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    ended = [process.communicate(timeout=60) for process in started]
    assert [(out, err) for out, err in ended] == [(b"0\n", b"")] * 4
    with closing(connect(path)) as db:
        count = db.execute("SELECT count(*) FROM migrations").fetchone()
        assert count == (len(read_migrations(migrations("sqlite"))),)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
