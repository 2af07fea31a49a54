"""The soak of several workers: they share one store on a server while both are being killed.

runner load, a portion at a time ──▶ PostgreSQL ◀── runner work × N ──▶ the simulator
                                         ▲                ▲
            every second or so: a backend ended, or a worker killed and started again
"""

import asyncio
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from runner.errors import Exit
from runner.money import exact
from tests.soak.api import simulated
from tests.soak.killing import TARGETS, TIMINGS, Plan, say, write_job, write_rows
from tests.support.lives import Books, Home, books
from tests.support.machines import Machine, machines, terminate_a_backend
from tests.support.waiting import until
from tests.support.warm import warm

_PORTIONS: Final = 15
"""So that there is something to post all the while."""

_AS_ASKED: Final = frozenset({Exit.TERMINATED, -signal.SIGTERM})
"""How a worker ends that is told to: one that was started just before listens to nothing yet."""

_SHORTEST_S: Final = 0.6
_LONGEST_S: Final = 1.4
"""Between two deaths."""

_POSTING: Final = """
SELECT DISTINCT w.pid FROM batches b JOIN workers w ON w.id = b.worker_id
 WHERE w.ended_at IS NULL AND b.outcome IS NULL
"""
_LOOK_S: Final = 0.05
_LONGEST_LOOK_S: Final = 3.0
"""For one that posts: longer than a portion takes to load, while which nobody does."""

_POSTED_BY_TWO: Final = """
SELECT count(*)
  FROM (SELECT a.task_id FROM attempts a JOIN batches b ON b.id = a.batch_id
         WHERE a.state NOT IN ('not_taken', 'absent', 'refused')
         GROUP BY a.task_id HAVING count(DISTINCT b.worker_id) > 1) AS twice
"""
"""Tasks that more than one worker has asked, as far as is known or possible."""

_AS_OFTEN_AS_NEED_BE: Final = {"few": 1_000_000}
"""Each start makes some of the calls that a minute has only a few of; here it would wait for the
others, and a listing of so many tasks takes more of them than there are in a minute."""

_TELL: Final = 20

_POSTED: Final = "SELECT count(DISTINCT worker_id) FROM batches"


@dataclass(slots=True)
class Toll:
    """What it has cost so far."""

    kills: int = 0
    deaths_while_posting: int = 0
    backends: int = 0
    """Connections that the server ended."""
    posted: int = 0
    """Workers that have posted."""
    posted_by_two: int = 0
    over: bool = False
    """Everything came to its end in time."""
    wrong_ends: list[int] = field(default_factory=list)
    """Exit codes of workers that ended unasked, or otherwise than asked."""


async def soak_workers(plan: Plan, folder: Path) -> int:
    """Load, kill, settle, compare; prints what came of it and returns the exit code."""
    # Only here: a soak on files does without what this needs.
    from tests.support.postgres import serving

    began = time.monotonic()
    toll = Toll()
    write_job(folder)
    with serving(durable=True) as server, server.database(empty=True) as dsn:
        async with simulated(folder, seed=plan.seed, faults=plan.faults, listing=True) as api:
            with warm() as ready:
                home = Home(folder=folder, url=api.url, dsn=dsn, variables=TIMINGS, warm=ready)
                try:
                    async with asyncio.timeout(plan.minutes * 60):
                        await _work_and_die(plan, home, toll)
                except TimeoutError:
                    say(f"soak: not over after {plan.minutes:g} minutes, {_in_words(home)}")
            toll.posted = home.rows(_POSTED)[0][0]
            toll.posted_by_two = home.rows(_POSTED_BY_TWO)[0][0]
            found = await books(home, await api.tasks())
    return report(plan, toll, found, time.monotonic() - began)


async def _work_and_die(plan: Plan, home: Home, toll: Toll) -> None:
    random = Random(plan.seed)
    write_rows(home.folder, max(1, plan.rows // _PORTIONS))
    await _load(home)
    every = [Machine(home, number, _AS_OFTEN_AS_NEED_BE) for number in range(1, plan.workers + 1)]
    async with machines(*every):
        loading = asyncio.create_task(_load_the_rest(plan, home))
        try:
            while not (loading.done() and await _all_answered(plan, home)):
                await asyncio.sleep(random.uniform(_SHORTEST_S, _LONGEST_S))
                if toll.kills + toll.backends < plan.kills:
                    await _let_one_die(home, random, every, toll)
        finally:
            loading.cancel()
        await loading
        codes = [await machine.stop() for machine in every]
        toll.wrong_ends += [code for code in codes if code not in _AS_ASKED]
    toll.wrong_ends += [code for machine in every for code in machine.ended_by_itself]
    toll.over = True


async def _let_one_die(home: Home, random: Random, every: Sequence[Machine], toll: Toll) -> None:
    if random.random() < 1 / 2:
        toll.backends += terminate_a_backend(home, random)
    else:
        machine = random.choice(every)
        if random.random() < 1 / 2:
            machine = await _stopped_while_posting(home, every) or machine
        assert machine.process is not None
        pid = machine.process.pid
        await machine.kill()
        toll.kills += 1
        toll.deaths_while_posting += pid in _posting(home)
        await machine.start()
    if (toll.kills + toll.backends) % _TELL == 0:
        say(f"soak: {toll.kills} kills, {toll.backends} backends, {_in_words(home)}")


async def _stopped_while_posting(home: Home, every: Sequence[Machine]) -> Machine | None:
    """The first machine that is seen posting, held where it is; None if none is for a while."""
    until = time.monotonic() + _LONGEST_LOOK_S
    while time.monotonic() < until:
        posting = _posting(home)
        for machine in every:
            if machine.process is not None and machine.process.pid in posting:
                machine.hold()
                # By the time it is held it may have saved what became of it.
                if machine.process.pid in _posting(home):
                    return machine
                machine.let_go()
        await asyncio.sleep(_LOOK_S)
    return None


def _posting(home: Home) -> set[int]:
    """The processes that have a post under way."""
    return {pid for (pid,) in home.rows(_POSTING)}


async def _load_the_rest(plan: Plan, home: Home) -> None:
    for portion in range(2, _PORTIONS + 1):
        # Nothing is posted of a run that is being loaded.
        await until(
            lambda: not home.states()["pending"], within_s=plan.minutes * 60, step_s=_LOOK_S
        )
        write_rows(home.folder, max(1, plan.rows * portion // _PORTIONS))
        await _load(home)


async def _load(home: Home) -> None:
    code, said = await home.live("load", "soak.toml")
    if code != Exit.DONE:
        raise RuntimeError(f"loading ended with {code}: {said}")


async def _all_answered(plan: Plan, home: Home) -> bool:
    return home.states() == {"completed": plan.rows * len(TARGETS)}


def _in_words(home: Home) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(home.states().items()))


def report(plan: Plan, toll: Toll, found: Books, took_s: float) -> int:
    """Print what came of it; the exit code that follows."""
    tasks = plan.rows * len(TARGETS)
    lines = {
        "seed": plan.seed,
        "faults": "on" if plan.faults else "none",
        "workers": plan.workers,
        "took": f"{took_s:.0f} s",
        "kills": toll.kills,
        "while posting": toll.deaths_while_posting,
        "backends": toll.backends,
        "posted": f"by {toll.posted} workers",
        "tasks": tasks,
        "completed": found.states["completed"],
        "created": found.created,
        "paid twice": found.paid_twice,
        "posted by two": toll.posted_by_two,
        "lost": tasks - found.states["completed"],
        "at risk": f"${exact(found.at_risk)}",
        "charged": f"${exact(found.charged)}",
        "ledger": f"${exact(found.billed)}",
        "verify": "; ".join(found.breaches) or "ok",
        "wrong ends": ", ".join(map(str, toll.wrong_ends)) or "none",
    }
    print("\n".join(f"{name:<14} {text}" for name, text in lines.items()), flush=True)
    twice = found.paid_twice or toll.posted_by_two or found.created > tasks
    if not toll.over and not twice:
        return 3
    kept = not (twice or found.breaches or toll.wrong_ends or found.at_risk)
    kept &= found.states == {"completed": tasks} and found.charged == found.billed
    if not kept:
        say("soak: a promise was broken")
    return 0 if kept else 1
