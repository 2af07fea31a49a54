"""What the API says of its models and of the account, and how long that is believed."""

from datetime import timedelta
from pathlib import Path

import pytest

from runner.api.errors import Unreachable
from runner.api.wire import Model
from runner.app import ModelList, RunOptions, list_models, read_account
from runner.errors import CredentialsRefused, WrongInput
from runner.money import ADVANCE, BASE_PRICE_STANDARD
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault
from runner.task import Provider
from tests.app.place import AN_HOUR, Place, placed

DAY = timedelta(days=1)


async def ask(place: Place, *providers: Provider, refresh: bool = False) -> list[ModelList]:
    return await list_models(
        providers, settings=place.settings(), clock=place.clock, refresh=refresh
    )


def asked(place: Place) -> int:
    """Calls of ``models`` that came."""
    return place.account.calls.counts[CallKind.MODELS]


async def test_the_models_are_those_that_the_api_names(place: Place) -> None:
    """Perplexity has no Standard method, and who plans with it should see that here."""
    claude, perplexity = await ask(place, Provider.CLAUDE, Provider.PERPLEXITY)
    sonnet = Model(name="claude-sonnet-4-0", reasoning=True, web_search=True, standard=True)
    assert sonnet in claude.models
    assert perplexity.models
    assert not any(model.standard for model in perplexity.models)
    assert asked(place) == 2


async def test_a_list_is_kept_for_a_day(place: Place) -> None:
    """It rotates, but not by the minute; asking is free, yet it is somebody's limit."""
    first = await ask(place, Provider.CLAUDE)
    place.clock.advance(DAY - timedelta(hours=1))
    assert await ask(place, Provider.CLAUDE) == first
    assert asked(place) == 1
    await ask(place, Provider.CLAUDE, Provider.GEMINI)
    assert asked(place) == 2
    place.clock.advance(timedelta(hours=2))
    await ask(place, Provider.CLAUDE)
    assert asked(place) == 3
    await ask(place, Provider.CLAUDE, refresh=True)
    assert asked(place) == 4


@pytest.mark.parametrize("text", ["", "{", "[]", '{"api": "live", "lists": [{}]}', "null"])
async def test_a_damaged_list_is_asked_for_again(place: Place, text: str) -> None:
    """A file that was cut off by a full disk must not break a command for ever."""
    await ask(place, Provider.CLAUDE)
    (place.folder / "runner.models.json").write_text(text)
    (claude,) = await ask(place, Provider.CLAUDE)
    assert claude.models
    assert asked(place) == 2


async def test_another_api_has_models_of_its_own(place: Place) -> None:
    """What a rehearsal offers says nothing about the real thing."""
    await ask(place, Provider.CLAUDE)
    path = place.folder / "runner.models.json"
    path.write_text(path.read_text().replace(place.url, "https://elsewhere.example"))
    await ask(place, Provider.CLAUDE)
    assert asked(place) == 2


async def test_the_account_tells_balance_holds_and_limits(tmp_path: Path) -> None:
    """What is held is money that looks spent and mostly is not."""
    async with placed(tmp_path, latency=AN_HOUR, calls_per_minute=5_000) as place:
        await place.start(place.job(3), RunOptions(export=False, wait_s=0))
        account = await read_account(settings=place.settings(), clock=place.clock)
        assert account.stated.balance_nanousd == place.account.ledger.balance
        assert account.held_nanousd == 3 * (ADVANCE + BASE_PRICE_STANDARD)
        assert (account.stated.calls_per_minute, account.calls_per_minute) == (5_000, 5_000)
        settings = place.settings(RUNNER_CALLS_PER_MINUTE="1200")
        account = await read_account(settings=settings, clock=place.clock)
        assert (account.stated.calls_per_minute, account.calls_per_minute) == (5_000, 1_200)


async def test_looking_at_the_account_makes_no_store(place: Place) -> None:
    """The first thing people do is to try their password; that starts nothing."""
    await read_account(settings=place.settings(), clock=place.clock)
    assert not (place.folder / "runner.db").exists()


async def test_a_refused_login_and_a_dead_api_are_told_apart(place: Place) -> None:
    """Codes 5 and 75: the one needs a person, the other only time."""
    place.strike(Fault.UNAUTHORIZED, CallKind.USER_DATA, times=9)
    with pytest.raises(CredentialsRefused):
        await read_account(settings=place.settings(), clock=place.clock)
    dead = place.settings(DATAFORSEO_BASE_URL="http://127.0.0.1:9")
    with pytest.raises(Unreachable):
        await read_account(settings=dead, clock=place.clock)


async def test_the_store_of_another_account_is_not_mixed_with_this_one(place: Place) -> None:
    """Holds of one account beside the balance of another would be a wrong sum."""
    await place.start(place.job(3))
    other = place.settings(DATAFORSEO_LOGIN="somebody-else")
    with pytest.raises(WrongInput):
        await read_account(settings=other, clock=place.clock)


async def test_six_looks_a_minute_at_the_account_are_kept_to_across_commands(
    tmp_path: Path,
) -> None:
    """The API's limit holds for all processes together; a seventh call would be refused."""
    async with placed(tmp_path, speed=60) as place:
        await place.start(place.job(1))
        began = place.clock.now()
        for _ in range(6):
            await read_account(settings=place.settings(), clock=place.clock)
        assert place.clock.now() - began > timedelta(seconds=40)
