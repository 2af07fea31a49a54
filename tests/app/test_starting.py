"""Which run a start belongs to; --fresh, --pay-again, --run; retry."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from runner.api.wire import Model
from runner.app import RunOptions, retry_run
from runner.app.starting import ASSUME_EXPENSIVE, ceiling_of, reserve_of
from runner.errors import Exit, WrongInput
from runner.jobfile import load_job
from runner.lifecycle import State
from runner.money import ADVANCE, BASE_PRICE_STANDARD, NANOS_PER_DOLLAR
from runner.simulator.faults import Fault
from runner.store.values import RetryFilter
from runner.task import Endpoint, Provider, Target
from tests.app.place import AN_HOUR, Place, placed, states

DAY = timedelta(days=1)
QUICK = RunOptions(export=False, wait_s=3600)
LEAVE = RunOptions(export=False, wait_s=0)


async def test_a_job_without_a_key_has_one_continuing_run(place: Place) -> None:
    """Passing midnight must not make anybody pay again."""
    await place.start(place.job(1))
    place.clock.advance(DAY)
    summary = await place.start(place.job(2))
    assert summary.status.run.name == "sky"
    assert len(place.created()) == 2


async def test_a_job_with_a_date_has_one_run_a_day(place: Place) -> None:
    """Nightly tracking asks the same questions every day, on purpose."""
    job = place.job(1, run='key = "{{date}}"')
    names = []
    for _ in range(2):
        names.append((await place.start(job)).status.run.name)
        place.clock.advance(DAY)
    assert names == ["sky@2026-11-21", "sky@2026-11-22"]
    assert len(place.created()) == 2


async def test_fresh_on_a_finished_run_starts_a_new_one_that_is_then_continued(
    place: Place,
) -> None:
    """It asks, and pays for, everything anew, because somebody said so."""
    job = place.job(2)
    await place.start(job)
    summary = await place.start(job, RunOptions(export=False, wait_s=3600, fresh=True))
    assert (summary.status.run.name, summary.exit) == ("sky~1", Exit.DONE)
    assert len(place.created()) == 4
    again = await place.start(job)
    assert (again.status.run.name, again.calls) == ("sky~1", 0)


async def test_fresh_on_a_job_that_never_ran_is_a_plain_start(place: Place) -> None:
    """A script that always says --fresh must work the first time."""
    summary = await place.start(place.job(1), RunOptions(export=False, wait_s=3600, fresh=True))
    assert summary.status.run.name == "sky"


async def test_fresh_on_an_unfinished_run_is_refused_and_names_the_way_on(tmp_path: Path) -> None:
    """Its questions are asked already; asking anew pays twice for what is on its way."""
    async with placed(tmp_path, latency=AN_HOUR) as place:
        job = place.job(2)
        await place.start(job, LEAVE)
        with pytest.raises(WrongInput) as caught:
            await place.start(job, RunOptions(export=False, wait_s=0, fresh=True))
        assert caught.value.how == "runner run sky   (--pay-again insists on a new one)"
        assert len(place.created()) == 2
        insisted = RunOptions(export=False, wait_s=0, fresh=True, pay_again=True)
        await place.start(job, insisted)
        assert len(place.created()) == 4


async def test_a_run_that_is_not_there_is_refused(place: Place) -> None:
    """`--run 2026-11-12`, with two digits swapped."""
    with pytest.raises(WrongInput):
        await place.start(place.job(1), RunOptions(export=False, key="2026-11-12"))
    assert place.calls() == 0


async def test_a_target_that_moved_to_another_api_is_refused_before_any_row(place: Place) -> None:
    """Half its answers would be Claude's and half Gemini's, under one name."""
    job = place.job(1)
    await place.start(job)
    moved = place.job(2, providers=("gemini",))
    renamed = replace(moved, targets=(replace(moved.targets[0], name=job.targets[0].name),))
    with pytest.raises(WrongInput):
        await place.start(renamed)
    assert len(place.created()) == 1


@pytest.mark.parametrize("finished", [True, False])
async def test_a_run_of_another_api_is_not_gone_on_with(tmp_path: Path, finished: bool) -> None:
    """Invented answers would be told, and billed to somebody, as the real ones."""
    async with placed(tmp_path) as rehearsed:
        await rehearsed.start(rehearsed.job(2), QUICK if finished else replace(QUICK, limit=1))
    async with placed(tmp_path) as real:
        real.clock.advance(DAY)
        with pytest.raises(WrongInput) as caught:
            await real.start(real.job())
        assert real.calls() == 0
    assert rehearsed.url in caught.value.what
    assert real.url in caught.value.what
    assert f"--api {rehearsed.url}" in (caught.value.how or "")


async def test_the_same_api_may_be_named_in_any_way(tmp_path: Path) -> None:
    """By its name, by its address, or by each account for itself."""
    async with placed(tmp_path) as place:
        job = place.job(1)
        await place.start(job)
        (tmp_path / "runner.toml").write_text(
            f'[accounts.agency]\nlogin = "me"\nbase_url = "{place.url}/"\n', "utf-8"
        )
        named = place.settings(DATAFORSEO_BASE_URL="", DATAFORSEO_PASSWORD_AGENCY="secret")
        assert str(named.api) == "live"
        assert (await place.start(job, settings=named)).exit is Exit.DONE


async def test_retry_asks_failed_tasks_again_and_leaves_the_refused(place: Place) -> None:
    """`runner retry`: remote failures by default; what was refused for good needs its code."""
    place.strike(Fault.TASK_FAILS, code=40101, match="0?")
    place.strike(Fault.TASK_REFUSED, code=40501, match="1?")
    job = place.job(4)
    first = await place.start(job)
    assert first.exit is Exit.SOME_FAILED
    assert states(first) == {State.COMPLETED: 2, State.FAILED: 2}

    async def retry(which: RetryFilter) -> tuple[int, Exit, dict[State, int]]:
        summary = await retry_run(
            job,
            first.status.run,
            which,
            QUICK,
            settings=place.settings(),
            clock=place.clock,
            reporter=place.reporter,
            stop=place.stop,
        )
        assert summary.load is None
        return summary.retried, summary.exit, states(summary)

    assert await retry(RetryFilter()) == (
        1,
        Exit.SOME_FAILED,
        {State.COMPLETED: 3, State.FAILED: 1},
    )
    assert await retry(RetryFilter()) == (
        0,
        Exit.SOME_FAILED,
        {State.COMPLETED: 3, State.FAILED: 1},
    )
    named = RetryFilter(codes=frozenset({40501}))
    assert await retry(named) == (1, Exit.DONE, {State.COMPLETED: 4})


async def test_the_reserve_is_the_advance_or_what_searching_may_cost() -> None:
    """The advance is no ceiling: one documented prompt cost four times as much."""
    plain = Target(name="a", endpoint=Endpoint(provider=Provider.CLAUDE), model="claude-sonnet-4-0")
    search = Target(
        name="b",
        endpoint=Endpoint(provider=Provider.CLAUDE),
        model="claude-sonnet-4-0",
        parameters={"web_search": True},
    )
    assert reserve_of(plain) == ADVANCE + BASE_PRICE_STANDARD
    assert reserve_of(search) == ASSUME_EXPENSIVE


@pytest.mark.parametrize(
    ("provider", "model", "told", "dear"),
    [
        # The list tells them apart.
        (Provider.CHAT_GPT, "o3-mini", {"o3-mini": True, "gpt-4o": False}, True),
        (Provider.CHAT_GPT, "gpt-4o", {"o3-mini": True, "gpt-4o": False}, False),
        (Provider.CHAT_GPT, "o9", {"o9": False, "gpt-4o": True}, False),
        (Provider.GEMINI, "gemini-1.5-pro", {"gemini-1.5-pro": False}, False),
        # It was seen to call every model a reasoning one, and may not be there at all.
        (Provider.CHAT_GPT, "gpt-4o", {"o3-mini": True, "gpt-4o": True}, False),
        (Provider.CHAT_GPT, "o3-mini", {"o3-mini": True, "gpt-4o": True}, True),
        (Provider.CHAT_GPT, "gpt-5-mini", {}, True),
        (Provider.CHAT_GPT, "gpt-4.1", {}, False),
        (Provider.GEMINI, "gemini-2.5-pro", {}, True),
        (Provider.GEMINI, "gemini-2.5-flash", {}, False),
        # Claude's can reason, and do when they are told to.
        (Provider.CLAUDE, "claude-opus-4-0", {"claude-opus-4-0": True}, False),
    ],
)
def test_what_reasons_unasked_may_cost_as_much_as_what_is_asked_to(
    provider: Provider, model: str, told: dict[str, bool], dear: bool
) -> None:
    """ChatGPT's have no such field, and Gemini's Pro models have it forced on (API.md §2)."""
    target = Target(name="a", endpoint=Endpoint(provider=provider), model=model)
    models = [
        Model(name=name, reasoning=reasons, web_search=None, standard=True)
        for name, reasons in told.items()
    ]
    least = ADVANCE + BASE_PRICE_STANDARD
    assert reserve_of(target, models=models) == (ASSUME_EXPENSIVE if dear else least)
    assert reserve_of(target, models=models, assumed=least) == least


async def test_a_run_reserves_by_the_list_that_its_start_has_asked_for(place: Place) -> None:
    """The first night has no history to reserve by."""
    job = place.job(1, providers=["gemini"])
    text = (place.folder / "sky.toml").read_text("utf-8")
    (place.folder / "sky.toml").write_text(text.replace("gemini-2.5-flash", "gemini-2.5-pro"))
    job = load_job(str(place.folder / "sky.toml"), workspace=place.folder)
    await place.start(job, RunOptions(export=False, wait_s=0, trust_docs=True))
    assert place.sql("SELECT reserve_nanousd FROM targets") == [(ASSUME_EXPENSIVE,)]


async def test_the_limits_of_a_job_become_the_ceiling_of_its_run(place: Place) -> None:
    """Dollars in the file, nano-dollars in the store."""
    ceiling = ceiling_of(place.job(1, limits="budget_usd = 2\nmax_hold_usd = 0.5"))
    assert ceiling.budget == 2 * NANOS_PER_DOLLAR
    assert ceiling.hold == int(Decimal("0.5") * NANOS_PER_DOLLAR)
