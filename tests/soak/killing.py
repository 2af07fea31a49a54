"""The soak's lives: each loads more rows, posts, collects, and is killed at a random moment."""

import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from runner.errors import Exit
from runner.money import exact
from tests.soak.api import REPLY_DELAY_S, Api, simulated
from tests.support.lives import KILLED, Books, Home, books

TARGETS: Final = {
    "claude": "claude-sonnet-4-0",
    "gemini": "gemini-2.5-flash",
}
_LONGEST_LIFE_S: Final = 4.0
_FIRST_DEATH_S: Final = 0.15
_LOOK_S: Final = 0.03
_ENDS: Final = {KILLED, Exit.DONE, Exit.NOT_FINISHED, Exit.TRY_LATER}
"""How a life may end while not all of the rows were there yet."""

_A_START: Final = "5m"
"""How long each of the last starts waits: then the log of calls is emptied, and it goes on."""

_OVER_72_H_S: Final = 80 * 3600
TIMINGS: Final = (("RUNNER_SETTLE_SECONDS", "2"), ("RUNNER_POST_TIMEOUT_SECONDS", "2"))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked of a soak."""

    kills: int
    seed: int
    tasks: int
    faults: bool
    listing: bool
    minutes: float
    workers: int = 0
    """So many at once on one server; 0: one `run` after the other, on a file."""

    @property
    def rows(self) -> int:
        """Rows of the input; each is asked of every target."""
        return max(1, self.tasks // len(TARGETS))


@dataclass(slots=True)
class Toll:
    """What it has cost so far."""

    kills: int = 0
    deaths_while_posting: int = 0
    """Of these, so many left a post of which nobody knew what had become."""
    ended_by_themselves: int = 0
    last_exit: int = 3
    last_said: str = ""


def say(text: str) -> None:
    """A line for whoever watches."""
    print(text, file=sys.stderr, flush=True)


async def soak(plan: Plan, folder: Path) -> int:
    """Kill, settle, compare; prints what came of it and returns the exit code."""
    began = time.monotonic()
    toll = Toll()
    write_job(folder)
    async with simulated(folder, seed=plan.seed, faults=plan.faults, listing=plan.listing) as api:
        home = Home(folder=folder, url=api.url, variables=TIMINGS)
        try:
            async with asyncio.timeout(plan.minutes * 60):
                await _kill_and_kill_again(plan, home, api, toll)
                await _let_it_end(plan, home, api, toll)
        except TimeoutError:
            say(f"soak: not over after {plan.minutes:g} minutes")
            toll.last_exit = 3
        found = await books(home, await api.tasks())
    return report(plan, toll, found, time.monotonic() - began)


def write_job(folder: Path) -> None:
    """The job ``soak``."""
    text = 'name = "soak"\n[input]\nfile = "soak.csv"\n[prompt]\ncolumn = "question"\n'
    for provider, model in TARGETS.items():
        text += f'[[targets]]\nprovider = "{provider}"\nmodel = "{model}"\n'
    (folder / "soak.toml").write_text(text, encoding="utf-8")


def write_rows(folder: Path, rows: int) -> None:
    """Its input, as far as it goes so far."""
    lines = "".join(f"What is known about number {n}?\n" for n in range(1, rows + 1))
    (folder / "soak.csv").write_text("question\n" + lines, encoding="utf-8")


async def _a_moment(random: Random, api: Api, life: int) -> None:
    """Any moment of a life, from its imports on; every other time one while a post is under way."""
    if life % 2:
        await asyncio.sleep(random.uniform(_FIRST_DEATH_S, _LONGEST_LIFE_S))
        return
    taken = (await api.ledger())["created"]
    until = time.monotonic() + _LONGEST_LIFE_S
    while time.monotonic() < until:
        if (await api.ledger())["created"] > taken:
            await asyncio.sleep(random.uniform(0.0, REPLY_DELAY_S))
            return
        await asyncio.sleep(_LOOK_S)


async def _kill_and_kill_again(plan: Plan, home: Home, api: Api, toll: Toll) -> None:
    random = Random(plan.seed)
    while toll.kills < plan.kills:
        # The file grows with every life, so that there is something to load and post until the end.
        write_rows(home.folder, max(1, plan.rows * (toll.kills + 1) // max(1, plan.kills)))
        home.forget_calls()
        process = await home.begin("run", "soak.toml")
        talking = asyncio.create_task(process.communicate())
        moment = asyncio.create_task(_a_moment(random, api, toll.kills))
        try:
            await asyncio.wait({talking, moment}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if process.returncode is None:
                process.kill()
            moment.cancel()
        said, _ = await talking
        if process.returncode not in _ENDS:
            raise RuntimeError(f"a life ended with {process.returncode}: {said.decode()}")
        if process.returncode == KILLED:
            toll.kills += 1
            (posting,) = home.rows("SELECT count(*) FROM batches WHERE outcome IS NULL") or [(0,)]
            toll.deaths_while_posting += posting[0] > 0
        else:
            toll.ended_by_themselves += 1
        if toll.kills % 20 == 0 and process.returncode == KILLED:
            say(f"soak: {toll.kills} kills, {_in_words(home)}")


async def _let_it_end(plan: Plan, home: Home, api: Api, toll: Toll) -> None:
    write_rows(home.folder, plan.rows)
    home.forget_calls()
    if not plan.listing:
        await _until_nothing_but_doubt(plan, home)
        say(f"soak: 80 hours pass, {_in_words(home)}")
        await api.control(advance_s=_OVER_72_H_S)
        home.forget_calls()
    while toll.last_exit == Exit.NOT_FINISHED:
        toll.last_exit, toll.last_said = await home.live("run", "soak.toml", "--wait", _A_START)
        home.forget_calls()


async def _until_nothing_but_doubt(plan: Plan, home: Home) -> None:
    """Let a run go on until all tasks are answered or in doubt; no listing ever ends the doubt."""
    process = await home.begin("run", "soak.toml")
    talking = asyncio.create_task(process.communicate())
    try:
        while not talking.done():
            states = home.states()
            settled = states["completed"] + states["unknown"] + states["quarantined"]
            noted = home.rows(
                "SELECT count(*) FROM batches b WHERE seen_api_at IS NULL AND EXISTS (SELECT 1"
                " FROM attempts a WHERE a.batch_id = b.id AND a.state = 'unknown')"
            )
            if settled == plan.rows * len(TARGETS) and noted == [(0,)]:
                break
            await asyncio.sleep(1)
    finally:
        if process.returncode is None:
            process.kill()
        await talking


def _in_words(home: Home) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(home.states().items()))


def report(plan: Plan, toll: Toll, found: Books, took_s: float) -> int:
    """Print what came of it; the exit code that follows."""
    tasks = plan.rows * len(TARGETS)
    held = found.states["quarantined"]
    lost = tasks - found.states["completed"] - held
    lines = {
        "seed": plan.seed,
        "faults": "on" if plan.faults else "none",
        "listing": "on" if plan.listing else "off",
        "took": f"{took_s:.0f} s",
        "kills": toll.kills,
        "while posting": toll.deaths_while_posting,
        "tasks": tasks,
        "completed": found.states["completed"],
        "created": found.created,
        "paid twice": found.paid_twice,
        "lost": lost,
        "quarantined": held,
        "at risk": f"${exact(found.at_risk)}",
        "charged": f"${exact(found.charged)}",
        "ledger": f"${exact(found.billed)}",
        "verify": "; ".join(found.breaches) or "ok",
        "last exit": toll.last_exit,
    }
    print("\n".join(f"{name:<14} {text}" for name, text in lines.items()), flush=True)
    for reason, count in found.quarantined_why.items():
        say(f"soak: {count} quarantined, reason {reason or '(72 h without a listing)'}")
    if toll.last_exit == 3:
        return 3
    kept = found.paid_twice == 0 and lost == 0 and not found.breaches
    if plan.listing:
        kept &= held == 0 and toll.last_exit == 0 and found.charged == found.billed
    else:
        # `run` must say it by its exit code, and no doubt goes without its money.
        kept &= toll.last_exit == (1 if held else 0) and (found.at_risk > 0) == (held > 0)
    if not kept:
        say(f"soak: a promise was broken\n{toll.last_said}")
    return 0 if kept else 1
