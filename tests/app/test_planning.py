"""`plan` says before what `cost` says afterwards, and leaves nothing behind."""

from pathlib import Path

import pytest

from runner.app import Plan, RunOptions, plan_job
from runner.errors import Exit
from runner.jobfile import Job
from runner.money import NANOS_PER_DOLLAR
from tests.app.place import AN_HOUR, AT_ONCE, Place, Recorder, placed

HELD = 10_200_000


async def plan(place: Place, job: Job, **environ: str) -> Plan:
    return await plan_job(
        job,
        RunOptions(),
        samples=2,
        settings=place.settings(**environ),
        clock=place.clock,
        reporter=Recorder(),
    )


async def test_an_earlier_run_foretells_the_next_one(tmp_path: Path) -> None:
    """The reason to trust a number before spending forty dollars."""
    async with placed(tmp_path, latency=AT_ONCE) as place:
        first = await plan(place, place.job(60))
        assert first.cost is None
        assert first.to_post == 60
        assert [each.hold for each in first.targets] == [60 * HELD]
        await place.start(place.job())
        known = await place.start(place.job())
        spent = known.status.money.charged
        job = place.job([f"Another question, number {n}?" for n in range(150)])
        before = await plan(place, job)
        assert (before.to_post, before.posts, before.fetches) == (150, 2, 150)
        after = await place.start(job)
        assert after.exit is Exit.DONE
        actual = after.status.money.charged - spent
        assert before.cost is not None
        assert before.cost.low <= actual <= before.cost.high
        assert abs(actual - before.cost.expected) <= actual // 10
        # What is done is not counted again.
        over = await plan(place, job)
        assert over.to_post == 0
        assert over.cost is not None
        assert over.cost.high == 0


async def test_what_waits_is_not_counted_as_done(tmp_path: Path) -> None:
    """Its cost is still to come, and its answer may never."""
    async with placed(tmp_path, latency=AN_HOUR) as place:
        await place.start(place.job(3), RunOptions(export=False, wait_s=0))
        found = await plan(place, place.job(5))
        assert (found.done, found.waiting, found.to_post) == (0, 3, 2)


async def test_a_plan_leaves_nothing_behind_and_posts_nothing(tmp_path: Path) -> None:
    """It is asked for just because nobody wants the run yet."""
    async with placed(tmp_path, latency=AT_ONCE) as place:
        found = await plan(place, place.job(3))
        assert place.posts() == 0
        assert not (tmp_path / "runner.db").exists()
        assert [each.line for each in found.samples] == [2, 3]
        assert found.known.account is not None


async def test_without_credentials_the_balance_is_unknown_and_the_rest_is_told(
    tmp_path: Path,
) -> None:
    """A newcomer plans before there is any account."""
    async with placed(tmp_path, latency=AT_ONCE) as place:
        found = await plan(place, place.job(3), DATAFORSEO_LOGIN="", DATAFORSEO_PASSWORD="")
        assert found.known.account is None
        assert (found.known.trouble is not None, found.known.asked) == (True, False)
        assert (found.to_post, found.broken) == (3, ())


@pytest.mark.parametrize(
    ("limits", "broken"),
    [
        ("budget_usd = 1", []),
        ("budget_usd = 0.1", ["budget_usd"]),
        ("budget_usd_per_day = 0.1", ["budget_usd_per_day"]),
        ("max_hold_usd = 0.05", []),
        ("max_hold_usd = 0.005", ["max_hold_usd"]),
        ("balance_floor_usd = 1_000_000", ["balance_floor_usd"]),
    ],
)
async def test_the_limit_that_would_stop_the_run_is_named(
    tmp_path: Path, limits: str, broken: list[str]
) -> None:
    """Better now than at two in the morning; a hold only makes waves."""
    async with placed(tmp_path, latency=AT_ONCE) as place:
        found = await plan(place, place.job(20, limits=limits))
        assert [each.limit for each in found.broken] == broken


async def test_a_floor_stops_a_run_above_it_and_says_so(tmp_path: Path) -> None:
    """The balance belongs to others, too."""
    async with placed(tmp_path, latency=AT_ONCE) as place:
        account = (await plan(place, place.job(1))).known.account
        assert account is not None
        assert account.balance_nanousd is not None
        floor = (account.balance_nanousd - 5 * HELD) // NANOS_PER_DOLLAR
        job = place.job(400, limits=f"balance_floor_usd = {floor + 1}")
        ended = await place.start(job)
        assert ended.exit is Exit.MONEY
        assert ended.reason is not None
        assert "balance_floor_usd" in ended.reason.what
