"""What holds the stages together: waits that end with the engine, errors that come out plain."""

import asyncio
from datetime import timedelta

import pytest

from runner.errors import CredentialsRefused, Exit, RunnerError, StoreBroken, TryLater
from runner.pacing import Pacer, Priority
from runner.pipeline.engine import Shortage, Signals, plain
from runner.store.values import Idle
from tests.pipeline.scene import Scene
from tests.support.clock import ManualClock


async def test_a_rest_ends_when_the_engine_is_asked_to_stop(scene: Scene) -> None:
    """Ctrl-C during a ten-minute wait must not take ten minutes."""
    clock = ManualClock(patient=True)
    engine = type(scene.engine)(
        store=scene.store,
        api=scene.engine.api,
        pacer=Pacer(1, clock),
        clock=clock,
        random=scene.engine.random,
        account=1,
        worker=1,
        post_timeout=timedelta(seconds=1),
    )
    async with asyncio.TaskGroup() as group:
        rest = group.create_task(engine.rest(600))
        token = group.create_task(engine.call_token(Priority.POST))
        await clock.until_asleep(2)
        engine.signals.stop()
    assert rest.done()
    assert token.result() is False
    assert engine.signals.calls == 0
    assert await engine.call_token(Priority.POST) is False


async def test_an_error_of_what_may_be_broken_off_comes_out_as_it_is(scene: Scene) -> None:
    """The command line shows the plain error; a group of one would pass for a bug."""

    async def fail() -> None:
        raise StoreBroken("the store was replaced")

    with pytest.raises(StoreBroken):
        await scene.engine.unless_stopped(fail)


async def test_a_stage_that_fails_stops_the_engine_and_the_first_error_counts(
    scene: Scene,
) -> None:
    """What fails afterwards mostly fails because of it."""

    async def fail(error: Exception) -> None:
        raise error

    await scene.engine.guarded(lambda: fail(LookupError("first")))
    await scene.engine.guarded(lambda: fail(StoreBroken("second")))
    assert scene.engine.signals.stopping.is_set()
    assert isinstance(scene.engine.signals.broken, LookupError)


def test_of_many_errors_the_one_that_matters_comes_out() -> None:
    """A bug goes before everything; of what a person can mend, the gravest exit code."""
    later, login = TryLater("later"), CredentialsRefused("login")
    bug = LookupError("a bug of ours")
    assert plain(login) is login
    assert plain(ExceptionGroup("", [later, ExceptionGroup("", [login])])) is login
    assert plain(ExceptionGroup("", [login, ExceptionGroup("", [bug])])) is bug
    assert RunnerError("x").exit_code is Exit.BUG


def test_room_for_money_is_looked_for_again_after_each_booking() -> None:
    """Otherwise a budget that answers have freed would stay unused until the next start."""
    signals = Signals()
    assert signals.room(1)
    signals.shortages[1] = Shortage(Idle.BUDGET, signals.bookings)
    assert not signals.room(1)
    signals.bookings += 1
    assert signals.room(1)


def test_a_run_without_room_keeps_no_other_from_posting() -> None:
    """Each run has its own budget; one that is spent must not hold the rest of the night."""
    signals = Signals()
    signals.shortages[1] = Shortage(Idle.BUDGET, signals.bookings)
    assert signals.room(2)
    assert (signals.no_room(1), signals.no_room(2)) == (Idle.BUDGET, None)
