"""`runner workers`, and what `runner work --role` takes."""

from pathlib import Path

import pytest

from runner import app
from runner.errors import Exit
from runner.lifecycle import WAITING
from runner.store.sqlite.store import open_store
from runner.store.workers import BEAT, Duty, Role
from tests.cli.calling import call, call_on_terminal
from tests.support.clock import START, ManualClock


@pytest.fixture
async def two(folder: Path) -> Path:
    """A store with an engine that was killed and one that works."""
    clock = ManualClock()
    async with open_store(folder / "runner.db", clock=clock) as store:
        account = await store.bind_account(gateway="dataforseo", base_url="x", login="me")
        await store.begin_worker(now=clock.now())
        worker = await store.begin_worker(roles=[Role.POLL], now=clock.now())
        await store.hold_lease(account, Duty.READY_LIST, worker, now=clock.now())
        clock.advance(BEAT)
        await store.beat(worker, now=clock.now())
    return folder


@pytest.fixture(autouse=True)
def _soon_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is three seconds after the last heartbeat."""
    clock = ManualClock(START + BEAT + 0.3 * BEAT)
    monkeypatch.setattr("runner.cli.session.SystemClock", lambda: clock)


def test_workers_are_listed_with_what_they_do(two: Path) -> None:
    """Whoever wonders why nothing moves sees who should move it."""
    working, dead = call("workers", "--json").document["workers"]
    assert (working["id"], working["roles"], working["state"]) == (2, ["poll"], "working")
    assert (working["heartbeat_ago_s"], working["leases"]) == (3.0, ["ready_list"])
    assert (dead["id"], dead["state"], dead["leases"]) == (1, "taken for dead", [])
    assert dead["roles"] == ["submit", "live", "poll", "reconcile"]


def test_the_list_for_people_is_a_table_and_for_programs_lines_of_cells(two: Path) -> None:
    """As every listing is."""
    lines = call_on_terminal("workers").out.splitlines()
    assert lines[0].split()[:4] == ["ID", "HOST", "PID", "DOES"]
    assert "3 s ago" in lines[1]
    assert "taken for dead" in lines[2]
    cells = [line.split("\t") for line in call("workers").out.splitlines()]
    assert cells[0][0] == "id"
    assert len({len(line) for line in cells}) == 1
    assert dict(zip(*cells[:2], strict=True))["leases"] == "ready_list"


def test_before_anything_was_run_there_are_none(folder: Path) -> None:
    """A monitoring script runs before the first night."""
    assert call("workers").code is Exit.DONE
    assert call("workers", "--json").document["workers"] == []
    assert not list(folder.glob("*.db"))


@pytest.mark.parametrize(
    ("given", "roles"),
    [
        ([], set(Role)),
        (["--role", "poll"], {Role.POLL}),
        (["--role", " Submit, live"], {Role.SUBMIT, Role.LIVE}),
    ],
)
def test_a_worker_has_the_roles_that_it_is_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], roles: set[Role]
) -> None:
    """One that should only collect must not spend."""
    steps: list[app.Step] = []

    async def work(step: app.Step, *_: object, **__: object) -> app.WorkSummary:
        steps.append(step)
        working = app.Working(
            runs=0,
            states=dict.fromkeys(WAITING, 0),
            ended=0,
            oldest_posted_at=None,
            calls=0,
            calls_per_minute=1,
            now=START,
            note=None,
        )
        return app.WorkSummary(working=working, exit=Exit.DONE, reason=None, elapsed_s=0)

    monkeypatch.setattr(app, "work", work)
    assert call("work", *given).code is Exit.DONE
    assert steps[0].roles == roles


@pytest.mark.parametrize(
    ("given", "said"), [("post", "post is no role"), ("poll,", "a role is missing")]
)
def test_a_role_that_there_is_not_is_refused(folder: Path, given: str, said: str) -> None:
    """A typing mistake would leave a worker that does nothing."""
    ended = call("work", "--role", given)
    assert ended.code is Exit.WRONG_INPUT
    assert said in ended.err
    assert "submit, live, poll, reconcile" in ended.err
    assert not list(folder.glob("*.db"))
