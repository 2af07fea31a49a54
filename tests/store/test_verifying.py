"""`verify` finds every kind of damage, and each by the check that is meant for it."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.lifecycle import State
from runner.store.reconciling import IncidentKind, NewIncident
from runner.store.sqlite.store import SqliteStore, open_store, open_store_to_look
from runner.store.sqlite.verifying import CHECKS
from tests.store import steps
from tests.support.clock import ManualClock


@dataclass
class Whole:
    """A store with a task in every state that a check is about, and nothing wrong in it."""

    store: SqliteStore
    path: Path

    def damage(self, *statements: str) -> None:
        """Change the file behind the store's back; its triggers and keys do not help."""
        with closing(sqlite3.connect(self.path)) as db:
            db.execute("PRAGMA foreign_keys = OFF")
            for (trigger,) in db.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
            ).fetchall():
                db.execute(f"DROP TRIGGER {trigger}")
            for statement in statements:
                assert db.execute(statement).rowcount, f"no line changed: {statement}"
            db.commit()

    async def broken(self) -> set[str]:
        """The checks that find something, for who opens the store now."""
        async with open_store_to_look(self.path) as store:
            return {breach.check for breach in await store.verify()}


@pytest.fixture
async def whole(path: Path, clock: ManualClock) -> AsyncIterator[Whole]:
    async with open_store(path, clock=clock) as store:
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(8))
        # 1 completed, 2 failed, 3 expired, 4 refused, 5 posted, 6 unknown, 7 quarantined, 8 waits.
        await scene.post(3)
        answered, failed, gone = await scene.take()
        await scene.book(
            steps.answered(answered), steps.failed(failed, cost=None), steps.gone(gone)
        )
        await scene.post(1, how=steps.refused)
        await scene.post(1)
        await scene.post(1, how=steps.lost)
        lost = await scene.post(1, how=steps.lost)
        attempts = [(each.task, each.number) for each in lost.attempts]
        await store.quarantine(attempts, message="no proof", now=clock.now())
        incident = NewIncident(kind=IncidentKind.ORPHAN, message="?", remote_id="x", amount=5)
        await store.open_incident(incident, now=clock.now())
        assert len(await scene.states()) == 7
        assert (await scene.states())[State.FAILED] == 2
        yield Whole(store, path)


DAMAGES = [
    ("rows", "INSERT INTO rows SELECT 99, id, x'00' FROM runs"),
    ("lines", "UPDATE loads SET row_count = row_count + 1"),
    ("counts", "UPDATE run_states SET n = n + 1 WHERE state = 'posted'"),
    ("money", "UPDATE run_money SET charged_nanousd = charged_nanousd + 5"),
    (
        "amounts",
        "UPDATE attempts SET refunded_nanousd = refunded_nanousd - 1 WHERE task_id = 1",
        "UPDATE run_money SET refunded_nanousd = refunded_nanousd - 1",
    ),
    (
        "amounts",
        "UPDATE attempts SET over_reserve_nanousd = -1 WHERE task_id = 5",
        "UPDATE run_money SET over_reserve_nanousd = over_reserve_nanousd - 1",
    ),
    (
        "risks",
        "UPDATE attempts SET at_risk_nanousd = 1 WHERE task_id = 1",
        "UPDATE run_money SET at_risk_nanousd = at_risk_nanousd + 1",
        "UPDATE account_money SET held_nanousd = held_nanousd + 1",
    ),
    (
        "risks",
        "UPDATE run_money SET at_risk_nanousd = at_risk_nanousd"
        " - (SELECT at_risk_nanousd FROM attempts WHERE task_id = 7)",
        "UPDATE account_money SET held_nanousd = held_nanousd"
        " - (SELECT at_risk_nanousd FROM attempts WHERE task_id = 7)",
        "UPDATE attempts SET at_risk_nanousd = 0 WHERE task_id = 7",
    ),
    (
        "reserves",
        "UPDATE attempts SET reserved_nanousd = 1 WHERE task_id = 1",
        "UPDATE run_money SET reserved_nanousd = reserved_nanousd + 1",
        "UPDATE account_money SET held_nanousd = held_nanousd + 1",
    ),
    ("accounts", "UPDATE account_money SET charged_nanousd = charged_nanousd + 5"),
    ("accounts", "UPDATE tasks SET account_id = 99 WHERE id = 5"),
    (
        "tags",
        "UPDATE attempts SET tag = (SELECT tag FROM attempts WHERE task_id = 2) WHERE task_id = 1",
    ),
    ("tags", "UPDATE attempts SET tag = replace(tag, '.1.', '.2.') WHERE task_id = 3"),
    ("tags", "UPDATE attempts SET tag = 'none' WHERE task_id = 3"),
    (
        "ids",
        "UPDATE attempts SET remote_id = (SELECT remote_id FROM attempts WHERE task_id = 2)"
        " WHERE task_id = 1",
    ),
    (
        "extras",
        "INSERT INTO extra_charges (remote_id, task_id, attempt, run_id, tag, state, posted_at,"
        " found_at) SELECT remote_id, task_id, number, run_id, tag, 'posted', 0, 0 FROM attempts"
        " WHERE task_id = 5",
    ),
    ("incidents", "UPDATE attempts SET remote_id = 'x' WHERE task_id = 5"),
    ("batches", "UPDATE batches SET size = size + 1 WHERE id = 2"),
    (
        "attempts",
        "UPDATE attempts SET number = 2, tag = substr(tag, 1, length(tag) - 6) || '2.aaaa'"
        " WHERE task_id = 4",
        "UPDATE tasks SET attempt = 2 WHERE id = 4",
    ),
    ("attempts", "UPDATE tasks SET attempt = 2 WHERE id = 4"),
    ("states", "UPDATE attempts SET state = 'completed' WHERE task_id = 4"),
    (
        "open",
        "INSERT INTO attempts (task_id, number, run_id, batch_id, model, tag, state)"
        " SELECT task_id, 2, run_id, batch_id, model,"
        " substr(tag, 1, length(tag) - 6) || '2.aaaa', 'refused' FROM attempts WHERE task_id = 5",
        "UPDATE batches SET size = 2"
        " WHERE id = (SELECT batch_id FROM attempts WHERE task_id = 5 AND number = 2)",
        "UPDATE tasks SET state = 'failed', reason = 'refused', attempt = 2 WHERE id = 5",
        "UPDATE run_states SET n = n - 1 WHERE state = 'posted'",
        "UPDATE run_states SET n = n + 1 WHERE state = 'failed' AND reason = 'refused'",
    ),
    (
        "reasons",
        "UPDATE tasks SET reason = 'remote' WHERE id = 5",
        "UPDATE run_states SET reason = 'remote' WHERE state = 'posted'",
    ),
    ("posted", "UPDATE attempts SET remote_id = NULL WHERE task_id = 5"),
    ("timers", "UPDATE tasks SET due_at = NULL WHERE id = 5"),
    ("timers", "UPDATE tasks SET due_at = NULL WHERE id = 8"),
    (
        "timers",
        "INSERT INTO follow_ups (task_id, first_id, stirred) VALUES (8, 1, 0)",
        "UPDATE tasks SET due_at = NULL WHERE id = 8",
    ),
    ("timers", "DELETE FROM payloads WHERE task_id = 8"),
    ("answers", "DELETE FROM results"),
    (
        "answers",
        "CREATE TEMP TABLE copy AS SELECT * FROM results",
        "UPDATE results SET task_id = 2",
        "INSERT INTO results SELECT * FROM copy",
    ),
    ("references", "UPDATE payloads SET task_id = 99 WHERE task_id = 1"),
    (
        "file",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET rootpage ="
        " (SELECT rootpage FROM sqlite_schema WHERE name = 'pauses_once')"
        " WHERE name = 'batches_open'",
        "PRAGMA schema_version = 12345",
    ),
]


@pytest.mark.parametrize(("check", "statements"), [(name, rest) for name, *rest in DAMAGES])
async def test_each_damage_is_found_by_its_check_and_no_other(
    whole: Whole, check: str, statements: list[str]
) -> None:
    """What is named must be what is wrong, or nobody can put it right."""
    assert await whole.broken() == set()
    whole.damage(*statements)
    assert await whole.broken() == {check}


def test_there_is_a_damage_for_every_check() -> None:
    """A check that was never seen to fail proves nothing by its silence."""
    assert {name for name, *_ in DAMAGES} == set(CHECKS)


async def test_the_contents_are_those_of_the_store(whole: Whole) -> None:
    """`verify` says how much it went through: a store that is empty is sound, too."""
    found = await whole.store.contents()
    assert (found.runs, found.rows, found.attempts, found.answers, found.incidents) == (
        1,
        8,
        7,
        1,
        1,
    )
    assert {state: n for state, n in found.states.items() if n} == {
        State.COMPLETED: 1,
        State.FAILED: 2,
        State.EXPIRED: 1,
        State.POSTED: 1,
        State.UNKNOWN: 1,
        State.QUARANTINED: 1,
        State.PENDING: 1,
    }
    (run,) = await whole.store.runs()
    assert found.money == (await whole.store.status(run.id)).money
