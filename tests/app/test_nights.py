"""One run a night: what the first night left is the second night's to collect, and to say."""

import csv
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from runner.app import RunOptions
from runner.errors import Exit
from runner.lifecycle import State
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault
from runner.simulator.latency import Latency, Shape
from tests.app.place import AN_HOUR, Place, placed, states
from tests.support.jobs import write_prompts
from tests.support.waiting import until

A_WHILE = Latency(Shape.CONSTANT, 10.0)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TONIGHT = 'key = "{{date}}"'
LEAVE = RunOptions(wait_s=0)
WAIT = RunOptions(wait_s=3 * 3600)


def exported(place: Place, name: str) -> list[str]:
    """The state of each line of an export."""
    with (place.folder / "out" / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
        return [line["state"] for line in csv.DictReader(file)]


async def test_the_second_night_collects_and_writes_again_what_came_late(tmp_path: Path) -> None:
    """Answers take up to 72 hours: nobody should have to start yesterday's run by hand."""
    async with placed(tmp_path, latency=AN_HOUR) as place:
        job = place.job(3, run=TONIGHT)
        first = await place.start(job, LEAVE)
        assert (first.exit, states(first)) == (Exit.NOT_FINISHED, {State.POSTED: 3})
        assert exported(place, first.status.run.name) == ["posted"] * 3
        place.clock.advance(DAY)
        second = await place.start(job, LEAVE)
        assert second.status.run.name != first.status.run.name
        assert states(second) == {State.POSTED: 3}
        (late,) = second.others
        assert late.run.name == first.status.run.name
        assert late.states[State.COMPLETED] == 3
        assert exported(place, late.run.name) == ["completed"] * 3
        assert second.exit is Exit.NOT_FINISHED


async def test_answers_that_another_job_has_collected_are_written_by_the_next_start(
    tmp_path: Path,
) -> None:
    """They are paid for and stored; the file of their night must not say `posted` for ever."""
    async with placed(tmp_path, latency=AN_HOUR) as place:
        job = place.job(3, run=TONIGHT)
        first = await place.start(job, LEAVE)
        place.clock.advance(DAY)
        other = replace(job, name="other")
        await place.start(other, LEAVE)
        assert place.sql("SELECT count(*) FROM results") == [(3,)]
        assert exported(place, first.status.run.name) == ["posted"] * 3
        second = await place.start(job, LEAVE)
        assert [each.run.name for each in second.others] == [first.status.run.name]
        assert exported(place, first.status.run.name) == ["completed"] * 3


async def test_a_night_that_has_not_changed_is_not_written_again(tmp_path: Path) -> None:
    """Its files may have been taken away on purpose."""
    async with placed(tmp_path, latency=A_WHILE) as place:
        job = place.job(2, run=TONIGHT)
        first = await place.start(job, WAIT)
        for file in first.files:
            file.unlink()
        place.clock.advance(DAY)
        second = await place.start(job, WAIT)
        assert second.others == ()
        assert not set(first.files) & set(second.files)
        assert not any(file.exists() for file in first.files)


async def test_late_failures_count_in_the_code_of_the_night_that_hears_of_them(
    tmp_path: Path,
) -> None:
    """The night that asked had ended with 3, which mails nobody; somebody has to be told."""
    async with placed(tmp_path, latency=A_WHILE) as place:
        job = place.job(3, run=TONIGHT, retry="tries = 1")
        place.strike(Fault.TASK_FAILS, times=3)
        first = await place.start(job, LEAVE)
        assert (first.exit, states(first)) == (Exit.NOT_FINISHED, {State.POSTED: 3})
        place.clock.advance(DAY)
        second = await place.start(job, WAIT)
        assert states(second) == {State.COMPLETED: 3}
        assert second.others[0].states[State.FAILED] == 3
        assert second.exit is Exit.SOME_FAILED


async def test_what_the_first_night_did_not_post_is_shown_and_left(tmp_path: Path) -> None:
    """Yesterday's questions are yesterday's: asking them today is a person's decision."""
    async with placed(tmp_path, speed=40) as place:
        job = place.job(3, run=TONIGHT, limits="budget_usd = 0.011")
        first = await place.start(job, WAIT)
        assert first.exit is Exit.MONEY
        left = first.status.states[State.PENDING]
        assert left > 0
        place.clock.advance(DAY)
        write_prompts(place.folder / "q.csv", 1)
        second = await place.start(place.job(run=TONIGHT), WAIT)
        # Nobody hears of a start that ends with 0, 3 or 75.
        assert second.exit is Exit.SOME_FAILED
        assert [each.tasks for each in second.left_over] == [left]
        posted = len(place.created())
        key = first.status.run.key
        third = await place.start(place.job(run=TONIGHT), RunOptions(wait_s=3600, key=key))
        assert third.status.run.id == first.status.run.id
        assert len(place.created()) == posted + left
        assert (third.exit, third.left_over) == (Exit.DONE, ())


async def test_a_failure_with_tries_left_is_asked_again_by_a_later_night(tmp_path: Path) -> None:
    """Its retries are its own run's life: nobody else would ever make them."""
    async with placed(tmp_path, latency=A_WHILE) as place:
        job = place.job(4, run=TONIGHT)
        place.strike(Fault.TASK_FAILS, times=3)
        first = await place.start(job, LEAVE)
        assert states(first) == {State.POSTED: 4}
        place.clock.advance(DAY)
        second = await place.start(job, WAIT)
        (late,) = second.others
        assert late.states[State.COMPLETED] >= 1
        assert late.states[State.PENDING] == 0
        assert second.left_over == ()
        place.clock.advance(DAY)
        third = await place.start(job, WAIT)
        assert place.sql("SELECT DISTINCT state FROM tasks") == [("completed",)]
        assert third.exit is Exit.DONE


async def test_only_the_failures_of_an_earlier_night_are_asked_again(tmp_path: Path) -> None:
    """What was never posted beside them is a person's decision, and said."""
    async with placed(tmp_path, latency=A_WHILE) as place:
        place.strike(Fault.TASK_FAILS, times=1)
        first = await place.start(place.job(3, run=TONIGHT, limits="budget_usd = 0.011"), LEAVE)
        assert states(first) == {State.POSTED: 1, State.PENDING: 2}
        place.clock.advance(DAY)
        write_prompts(place.folder / "q.csv", 1)
        second = await place.start(place.job(run=TONIGHT), WAIT)
        assert second.exit is Exit.SOME_FAILED
        assert [each.tasks for each in second.left_over] == [2]
        assert len(place.created()) == 3


async def test_a_night_without_the_api_is_named_by_the_next_one(tmp_path: Path) -> None:
    """The first ends with 3 or 75, which mail nobody; the next ones must not be as silent."""
    async with placed(tmp_path, latency=A_WHILE) as place:
        place.strike(Fault.HTTP_500_BEFORE, CallKind.USER_DATA, times=100_000)
        job = place.job(3, run=TONIGHT)
        first = await place.start(job, RunOptions(wait_s=30))
        assert (first.exit, first.left_over) == (Exit.NOT_FINISHED, ())
        place.account.faults.disarm()
        place.clock.advance(DAY)
        second = await place.start(job, WAIT)
        assert states(second) == {State.COMPLETED: 3}
        assert [each.run.name for each in second.left_over] == [first.status.run.name]
        assert second.exit is Exit.SOME_FAILED


async def test_a_night_belongs_to_the_day_on_which_it_began(tmp_path: Path) -> None:
    """A start at 23:59 must not become two runs, and be paid twice, when the clock strikes."""
    async with placed(tmp_path, latency=AN_HOUR) as place:
        now = place.clock.now()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
        place.clock.advance(midnight - now - HOUR / 2)
        job = place.job(3, run=TONIGHT)
        start = place.begin(job, WAIT)
        await until(place.created)
        assert place.clock.now() < midnight
        place.clock.advance(HOUR)
        summary = await start
        assert states(summary) == {State.COMPLETED: 3}
        assert summary.status.run.key == f"{now:%Y-%m-%d}"
        assert place.sql("SELECT count(*) FROM runs") == [(1,)]
