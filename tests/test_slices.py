"""One limit for many hosts: never broken, used to the full, shared evenly, and told to all at once.

host ── Pacer ── Slices ── a network ──▶ the row (``grant``)
  └── call ── up to 1 s ──▶ Server: how many in any 60 s?
"""

import asyncio
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.pacing import Ask, Pacer, Priority, Slice, Slices
from runner.pacing.shared import AHEAD_US, LATE_US
from tests.support.server_minute import MINUTE, SECOND, Server
from tests.support.shared_row import Host, Row, bunching, world

HOSTS = st.lists(
    st.tuples(
        st.floats(-600, 600),  # its clocks are so far ahead
        st.integers(1, 30),  # callers
        st.sampled_from([0.0, 0.0, 0.7, 5.0]),  # and their rests
        st.lists(st.floats(0.0, 50.0), max_size=3),  # its lives, in seconds
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=20)
@given(
    limit=st.one_of(st.integers(1, 30), st.sampled_from([75, 149, 150, 300])),
    hosts=HOSTS,
    slow_s=st.sampled_from([0.002, 0.05, 0.3]),
    seed=st.integers(0, 999),
)
def test_no_sliding_minute_at_the_server_exceeds_the_limit_of_all_hosts(
    limit: int, hosts: list[tuple[float, int, float, list[float]]], slow_s: float, seed: int
) -> None:
    """DESIGN.md §8, whatever the number of hosts, their clocks, deaths and starts, a slow store and
    a network that is a second late at times."""

    async def live() -> int:
        rng, server = Random(seed), Server()
        async with world() as clock:
            row = Row(clock, lambda: rng.random() * slow_s)
            jitter_us = bunching(rng) if seed % 2 else lambda _us: rng.randint(0, SECOND)

            async def lives(number: int) -> None:
                ahead_s, callers, rest_s, lives_s = hosts[number]
                for life, life_s in enumerate([*lives_s, 130.0]):
                    host = Host(
                        f"{number}.{life}",
                        row,
                        server,
                        clock,
                        limit=limit,
                        ahead_s=ahead_s,
                        jitter_us=jitter_us,
                    )
                    host.work(callers, rest_s=rest_s)
                    await clock.sleep(life_s)
                    await host.die()

            lived = [asyncio.create_task(lives(number)) for number in range(len(hosts))]
            await clock.sleep(130.0)
            del lived
        return server.most()

    assert asyncio.run(live()) <= limit


@pytest.mark.parametrize("limit", [20, 75, 600, 2_000])
async def test_four_busy_hosts_use_all_of_the_limit_and_share_it_evenly(limit: int) -> None:
    """Each asks once or twice a second, however many calls it makes; no two clocks agree."""
    server, seconds = Server(), 60.0 * (2 if limit >= 600 else 20)
    async with world() as clock:
        row = Row(clock)
        hosts = [
            Host(f"h{n}", row, server, clock, limit=limit, ahead_s=300.0 * n) for n in range(4)
        ]
        for host in hosts:
            host.work(40)
        await clock.sleep(seconds)
        calls = [len(host.left) for host in hosts]
    assert 0.96 * limit * seconds / 60 <= sum(calls) <= limit * seconds / 60
    assert server.most() <= limit
    assert max(calls) - min(calls) <= 2 + limit // 30
    assert all(asks <= 2.1 * seconds for asks in row.asks.values())


async def test_a_host_with_nothing_to_do_takes_nothing() -> None:
    """What it took would be lost to the others."""
    async with world() as clock:
        row, server = Row(clock), Server()
        idle = Host("idle", row, server, clock, limit=600)
        busy = Host("busy", row, server, clock, limit=600)
        busy.work(20)
        idle.work(1, rest_s=1e6)
        await clock.sleep(120.0)
    assert row.asks["idle"] == len(idle.left) == 1
    assert len(busy.left) >= 0.96 * 600 * 2


async def test_a_post_of_one_host_is_not_starved_by_the_guesses_of_others() -> None:
    """Every host has its part, whatever the others want their calls for."""
    async with world() as clock:
        row, server = Row(clock), Server()
        poster = Host("poster", row, server, clock, limit=600)
        for n in range(4):
            Host(f"guesser {n}", row, server, clock, limit=600).work(50)
        await clock.sleep(10.0)
        poster.work(1, rest_s=1.0)
        await clock.sleep(60.0)
    # A post takes a second, and waits for its call about another one.
    assert len(poster.left) >= 25


async def test_a_host_that_died_holds_nobody_back() -> None:
    """Its part falls to the others within seconds."""
    async with world() as clock:
        row, server = Row(clock), Server()
        dead, alive = (Host(name, row, server, clock, limit=600) for name in ("dead", "alive"))
        dead.work(50)
        alive.work(50)
        await clock.sleep(10.0)
        await dead.die()
        before = len(alive.left)
        await clock.sleep(60.0)
    assert len(alive.left) - before >= 0.97 * 580


async def test_a_host_that_leaves_makes_room_at_once() -> None:
    """Who has ended cleanly is not waited for."""
    async with world() as clock:
        row, server = Row(clock), Server()
        gone, other = (Host(name, row, server, clock, limit=600) for name in ("gone", "other"))
        gone.work(50)
        other.work(50)
        await clock.sleep(10.0)
        await gone.die()
        await gone.slices.close()
        assert row.row is not None
        assert row.row.hosts["gone"].waiting == 0


async def test_a_refused_call_stops_and_slows_all_hosts() -> None:
    """F51: a 40202 at one: the others hear within a second, and all wait for the next minute."""
    async with world() as clock:
        row, server = Row(clock), Server()
        hosts = [Host(f"h{n}", row, server, clock, limit=600) for n in range(3)]
        for host in hosts:
            host.work(30)
        await clock.sleep(10.0)
        refused_s = clock.monotonic()
        # Two calls that were under way together, at two hosts.
        hosts[0].pacer.slow_down(waited_s=0.2)
        await clock.sleep(0.1)
        hosts[1].pacer.slow_down(waited_s=0.3)
        await clock.sleep(130.0)
        assert row.row is not None
        assert row.row.held_until_us % MINUTE == 0
        held_s = row.row.held_until_us / SECOND - 1_000_000
        rate = row.row.per_minute
    assert 0 < held_s - refused_s <= 61
    late = [s for host in hosts for s in host.left if refused_s + 1.5 < s < held_s]
    assert late == []
    after = [s for host in hosts for s in host.left if held_s + 5 < s <= held_s + 35]
    assert 120 <= len(after) <= 220
    assert 300 < rate < 600


async def test_a_refusal_is_told_although_nobody_waits_there_any_more() -> None:
    """Else the others went on at full speed until that host had something to do again."""
    async with world() as clock:
        row, server = Row(clock), Server()
        host = Host("h", row, server, clock, limit=600)
        host.work(1, rest_s=1e6)
        await clock.sleep(5.0)
        host.pacer.slow_down()
        await clock.sleep(1.0)
        assert row.row is not None
        assert row.row.per_minute == 300
        assert host.pacer.calls_per_minute == 300


async def test_a_limit_that_one_host_learns_holds_for_all_from_then_on() -> None:
    """2,000 by default, 600 at the account: what has left too fast is waited out by all of them."""
    async with world() as clock:
        row, server = Row(clock), Server()
        hosts = [Host(f"h{n}", row, server, clock, limit=2_000) for n in range(3)]
        for host in hosts:
            host.work(60)
        await clock.sleep(5.0)
        hosts[0].pacer.observe(600, None)
        # The others use up what they were given before.
        await clock.sleep(2.5)
        told_us = round(clock.monotonic() * SECOND)
        await clock.sleep(150.0)
        assert row.row is not None
        assert row.row.ceiling == row.row.per_minute == 600
    later = [us for us in server.arrivals if us > told_us]
    assert max(map(server.held, later)) <= 600
    assert len(later) >= 0.9 * 600 * 1.5


async def test_the_lowest_setting_of_the_hosts_there_are_counts() -> None:
    """Who was told to leave room on the account is not overruled by a host that was not; and a
    host that is gone for a minute says nothing any more."""
    async with world() as clock:
        row, server = Row(clock), Server()
        fast = Host("fast", row, server, clock, limit=600)
        slow = Host("slow", row, server, clock, limit=60)
        fast.work(20)
        await clock.sleep(5.0)
        slow.work(20)
        await clock.sleep(70.0)
        assert row.row is not None
        assert row.row.per_minute == 60
        assert server.held(round(clock.monotonic() * SECOND)) <= 60
        await slow.die()
        await clock.sleep(70.0)
        assert row.row.per_minute == 600


async def test_calls_of_other_hosts_are_not_taken_for_foreign_ones_and_foreign_ones_are() -> None:
    """Remaining counts the calls of all hosts, whose sum only the store knows."""
    async with world() as clock:
        row, server, foreign = Row(clock), Server(), 0
        refusals: set[int | None] = set()
        hosts = [Host(f"h{n}", row, server, clock, limit=600) for n in range(3)]
        for host in hosts:
            host.work(30)

        async def hear(seconds: int) -> None:
            """Each host reads a reply every second."""
            for _ in range(seconds):
                await clock.sleep(1.0)
                left = 600 - foreign - server.held(round(clock.monotonic() * SECOND))
                for host in hosts:
                    if left > 0:
                        host.pacer.observe(600, left, waited_s=0.1)
                    else:
                        # Only now the replies begin to show how much is foreign.
                        host.pacer.slow_down(waited_s=0.1)
                refusals.add(row.row.slowed_at_us if row.row else None)

        await hear(100)
        assert row.row is not None
        assert row.row.per_minute >= 580
        foreign = 200
        await hear(600)
        assert 300 <= row.row.per_minute <= 450
    assert 1 <= len(refusals - {None}) <= 4


async def test_nothing_leaves_while_the_store_is_away_and_all_goes_on_after() -> None:
    """Without the store nobody knows what the other hosts do (FAULTS.md 32)."""
    async with world() as clock:
        row, server = Row(clock), Server()
        host = Host("h", row, server, clock, limit=600)
        host.work(30)
        await clock.sleep(10.0)
        row.away = True
        await clock.sleep(0.1 + (AHEAD_US + LATE_US) / SECOND)
        before = len(host.left)
        await clock.sleep(30.0)
        assert len(host.left) == before
        row.away = False
        await clock.sleep(10.0)
    assert len(host.left) >= before + 80


async def test_what_was_learnt_while_the_store_was_away_is_told_later() -> None:
    """A refusal in that time is a refusal all the same."""
    async with world() as clock:
        row, server = Row(clock), Server()
        host = Host("h", row, server, clock, limit=600)
        host.work(30)
        await clock.sleep(5.0)
        row.away = True
        host.pacer.slow_down()
        await clock.sleep(5.0)
        row.away = False
        await clock.sleep(3.0)
        assert row.row is not None
        assert row.row.slowed_at_us is not None
        assert row.row.per_minute < 400


async def test_calls_of_a_reply_that_took_too_long_are_lost() -> None:
    """They would leave when nobody counts on it any more: better none than too many."""
    async with world() as clock:
        row, server = Row(clock, lambda: (LATE_US + AHEAD_US) / 2 / SECOND), Server()
        host = Host("h", row, server, clock, limit=600)
        host.work(30)
        await clock.sleep(20.0)
        assert host.left == []
        assert row.row is not None
        assert row.row.granted > 0


async def test_a_cancelled_caller_costs_the_others_a_second_at_most() -> None:
    """A stage that is stopped while its process asks for calls."""
    async with world() as clock:
        row, server = Row(clock, lambda: 0.02), Server()
        host = Host("h", row, server, clock, limit=600)
        caller = asyncio.create_task(host.pacer.take(Priority.POST))
        host.work(5)
        await clock.sleep(0.01)
        caller.cancel()
        await clock.sleep(5.0)
        assert len(host.left) >= 20


async def test_a_bug_is_not_swallowed_where_a_refusal_is_told() -> None:
    """That is done in the background, where an error could get lost."""

    asks = []

    async def broken_at_first(ask: Ask) -> Slice | None:
        asks.append(ask)
        if len(asks) == 1:
            raise ZeroDivisionError
        return None

    async with world() as clock:
        slices = Slices(600, clock, host="h", ask=broken_at_first)
        slices.slow_down(0)
        await clock.sleep(2.0)
        with pytest.raises(ZeroDivisionError):
            await Pacer(600, clock, allowance=slices).take(Priority.POST)
