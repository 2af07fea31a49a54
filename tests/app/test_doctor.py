"""What `runner doctor` finds: on real stores, against a real server, on mounts that are made up."""

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.app import RunOptions
from runner.app.caring import back_up, trust_store
from runner.app.doctor import Finding, Level, examine
from runner.app.doctor import account as account_module
from runner.app.doctor import host as host_module
from runner.app.doctor.host import file_system, look_at_disk, look_at_programs
from runner.errors import Exit
from runner.postbacks import SHORTEST_SECRET
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault
from runner.store.sqlite.store import SqliteStore, open_store
from tests.app.place import AN_HOUR, Place, placed
from tests.support.clock import ManualClock

OK, WARN, FAIL = Level.OK, Level.WARN, Level.FAIL
POST = RunOptions(export=False, wait_s=0)


async def findings(
    place: Place, *jobs: str, offline: bool = False, **environ: str
) -> list[Finding]:
    """Everything that was found."""
    found: list[Finding] = []
    settings = place.settings(**environ)
    jobs = tuple(str(place.folder / job) for job in jobs)
    await examine(settings, jobs, offline=offline, clock=place.clock, tell=found.append)
    return found


async def told(place: Place, *jobs: str, **how: Any) -> dict[str, Finding]:
    """By check, the gravest finding of each."""
    order = [OK, WARN, FAIL]
    found = sorted(await findings(place, *jobs, **how), key=lambda each: order.index(each.level))
    return {each.check: each for each in found}


@asynccontextmanager
async def inside(place: Place) -> AsyncIterator[SqliteStore]:
    """The store of *place*, as another process has it."""
    async with open_store(place.folder / "runner.db", clock=place.clock) as store:
        yield store


# --- a place that is well -------------------------------------------------------------------------


async def test_a_sound_place_has_nothing_to_do(place: Place) -> None:
    """And nothing in it is changed: no store is made where there is none."""
    found = await findings(place)
    assert {each.level for each in found} == {OK}
    assert [each.check for each in found] == [
        *("programs", "disk", "store", "account", "limit", "clock"),
    ]
    assert not (place.folder / "runner.db").exists()
    await place.start(place.job(2), POST)
    before = place.sql("SELECT name, value FROM install ORDER BY name")
    found = await findings(place, "sky.toml")
    assert {each.level for each in found} == {OK}
    assert "undamaged" in found[2].text
    assert place.sql("SELECT name, value FROM install ORDER BY name") == before


async def test_offline_nobody_is_called(place: Place) -> None:
    """On a train, or where every call is counted."""
    await place.start(place.job(2), POST)
    before = place.calls()
    found = await told(place, "sky.toml", offline=True)
    assert found.keys() == {"programs", "disk", "store", "engines", "waiting", "job"}
    assert place.calls() == before


# --- the host -------------------------------------------------------------------------------------


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    """Later mounts cover earlier ones, and a space is written in octal (proc_mounts(5))."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/a / ext4 rw 0 0\n"
        "server:/x /srv/my\\040share nfs4 rw 0 0\n"
        "/dev/b /srv/over xfs rw 0 0\n"
        "tmp /srv/over tmpfs rw 0 0\n"
        "broken\n"
    )
    assert file_system(Path("/home"), mounts) == "ext4"
    assert file_system(Path("/srv/my share/deep"), mounts) == "nfs4"
    assert file_system(Path("/srv/my shared"), mounts) == "ext4"
    assert file_system(Path("/srv/over/x"), mounts) == "tmpfs"
    assert file_system(Path("/home"), tmp_path / "nothing") is None


def test_a_store_on_a_share_is_wrong(place: Place, tmp_path: Path) -> None:
    """SQLite's write-ahead log is memory that hosts cannot share (sqlite.org/wal.html)."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/x {tmp_path.resolve()} cifs rw 0 0\n")
    (found,) = look_at_disk(place.settings(), mounts=mounts)
    assert (found.level, "cifs" in found.text) == (FAIL, True)
    mounts.write_text(f"/dev/a {tmp_path.resolve()} btrfs rw 0 0\n")
    (found,) = look_at_disk(place.settings(), mounts=mounts)
    assert found.level is OK


@pytest.mark.parametrize(
    ("free", "level"),
    [(host_module.NO_ROOM - 1, FAIL), (host_module.LITTLE_ROOM - 1, WARN), (10**10, OK)],
)
def test_a_disk_that_fills_up_is_told_before(
    place: Place, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    """Before the night, not in it."""
    real = shutil.disk_usage(place.folder)
    monkeypatch.setattr(host_module, "disk_usage", lambda _folder: real._replace(free=free))
    (found,) = look_at_disk(place.settings())
    assert found.level is level


def test_a_folder_that_cannot_be_written_is_wrong(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that was once made by root."""
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    (found,) = look_at_disk(place.settings())
    assert (found.level, str(place.folder) in found.text) == (FAIL, True)


def test_a_sqlite_that_is_too_old_is_wrong(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every start would be refused."""
    monkeypatch.setattr(host_module, "SQLITE", "3.36.0")
    (found,) = look_at_programs(place.settings())
    assert (found.level, found.how) == (FAIL, "SQLite 3.37 or newer")


# --- the store ------------------------------------------------------------------------------------


async def test_a_damaged_store_is_found_and_the_way_back_told(place: Place) -> None:
    """F27: a page that was overwritten shows here, not when its row is needed."""
    await place.start(place.job(40), POST)
    path = place.folder / "runner.db"
    data = bytearray(path.read_bytes())
    page = 4096
    for start in range(3 * page, len(data) - page, 5 * page):
        data[start : start + page] = b"\xff" * page
    path.write_bytes(data)
    found = (await told(place, offline=True))["store"]
    assert found.level is FAIL
    assert found.how is not None
    assert "Backups" in found.how


async def test_what_is_no_store_is_told(place: Place) -> None:
    """F27: another program's file, and one that was cut off at its beginning."""
    store = place.folder / "runner.db"
    store.write_bytes(b"not a database, but long enough to be one" * 40)
    assert (await told(place, offline=True))["store"].level is FAIL
    store.write_bytes(b"")
    empty = (await told(place, offline=True))["store"]
    assert (empty.level, "is empty" in empty.text) == (WARN, True)


async def test_a_store_of_an_older_version_is_only_told(place: Place) -> None:
    """The next run brings it up to date by itself."""
    await place.start(place.job(1), POST)
    async with inside(place) as store:
        await store._writer.write(
            lambda db: db.execute(
                "DELETE FROM migrations WHERE number = (SELECT max(number) FROM migrations)"
            )
        )
    found = (await told(place, offline=True))["store"]
    assert (found.level, found.how) == (
        WARN,
        "a command that writes to the store brings it up to date: runner run",
    )


async def test_a_store_that_a_run_would_refuse_is_wrong(place: Place) -> None:
    """Moved away, or copied from another host."""
    settings = {"RUNNER_HOST_ID": "here"}
    await place.start(place.job(1), POST, settings=place.settings(**settings))
    assert (await told(place, offline=True, **settings))["store"].level is OK
    elsewhere = (await told(place, offline=True, RUNNER_HOST_ID="there"))["store"]
    assert (elsewhere.level, "another host" in elsewhere.text) == (FAIL, True)
    async with inside(place) as store:
        await store.mark_moved("db.example/queue")
    moved = (await told(place, offline=True, **settings))["store"]
    assert (moved.level, "db.example/queue" in moved.text) == (FAIL, True)


async def test_a_copy_in_the_place_of_a_store_is_told(place: Place) -> None:
    """The night begins with a look through the account, and may wait long for it."""
    await place.start(place.job(1), POST)
    store, newest = place.folder / "runner.db", place.folder / "runner.db.newest"
    await back_up(place.settings(), copy := place.folder / "backup.db", force=False)
    posted = newest.read_bytes()
    shutil.copy(copy, store)
    found = [each for each in await findings(place, offline=True) if each.check == "store"]
    assert [each.level for each in found] == [OK, WARN]
    assert "a copy made by runner db backup" in found[1].text
    assert "runner db trust" in str(found[1].how)
    await trust_store(place.settings(), pay_again=True, clock=place.clock)
    assert (await told(place, offline=True))["store"].level is OK
    newest.write_bytes(posted.replace(b"1\n", b"7\n"))
    assert "an older copy" in (await told(place, offline=True))["store"].text
    newest.unlink()
    assert "it was moved or copied" in (await told(place, offline=True))["store"].text
    assert not newest.exists(), "it was only to be looked for"


async def test_a_store_that_is_gone_is_told(place: Place) -> None:
    """A new one made in its place would know nothing of what was paid."""
    await place.start(place.job(1), POST)
    for file in place.folder.glob("runner.db*"):
        if not file.name.endswith(".newest"):
            file.unlink()
    found = (await told(place, offline=True))["store"]
    assert (found.level, "has posted" in found.text) == (WARN, True)
    (place.folder / "runner.db.newest").unlink()
    assert (await told(place, offline=True))["store"].level is OK


@pytest.mark.parametrize(
    ("age", "level"),
    [
        (timedelta(hours=59), OK),
        (timedelta(hours=61), WARN),
        (timedelta(days=26), WARN),
        (timedelta(days=28), FAIL),
    ],
)
async def test_who_waits_too_long_is_told(tmp_path: Path, age: timedelta, level: Level) -> None:
    """Answers that nobody fetches are gone after thirty days."""
    async with placed(tmp_path, latency=AN_HOUR) as place:
        await place.start(place.job(3), POST)
        place.clock.advance(age)
        found = (await told(place, offline=True))["waiting"]
        assert (found.level, found.text.startswith("3 with the API")) == (level, True)


async def test_what_waits_for_a_person_is_told(place: Place) -> None:
    """Each with the command that takes it up."""
    await place.start(place.job(1), POST)
    async with inside(place) as store:
        await store.pause(job="sky", reason="budget talks", now=place.clock.now())
    found = await told(place, offline=True)
    assert (found["paused"].level, found["paused"].how) == (WARN, "runner resume sky")
    assert "budget talks" in found["paused"].text


async def test_what_a_night_has_left_over_is_told(place: Place) -> None:
    """No later start posts it, and who works with `load` and `work` alone hears of it here."""
    await place.start(place.job(2, run='key = "{{date}}"', limits="budget_usd = 0.001"), POST)
    assert "left_over" not in await told(place, offline=True)
    place.clock.advance(timedelta(days=1))
    (place.folder / "q.csv").write_text("prompt\nwhy?\n")
    await place.start(place.job(run='key = "{{date}}"'), RunOptions(export=False, wait_s=3600))
    found = (await told(place, offline=True))["left_over"]
    assert (found.level, found.how) == (WARN, "runner status sky")
    assert found.text.startswith("2 of sky@")


# --- the account ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({"DATAFORSEO_LOGIN": ""}, Exit.CREDENTIALS),
        ({"DATAFORSEO_BASE_URL": "http://127.0.0.1:9"}, Exit.TRY_LATER),
    ],
)
async def test_what_keeps_us_out_decides_the_code(
    place: Place, environ: dict[str, str], code: Exit
) -> None:
    """Cron tells a wrong password from a line that is down."""
    found = (await told(place, **environ))["account"]
    assert (found.level, found.exit) == (FAIL, code)


async def test_a_login_that_is_refused_is_told(place: Place) -> None:
    """After a password was changed at the API."""
    place.strike(Fault.UNAUTHORIZED, CallKind.USER_DATA)
    found = (await told(place))["account"]
    assert (found.level, found.exit) == (FAIL, Exit.CREDENTIALS)


async def test_an_api_that_is_silent_is_not_waited_for_long(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person who asks sits in front of it."""
    monkeypatch.setattr(account_module, "PATIENCE_S", 0.3)
    place.strike(Fault.STALL_BEFORE, CallKind.USER_DATA)
    found = (await told(place))["account"]
    assert (found.level, found.exit) == (FAIL, Exit.TRY_LATER)


@pytest.mark.parametrize(
    ("cents", "level", "words"),
    [(0, FAIL, "nothing can be posted"), (2, WARN, "3 queued tasks"), (4, OK, "login accepted")],
)
async def test_a_balance_that_does_not_reach_is_told(
    tmp_path: Path, cents: int, level: Level, words: str
) -> None:
    """A queue that stops half way is a night half lost."""
    async with placed(tmp_path, balance=cents * 10_000_000) as place:
        await place.start(place.job(3), RunOptions(export=False, wait_s=0, given_budget=0))
        found = (await told(place))["account"]
        assert (found.level, words in found.text) == (level, True)


@pytest.mark.parametrize(
    ("ahead_s", "words"),
    [(90, "s ahead of"), (-90, "s behind"), (3, "agrees with")],
)
async def test_a_clock_that_is_off_is_told(tmp_path: Path, ahead_s: float, words: str) -> None:
    """Its dates stand in every export."""
    async with placed(tmp_path, speed=1) as place:
        ours = ManualClock(place.clock.now() + timedelta(seconds=ahead_s))
        found: list[Finding] = []
        settings = place.settings()
        await examine(settings, (), offline=False, clock=ours, tell=found.append)
    (clock,) = [each for each in found if each.check == "clock"]
    assert words in clock.text
    # Ours stands still; theirs goes on meanwhile.
    for told_s in re.findall(r"(\d+) s ", clock.text):
        assert int(told_s) == pytest.approx(90, abs=20)


async def test_each_account_has_its_own_line(place: Place) -> None:
    """One of them may be out of money."""
    (place.folder / "runner.toml").write_text("[accounts.brand]\n[accounts.agency]\n")
    found = await findings(
        place,
        DATAFORSEO_LOGIN="",
        DATAFORSEO_PASSWORD="",
        DATAFORSEO_LOGIN_BRAND="brand",
        DATAFORSEO_PASSWORD_BRAND="secret",
    )
    accounts = [each for each in found if each.check == "account"]
    assert [(each.level, each.text.partition(":")[0]) for each in accounts] == [
        (OK, "brand"),
        (FAIL, "agency"),
    ]


async def test_a_key_of_aisa_is_only_looked_at(place: Place) -> None:
    """There is no free call to try it with."""
    assert (await told(place, AISA_API_KEY="sk-aisa-1"))["aisa"].level is OK
    assert (await told(place, AISA_API_KEY="sk aisa 1"))["aisa"].level is FAIL
    assert "aisa" not in await told(place)


# --- postbacks and jobs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "level"),
    [("http://127.0.0.1:9", WARN), ("http://runner.invalid", FAIL), ("{api}", FAIL)],
)
async def test_the_way_of_the_postbacks_is_gone_once(place: Place, url: str, level: Level) -> None:
    """Nobody there now, no such host, and the API's own address, which is none of ours."""
    found = await told(
        place,
        RUNNER_PUBLIC_URL=url.format(api=place.url),
        RUNNER_SECRET="s" * SHORTEST_SECRET,
    )
    assert found["postbacks"].level is level


async def test_a_job_is_looked_at_as_the_night_would(place: Place) -> None:
    """Its file, its rows, its limits; nothing of it is kept."""
    place.job(3)
    fine = (await told(place, "sky.toml"))["job"]
    assert (fine.level, "3 to post" in fine.text) == (OK, True)
    text = (place.folder / "sky.toml").read_text()
    (place.folder / "sky.toml").write_text(f"{text}\n[limits]\nbudget_usd = 0.005\n")
    short = (await told(place, "sky.toml"))["job"]
    assert (short.level, short.how) == (WARN, f"runner plan {place.folder}/sky.toml")
    (place.folder / "q.csv").write_text("prompt\nwhy?\n\x00\n")
    bad = (await told(place, "sky.toml"))["job"]
    assert (bad.level, bad.how) == (FAIL, f"runner check {place.folder}/sky.toml")
    none = (await told(place, "nowhere.toml"))["job"]
    assert none.level is FAIL
    assert not (place.folder / "runner.db").exists()


async def test_a_job_that_needs_aisa_needs_its_key(place: Place) -> None:
    """Its run would end with 5 before anything is sent."""
    place.job(3)
    (place.folder / "sky.toml").write_text(
        'name = "sky"\n[input]\nfile = "q.csv"\n[[targets]]\nprovider = "claude"\n'
        'model = "claude-sonnet-4-5"\nmethod = "live"\ngateway = "aisa"\n'
    )
    found = (await told(place, "sky.toml", AISA_BASE_URL=f"{place.url}/aisa"))["job"]
    assert (found.level, found.exit) == (FAIL, Exit.CREDENTIALS)
