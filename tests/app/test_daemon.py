"""The engine as a daemon: it takes up what is loaded, and ends when it is told to."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from runner.app import Limits, RunOptions, Step, Watch, Working, WorkSummary, load_job, work
from runner.errors import Exit, RunnerError
from runner.jobfile import Job
from runner.lifecycle import State
from runner.store.workers import ALL_ROLES, Role
from tests.app.place import AN_HOUR, Place, placed
from tests.support.jobs import write_prompts
from tests.support.waiting import until


class Heard:
    """What the daemon told."""

    def __init__(self) -> None:
        self.ready = 0
        self.last: Working | None = None
        self.warnings: list[RunnerError] = []

    def note_ready(self) -> None:
        self.ready += 1

    def note(self, working: Working) -> None:
        self.last = working

    def watch(self) -> Watch:
        return Watch(ready=self.note_ready, progress=self.note, warn=self.warnings.append)


async def load(place: Place, job: Job) -> None:
    await load_job(
        job,
        RunOptions(source=str(place.folder / f"{job.name}.toml")),
        settings=place.settings(),
        clock=place.clock,
        reporter=place.reporter,
        stop=place.stop,
    )


def begin(
    place: Place, heard: Heard, *, drain: bool = False, roles: frozenset[Role] = ALL_ROLES
) -> "asyncio.Task[WorkSummary]":
    step = Step(
        settings=place.settings(),
        clock=place.clock,
        reporter=place.reporter,
        stop=place.stop,
        roles=roles,
    )
    return asyncio.ensure_future(work(step, Limits(place.folder), heard.watch(), drain=drain))


async def test_what_is_loaded_while_it_works_is_posted_and_collected(tmp_path: Path) -> None:
    """One service, and people who load: nobody has to start anything."""
    async with placed(tmp_path, speed=20) as place:
        heard = Heard()
        working = begin(place, heard)
        await until(lambda: heard.ready)
        await load(place, place.job(3))
        write_prompts(place.folder / "w.csv", 2)
        await load(place, place.job(file="w.csv", name="sea"))
        await until(lambda: heard.last is not None and heard.last.ended == 5)
        assert not working.done()
        place.stop.request(Exit.TERMINATED)
        summary = await working
        assert (summary.exit, summary.working.runs) == (Exit.TERMINATED, 0)
        assert heard.ready == 1


async def test_drain_ends_with_0_when_nothing_waits(place: Place) -> None:
    """For a container that is started for a pile of work."""
    await load(place, place.job(3))
    summary = await begin(place, Heard(), drain=True)
    assert summary.exit is Exit.DONE
    assert summary.working.ended == 3


async def test_drain_with_a_spent_budget_ends_with_4(place: Place) -> None:
    """It must not wait for ever for money that nobody said it may spend."""
    await load(place, place.job(9, limits="budget_usd = 0.011"))
    summary = await begin(place, Heard(), drain=True)
    assert summary.exit is Exit.MONEY
    assert summary.working.states[State.PENDING] > 0


@pytest.mark.parametrize(
    ("role", "left"),
    [
        (Role.SUBMIT, State.POSTED),
        (Role.LIVE, State.PENDING),
        (Role.POLL, State.PENDING),
        (Role.RECONCILE, State.PENDING),
    ],
)
async def test_drain_does_not_wait_for_what_is_nobodys_role(
    place: Place, role: Role, left: State
) -> None:
    """A container that posts and never collects would else wait for answers for ever."""
    await load(place, place.job(3))
    summary = await begin(place, Heard(), drain=True, roles=frozenset({role}))
    # TRY_LATER: over so soon that the account's check had no reply yet.
    assert summary.exit in (Exit.NOT_FINISHED, Exit.TRY_LATER)
    assert summary.working.states[left] == 3


async def test_a_stop_leaves_what_is_out_for_the_next_one(tmp_path: Path) -> None:
    """SIGTERM at a deployment: nothing new is posted, nothing is lost."""
    async with placed(tmp_path, speed=20, latency=AN_HOUR) as place:
        await load(place, place.job(3))
        heard = Heard()
        working = begin(place, heard)
        await until(lambda: heard.last is not None and heard.last.states[State.POSTED] == 3)
        place.stop.request(Exit.INTERRUPTED)
        assert (await working).exit is Exit.INTERRUPTED
        assert len(place.created()) == 3


async def test_what_waits_for_a_key_that_is_not_there_is_said_once_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    """Loaded under a daemon that began without the key, it would stay pending without a word."""
    async with placed(tmp_path, speed=20) as place:
        heard = Heard()
        working = begin(place, heard)
        await until(lambda: heard.ready)
        live = '[[targets]]\nprovider = "claude"\nmodel = "claude-sonnet-4-0"\ngateway = "aisa"'
        await load(place, place.job(2, retry=f"tries = 3\n{live}"))
        await until(lambda: heard.last is not None and heard.last.ended == 2)
        await until(lambda: heard.warnings)
        place.clock.advance(timedelta(minutes=1))
        place.stop.request(Exit.TERMINATED)
        summary = await working
        assert summary.working.states[State.PENDING] == 2
        (warning,) = heard.warnings
        assert "AIsa" in warning.what
        assert "AISA_API_KEY" in str(warning.how)


async def test_a_run_without_its_job_file_is_left_alone_and_said_once(tmp_path: Path) -> None:
    """One broken file must not stop everybody else's work, nor fill the log every two seconds."""
    async with placed(tmp_path, speed=20) as place:
        await load(place, place.job(3))
        (place.folder / "sky.toml").unlink()
        write_prompts(place.folder / "w.csv", 2)
        await load(place, place.job(file="w.csv", name="sea"))
        heard = Heard()
        summary = await begin(place, heard, drain=True)
        assert summary.exit is Exit.NOT_FINISHED
        assert summary.working.states[State.PENDING] == 3
        assert summary.working.ended == 2
        assert len(heard.warnings) == 1
