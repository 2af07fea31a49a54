"""The line before the bucket: who goes first, who leaves it, what replies do to its speed."""

import asyncio
import random
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.pacing import Bucket, Pacer, Priority
from tests.support.clock import ManualClock
from tests.support.server_minute import MINUTE, SECOND, Server, leave


def us(clock: ManualClock) -> int:
    return round(clock.monotonic() * SECOND)


async def for_minutes(clock: ManualClock, minutes: float) -> None:
    """Let the clock's own sleepers drive it so far."""
    await clock.sleep(minutes * 60)


@asynccontextmanager
async def callers(
    pacer: Pacer, clock: ManualClock, server: Server, *, limit: int, header: str, number: int = 30
) -> AsyncIterator[None]:
    """*number* callers that always have work and hand the replies' headers to the pacer."""

    async def work(rng: random.Random) -> None:
        while True:
            await pacer.take(Priority.POST)
            left_s = clock.monotonic()
            await clock.sleep(rng.random())
            arrived_us = us(clock)
            server.receive(arrived_us)
            window_us = arrived_us % MINUTE if header == "fixed" else MINUTE
            used = bisect_right(server.arrivals, arrived_us)
            used -= bisect_left(server.arrivals, arrived_us - window_us)
            await clock.sleep(rng.random() * 0.2)
            if header != "none":
                pacer.observe(limit, limit - used, waited_s=clock.monotonic() - left_s)

    tasks = [asyncio.create_task(work(random.Random(seed))) for seed in range(number)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("header", ["sliding", "fixed", "none"])
async def test_a_run_limited_to_600_calls_uses_95_percent_of_every_minute(
    clock: ManualClock, header: str
) -> None:
    """Replies that count our own calls must not be taken for those of others."""
    server, start_us = Server(), us(clock)
    pacer = Pacer(600, clock)
    async with callers(pacer, clock, server, limit=600, header=header):
        await for_minutes(clock, 6)
    assert server.most() <= 600
    # From the second minute: at first the bucket is empty and nothing is under way.
    assert server.least(start_us + 2 * SECOND, us(clock) - SECOND) >= 570
    assert len(server.arrivals) >= 0.97 * 600 * 6 - 10


@settings(max_examples=8)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=4), st.sampled_from(["sliding", "fixed"]))
def test_a_killed_and_restarted_process_keeps_the_limit_and_its_speed(
    lives_s: list[int], header: str
) -> None:
    """A new process knows nothing of the old one's calls, which the headers still count."""

    async def live() -> None:
        clock, server = ManualClock(), Server()
        for life_s in lives_s:
            async with callers(Pacer(600, clock), clock, server, limit=600, header=header):
                await clock.sleep(life_s)
        pacer, start_us = Pacer(600, clock), us(clock)
        async with callers(pacer, clock, server, limit=600, header=header):
            await for_minutes(clock, 1.5)
        assert server.most() <= 600
        assert server.least(start_us + 2 * SECOND, us(clock) - SECOND) >= 570
        assert pacer.calls_per_minute == 600

    asyncio.run(live())


async def test_a_limit_learnt_late_is_kept_from_then_on(clock: ManualClock) -> None:
    """2,000 by default, 600 at the account: the replies say so once a burst is out."""
    server = Server()
    pacer = Pacer(2_000, clock)
    for _ in range(100):
        await pacer.take(Priority.POST)
        server.receive(us(clock))
    pacer.observe(600, None)
    learnt_us = us(clock)
    while us(clock) < learnt_us + 2 * MINUTE:
        await pacer.take(Priority.POST)
        server.receive(us(clock))
    assert server.most() <= 600
    assert pacer.calls_per_minute == 600


async def test_foreign_calls_are_left_room_and_the_rate_returns_after_them(
    clock: ManualClock,
) -> None:
    """While nothing remains the header hides how much is foreign; the first refusal uncovers it."""
    pacer, server = Pacer(600, clock), Server()

    async def work_for(minutes: int, *, foreign: int) -> list[int]:
        """Work beside so many foreign calls a minute; when the server refused us."""
        refused, end_us = [], us(clock) + minutes * MINUTE
        while us(clock) < end_us:
            await pacer.take(Priority.READY)
            remaining = 600 - foreign - server.held(us(clock))
            if remaining > 0:
                server.receive(us(clock))
                pacer.observe(600, remaining - 1)
            else:
                refused.append(us(clock))
                pacer.slow_down()
        return refused

    assert await work_for(2, foreign=0) == []
    assert pacer.calls_per_minute == 600
    refused = await work_for(12, foreign=200)
    assert 1 <= len(refused) <= 3
    assert 390 <= pacer.calls_per_minute <= 420
    assert await work_for(4, foreign=0) == []
    assert pacer.calls_per_minute == 600


async def test_the_first_in_line_is_the_most_urgent_then_the_oldest(clock: ManualClock) -> None:
    """A listing that decides about money goes before a guess that a task may be done."""
    pacer = Pacer(600, clock)
    served: list[tuple[Priority, int]] = []

    async def call(priority: Priority, number: int) -> None:
        await pacer.take(priority)
        served.append((priority, number))

    asked = [(priority, number) for number in range(3) for priority in reversed(Priority)]
    await asyncio.gather(*(call(priority, number) for priority, number in asked))
    assert served == sorted(asked)


async def test_one_who_comes_late_but_urgent_overtakes_those_who_wait() -> None:
    """The line is looked at when a call is free, not when somebody joins it."""
    clock = ManualClock(patient=True)
    pacer = Pacer(60, clock)
    served: list[str] = []

    async def call(name: str, priority: Priority) -> None:
        await pacer.take(priority)
        served.append(name)

    async def seconds_pass(seconds: int) -> None:
        for _ in range(4 * seconds):
            await clock.until_asleep()
            clock.advance(timedelta(seconds=0.25))
            for _ in range(5):
                await asyncio.sleep(0)

    guesses = [
        asyncio.create_task(call(f"guess {number}", Priority.SPECULATIVE)) for number in (1, 2, 3)
    ]
    first = asyncio.create_task(call("first listing", Priority.RECONCILE))
    await seconds_pass(3)
    assert served == ["first listing", "guess 1"]
    second = asyncio.create_task(call("second listing", Priority.RECONCILE))
    await seconds_pass(2)
    await asyncio.gather(first, second, guesses[1])
    assert served == ["first listing", "guess 1", "second listing", "guess 2"]
    guesses[2].cancel()


async def test_hundreds_may_wait_and_all_are_served_in_order(clock: ManualClock) -> None:
    """Nobody is forgotten when the one who watches for all the others leaves."""
    pacer = Pacer(2_000, clock)
    served: list[int] = []

    async def call(number: int) -> None:
        await pacer.take(Priority.POST)
        served.append(number)

    tasks = [asyncio.create_task(call(number)) for number in range(500)]
    await asyncio.sleep(0)
    assert pacer.waiting == 500
    await asyncio.gather(*tasks)
    assert served == list(range(500))
    assert pacer.waiting == 0


@pytest.mark.parametrize("cancelled", [(0,), (1,), (0, 1), (2,), (0, 1, 2, 3), (9,)])
async def test_cancelled_callers_use_no_call_and_hold_nobody_up(
    clock: ManualClock, cancelled: tuple[int, ...]
) -> None:
    """A stage that shuts down must not take budget with it, nor leave the line without a watch."""
    pacer = Pacer(600, clock)
    start_us = us(clock)
    tasks = [asyncio.create_task(pacer.take(Priority.POST)) for _ in range(10)]
    await asyncio.sleep(0)
    for number in cancelled:
        tasks[number].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    gone = [number for number, result in enumerate(results) if result is not None]
    assert gone == list(cancelled)
    calls = 10 - len(cancelled)
    assert us(clock) - start_us == Bucket(600, 0).wait_us(0) + sum(
        after - before
        for before, after in pairwise(leave(Bucket(600, 0), 0, 2 * SECOND, lambda: 0)[:calls])
    )


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(Priority)), min_size=5, max_size=40))
def test_whoever_is_cancelled_at_whatever_moment_the_others_are_served(
    plan: list[tuple[int, Priority]],
) -> None:
    """Also the one to whom the watch has just been handed, before it could wake."""

    async def live() -> None:
        clock = ManualClock()
        pacer = Pacer(600, clock)
        served: list[int] = []

        async def call(number: int, priority: Priority) -> None:
            await pacer.take(priority)
            served.append(number)

        tasks = [asyncio.create_task(call(n, priority)) for n, (_, priority) in enumerate(plan)]
        for tick in range(35):
            await asyncio.sleep(0)
            for task, (when, _) in zip(tasks, plan, strict=True):
                if when == tick:
                    task.cancel()
        async with asyncio.timeout(20):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert sorted(served) == [n for n, result in enumerate(results) if result is None]
        assert pacer.waiting == 0

    asyncio.run(live())


async def test_a_refused_call_pauses_until_the_next_minute_and_halves_the_rate() -> None:
    """40202 says: wait for the next minute; nothing was created (API.md §5)."""
    clock = ManualClock(datetime(2026, 11, 21, 2, 15, 40, tzinfo=UTC))
    pacer = Pacer(600, clock)
    await pacer.take(Priority.POST)
    pacer.slow_down()
    assert pacer.calls_per_minute == 300
    await pacer.take(Priority.POST)
    assert clock.now() >= datetime(2026, 11, 21, 2, 16, tzinfo=UTC)
    assert clock.now() < datetime(2026, 11, 21, 2, 16, 1, tzinfo=UTC)
    await for_minutes(clock, 5)
    assert pacer.calls_per_minute == 600


async def test_refusals_of_calls_under_way_together_count_once(clock: ManualClock) -> None:
    """Thirty posts refused in the same second are one lesson, not thirty halvings."""
    pacer = Pacer(600, clock)
    await clock.sleep(10)
    for _ in range(30):
        pacer.slow_down(waited_s=5)
    assert pacer.calls_per_minute == 300
    await clock.sleep(55)
    pacer.slow_down(waited_s=56)
    assert pacer.calls_per_minute > 300
    pacer.slow_down(waited_s=1)
    assert pacer.calls_per_minute < 200


async def test_refusals_within_the_pause_count_once_whoever_reports_them(
    clock: ManualClock,
) -> None:
    """While nothing leaves, a refusal can only be of a call that left before."""
    pacer = Pacer(600, clock)
    for _ in range(5):
        pacer.slow_down()
        await clock.sleep(10)
    assert pacer.calls_per_minute >= 300


async def test_a_pause_lasts_a_second_even_at_the_end_of_a_minute() -> None:
    """The server's minute hardly ends at the same instant as ours."""
    clock = ManualClock(datetime(2026, 11, 21, 2, 15, 59, 990_000, tzinfo=UTC))
    pacer = Pacer(600, clock)
    pacer.slow_down()
    await pacer.take(Priority.POST)
    assert clock.now() >= datetime(2026, 11, 21, 2, 16, 0, 990_000, tzinfo=UTC)


async def test_a_raised_limit_is_noticed_by_those_who_already_wait(clock: ManualClock) -> None:
    """A caller must not sleep out a minute that no longer applies."""
    pacer = Pacer(600, clock)
    pacer.observe(1, None)
    start_us = us(clock)
    caller = asyncio.create_task(pacer.take(Priority.POST))
    await clock.sleep(2.5)
    pacer.observe(600, None)
    await caller
    assert us(clock) - start_us <= 4 * SECOND


async def test_a_slow_reply_to_a_burst_of_ours_shows_no_foreign_use(clock: ManualClock) -> None:
    """The server counted when the call arrived; by now some of what it counted is 70 s old."""
    pacer, server = Pacer(600, clock), Server()
    await clock.sleep(200)
    for _ in range(100):
        await pacer.take(Priority.POST)
        server.receive(us(clock))
    counted = server.held(us(clock))
    await clock.sleep(57)
    pacer.observe(600, 600 - counted, waited_s=57)
    assert pacer.calls_per_minute == 600
    await clock.sleep(200)
    pacer.observe(600, 600 - counted, waited_s=300)
    assert pacer.calls_per_minute == 600


async def test_a_reply_without_headers_teaches_nothing(clock: ManualClock) -> None:
    """The headers are optional, and 0 means that none is stated (API.md §3)."""
    pacer = Pacer(600, clock)
    await clock.sleep(100)
    for limit, remaining in ((None, None), (None, 0), (0, 0), (-1, 5), (600, None)):
        pacer.observe(limit, remaining)
    assert pacer.calls_per_minute == 600


async def test_ready_results_do_not_keep_a_post_waiting_for_ever(clock: ManualClock) -> None:
    """A post carries a hundred tasks: while a thousand results went before it, none of their
    answers would even begin to come."""
    pacer = Pacer(600, clock)
    served: list[Priority] = []

    async def call(priority: Priority) -> None:
        await pacer.take(priority)
        served.append(priority)

    asked = [Priority.READY] * 40 + [Priority.POST] * 2
    await asyncio.gather(*(call(priority) for priority in asked))
    posts = [place for place, priority in enumerate(served) if priority is Priority.POST]
    assert posts == [10, 21]
