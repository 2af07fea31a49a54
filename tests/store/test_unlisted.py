"""What a store that has to look through its account tells of itself, and keeps of each look."""

from dataclasses import replace

import pytest

from runner.lifecycle import State
from runner.store.protocol import TaskStore
from runner.store.reconciling import Sighting
from runner.store.recovering import Look, Stake, Unlisted
from runner.task import RemoteId, Tag
from tests.store import steps
from tests.store.places import AnyStore
from tests.store.steps import MINUTE, Scene
from tests.support.clock import ManualClock


@pytest.fixture
async def claimed(store: TaskStore, clock: ManualClock) -> Scene:
    """A store in doubt with three tasks, of which nothing was posted."""
    assert isinstance(store, AnyStore)
    scene = await steps.begin(store, clock)
    await scene.load(steps.numbered(3))
    await store.claim(None)
    return scene


async def doubt(scene: Scene) -> Unlisted:
    found = await scene.store.unlisted(account=scene.account)
    assert found is not None
    return found


async def test_a_store_tells_what_a_listing_has_to_show(claimed: Scene, clock: ManualClock) -> None:
    """What the API took and the store knows; a refused or lost call may not be there."""
    await claimed.post(1, how=steps.refused)
    await claimed.post(1, how=steps.lost)
    unlisted = await doubt(claimed)
    assert (unlisted.accepted, unlisted.newest) == (None, clock.now())
    await claimed.post(1)
    taken = clock.now()
    clock.advance(MINUTE)
    unlisted = await doubt(claimed)
    assert (unlisted.accepted, unlisted.accepted_by_api) == (taken, False)
    other = await claimed.store.bind_account(
        gateway="dataforseo", base_url="https://api.test", login="other", name="b"
    )
    elsewhere = await claimed.store.unlisted(account=other)
    assert elsewhere is not None
    assert elsewhere.accepted is None


async def test_the_wait_begins_anew_with_news_and_ends_with_a_listing_that_does_not_count(
    claimed: Scene, clock: ManualClock
) -> None:
    """What shows only now was posted long ago, so more may be on its way."""
    start = clock.now()

    async def look(minutes: int, counts: bool | None, *, news: bool = False) -> Unlisted:
        at = start + minutes * MINUTE
        await claimed.store.note_look(
            Look(at=at, counts=counts, news=news), account=claimed.account
        )
        return await doubt(claimed)

    assert (await look(0, None)).clean_api is None
    assert (await look(1, True)).clean_api == start + MINUTE
    assert (await look(2, None)).clean_api == start + MINUTE
    assert (await look(3, True)).clean_api == start + MINUTE
    assert (await look(4, True, news=True)).clean_api == start + 4 * MINUTE
    assert (await look(5, False)).clean_api is None
    last = await look(6, True)
    assert (last.clean_api, last.since_api) == (start + 6 * MINUTE, start)
    await claimed.store.listed()
    assert isinstance(claimed.store, AnyStore)
    await claimed.store.claim(None)
    again = await doubt(claimed)
    assert (again.clean_api, again.since_api, again.strangers) == (None, None, False)


async def test_what_one_account_has_shown_the_others_need_not(claimed: Scene) -> None:
    """The lost day may have posted with one of them alone."""
    await claimed.store.note_look(Look(at=None, counts=False, strangers=True), account=7)
    unlisted = await doubt(claimed)
    assert (unlisted.strangers, unlisted.since_api) == (True, None)


async def test_tags_that_no_intent_of_the_store_has_are_told_each_time(
    claimed: Scene, clock: ManualClock
) -> None:
    """They show that the listing has what came after the copy; also to the start after this one."""
    (own,) = (await claimed.post(1)).attempts
    tag = Tag.parse(own.tag)
    assert tag is not None
    later = replace(tag, attempt=2)
    nobody = replace(tag, digest="a" * 26)
    seen = [
        Sighting(tag=own.tag, remote_id=steps.remote_id(own.tag)),
        Sighting(tag=str(later), remote_id=RemoteId("later")),
        Sighting(tag=str(nobody), remote_id=RemoteId("nobody")),
    ]
    for new in (1, 0):
        found = await claimed.store.found(seen, now=clock.now())
        assert found.strangers == {str(later), str(nobody)}
        assert (len(found.adopted), found.incidents) == (new, new)


async def test_a_store_tells_which_of_some_prompts_wait_and_where(claimed: Scene) -> None:
    """A row of the listing without a tag may be of one of them."""
    await claimed.post(1)
    prompts = ["question 1", "question 3", "another program's"]
    found = await claimed.store.pending_prompts(prompts)
    assert found == {steps.CLAUDE.endpoint: {"question 3"}}
    assert await claimed.store.pending_prompts([]) == {steps.CLAUDE.endpoint: set()}
    await claimed.post()
    assert await claimed.store.pending_prompts(prompts) == {}
    assert await claimed.states() == {State.POSTED: 3}


async def test_a_store_tells_what_is_at_stake_where_it_is_wrongly_taken_at_its_word(
    claimed: Scene,
) -> None:
    """Whoever accepts that should know how much it is."""
    assert await claimed.store.at_stake() == Stake(tasks=3, reserve=3 * steps.RESERVE)
    await claimed.post()
    assert await claimed.store.at_stake() == Stake(tasks=0, reserve=0)
    await claimed.store.listed()
    assert await claimed.store.unlisted() is None
